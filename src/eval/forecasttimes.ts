/** Initial times and leads of a forecast file, however it stores them. */
import { coordinateKind, findCoordinates, timesOf as validTimesOf } from "../data/coordinates.ts";
import { text } from "../data/recognise.ts";
import { addHours, type CfTime, decodeTimes, formatTime, hoursBetween } from "../data/time.ts";
import { parseUnit } from "../data/units.ts";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";

export interface ForecastTimes {
  readonly initial: readonly CfTime[];
  /** Hours. */
  readonly leads: readonly number[];
  /** The dimensions that carry them; undefined: the file has one initial time, or one lead. */
  readonly initialDimension: string | undefined;
  readonly leadDimension: string | undefined;
}

const initialNames =
  /^(forecast_)?(reference|initial|init|initiali[sz]ation|analysis|base)(_?time)?$|^reftime$/i;
const leadNames = /^(lead(_?time)?|step|prediction_timedelta|forecast_(period|hour)|fhour)$/i;

type Kind = "initial" | "lead" | "time";

function kindOf(variable: DatasetVariable): Kind | undefined {
  const kind = coordinateKind(variable);
  if (kind === "reference" || initialNames.test(variable.name)) return "initial";
  if (kind === "lead" || leadNames.test(variable.name)) return "lead";
  return kind === "time" ? "time" : undefined;
}

/**
 * Reads them. Known forms: an axis of initial times and one of leads; either of them as a scalar; one forecast
 * along its valid time, with its initial time as a scalar.
 *
 * @param leadZero take a file without any lead as one of lead 0, its times being those it is valid at
 * @throws ClimaxError "data" when initial time and lead cannot be told, or contradict the valid times of the file
 */
export async function readForecastTimes(dataset: Dataset, leadZero = false): Promise<ForecastTimes> {
  const find = (kind: Kind, rank: number) =>
    [...dataset.variables.values()].find(
      (variable) =>
        variable.shape.length === rank &&
        (rank === 0 || variable.dimensions[0] === variable.name) &&
        kindOf(variable) === kind,
    );
  const leadAxis = find("lead", 1);
  const lead = leadAxis ?? find("lead", 0);
  // Beside a lead, a plain time is the initial one: so WeatherBench 2 and ECMWF's tools write it.
  const initialAxis = find("initial", 1) ?? (lead && find("time", 1));
  const initial = initialAxis ?? find("initial", 0) ?? (lead && find("time", 0));
  if (lead && initial) {
    const times = {
      initial: distinct(dataset, initial, await timesOf(dataset, initial)),
      leads: await leadsOf(dataset, lead),
      initialDimension: initialAxis?.name,
      leadDimension: leadAxis?.name,
    };
    await checkValidTimes(dataset, times);
    return times;
  }
  const valid = find("time", 1);
  if (valid && initial && !initialAxis) {
    const [from] = await timesOf(dataset, initial);
    const leads = (await timesOf(dataset, valid)).map((time) => hoursBetween(from!, time));
    return { initial: [from!], leads, initialDimension: undefined, leadDimension: valid.name };
  }
  const only = valid ?? initial ?? find("time", 0);
  if (leadZero && !lead && only) {
    // A projection may count bare years, which the reader of archives dates; a scalar must say what it counts.
    const dated = only.shape.length === 1 && (await validTimesOf(findCoordinates(dataset), only))?.times;
    return {
      initial: distinct(dataset, only, dated || (await timesOf(dataset, only))),
      leads: [0],
      initialDimension: only.shape.length === 1 ? only.name : undefined,
      leadDimension: undefined,
    };
  }
  const missing = lead ? "initial time" : initial ? "lead" : "initial time and no lead";
  throw new ClimaxError(
    "data",
    `${dataset.path} has no ${missing}; its dimensions are ${[...dataset.dimensions.keys()].join(", ")}`,
    "a forecast file has an initial time (time, or standard_name forecast_reference_time) and a lead " +
      "(prediction_timedelta, step, lead_time or forecast_period, or standard_name forecast_period)",
  );
}

