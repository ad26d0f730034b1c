// Range, mean and deviation of the tensors of a file, read one after the other.
import type { InspectedTensor } from "./weightsschema.ts";

/** Numbers in a tensor that is looked at, 1 GiB of float32: memory must not depend on what a file claims. */
export const mostNumbers = 2 ** 28;

type Values = Pick<InspectedTensor, "min" | "max" | "mean" | "std" | "nonFinite">;

/** Of what was not looked at. */
export const unlooked: Values = { min: null, max: null, mean: null, std: null, nonFinite: null };

/** Numbers whose sums are added up by themselves, so that nothing is lost in large tensors. */
const block = 1 << 16;

/** @returns numbers of the finite values; deviation with N in the divisor, about the mean */
export function tensorValues(values: Float32Array): Values {
  let [min, max, nonFinite] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  // Around the first value, so that squares do not cancel: norms lie about 1.
  const origin = values.find(Number.isFinite) ?? 0;
  let [sum, squares] = [0, 0];
  for (let from = 0; from < values.length; from += block) {
    let [part, partSquares] = [0, 0];
    for (let i = from; i < Math.min(from + block, values.length); i++) {
      const value = values[i]!;
      if (value - value !== 0) {
        nonFinite++; // infinities and NaN less themselves are NaN
        continue;
      }
      if (value < min) min = value;
      if (value > max) max = value;
      const off = value - origin;
      part += off;
      partSquares += off * off;
    }
    sum += part;
    squares += partSquares;
  }
  const count = values.length - nonFinite;
  if (count === 0) return { ...unlooked, nonFinite };
  const mean = sum / count;
  return {
    min,
    max,
    mean: origin + mean,
    std: Math.sqrt(Math.max(0, squares / count - mean * mean)),
    nonFinite,
  };
}
