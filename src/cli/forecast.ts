// climax forecast: from a state to the fields some hours, days or weeks later.
import { z } from "zod";
import { parseLead } from "../data/leadtime.ts";
import { ClimaxError } from "../errors.ts";
import { command } from "./command.ts";
import { makeShared, mergeOutput, shareFields } from "./forecastshares.ts";
import { forecastTrained } from "./forecasttrained.ts";
import { forecastUntrained, untrainedNames } from "./forecastuntrained.ts";
import { needInput, refuseToReplace, withCheckpoints } from "./inference.ts";

const ForecastConfig = z.strictObject({
  checkpoint: z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe("a .safetensors of climax pretrain, finetune or convert; several are members of an ensemble")
    .meta({ value: "FILE" }),
  model: z
    .enum(untrainedNames)
    .optional()
    .describe("forecast without a checkpoint, from a prepared set as --input (persistence: from any input)"),
  input: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      "initial states, required without --merge: weather files on the checkpoint's grid, or a prepared set (its test split)",
    )
    .meta({ value: "PATH" }),
  lead: z
    .array(z.union([z.number(), z.string()]))
    .min(1)
    .optional()
    .describe("how far ahead: 6h, 3d, 2w, 1mo (30 days), or several: 24h,72h; not for projections"),
  rollout: z
    .array(z.union([z.number(), z.string()]))
    .min(1)
    .optional()
    .describe(
      "reach the leads in steps of so many hours, each from the forecast before: 6h; of several, 6h,12h,24h, each " +
        "has a roll-out of its own, and a lead is the mean over those that reach it",
    )
    .meta({ value: "STEP,..." }),
  rolloutMembers: z
    .boolean()
    .default(false)
    .describe("write the roll-out of each step as a member instead of their mean"),
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
  ensemble: z
    .strictObject({
      members: z
        .int()
        .positive()
        .default(1)
        .describe("forecasts from each checkpoint, lag and step, the first of them unperturbed"),
      noise: z
        .number()
        .nonnegative()
        .default(0)
        .describe(
          "perturb the initial state by smooth random fields of this deviation, in units of each variable's " +
            "standard deviation over the training set",
        ),
      length: z.number().min(100).default(1000).describe("length scale of these fields, km"),
      dropout: z
        .boolean()
        .default(false)
        .describe("perturb the network: drop activations and branches at the rates it was trained with"),
      lag: z
        .array(z.union([z.number(), z.string()]))
        .default([])
        .describe("further members that start so much earlier and forecast the same times, e.g. 6h,12h"),
      seed: z.int().min(0).max(0xffffffff).default(0).describe("of noise and dropout"),
    })
    .prefault({})
    .describe("checkpoints, lags, steps and members multiply"),
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
  ...shareFields,
});
/** With an input, which only --merge goes without. */
export type ForecastConfig = z.output<typeof ForecastConfig> & { readonly input: string[] };

export const forecastCommand = command({
  name: "forecast",
  summary: "forecast from an initial state with a trained checkpoint",
  description:
    "Forecasts directly, one pass of the network for each initial time and lead, or in steps (--rollout), in physical " +
    "units, as CF NetCDF with initial time and lead time. The checkpoint is all it needs beside the state.",
  examples: [
    "climax forecast --checkpoint best.safetensors --input state.nc --lead 72h -o forecast.nc",
    "climax forecast --checkpoint best.safetensors --input set --time 2018 --every 24h --lead 24h,72h,120h -o 2018.nc",
    "climax forecast --checkpoint best.safetensors --input state.nc --rollout 6h --lead 1d,3d,5d -o rolled.nc",
    "climax forecast --checkpoint best.safetensors --input state.nc --lead 72h --ensemble.members 20 " +
      "--ensemble.noise 0.1 -o ensemble.nc",
    "climax forecast --model climatology-weekly --input set --time 2018 --lead 72h -o weekly.nc",
    "climax forecast --checkpoint best.safetensors --input set --lead 72h --shard 3/8 -o 72h.nc; climax forecast --merge -o 72h.nc",
  ],
  config: ForecastConfig,
  together: true,
  run: async (given, context) => {
    if (given.merge) {
      const names = (["checkpoint", "model", "input", "lead", "time"] as const).filter((key) => given[key]);
      const flags = names.map((key) => `--${key}`);
      return await mergeOutput("forecast", given, flags, context);
    }
    return await makeShared("forecast", given, context, async (share, own) => {
      const config = { ...given, input: needInput(given.input) };
      const paths = [config.checkpoint ?? []].flat();
      const { model } = config;
      mustNameOne(paths, model);
      refuseToReplace(config.output, [...paths, ...config.input]);
      if (model !== undefined)
        return await forecastUntrained(model, config, leadsOf(config, undefined), share, own);
      return await withCheckpoints(paths, async (checkpoints) => {
        const leads = leadsOf(config, checkpoints[0]!.info.task.kind);
        return await forecastTrained(config, checkpoints, leads, share, own);
      });
    });
  },
});

function mustNameOne(checkpoints: readonly string[], model: ForecastConfig["model"]): void {
  if (checkpoints.length > 0 === (model === undefined)) return;
  throw new ClimaxError(
    "config",
    model === undefined
      ? "neither --checkpoint nor --model was given, so nothing would forecast"
      : `found both --checkpoint ${checkpoints.join(",")} and --model ${model}; wanted one of them`,
    model === undefined
      ? `give --checkpoint FILE, or --model with one of ${untrainedNames.join(", ")}`
      : "leave out one of them; climax evaluate compares the files of both",
  );
}

/** Hours, ascending; only 0 for what has no lead. */
function leadsOf({ lead }: Pick<ForecastConfig, "lead">, task: string | undefined): number[] {
  if (task === "projection") {
    if (!lead) return [0];
    throw new ClimaxError(
      "config",
      `found --lead ${lead.join(",")} with a checkpoint for projections, which says what goes with the forcing of a time, not what follows it`,
      "leave out --lead; --time chooses the times",
    );
  }
  if (!lead) throw new ClimaxError("config", "--lead is required", "say how far ahead: --lead 24h,72h");
  return [...new Set(lead.map(parseLead))].sort((a, b) => a - b);
}
