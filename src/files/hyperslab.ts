// A hyperslab is a box of a variable: where it starts and how many elements it takes along each dimension.

/** What a reader returns: the stored numbers of a hyperslab, row-major. 64-bit integers arrive as Float64Array. */
export type NumericArray =
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** Types whose stored bytes are those of a typed array. */
export const plainArrays = {
  int8: Int8Array<ArrayBuffer>,
  uint8: Uint8Array<ArrayBuffer>,
  int16: Int16Array<ArrayBuffer>,
  uint16: Uint16Array<ArrayBuffer>,
  int32: Int32Array<ArrayBuffer>,
  uint32: Uint32Array<ArrayBuffer>,
  float32: Float32Array<ArrayBuffer>,
  float64: Float64Array<ArrayBuffer>,
} as const;

export type PlainDtype = keyof typeof plainArrays;

export function isPlain(dtype: string): dtype is PlainDtype {
  return Object.hasOwn(plainArrays, dtype);
}

export interface Hyperslab {
  start: number[];
  count: number[];
}

/** Product of a shape; 1 for a scalar. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/**
 * Fills in what is left out (start: zeros; count: up to the end) and checks the box against the shape.
 * A box outside the shape is the caller's mistake, never the file's: it throws a RangeError.
 */
export function hyperslab(
  name: string,
  shape: readonly number[],
  start?: readonly number[],
  count?: readonly number[],
): Hyperslab {
  const from = start ? [...start] : shape.map(() => 0);
  const take = count ? [...count] : shape.map((n, i) => n - (from[i] ?? 0));
  const inside =
    from.length === shape.length &&
    take.length === shape.length &&
    shape.every((n, i) => {
      const a = from[i]!;
      const c = take[i]!;
      return Number.isInteger(a) && Number.isInteger(c) && a >= 0 && c >= 0 && a + c <= n;
    });
  if (!inside) {
    throw new RangeError(
      `hyperslab start [${from}] count [${take}] is outside variable "${name}" of shape [${shape}]`,
    );
  }
  return { start: from, count: take };
}

/**
 * Copies the box [start, start + count) of a row-major array `source` into the box of the same size at
 * `targetStart` of a row-major array `target`. Both arrays have the rank of `count`.
 */
export function copyBox(
  source: NumericArray,
  sourceShape: readonly number[],
  start: readonly number[],
  count: readonly number[],
  target: NumericArray,
  targetShape: readonly number[],
  targetStart: readonly number[],
): void {
  if (count.includes(0)) return;
  const last = count.length - 1;
  if (last < 0) {
    target[0] = source[0]!;
    return;
  }
  const visit = (axis: number, from: number, to: number): void => {
    const s = from * sourceShape[axis]! + start[axis]!;
    const t = to * targetShape[axis]! + targetStart[axis]!;
    if (axis === last) {
      target.set(source.subarray(s, s + count[axis]!), t);
      return;
    }
    for (let i = 0; i < count[axis]!; i++) visit(axis + 1, s + i, t + i);
  };
  visit(0, 0, 0);
}

/** All index vectors below `shape`, row-major; one empty vector for no axes. */
export function* indices(shape: readonly number[]): Generator<number[]> {
  const total = elements(shape);
  const index = shape.map(() => 0);
  for (let n = 0; n < total; n++) {
    yield [...index];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}
