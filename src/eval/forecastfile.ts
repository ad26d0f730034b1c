/**
 * A forecast file of any system: fields by ClimaX name, initial time and lead, in ClimaX units, south to north and
 * from 0 to 360 degrees east, read one at a time.
 */
import { openDataset } from "../data/open.ts";
import { text } from "../data/recognise.ts";
import type { CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { Dataset } from "../files/dataset.ts";
import type { Grid } from "../grid/grid.ts";
import { readFields } from "./forecastfields.ts";

/** Which forecasts there are; one object for all fields that have the same. */
export interface Presence {
  has(initialIndex: number, leadIndex: number): boolean;
}

export interface ForecastField extends Presence {
  /** ClimaX units. */
  readonly units: string;
  /** Members of an ensemble; 1 without a dimension for them. */
  readonly members: number;
  readonly presence: Presence;
  /** [H * W]; NaN where missing. The first member unless another is asked for. A forecast that is not there is a RangeError. */
  read(initialIndex: number, leadIndex: number, member?: number): Promise<Float32Array>;
}

export interface ForecastFile {
  readonly path: string;
  /** The system's name if the file gives one. */
  readonly system: string | undefined;
  readonly grid: Grid;
  readonly initial: readonly CfTime[];
  /** Hours. */
  readonly leads: readonly number[];
  /** By ClimaX name; not every field need have every initial time and lead. */
  readonly fields: ReadonlyMap<string, ForecastField>;
  /** Conversions made or assumed. */
  readonly notes: readonly string[];
  readonly synthetic: boolean;
  /** Each field is the mean of the states from its valid time on for so many hours; undefined: the state at that time. */
  readonly averageHours: number | undefined;
  /** Name of the region that the grid is, if the file gives one. */
  readonly region: string | undefined;
  /** What made it, as the file says: program or model, and the adapter that it ran on. */
  readonly made: string | undefined;
  close(): Promise<void>;
}

/**
 * Opens a forecast file. Only coordinates are read, and a few fields of rain that does not say what it is a sum over.
 *
 * @param leadZero    take a file without a lead as one of lead 0: a projection, a downscaled analysis
 * @param timeIsValid a plain time beside a lead is the valid one (WeatherBench 2's by_init=False)
 * @throws ClimaxError "data" when it has no lead or initial time, two variables of one name, or units that are
 *         unknown; "grid" when it has no regular grid
 */
export async function openForecastFile(
  path: string,
  leadZero = false,
  timeIsValid = false,
): Promise<ForecastFile> {
  const dataset = await openDataset(path);
  try {
    return {
      path,
      system: systemName(dataset),
      ...(await readFields(dataset, { leadZero, timeIsValid }, isOurs(dataset))),
      synthetic: isSynthetic(dataset),
      averageHours: averageOf(dataset),
      region: lineOf(dataset, "climax_region") || undefined,
      made: makerOf(dataset),
      close: () => dataset.close(),
    };
  } catch (error) {
    await dataset.close();
    throw error;
  }
}

/** Whether a file was written by climax, whose rain is that of the set that its model was trained on. */
const isOurs = ({ attributes }: Dataset) => [...attributes.keys()].some((name) => name.startsWith("climax_"));

/** An attribute as one line without control characters: it goes to terminals and into tables. */
const lineOf = ({ attributes }: Dataset, name: string): string =>
  text(attributes, name)
    .replaceAll(/[\p{Cc}\s]+/gu, " ")
    .trim();

function systemName(dataset: Dataset): string | undefined {
  for (const name of ["system", "model", "model_name", "forecast_system"]) {
    const value = lineOf(dataset, name);
    if (value !== "") return value;
  }
  return isOurs(dataset) ? "climax" : undefined;
}

function makerOf(dataset: Dataset): string | undefined {
  const [source, adapter] = [lineOf(dataset, "source"), lineOf(dataset, "climax_adapter")];
  const parts = [source, ...(adapter === "" ? [] : [`on ${adapter}`])].filter((part) => part !== "");
  return parts.length > 0 ? parts.join(", ") : undefined;
}

function isSynthetic({ attributes }: Dataset): boolean {
  const value = attributes.get("synthetic");
  return value === 1 || (typeof value === "string" && /^(true|yes|1)$/i.test(value.trim()));
}

/** Hours that every field is the mean of, by the attribute that says so. */
function averageOf({ path, attributes }: Dataset): number | undefined {
  const value = attributes.get("climax_average_hours");
  if (value === undefined) return undefined;
  const hours = Number(value);
  if (hours > 0 && Number.isFinite(hours)) return hours;
  throw new ClimaxError(
    "data",
    `${path}: its attribute climax_average_hours is "${value}"; wanted a number of hours above zero`,
    `set it: ncatted -a climax_average_hours,global,o,d,336 ${path}, or delete it if the file holds states at single times`,
  );
}
