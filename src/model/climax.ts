// ClimaX, forward (Nguyen et al. 2023, arXiv:2301.10343, section 3): tokenise, aggregate, blocks, head.
//
// B batch, V variables of the input, H latitude, W longitude, p patch side, L = (H/p)(W/p) patches, D width of a token.
import { checkpoint, reshape } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import type { Random } from "../engine/random.ts";
import { scope, size, type Tensor, tensor } from "../engine/tensor.ts";
import { unknownName } from "../errors.ts";
import { aggregate, aggregateFactored } from "../ops/aggregate.ts";
import { attention } from "../ops/attention.ts";
import { dropout } from "../ops/dropout.ts";
import { layernorm } from "../ops/layernorm.ts";
import { addEmbeddings, addPicked, gather } from "../ops/layout.ts";
import { linear } from "../ops/matmul.ts";
import { mlp } from "../ops/mlp.ts";
import { drawNoise } from "../ops/noise.ts";
import { type PatchWeights, patchBasis, patchEmbed, patchify, unpatchify } from "../ops/patchembed.ts";
import { type ModelConfig, modelSizes } from "./config.ts";
import { tokenNames } from "./parameters.ts";

/** Tensors by the reference's names, in the shapes of `parameterShapes`. */
export type Parameters = ReadonlyMap<string, Tensor>;

export interface ModelInput {
  /** [B, V, H, W], normalised, from south to north. */
  readonly x: Tensor;
  /** Which of the model's variables x holds, in its order; none twice. */
  readonly variables: readonly number[];
  /** [B], how far ahead to look, hours. */
  readonly leadHours: ArrayLike<number>;
  /** Which of the model's variables to predict, in the order wanted. */
  readonly outputs: readonly number[];
}

export interface ForwardOptions {
  /** Source of dropout and drop path, for training; without it nothing is dropped. */
  readonly random?: Random;
  /** Keep nothing of a block for the backward pass but its output: less memory, one more forward pass. */
  readonly recompute?: boolean;
  /** How variables are aggregated; both forms are the same function. */
  readonly aggregation?: "factored" | "plain";
  /** Is shown the activations that the reference names: `blocks_in`, `block<i>_out`, `encoder_out`, each [B, L, D]. */
  readonly observe?: (name: string, activation: Tensor) => void;
}

/** Places of variables in the model's list. Throws a `config` ClimaxError for a name it does not know. */
export function variableIds({ variables }: ModelConfig, names: readonly string[]): number[] {
  return names.map((name) => {
    const id = variables.indexOf(name);
    return id >= 0 ? id : unknownName("variable of the model", name, variables);
  });
}

/**
 * Predicts fields, normalised like the input.
 *
 * @returns  [B, outputs, H, W]
 * @throws   ClimaxError "shape" if x does not fit the model's grid or the variables listed
 */
export function forward(
  parameters: Parameters,
  config: ModelConfig,
  input: ModelInput,
  options: ForwardOptions = {},
): Tensor {
  const { gridShape, patchSize: p, embedDim: D, depth, decoderDepth } = config;
  const { outputs } = input;
  const { random, recompute = false, observe } = options;
  const [H, W] = gridShape;
  const { rows, columns } = modelSizes(config);
  const L = rows * columns;
  const B = input.x.shape[0]!;
  expectShape("forward", "x", input.x, [B, input.variables.length, H, W]);
  expectShape("forward", "leadHours", { shape: [input.leadHours.length] }, [B]);
  const get = getter(parameters);

  let x = embed(get, config, input, options.aggregation ?? "factored"); // [B, V, H, W] -> [B, L, D]
  x = dropout(x, drawNoise(random, { rate: config.dropout, share: size(x.shape.slice(1)) }));
  observe?.("blocks_in", x);
  for (let i = 0; i < depth; i++) {
    const rate = depth > 1 ? (config.dropPath * i) / (depth - 1) : 0; // 0 in the first block, dropPath in the last
    const prefix = `blocks.${i}.`;
    const into = x;
    const through = (draws: Random | undefined) =>
      block((name) => get(prefix + name), into, config, rate, draws);
    if (recompute) {
      const own = [...parameters].flatMap(([name, t]) => (name.startsWith(prefix) ? [t] : []));
      x = checkpoint([into, ...own], through, random);
    } else x = scope(x.gpu, () => through(random)); // without a tape, nothing of a block outlives it
    observe?.(`block${i}_out`, x);
  }
  x = layernorm(x, get("norm.weight"), get("norm.bias"));
  observe?.("encoder_out", x);

  for (let i = 0; i < decoderDepth; i++) {
    x = linear(x, get(`head.${2 * i}.weight`), get(`head.${2 * i}.bias`), { gelu: true });
  }
  // The last layer predicts p p values of every variable it knows, the variable changing fastest: only the rows of
  // the outputs are computed.
  const V_all = config.variables.length;
  const wanted = Array.from({ length: p * p }, (_, k) => outputs.map((id) => k * V_all + id)).flat();
  const pick = (name: string) => gather(get(`head.${2 * decoderDepth}.${name}`), wanted);
  x = linear(reshape(x, [B * L, D]), pick("weight"), pick("bias")); // [B, L, D] -> [B L, p p outputs]
  const fields = unpatchify(x, [B, outputs.length, H, W], p); // -> [B, outputs, H, W]
  if (!config.residual) return fields;
  const places = outputs
    .map((id) => input.variables.indexOf(id))
    .map((place) => (place < 0 ? undefined : place));
  return addPicked(fields, input.x, places);
}

