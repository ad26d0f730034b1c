/** Six years of states whose sums depend on the order of addition, to the last bits. */
import type { Archive } from "../../src/data/archive.ts";
import type { CfTime } from "../../src/data/time.ts";
import type { PrepareOptions } from "../../src/sets/prepare.ts";
import { fakeArchive, provenance } from "./fakearchive.ts";

/** From 1e-6 to 1e6, so that sums of float32 are not exact in float64. */
export function roughValue(name: string, time: CfTime, cell: number): number {
  const k = time.seconds / 864_000;
  return Math.fround(Math.sin(k * (cell + 1) + name.length) * 10 ** ((k % 13) - 6));
}

/** Gaps in every split, and one cell that has no value at all. */
export const gappyValue = (name: string, time: CfTime, cell: number): number =>
  cell === 7 || (cell === 2 && (time.seconds / 864_000) % 5 === 0)
    ? Number.NaN
    : roughValue(name, time, cell);

/** Every ten days from 2001 on. */
export const roughArchive = (value = roughValue): Archive =>
  fakeArchive({ ...{ start: "2001-01-01", steps: 220, stepHours: 240 }, constants: ["orography"], value });

export const roughPeriods: PrepareOptions = { train: "2001..2004", val: "2005", test: "2006", provenance };
