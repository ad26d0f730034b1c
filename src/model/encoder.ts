// The transformer that ClimaX, its projection and the ViT baseline share: dropout, blocks, a last norm.
//
// B sequences, L tokens of each, D width of a token.
import { checkpoint, isRecording } from "../engine/autograd.ts";
import type { Random } from "../engine/random.ts";
import { free, scope, size, type Tensor } from "../engine/tensor.ts";
import { attention } from "../ops/attention.ts";
import { dropout } from "../ops/dropout.ts";
import { keepsNormed, layernorm } from "../ops/layernorm.ts";
import { linear } from "../ops/matmul.ts";
import { mlp } from "../ops/mlp.ts";
import { drawNoise } from "../ops/noise.ts";
import type { ForwardOptions, Parameters } from "./climax.ts";
import { type ModelConfig, modelSizes } from "./config.ts";

/** Finds a parameter by name. */
export type Get = (name: string) => Tensor;

export function getter(parameters: Parameters): Get {
  return (name) => {
    const parameter = parameters.get(name);
    if (!parameter) throw new Error(`the model has no parameter ${name}`);
    return parameter;
  };
}

/** What the blocks are made from. */
export type EncoderConfig = Pick<
  ModelConfig,
  "gridShape" | "patchSize" | "embedDim" | "depth" | "heads" | "mlpRatio" | "dropPath" | "dropout"
>;

/**
 * Runs tokens through dropout, the blocks and the last norm.
 *
 * @param x  [B, L, D]; given back when it is read: the caller uses it no more
 * @returns  [B, L, D]
 */
export function encode(
  parameters: Parameters,
  config: EncoderConfig,
  x: Tensor,
  { random, recompute = false, observe }: ForwardOptions,
): Tensor {
  const { depth } = config;
  const get = getter(parameters);
  let y = dropout(x, drawNoise(random, { rate: config.dropout, share: size(x.shape.slice(1)) }));
  if (y !== x) free(x);
  observe?.("blocks_in", y);
  for (let i = 0; i < depth; i++) {
    const rate = depth > 1 ? (config.dropPath * i) / (depth - 1) : 0; // 0 in the first block, dropPath in the last
    const prefix = `blocks.${i}.`;
    const into = y;
    const through = (draws: Random | undefined) =>
      block((name) => get(prefix + name), into, config, rate, draws, recompute === "hidden");
    if (recompute === true) {
      const own = [...parameters].flatMap(([name, t]) => (name.startsWith(prefix) ? [t] : []));
      y = checkpoint([into, ...own], through, random);
    } else {
      y = scope(y.gpu, () => through(random)); // without a tape, nothing of a block outlives it
      if (!observe && mayGo(into)) free(into);
    }
    observe?.(`block${i}_out`, y);
  }
  const encoded = layernorm(y, get("norm.weight"), get("norm.bias"));
  if (!observe && mayGo(y)) free(y);
  observe?.("encoder_out", encoded);
  return encoded;
}

/** Whether no backward reads what a normalisation has read. */
function mayGo(x: Tensor): boolean {
  return !isRecording() || keepsNormed(x);
}

/**
 * A pre-norm transformer block (Dosovitskiy et al. 2021, arXiv:2010.11929, appendix A), with dropout and drop path
 * where timm's has them.
 *
 * @param get   the block's own parameters
 * @param x     [B, L, D]
 * @param rate  probability of dropping a sample's branch
 * @param hiddenAgain  keep nothing of the mlp's hidden layer
 */
function block(
  get: Get,
  x: Tensor,
  config: EncoderConfig,
  rate: number,
  random: Random | undefined,
  hiddenAgain: boolean,
): Tensor {
  const { heads } = config;
  const L = x.shape[1]!;
  const branch = { rate: config.dropout, pathRate: rate, share: size(x.shape.slice(1)) };

  const norm = (name: string) => ({ weight: get(`${name}.weight`), bias: get(`${name}.bias`) });
  const [qkvWeight, qkvBias] = [get("attn.qkv.weight"), get("attn.qkv.bias")];
  const qkv = linear(x, qkvWeight, qkvBias, { norm: norm("norm1"), operand: true }); // [B, L, D] -> [B, L, 3 D]
  const attended = linear(attention(qkv, heads), get("attn.proj.weight"), get("attn.proj.bias"), {
    noise: drawNoise(random, branch),
    residual: x,
  }); // [B, L, D]

  const weights = {
    ...{ weight1: get("mlp.fc1.weight"), bias1: get("mlp.fc1.bias") }, // [ratio D, D]
    ...{ weight2: get("mlp.fc2.weight"), bias2: get("mlp.fc2.bias") }, // [D, ratio D]
  };
  const y = mlp(attended, attended, weights, {
    norm: norm("norm2"),
    hiddenNoise: drawNoise(random, { rate: config.dropout, share: L * modelSizes(config).hidden }),
    noise: drawNoise(random, branch),
    hiddenAgain,
  }); // [B, L, D]
  if (keepsNormed(attended)) free(attended);
  return y;
}
