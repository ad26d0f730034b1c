/**
 * Sums that keep what rounding leaves over (two-sum, Knuth; Neumaier 1974): they come out the same to the last bit of
 * f64, but for the rarest cases, in whatever order and from whatever parts they were added.
 */

/** Adds values to sums of the same length, and what rounding leaves over to `rest`. */
export function addTo(sums: Float64Array, rest: Float64Array, values: ArrayLike<number>): void {
  for (let i = 0; i < sums.length; i++) {
    const before = sums[i]!;
    const value = values[i]!;
    const after = before + value;
    const taken = after - before;
    rest[i]! += before - (after - taken) + (value - taken);
    sums[i] = after;
  }
}

/** Moves from `rest` what `sums` can hold: then `sums` are the sums rounded to f64, and `rest` is below their last bit. */
export function settle(sums: Float64Array, rest: Float64Array): void {
  for (let i = 0; i < sums.length; i++) {
    const before = sums[i]!;
    const value = rest[i]!;
    const after = before + value;
    const taken = after - before;
    rest[i] = before - (after - taken) + (value - taken);
    sums[i] = after;
  }
}
