// Measures this program against others that do the same on the same machine: `npm run bench -- --help`.
import { writeFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { openGpu, type Precision } from "../../src/engine/device.ts";
import { ClimaxError } from "../../src/errors.ts";
import type { Context, Section } from "./context.ts";
import { gpu } from "./gpu.ts";
import { kernels, roofline } from "./kernels.ts";
import { models, processMemory } from "./models.ts";
import { installPeers, peers } from "./peers.ts";
import { products } from "./products.ts";
import { regrid } from "./regrid.ts";
import { absent, type Row, rowsTable } from "./rows.ts";
import { startup } from "./startup.ts";
import { findTwins } from "./twin.ts";

const SECTIONS: Readonly<Record<string, { readonly about: string; readonly run: Section }>> = {
  products: { about: "the model's matrix products, against PyTorch", run: products },
  models: { about: "training step and forward pass of three models, against PyTorch", run: models },
  memory: {
    about: "peak memory of a process that trains the paper's model, against PyTorch",
    run: processMemory,
  },
  kernels: { about: "a step of the paper's model by kernel, in per cent of the roofline", run: kernels },
  roofline: { about: "what the adapter can do at most: multiply-adds, copying", run: roofline },
  startup: { about: "process start to first result, caches empty and filled", run: startup },
  peers: { about: "jax-js, TensorFlow.js and onnxruntime on the same adapter", run: peers },
  regrid: {
    about: "regridding a file, whole process, against cdo -P 2; needs no adapter",
    run: ({ steps, rounds, say, files }) => regrid({ steps, rounds, say, only: files }),
  },
  gpu: { about: "the paper's model at large batches, against PyTorch on the same GPU", run: gpu },
};

/** What runs unless told otherwise: a few minutes on two cores. */
const USUAL = ["products", "models", "memory", "kernels", "startup"];

const EPILOGUE = `
Sections:${Object.entries(SECTIONS)
  .map(([name, { about }]) => `\n  ${name.padEnd(9)} ${about}`)
  .join("")}

Both sides of a comparison run back to back in one call; best of the rounds, medians in the note. Ratios are ours over the
peer's: below 1, ours is ahead. On a busy machine no ratio means anything. GB/s of a kernel count each tensor it binds once:
a kernel that uses part of one moves less.

On a machine with an NVIDIA GPU, a Python with torch and CUDA, and node_modules (dependencies, tsx and esbuild will do):
  node --import tsx test/bench/bench.ts --only products,kernels --json kernels.json
  node --import tsx test/bench/bench.ts --only gpu --batches 16 --precisions f16 --json gpu16.json
A batch and precision takes some minutes, most of it in torch.compile. startup runs the built program, dist.
To see that all of it runs: --scale tiny.`;

interface Options {
  only: string[];
  roofline?: boolean;
  adapter?: string;
  json?: string;
  rounds: number;
  python?: string;
  scale: string;
  batches?: number[];
  precisions: Precision[];
  installPeers?: boolean;
  steps: number;
  files?: string;
}

const program = new Command("npm run bench --")
  .option(
    "--only <sections>",
    "comma list of sections, in the order wanted",
    listOf(Object.keys(SECTIONS)),
    USUAL,
  )
  .option("--roofline", "each kernel's GFLOP/s and GB/s beside what the adapter can do: --only kernels")
  .option("--adapter <name>", "part of the name of the adapter; climax doctor lists them")
  .option(
    "--json <file>",
    "write the rows: {what, adapter, ours_ms, peer, peer_ms, ratio = ours_ms / peer_ms, note}",
  )
  .option("--rounds <n>", "timed rounds of each side", wholeNumber, 3)
  .option("--python <file>", "a Python that has torch; by default the first of python3, /usr/bin/python3")
  .addOption(
    new Option("--scale <size>", "of the models; tiny ones only show that all of it runs")
      .choices(["full", "tiny"])
      .default("full"),
  )
  .option("--batches <list>", "of the section gpu (default: 16,32,64,128)", (text) =>
    text.split(",").map(wholeNumber),
  )
  .option("--precisions <list>", "of the section gpu", listOf(["f32", "f16"]), ["f32", "f16"])
  .option("--steps <n>", "time steps of the files of the section regrid", wholeNumber, 1000)
  .option("--files <text>", "of the section regrid only the files with this in their name, such as era-plain")
  .option(
    "--install-peers",
    "first install what the section peers compares with, into test/bench/peers/node_modules",
  )
  .addHelpText("after", EPILOGUE);

function listOf(known: readonly string[]): (text: string) => string[] {
  return (text) =>
    text.split(",").map((name) => {
      if (known.includes(name)) return name;
      throw new InvalidArgumentError(`"${name}" is none of ${known.join(", ")}.`);
    });
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError("It must be a whole number above 0.");
  return Number(text);
}

async function main(): Promise<void> {
  const options = program.parse().opts<Options>();
  if (options.installPeers) installPeers();
  const open = (precision: Precision = "f32") =>
    openGpu({ adapter: options.adapter, precision, timestamps: true });
  const sections = options.roofline ? ["kernels"] : options.only;
  const {
    name: adapter,
    kind,
    device,
  } = sections.every((name) => name === "regrid")
    ? { name: "none", kind: "software" as const, device: undefined }
    : await open();
  device?.destroy();
  const tiny = options.scale === "tiny";
  let twins: ReturnType<Context["twins"]> | undefined;
  const context: Context = {
    adapter,
    kind,
    adapterOption: options.adapter,
    rounds: options.rounds,
    tiny,
    batches: options.batches ?? (tiny ? [2, 4] : [16, 32, 64, 128]),
    precisions: options.precisions,
    steps: options.steps,
    files: options.files,
    open,
    twins: () => (twins ??= findTwins(options.python)),
    say: (text) => process.stderr.write(`${text}\n`),
  };
  console.log(`adapter: ${adapter} (${kind})`);
  const all: Row[] = [];
  for (const name of sections) {
    const rows: Row[] = [];
    const note = (row: Row): void => {
      rows.push(row);
      all.push(row);
      // Row by row, so that a run that is cut off leaves what it has.
      if (options.json) writeFileSync(options.json, `${JSON.stringify(all, null, 2)}\n`);
    };
    try {
      for await (const row of SECTIONS[name]!.run(context)) note(row);
    } catch (error) {
      // A peer that fails, or memory that runs out, leaves the other sections their turn.
      console.error(error);
      note(absent(name, adapter, (error as Error).message));
      process.exitCode = 1;
    }
    console.log(`\n${name}: ${SECTIONS[name]!.about}\n${rowsTable(rows)}`);
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof ClimaxError)) throw error;
  console.error(`error: ${error.message}\nhint:  ${error.hint}`);
  process.exitCode = 2;
}
