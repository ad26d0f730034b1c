/** Every option of climax prepare on NetCDF files, as typed; samples across the border of two files and 29 February. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Interrupted } from "../../src/cli/interrupt.ts";
import { prepareCommand } from "../../src/cli/prepare.ts";
import { addHours, formatTime, parseTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { type Manifest, readManifest } from "../../src/sets/manifest.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { samples } from "../../src/sets/samples.ts";
import { verifySet } from "../../src/sets/verifyset.ts";
import { batchesOf } from "../support/batches.ts";
import { createTinyStates } from "../support/tinystates.ts";
import { wholeShards } from "../support/wholeshards.ts";

const start = parseTime("2015-12-31", "standard");
let root: string;
let files: [string, string];
let more: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-prepare-options-"));
  // The first file ends at 06:00 on 29 February, the second begins at 12:00.
  files = [await write("a.nc", 0, 242), await write("b.nc", 242, 256)];
  more = await write("c.nc", 256, 264);
});
afterAll(() => rmSync(root, { recursive: true }));
afterEach(() => void vi.restoreAllMocks());

/** Of that step of 6 hours from the start, of 8 cells. */
const temperature = (step: number, cell: number) => Math.fround(250 + (step % 101) / 4 + cell / 64);
const rain = (step: number, cell: number) => Math.fround((step % 13) * 1e-5 + cell * 1e-6);

async function write(name: string, from: number, to: number): Promise<string> {
  const path = join(root, name);
  const field = ["time", "lat", "lon"];
  const writer = await createTinyStates(path, { units: "hours since 2015-12-31", calendar: "standard" }, [
    {
      name: "pr",
      dimensions: field,
      dtype: "float32",
      attributes: { units: "kg m-2 s-1", cell_methods: "time: mean" },
    },
  ]);
  for (let step = from; step < to; step++) {
    const cells = (of: typeof rain) => Array.from({ length: 8 }, (_, cell) => of(step, cell));
    await writer.write("time", [step - from], [6 * step]);
    await writer.write("tas", [step - from, 0, 0], cells(temperature));
    await writer.write("pr", [step - from, 0, 0], cells(rain));
  }
  await writer.close();
  return path;
}

let printed = "";
let said = "";
async function run(...argv: string[]): Promise<void> {
  printed = "";
  said = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => (printed += text).length > 0);
  vi.spyOn(process.stderr, "write").mockImplementation((text) => (said += text).length > 0);
  expect(await prepareCommand.run(argv)).toBe(0);
}

async function refusal(...argv: string[]): Promise<ClimaxError> {
  const error = await run(...argv).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ClimaxError);
  return error as ClimaxError;
}

const periods = ["--train", "2015-12-31..2016-03-01", "--val", "2016-03-02", "--test", "2016-03-03"];

