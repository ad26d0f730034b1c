/** Opening a set: single states at any step, and every kind of damage named. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { writeNpy } from "../../src/files/npy.ts";
import { sameGrid } from "../../src/grid/grid.ts";
import { readManifest } from "../../src/sets/manifest.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { verifySet } from "../../src/sets/verifyset.ts";
import { fakeArchive, fakeCells, fakeGrid, fakeValue, provenance } from "../support/fakearchive.ts";

const names = ["2m_temperature", "temperature_500", "temperature_850"];
let root: string;
let good: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-prepared-"));
  good = join(root, "good");
  const archive = fakeArchive({ names, constants: ["orography"] });
  await prepare(archive, good, { train: "2015-12-25..2016-01-01", val: "2016-01-02", provenance });
});
afterAll(() => rmSync(root, { recursive: true }));

describe("a whole set", () => {
  test("gives any state, any variables, in the order asked for", async () => {
    const set = await openSet(good);
    expect(set.splits).toEqual(["train", "val"]);
    expect(sameGrid(set.grid, fakeGrid)).toBe(true);
    expect(set.variables.map(({ name }) => name)).toEqual(["orography", ...names]);
    const train = set.split("train");
    expect(train.times.length).toBe(32);
    const field = (name: string, step: number) =>
      Array.from({ length: fakeCells }, (_, cell) => fakeValue(name, train.times[step]!, cell));
    // 27 and 28 are the last of one shard and the first of the next.
    for (const step of [0, 27, 28, 31])
      for (const order of [
        names,
        ["temperature_850", "2m_temperature"],
        ["temperature_500", "temperature_500"],
        ["temperature_850"],
      ])
        expect([...(await train.read(step, order))]).toEqual(order.flatMap((name) => field(name, step)));
    const [start] = train.times;
    const orography = Array.from({ length: fakeCells }, (_, cell) => fakeValue("orography", start!, cell));
    const mixed = await train.read(5, ["temperature_850", "orography"]);
    expect([...mixed]).toEqual([...field("temperature_850", 5), ...orography]);
    expect([...(await train.read(5, []))]).toEqual([]);
    expect([...set.climatology("orography")]).toEqual(orography);
    expect(set.climatology("temperature_850").length).toBe(fakeCells);
    expect(set.mean.orography).toBeCloseTo(orography.reduce((a, b) => a + b, 0) / fakeCells, 10);
    await set.close();
  });

  test("says which variable, split or step it lacks", async () => {
    const set = await openSet(good);
    expect(() => set.split("test")).toThrow("has no test split, it has train, val");
    await expect(set.split("val").read(0, ["temperature_800"])).rejects.toThrow(
      'unknown variable "temperature_800"',
    );
    await expect(set.split("val").read(4, names)).rejects.toThrow(RangeError);
    expect(() => set.climatology("geopotential_500")).toThrow(ClimaxError);
    await set.close();
  });
});

/** The manifest as one who damages it sees it. */
interface Edited {
  format: string;
  version: number;
  extra?: number;
  std: Record<string, number>;
  splits: Record<
    "train" | "val",
    { steps: number; shards: [{ file: string; steps: number; firstTime: string }] }
  >;
}

