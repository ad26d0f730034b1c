// ClimaX's own training data as a dataset: folders train, val and test of .npz shards, [time, 1, latitude, longitude]
// for each variable, with lat.npy and lon.npy beside them. The shards have no dates: those of the reference's rule are
// given back (microsoft/ClimaX, src/data_preprocessing/nc2np_equally_era5.py and nc2np_equally_cmip6.py).
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ClimaxError, listed } from "../errors.ts";
import type { AttributeValue, Dataset, DatasetVariable } from "../files/dataset.ts";
import { copyBox, elements, hyperslab, type NumericArray } from "../files/hyperslab.ts";
import { readNpy } from "../files/npy.ts";
import { inflatedCache, type NpzReader, openNpz } from "../files/npz.ts";
import { inParallel, type OpenFiles, openFiles } from "./openfiles.ts";
import { datedShards, parseShardName, type ShardName, shardSplits, shardTimes } from "./shardtimes.ts";
import { shardUnits } from "./shardunits.ts";

/** One .npz file with its place in time. */
interface Shard extends ShardName {
  path: string;
  /** Of each variable. */
  steps: number;
}

/**
 * Opens the shards of a folder, or of one of its splits, as one dataset. Reads the tables of contents of all shards,
 * and one state.
 * @throws ClimaxError "data" for missing lat.npy or lon.npy, shards that hold different variables, grids or numbers of
 *         steps, and names that give no dates
 */
export async function openNpzShards(path: string, absolute: string): Promise<Dataset> {
  const found = await findShards(path, absolute);
  const [lat, lon] = [await axis(found.root, "lat"), await axis(found.root, "lon")];
  const cache = inflatedCache();
  const files = openFiles((file) => openNpz(file, cache), 16);
  try {
    const layout = await files.use(found.shards[0]!.path, (first) => layoutOf(first, lat.length, lon.length));
    const counted = await inParallel(found.shards, 8, async (shard): Promise<Shard> => {
      return { ...shard, steps: await files.use(shard.path, (file) => countSteps(file, layout)) };
    });
    const dated = datedShards(counted, path);
    const { hours, since } = shardTimes(dated.shards);
    const grid = [lat.length, lon.length];
    const firstState = async (key: string) =>
      files.use(dated.shards[0]!.path, async (file) => (await file.array(key)).read(0, elements(grid)));
    const units = await shardUnits([...layout.keys.keys()], firstState, path);
    const variables = [
      coordinate(path, "time", hours, { units: since, calendar: "standard" }),
      coordinate(path, "lat", lat, { units: "degrees_north" }),
      coordinate(path, "lon", lon, { units: "degrees_east" }),
      ...[...layout.keys.keys()].map((key) =>
        shardVariable(files, dated.shards, key, [hours.length, ...grid], units.of.get(key)),
      ),
    ];
    return {
      ...{ path, format: "ClimaX npz shards", unlimited: new Set(["time"]), attributes: new Map() },
      dimensions: new Map([
        ["time", hours.length],
        ["lat", lat.length],
        ["lon", lon.length],
      ]),
      variables: new Map(variables.map((variable) => [variable.name, variable])),
      notes: [...dated.notes, ...units.notes],
      close: () => files.close(),
    };
  } catch (error) {
    await files.close();
    throw error;
  }
}