describe("climax prepare", () => {
  test("by default: float32, a shard a year, the mean climatology alone, rain as it is", async () => {
    const dir = join(root, "plain");
    await run(...files, ...periods, "-o", dir);
    const { dtype, climatology, splits, variables, statistics } = await readManifest(dir);
    expect(dtype).toBe("float32");
    expect(climatology).toEqual({ base: "climatology", sums: false });
    expect(statistics!.kind).toBe("train");
    expect(splits.train.shards.map(({ file, steps }) => [file, steps])).toEqual([
      ["train/2015.npy", 4],
      ["train/2016.npy", 244],
    ]);
    expect(variables.at(-1)).toEqual({
      name: "mean_total_precipitation_rate",
      units: "kg m-2 s-1",
      constant: false,
      meaning: "mean rate",
    });
    expect(printed).toContain("note: mean_total_precipitation_rate: mean rate");
    await verifySet(dir);
  });

  test("no sample is lost where a file ends on 29 February, and targets are those of the time", async () => {
    const set = await openSet(join(root, "plain"));
    const source = samples(set, "train", {
      inputs: ["2m_temperature"],
      outputs: ["2m_temperature"],
      leads: [24],
      batchSize: 16,
      seed: 1,
      dropLast: false,
    });
    expect(source.samples).toBe(248 - 4);
    const { mean, std } = set;
    const normal = (x: number) => (x - mean["2m_temperature"]!) / std["2m_temperature"]!;
    const seen = new Map<string, number>();
    for await (const { x, y, times, size } of batchesOf(source, 0))
      for (let b = 0; b < size; b++) {
        const step = (times[b]!.seconds - start.seconds) / 21600;
        seen.set(formatTime(times[b]!), step);
        expect(x[b * 8 + 3]).toBeCloseTo(normal(temperature(step, 3)), 5);
        expect(y[b * 8 + 3]).toBeCloseTo(normal(temperature(step + 4, 3)), 5);
      }
    expect(seen.size).toBe(244);
    for (const border of [
      "2015-12-31T18:00:00",
      "2016-02-28T12:00:00",
      "2016-02-29T06:00:00",
      "2016-02-29T12:00:00",
    ])
      expect([...seen.keys()]).toContain(border);
    // A day after 29 February at 06:00, in the first file, is 1 March, in the second.
    expect(formatTime(addHours(parseTime("2016-02-29T06", "standard"), 24))).toBe("2016-03-01T06:00:00");
    await set.close();
  });

  test("with --dtype, --stats, --climatology, --precipitation and --variables", async () => {
    const dir = join(root, "all");
    const given = ["--dtype", "float16", "--stats", "climax", "--climatology", "weekly,dayofyear"];
    await run(
      ...files,
      ...periods,
      ...given,
      "--precipitation",
      "12",
      "--variables",
      "tas,total_precipitation",
      "-o",
      dir,
    );
    const manifest = await readManifest(dir);
    expect(manifest).toMatchObject({
      dtype: "float16",
      statistics: { kind: "climax" },
      climatology: { weekly: true, dayofyear: { minutes: [0, 360, 720, 1080] } },
    });
    expect(manifest.variables.map(({ name, units, meaning }) => [name, units, meaning])).toEqual([
      ["2m_temperature", "K", undefined],
      ["total_precipitation", "m", "accumulated over 12 h"],
    ]);
    expect(manifest.mean.total_precipitation).toBe(0);
    expect(printed).toContain("float16");
    expect(printed).toContain("note: mean and std as ClimaX's scripts make them");
    const set = await openSet(dir);
    // The first state lacks the six hours before it.
    const [first] = set.split("train").times;
    expect(formatTime(first!)).toBe("2015-12-31T06:00:00");
    const [found] = (await set.split("train").read(4, ["total_precipitation"])).subarray(2);
    const wanted = (rain(4, 2) + rain(5, 2)) * 21.6;
    expect(Math.abs(found! / wanted - 1)).toBeLessThan(2 ** -10);
    await set.close();
    await verifySet(dir);
  });

  test("stopped by Ctrl-C says what is kept, and goes on to the same set", async () => {
    const dir = join(root, "stopped");
    const stop = () => {
      if (wholeShards(`${dir}.partial`) > 0) process.emit("SIGINT", "SIGINT");
      else if (!existsSync(dir)) setImmediate(stop);
    };
    setImmediate(stop);
    const error = await run(...files, ...periods, "-o", dir).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Interrupted);
    expect(said).toMatch(/stopped\.partial keeps 1 of 4 files; the same command goes on from there/);
    await run(...files, ...periods, "-o", dir);
    expect(said).toMatch(/going on with .*stopped\.partial: 1 of 4 files are whole/);
    const of = async (name: string): Promise<Manifest> => readManifest(join(root, name));
    expect((await of("stopped")).checksums).toEqual((await of("plain")).checksums);
  });

  test("begun otherwise is refused, and begun anew with --force", async () => {
    const dir = join(root, "otherwise");
    const broken = ["--nan-fill", "0", "--val", "2017", "-o", dir];
    expect((await refusal(...files, "--train", "2015..2016", ...broken)).message).toContain(
      "--val 2017 has no state",
    );
    await run(...files, ...periods, "-o", dir);
    expect((await refusal(...files, ...periods, "-o", dir)).hint).toContain("replace this one with --force");
    await run(...files, ...periods, "--variables", "tas", "--force", "-o", dir);
    expect((await readManifest(dir)).variables).toHaveLength(1);
  });

  test("--append adds a test period, then more of train where there is room, and refuses what leaks", async () => {
    const dir = join(root, "grows");
    await run(...files, "--train", "2015-12-31..2016-02-28", "--val", "2016-03-02", "-o", dir);
    await run(more, "--append", "-o", dir, "--test", "2016-03-05");
    expect(printed).toMatch(/test +2016-03-05T00:00:00 +2016-03-05T18:00:00 +4 +1/);
    await run(...files, "--append", "-o", dir, "--train", "2016-02-29..2016-03-01", "--val", "2016-03-03");
    const manifest = await readManifest(dir);
    expect(manifest.splits).toMatchObject({ train: { steps: 248 }, val: { steps: 8 }, test: { steps: 4 } });
    const plain = await readManifest(join(root, "plain"));
    expect([manifest.mean, manifest.std]).toEqual([plain.mean, plain.std]);
    expect(manifest.provenance.appended!.map(({ command }) => command)).toEqual([
      expect.stringMatching(/^climax prepare .*c\.nc --append -o .* --test 2016-03-05$/),
      expect.stringMatching(/--train 2016-02-29\.\.2016-03-01 --val 2016-03-03$/),
    ]);
    expect(printed).toContain("models trained before saw other statistics");
    await verifySet(dir);
    expect((await refusal(more, "--append", "-o", dir, "--val", "2016-03-05")).message).toContain(
      "across test",
    );
  });

  test("--append with sums of rain as the set has them, and no others", async () => {
    const dir = join(root, "rain-grows");
    const how = ["--precipitation", "12", "-o", dir];
    await run(...files, ...periods, ...how);
    const error = await refusal(more, "--append", "--test", "2016-03-04", "-o", dir);
    expect(error.message).toBe(
      `total_precipitation of the files is accumulated over 6 h, that of ${dir} accumulated over 12 h`,
    );
    await run(more, "--append", "--test", "2016-03-04", ...how);
    // Without the first state, whose 12 hours begin in another file.
    expect((await readManifest(dir)).splits.test!.steps).toBe(7);
  });

  test.each<[string, string[], string]>([
    ["no train period", [], "--train is required, or --append to add to a set"],
    [
      "--append without a period",
      ["--append"],
      "--append adds to train, val or test, and none of them was given",
    ],
    [
      "--append with what the set has decided",
      ["--append", "--test", "2020", "--dtype", "float16", "--stats", "train"],
      "found --append with --dtype, --stats, which",
    ],
    ["--append to nothing", ["--append", "--test", "2020"], "there is no such prepared set"],
    ["an unknown type", ["--train", "2015", "--dtype", "float64"], "float64"],
    ["an unknown climatology", ["--train", "2015", "--climatology", "monthly"], "monthly"],
    ["hours below zero", ["--train", "2015", "--precipitation", "-6"], "precipitation"],
  ])("says what is wrong with %s", async (_, argv, message) => {
    const error = await refusal(more, ...argv, "-o", join(root, "nowhere"));
    expect(`${error.message} ${error.hint}`).toContain(message);
    expect(existsSync(join(root, "nowhere"))).toBe(false);
  });
});
