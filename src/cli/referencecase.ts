/** One case of a reference implementation: reads it, computes it on an adapter, and says how far off each part is. */
import { join } from "node:path";
import { type Arena, clearGradients, makeArena, type Segment } from "../engine/arena.ts";
import { gradients } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import { free, read, scope, type Tensor, tensor, write, zeros } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import { readNpz } from "../files/npy.ts";
import { type ForwardOptions, type ModelInput, variableIds } from "../model/climax.ts";
import { type BoundNetwork, networkOf } from "../model/network.ts";
import { adamw } from "../ops/adamw.ts";
import { weightedMse } from "../ops/loss.ts";
import { type CheckpointResult, checkCheckpoints } from "./referencecheckpoint.ts";
import { type CaseInfo, networkConfigOf, readCaseInfo } from "./referenceinfo.ts";

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
  /** Of the weights in checkpoints that lie beside the case. */
  readonly checkpoints?: readonly CheckpointResult[];
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
  const info = await readCaseInfo(folder, name);
  if (typeof info === "string") return { name, notCovered: info };
  const path = join(folder, `${name}.npz`);
  const arrays = await readNpz(path);
  const array = (key: string): Float64Array => {
    const found = arrays.get(key);
    if (!found) throw new ClimaxError("data", `${path} has no array "${key}"`, "make the case again");
    return Float64Array.from(found.data as ArrayLike<number>);
  };
  const config = networkConfigOf(info, path, arrays.has("param/token_embeds.proj_weights"));
  const network = networkOf(config);
  const arena = makeArena(
    gpu,
    [...network.shapes].map(([key, shape]) => ({
      name: key,
      shape,
      group: groupOf(key, info, arrays.has(`grad/${key}`)),
    })),
  );
  for (const [key, t] of arena.parameters) write(t, array(`param/${key}`));

  const field = (key: string): Tensor => {
    const { values, shape } = cropped(array(key), arrays.get(key)!.shape, info);
    return tensor(gpu, shape, values);
  };
  const input: ModelInput = {
    x: field("x"),
    variables: variableIds(config, info.in_variables),
    leadHours: array("lead_times").map((hundreds) => hundreds * 100),
    outputs: variableIds(config, info.out_variables),
  };
  const y = field("y");
  const weights = rowWeights(array("lat"), info);
  const weight = tensor(gpu, [weights.length], weights);
  try {
    const preds = array("preds");
    const errorOfPredictions = (found: Float32Array) => errorOf(found, preds);
    const checkpoints = await checkCheckpoints(
      gpu,
      { folder, name, config, input, errorOf: errorOfPredictions },
      options,
    );
    const result = await compare({
      ...{ gpu, name, info, arena, arrays, array, options, input, network },
      loss: { y, weight },
    });
    return checkpoints.length > 0 ? { ...result, checkpoints } : result;
  } finally {
    const { segments } = arena;
    for (const t of [input.x, y, weight, ...segments.flatMap(({ value, grad }) => [value, grad])]) free(t);
  }
}

/** The part of fields [.., H, W] that enters, which is all without a region. */
function cropped(values: Float64Array, shape: readonly number[], { region_info: part }: CaseInfo) {
  if (!part) return { values, shape };
  const [H, W] = shape.slice(-2) as [number, number];
  const [h, w] = [part.max_h - part.min_h + 1, part.max_w - part.min_w + 1];
  const fields = values.length / (H * W);
  const kept = Float64Array.from({ length: fields * h * w }, (_, i) => {
    const row = part.min_h + (Math.floor(i / w) % h);
    return values[(Math.floor(i / (h * w)) * H + row) * W + part.min_w + (i % w)]!;
  });
  return { values: kept, shape: [...shape.slice(0, -2), h, w] };
}

/** How much each row of the fields counts in the loss. */
function rowWeights(lat: Float64Array, { loss, region_info: part }: CaseInfo): Float64Array {
  const rows = part ? lat.slice(part.min_h, part.max_h + 1) : lat;
  return loss === "MSE" ? rows.fill(1) : latitudeWeights(rows);
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
  readonly network: BoundNetwork;
}

async function compare(work: Case): Promise<CaseResult> {
  const { gpu, name, info, arena, arrays, array, options, input, network } = work;
  const { y, weight } = work.loss;
  const predict = (): Tensor => network.forward(arena.parameters, input, options);

  const once = scope(gpu, () => {
    const preds = predict();
    return { preds, ...weightedMse(preds, y, weight) };
  });
  const predictions = errorOf(await read(once.preds), array("preds"));
  const byVariable = await read(once.losses);
  let loss = 0;
  for (const [v, variable] of info.out_variables.entries()) {
    if (!arrays.has(`loss/${variable}`)) continue; // of a single output, `losses` says it
    loss = Math.max(loss, errorOf([byVariable[v]!], array(`loss/${variable}`)));
  }
  for (const t of Object.values(once)) free(t);

  const keys = [...arena.parameters.keys()];
  const afters = [...arrays.keys()].map((key) => Number(key.match(/^after(\d+)\//)?.[1] ?? 0));
  const losses = arrays.has("losses") ? array("losses") : new Float64Array();
  const count = Math.max(...afters, losses.length);
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
    if (step >= count) break;
    scope(gpu, () => adamwStep(gpu, arena.segments, moments, info.optimizer, step));
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

/**
 * A parameter without a gradient is left alone by the reference's optimiser, and so is a frozen one; one with a zero
 * gradient still decays.
 */
function groupOf(name: string, { optimizer, trainable }: CaseInfo, hasGradient: boolean): string {
  if (!hasGradient || trainable?.includes(name) === false) return "idle";
  return optimizer.no_decay.includes(name) ? "embeddings" : "decayed";
}

function adamwStep(
  gpu: Gpu,
  segments: readonly Segment[],
  moments: readonly (readonly [Tensor, Tensor])[],
  { lr, betas, eps, weight_decay }: CaseInfo["optimizer"],
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
