/** climax prepare, from a NetCDF file to a set, as typed. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { prepareCommand } from "../../src/cli/prepare.ts";
import { ClimaxError } from "../../src/errors.ts";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import { openSet } from "../../src/sets/prepared.ts";

let root: string;
let input: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-prepare-"));
  input = join(root, "states.nc");
  // North to south and in degrees Celsius, with one missing value on the last day.
  const writer = await createNetcdf(input, {
    dimensions: { time: null, latitude: 2, longitude: 4 },
    attributes: { Conventions: "CF-1.11", source: "made up", synthetic: "true" },
    variables: [
      {
        name: "time",
        dimensions: ["time"],
        dtype: "float64",
        attributes: { units: "hours since 2015-12-30", calendar: "standard", standard_name: "time" },
      },
      {
        name: "latitude",
        dimensions: ["latitude"],
        dtype: "float64",
        attributes: { units: "degrees_north" },
        data: [45, -45],
      },
      {
        name: "longitude",
        dimensions: ["longitude"],
        dtype: "float64",
        attributes: { units: "degrees_east" },
        data: [0, 90, 180, 270],
      },
      {
        name: "t2m",
        dimensions: ["time", "latitude", "longitude"],
        dtype: "float32",
        attributes: { units: "degC", standard_name: "air_temperature" },
      },
    ],
  });
  for (let step = 0; step < 20; step++) {
    const field = Array.from({ length: 8 }, (_, cell) =>
      step === 18 && cell === 2 ? Number.NaN : step + cell / 8,
    );
    await writer.write("time", [step], [6 * step]);
    await writer.write("t2m", [step, 0, 0], field);
  }
  await writer.close();
});
afterAll(() => rmSync(root, { recursive: true }));
afterEach(() => void vi.restoreAllMocks());

/** On stderr. */
let said = "";

/** Runs the command and gives what it printed on stdout. */
async function run(...argv: string[]): Promise<string> {
  let printed = "";
  said = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
  expect(await prepareCommand.run(argv)).toBe(0);
  return printed;
}

async function refusal(...argv: string[]): Promise<ClimaxError> {
  const before = readdirSync(root);
  const error = await run(...argv).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ClimaxError);
  expect(readdirSync(root)).toEqual(before);
  return error as ClimaxError;
}

describe("climax prepare", () => {
  test("makes a set and says what is in it", async () => {
    const dir = join(root, "set");
    const printed = await run(input, "--train", "2015", "--val", "2016-01-01", "-o", dir);
    expect(printed).toContain("1 variable on 2 x 4");
    expect(printed).toContain("every 6 h, standard calendar");
    expect(printed).toMatch(/calendar, [\d.]+ kB, SYNTHETIC/);
    expect(printed).toMatch(/train +2015-12-30T00:00:00 +2015-12-31T18:00:00 +8 +1/);
    expect(printed).toMatch(/val +2016-01-01T00:00:00 +2016-01-01T18:00:00 +4 +1/);
    // Steps 0 to 7, cells 0 to 7/8: mean 3.5 + 0.4375 degrees Celsius, variance 5.25 + 0.0820.
    expect(printed).toMatch(/2m_temperature +K +277\.08[78] +2\.30912/);
    expect(printed).toContain("note: 8 of 20 states lie in no split");
    const set = await openSet(dir);
    expect(set.manifest.synthetic).toBe(true);
    expect(set.manifest.provenance.command).toMatch(/^climax prepare .*states\.nc --train 2015/);
    expect([...set.grid.lat]).toEqual([-45, 45]);
    // South first: cell 0 of the set is cell 4 of the file.
    expect((await set.split("train").read(1, ["2m_temperature"]))[0]).toBe(Math.fround(1.5 + 273.15));
    await set.close();
  });

  test("refuses missing values with the flag that mends them, and goes on with it from what is whole", async () => {
    const dir = join(root, "hole");
    const argv = [input, "--train", "2015..2016-01-02", "--val", "2016-01-03", "-o", dir];
    const error = (await run(...argv).catch((thrown: unknown) => thrown)) as ClimaxError;
    expect(error).toBeInstanceOf(ClimaxError);
    expect(error.message).toContain(
      "missing (NaN or infinite) at 2016-01-03T12:00:00: 2m_temperature (1 of 8 cells)",
    );
    expect(error.hint).toContain("--nan-fill mean");
    expect(said).toContain(`${dir}.partial keeps 2 of 3 files; the same command goes on from there`);
    expect(await run(...argv, "--nan-fill", "280")).toContain("1 missing values");
    expect(said).toContain(`going on with ${dir}.partial: 2 of 3 files are whole`);
    expect(await run(...argv, "--nan-fill", "mean", "--force")).toContain("filled with the training mean");
    expect(existsSync(`${dir}.partial`)).toBe(false);
  });

  test.each<[string, string[], string]>([
    ["no input", ["--train", "2015", "-o", "x"], "IN..."],
    ["no train period", ["IN", "-o", "x"], "--train is required"],
    ["no output", ["IN", "--train", "2015"], "--output is required"],
    [
      "a filling that is none",
      ["IN", "--train", "2015", "-o", "x", "--nan-fill", "men"],
      "neither mean nor a number",
    ],
    [
      "periods that overlap",
      ["IN", "--train", "2015", "--val", "2015-12-31", "-o", "x"],
      "overlap: both hold 2015-12-31T00:00:00",
    ],
    [
      "a period outside of the files",
      ["IN", "--train", "1979..2000", "-o", "x"],
      "has no state: the files go from 2015-12-30T00:00:00",
    ],
    [
      "a variable that is not there",
      ["IN", "--train", "2015", "-o", "x", "--variables", "z_500"],
      "geopotential_500",
    ],
    ["a file that is not there", ["missing.nc", "--train", "2015", "-o", "x"], "missing.nc"],
  ])("says what is wrong with %s", async (_, argv, message) => {
    const error = await refusal(
      ...argv.map((word) => (word === "IN" ? input : word === "x" ? join(root, "x") : word)),
    );
    expect(`${error.message} ${error.hint}`).toContain(message);
  });
});

const echam = fileURLToPath(new URL("../../../shared/data/geocat/t_in_Celsius_1.nc", import.meta.url));

test.skipIf(!existsSync(echam))(
  "ten days of six-hourly ECHAM5 (skipped without ../shared/data)",
  async () => {
    const dir = join(root, "echam");
    const printed = await run(
      echam,
      "--train",
      "2001-01-01..2001-01-07",
      "--val",
      "2001-01-08",
      "--test",
      "2001-01-09..2001-01-10",
      "-o",
      dir,
    );
    // By xarray and numpy from the same file: 276.93809890883074 and 21.348535389382626 K.
    expect(printed).toMatch(/skin_temperature +K +276\.938 +21\.3485/);
    const set = await openSet(dir);
    expect(set.manifest.mean.skin_temperature).toBeCloseTo(276.93809890883074, 9);
    expect(set.manifest.std.skin_temperature).toBeCloseTo(21.348535389382626, 9);
    await set.close();
  },
);
