/** Layers written plainly in f64, for the ops that join several of them. */

/** A linear layer, `x W^T + bias`: x [..., K], weight [N, K], bias [N]. */
export function product(x: Float64Array, weight: Float64Array, bias: Float64Array): Float64Array {
  const N = bias.length;
  const K = weight.length / N;
  return Float64Array.from({ length: (x.length / K) * N }, (_, i) => {
    let sum = bias[i % N]!;
    for (let k = 0; k < K; k++) sum += x[Math.floor(i / N) * K + k]! * weight[(i % N) * K + k]!;
    return sum;
  });
}

/** Layer normalisation over rows as long as `weight`. */
export function normalised(x: Float64Array, weight: Float64Array, bias: Float64Array): Float64Array {
  const C = weight.length;
  return x.map((value, i) => {
    const row = x.subarray(i - (i % C), i - (i % C) + C);
    const mean = row.reduce((a, b) => a + b) / C;
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / C;
    return ((value - mean) / Math.sqrt(variance + 1e-5)) * weight[i % C]! + bias[i % C]!;
  });
}
