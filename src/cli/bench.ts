/**
 * `climax bench data`: whether this machine reads a prepared set as fast as training asks for it; `allreduce` and
 * `scaling` are in files of their own.
 */
import { availableParallelism, totalmem } from "node:os";
import { z } from "zod";
import { ClimaxError, unknownName } from "../errors.ts";
import { describeGrid } from "../grid/grid.ts";
import {
  type LoadingSpeed,
  loaderSpeed,
  randomSpeed,
  type Speed,
  sequentialSpeed,
  stateBytes,
  trainBytes,
} from "../sets/loadspeed.ts";
import { openSet, type PreparedSet } from "../sets/prepared.ts";
import { batchBytes, type Recipe, sourceOf } from "../sets/recipe.ts";
import { type Demand, demandOf } from "./benchdemand.ts";
import { scalingFields } from "./benchscalingfields.ts";
import { type Context, command } from "./command.ts";
import { kebab } from "./flags.ts";
import { interruptible } from "./interrupt.ts";
import { bytes as bytesText } from "./machine.ts";
import { mpiField } from "./ranks.ts";
import { table } from "./table.ts";

const config = z.strictObject({
  what: z
    .array(z.string())
    .min(1)
    .describe(
      'what to measure: "data" and the folder of a prepared set, "allreduce", or "scaling" and folders of runs',
    ),
  batchSize: z.int().positive().default(16).describe("samples of a batch"),
  leads: z
    .array(z.number().positive())
    .min(1)
    .optional()
    .describe("lead times to draw from, hours; every step to a week unless given"),
  workers: z
    .array(z.int().nonnegative())
    .min(1)
    .optional()
    .describe("numbers of threads to try, 0 being the main thread; 0, 1, 2 and 4 where there are cores")
    .meta({ value: "N,..." }),
  prefetch: z.int().positive().optional().describe("batches ahead; the workers and one more unless given"),
  seconds: z.number().positive().default(3).describe("how long each measurement takes"),
  stepSeconds: z
    .number()
    .positive()
    .optional()
    .describe(
      "seconds of a training step of --batch-size samples: what has to be kept up with, or what many ranks begin from",
    ),
  checkpoint: z
    .string()
    .optional()
    .describe("of a run: the speed in the log.jsonl beside it is then what has to be kept up with")
    .meta({ value: "FILE" }),
  sizes: z
    .array(z.int().positive().multipleOf(4))
    .min(1)
    .optional()
    .describe("bytes of the arrays that ranks add up; 4 to 64 Mi unless given")
    .meta({ value: "N,..." }),
  mpi: mpiField,
  ...scalingFields,
  json: z
    .string()
    .optional()
    .describe("also write what allreduce or scaling says to this file")
    .meta({ value: "FILE" }),
});
type Config = z.output<typeof config>;

