// A set's numbers as float16, half the size: stored = (value - offset) / scale, by variable. Physical units would not
// fit (geopotential reaches 5e5, float16 ends at 65 504), nor be exact enough without the offset.
//
// An error is at most 2^-11 |value - offset|: a tenth of a percent of the deviation for a value two deviations off.
// In NumPy, p being "packing" of set.json and shard an open shard [T, V, H, W]:
//   shard[i].astype("f4") * np.float32(p["scale"])[:, None, None] + np.float32(p["offset"])[:, None, None]
import { ClimaxError } from "../errors.ts";
import { fromHalf, largestHalf, toHalf } from "../files/half.ts";
import { type Moments, standardDeviation } from "./statistics.ts";

/** By the variables that vary in time. */
export interface Packing {
  /** Powers of two, so that scaling rounds nothing. */
  scale: number[];
  /** float32 numbers, in units. */
  offset: number[];
}

/**
 * Scale and offset of a variable from a sample of its values. Where 0 lies among the values (rain, ice, wind) the
 * offset is 0, so that 0 stays 0 and small values keep their digits.
 *
 * @param bounds  the range on Earth, for a sample that does not vary
 */
export function choosePacking(
  sample: Moments,
  bounds: readonly [number, number],
): { scale: number; offset: number } {
  const { std, constant } = standardDeviation(sample);
  // The bounds of a variable are some 30 deviations apart.
  const spread = constant ? (bounds[1] - bounds[0]) / 32 : std;
  const offset = constant || Math.abs(sample.mean) > 3 * spread ? Math.fround(sample.mean) : 0;
  return { scale: 2 ** Math.round(Math.log2(spread)), offset };
}

/**
 * The most that storing may change a value, in its units: half a unit in the last of a half's 11 digits, and what
 * float32 rounds when it is read. (1 + 2^-12: the value is float32 before it is a half.)
 */
export function packingBound(value: number, scale: number, offset: number): number {
  const half = Math.max(Math.abs(value - offset) * 2 ** -11 * (1 + 2 ** -12), scale * 2 ** -25);
  return half + Math.abs(value) * 2 ** -24 + half * 2 ** -24;
}

/**
 * One variable's field as halves; NaN stays NaN.
 *
 * @param out  [H * W], bits of halves
 * @returns the value that cannot be stored; undefined when all are
 */
export function packField(
  field: Float32Array,
  scale: number,
  offset: number,
  out: Uint16Array,
): number | undefined {
  const perScale = 1 / scale;
  for (let i = 0; i < field.length; i++) {
    const stored = (field[i]! - offset) * perScale;
    if (Math.abs(stored) > largestHalf) return field[i]!;
    out[i] = toHalf(stored);
  }
  return undefined;
}

/** The most that packing changed a value of a field, in its units. */
export function packingLoss(field: Float32Array, bits: Uint16Array, scale: number, offset: number): number {
  const stored = fromHalf(bits);
  let most = 0;
  for (let i = 0; i < field.length; i++) {
    const loss = Math.abs(Math.fround(stored[i]! * scale + offset) - field[i]!);
    if (loss > most) most = loss; // never true of NaN
  }
  return most;
}

/** Halves that were read as float32, [V, H, W] of variables from `first` on, to physical units, in place. */
export function unpackFields(
  fields: Float32Array,
  cells: number,
  { scale, offset }: Packing,
  first = 0,
): void {
  for (let v = first, start = 0; start < fields.length; v++, start += cells) {
    const [factor, shift] = [scale[v]!, offset[v]!];
    for (let i = start; i < start + cells; i++) fields[i] = fields[i]! * factor + shift;
  }
}

/** @throws ClimaxError (data) always */
export function refuseValue(
  name: string,
  units: string,
  value: number,
  { scale, offset }: { scale: number; offset: number },
): never {
  const [low, high] = [offset - largestHalf * scale, offset + largestHalf * scale];
  throw new ClimaxError(
    "data",
    `${name} is ${value} ${units}; float16 takes ${low.toPrecision(4)} to ${high.toPrecision(4)} of it`,
    "if the value is right, store --dtype float32; if it marks a gap, say so in the file (_FillValue)",
  );
}
