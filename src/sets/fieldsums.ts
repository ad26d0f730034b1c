// Sums of many states, cell by cell, from which their mean is made: exact enough to go on from, and to extend.
import type { NpyArray } from "../files/npyformat.ts";

export interface FieldSums {
  /** [V, H, W] */
  shape: readonly number[];
  sums: Float64Array;
  /** Of the values that entered each sum. */
  counts: Uint32Array;
}

export function noSums(shape: readonly number[]): FieldSums {
  const length = shape.reduce((product, n) => product * n, 1);
  return { shape, sums: new Float64Array(length), counts: new Uint32Array(length) };
}

/** Adds a state [V, H, W]; NaN enters nothing. */
export function addState({ sums, counts }: FieldSums, state: Float32Array): void {
  for (let i = 0; i < sums.length; i++) {
    const value = state[i]!;
    if (Number.isNaN(value)) continue;
    sums[i]! += value;
    counts[i]!++;
  }
}

/** [V, H, W]; NaN where no state has a value. */
export function meanState({ sums, counts }: FieldSums): Float32Array {
  return Float32Array.from(sums, (sum, i) => sum / counts[i]!);
}

export function restoreSums(sums: NpyArray, counts: NpyArray): FieldSums {
  return { shape: sums.shape, sums: sums.data as Float64Array, counts: counts.data as Uint32Array };
}