type Get = (name: string) => Tensor;

function getter(parameters: Parameters): Get {
  return (name) => {
    const parameter = parameters.get(name);
    if (!parameter) throw new Error(`the model has no parameter ${name}`);
    return parameter;
  };
}

/** Tokenises, aggregates the variables, and adds where a patch is and how far ahead to look. */
function embed(
  get: Get,
  config: ModelConfig,
  { x, variables, leadHours }: ModelInput,
  form: "factored" | "plain",
): Tensor {
  const { patchSize: p, embedDim: D, heads, parallelPatchEmbed } = config;
  const { rows, columns } = modelSizes(config);
  const B = x.shape[0]!;
  const V = variables.length;
  const parts = variables.map((id): PatchWeights => {
    const { weight, bias } = tokenNames(config, id);
    return { weight: get(weight), bias: get(bias), row: parallelPatchEmbed ? id : 0, id };
  });
  const basis = patchBasis(parts, get("var_embed"), p); // [C, D]
  const patches = patchify(x, p); // [B, V, H, W] -> [B L, C]
  const weights = {
    query: get("var_query"),
    inWeight: get("var_agg.in_proj_weight"),
    inBias: get("var_agg.in_proj_bias"),
    outWeight: get("var_agg.out_proj.weight"),
    outBias: get("var_agg.out_proj.bias"),
  };
  const aggregated =
    form === "factored"
      ? aggregateFactored(patches, basis, weights, { V, p, heads })
      : aggregate(patchEmbed(patches, basis, V, p), weights, { heads }); // by way of [B L, V, D]
  const hundreds = Float32Array.from(leadHours, (hours) => hours / 100); // the unit ClimaX was trained with
  const lead = tensor(x.gpu, [B, 1], hundreds);
  const leadEmbedding = linear(lead, get("lead_time_embed.weight"), get("lead_time_embed.bias")); // [B, D]
  return addEmbeddings(reshape(aggregated, [B, rows * columns, D]), get("pos_embed"), leadEmbedding);
}

/**
 * A pre-norm transformer block (Dosovitskiy et al. 2021, arXiv:2010.11929, appendix A), with dropout and drop path
 * where timm's has them.
 *
 * @param get   the block's own parameters
 * @param x     [B, L, D]
 * @param rate  probability of dropping a sample's branch
 */
function block(get: Get, x: Tensor, config: ModelConfig, rate: number, random: Random | undefined): Tensor {
  const { heads } = config;
  const L = x.shape[1]!;
  const branch = { rate: config.dropout, pathRate: rate, share: size(x.shape.slice(1)) };

  const norm = (name: string) => ({ weight: get(`${name}.weight`), bias: get(`${name}.bias`) });
  const [qkvWeight, qkvBias] = [get("attn.qkv.weight"), get("attn.qkv.bias")];
  const qkv = linear(x, qkvWeight, qkvBias, { norm: norm("norm1") }); // [B, L, D] -> [B, L, 3 D]
  const attended = linear(attention(qkv, heads), get("attn.proj.weight"), get("attn.proj.bias"), {
    noise: drawNoise(random, branch),
    residual: x,
  }); // [B, L, D]

  const weights = {
    ...{ weight1: get("mlp.fc1.weight"), bias1: get("mlp.fc1.bias") }, // [ratio D, D]
    ...{ weight2: get("mlp.fc2.weight"), bias2: get("mlp.fc2.bias") }, // [D, ratio D]
  };
  return mlp(attended, attended, weights, {
    norm: norm("norm2"),
    hiddenNoise: drawNoise(random, { rate: config.dropout, share: L * modelSizes(config).hidden }),
    noise: drawNoise(random, branch),
  }); // [B, L, D]
}
