/** `climax regrid`: weather files onto a regular latitude-longitude grid, or any grid that a file gives. */
import { existsSync } from "node:fs";
import { mkdir, realpath, rmdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname } from "node:path";
import { z } from "zod";
import { readGridFile } from "../data/gridfile.ts";
import { expandPaths } from "../data/paths.ts";
import { fingerprintOf, removeAbandoned, writtenAs } from "../data/regriddone.ts";
import { type RegridFileOptions, type RegridReport, regridFile } from "../data/regridfile.ts";
import { regridPool } from "../data/regridpool.ts";
import { shareName } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, regularGrid, sameGrid } from "../grid/grid.ts";
import { describeSource } from "../grid/points.ts";
import { regridMethods } from "../grid/regrid.ts";
import { command } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { version } from "./main.ts";
import { placeOf } from "./ranks.ts";
import { filesProgress, outputsOf, type Pair, pairsOf, severalAtOnce, sizesOf } from "./regridfiles.ts";

const config = z.strictObject({
  inputs: z.array(z.string()).min(1).describe("files, Zarr stores, URLs or quoted patterns to regrid"),
  output: z
    .string()
    .describe("a file ending in .nc, or a folder for files of the same names")
    .meta({ short: "o", value: "PATH" }),
  res: z
    .number()
    .optional()
    .describe("spacing of a regular global grid, degrees; 5.625 (32 x 64) unless --grid is given"),
  grid: z
    .string()
    .optional()
    .describe("target grid instead: a dataset that has it, or a grid description of CDO"),
  method: z
    .enum(regridMethods)
    .optional()
    .describe(
      "bilinear for smooth fields, the default; bicubic for very smooth ones (it may overshoot: no rain), " +
        "conservative to keep integrals (fluxes, rain), nearest for categories, distance-weighted for grids " +
        "without rows of latitude, where it is the default",
    ),
  weights: z
    .string()
    .optional()
    .describe("file of weights: read if it exists (SCRIP, ESMF, CDO), else written for the next time")
    .meta({ value: "FILE" }),
  variables: z.array(z.string()).optional().describe("names in the file; all on a grid by default"),
  levels: z
    .array(z.number())
    .optional()
    .describe("pressure levels to keep, hPa; those between the file's are interpolated in log pressure")
    .meta({ value: "LIST" }),
  every: z
    .string()
    .optional()
    .describe("keep the steps at multiples of this from midnight, such as 6h or 1d")
    .meta({ value: "TIME" }),
  average: z.boolean().default(false).describe("means over each --every instead of single steps"),
  period: z.string().optional().describe("keep the steps of these dates, such as 2001..2010"),
  extent: z
    .enum(["source", "target"])
    .optional()
    .describe(
      "of a regional file write only the part of the target it covers, or the whole target with gaps; source with --res, target with --grid",
    ),
  minimumValid: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe(
      "least part of a target's weight that must not be missing; 1 for bilinear, any for conservative",
    ),
  compress: z
    .int()
    .min(0)
    .max(9)
    .default(1)
    .describe("gzip level of the output; 0 writes fastest and largest"),
  jobs: z.int().min(1).optional().describe("threads; as many as there are cores by default"),
  shard: z
    .string()
    .optional()
    .describe(
      "do every N-th file only, from the I-th on: for job arrays; ranks of mpirun or srun do so by themselves",
    )
    .meta({ value: "I/N" }),
  force: z.boolean().default(false).describe("write outputs anew that are there and finished"),
});

export const regridCommand = command({
  name: "regrid",
  summary: "put weather files on a regular latitude-longitude grid",
  description:
    "Regrids every variable on latitudes and longitudes; times, levels and metadata stay as they are. " +
    "Writes CF NetCDF-4 (float32, south to north, gaps as NaN). Outputs that are finished are not done again.",
  examples: [
    "climax regrid era5.nc --res 5.625 -o era5_5.625deg.nc",
    "climax regrid pr_*.nc --res 1.40625 --method conservative -o regridded/",
    "climax regrid ta.nc --grid era5_5.625deg.nc --variables ta -o ta_5.625deg.nc",
    "climax regrid 'era5/*.nc' --every 6h --levels 50,250,500,850 --shard 3/8 -o sixhourly/",
    "srun -n 64 climax regrid 'era5/*.nc' --res 1.40625 --jobs 1 -o regridded/",
  ],
  positional: { key: "inputs", name: "IN...", variadic: true },
  config,
  run: async (given, spoken) => {
    const { share, context } = placeOf(given.shard, spoken);
    if (given.res !== undefined && given.grid !== undefined) {
      throw new ClimaxError(
        "config",
        "found both --res and --grid; wanted one target grid",
        "leave out one of them",
      );
    }
    const every = given.every === undefined ? undefined : hours(given.every);
    const { pairs: all, folder } = outputsOf(await expandPaths(given.inputs), given.output);
    const pairs = share ? pairsOf(all, share, folder, given.shard) : all;
    const target =
      given.grid === undefined
        ? { grid: regularGrid(given.res ?? 5.625), edges: undefined }
        : await readGridFile(given.grid);
    const { method, minimumValid, variables, weights, levels, average, period, compress } = given;
    const settings = {
      target: target.grid,
      targetEdges: target.edges,
      cut: (given.extent ?? (given.grid === undefined ? "source" : "target")) === "source",
      ...{ method, minimumValid, variables, weights, levels, every, average, period },
    };
    // Of several that share the work one has made it, and none takes it from the others.
    const made = folder !== undefined && !existsSync(folder) && (await makeFolder(folder)) && !share;
    if (share && context === spoken)
      context.info(`share ${shareName(share)}: ${pairs.length} of ${all.length} files`);
    try {
      const todo: { pair: Pair; fingerprint: string | undefined }[] = [];
      for (const pair of pairs) {
        const fingerprint = await fingerprintOf(pair[0], settings, compress);
        if (given.force || (await mustDo(pair, fingerprint, context.info))) todo.push({ pair, fingerprint });
      }
      await interruptible((signal) =>
        regridAll(
          todo,
          {
            ...settings,
            compress,
            cache: new Map(),
            commandLine: context.commandLine,
            program: `climax ${version()}`,
            signal,
          },
          given.jobs ?? availableParallelism(),
          context,
        ),
      );
    } catch (error) {
      if (made) await rmdir(folder).catch(() => undefined); // stays when it holds finished files
      throw error;
    }
  },
});

