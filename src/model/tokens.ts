// From fields to the tokens that enter the encoder: variable tokens and their aggregation, positions, lead times.
//
// B batch, V variables of the input, h x w points of the fields, p patch side, L patches that enter, D width of a token.
import { reshape } from "../engine/autograd.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";
import { aggregate, aggregateFactored } from "../ops/aggregate.ts";
import { gather } from "../ops/layout.ts";
import { linear } from "../ops/matmul.ts";
import { type PatchWeights, patchBasis, patchEmbed, patchify } from "../ops/patchembed.ts";
import type { ForwardOptions } from "./climax.ts";
import { type ModelConfig, modelSizes } from "./config.ts";
import type { Get } from "./encoder.ts";
import { tokenNames } from "./parameters.ts";

/**
 * Tokenises each variable of each patch and aggregates the variables.
 *
 * @param x          [B, V, h, w]
 * @param variables  for each of the V its place among those that have tokens
 * @returns          [B L, D]
 */
export function aggregateVariables(
  get: Get,
  config: Pick<ModelConfig, "patchSize" | "heads" | "parallelPatchEmbed">,
  x: Tensor,
  variables: readonly number[],
  form: ForwardOptions["aggregation"] = "factored",
): Tensor {
  const { patchSize: p, heads, parallelPatchEmbed } = config;
  const V = variables.length;
  const parts = variables.map((id): PatchWeights => {
    const { weight, bias } = tokenNames(config, id);
    return { weight: get(weight), bias: get(bias), row: parallelPatchEmbed ? id : 0, id };
  });
  const basis = patchBasis(parts, get("var_embed"), p); // [C, D]
  const patches = patchify(x, p); // [B, V, h, w] -> [B L, C]
  const weights = attentionWeights(get, "var");
  return form === "factored"
    ? aggregateFactored(patches, basis, weights, { V, p, heads })
    : aggregate(patchEmbed(patches, basis, V, p), weights, { heads }); // by way of [B L, V, D]
}

/** The learned query that aggregates variables or time, and its attention. */
export function attentionWeights(get: Get, over: "var" | "time") {
  return {
    query: get(`${over}_query`),
    inWeight: get(`${over}_agg.in_proj_weight`),
    inBias: get(`${over}_agg.in_proj_bias`),
    outWeight: get(`${over}_agg.out_proj.weight`),
    outBias: get(`${over}_agg.out_proj.bias`),
  };
}

/** Embeddings of the positions that enter, [L, D]: the whole grid's, or the rows of a region's patches. */
export function positionsOf(
  get: Get,
  config: Pick<ModelConfig, "gridShape" | "region" | "patchSize" | "embedDim" | "mlpRatio">,
): Tensor {
  const { rows, columns } = modelSizes(config);
  const { region, embedDim: D } = config;
  const whole = reshape(get("pos_embed"), [rows * columns, D]);
  if (!region) return whole;
  return gather(
    whole,
    region.rows.flatMap((row) => region.columns.map((column) => row * columns + column)),
  );
}

/**
 * Embeds how far ahead to look, and adds to it.
 *
 * @param leadHours  [B]
 * @param plus       [B, D]
 * @returns          [B, D]
 */
export function embedLead(get: Get, leadHours: ArrayLike<number>, plus?: Tensor): Tensor {
  const weight = get("lead_time_embed.weight");
  const hundreds = Float32Array.from(leadHours, (hours) => hours / 100); // the unit ClimaX was trained with
  const lead = tensor(weight.gpu, [hundreds.length, 1], hundreds);
  return linear(lead, weight, get("lead_time_embed.bias"), plus ? { residual: plus } : {});
}
