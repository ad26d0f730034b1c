// Damaged files are read or refused with a ClimaxError: never a hang, a crash, or memory without bound.
// Seeds are fixed: HDF5 itself may yet hold loops that no test of ours has met (hdf5library.ts guards the one we did).
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Opens a file and reads all of it; returns the bytes it gave, or the error. */
async function exhaust(path: string): Promise<number | ClimaxError> {
  try {
    const dataset = await openDataset(path);
    let bytes = 0;
    try {
      for (const variable of dataset.variables.values()) {
        const text = variable.dtype === "char" || variable.dtype === "string";
        if (variable.dtype === "other") continue;
        bytes += text ? (await variable.readText()).length : (await variable.readUnpacked()).byteLength;
      }
    } finally {
      await dataset.close();
    }
    return bytes;
  } catch (error) {
    if (error instanceof ClimaxError) return error;
    throw error;
  }
}

// Unbiased: fast-check's preference for small numbers would hit the first bytes only.
const place = fc.noBias(fc.nat(1_000_000));
const damage = fc.record({
  flips: fc.array(fc.record({ at: place, bit: fc.nat(7) }), { maxLength: 3 }),
  set: fc.array(fc.record({ at: place, value: fc.constantFrom(0, 1, 127, 128, 255) }), { maxLength: 2 }),
  cut: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: place }),
});

test.each([
  ["weather-cdf1.nc", 400],
  ["weather-cdf2.nc", 400],
  ["weather-cdf5.nc", 400],
  ["weather-netcdf4.nc", 250],
  ["features-netcdf4.nc", 250],
])("%s, damaged in %i ways", async (name, runs) => {
  const original = readFileSync(`test/fixtures/netcdf/${name}`);
  const path = join(folder, name);
  const whole = await exhaust(`test/fixtures/netcdf/${name}`);
  expect(whole).toBeTypeOf("number");
  const outcomes = { read: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(damage, async ({ flips, set, cut }) => {
      const bytes = Buffer.from(original.subarray(0, original.length - (cut % original.length)));
      for (const { at, bit } of flips) bytes[at % bytes.length]! ^= 1 << bit;
      for (const { at, value } of set) bytes[at % bytes.length] = value;
      writeFileSync(path, bytes);
      const result = await exhaust(path);
      outcomes[typeof result === "number" ? "read" : "refused"]++;
      // A file of some kB cannot honestly hold more than some MB.
      if (typeof result === "number") expect(result).toBeLessThan(2 ** 28);
      else expect(result.message).toContain(path);
    }),
    { numRuns: runs, seed: 20180101, endOnFailure: true },
  );
  // The damage is neither always fatal nor always harmless, or this would test nothing.
  expect(outcomes.read).toBeGreaterThan(runs / 20);
  expect(outcomes.refused).toBeGreaterThan(runs / 5);
  // And the whole file reads as before.
  writeFileSync(path, original);
  expect(await exhaust(path)).toBe(whole);
});
