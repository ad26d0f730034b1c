/** The climate of precipitation that SEEPS wants: from WeatherBench 2's climatology, or a training period. */
import { expandFolders } from "../data/folderfiles.ts";
import { text } from "../data/recognise.ts";
import { parseUnit } from "../data/units.ts";
import { ClimaxError } from "../errors.ts";
import { dryBelow } from "../scores/seeps.ts";
import { type Aligned, type Alignment, alignTruth } from "./align.ts";
import { type ClimatologyFile, openClimatologyFile } from "./climatologyfile.ts";
import { climatologyWords } from "./climatologysource.ts";
import { trainingSeeps } from "./seepstraining.ts";
import { isPreparedSet, openTruth, type Truth } from "./truth.ts";
import type { SeepsAt, SeepsClimate } from "./usual.ts";

export interface SeepsOptions {
  /** What `--climatology` says: a path, a word, or undefined. */
  readonly asked: string | undefined;
  /** As it is scored: on the common grid. */
  readonly truth: Truth;
  readonly alignmentOf: Aligned["alignmentOf"];
}

export interface OpenSeepsClimate {
  readonly climate: SeepsClimate;
  /** Whose it is, in words for the reader of a score. */
  readonly label: string;
  /** What was converted, assumed or regridded. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/**
 * Chooses it: from the climatology that was asked for, where that holds it or is a prepared set, else from the training
 * period of the truth; undefined where there is neither.
 *
 * @throws ClimaxError "grid" for a climatology that does not cover what is scored
 */
export async function chooseSeepsClimate(options: SeepsOptions): Promise<OpenSeepsClimate | undefined> {
  const { asked, truth, alignmentOf } = options;
  const close = async () => undefined;
  const path = climatologyWords.some((word) => word === asked) ? undefined : asked;
  if (path !== undefined && isPreparedSet(path)) {
    const set = await openTruth([path]);
    const alignment = alignmentOf(set.grid, `the climatology ${path}`);
    const climate = trainingSeeps(alignTruth(set, alignment));
    if (climate) return { climate, ...said(path, alignment), close: () => set.close() };
    await set.close();
  } else if (path !== undefined) {
    const paths = await expandFolders([path]);
    const file = paths.length === 1 ? await openClimatologyFile(paths[0]!) : undefined;
    const holds = file && [...dryBelow.keys()].some((variable) => file.names.includes(thresholdOf(variable)));
    if (holds) {
      const alignment = alignmentOf(file.grid, `the climatology ${path}`);
      return {
        climate: fromFile(file, alignment),
        label: `dry fractions and borders of heavy rain of ${path}`,
        notes: [...(alignment.note ? [alignment.note] : []), ...partNote(file)],
        close: () => file.close(),
      };
    }
    await file?.close();
  }
  const own = trainingSeeps(truth);
  return own && { climate: own, ...said(truth.path, undefined), close };
}

const said = (path: string, alignment: { readonly note: string | undefined } | undefined) => ({
  label: `dry fractions and borders of heavy rain of the training period of ${path}`,
  notes: alignment?.note ? [alignment.note] : [],
});

const thresholdOf = (variable: string) => `${variable}_seeps_threshold`;
const drynessOf = (variable: string) => `${variable}_seeps_dry_fraction`;

/** The dry fraction is the mean of the year, which a file of some days has not. */
function partNote({ path, axes }: ClimatologyFile): string[] {
  if (axes.kind === "month" || axes.dates.length >= 360) return [];
  return [
    `the dry fraction of seeps is the mean of the ${axes.dates.length} days of the year that ${path} has`,
  ];
}

/** WeatherBench 2's variables, by (hour, dayofyear) in any order: thresholds in metres. */
function fromFile(file: ClimatologyFile, alignment: Alignment): SeepsClimate {
  const { path } = file;
  return {
    async field(variable): Promise<SeepsAt | undefined> {
      const [border, dryness] = [await file.raw(thresholdOf(variable)), await file.raw(drynessOf(variable))];
      if (!border || !dryness) return undefined;
      const units = text(border.attributes, "units");
      const factor = units === "" ? 1 : parseUnit(units)?.factor;
      if (factor === undefined) {
        throw new ClimaxError(
          "data",
          `${thresholdOf(variable)} of ${path} has the unknown units "${units}"; wanted metres`,
          `if it is metres: ncatted -a units,${thresholdOf(variable)},o,c,m ${path}`,
        );
      }
      const dryFraction = alignment.apply(drynessOf(variable), await dryness.mean());
      const metres = (field: Float32Array) => (factor === 1 ? field : field.map((x) => x * factor));
      return async (valid) => ({
        dryFraction,
        heavy: alignment.apply(variable, metres(await border.at(valid))),
      });
    },
  };
}
