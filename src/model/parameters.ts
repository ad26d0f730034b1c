// The parameters of ClimaX: their PyTorch names, shapes and starting values, in the order of its state dict.
import { type ModelConfig, modelSizes } from "./config.ts";
import type { EncoderConfig } from "./encoder.ts";
import { sineCosine1d, sineCosine2d } from "./positions.ts";

/** Names of the tensors that tokenise variable `v`; in the parallel form all variables share one pair. */
export function tokenNames(
  config: Pick<ModelConfig, "parallelPatchEmbed">,
  v: number,
): { weight: string; bias: string } {
  return config.parallelPatchEmbed
    ? { weight: "token_embeds.proj_weights", bias: "token_embeds.proj_biases" }
    : { weight: `token_embeds.${v}.proj.weight`, bias: `token_embeds.${v}.proj.bias` };
}

type Shapes = Map<string, readonly number[]>;

/** Every parameter's shape by name. Linear weights are [out, in], as PyTorch keeps them. */
export function parameterShapes(config: ModelConfig): Shapes {
  const { variables, patchSize: p } = config;
  const shapes: Shapes = new Map();
  shapes.set("var_embed", [1, variables.length, config.embedDim]);
  shapes.set("var_query", [1, 1, config.embedDim]);
  addPositions(shapes, config);
  addVariableTokens(shapes, config, variables.length);
  addEncoder(shapes, config);
  addHead(shapes, config, variables.length * p * p);
  return shapes;
}

function addLinear(shapes: Shapes, name: string, out: number, into: number): void {
  shapes.set(`${name}.weight`, [out, into]);
  shapes.set(`${name}.bias`, [out]);
}

/** Adds the embeddings of the grid's positions. */
export function addPositions(shapes: Shapes, config: EncoderConfig): void {
  const { rows, columns } = modelSizes(config);
  shapes.set("pos_embed", [1, rows * columns, config.embedDim]);
}

/** Adds the tokens of V variables and what aggregates them. */
export function addVariableTokens(
  shapes: Shapes,
  config: Pick<ModelConfig, "patchSize" | "embedDim" | "parallelPatchEmbed">,
  V: number,
): void {
  const { patchSize: p, embedDim: D, parallelPatchEmbed } = config;
  if (parallelPatchEmbed) {
    shapes.set("token_embeds.proj_weights", [V, D, 1, p, p]);
    shapes.set("token_embeds.proj_biases", [V, D]);
  } else {
    for (let v = 0; v < V; v++) {
      const { weight, bias } = tokenNames(config, v);
      shapes.set(weight, [D, 1, p, p]);
      shapes.set(bias, [D]);
    }
  }
  addAggregation(shapes, "var_agg", D);
}

/** Adds torch.nn.MultiheadAttention's parameters. */
export function addAggregation(shapes: Shapes, name: string, D: number): void {
  shapes.set(`${name}.in_proj_weight`, [3 * D, D]);
  shapes.set(`${name}.in_proj_bias`, [3 * D]);
  addLinear(shapes, `${name}.out_proj`, D, D);
}

/** Adds the embedding of lead times, the blocks and the last norm. */
export function addEncoder(shapes: Shapes, config: EncoderConfig): void {
  const { embedDim: D, depth } = config;
  const { hidden } = modelSizes(config);
  const norm = (name: string) => {
    shapes.set(`${name}.weight`, [D]);
    shapes.set(`${name}.bias`, [D]);
  };
  addLinear(shapes, "lead_time_embed", D, 1);
  for (let i = 0; i < depth; i++) {
    norm(`blocks.${i}.norm1`);
    addLinear(shapes, `blocks.${i}.attn.qkv`, 3 * D, D);
    addLinear(shapes, `blocks.${i}.attn.proj`, D, D);
    norm(`blocks.${i}.norm2`);
    addLinear(shapes, `blocks.${i}.mlp.fc1`, hidden, D);
    addLinear(shapes, `blocks.${i}.mlp.fc2`, D, hidden);
  }
  norm("norm");
}

/** Adds a head of hidden layers that ends in `out` values for each patch. */
export function addHead(
  shapes: Shapes,
  { embedDim: D, decoderDepth }: Pick<ModelConfig, "embedDim" | "decoderDepth">,
  out: number,
): void {
  for (let i = 0; i < decoderDepth; i++) addLinear(shapes, `head.${2 * i}`, D, D); // the odd places are GELUs
  addLinear(shapes, `head.${2 * decoderDepth}`, out, D);
}

