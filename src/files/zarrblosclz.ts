// BloscLZ, blosc's own LZ77: runs of literals, and matches within 8 kB, or 64 kB beyond that. Format: c-blosc,
// blosclz.c (1.21). No package gives it by itself, and inside numcodecs' blosc its errors are lost (zarrblosc.ts).

/** Distances from here on have 16 bits of their own. */
const far = 8191;

/** Decompresses exactly `size` bytes. @throws Error when the data are damaged. */
export function decodeBloscLz(data: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size);
  let at = 0;
  let to = 0;
  const next = (): number => {
    if (at >= data.length) throw new Error("its BloscLZ data are cut off");
    return data[at++]!;
  };
  // The first token is literals, whatever its upper bits say.
  for (let token = next() & 31; ; token = next()) {
    if (token < 32) {
      const length = token + 1;
      if (at + length > data.length || to + length > size) throw new Error("its BloscLZ data are damaged");
      out.set(data.subarray(at, at + length), to);
      at += length;
      to += length;
    } else {
      let length = (token >> 5) + 2;
      if (token >> 5 === 7) {
        for (let more = 255; more === 255; length += more) more = next();
      }
      const low = next();
      const near = ((token & 31) << 8) + low;
      const distance = near === far ? (next() << 8) + next() + far : near;
      const from = to - distance - 1;
      if (from < 0 || to + length > size) throw new Error("its BloscLZ data are damaged");
      // Byte by byte: a match may overlap what it makes.
      for (let i = 0; i < length; i++) out[to + i] = out[from + i]!;
      to += length;
    }
    if (at >= data.length) break;
  }
  if (to !== size) throw new Error(`it decodes to ${to} bytes; ${size} were expected`);
  return out;
}
