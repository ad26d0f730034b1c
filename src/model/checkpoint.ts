// A checkpoint: one safetensors file that holds all a forecast needs, and all a run needs to go on.
//
//   <name>                          every parameter, under the reference's name
//   optimiser.exp_avg.<name>        AdamW's moments, for --resume
//   optimiser.exp_avg_sq.<name>
//   optimiser.weight.<name>         what is trained, where <name> is a running mean of it
//   __metadata__.climax             CheckpointInfo as JSON
//   __metadata__.training           whatever the training loop needs to go on, as JSON

import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { fileSha256 } from "./filehash.ts";
import { allFinite } from "./finite.ts";
import { issuesText } from "./issues.ts";
import { NetworkConfig, networkOf } from "./network.ts";
import { looksLikeOnnx } from "./onnxhead.ts";
import { openSafetensors, type SafetensorsFile, type TensorSource, writeSafetensors } from "./safetensors.ts";
import { openWeightFile } from "./weightfile.ts";

const hours = z.number().nonnegative();
const axes = z.object({ lat: z.array(z.number()), lon: z.array(z.number()) });

/** A variable as the network sees it: (x - mean) / std, of the training period, in `units`. */
const scaled = z.object({
  name: z.string(),
  units: z.string(),
  mean: z.number(),
  std: z.number().positive(),
});

/** What a network was trained to do with a state. */
const Task = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("forecast") }),
  z.object({
    kind: z.literal("mean"),
    hours: hours.describe("the outputs are means over so long, beginning at the lead time"),
  }),
  z.object({
    kind: z.literal("downscaling"),
    from: axes.describe("grid of the fields before they are interpolated to the checkpoint's"),
    method: z.string().describe("how they are interpolated"),
  }),
  z.object({
    kind: z.literal("projection"),
    history: z.int().positive().describe("steps of the inputs that enter, the last that of the outputs"),
  }),
]);
export type Task = z.output<typeof Task>;

/** What the model was made for: its variables and how they were normalised, its grid and its lead times. */
export const CheckpointInfo = z
  .object({
    format: z.literal("climax-checkpoint"),
    version: z.literal(1),
    model: NetworkConfig,
    task: Task.default({ kind: "forecast" }),
    variables: z.array(scaled).describe("those it was trained with; the model may know more"),
    targets: z
      .array(scaled)
      .optional()
      .describe("outputs that are normalised otherwise than the input of that name"),
    inputs: z
      .array(z.string())
      .min(1)
      .optional()
      .describe("the variables that enter; all of them when left out"),
    outputs: z.array(z.string()).min(1).describe("the variables it was trained to predict"),
    grid: axes.describe("of the fields that enter and leave; degrees north, degrees east"),
    region: z.string().optional().describe("which part of the globe that is"),
    leads: z
      .union([z.object({ min: hours, max: hours, step: z.number().positive() }), z.array(hours).min(1)])
      .describe("lead times it was trained with, hours"),
    synthetic: z.boolean().describe("trained on a simulated atmosphere"),
    provenance: z.record(z.string(), z.unknown()),
  })
  .superRefine(({ model, variables, inputs = [], outputs, grid }, ctx) => {
    const issue = (path: string, message: string) => ctx.addIssue({ code: "custom", path: [path], message });
    const known = new Set(variables.map(({ name }) => name));
    if (known.size < variables.length) issue("variables", "a variable is listed twice");
    const strange = variables.find(({ name }) => !model.variables.includes(name));
    if (strange) issue("variables", `the model has no variable "${strange.name}"`);
    for (const [path, names] of Object.entries({ inputs, outputs })) {
      const unknown = names.find((name) => !known.has(name));
      if (unknown) issue(path, `"${unknown}" is not among the variables`);
    }
    const shape = networkOf(model).fieldShape;
    if (grid.lat.length !== shape[0] || grid.lon.length !== shape[1]) {
      issue("grid", `${grid.lat.length} x ${grid.lon.length} points, but the model has ${shape.join(" x ")}`);
    }
  });

export type CheckpointInfo = z.output<typeof CheckpointInfo>;

/** The state of AdamW, by parameter name. */
export interface Moments {
  readonly expAvg: (name: string) => Float32Array | Promise<Float32Array>;
  readonly expAvgSq: (name: string) => Float32Array | Promise<Float32Array>;
}

export interface Checkpoint {
  readonly path: string;
  readonly info: CheckpointInfo;
  /** The training loop's own state; undefined in a checkpoint that cannot be resumed. */
  readonly training: unknown;
  /** Reads one parameter. */
  parameter(name: string): Promise<Float32Array>;
  readonly moments: Moments | undefined;
  /** Reads one parameter as it is trained, of which `parameter` may be a running mean. */
  trained(name: string): Promise<Float32Array>;
  /** Of the whole file, in hexadecimal: what a forecast made with it is labelled with. */
  sha256(): Promise<string>;
  close(): Promise<void>;
}

const TRAINED = "optimiser.weight.";

/**
 * Writes a checkpoint; it appears whole or not at all.
 *
 * @param parameter  reads one parameter, e.g. from the GPU; called for one name after the other
 * @param resume     AdamW's moments and the loop's own state, as JSON; what is trained, if `parameter` is a mean of it
 * @throws           ClimaxError "checkpoint" if the place cannot be written
 */
