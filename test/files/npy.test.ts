/** NumPy files against bytes as NumPy writes them, and against damage of every kind. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { openNpy, readNpy, readNpz, streamNpy, writeNpy } from "../../src/files/npy.ts";
import { npyHeader, parseNpyHeader } from "../../src/files/npyformat.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "climax-npy-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** A .npy file as numpy.save would write it, from its header's text. */
function npy(header: string, data: Uint8Array, version = 1): Uint8Array {
  const prefix = version === 1 ? 10 : 12;
  const total = Math.ceil((prefix + header.length + 1) / 64) * 64;
  const bytes = new Uint8Array(total + data.length).fill(0x20);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  const view = new DataView(bytes.buffer);
  if (version === 1) view.setUint16(8, total - 10, true);
  else view.setUint32(8, total - 12, true);
  bytes.set(new TextEncoder().encode(header), prefix);
  bytes[total - 1] = 0x0a;
  bytes.set(data, total);
  return bytes;
}

const header = (descr: string, shape: string, fortran = false) =>
  `{'descr': '${descr}', 'fortran_order': ${fortran ? "True" : "False"}, 'shape': (${shape}), }`;

function save(name: string, bytes: Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, bytes);
  return path;
}

/** -2, 1, 3 in each element type that numpy.save writes, as NumPy 1.24 wrote them. */
const elements: [descr: string, dtype: string, hex: string, values: number[]][] = [
  ["<f2", "float16", "00c0003c0042", [-2, 1, 3]],
  [">f2", "float16", "c0003c004200", [-2, 1, 3]],
  ["<f4", "float32", "000000c00000803f00004040", [-2, 1, 3]],
  [">f4", "float32", "c00000003f80000040400000", [-2, 1, 3]],
  ["<f8", "float64", "00000000000000c0000000000000f03f0000000000000840", [-2, 1, 3]],
  [">f8", "float64", "c0000000000000003ff00000000000004008000000000000", [-2, 1, 3]],
  ["|i1", "int8", "fe0103", [-2, 1, 3]],
  ["|u1", "uint8", "fe0103", [254, 1, 3]],
  ["|b1", "bool", "000101", [0, 1, 1]],
  ["<i2", "int16", "feff01000300", [-2, 1, 3]],
  [">u2", "uint16", "fffe00010003", [65534, 1, 3]],
  ["<i4", "int32", "feffffff0100000003000000", [-2, 1, 3]],
  [">i4", "int32", "fffffffe0000000100000003", [-2, 1, 3]],
  ["<i8", "int64", "feffffffffffffff01000000000000000300000000000000", [-2, 1, 3]],
  [">i8", "int64", "fffffffffffffffe00000000000000010000000000000003", [-2, 1, 3]],
  ["<u8", "uint64", "020000000000000001000000000000000300000000000000", [2, 1, 3]],
];

