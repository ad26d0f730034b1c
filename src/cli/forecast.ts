// climax forecast: from a state to the fields some hours, days or weeks later.
import { existsSync, realpathSync } from "node:fs";
import { z } from "zod";
import { formatLead, parseLead } from "../data/leadtime.ts";
import { type Gpu, openGpu } from "../engine/device.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { forecast } from "../infer/forecast.ts";
import { checkGrid, checkLeads, chooseInputs, inputsOf } from "../infer/inputs.ts";
import { Predictor } from "../infer/predictor.ts";
import { openStates, pickTimes } from "../infer/states.ts";
import { type Checkpoint, openCheckpoint } from "../model/checkpoint.ts";
import { type Context, command } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { duration, progress } from "./progress.ts";
import { version } from "./version.ts";

const ForecastConfig = z.strictObject({
  checkpoint: z.string().describe("a .safetensors of climax pretrain or finetune").meta({ value: "FILE" }),
  input: z
    .array(z.string())
    .min(1)
    .describe("initial states: weather files on the checkpoint's grid, or a prepared set (its test split)")
    .meta({ value: "PATH" }),
  lead: z
    .array(z.union([z.number(), z.string()]))
    .min(1)
    .describe("how far ahead: 6h, 3d, 2w, 1mo (30 days), or several: 24h,72h"),
  output: z.string().min(1).describe("NetCDF file to write").meta({ short: "o", value: "FILE" }),
  time: z
    .array(z.string())
    .optional()
    .describe("initial times: 2018-01-01T00, 2018-01, 2017..2018; may be left out when the input has one"),
  every: z.string().optional().describe("only every so often within them, e.g. 24h"),
  variables: z
    .array(z.string())
    .optional()
    .describe("which outputs to write; all of the checkpoint's by default"),
  missing: z
    .enum(["error", "drop", "mean"])
    .default("error")
    .describe(
      "what to do when the input lacks a variable or a value: stop, leave the variable out (the model takes any " +
        "subset, at a loss of skill), or put its training mean",
    ),
  batchSize: z.int().positive().default(8).describe("forecasts that go through the model at once"),
  adapter: z.string().optional().describe("part of the name of the adapter to use; see climax doctor"),
  precision: z
    .enum(["f32", "f16"])
    .default("f32")
    .describe("operands of matrix products, and the weights in the adapter's memory"),
});
type ForecastConfig = z.output<typeof ForecastConfig>;

export const forecastCommand = command({
  name: "forecast",
  summary: "forecast from an initial state with a trained checkpoint",
  description:
    "Forecasts directly, one pass of the network for each initial time and lead, in physical units, as CF NetCDF with " +
    "initial time and lead time. The checkpoint is all it needs beside the state.",
  examples: [
    "climax forecast --checkpoint best.safetensors --input state.nc --lead 72h -o forecast.nc",
    "climax forecast --checkpoint best.safetensors --input set --time 2018 --every 24h --lead 24h,72h,120h -o 2018.nc",
  ],
  config: ForecastConfig,
  run: async (config, context) => {
    const checkpoint = await openCheckpoint(config.checkpoint);
    try {
      await run(config, checkpoint, context);
    } finally {
      await checkpoint.close();
    }
  },
});

async function run(config: ForecastConfig, checkpoint: Checkpoint, context: Context): Promise<void> {
  refuseToReplace(config.output, [config.checkpoint, ...config.input]);
  const { info } = checkpoint;
  const leads = [...new Set(config.lead.map(parseLead))].sort((a, b) => a - b);
  checkLeads(checkpoint, leads);
  const outputs = [...new Set(config.variables ?? info.outputs)];
  for (const name of outputs)
    if (!info.outputs.includes(name)) unknownName("output of the checkpoint", name, info.outputs);

  const states = await openStates(config.input, inputsOf(info));
  let gpu: Gpu | undefined;
  try {
    const inputs = chooseInputs(checkpoint, states, config.missing);
    checkGrid(checkpoint, states);
    const steps = pickTimes(
      states,
      config.time,
      config.every === undefined ? undefined : parseLead(config.every),
    );
    const synthetic = states.synthetic || info.synthetic;
    for (const note of states.notes) context.info(note);
    const left = inputsOf(info).filter((name) => !states.variables.includes(name));
    if (left.length > 0) {
      context.warn(
        `${left.join(", ")}: not in the input, ${config.missing === "mean" ? "their training mean is put" : "left out"}`,
      );
    }
    if (info.synthetic && !states.synthetic) {
      context.warn("the checkpoint was trained on a SYNTHETIC planet: this is no forecast of real weather");
    }
    gpu = await openGpu({ adapter: config.adapter, precision: config.precision });
    const adapter = config.precision === "f32" ? gpu.name : `${gpu.name}, f16`;
    context.info(`adapter   ${gpu.name} (${gpu.kind}), ${gpu.precision}`);
    const predictor = await Predictor.load(gpu, checkpoint);
    const started = performance.now();
    await interruptible(async (signal) => {
      const bar = progress({ label: "forecast", total: steps.length * leads.length, quiet: context.quiet });
      try {
        await forecast({
          predictor,
          states,
          steps,
          leads,
          inputs,
          outputs,
          missing: config.missing,
          batchSize: config.batchSize,
          output: config.output,
          attributes: await attributes(checkpoint, adapter, synthetic, context.commandLine),
          signal,
          onProgress: (done) => bar.update(done),
        });
      } finally {
        bar.stop();
      }
    });
    const count = `${steps.length} initial time${steps.length === 1 ? "" : "s"}`;
    context.print(
      `${config.output}: ${outputs.length} variables, ${count}, leads ${leads.map(formatLead).join(", ")}` +
        `${synthetic ? ", SYNTHETIC" : ""}, in ${duration((performance.now() - started) / 1000)}`,
    );
  } finally {
    gpu?.device.destroy(); // drivers hold on to the memory of devices that are only forgotten
    await states.close();
  }
}

/** @throws ClimaxError when the output would take the place of what it is made from */
function refuseToReplace(output: string, sources: readonly string[]): void {
  if (!existsSync(output)) return;
  const source = sources.find((path) => existsSync(path) && realpathSync(path) === realpathSync(output));
  if (source === undefined) return;
  throw new ClimaxError(
    "config",
    `--output ${output} is the file ${source} that is read`,
    "choose another --output",
  );
}

async function attributes(checkpoint: Checkpoint, adapter: string, synthetic: boolean, commandLine: string) {
  const planet = synthetic ? "SYNTHETIC " : "";
  return {
    Conventions: "CF-1.11",
    title: `${planet}direct forecasts by ClimaX`,
    institution: "made with climax",
    source: `climax ${version()}, checkpoint ${checkpoint.path}`,
    history: `${new Date().toISOString().slice(0, 19)}Z ${commandLine}`,
    references: "Nguyen et al. 2023, arXiv:2301.10343",
    climax_version: version(),
    climax_checkpoint_sha256: await checkpoint.sha256(),
    climax_adapter: adapter,
    synthetic: String(synthetic),
    ...(synthetic
      ? { comment: "Of a simulated planet, or by a model trained on one: not for use as a forecast." }
      : {}),
  };
}
