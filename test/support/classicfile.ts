// NetCDF classic files (CDF-1) made by hand in memory: many small ones are made in no time.

export interface ClassicVariable {
  /** Lengths by name, slowest first. */
  dimensions: Record<string, number>;
  data: Float32Array | Float64Array;
  attributes?: Record<string, string>;
}

/** A whole file; dimensions of one name are one dimension. */
export function classicBytes(variables: Record<string, ClassicVariable>): Buffer {
  const int = (...list: number[]) => {
    const out = Buffer.alloc(4 * list.length);
    for (const [i, n] of list.entries()) out.writeInt32BE(n, 4 * i);
    return out;
  };
  const padded = (length: number) => Math.ceil(length / 4) * 4;
  const text = (value: string) => {
    const bytes = Buffer.from(value, "utf8");
    return Buffer.concat([int(bytes.length), bytes, Buffer.alloc(padded(bytes.length) - bytes.length)]);
  };
  const list = (tag: number, items: Buffer[]) =>
    items.length === 0 ? int(0, 0) : Buffer.concat([int(tag, items.length), ...items]);
  const lengths = new Map(Object.values(variables).flatMap(({ dimensions }) => Object.entries(dimensions)));
  const names = [...lengths.keys()];
  const header = (begins: readonly number[]) =>
    Buffer.concat([
      Buffer.from("CDF\x01", "latin1"),
      int(0),
      list(
        10,
        [...lengths].map(([name, length]) => Buffer.concat([text(name), int(length)])),
      ),
      list(12, []),
      list(
        11,
        Object.entries(variables).map(([name, { dimensions, data, attributes = {} }], i) => {
          const ids = Object.keys(dimensions).map((dimension) => names.indexOf(dimension));
          const own = Object.entries(attributes).map(([key, value]) =>
            Buffer.concat([text(key), int(2), text(value)]),
          );
          const type = data instanceof Float64Array ? 6 : 5;
          const layout = int(type, padded(data.byteLength), begins[i] ?? 0);
          return Buffer.concat([text(name), int(ids.length, ...ids), list(12, own), layout]);
        }),
      ),
    ]);
  let at = header([]).length;
  const begins = Object.values(variables).map(({ data }) => {
    const begin = at;
    at += padded(data.byteLength);
    return begin;
  });
  const bodies = Object.values(variables).map(({ data }) => {
    const out = Buffer.alloc(padded(data.byteLength));
    for (const [i, x] of data.entries())
      if (data instanceof Float64Array) out.writeDoubleBE(x, 8 * i);
      else out.writeFloatBE(x, 4 * i);
    return out;
  });
  return Buffer.concat([header(begins), ...bodies]);
}
