// Damaged Zarr stores are read or refused with a ClimaxError: never a hang, a crash, memory without bound, or other
// numbers where a checksum could tell.
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";

const scratch = mkdtempSync(join(tmpdir(), "climax-zarrfuzz-"));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Outcome {
  bytes: number;
  /** A digest of what arrays gave; the error of those that were refused. */
  arrays: Map<string, string | ClimaxError>;
}

const ours = (error: unknown): ClimaxError => {
  if (error instanceof ClimaxError) return error;
  throw error;
};

const digest = (values: string[] | Float32Array | Float64Array) =>
  createHash("sha1")
    .update(Array.isArray(values) ? values.join("\0") : new Uint8Array(values.buffer))
    .digest("hex");

/** Opens a store and reads all of it. */
async function exhaust(path: string): Promise<Outcome | ClimaxError> {
  const dataset = await openDataset(path).catch(ours);
  if (dataset instanceof ClimaxError) return dataset;
  const outcome: Outcome = { bytes: 0, arrays: new Map() };
  for (const [name, variable] of dataset.variables) {
    const read = async () => (variable.dtype === "string" ? variable.readText() : variable.readUnpacked());
    const values = await read().catch(ours);
    if (!(values instanceof ClimaxError)) outcome.bytes += 8 * values.length;
    outcome.arrays.set(name, values instanceof ClimaxError ? values : digest(values));
  }
  await dataset.close();
  return outcome;
}

const place = fc.noBias(fc.nat(1_000_000));
const damage = fc.record({
  file: place,
  flips: fc.array(fc.record({ at: place, bit: fc.nat(7) }), { maxLength: 3 }),
  set: fc.array(fc.record({ at: place, value: fc.constantFrom(0, 1, 127, 128, 255) }), { maxLength: 2 }),
  cut: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: place }),
  /** In JSON instead: one number or word becomes another. */
  token: place,
  other: fc.constantFrom(
    "0",
    "-1",
    "1",
    "3",
    "16777216",
    "4294967296",
    "9007199254740991",
    "1e308",
    '"x"',
    "null",
    "[]",
    "{}",
    '"../.."',
    '"|O"',
    '">f8"',
    '"gzip"',
  ),
});

test.each([
  [
    "v2",
    ["blosc_lz4", "blosc_zstd_bits", "blosc_blosclz", "zstd", "lz4", "gzip", "zlib", "bare", "name", "story"],
    ["gzip", "zlib"],
  ],
  ["v3", ["blosc", "zstd", "big_crc", "transposed", "sharded_end", "sharded_start", "time"], ["big_crc"]],
])("%s.zarr, damaged in 150 ways", async (version, arrays, summed) => {
  const path = join(scratch, `${version}.zarr`);
  for (const part of [version === "v2" ? ".zgroup" : "zarr.json", ...arrays]) {
    cpSync(`test/fixtures/zarr/${version}.zarr/${part}`, join(path, part), { recursive: true });
  }
  const files = readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(path, name)).isFile())
    .sort();
  const whole = (await exhaust(path)) as Outcome;
  expect([...whole.arrays.values()].every((values) => typeof values === "string")).toBe(true);
  const counts = { refused: 0, partly: 0, read: 0 };
  let slowest = 0;
  await fc.assert(
    fc.asyncProperty(damage, async ({ file, flips, set, cut, token, other }) => {
      const name = files[file % files.length]!;
      const original = readFileSync(join(path, name));
      let bytes = Buffer.from(original.subarray(0, original.length - (cut % original.length)));
      if (/json$|\/\.z|^\.z/.test(name) && cut === 0) {
        const tokens = [...original.toString().matchAll(/-?\d+(\.\d+)?|"[^"]*"(?!:)|null/g)];
        const { index, 0: old } = tokens[token % tokens.length]!;
        bytes = Buffer.from(
          original.toString().slice(0, index) + other + original.toString().slice(index + old.length),
        );
      } else {
        for (const { at, bit } of flips) bytes[at % bytes.length]! ^= 1 << bit;
        for (const { at, value } of set) bytes[at % bytes.length] = value;
      }
      writeFileSync(join(path, name), bytes);
      const started = performance.now();
      const result = await exhaust(path).finally(() => writeFileSync(join(path, name), original));
      slowest = Math.max(slowest, performance.now() - started);
      if (result instanceof ClimaxError) {
        counts.refused++;
        expect(result.message).toContain(path);
        return;
      }
      const errors = [...result.arrays.values()].filter((values) => values instanceof ClimaxError);
      counts[errors.length > 0 ? "partly" : "read"]++;
      for (const error of errors) expect(error.message).toContain(path);
      expect(result.bytes).toBeLessThan(2 ** 28);
      // Only the damaged array may differ; a chunk with a checksum may not differ in silence.
      const [array] = name.split("/");
      const isChunk = !/json$|\.z/.test(name);
      for (const [other, values] of result.arrays) {
        if (other === array && !(isChunk && summed.includes(other))) continue;
        if (!(values instanceof ClimaxError)) expect(values === whole.arrays.get(other), other).toBe(true);
        else expect(other).toBe(array);
      }
    }),
    { numRuns: 150, seed: 20180101, endOnFailure: true },
  );
  // The damage is neither always fatal nor always harmless, or this would test nothing.
  expect(counts.refused).toBeGreaterThan(15);
  expect(counts.partly).toBeGreaterThan(30);
  expect(counts.read).toBeGreaterThan(10);
  expect(slowest).toBeLessThan(10_000);
  expect(await exhaust(path)).toEqual(whole);
});
