// A prepared training set on disk, and reads of single states at disk speed. Any NumPy opens the shards too:
// np.load("train/1979.npy", mmap_mode="r") is [T, V, H, W] in physical units.

import { join } from "node:path";
import { ClimaxError, unknownName } from "../errors.ts";
import { type NpyReader, openNpy } from "../files/npy.ts";
import type { NpyDtype } from "../files/npyformat.ts";
import { type Grid, makeGrid } from "../grid/grid.ts";
import {
  damagedHint,
  dynamicNames,
  type Manifest,
  readManifest,
  type SplitName,
  splitNames,
} from "./manifest.ts";
import { type Packing, unpackFields } from "./setpacking.ts";

export type { Manifest, SplitName };

import { type CfTime, formatTime } from "../data/time.ts";

/** The states of one period, in time order. */
export interface Split {
  name: SplitName;
  times: readonly CfTime[];
  /**
   * One state, float16 unpacked.
   *
   * @param variables  names, in the order wanted; constants too
   * @param into       memory for the result, [V, H, W], which is then returned
   * @returns [V, H, W], physical units
   */
  read(step: number, variables: readonly string[], into?: Float32Array): Promise<Float32Array>;
}

export interface PreparedSet {
  dir: string;
  manifest: Manifest;
  grid: Grid;
  variables: Manifest["variables"];
  /** Names of the splits that the set has. */
  splits: readonly SplitName[];
  /** @throws ClimaxError (data) when the set has no such split */
  split(name: SplitName): Split;
  /** By variable, physical units. */
  mean: Readonly<Record<string, number>>;
  std: Readonly<Record<string, number>>;
  /** Time mean over train, [H, W], physical units; of a constant, the constant. */
  climatology(name: string): Float32Array;
  close(): Promise<void>;
}

/**
 * Opens a prepared set and checks every file's size and shape against set.json. Nothing large is read.
 *
 * @throws ClimaxError (data) when the set is missing, unfinished, or not what set.json says
 */
export async function openSet(dir: string): Promise<PreparedSet> {
  return openAsDescribed(dir, await readManifest(dir));
}

/** The same for a set whose set.json is yet to be written. */
export async function openAsDescribed(dir: string, manifest: Manifest): Promise<PreparedSet> {
  const grid = makeGrid(manifest.grid.lat, manifest.grid.lon);
  const fieldShape = [grid.lat.length, grid.lon.length];
  const dynamic = dynamicNames(manifest);
  const constants = manifest.variables.flatMap(({ name, constant }) => (constant ? [name] : []));
  for (const { name } of manifest.variables)
    if (manifest.mean[name] === undefined || manifest.std[name] === undefined)
      throw new ClimaxError("data", `${dir}/set.json: no mean or std of ${name}`, damagedHint);

  const constantFields = await readFields(join(dir, "constants.npy"), constants, fieldShape);
  const climatologies = await readFields(join(dir, `${manifest.climatology.base}.npy`), dynamic, fieldShape);
  const shards = openShards();
  const splits = new Map<SplitName, Split>();
  for (const name of splitNames) {
    const described = manifest.splits[name];
    if (!described) continue;
    const { times, places } = await readPlaces(dir, name, manifest, [dynamic.length, ...fieldShape]);
    const read: Split["read"] = async (step, variables, into) => {
      const place = places[step];
      if (!place) throw new RangeError(`step ${step} of ${places.length} in ${name} of ${dir}`);
      const shard = await shards.get(place.path);
      return readState(shard, place.step, variables, dynamic, constantFields, manifest.packing, into);
    };
    splits.set(name, { name, times, read });
  }
  refuseLeakage(dir, [...splits.values()]);

  return {
    dir,
    manifest,
    grid,
    variables: manifest.variables,
    splits: [...splits.keys()],
    split: (name) => {
      const split = splits.get(name);
      if (split) return split;
      throw new ClimaxError(
        "data",
        `${dir} has no ${name} split, it has ${[...splits.keys()].join(", ")}`,
        `run climax prepare again with --${name} and a period`,
      );
    },
    mean: manifest.mean,
    std: manifest.std,
    climatology: (name) =>
      (climatologies.get(name) ?? constantFields.get(name))?.slice() ??
      unknownName("variable", name, [...dynamic, ...constants]),
    close: shards.close,
  };
}

/** Opens an array and holds it to what set.json promises. */
async function openAs(path: string, shape: readonly number[], dtype: NpyDtype) {
  const file = await openNpy(path).catch((error: Error) => {
    throw new ClimaxError("data", error.message, damagedHint, { cause: error });
  });
  const { header } = file;
  if (header.dtype === dtype && !header.fortran && header.shape.join() === shape.join()) return file;
  await file.close();
  throw new ClimaxError(
    "data",
    `${path} holds ${header.dtype} (${header.shape.join(", ")}), ${header.dataBytes} bytes; ` +
      `set.json wants ${dtype} (${shape.join(", ")})`,
    damagedHint,
  );
}