async function findShards(
  path: string,
  absolute: string,
): Promise<{ root: string; shards: (ShardName & { path: string })[] }> {
  const entries = await readdir(absolute);
  const below = shardSplits.filter((split) => entries.includes(split));
  const folders = below.length > 0 ? below.map((split) => join(absolute, split)) : [absolute];
  const shards: (ShardName & { path: string })[] = [];
  for (const folder of folders)
    for (const name of await readdir(folder)) {
      const parsed = parseShardName(name);
      if (parsed) shards.push({ ...parsed, path: join(folder, name) });
    }
  if (shards.length === 0)
    throw new ClimaxError(
      "data",
      `${path} has no shards: no file of ${folders.length > 1 ? "its splits" : "it"} is called YEAR_SHARD.npz or FIRST-LAST_SHARD.npz`,
      "keep the names that ClimaX's preprocessing gave: 1979_0.npz, 185001010600-185501010000_0.npz",
    );
  const seen = new Map<string, string>();
  for (const shard of shards) {
    const key = `${shard.label}_${shard.index}`;
    const other = seen.get(key);
    if (other)
      throw new ClimaxError(
        "data",
        `${other} and ${shard.path} are of the same time`,
        "leave one of them out: what a model is tested on must not train it",
      );
    seen.set(key, shard.path);
  }
  // lat.npy of a split that is named by itself lies one up.
  const here = below.length > 0 || entries.includes("lat.npy");
  return { root: here ? absolute : dirname(absolute), shards };
}

async function axis(root: string, name: "lat" | "lon"): Promise<Float64Array<ArrayBuffer>> {
  const file = join(root, `${name}.npy`);
  const mend = `write it: numpy.save("${name}.npy", ...) with the ${name}itudes of the grid, ascending as in the shards`;
  const array = await readNpy(file).catch((error: Error) => {
    const absent = /ENOENT/.test(error.message);
    throw new ClimaxError(
      "data",
      absent ? `the shards have no ${file}, so their grid is unknown` : error.message,
      absent ? mend : "copy it again",
      { cause: error },
    );
  });
  if (array.shape.length !== 1 || array.data.length === 0)
    throw new ClimaxError("data", `${file} has the shape (${array.shape.join(", ")}); wanted one axis`, mend);
  return Float64Array.from(array.data);
}

interface Layout {
  path: string;
  /** Bytes of one number of each variable and before the first, by its name. */
  keys: Map<string, { width: number; header: number }>;
  cells: number;
  grid: string;
}

/** Checks the arrays of the first shard, which stand for those of the others. */
async function layoutOf(first: NpzReader, rows: number, columns: number): Promise<Layout> {
  const keys: Layout["keys"] = new Map();
  const grid = `${rows} x ${columns}`;
  let steps: number | undefined;
  let firstKey = "";
  for (const key of first.sizes.keys()) {
    const { header } = await first.array(key);
    const { shape } = header;
    if (shape.length !== 4 || shape[1] !== 1 || shape[2] !== rows || shape[3] !== columns)
      throw new ClimaxError(
        "data",
        `${key} in ${first.path} has the shape (${shape.join(", ")}); wanted (time, 1, ${rows}, ${columns}) by lat.npy and lon.npy`,
        "take lat.npy and lon.npy of these very shards",
      );
    if (steps !== undefined && shape[0] !== steps) throw unequal(first.path, firstKey, steps, key, shape[0]!);
    [steps, firstKey] = [shape[0], firstKey || key];
    keys.set(key, { width: header.dataBytes / elements(shape), header: header.dataStart });
  }
  if (keys.size === 0 || !steps)
    throw new ClimaxError(
      "data",
      `${first.path} holds ${keys.size === 0 ? "no arrays" : "no step"}`,
      "write it again, or leave it out",
    );
  return { path: first.path, keys, cells: rows * columns, grid };
}

const unequal = (path: string, a: string, steps: number, b: string, others: number) =>
  new ClimaxError(
    "data",
    `${path} has ${steps} steps of ${a} and ${others} of ${b}`,
    "all variables of a shard are of the same times: write it again",
  );