describe("a damaged set", () => {
  let count = 0;
  async function damaged(harm: (dir: string) => void | Promise<void>): Promise<ClimaxError> {
    const dir = join(root, `bad${count++}`);
    cpSync(good, dir, { recursive: true });
    await harm(dir);
    const error = await openSet(dir).then(
      (set) => set.close().then(() => undefined),
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ClimaxError);
    expect((error as ClimaxError).hint).toContain("climax prepare");
    return error as ClimaxError;
  }
  const edit = (change: (manifest: Edited) => void) => (dir: string) => {
    const manifest = JSON.parse(readFileSync(join(dir, "set.json"), "utf8"));
    change(manifest);
    writeFileSync(join(dir, "set.json"), JSON.stringify(manifest));
  };

  test("without set.json is unfinished", async () => {
    const error = await damaged((dir) => rmSync(join(dir, "set.json")));
    expect(error.message).toContain("unfinished or not a prepared set: set.json is missing");
    expect(error.hint).toBe("run climax prepare again, it writes set.json last");
  });

  test("that does not exist is said to be missing, not unfinished", async () => {
    await expect(openSet(join(root, "nowhere"))).rejects.toThrow("nowhere: there is no such prepared set");
    mkdirSync(join(root, "empty"));
    await expect(openSet(join(root, "empty"))).rejects.toThrow("set.json is missing");
  });

  test("with a short, long or missing shard names the file, and the bytes found and wanted", async () => {
    const wanted = 28 * 3 * fakeCells * 4;
    const short = await damaged((dir) => truncateSync(join(dir, "train/2015.npy"), 128 + wanted - 1));
    expect(short.message).toContain("train/2015.npy");
    expect(short.message).toContain(`needs ${wanted} bytes of data, found ${wanted - 1}`);
    const long = await damaged((dir) => writeFileSync(join(dir, "val/2016.npy"), "more", { flag: "a" }));
    expect(long.message).toContain("val/2016.npy");
    const gone = await damaged((dir) => rmSync(join(dir, "train/2016.npy")));
    expect(gone.message).toContain("train/2016.npy");
  });

  test("with arrays of another shape or type", async () => {
    const shape = await damaged((dir) =>
      writeNpy(join(dir, "val/2016.npy"), [4, 2, 3, 4], new Float32Array(96)),
    );
    expect(shape.message).toContain(
      "holds float32 (4, 2, 3, 4), 384 bytes; set.json wants float32 (4, 3, 3, 4)",
    );
    const dtype = await damaged((dir) =>
      writeNpy(join(dir, "climatology.npy"), [3, 3, 4], new Float64Array(36)),
    );
    expect(dtype.message).toContain("climatology.npy holds float64 (3, 3, 4)");
    const constants = await damaged((dir) => rmSync(join(dir, "constants.npy")));
    expect(constants.message).toContain("constants.npy");
  });

  test("with times that are not those of set.json", async () => {
    const { times } = (await openSet(good)).split("val");
    const seconds = times.map((time) => time.seconds);
    const late = Float64Array.from(seconds, (s) => s + 3600);
    const error = await damaged((dir) => writeNpy(join(dir, "val/2016.time.npy"), [4], late));
    expect(error.message).toContain("begins at 2016-01-02T01:00:00, set.json says 2016-01-02T00:00:00");
    const twice = Float64Array.from([seconds[0]!, seconds[1]!, seconds[1]!, seconds[3]!]);
    const still = await damaged((dir) => writeNpy(join(dir, "val/2016.time.npy"), [4], twice));
    expect(still.message).toContain("time does not increase at step 2");
  });

  test("with splits that share time", async () => {
    const error = await damaged(async (dir) => {
      const inside = await openSet(good);
      const first = inside.split("train").times[5]!;
      await writeNpy(
        join(dir, "val/2016.time.npy"),
        [4],
        Float64Array.from({ length: 4 }, (_, i) => first.seconds + i * 21600),
      );
      edit((manifest) => {
        manifest.splits.val.shards[0].firstTime = formatTime(first);
      })(dir);
    });
    expect(error.message).toContain(
      "train ends at 2016-01-01T18:00:00, after val begins at 2015-12-26T06:00:00",
    );
  });

  test.each<[string, (manifest: Edited) => void, string]>([
    ["another format", (m) => (m.format = "zarr"), "format is wrong"],
    ["a later version", (m) => (m.version = 2), "version is wrong"],
    [
      "a path upwards",
      (m) => (m.splits.train.shards[0].file = "../../etc/passwd"),
      "file is wrong: must be SPLIT/YEAR.npy",
    ],
    ["an unknown key", (m) => (m.extra = 1), "extra"],
    ["no std of a variable", (m) => delete m.std.temperature_850, "no mean or std of temperature_850"],
    ["a std of zero", (m) => (m.std.temperature_850 = 0), "std.temperature_850 is wrong"],
    [
      "another count of steps",
      (m) => (m.splits.train.steps = 99),
      "the shards of train have 32 steps, set.json says 99",
    ],
    [
      "fewer steps in a shard",
      (m) => (m.splits.train.shards[0].steps = 27),
      "set.json wants float32 (27, 3, 3, 4)",
    ],
  ])("with set.json of %s", async (_, change, message) => {
    expect((await damaged(edit(change))).message).toContain(message);
  });

  test("with set.json cut off", async () => {
    const error = await damaged((dir) => truncateSync(join(dir, "set.json"), 100));
    expect(error.message).toContain("set.json cannot be read");
  });

  test("with one flipped bit fails verification, naming the file", async () => {
    const dir = join(root, "flipped");
    cpSync(good, dir, { recursive: true });
    const told: number[] = [];
    const { files, bytes } = await verifySet(dir, (done, total) => void told.push(done / total));
    const names = Object.keys((await readManifest(dir)).checksums);
    expect(files).toBe(names.length);
    expect(bytes).toBe(names.reduce((sum, file) => sum + statSync(join(dir, file)).size, 0));
    expect(told.at(-1)).toBe(1);
    const path = join(dir, "train/2015.npy");
    writeFileSync(
      path,
      readFileSync(path).map((byte, i) => (i === 1000 ? byte ^ 1 : byte)),
    );
    await expect(verifySet(dir)).rejects.toThrow("train/2015.npy: SHA-256");
    rmSync(path);
    await expect(verifySet(dir)).rejects.toThrow("train/2015.npy is not there");
  });
});
