// The sum of the squares of many numbers, on the host.

/** In f64; four sums at a time, since each addition waits for the one before. */
export function sumOfSquares(values: Float32Array): number {
  const { length } = values;
  let [a, b, c, d] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const [w, x, y, z] = [values[i]!, values[i + 1]!, values[i + 2]!, values[i + 3]!];
    a += w * w;
    b += x * x;
    c += y * y;
    d += z * z;
  }
  for (; i < length; i++) a += values[i]! * values[i]!;
  return a + b + (c + d);
}
