// climax downscale: from coarse fields to the fine ones of the same time, by a trained network or by interpolation.
import { z } from "zod";
import { parseLead } from "../data/leadtime.ts";
import type { Share } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { inputsOf } from "../infer/inputs.ts";
import { coarsenStates } from "../infer/regridstates.ts";
import { openStates, pickTimes, type States } from "../infer/states.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import { type Context, command } from "./command.ts";
import { downscaleByInterpolation, downscaleByNetwork } from "./downscaling.ts";
import { makeShared, mergeOutput, shareFields } from "./forecastshares.ts";
import { needInput, refuseToReplace, withCheckpoints } from "./inference.ts";

export const interpolations = ["nearest", "bilinear", "bicubic"] as const;

const DownscaleConfig = z.strictObject({
  checkpoint: z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe("a .safetensors trained for downscaling; several are members of an ensemble")
    .meta({ value: "FILE" }),
  model: z.enum(interpolations).optional().describe("interpolate without a checkpoint, to the grid of --res"),
  input: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      "coarse fields, required without --merge: weather files on the grid the checkpoint was trained from, or a prepared set (its test split)",
    )
    .meta({ value: "PATH" }),
  coarsen: z
    .int()
    .min(2)
    .optional()
    .describe(
      "average fine fields over blocks of N x N cells first: what is then made can be scored against them",
    ),
  res: z.number().positive().optional().describe("degrees of the fine grid, with --model"),
  output: z.string().min(1).describe("NetCDF file to write").meta({ short: "o", value: "FILE" }),
  time: z
    .array(z.string())
    .optional()
    .describe("only these times: 2018-01-01T00, 2018-01, 2017..2018; all by default"),
  every: z.string().optional().describe("only every so often, e.g. 24h"),
  variables: z.array(z.string()).optional().describe("which fields to write; all by default"),
  missing: z
    .enum(["error", "drop", "mean"])
    .default("error")
    .describe("what to do when the input lacks a variable or a value, as in climax forecast"),
  batchSize: z.int().positive().default(8).describe("states that go through the model at once"),
  adapter: z.string().optional().describe("part of the name of the adapter to use; see climax doctor"),
  precision: z
    .enum(["f32", "f16"])
    .default("f32")
    .describe("operands of matrix products, and the weights in the adapter's memory"),
  ...shareFields,
});
/** With an input, which only --merge goes without. */
export type DownscaleConfig = z.output<typeof DownscaleConfig> & { readonly input: string[] };

export const downscaleCommand = command({
  name: "downscale",
  summary: "make fine fields from coarse ones with a trained checkpoint, or by interpolation",
  description:
    "Interpolates coarse fields to the grid of the checkpoint and lets the network say what the fine ones are, as CF " +
    "NetCDF with lead 0, which climax evaluate scores. --model interpolates only.",
  examples: [
    "climax downscale --checkpoint best.safetensors --input coarse.nc -o fine.nc",
    "climax downscale --checkpoint best.safetensors --input sets/era5-1.4 --coarsen 4 --time 2018 -o fine.nc",
    "climax downscale --model bilinear --input coarse.nc --res 1.40625 -o bilinear.nc",
  ],
  config: DownscaleConfig,
  together: true,
  run: async (given, context) => {
    if (given.merge) {
      const names = (["checkpoint", "model", "input", "res", "time"] as const).filter((key) => given[key]);
      const flags = names.map((key) => `--${key}`);
      return await mergeOutput("downscale", given, flags, context);
    }
    return await makeShared("downscale", given, context, async (share, own) => {
      const config = { ...given, input: needInput(given.input) };
      const paths = [config.checkpoint ?? []].flat();
      checkAsked(paths, config);
      refuseToReplace(config.output, [...paths, ...config.input]);
      return await (config.model !== undefined
        ? withInput(config, config.variables, own, (job) => downscaleByInterpolation(config, job, share, own))
        : withCheckpoints(paths, (checkpoints) => byCheckpoints(config, checkpoints, share, own)));
    });
  },
});

async function byCheckpoints(
  config: DownscaleConfig,
  checkpoints: readonly Checkpoint[],
  share: Share | undefined,
  context: Context,
): Promise<string> {
  const { info, path } = checkpoints[0]!;
  if (info.task.kind !== "downscaling") {
    throw new ClimaxError(
      "config",
      `${path} was not trained for downscaling`,
      "climax forecast runs it; climax finetune --task downscaling trains one that does this",
    );
  }
  const wanted = [...new Set(checkpoints.flatMap((checkpoint) => inputsOf(checkpoint.info)))];
  return await withInput(config, wanted, context, (job) =>
    downscaleByNetwork(config, checkpoints, job, share, context),
  );
}

/** What is downscaled. */
export interface CoarseInput {
  /** As read: the fine fields, where they are made coarse first. */
  readonly given: States;
  readonly coarse: States;
  readonly steps: readonly number[];
}

async function withInput(
  { input, coarsen, time, every }: DownscaleConfig,
  wanted: readonly string[] | undefined,
  context: Context,
  work: (coarse: CoarseInput) => Promise<string>,
): Promise<string> {
  const given = await openStates(input, wanted);
  try {
    for (const note of given.notes) context.info(note);
    const coarse = coarsen === undefined ? given : coarsenStates(given, coarsen);
    const step = every === undefined ? undefined : parseLead(every);
    const steps = time || step !== undefined ? pickTimes(given, time, step) : [...given.times.keys()];
    return await work({ given, coarse, steps });
  } finally {
    await given.close();
  }
}

function checkAsked(checkpoints: readonly string[], { model, res, coarsen }: DownscaleConfig): void {
  const refuse = (found: string, hint: string): never => {
    throw new ClimaxError("config", found, hint);
  };
  if (checkpoints.length === 0 && model === undefined)
    refuse(
      "neither --checkpoint nor --model was given, so nothing would downscale",
      `give --checkpoint FILE, or --model with one of ${interpolations.join(", ")}`,
    );
  if (checkpoints.length > 0 && model !== undefined)
    refuse(
      `found both --checkpoint ${checkpoints.join(",")} and --model ${model}; wanted one of them`,
      "leave out one of them; climax evaluate compares the files of both",
    );
  if (checkpoints.length > 0 && res !== undefined)
    refuse(`found --res ${res} with a checkpoint, which has a grid of its own`, "leave out --res");
  if (model !== undefined && res === undefined && coarsen === undefined)
    refuse(
      `--model ${model} without --res: the fine grid is not known`,
      "give --res 1.40625 or so, or --coarsen to go back to the grid of fine fields",
    );
}