/** The steps of a shard: of one array by its header, of the others by their sizes, which cost no reads. */
async function countSteps(file: NpzReader, { path, keys, cells, grid }: Layout): Promise<number> {
  const lacking = [...keys.keys()].filter((key) => !file.sizes.has(key));
  const further = [...file.sizes.keys()].filter((key) => !keys.has(key));
  if (lacking.length > 0 || further.length > 0) {
    const says = [
      ...(lacking.length > 0 ? [`lacks ${shown(lacking)}`] : []),
      ...(further.length > 0 ? [`has also ${shown(further)}`] : []),
    ];
    throw new ClimaxError(
      "data",
      `${file.path} ${says.join(" and ")}, unlike ${path}`,
      "give shards that were made together, with the same variables",
    );
  }
  const [firstKey] = keys.keys();
  const steps = (await checked(firstKey!)).shape[0]!;
  for (const [key, { width, header }] of keys) {
    if (file.sizes.get(key) === header + steps * cells * width) continue;
    const other = (await checked(key)).shape[0]!;
    if (other !== steps) throw unequal(file.path, firstKey!, steps, key, other);
  }
  return steps;

  async function checked(key: string) {
    const { header } = await file.array(key);
    const { shape } = header;
    if (shape.length !== 4 || shape[1] !== 1 || shape[2]! * shape[3]! !== cells || shape[0] === 0)
      throw new ClimaxError(
        "data",
        `${key} in ${file.path} has the shape (${shape.join(", ")}); wanted (time, 1, ...) on ${grid} as in ${path}`,
        "give shards of one grid",
      );
    return header;
  }
}

const shown = (names: readonly string[]) => listed(names, 4);

/** A variable over all shards, in order of time. */
function shardVariable(
  files: OpenFiles<NpzReader>,
  shards: readonly Shard[],
  name: string,
  shape: number[],
  units: string | undefined,
): DatasetVariable {
  const starts = shards.map(() => 0);
  for (let i = 1; i < shards.length; i++) starts[i] = starts[i - 1]! + shards[i - 1]!.steps;
  const cells = elements(shape.slice(1));

  async function read(from?: readonly number[], take?: readonly number[]) {
    const { start, count } = hyperslab(name, shape, from, take);
    const steps = new Float32Array(count[0]! * cells); // whole fields: their bytes lie together
    for (const [i, shard] of shards.entries()) {
      const first = Math.max(start[0]!, starts[i]!);
      const last = Math.min(start[0]! + count[0]!, starts[i]! + shard.steps);
      if (first >= last) continue;
      const data = await files.use(shard.path, async (file) => {
        const array = await file.array(name);
        const { shape: own } = array.header; // its size was compared, not its header
        if (own[0] !== shard.steps || elements(own) !== shard.steps * cells)
          throw new ClimaxError(
            "data",
            `${name} in ${shard.path} has the shape (${own.join(", ")}); wanted ${shard.steps} steps of ${cells} cells`,
            "give shards that were made together",
          );
        return array.read((first - starts[i]!) * cells, (last - first) * cells);
      });
      steps.set(data, (first - start[0]!) * cells);
    }
    if (elements(count.slice(1)) === cells) return steps;
    const out = new Float32Array(elements(count));
    const whole = [count[0]!, ...shape.slice(1)];
    copyBox(steps, whole, [0, ...start.slice(1)], count, out, count, [0, 0, 0]);
    return out;
  }
  const attributes: [string, AttributeValue][] = units === undefined ? [] : [["units", units]];
  return {
    ...{ name, dimensions: ["time", "lat", "lon"], shape, dtype: "float32", attributes: new Map(attributes) },
    ...{ read, readUnpacked: read, readText: noText(name) },
  };
}

function coordinate(
  path: string,
  name: string,
  values: Float64Array<ArrayBuffer>,
  attributes: Record<string, string>,
): DatasetVariable {
  const shape = [values.length];
  const read = async (from?: readonly number[], take?: readonly number[]) => {
    const { start, count } = hyperslab(name, shape, from, take);
    return values.slice(start[0], start[0]! + count[0]!);
  };
  return {
    ...{ name, dimensions: [name], shape, dtype: "float64", attributes: new Map(Object.entries(attributes)) },
    ...{
      read: read as () => Promise<NumericArray>,
      readUnpacked: read,
      readText: noText(`${name} in ${path}`),
    },
  };
}

const noText = (name: string) => async (): Promise<never> => {
  throw new ClimaxError("data", `${name} holds numbers, not text`, "read it as numbers");
};