export const benchCommand = command({
  name: "bench",
  summary: "measure how fast a prepared set is read, how fast ranks add up arrays, how training scales",
  description:
    "data: reads a prepared set from end to end, then single states in random order, then batches with as many loading " +
    "threads as --workers says, and compares with what training asks for. What the operating system keeps in memory " +
    "is read from there; the table says so. allreduce: under mpirun or srun, adds up arrays of several sizes over " +
    "all ranks, as training does with gradients: whole, by shares and as halves, and shows latency and bandwidth. scaling: how long " +
    "the steps of runs took, and a projection from them, or from --step-seconds, to many ranks on a stated network.",
  examples: [
    "climax bench data sets/era5",
    "climax bench data sets/era5 --batch-size 32 --workers 0,1,2,4 --seconds 10",
    "climax bench data sets/era5 --checkpoint runs/pretrain/last.safetensors",
    "mpirun -n 4 climax bench allreduce --sizes 4,1048576,67108864",
    "climax bench scaling runs/one runs/two --bandwidth 200gbit --ranks 8,80,1024",
    "climax bench scaling --step-seconds 0.85 --parameters 108e6 --ranks-per-host 8 --efficiency 0.9",
  ],
  positional: { key: "what", name: "data SET | allreduce | scaling [RUN...]", variadic: true },
  config,
  run: async (given, context) => {
    const [what = "", dir, ...more] = given.what;
    if (!isBench(what)) unknownName("bench", what, Object.keys(own));
    refuseOthers(what, given);
    if (what === "allreduce") {
      const { benchAllreduce } = await import("./benchallreduce.ts");
      const { sizes = usualSizes, seconds, mpi: library, json } = given;
      return benchAllreduce({ library, sizes, seconds, json }, context);
    }
    if (what === "scaling") {
      const { benchScaling } = await import("./benchscaling.ts");
      return benchScaling({ ...given, runs: given.what.slice(1) }, context);
    }
    if (dir === undefined || more.length > 0)
      throw new ClimaxError(
        "config",
        `${given.what.length - 1} sets were given; wanted one`,
        "write climax bench data SET, with the folder that climax prepare made",
      );
    const set = await openSet(dir);
    try {
      const demand = await demandOf(given, set.grid);
      await interruptible((signal) => measure(set, given, demand, signal, context));
    } finally {
      await set.close();
    }
  },
});

/** Bytes: a step's small messages, then what gradients may be cut into. */
const usualSizes = [4, 4 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20];

/** The flags that only some of them take. */
const own = {
  data: ["leads", "workers", "prefetch", "stepSeconds", "checkpoint"],
  allreduce: ["sizes", "mpi", "json"],
  scaling: ["stepSeconds", "json", ...Object.keys(scalingFields)],
} as const satisfies Record<string, readonly string[]>;
const isBench = (what: string): what is keyof typeof own => Object.hasOwn(own, what);
const usage = {
  data: "write climax bench data SET",
  allreduce: "write mpirun -n 4 climax bench allreduce",
  scaling: "see climax bench --help",
};

/** Throws a `config` error for words and flags of the other benches. */
function refuseOthers(what: keyof typeof own, given: Config): void {
  const takes: readonly string[] = own[what];
  const flag = Object.values(own)
    .flat()
    .find((key) => !takes.includes(key) && given[key as keyof Config] !== undefined);
  const word = what === "allreduce" ? given.what[1] : undefined;
  if (flag === undefined && word === undefined) return;
  throw new ClimaxError("config", `bench ${what} takes no ${word ?? `--${kebab(flag!)}`}`, usage[what]);
}

async function measure(
  set: PreparedSet,
  { batchSize, leads, workers, prefetch, seconds }: Config,
  demand: Demand,
  signal: AbortSignal,
  context: Context,
): Promise<void> {
  const recipe = recipeOf(set, batchSize, leads);
  sourceOf(recipe, [set]); // refuses what cannot be before anything is measured
  const [size, memory] = [
    await trainBytes(set),
    Math.min(totalmem(), process.constrainedMemory() || Infinity),
  ];
  const fits = size < 0.8 * memory; // the rest is for everything else
  const limit = { seconds, signal };
  const rows: Row[] = [];
  const add = (row: Row): void => {
    rows.push(row);
    context.info(`${row.what}: ${perSecond(row.speed)} samples/s`);
  };

  // Node cannot ask whether a file that is read comes from the disk or from memory.
  const first = await sequentialSpeed(set, { ...limit, once: true });
  add({ what: "files, end to end, the first time", speed: first, cache: "unknown" });
  const cache = !fits ? "mostly cold" : first.bytes < size ? "unknown" : "warm";
  if (cache === "warm")
    add({ what: "files, end to end, again", speed: await sequentialSpeed(set, limit), cache });
  add({ what: "single states, random order", speed: await randomSpeed(set, limit), cache });
  const loaders: { workers: number; speed: LoadingSpeed }[] = [];
  for (const count of [...new Set(workers ?? usual())]) {
    const speed = await loaderSpeed(set, recipe, { ...limit, workers: count, prefetch });
    loaders.push({ workers: count, speed });
    add({
      what: count === 0 ? "batches, main thread" : `batches, ${count} thread${count > 1 ? "s" : ""}`,
      speed,
      cache,
    });
  }

  const { variables, manifest } = set;
  context.print(
    [
      `${set.dir}: ${variables.length} variables, ${describeGrid(set.grid)}, ${manifest.dtype}; ${bytesText(size)} to train on, ` +
        `${bytesText(stateBytes(set))} a state, ${bytesText(batchBytes(recipe, [set]))} a batch of ${batchSize}`,
      "",
      table([["", "samples/s", "MB/s", "first batch", "file cache"], ...rows.map(lineOf)], {
        align: ["left", "right", "right", "right", "left"],
      }),
      "",
      meaning[cache](bytesText(memory)),
      verdict(loaders, demand),
    ].join("\n"),
  );
}

