// What a file of weights is: its network, variables, grid, training and tensors, and the commands that use it.

import { ClimaxError } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import { describeGrid, makeGrid } from "../grid/grid.ts";
import { type Checkpoint, CheckpointInfo, openCheckpoint } from "../model/checkpoint.ts";
import { bytesOf } from "../model/dtypes.ts";
import { fileSha256 } from "../model/filehash.ts";
import { issuesText } from "../model/issues.ts";
import { networkName, networkOf } from "../model/network.ts";
import { openSafetensors } from "../model/safetensors.ts";
import { describeBare } from "./bareweights.ts";
import { leadWords, taskWords } from "./modelcard.ts";
import { nextForBare, nextForCheckpoint, nextForExported } from "./nextcommands.ts";
import { openWeights } from "./openweights.ts";
import { networkParts, partOf } from "./parts.ts";
import { oneLine, trainingStages } from "./provenance.ts";
import { saidEntries } from "./saidentries.ts";
import type { WeightSource } from "./source.ts";
import { mostNumbers, tensorValues, unlooked } from "./tensorvalues.ts";
import type { InspectedTensor, InspectedWeights } from "./weightsschema.ts";

export interface InspectWeightsOptions {
  /** Classes in a PyTorch file that may be left unbuilt although they are not known. */
  readonly allow?: readonly string[];
  /** Told of the bytes read so far, and of those that will be. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Looks into one file of weights. Reads all of it: for its SHA-256, and the model's tensors one after the other.
 *
 * @throws ClimaxError "checkpoint" when it is damaged or hostile, or a climax checkpoint that is not whole
 */
export async function inspectWeights(
  path: string,
  options: InspectWeightsOptions = {},
): Promise<InspectedWeights> {
  const source = await openWeights(path, options.allow ? { allow: options.allow } : {});
  try {
    const about = await describe(source);
    const sizes = [...source.tensors.values()].map(({ dtype, shape }) => count(shape) * bytesOf[dtype]);
    const total = source.bytes + sizes.reduce((sum, bytes) => sum + bytes, 0);
    let done = 0;
    const progress = (bytes: number) => options.onProgress?.((done += bytes), total);
    const tensors = await readTensors(source, about.inReference, progress);
    const spoiled = nonFinite(tensors);
    return {
      path,
      format: source.format,
      bytes: source.bytes,
      sha256: await fileSha256(path, progress),
      parameters: tensors.reduce((sum, { shape }) => sum + count(shape), 0),
      dtypes: dtypesOf(tensors),
      parts: networkParts(tensors.map(({ name, shape }) => [about.inReference.get(name) ?? name, shape])),
      says: saidEntries(source.says),
      tensors,
      ...about.found,
      notes: about.found.notes.map((note) => oneLine(note, 2000)), // names of a file's own stand in them
      ...(spoiled === undefined
        ? {}
        : {
            problems: [...about.found.problems, spoiled],
            next: { usable: false, why: "take an earlier checkpoint of that run", commands: [] },
          }),
    };
  } finally {
    await source.close();
  }
}

/** What is said of a file before its tensors are read. */
type Found = Omit<
  InspectedWeights,
  "path" | "format" | "bytes" | "sha256" | "parameters" | "dtypes" | "parts" | "says" | "tensors"
>;

interface About {
  readonly found: Found;
  /** Names in the file to the reference's. */
  readonly inReference: ReadonlyMap<string, string>;
}

async function describe(source: WeightSource): Promise<About> {
  const { climax } = source.says;
  if (climax === undefined) return describeForeign(source);
  if (source.format === "safetensors") return describeCheckpoint(source);
  return describeExported(source, climax);
}

/** A checkpoint of climax, checked whole. */
async function describeCheckpoint(source: WeightSource): Promise<About> {
  const checkpoint = await openCheckpoint(source.path);
  try {
    return {
      inReference: new Map(),
      found: {
        ...infoFacts(checkpoint.info),
        kind: "climax checkpoint",
        title: "climax checkpoint",
        names: { prefix: "", older: false },
        resume: await resumeOf(checkpoint),
        problems: [],
        notes: source.notes.filter((note) => !note.startsWith("optimiser states left out")),
        next: nextForCheckpoint(source.path, checkpoint.info),
      },
    };
  } finally {
    await checkpoint.close();
  }
}

async function resumeOf({ path, moments, info }: Checkpoint): Promise<Found["resume"]> {
  const file = await openSafetensors(path);
  try {
    const states = [...file.tensors].filter(([name]) => name.startsWith("optimiser."));
    const bytes = states.reduce((sum, [, { start, end }]) => sum + end - start, 0);
    const step = info.provenance.step;
    const at = typeof step === "number" ? `at step ${step}` : "where it stopped";
    return moments
      ? { possible: true, bytes, why: `optimiser states, ${bytesText(bytes)}: --resume goes on ${at}` }
      : { possible: false, bytes: 0, why: "no optimiser states: a start for finetuning, not for --resume" };
  } finally {
    await file.close();
  }
}

/** A file for PyTorch that climax wrote, with its own description in it. */
async function describeExported(source: WeightSource, climax: unknown): Promise<About> {
  const bare = await describeBare(source);
  const parsed = CheckpointInfo.safeParse(jsonOf(climax));
  if (!parsed.success) {
    const what = typeof climax === "string" ? issuesText(parsed.error) : "it is no text";
    throw new ClimaxError(
      "checkpoint",
      `what ${source.path} says of itself under "climax" cannot be read: ${what}`,
      "export it again with climax convert",
    );
  }
  const info = parsed.data;
  return {
    inReference: bare.inReference,
    found: {
      ...infoFacts(info),
      kind: "climax checkpoint",
      title: "climax checkpoint exported for PyTorch",
      names: bare.names,
      resume: { possible: false, bytes: 0, why: "no optimiser states: exports hold the weights alone" },
      problems: bare.against(info.model),
      notes: [...source.notes],
      next: nextForExported(source.path, info),
    },
  };
}

function jsonOf(text: unknown): unknown {
  if (typeof text !== "string") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Weights of another program. */
async function describeForeign(source: WeightSource): Promise<About> {
  const bare = await describeBare(source);
  const optimiser = source.notes.find((note) => note.startsWith("optimiser states left out: "));
  const states = optimiser?.replace("optimiser states left out: ", "");
  return {
    inReference: bare.inReference,
    found: {
      kind: bare.names ? "ClimaX weights" : "other weights",
      title: titleOf(source),
      synthetic: false,
      names: bare.names,
      network: bare.network,
      task: bare.task,
      variables: bare.variables,
      variableCount: bare.variableCount,
      normalised: false,
      grid: bare.grid,
      region: bare.region,
      leads: bare.leads,
      training: trainingOf(source),
      resume: {
        possible: false,
        bytes: states === undefined ? 0 : null,
        why:
          states === undefined
            ? "no optimiser states"
            : `optimiser states of PyTorch (${states}), which only the program that wrote them takes up`,
      },
      problems: bare.problems,
      notes: [...source.notes.filter((note) => note !== optimiser), ...bare.notes],
      next: nextForBare(source.path, bare),
    },
  };
}

/** What Lightning and training loops say of how far they were. */
function trainingOf({ says }: WeightSource): Found["training"] {
  const steps = says.global_step ?? says.step;
  if (typeof steps !== "number" && typeof says.epoch !== "number") return [];
  const [stage] = trainingStages({ stage: "trained elsewhere", step: steps });
  const epoch = typeof says.epoch === "number" ? { epoch: String(says.epoch) } : {};
  return [{ ...stage!, settings: epoch }];
}

/** What wrote it, in words. */
function titleOf({ format, says }: WeightSource): string {
  const version = says["pytorch-lightning_version"];
  const form = {
    "PyTorch zip": "zip",
    "PyTorch before 1.6": "the form before 1.6",
    "PyTorch tar": "tar, as before 0.1.10",
  };
  if (format === "safetensors") return "safetensors";
  if (typeof version === "string")
    return `PyTorch Lightning ${oneLine(version, 20)} checkpoint (${form[format]})`;
  return `${Object.keys(says).length === 0 ? "bare state dict" : "checkpoint"} of PyTorch (${form[format]})`;
}

/** What a climax checkpoint's own description says. */
function infoFacts(info: CheckpointInfo) {
  const { model, variables } = info;
  const network = networkOf(model);
  const entering = new Set(info.inputs ?? variables.map(({ name }) => name));
  const leaving = new Set(info.outputs);
  const residual =
    model.type === "climax" && model.residual ? "; predicts the change from the initial state" : "";
  return {
    synthetic: info.synthetic,
    network: {
      name: networkName(model),
      sizes: `${network.describe()}${residual}`,
      config: { ...model },
      unseen: [],
    },
    task: taskWords(info),
    variables: variables.map(({ name, units, mean, std }) => ({
      ...{ name: oneLine(name), units: oneLine(units), mean, std },
      input: entering.has(name),
      output: leaving.has(name),
    })),
    variableCount: model.variables.length,
    normalised: true,
    grid: describeGrid(makeGrid(info.grid.lat, info.grid.lon)),
    region: info.region === undefined ? null : oneLine(info.region),
    leads: leadWords(info),
    training: trainingStages(info.provenance),
  } satisfies Partial<Found>;
}

/** What is wrong with weights of which some are not finite. */
function nonFinite(tensors: readonly InspectedTensor[]): string | undefined {
  const bad = tensors.filter((tensor) => tensor.nonFinite !== null && tensor.nonFinite > 0);
  if (bad.length === 0) return undefined;
  const values = bad.reduce((sum, tensor) => sum + tensor.nonFinite!, 0);
  const names = bad.slice(0, 4).map(({ name }) => name);
  const more = bad.length > names.length ? `, and ${bad.length - names.length} more` : "";
  return `NOT FINITE: ${values} ${values === 1 ? "value" : "values"} of ${names.join(", ")}${more}; every forecast with it would be NaN`;
}

async function readTensors(
  source: WeightSource,
  inReference: ReadonlyMap<string, string>,
  progress: (bytes: number) => void,
): Promise<InspectedTensor[]> {
  const tensors: InspectedTensor[] = [];
  for (const [name, { dtype, shape }] of source.tensors) {
    const numbers = count(shape);
    const bytes = numbers * bytesOf[dtype];
    // One that is larger than its file repeats the same numbers.
    const looked = numbers <= mostNumbers && bytes <= source.bytes;
    const values = looked ? tensorValues(await source.read(name)) : unlooked;
    progress(bytes);
    tensors.push({
      name: oneLine(name, 200),
      part: partOf(inReference.get(name) ?? name),
      dtype,
      shape: [...shape],
      bytes,
      ...values,
    });
  }
  return tensors;
}

function dtypesOf(tensors: readonly InspectedTensor[]): InspectedWeights["dtypes"] {
  const found = new Map<string, { tensors: number; bytes: number }>();
  for (const { dtype, bytes } of tensors) {
    const sum = found.get(dtype) ?? { tensors: 0, bytes: 0 };
    found.set(dtype, { tensors: sum.tensors + 1, bytes: sum.bytes + bytes });
  }
  return [...found].map(([dtype, sum]) => ({ dtype, ...sum }));
}

const count = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);
