/** Quantiles of weighted values, as xarray defines them. */

/** Values are sorted into so many buckets first; only those about the quantile are then put in order. */
const bucketCount = 256;
const bucketWeights = new Float64Array(bucketCount);

/**
 * The quantile `at` of `count` weighted values that are positive. With the step function Q(c) of the values over their
 * cumulative weight c (of a total of 1) and Kish's effective number of values n = (sum w)^2 / sum w^2, it is the mean
 * of Q from ((n - 1) at) / n to ((n - 1) at + 1) / n: for equal weights the linear one of NumPy. NaN of none.
 *
 * @param values  positive, finite; more than `count` may be there
 * @param weights positive
 */
export function weightedQuantile(
  values: Float32Array,
  weights: Float64Array,
  count: number,
  at: number,
): number {
  if (count === 0) return Number.NaN;
  // Of positive floats the bits rise with the value.
  const bits = new Uint32Array(values.buffer, values.byteOffset, count);
  let [least, most, total, squares] = [0xffffffff, 0, 0, 0];
  for (let k = 0; k < count; k++) {
    const w = weights[k]!;
    least = Math.min(least, bits[k]!);
    most = Math.max(most, bits[k]!);
    total += w;
    squares += w * w;
  }
  const n = total ** 2 / squares;
  const from = (((n - 1) * at) / n) * total;
  const to = from + total / n;
  const scale = bucketCount / (most - least + 1);
  bucketWeights.fill(0);
  for (let k = 0; k < count; k++) bucketWeights[Math.floor((bits[k]! - least) * scale)]! += weights[k]!;
  let [below, first] = [0, 0];
  while (first < bucketCount - 1 && below + bucketWeights[first]! <= from) below += bucketWeights[first++]!;
  let [end, last] = [below + bucketWeights[first]!, first];
  while (last < bucketCount - 1 && end < to) end += bucketWeights[++last]!;
  const near: [value: number, weight: number][] = [];
  for (let k = 0; k < count; k++) {
    const bucket = Math.floor((bits[k]! - least) * scale);
    if (bucket >= first && bucket <= last) near.push([values[k]!, weights[k]!]);
  }
  near.sort(([a], [b]) => a - b);
  let [sum, reached, start] = [0, 0, below];
  for (const [value, weight] of near) {
    const share = Math.min(to, start + weight) - Math.max(from, start);
    if (share > 0) {
      sum += share * value;
      reached += share;
    }
    start += weight;
  }
  return sum / reached;
}
