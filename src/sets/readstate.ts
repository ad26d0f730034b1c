// One state of an archive, what is learnt of it on the way, and what replaces its gaps.
import type { CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { momentsOf } from "./statistics.ts";
import { count, type SetField, type Tally } from "./tally.ts";

/** What replaces missing values: the variable's mean over train, or a number. */
export type NanFill = "mean" | number | undefined;

/** How one state is read. */
interface Reading {
  step: number;
  /** For messages. */
  when: string;
  /** Whether the state counts for mean and deviation. */
  train: boolean;
  /** Its time, where years are kept apart. */
  year?: CfTime | undefined;
  nanFill: NanFill;
}

/**
 * Reads one state into `state` [V, H, W]. Missing values become `nanFill` if that is a number, else NaN.
 *
 * @returns whether a NaN is left
 */
export async function readState(
  fields: readonly SetField[],
  tallies: readonly Tally[],
  state: Float32Array,
  { step, when, train, year, nanFill }: Reading,
): Promise<boolean> {
  const cells = state.length / fields.length;
  const refused: string[] = [];
  let gaps = false;
  for (const [v, { name, read }] of fields.entries()) {
    const tally = tallies[v]!;
    const field = state.subarray(v * cells, (v + 1) * cells);
    field.set(await read(step));
    let moments = momentsOf(field);
    const { missing } = moments;
    if (missing > 0) {
      tally.firstMissing ||= when;
      tally.missing += missing;
      if (nanFill === undefined) refused.push(`${name} (${missing} of ${cells} cells)`);
      const filler = typeof nanFill === "number" ? nanFill : Number.NaN;
      for (let i = 0; i < cells; i++) if (!Number.isFinite(field[i]!)) field[i] = filler;
      gaps ||= typeof nanFill !== "number";
      if (typeof nanFill === "number") moments = momentsOf(field);
    }
    count(tally, moments, train, year);
  }
  if (refused.length > 0)
    throw new ClimaxError(
      "data",
      `values are missing (NaN or infinite) at ${when}: ${refused.join(", ")}`,
      "fill them with --nan-fill mean (the variable's training mean) or --nan-fill NUMBER, " +
        "or leave these variables out of --variables",
    );
  return gaps;
}

/** Replaces NaN in [V, H, W] by a value for each variable. */
export function fillMissing(state: Float32Array, cells: number, values: readonly number[]): void {
  for (let i = 0; i < state.length; i++)
    if (Number.isNaN(state[i]!)) state[i] = values[Math.floor(i / cells)]!;
}
