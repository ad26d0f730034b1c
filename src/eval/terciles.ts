/**
 * Terciles of what is usual: from the training period of a prepared set, by the week of the year, or from a file of
 * edges as the S2S AI challenge distributes them.
 */
import type { CfTime } from "../data/time.ts";
import { parseUnit } from "../data/units.ts";
import { parseName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import type { Field } from "../scores/metric.ts";
import { type Aligned, alignTruth } from "./align.ts";
import { openTercileFile } from "./tercilefile.ts";
import { trainingTerciles } from "./terciletraining.ts";
import { isPreparedSet, openTruth, type Truth } from "./truth.ts";
import type { TercileFields, Terciles } from "./usual.ts";

export interface TercileOptions {
  /** A file of edges or a prepared set; undefined: the training period of the truth. */
  readonly asked: string | undefined;
  /** As it is scored: on the common grid, and in the units of the bench. */
  readonly truth: Truth;
  /** Hours that each forecast is the mean of; undefined: states at single times. */
  readonly averageHours: number | undefined;
  readonly alignmentOf: Aligned["alignmentOf"];
}

export interface OpenTerciles {
  readonly terciles: Terciles;
  /** What was converted, assumed or regridded. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/**
 * Chooses the terciles; undefined where none were asked for and the truth has no training period. Cells whose lower
 * tercile of precipitation is below 1 mm a day are NaN, which leaves them out of the score: the challenge's dry mask.
 *
 * @throws ClimaxError "data" for a file or set without them, "grid" where it does not cover what is scored
 */
export async function chooseTerciles(options: TercileOptions): Promise<OpenTerciles | undefined> {
  const { asked, truth, averageHours, alignmentOf } = options;
  if (asked === undefined) {
    const own = trainingTerciles(truth, averageHours);
    return own && { terciles: masked(own, truth), notes: [], close: async () => undefined };
  }
  if (!isPreparedSet(asked)) {
    const file = await openTercileFile(asked, truth.units, averageHours, alignmentOf);
    return { ...file, terciles: masked(file.terciles, truth) };
  }
  const set = await openTruth([asked]);
  try {
    const alignment = alignmentOf(set.grid, `the terciles' set ${asked}`);
    const terciles = trainingTerciles(alignTruth(set, alignment), averageHours);
    if (!terciles) {
      throw new ClimaxError(
        "data",
        `${asked} has no training period to take terciles from`,
        "give a set that was prepared with --train",
      );
    }
    return {
      terciles: masked(terciles, truth),
      notes: alignment.note ? [alignment.note] : [],
      close: () => set.close(),
    };
  } catch (error) {
    await set.close();
    throw error;
  }
}

/** 1 mm a day, in kg m-2 s-1. */
const dryRate = 1 / 86400;

/**
 * Below it a lower tercile is dry, in the units that are scored; undefined for what is no precipitation.
 *
 * @throws ClimaxError "config" for sums of precipitation whose length is not known
 */
export function dryBorder(variable: string, units: string | undefined): number | undefined {
  const { info } = parseName(variable);
  if (info.name === "mean_total_precipitation_rate")
    return dryRate / (parseUnit(units ?? info.units)?.factor ?? 1);
  const hours = /^total_precipitation_(\d+)hr$/.exec(info.name)?.[1];
  if (hours !== undefined) return ((Number(hours) / 24) * 1e-3) / (parseUnit(units ?? "m")?.factor ?? 1);
  if (info.name !== "total_precipitation") return undefined;
  throw new ClimaxError(
    "config",
    "terciles of total_precipitation need the hours that it is summed over, for cells drier than 1 mm a day are not scored",
    "score total_precipitation_24hr, total_precipitation_6hr or mean_total_precipitation_rate",
  );
}

/** The same, NaN in dry cells of precipitation. */
function masked({ label, field }: Terciles, { units }: Truth): Terciles {
  return {
    label,
    async field(variable, leadHours) {
      const border = dryBorder(variable, units.get(variable));
      const at = await field(variable, leadHours);
      if (!at || border === undefined) return at;
      let before: TercileFields | undefined;
      let after: TercileFields | undefined;
      return async (initial: CfTime, valid: CfTime) => {
        const fields = await at(initial, valid);
        if (fields !== before) [before, after] = [fields, [dryMask(fields[0], border), fields[1]]];
        return after!;
      };
    },
  };
}

const dryMask = (lower: Field, border: number): Field => lower.map((x) => (x < border ? Number.NaN : x));
