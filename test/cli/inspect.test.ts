import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { inspectCommand } from "../../src/cli/inspect.ts";
import { reportSchema } from "../../src/cli/inspectcheckpoint.ts";
import { prepareCommand } from "../../src/cli/prepare.ts";
import { makeWeatherFile } from "../support/weatherfile.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-inspect-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

let printed = "";
let said = "";
beforeEach(() => {
  printed = "";
  said = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => !!(printed += text));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => !!(said += text));
});
afterEach(() => {
  vi.restoreAllMocks();
});

test("one file: grid, times, variables, and the command that makes it usable", async () => {
  const { path } = await makeWeatherFile(at("weather.nc"));
  expect(await inspectCommand.run([path])).toBe(0);
  expect(said).toBe("");
  expect(printed).toMatch(/weather\.nc: NetCDF-4, [\d.]+ kB, made for a test\n/);
  expect(printed).toMatch(
    /^grid +10 x 18, 20 degrees, global; latitudes 90 to -90 \(north to south\), longitudes 0 to 340$/m,
  );
  expect(printed).toMatch(/^time +\S+ to \S+: 3 steps, every 6 h, noleap calendar, no gaps$/m);
  expect(printed).toMatch(
    /^t +temperature +\d+ \d+ +K +[\d.]+ +[\d.]+ +[\d.]+ +\S+.* +standard name air_temperature; int16 packed, steps of 0\.01/m,
  );
  expect(printed).toMatch(/^Next: it lies on 10 x 18, 20 degrees, coarser than 5\.625 degrees/m);
  expect(printed).toContain(`\n  climax regrid ${path} --res 5.625 -o weather_5.625deg.nc\n`);
});

test("values that cannot be are pointed out", async () => {
  const { path } = await makeWeatherFile(at("celsius.nc"), {
    extra: [
      {
        name: "skt",
        dimensions: ["time", "latitude", "longitude"],
        dtype: "float32",
        data: new Float32Array(540).fill(12),
        attributes: { units: "K" },
      },
    ],
  });
  await inspectCommand.run([path, "--variables", "skt"]);
  expect(printed).toContain(
    "OUT OF BOUNDS, so units or variable may not be what they seem:\n  skt: 100.0 % of its values lie beyond 150 to 380 K\n",
  );
  expect(printed).not.toMatch(/^t +temperature/m);
});

test("--json is of the form that --schema prints", async () => {
  const { path } = await makeWeatherFile(at("json.nc"));
  expect(await inspectCommand.run([path, "--json"])).toBe(0);
  const report = reportSchema.parse(JSON.parse(printed));
  expect(report.files[0]!.variables[0]!.climax).toBe("temperature");
  printed = "";
  expect(await inspectCommand.run(["--schema"])).toBe(0);
  expect(JSON.parse(printed)).toMatchObject({
    type: "object",
    required: ["files", "sets", "refused", "together", "checkpoints", "fits"],
  });
});

test("several files: a row each, how they join, and what cannot be read with exit code 2", async () => {
  await makeWeatherFile(at("part1.nc"));
  await makeWeatherFile(at("part2.nc"));
  writeFileSync(at("page.nc"), "<!doctype html><title>Log in</title>");
  expect(await inspectCommand.run([at("part*.nc"), at("page.nc")])).toBe(2);
  expect(printed).toMatch(/^\S+part1\.nc +[\d.]+ kB +temperature \(2 levels\) +10 x 18, 20 degrees/m);
  expect(printed).toMatch(/^Together \(2 files\): 2 fields on 10 x 18/m);
  expect(printed).toContain("all of 3 steps left out, whose times were there already");
  expect(said).toMatch(/^warning: \S+page\.nc \(\d+ bytes\) is a web page; /);
  expect(said).toContain("\nhint: the download gave a page, perhaps a login or an error");
});

describe("a prepared set", () => {
  test("its splits and statistics, and with --checksums every file read again", async () => {
    const { path } = await makeWeatherFile(at("states.nc"));
    const set = at("set");
    const periods = ["--train", "1900..2099"];
    await prepareCommand.run([path, ...periods, "--nan-fill", "mean", "-o", set]);
    printed = "";
    expect(await inspectCommand.run([set])).toBe(0);
    expect(printed).toMatch(/set: prepared set, float32, [\d.]+ kB/);
    expect(printed).toMatch(/^train +\S+ +\S+ +3$/m);
    expect(printed).toContain("SHA-256 not checked (--checksums)");
    printed = "";
    expect(await inspectCommand.run([set, "--checksums"])).toBe(0);
    expect(printed).toContain("all files are as set.json says");

    const shard = join(set, "train", readdirSync(join(set, "train")).find((name) => !name.includes("time"))!);
    const bytes = readFileSync(shard);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(shard, bytes);
    said = "";
    expect(await inspectCommand.run([set, "--checksums", "-q"])).toBe(2);
    expect(said).toMatch(/SHA-256 \w+, set\.json says \w+\nhint: the set is damaged/);
  });

  test("that is unfinished is refused", async () => {
    mkdirSync(at("half.partial"));
    expect(await inspectCommand.run([at("half.partial")])).toBe(2);
    expect(said).toContain("unfinished");
  });
});

test("without a file it says what is wanted", async () => {
  await expect(inspectCommand.run([])).rejects.toMatchObject({
    kind: "config",
    message: "no file was given; at least one is wanted",
  });
});