/**
 * Names of the parameters on which predictions from these variables depend. The rest gets no gradient, and the
 * reference's optimiser leaves it alone: no decay either.
 *
 * @param variables  places in the model's list
 */
export function usedParameters(config: ModelConfig, variables: readonly number[]): Set<string> {
  const used = new Set(parameterShapes(config).keys());
  for (let v = 0; v < config.variables.length && !config.parallelPatchEmbed; v++) {
    if (variables.includes(v)) continue;
    const { weight, bias } = tokenNames(config, v);
    used.delete(weight);
    used.delete(bias);
  }
  return used;
}

/** Whether AdamW decays this parameter: all but the embeddings of variables, positions and time. */
export function decays(name: string): boolean {
  return name !== "var_embed" && name !== "pos_embed" && name !== "time_pos_embed";
}

/** Starting values of ClimaX by name. */
export function initialise(
  config: ModelConfig,
  seed: number,
  only?: ReadonlySet<string>,
): Map<string, Float32Array> {
  return startValues(parameterShapes(config), config, seed, only);
}

/**
 * Starting values by name: the reference's distributions, each parameter from its own stream of `seed`, so that
 * a parameter starts alike whatever else the model has.
 *
 * Weights are normal with deviation 0.02 (the reference cuts them at ±2, a hundred deviations out), biases 0;
 * biases of patch embeddings uniform in ±1/sqrt(values of a patch) (PyTorch's default for a convolution); input weights
 * of the aggregations Xavier uniform; var_embed, pos_embed and time_pos_embed sine-cosine; queries 0; LayerNorm 1 and 0.
 * The projection's head and time_agg.out_proj stay as PyTorch makes them: uniform in ±1/sqrt(D).
 *
 * @param shapes  by name, those of a network of patches and attention
 * @param only    names wanted; all when left out
 */
export function startValues(
  shapes: ReadonlyMap<string, readonly number[]>,
  config: EncoderConfig,
  seed: number,
  only?: ReadonlySet<string>,
): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  for (const [name, shape] of shapes) {
    if (!only || only.has(name)) values.set(name, start(config, name, shape, shapes, seed));
  }
  return values;
}

function start(
  config: EncoderConfig,
  name: string,
  shape: readonly number[],
  shapes: ReadonlyMap<string, readonly number[]>,
  seed: number,
): Float32Array {
  const { embedDim: D, patchSize } = config;
  const { rows, columns } = modelSizes(config);
  if (name === "pos_embed") return Float32Array.from(sineCosine2d(D, rows, columns));
  if (name === "var_embed" || name === "time_pos_embed") {
    const places = Array.from({ length: shape[1]! }, (_, i) => i);
    return Float32Array.from(sineCosine1d(D, places));
  }

  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  const random = uniform(seed, name);
  if (/(^|\.)norm\d?\.weight$/.test(name)) return values.fill(1);
  if (/^(var|time)_agg\.in_proj_weight$/.test(name)) {
    fillUniform(values, Math.sqrt(6 / (shape[0]! + shape[1]!)), random); // Glorot and Bengio 2010, equation 16
  } else if (/^token_embeds\..*bias(es)?$/.test(name)) {
    fillUniform(values, 1 / patchSize, random);
  } else if (name === "patch_embed.proj.bias") {
    const [, V] = shapes.get("patch_embed.proj.weight")!;
    fillUniform(values, 1 / (patchSize * Math.sqrt(V!)), random);
  } else if (/^(head\.(weight|bias)|time_agg\.out_proj\.weight)$/.test(name)) {
    fillUniform(values, 1 / Math.sqrt(D), random);
  } else if (name.endsWith("weight") || name.endsWith("weights")) {
    fillNormal(values, 0.02, random);
  }
  return values;
}

/** Fills with numbers uniform in ±bound. */
export function fillUniform(values: Float32Array, bound: number, random: () => number): void {
  for (let i = 0; i < values.length; i++) values[i] = bound * (2 * random() - 1);
}

/** Pairs of normal numbers from pairs of uniform ones (Box and Muller 1958). */
function fillNormal(values: Float32Array, deviation: number, random: () => number): void {
  for (let i = 0; i < values.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < values.length) values[i + 1] = radius * Math.sin(angle);
  }
}

/** Numbers in [0, 1) with 32 bits each: sfc32 (Doty-Humphrey), seeded by an FNV-1a hash of seed and name. */
export function uniform(seed: number, stream: string): () => number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`${seed}/${stream}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  let [a, b, c, counter] = [hash, seed | 0, Math.imul(hash, 0x9e3779b9), 1];
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next(); // the first numbers still show the seed
  return next;
}
