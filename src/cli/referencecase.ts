/** One case of a reference implementation: reads it, computes it on an adapter, and says how far off each part is. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readNpz } from "../data/npy.ts";
import { type Arena, clearGradients, makeArena, type Segment } from "../engine/arena.ts";
import { gradients } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import { free, read, scope, type Tensor, tensor, write, zeros } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import { type ForwardOptions, forward, type ModelInput, variableIds } from "../model/climax.ts";
import { ModelConfig } from "../model/config.ts";
import { parameterShapes } from "../model/parameters.ts";
import { adamw } from "../ops/adamw.ts";
import { weightedMse } from "../ops/loss.ts";

const strings = z.array(z.string());

/** The json beside each case. */
const CaseInfo = z.object({
  config: z.object({
    default_vars: strings,
    img_size: z.tuple([z.int(), z.int()]),
    patch_size: z.int(),
    embed_dim: z.int(),
    depth: z.int(),
    decoder_depth: z.int().default(2),
    num_heads: z.int(),
    mlp_ratio: z.number(),
    time_history: z.int().optional(),
  }),
  in_variables: strings,
  out_variables: strings,
  loss: z.string(),
  region: z.string().optional(),
  optimizer: z
    .object({
      name: z.string(),
      lr: z.number(),
      betas: z.tuple([z.number(), z.number()]),
      eps: z.number(),
      weight_decay: z.number(),
      no_decay: strings,
    })
    .optional(),
});
type CaseInfo = z.output<typeof CaseInfo>;

/** Norm of the difference over norm, of the tensor that is furthest off. */
export interface Worst {
  readonly name: string;
  readonly error: number;
}

export interface CaseResult {
  readonly name: string;
  /** Why it was not computed. */
  readonly notCovered?: string;
  readonly predictions?: number;
  /** Over the losses by variable and those of every step. */
  readonly loss?: number;
  readonly gradient?: Worst;
  /** After each number of steps that the case has. */
  readonly steps?: readonly (Worst & { readonly after: number })[];
}

/** Computes one case and compares it. */
export async function checkCase(
  gpu: Gpu,
  folder: string,
  name: string,
  options: ForwardOptions = {},
): Promise<CaseResult> {
  const info = await readInfo(folder, name);
  const notCovered = typeof info === "string" ? info : uncovered(info);
  if (typeof info === "string" || notCovered) return { name, notCovered: notCovered! };
  const path = join(folder, `${name}.npz`);
  const arrays = await readNpz(path);
  const array = (key: string): Float64Array => {
    const found = arrays.get(key);
    if (!found) throw new ClimaxError("data", `${path} has no array "${key}"`, "make the case again");
    return Float64Array.from(found.data as ArrayLike<number>);
  };
  const config = configOf(info, path, arrays.has("param/token_embeds.proj_weights"));
  const shapes = parameterShapes(config);
  const arena = makeArena(
    gpu,
    [...shapes].map(([key, shape]) => ({
      name: key,
      shape,
      group: groupOf(key, info, arrays.has(`grad/${key}`)),
    })),
  );
  for (const [key, t] of arena.parameters) write(t, array(`param/${key}`));

  const [xShape, yShape] = [arrays.get("x")!.shape, arrays.get("y")!.shape];
  const input: ModelInput = {
    x: tensor(gpu, xShape, array("x")),
    variables: variableIds(config, info.in_variables),
    leadHours: array("lead_times").map((hundreds) => hundreds * 100),
    outputs: variableIds(config, info.out_variables),
  };
  const y = tensor(gpu, yShape, array("y"));
  const weight = tensor(gpu, [yShape[2]!], latitudeWeights(array("lat")));
  try {
    return await compare({
      gpu,
      name,
      info,
      arena,
      arrays,
      array,
      options,
      loss: { y, weight },
      input,
      config,
    });
  } finally {
    const { parameters: _, segments } = arena;
    for (const t of [input.x, y, weight, ...segments.flatMap(({ value, grad }) => [value, grad])]) free(t);
  }
}

interface Case {
  readonly gpu: Gpu;
  readonly name: string;
  readonly info: CaseInfo;
  readonly arena: Arena;
  readonly arrays: ReadonlyMap<string, unknown>;
  readonly array: (key: string) => Float64Array;
  readonly options: ForwardOptions;
  readonly loss: { readonly y: Tensor; readonly weight: Tensor };
  readonly input: ModelInput;
  readonly config: ModelConfig;
}