/** Below this the start of threads costs more than they bring, bytes. */
const smallInput = 48e6;

async function regridAll(
  todo: readonly { pair: Pair; fingerprint: string | undefined }[],
  options: RegridFileOptions,
  jobs: number,
  context: { print: (text: string) => void; info: (text: string) => void; quiet: boolean },
): Promise<void> {
  const pairs = todo.map(({ pair }) => pair);
  const sizes = await sizesOf(pairs);
  const bytes = sizes.reduce<number>((sum, size) => sum + (size ?? smallInput), 0);
  const pool = regridPool(bytes < smallInput ? 1 : jobs, Math.ceil(bytes / smallInput));
  const bar = filesProgress(pairs, sizes, context.quiet);
  try {
    // While one file is opened or finished, others keep the threads busy.
    await severalAtOnce(todo, pool.threads > 0 ? Math.min(4, pool.threads) : 1, async (item, index) => {
      const { pair, fingerprint } = item;
      const [input, output] = pair;
      options.signal?.throwIfAborted();
      const started = performance.now();
      await removeAbandoned(output);
      const onProgress = (done: number, total: number) => bar.update(index, done / total, done);
      const report = await regridFile(input, output, { ...options, pool, fingerprint, onProgress });
      const say = (text: string) => bar.print(`${input}: ${text}`, context.info);
      if (!context.quiet) {
        for (const note of report.notes) say(note);
        for (const { name, reason } of report.dropped) say(`${name} left out, ${reason}`);
        if (!sameGrid(report.target, options.target))
          say("a region; wrote the part it covers (--extent target for the whole grid)");
      }
      context.print(summary(input, output, report, (performance.now() - started) / 1000));
    });
  } finally {
    bar.stop();
    await pool.close();
  }
}

/** Whether an output is to be written: it is not there, or there from other settings or an input since changed. */
async function mustDo(
  [input, output]: Pair,
  fingerprint: string | undefined,
  info: (text: string) => void,
): Promise<boolean> {
  const found = fingerprint === undefined ? undefined : await writtenAs(output);
  if (found === undefined || (await sameFile(input, output))) return true; // the latter is refused later
  if (found === "other") {
    throw new ClimaxError(
      "data",
      `${output} is there, and is no output of this command`,
      "choose another name, or add --force to write over it",
    );
  }
  if (found !== fingerprint) {
    info(`${output}: was made from another input or by other settings; done again`);
    return true;
  }
  info(`${input}: ${output} is finished, not done again (--force does it)`);
  return false;
}

async function sameFile(one: string, other: string): Promise<boolean> {
  const real = (path: string) => realpath(path).catch(() => path);
  return (await real(one)) === (await real(other));
}

/** Hours of "6h", "1d", "90min" or "6". */
function hours(text: string): number {
  const [, count = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*(h|d|min)?$/.exec(text.trim()) ?? [];
  if (!(Number(count) > 0)) {
    throw new ClimaxError(
      "config",
      `found --every ${text}; wanted a time such as 6h or 1d`,
      "write --every 6h",
    );
  }
  return Number(count) * { d: 24, h: 1, min: 1 / 60, "": 1 }[unit]!;
}

/**
 * One level only: an error is easier to mend than a tree at a mistyped place.
 *
 * @returns whether this process has made it, and no other at the same moment
 */
async function makeFolder(folder: string): Promise<boolean> {
  const made = await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST") return error;
    const parentless = !existsSync(dirname(folder));
    throw new ClimaxError(
      "data",
      `cannot make the folder ${folder}: ${parentless ? `${dirname(folder)} does not exist` : error.message}`,
      parentless ? `mkdir -p ${folder}` : "choose a place that you may write to",
      { cause: error },
    );
  });
  return made === undefined;
}

function summary(input: string, output: string, report: RegridReport, seconds: number): string {
  const names =
    report.regridded.length > 8 ? `${report.regridded.length} variables` : report.regridded.join(", ");
  const grids = `${describeSource(report.source)} -> ${describeGrid(report.target)}`;
  return `${basename(input)} -> ${output}: ${names}; ${report.method}, ${grids}; ${seconds.toFixed(1)} s`;
}