async function numbers(variable: DatasetVariable): Promise<number[]> {
  return Array.from(await variable.readUnpacked());
}

async function timesOf({ path }: Dataset, variable: DatasetVariable): Promise<CfTime[]> {
  const units = text(variable.attributes, "units");
  if (units === "") {
    throw new ClimaxError(
      "data",
      `${variable.name} in ${path} has no units, so that its times cannot be told`,
      `set them: ncatted -a units,${variable.name},o,c,"hours since 1970-01-01" ${path}`,
    );
  }
  return decodeTimes(await numbers(variable), units, text(variable.attributes, "calendar") || undefined);
}

function distinct({ path }: Dataset, { name }: DatasetVariable, times: CfTime[]): CfTime[] {
  const seen = new Set<number>();
  for (const time of times) {
    if (seen.has(time.seconds)) {
      throw new ClimaxError(
        "data",
        `${path} has the initial time ${formatTime(time)} more than once in ${name}`,
        "leave one of them in the file, so that no forecast counts twice",
      );
    }
    seen.add(time.seconds);
  }
  return times;
}

/** Leads in hours, from any unit of time and from those of xarray's timedelta. */
async function leadsOf({ path }: Dataset, variable: DatasetVariable): Promise<number[]> {
  const units = text(variable.attributes, "units");
  const seconds = secondsOf(units) ?? (units === "" && /hour$/i.test(variable.name) ? 3600 : undefined);
  if (seconds === undefined) {
    throw new ClimaxError(
      "data",
      `the lead ${variable.name} in ${path} has ${units === "" ? "no units" : `the units "${units}"`}; wanted hours, days or another unit of time`,
      `set them: ncatted -a units,${variable.name},o,c,hours ${path}`,
    );
  }
  // A millionth of an hour is far below any step, and above what rounding leaves of nanoseconds.
  return (await numbers(variable)).map((value) => Math.round(((value * seconds) / 3600) * 1e6) / 1e6);
}

/** Seconds in a unit of time. */
function secondsOf(units: string): number | undefined {
  const small = /^(?:timedelta64\[)?(nano|micro|milli|[nuµm])s(?:ec(?:ond)?s?)?\]?$/i
    .exec(units)?.[1]
    ?.toLowerCase();
  if (small)
    return { n: 1e-9, u: 1e-6, µ: 1e-6, m: small === "micro" ? 1e-6 : 1e-3 }[
      small[0] as "n" | "u" | "µ" | "m"
    ];
  const unit = parseUnit(units);
  const isTime = unit?.dimension.every((power, i) => power === (i === 2 ? 1 : 0));
  return isTime ? unit!.factor : undefined;
}

/** Where the file also has valid times, they must be initial time plus lead. */
async function checkValidTimes(dataset: Dataset, times: ForecastTimes): Promise<void> {
  const { initial, leads, initialDimension, leadDimension } = times;
  const dimensions = [initialDimension, leadDimension].filter((name) => name !== undefined);
  const stated = [...dataset.variables.values()].find(
    (variable) =>
      variable.dimensions.join() === dimensions.join() &&
      dimensions.length > 0 &&
      !dimensions.includes(variable.name) &&
      (variable.name === "valid_time" || text(variable.attributes, "standard_name") === "time"),
  );
  if (!stated || text(stated.attributes, "units") === "") return;
  for (const [i, time] of (await timesOf(dataset, stated)).entries()) {
    const from = initial[Math.floor(i / leads.length)]!;
    const hours = leads[i % leads.length]!;
    if (Math.abs(hoursBetween(addHours(from, hours), time)) < 1e-3) continue;
    throw new ClimaxError(
      "data",
      `${dataset.path}: ${stated.name} says ${formatTime(time)} for the initial time ${formatTime(from)} and a lead of ${hours} h`,
      "initial time plus lead must be the valid time: correct the file",
    );
  }
}