/** What a state of the file cache says about the numbers beside it. */
const meaning = {
  warm: (memory: string) =>
    `warm: the set fits in the ${memory} of memory and had been read. The disk alone may be slower: the first time after a restart shows it.`,
  unknown: (memory: string) =>
    `unknown: the set fits in the ${memory} of memory, but not all of it could be read before in the time given; with more --seconds it is warm`,
  "mostly cold": (memory: string) =>
    `mostly cold: the set is larger than what ${memory} of memory can keep of it, so most is read from the disk`,
};

interface Row {
  what: string;
  speed: Speed | LoadingSpeed;
  cache: string;
}

function lineOf({ what, speed, cache }: Row): string[] {
  const first = "firstSeconds" in speed ? `${(1000 * speed.firstSeconds).toFixed(0)} ms` : "";
  return [what, perSecond(speed), (speed.bytes / speed.seconds / 1e6).toFixed(0), first, cache];
}

function perSecond({ samples, seconds }: Speed): string {
  return digits(samples / seconds);
}

const digits = (rate: number): string => rate.toFixed(rate < 10 ? 1 : 0);

/** Whether the fastest of them keeps up, with room to spare: twice what is asked for. */
function verdict(loaders: readonly { workers: number; speed: Speed }[], { rate, why }: Demand): string {
  const fastest = loaders.reduce((a, b) => (rateOf(b) > rateOf(a) ? b : a));
  const enough = loaders.find((one) => rateOf(one) >= 2 * rate);
  const asked = `training asks for ${digits(rate)} samples/s (${why})`;
  const times = (one: (typeof loaders)[number]) => `${(rateOf(one) / rate).toFixed(1)} times as many`;
  const flag = (one: (typeof loaders)[number]) => `--data.workers ${one.workers}`;
  if (enough) return `${asked}: ${flag(enough)} makes ${times(enough)}, which is enough`;
  const short = rateOf(fastest) < rate ? "training will wait for its data" : "that leaves little to spare";
  return `${asked}: the most is ${times(fastest)}, with ${flag(fastest)}: ${short}. Store float16 (climax prepare --dtype), or put the set on a faster disk`;
}

const rateOf = ({ speed }: { speed: Speed }): number => speed.samples / speed.seconds;

function usual(): number[] {
  return [0, 1, 2, 4].filter((count) => count <= availableParallelism());
}

function recipeOf(set: PreparedSet, batchSize: number, given: readonly number[] | undefined): Recipe {
  const { stepHours } = set.manifest;
  const leads = given ?? { min: stepHours, max: Math.max(stepHours, 168), step: stepHours };
  const inputs = set.variables.map(({ name }) => name);
  const outputs = set.variables.flatMap(({ name, constant }) => (constant ? [] : [name]));
  return { kind: "samples", set: 0, split: "train", options: { inputs, outputs, leads, batchSize, seed: 1 } };
}