async function compare(work: Case): Promise<CaseResult> {
  const { gpu, name, info, arena, arrays, array, options, input, config } = work;
  const { y, weight } = work.loss;
  const predict = (): Tensor => forward(arena.parameters, config, input, options);

  const once = scope(gpu, () => {
    const preds = predict();
    return { preds, ...weightedMse(preds, y, weight) };
  });
  const predictions = errorOf(await read(once.preds), array("preds"));
  const byVariable = await read(once.losses);
  let loss = 0;
  for (const [v, variable] of info.out_variables.entries()) {
    loss = Math.max(loss, errorOf([byVariable[v]!], array(`loss/${variable}`)));
  }
  for (const t of Object.values(once)) free(t);

  const keys = [...arena.parameters.keys()];
  const afters = [...arrays.keys()].map((key) => Number(key.match(/^after(\d+)\//)?.[1] ?? 0));
  const losses = arrays.has("losses") ? array("losses") : new Float64Array();
  const count = info.optimizer ? Math.max(...afters, losses.length) : 0;
  const moments = arena.segments.map(
    ({ value }) => [zeros(gpu, value.shape), zeros(gpu, value.shape)] as const,
  );
  const stepped: (Worst & { after: number })[] = [];
  let gradient: Worst | undefined;
  for (let step = 0; step < Math.max(1, count); step++) {
    clearGradients(arena);
    const total = scope(gpu, () => gradients(() => weightedMse(predict(), y, weight).loss).y);
    if (step < losses.length) loss = Math.max(loss, errorOf(await read(total), [losses[step]!]));
    free(total);
    if (step === 0) {
      const given = keys.filter((key) => arrays.has(`grad/${key}`));
      gradient = await worstOf(
        given,
        (key) => arena.parameters.get(key)!.grad!,
        (key) => array(`grad/${key}`),
      );
    }
    if (!info.optimizer || step >= count) break;
    scope(gpu, () => adamwStep(gpu, arena.segments, moments, info.optimizer!, step));
    if (afters.includes(step + 1)) {
      const prefix = `after${step + 1}/`;
      const given = keys.filter((key) => arrays.has(prefix + key));
      const worst = await worstOf(
        given,
        (key) => arena.parameters.get(key)!,
        (key) => array(prefix + key),
      );
      if (worst) stepped.push({ after: step + 1, ...worst });
    }
  }
  for (const t of moments.flat()) free(t);
  return { name, predictions, loss, steps: stepped, ...(gradient ? { gradient } : {}) };
}

async function readInfo(folder: string, name: string): Promise<CaseInfo | string> {
  const path = join(folder, `${name}.json`);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return "no model case, it has no .json";
  }
  try {
    return CaseInfo.parse(JSON.parse(text));
  } catch (error) {
    // A task with its own settings need not have ours.
    const raw = looseJson(text);
    if (raw && "time_history" in (raw.config ?? {})) return "task climate projection";
    const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new ClimaxError("data", `${path} does not describe a case: ${why}`, "make the case again");
  }
}

function looseJson(text: string): { config?: object } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function uncovered({ config, region, loss, optimizer }: CaseInfo): string | undefined {
  if (config.time_history !== undefined) return "task climate projection";
  if (region !== undefined) return "task regional forecast";
  if (loss !== "latitude-weighted MSE") return `loss ${loss}`;
  if (optimizer && optimizer.name !== "AdamW") return `optimiser ${optimizer.name}`;
  return undefined;
}

function configOf({ config }: CaseInfo, path: string, parallelPatchEmbed: boolean): ModelConfig {
  const parsed = ModelConfig.safeParse({
    variables: config.default_vars,
    gridShape: config.img_size,
    patchSize: config.patch_size,
    embedDim: config.embed_dim,
    depth: config.depth,
    decoderDepth: config.decoder_depth,
    heads: config.num_heads,
    mlpRatio: config.mlp_ratio,
    dropPath: 0,
    dropout: 0,
    parallelPatchEmbed,
  });
  if (parsed.success) return parsed.data;
  throw new ClimaxError("data", `${path}: ${z.prettifyError(parsed.error)}`, "make the case again");
}

/** A parameter without a gradient is left alone by the reference's optimiser; one with a zero gradient still decays. */
function groupOf(name: string, { optimizer }: CaseInfo, hasGradient: boolean): string {
  if (!hasGradient) return "idle";
  return optimizer?.no_decay.includes(name) ? "embeddings" : "decayed";
}

function adamwStep(
  gpu: Gpu,
  segments: readonly Segment[],
  moments: readonly (readonly [Tensor, Tensor])[],
  { lr, betas, eps, weight_decay }: NonNullable<CaseInfo["optimizer"]>,
  step: number,
): undefined {
  const groups = segments.map(({ group, value, grad }, i) => {
    const [m, v] = moments[i]!;
    return { group, value, grad, m, v, decay: group === "decayed" ? weight_decay : 0 };
  });
  const settings = { rate: lr, beta1: betas[0], beta2: betas[1], eps, clip: 0, t: step + 1 };
  adamw(
    gpu,
    groups.filter(({ group }) => group !== "idle"),
    settings,
  );
}

function latitudeWeights(lat: Float64Array): Float64Array {
  const cosines = lat.map((degrees) => Math.cos((degrees * Math.PI) / 180));
  const mean = cosines.reduce((a, b) => a + b, 0) / cosines.length;
  return cosines.map((value) => value / mean);
}

/** The tensor furthest from its reference. */
async function worstOf(
  names: readonly string[],
  ours: (name: string) => Tensor,
  theirs: (name: string) => Float64Array,
): Promise<Worst | undefined> {
  let worst: Worst | undefined;
  for (const name of names) {
    const wanted = theirs(name);
    const found = await read(ours(name));
    // The keys' third of an attention bias shifts all scores of a query alike: its gradient is zero, and what either
    // side has there is rounding, which AdamW blows up.
    const third = /in_proj_bias$|attn\.qkv\.bias$/.test(name) ? wanted.length / 3 : 0;
    const keep = (values: ArrayLike<number>) =>
      third > 0 ? Array.from(values).toSpliced(third, third) : values;
    const error = errorOf(keep(found), keep(wanted));
    if (!worst || !(error <= worst.error)) worst = { name, error };
  }
  return worst;
}

/** Norm of the difference over norm. Of nothing, 0 if both are zero. */
export function errorOf(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (found.length !== wanted.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < wanted.length; i++) {
    difference += (found[i]! - wanted[i]!) ** 2;
    norm += wanted[i]! ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}
