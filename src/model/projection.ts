// Climate projection (Nguyen et al. 2023, arXiv:2301.10343, section 4.3): years of forcings to the fields of the last one.
// The encoder of ClimaX reads each year; a learned query attends over the years; one linear layer makes whole fields.
//
// B batch, T years, V variables of the input, H x W points of the grid, L patches, D width of a token.
import { z } from "zod";
import { reshape } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import type { Random } from "../engine/random.ts";
import { free, type Tensor } from "../engine/tensor.ts";
import { aggregate } from "../ops/aggregate.ts";
import { addEmbeddings, gather } from "../ops/layout.ts";
import { linear } from "../ops/matmul.ts";
import { meanRows } from "../ops/mean.ts";
import type { ForwardOptions, ModelInput, Parameters } from "./climax.ts";
import { checkTransformer, modelFields, modelSizes } from "./config.ts";
import { encode, getter } from "./encoder.ts";
import { checkFixed, fixedFields, inputPlaces, outputPlaces } from "./fixed.ts";
import { rowsOfOutputs } from "./head.ts";
import type { Network } from "./network.ts";
import {
  addAggregation,
  addEncoder,
  addPositions,
  addVariableTokens,
  startValues,
  tokenNames,
} from "./parameters.ts";
import { aggregateVariables, attentionWeights, embedLead, positionsOf } from "./tokens.ts";

const { patchSize, embedDim, depth, heads, mlpRatio, dropPath, dropout, parallelPatchEmbed } = modelFields;

/** Hyperparameters; the defaults are the reference's for ClimateBench at 5.625°. */
export const ProjectionConfig = z
  .strictObject({
    type: z.literal("projection"),
    ...fixedFields,
    history: z
      .int()
      .positive()
      .max(4096)
      .default(10)
      .describe("T, years of the inputs that enter, the last that of the outputs"),
    ...{ patchSize, embedDim, depth, heads, mlpRatio, dropPath, dropout, parallelPatchEmbed },
  })
  .superRefine((config, ctx) => {
    checkTransformer(config, ctx);
    checkFixed(config, ctx);
  });
export type ProjectionConfig = z.output<typeof ProjectionConfig>;

/** Every parameter's shape by name, in the order of the reference's state dict. */
function projectionShapes(config: ProjectionConfig): Map<string, readonly number[]> {
  const { inputs, outputs, gridShape, history, embedDim: D } = config;
  const shapes = new Map<string, readonly number[]>();
  const out = outputs.length * gridShape[0] * gridShape[1];
  shapes.set("var_embed", [1, inputs.length, D]);
  shapes.set("var_query", [1, 1, D]);
  addPositions(shapes, config);
  shapes.set("time_pos_embed", [1, history, D]);
  shapes.set("time_query", [1, 1, D]);
  addVariableTokens(shapes, config, inputs.length);
  addEncoder(shapes, config);
  shapes.set("head.weight", [out, D]);
  shapes.set("head.bias", [out]);
  addAggregation(shapes, "time_agg", D);
  return shapes;
}

/** Names of the parameters on which projections from these variables depend. */
function usedByProjection(config: ProjectionConfig, variables: readonly number[]): Set<string> {
  const used = new Set(projectionShapes(config).keys());
  for (const [v, name] of config.inputs.entries()) {
    if (config.parallelPatchEmbed || variables.includes(config.variables.indexOf(name))) continue;
    for (const part of Object.values(tokenNames(config, v))) used.delete(part);
  }
  return used;
}

/**
 * Projects.
 *
 * @param input  x [B, T, V, H, W]; `variables` any of the inputs
 * @returns      [B, outputs, H, W]
 * @throws       ClimaxError "shape" if x does not fit, "config" for an output the network does not predict
 */
function forwardProjection(
  parameters: Parameters,
  config: ProjectionConfig,
  { x, variables, leadHours, outputs }: ModelInput,
  options: ForwardOptions = {},
): Tensor {
  const { gridShape, history: T, embedDim: D } = config;
  const [H, W] = gridShape;
  const B = x.shape[0]!;
  expectShape("forwardProjection", "x", x, [B, T, variables.length, H, W]);
  expectShape("forwardProjection", "leadHours", { shape: [leadHours.length] }, [B]);
  const get = getter(parameters);
  const { rows, columns } = modelSizes(config);
  const L = rows * columns;

  const years = reshape(x, [B * T, variables.length, H, W]);
  const aggregated = aggregateVariables(
    get,
    config,
    years,
    inputPlaces(config, variables),
    options.aggregation,
  ); // [B T L, D]
  const year = Array.from({ length: B * T }, (_, n) => n % T);
  const when = gather(reshape(get("time_pos_embed"), [T, D]), year); // [B T, D]
  const leads = Float32Array.from({ length: B * T }, (_, n) => leadHours[Math.floor(n / T)]!);
  const tokens = addEmbeddings(
    reshape(aggregated, [B * T, L, D]),
    positionsOf(get, config),
    embedLead(get, leads, when),
  );
  free(aggregated);
  const { random } = options;
  const encoded = encode(parameters, config, tokens, {
    ...options,
    ...(random ? { random: byYear(random, T) } : {}),
  }); // [B T, L, D]
  const means = reshape(meanRows(encoded), [B, T, D]);
  const state = aggregate(means, attentionWeights(get, "time"), { heads: config.heads }); // [B, D]

  const wanted = outputPlaces(config, outputs);
  const pick = (name: string): Tensor => rowsOfOutputs(get(name), config.outputs.length, wanted);
  return reshape(linear(state, pick("head.weight"), pick("head.bias")), [B, wanted.length, H, W]);
}

/** Numbers for sequences of years, T of each sample, so that parts of a batch draw what the whole would. */
function byYear(random: Random, T: number): Random {
  return random.copy(T * random.next().sample);
}

export const projection: Network<ProjectionConfig> = {
  parameterShapes: projectionShapes,
  initialise: (config, seed, only) => startValues(projectionShapes(config), config, seed, only),
  forward: forwardProjection,
  usedParameters: usedByProjection,
  describe: ({ inputs, outputs, history, patchSize, embedDim, depth, heads }) =>
    `${inputs.length} inputs of ${history} years, ${outputs.length} outputs, patch ${patchSize}, D ${embedDim}, ` +
    `depth ${depth}, ${heads} heads`,
  knowsLead: true,
};
