// Cuts a variable into hyperslabs of bounded size that keep some dimensions whole.

export interface Slab {
  start: number[];
  count: number[];
}

/**
 * Hyperslabs that together cover `shape` once, in its order, each of at most `budget` elements where the whole
 * dimensions allow it. Dimensions named in `whole` are never cut.
 */
export function* slabs(
  shape: readonly number[],
  whole: ReadonlySet<number>,
  budget: number,
): Generator<Slab> {
  if (shape.includes(0)) return;
  // From the fastest dimension outward, take all while it fits, then a part of the next, then one at a time.
  const count = shape.map((n, d) => (whole.has(d) ? n : 1));
  let size = count.reduce((product, n) => product * n, 1);
  for (let d = shape.length - 1; d >= 0; d--) {
    if (whole.has(d)) continue;
    count[d] = Math.max(1, Math.min(shape[d]!, Math.floor(budget / size)));
    size *= count[d]!;
    if (count[d]! < shape[d]!) break;
  }
  const start = shape.map(() => 0);
  while (true) {
    yield { start: [...start], count: count.map((n, d) => Math.min(n, shape[d]! - start[d]!)) };
    let d = shape.length - 1;
    while (d >= 0 && start[d]! + count[d]! >= shape[d]!) start[d--] = 0;
    if (d < 0) return;
    start[d]! += count[d]!;
  }
}
