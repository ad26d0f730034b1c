// How fields on wanted pressure levels are made from those that a file has: linear in the logarithm of pressure.
import { ClimaxError } from "../errors.ts";

export interface LevelRow {
  /** hPa, as it was wanted. */
  level: number;
  /** What it is the sum of: places in what is available, and weights that add up to 1. */
  sources: [index: number, weight: number][];
}

// Levels kept as float32, or turned from Pa to hPa, agree to this part; no two levels are nearer.
const same = 1e-6;

/**
 * A plan for every wanted level. Levels that are there stay as they are; others lie between their two neighbours,
 * linear in ln p, for height is nearly so. Nothing is continued beyond the highest and the lowest level.
 *
 * @param available  hPa, in any order
 * @param wanted     hPa
 * @returns          a row for each wanted level, in its order, and what is interpolated, in words
 * @throws           ClimaxError (config) for what is no pressure, (data) for levels beyond those available
 */
export function levelPlan(
  available: readonly number[],
  wanted: readonly number[],
): { rows: LevelRow[]; notes: string[] } {
  const bad = [...available, ...wanted].find((level) => !(Number.isFinite(level) && level > 0));
  if (bad !== undefined)
    throw new ClimaxError(
      "config",
      `a level of ${bad} hPa is no pressure`,
      "write levels in hPa, such as 500",
    );
  const order = [...available.keys()].sort((a, b) => available[a]! - available[b]!);
  const [top, bottom] = [order[0], order.at(-1)].map((index) => available[index ?? -1]);
  const beyond = wanted.filter(
    (level) => top === undefined || level < top * (1 - same) || level > bottom! * (1 + same),
  );
  if (beyond.length > 0)
    throw new ClimaxError(
      "data",
      `levels ${beyond.join(", ")} hPa were wanted; ` +
        (top === undefined ? "there are none" : `the levels there are reach from ${top} to ${bottom} hPa`),
      "leave these levels out: beyond the outermost level nothing is made up",
    );
  const notes: string[] = [];
  const rows = wanted.map((level): LevelRow => {
    const exact = order.find((index) => Math.abs(available[index]! - level) <= same * level);
    if (exact !== undefined) return { level, sources: [[exact, 1]] };
    const below = order.findIndex((index) => available[index]! > level);
    const [a, b] = [order[below - 1]!, order[below]!];
    const [pa, pb] = [available[a]!, available[b]!];
    const weight = Math.log(level / pa) / Math.log(pb / pa);
    notes.push(
      `${level} hPa lies between ${pa} and ${pb} hPa, and is interpolated in the logarithm of pressure`,
    );
    return {
      level,
      sources: [
        [a, 1 - weight],
        [b, weight],
      ],
    };
  });
  return { rows, notes };
}