export async function writeCheckpoint(
  path: string,
  info: CheckpointInfo,
  parameter: (name: string) => Float32Array | Promise<Float32Array>,
  resume?: {
    readonly moments: Moments;
    readonly training: unknown;
    readonly trained?: (name: string) => Float32Array | Promise<Float32Array>;
  },
): Promise<void> {
  const checked = CheckpointInfo.parse(info); // to write what cannot be read back would be our fault
  const shapes = [...networkOf(checked.model).shapes];
  const tensors: TensorSource[] = shapes.map(([name, shape]) => ({
    name,
    shape,
    values: () => parameter(name),
  }));
  const metadata: Record<string, string> = { climax: JSON.stringify(checked) };
  if (resume) {
    const { moments, trained } = resume;
    const { expAvg, expAvgSq } = moments;
    metadata.training = JSON.stringify(resume.training);
    for (const [name, shape] of shapes) {
      tensors.push({ name: `optimiser.exp_avg.${name}`, shape, values: () => expAvg(name) });
      tensors.push({ name: `optimiser.exp_avg_sq.${name}`, shape, values: () => expAvgSq(name) });
      if (trained) tensors.push({ name: `${TRAINED}${name}`, shape, values: () => trained(name) });
    }
  }
  await writeSafetensors(path, tensors, metadata);
}

/**
 * Opens a checkpoint and checks that it is complete: every parameter of its model is there in its shape, and nothing
 * else. Values are read on demand. The caller closes it.
 *
 * @throws ClimaxError "checkpoint" that says what is missing or wrong
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const file = await openSafetensors(path).catch((error: unknown) => unlessOfOthers(path, error));
  try {
    const info = readInfo(file);
    const { shapes } = networkOf(info.model);
    const resumable = file.metadata.has("training");
    const averaged = [...file.tensors.keys()].some((name) => name.startsWith(TRAINED));
    checkTensors(file, shapes, resumable, averaged);
    return {
      path,
      info,
      training: resumable ? parseJson(path, "training", file.metadata.get("training")!) : undefined,
      parameter: (name) => readFinite(file, name),
      moments: resumable
        ? {
            expAvg: (name) => readFinite(file, `optimiser.exp_avg.${name}`),
            expAvgSq: (name) => readFinite(file, `optimiser.exp_avg_sq.${name}`),
          }
        : undefined,
      trained: (name) => readFinite(file, averaged ? `${TRAINED}${name}` : name),
      sha256: () => fileSha256(path),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** @throws ClimaxError "checkpoint" that names ONNX, and the way for PyTorch: a zip, a tar, or the form before 1.6 */
async function unlessOfOthers(path: string, error: unknown): Promise<never> {
  const file = await openWeightFile(path).catch(() => {
    throw error; // it could not be opened the first time either
  });
  const head = await file.read(0, Math.min(512, file.size)).finally(() => file.close());
  const text = Buffer.from(head).toString("latin1");
  if (looksLikeOnnx(head)) {
    throw new ClimaxError(
      "checkpoint",
      `${path} is an ONNX file: a graph of operators, for programs that run it; wanted a climax checkpoint (.safetensors)`,
      "use the checkpoint that it was exported from",
      { cause: error },
    );
  }
  const begins = ["PK\x03\x04", "\x80\x02\x8a\x0a"].some((magic) => text.startsWith(magic));
  if (!begins && !text.startsWith("ustar", 257)) throw error;
  throw new ClimaxError(
    "checkpoint",
    `${path} is a file of PyTorch; wanted a climax checkpoint (.safetensors)`,
    `climax inspect ${path} shows the climax convert that makes one of it`,
    { cause: error },
  );
}

function refuse(path: string, what: string, hint = "train it again, or take another checkpoint"): never {
  throw new ClimaxError("checkpoint", `${path} is no usable climax checkpoint: ${what}`, hint);
}

function parseJson(path: string, key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return refuse(path, `its metadata "${key}" is not JSON`);
  }
}

function readInfo({ path, metadata }: SafetensorsFile): CheckpointInfo {
  const text = metadata.get("climax");
  if (text === undefined) {
    refuse(
      path,
      "it has weights only, without variables, normalisation and grid",
      `use a checkpoint that climax pretrain or finetune wrote, or climax convert ${path} -o OUT.safetensors, which adds them`,
    );
  }
  const json = parseJson(path, "climax", text);
  const { version } = (json ?? {}) as { version?: unknown };
  if (typeof version === "number" && version > 1) {
    refuse(path, `it has format version ${version}, and this climax reads version 1`, "use a newer climax");
  }
  const parsed = CheckpointInfo.safeParse(json);
  if (!parsed.success) refuse(path, issuesText(parsed.error));
  return parsed.data;
}

function checkTensors(
  { path, tensors }: SafetensorsFile,
  shapes: ReadonlyMap<string, readonly number[]>,
  resumable: boolean,
  averaged: boolean,
): void {
  const prefixes = [
    "",
    ...(resumable ? ["optimiser.exp_avg.", "optimiser.exp_avg_sq."] : []),
    ...(resumable && averaged ? [TRAINED] : []),
  ];
  const left = new Set(tensors.keys());
  for (const prefix of prefixes) {
    for (const [name, shape] of shapes) {
      const entry = tensors.get(prefix + name);
      if (!entry) refuse(path, `"${prefix + name}" is missing`);
      if (entry.shape.join() !== shape.join()) {
        refuse(path, `"${prefix + name}" is [${entry.shape}], expected [${shape}]`);
      }
      left.delete(prefix + name);
    }
  }
  const [strange] = left;
  if (strange !== undefined) refuse(path, `"${strange}" is no parameter of its model`);
}

/** A NaN in the weights would spoil every forecast without a word. */
async function readFinite(file: SafetensorsFile, name: string): Promise<Float32Array> {
  const values = await file.read(name);
  if (!allFinite(values)) {
    refuse(file.path, `"${name}" holds values that are not finite`, "take an earlier checkpoint of that run");
  }
  return values;
}