describe("npy", () => {
  test.each(elements)("reads %s", async (descr, dtype, hex, values) => {
    const path = save("element.npy", npy(header(descr, "3,"), Buffer.from(hex, "hex")));
    const array = await readNpy(path);
    expect(array.shape).toEqual([3]);
    expect(array.dtype).toBe(dtype);
    expect([...array.data]).toEqual(values);
  });

  test.each([1, 2, 3])("reads header version %i, and Fortran order as C order", async (version) => {
    // [[0, 1, 2], [3, 4, 5]] column by column
    const data = Uint8Array.of(0, 3, 1, 4, 2, 5);
    const path = save("fortran.npy", npy(header("|u1", "2, 3", true), data, version));
    const { shape, data: values } = await readNpy(path);
    expect(shape).toEqual([2, 3]);
    expect([...values]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("a three-dimensional Fortran array and a part of it", async () => {
    const data = Uint8Array.from({ length: 24 }, (_, at) => {
      const [i, j, k] = [at % 2, Math.floor(at / 2) % 3, Math.floor(at / 6)];
      return i * 12 + j * 4 + k;
    });
    const file = await openNpy(save("f3.npy", npy(header("|u1", "2, 3, 4", true), data)));
    expect([...(await file.read())]).toEqual(Array.from({ length: 24 }, (_, i) => i));
    expect([...(await file.read(5, 3))]).toEqual([5, 6, 7]);
    await file.close();
  });

  test("scalars, empty arrays and Python 2's long integers", async () => {
    const scalar = await readNpy(save("scalar.npy", npy(header("|u1", ""), Uint8Array.of(7))));
    expect(scalar).toMatchObject({ shape: [], data: Uint8Array.of(7) });
    const empty = await readNpy(save("empty.npy", npy(header("<f4", "0, 4"), new Uint8Array())));
    expect(empty).toMatchObject({ shape: [0, 4], data: new Float32Array() });
    const long = await readNpy(save("long.npy", npy(header("|u1", "2L,"), Uint8Array.of(1, 2))));
    expect(long.shape).toEqual([2]);
  });

  test("writes what NumPy writes, in a header padded to 128 bytes", async () => {
    const path = join(dir, "written.npy");
    await writeNpy(path, [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
    const bytes = readFileSync(path);
    const text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".padEnd(117);
    expect(bytes.subarray(0, 10).toString("hex")).toBe("934e554d505901007600");
    expect(bytes.subarray(10, 128).toString("latin1")).toBe(`${text}\n`);
    expect(new Float32Array(bytes.buffer.slice(bytes.byteOffset + 128, bytes.byteOffset + 152))).toEqual(
      Float32Array.of(1, 2, 3, 4, 5, 6),
    );
    expect(parseNpyHeader(npyHeader([5], "float64"), "x").shape).toEqual([5]);
    expect(parseNpyHeader(npyHeader([], "uint8"), "x").shape).toEqual([]);
  });

  test("streams an array whose pieces must add up to its shape", async () => {
    const path = join(dir, "streamed.npy");
    const sum = await streamNpy(path, [3, 2], "float64", async (append) => {
      for (let i = 0; i < 3; i++) await append(Float64Array.of(2 * i, 2 * i + 1));
    });
    expect(sum).toMatch(/^[0-9a-f]{64}$/);
    expect([...(await readNpy(path)).data]).toEqual([0, 1, 2, 3, 4, 5]);
    const short = streamNpy(join(dir, "short.npy"), [3], "float32", (append) => append(new Float32Array(2)));
    await expect(short).rejects.toThrow("1 elements short of (3)");
  });

  test("int64 beyond what a number can hold is refused, not rounded", async () => {
    const bytes = npy(header("<i8", "1,"), Buffer.from("0100000000002000", "hex")); // 2^53 + 1
    await expect(readNpy(save("wide.npy", bytes))).rejects.toThrow("integer 9007199254740993 is beyond 2^53");
  });

  test.each([
    ["not a NumPy file", Buffer.from("hello, world; this is text"), "magic bytes"],
    ["version 9", npy(header("<f4", "1,"), new Uint8Array(4), 9), "NPY version 9"],
    ["objects", npy(header("|O", "1,"), new Uint8Array(4)), "element type |O"],
    ["strings", npy(header("<U4", "1,"), new Uint8Array(16)), "element type <U4"],
    ["too few data", npy(header("<f4", "4,"), new Uint8Array(12)), "needs 16 bytes of data, found 12"],
    ["too many data", npy(header("<f4", "2,"), new Uint8Array(12)), "needs 8 bytes of data, found 12"],
    ["negative extent", npy(header("<f4", "-1,"), new Uint8Array(4)), "shape (-1,) is not of integers"],
    ["more than exists", npy(header("<f8", "9999999999, 9999999999"), new Uint8Array(8)), "beyond any file"],
    ["a terabyte", npy(header("<f8", "99999999999,"), new Uint8Array(8)), "needs 799999999992 bytes"],
    ["33 dimensions", npy(header("|u1", "1, ".repeat(33)), new Uint8Array(1)), "33 dimensions"],
    ["empty file", new Uint8Array(), "magic bytes"],
  ])("refuses %s and says why", async (name, bytes, message) => {
    const path = save(`bad-${name.replaceAll(" ", "-")}.npy`, bytes);
    const failed = await readNpy(path).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(ClimaxError);
    expect((failed as ClimaxError).message).toContain(message);
    expect((failed as ClimaxError).message).toContain(path);
  });

  test("a header of 64 KiB of padding is read, one of 4 GiB is refused before it is allocated", async () => {
    const padded = header("|u1", "2,").padEnd(60_000);
    expect([...(await readNpy(save("padded.npy", npy(padded, Uint8Array.of(1, 2))))).data]).toEqual([1, 2]);
    const hostile = npy(header("|u1", "2,"), Uint8Array.of(1, 2), 2);
    new DataView(hostile.buffer).setUint32(8, 0xffff_ffff, true);
    await expect(readNpy(save("hostile.npy", hostile))).rejects.toThrow("NPY header of 4294967295 bytes");
  });

  test("any damage to a header gives an array of the file's size or a ClimaxError", async () => {
    const whole = npy(header("<f4", "3, 2"), new Uint8Array(24));
    const edits = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 })), {
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(edits, fc.nat(whole.length), async (changes, cut) => {
        const bytes = whole.slice(0, cut < 20 ? whole.length - cut : whole.length);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        const outcome = await readNpy(save("fuzzed.npy", bytes)).catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(ClimaxError);
        else
          expect((outcome as { data: Float32Array }).data.byteLength).toBeLessThanOrEqual(4 * bytes.length);
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});

interface Member {
  name: string;
  bytes: Uint8Array;
  deflate?: boolean;
  /** Lies in the directory. */
  claimedSize?: number;
}

/** A ZIP archive as numpy.savez (stored) or savez_compressed (deflated) writes it. */
function zip(members: readonly Member[]): Uint8Array {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes, deflate = false, claimedSize = bytes.length } of members) {
    const stored = deflate ? deflateRawSync(bytes) : Buffer.from(bytes);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(deflate ? 8 : 0, 4);
    fields.writeUInt32LE(crc32(bytes), 10);
    fields.writeUInt32LE(stored.length, 14);
    fields.writeUInt32LE(claimedSize, 18);
    fields.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("504b0304", "hex"), fields, Buffer.from(name), stored]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(
      Buffer.concat([Buffer.from("504b01021400", "hex"), fields.subarray(0, 26), tail, Buffer.from(name)]),
    );
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("504b0506", "hex");
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

describe("npz", () => {
  const a = npy(header("<f8", "2,"), Buffer.from("000000000000f03f0000000000000040", "hex"));
  const zeros = npy(header("|u1", "5000,"), new Uint8Array(5000));

  test.each([false, true])("reads every member (deflated: %s)", async (deflate) => {
    const path = save(
      "two.npz",
      zip([
        { name: "a.npy", bytes: a, deflate },
        { name: "b.c.npy", bytes: zeros, deflate },
      ]),
    );
    const arrays = await readNpz(path);
    expect([...arrays.keys()]).toEqual(["a", "b.c"]);
    expect(arrays.get("a")).toEqual({ shape: [2], dtype: "float64", data: Float64Array.of(1, 2) });
    expect(arrays.get("b.c")!.data.length).toBe(5000);
  });

  test("a changed byte of data fails the CRC-32", async () => {
    const bytes = zip([{ name: "a.npy", bytes: a }]);
    bytes[30 + 5 + 128 + 3]! ^= 1;
    await expect(readNpz(save("flipped.npz", bytes))).rejects.toThrow("a.npy: fails its CRC-32 check");
  });

  test.each([
    [
      "a bomb's claim",
      { name: "a.npy", bytes: zeros, deflate: true, claimedSize: 4e9 },
      "claims 4000000000 bytes",
    ],
    [
      "less than inflates",
      { name: "a.npy", bytes: zeros, deflate: true, claimedSize: 100 },
      "cannot be inflated",
    ],
    [
      "more than inflates",
      { name: "a.npy", bytes: zeros, deflate: true, claimedSize: 6000 },
      "6000 were claimed",
    ],
    ["a path upwards", { name: "../../a.npy", bytes: a }, "not a readable .npz"],
  ])("refuses %s", async (_, member, message) => {
    const path = save("lie.npz", zip([member]));
    const failed = await readNpz(path).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(ClimaxError);
    expect((failed as ClimaxError).message).toContain(message);
  });

  test("members that overlap are refused", async () => {
    const bytes = Buffer.from(
      zip([
        { name: "a.npy", bytes: zeros },
        { name: "b.npy", bytes: zeros },
      ]),
    );
    const second = bytes.indexOf("504b0102", bytes.indexOf("504b0102", 0, "hex") + 1, "hex");
    bytes.writeUInt32LE(0, second + 42); // b.npy at a.npy's place
    const first = bytes.subarray(0, 30 + 5 + zeros.length);
    // Without b.npy's own bytes the members claim more than there is.
    const cut = Buffer.concat([first, bytes.subarray(2 * first.length)]);
    cut.writeUInt32LE(first.length, cut.length - 6);
    await expect(readNpz(save("overlap.npz", cut))).rejects.toThrow("claim more bytes than the archive has");
  });

  test("any damage gives arrays or a ClimaxError", async () => {
    const whole = zip([
      { name: "a.npy", bytes: a, deflate: true },
      { name: "b.npy", bytes: a },
    ]);
    const edits = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 })), {
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(edits, fc.nat(40), async (changes, cut) => {
        const bytes = whole.slice(0, cut < 8 ? whole.length - cut : whole.length);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        const outcome = await readNpz(save("fuzzed.npz", bytes)).catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(ClimaxError);
        else expect(outcome).toBeInstanceOf(Map);
      }),
      { numRuns: 400, seed: 1 },
    );
  });
});