/** Small arrays [V, H, W] kept in memory, by variable. */
async function readFields(path: string, names: readonly string[], fieldShape: readonly number[]) {
  const fields = new Map<string, Float32Array>();
  if (names.length === 0) return fields;
  const file = await openAs(path, [names.length, ...fieldShape], "float32");
  try {
    const cells = fieldShape.reduce((product, n) => product * n, 1);
    for (const [v, name] of names.entries())
      fields.set(name, (await file.read(v * cells, cells)) as Float32Array);
  } finally {
    await file.close();
  }
  return fields;
}

/** When each step of a split is, and where it lies. Checks the header and size of every shard. */
async function readPlaces(dir: string, name: SplitName, manifest: Manifest, stateShape: readonly number[]) {
  const { shards, steps } = manifest.splits[name]!;
  const times: CfTime[] = [];
  const places: { path: string; step: number }[] = [];
  for (const shard of shards) {
    const path = join(dir, shard.file);
    await (await openAs(path, [shard.steps, ...stateShape], manifest.dtype)).close();
    const timesPath = join(dir, shard.times);
    const file = await openAs(timesPath, [shard.steps], "float64");
    const seconds = await file.read().finally(file.close);
    for (let step = 0; step < shard.steps; step++) {
      const time = { calendar: manifest.calendar, seconds: seconds[step]! };
      if (!(time.seconds > (times.at(-1)?.seconds ?? -Infinity)))
        throw new ClimaxError("data", `${timesPath}: time does not increase at step ${step}`, damagedHint);
      if (step === 0 && formatTime(time) !== shard.firstTime)
        throw new ClimaxError(
          "data",
          `${timesPath} begins at ${formatTime(time)}, set.json says ${shard.firstTime}`,
          damagedHint,
        );
      times.push(time);
      places.push({ path, step });
    }
  }
  if (times.length !== steps)
    throw new ClimaxError(
      "data",
      `${dir}: the shards of ${name} have ${times.length} steps, set.json says ${steps}`,
      damagedHint,
    );
  return { times, places };
}

/** Shards opened at their first read and kept open: a year each, so a few dozen. */
function openShards() {
  const files = new Map<string, ReturnType<typeof openNpy>>();
  return {
    get: (path: string): Promise<NpyReader> => {
      let file = files.get(path);
      if (!file) files.set(path, (file = openNpy(path)));
      return file;
    },
    close: async () => {
      const opened = await Promise.all(files.values());
      files.clear();
      await Promise.all(opened.map((file) => file.close()));
    },
  };
}

// Fields nearer than this are read together: one longer read costs less than two.
const nearEnough = 65_536; // elements, 256 KiB

async function readState(
  shard: NpyReader,
  step: number,
  variables: readonly string[],
  dynamic: readonly string[],
  constants: ReadonlyMap<string, Float32Array>,
  packing: Packing | undefined,
  into?: Float32Array,
): Promise<Float32Array> {
  const [, V = 0, H = 0, W = 0] = shard.header.shape;
  const cells = H * W;
  const out = into ?? new Float32Array(variables.length * cells);
  const wanted: { from: number; to: number }[] = [];
  for (const [to, name] of variables.entries()) {
    const from = dynamic.indexOf(name);
    const constant = constants.get(name);
    if (constant) out.set(constant, to * cells);
    else if (from >= 0) wanted.push({ from, to });
    else unknownName("variable", name, [...dynamic, ...constants.keys()]);
  }
  wanted.sort((a, b) => a.from - b.from);
  for (let first = 0, next: number; first < wanted.length; first = next) {
    next = first + 1;
    while (next < wanted.length && (wanted[next]!.from - wanted[next - 1]!.from - 1) * cells <= nearEnough)
      next++;
    const start = wanted[first]!.from;
    const count = wanted[next - 1]!.from - start + 1;
    const some = wanted.slice(first, next);
    const place = some[0]!.to;
    // The usual case, variables in the shard's order, needs no copy.
    const inOrder = some.length === count && some.every(({ from, to }) => from - start === to - place);
    const run = inOrder
      ? out.subarray(place * cells, (place + count) * cells)
      : new Float32Array(count * cells);
    await shard.readInto(run, (step * V + start) * cells);
    if (packing) unpackFields(run, cells, packing, start);
    if (inOrder) continue;
    for (const { from, to } of some)
      out.set(run.subarray((from - start) * cells, (from - start + 1) * cells), to * cells);
  }
  return out;
}

/** Two splits that share a stretch of time would test a model on what trained it. */
function refuseLeakage(dir: string, splits: readonly Split[]): void {
  const ordered = splits.toSorted((a, b) => a.times[0]!.seconds - b.times[0]!.seconds);
  for (let i = 1; i < ordered.length; i++) {
    const [before, after] = [ordered[i - 1]!, ordered[i]!];
    if (after.times[0]!.seconds <= before.times.at(-1)!.seconds)
      throw new ClimaxError(
        "data",
        `${dir}: ${before.name} ends at ${formatTime(before.times.at(-1)!)}, after ${after.name} begins ` +
          `at ${formatTime(after.times[0]!)}`,
        damagedHint,
      );
  }
}
