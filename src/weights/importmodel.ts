// Weights of other systems as a complete model: names, network, statistics and grid together.
import { basename } from "node:path";
import { ClimaxError } from "../errors.ts";
import { CheckpointInfo, openCheckpoint } from "../model/checkpoint.ts";
import type { ModelConfig } from "../model/config.ts";
import { allFinite } from "../model/finite.ts";
import { type NetworkConfig, networkOf } from "../model/network.ts";
import type { ProjectionConfig } from "../model/projection.ts";
import type { Plain } from "../torch/plainvalue.ts";
import { expectAgreement } from "./agreement.ts";
import {
  refuseDescription,
  type Said,
  SOURCE,
  type SourceDescription,
  shortened,
  together,
  withSpelling,
} from "./describe.ts";
import { differenceLines, newParts } from "./differences.ts";
import { importedInfo } from "./importinfo.ts";
import { hyperParametersSay } from "./lightning.ts";
import { canonicalNames } from "./names.ts";
import { compareShapes, networkFrom } from "./networkfrom.ts";
import { openWeights } from "./openweights.ts";
import { type Sizes, sizesOf } from "./shapesizes.ts";
import { readSidecar } from "./sidecar.ts";
import type { ModelSource, WeightSource } from "./source.ts";

/** What a user says of weights; what is left out is found out or assumed, and said. */
export interface ImportOptions {
  /** What the file does not say of its network: flags `--source.*`. */
  readonly source?: SourceDescription | undefined;
  /** Where means and deviations come from, before what a YAML beside the file lists: see `gatherStatistics`. */
  readonly stats?: readonly string[] | undefined;
  /** Whether every parameter must be there in its shape, and nothing else. */
  readonly strict?: boolean | undefined;
}

export interface OpenOptions extends ImportOptions {
  /** Names of classes in a PyTorch file that may be left unbuilt although they are not known. */
  readonly allow?: readonly string[] | undefined;
  /** Which weights, where a file has a running mean beside those that are trained. */
  readonly weights?: "trained" | "ema" | undefined;
}

/** Of parameters that begin anew: the same file always gives the same model. */
const SEED = 0;

/**
 * Opens any file of weights as a complete model: a climax checkpoint as it is; a PyTorch file that climax exported as
 * it says; anything else imported. Parameters are read on demand, one at a time. The caller closes it.
 *
 * @throws ClimaxError "checkpoint" for files that cannot be used, "config" or "data" for what is said of them
 */
export async function openModel(path: string, options: OpenOptions = {}): Promise<ModelSource> {
  const { allow, weights } = options;
  const source = await openWeights(path, {
    ...(allow ? { allow } : {}),
    ...(weights ? { weights } : {}),
  });
  const { notes } = source;
  try {
    const { climax } = source.says;
    if (climax === undefined) return await importModel(source, options);
    refuseDescription(path, options.source ?? {});
    if (options.stats && options.stats.length > 0) {
      throw new ClimaxError(
        "config",
        `${path} is a climax checkpoint and has its own mean and deviation of each variable`,
        "leave --stats out: it is for the weights of other programs",
      );
    }
    if (source.format !== "safetensors") return exported(source, climax);
  } catch (error) {
    await source.close();
    throw error;
  }
  await source.close();
  const checkpoint = await openCheckpoint(path);
  const parameter = weights === "trained" ? checkpoint.trained : checkpoint.parameter;
  return { path, info: checkpoint.info, parameter, notes, warnings: [], close: checkpoint.close };
}

/** A PyTorch file that carries climax's own description. */
function exported(source: WeightSource, climax: Plain): ModelSource {
  const { path } = source;
  const hint = "export it again with climax convert";
  const info = CheckpointInfo.safeParse(parsed(climax));
  if (!info.success) {
    const [{ path: key, message }] = info.error.issues as [(typeof info.error.issues)[0]];
    const what = typeof climax === "string" ? `${key.join(".") || "it"}: ${message}` : "it is no text";
    throw new ClimaxError(
      "checkpoint",
      `what ${path} says of itself under "climax" cannot be read: ${what}`,
      hint,
    );
  }
  const names = canonicalNames(source.tensors.keys(), path, networkOf(info.data.model).shapes.keys());
  const differences = compareShapes(info.data.model, shapesOf(source, names.inFile));
  const problems = differenceLines(differences, names.extra);
  if (problems.length > 0) {
    throw new ClimaxError(
      "checkpoint",
      `${path} is not the model that it says it is: ${problems.join("; ")}`,
      hint,
    );
  }
  expectFloats(source, names.inFile);
  return {
    path,
    info: info.data,
    parameter: (name) => readFinite(source, names.inFile.get(name) ?? name),
    notes: source.notes,
    warnings: [],
    close: source.close,
  };
}

function parsed(text: Plain): unknown {
  if (typeof text !== "string") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Makes a complete model of bare weights. Takes the source over: closing the model closes it.
 *
 * @throws ClimaxError "checkpoint" when they are no ClimaX, or with `strict` not exactly one; "config", "grid" or
 *         "data" when what is said of them cannot be, or does not suffice
 */
export async function importModel(source: WeightSource, options: ImportOptions): Promise<ModelSource> {
  const { path } = source;
  const names = canonicalNames(source.tensors.keys(), path);
  const shapes = shapesOf(source, names.inFile);
  expectFloats(source, names.inFile);
  const flags = withSpelling(options.source ?? {});
  const sidecar = await readSidecar(path);
  const told = together([
    { from: SOURCE, said: flags, notes: [] },
    ...(sidecar ? [sidecar] : []),
    ...hyperParametersSay(source.says),
  ]);
  const sizes = sizesOf(shapes, path);
  expectAgreement(sizes, told, path);
  const known = toldOf(told.said, sizes);
  const network = networkFrom(shapes, known, path);
  const config = withResidual(network.config, told.said, path);
  const differences = compareShapes(config, shapes);
  const anew = newParts(path, config, differences, names.extra, options.strict ?? false);
  const { info, notes, warnings } = await importedInfo({
    path,
    config,
    told,
    stats: [...(options.stats ?? []), ...(told.said.stats ?? [])],
    assumed: [...network.assumed, ...climateBenchNames(known)],
    provenance: {
      ...{ stage: "import", importedFrom: origin(source) },
      ...(anew.size > 0 ? { anew: [...anew] } : {}),
    },
  });
  const { initialise } = networkOf(config);
  return {
    path,
    info,
    parameter: async (name) =>
      anew.has(name)
        ? initialise(SEED, new Set([name])).get(name)!
        : readFinite(source, names.inFile.get(name)!),
    notes: [
      ...source.notes,
      ...told.notes,
      ...(names.older ? ["older names of the aggregation (channel_*) became var_*"] : []),
      ...notes,
      ...(names.extra.length > 0 ? [`left out, no part of ClimaX: ${shortened(names.extra)}`] : []),
      ...(differences.extra.length > 0
        ? [`left out, no part of this network: ${shortened(differences.extra)}`]
        : []),
    ],
    warnings: [
      ...warnings,
      ...(anew.size > 0 ? [`begin anew, they were not in it as wanted: ${shortened([...anew])}`] : []),
    ],
    close: source.close,
  };
}

function shapesOf(
  { tensors }: WeightSource,
  inFile: ReadonlyMap<string, string>,
): ReadonlyMap<string, readonly number[]> {
  return new Map([...inFile].map(([name, found]) => [name, tensors.get(found)!.shape]));
}

const floats: readonly string[] = ["F64", "F32", "F16", "BF16"];

function expectFloats({ path, tensors }: WeightSource, inFile: ReadonlyMap<string, string>): void {
  for (const name of inFile.values()) {
    const { dtype } = tensors.get(name)!;
    if (floats.includes(dtype)) continue;
    throw new ClimaxError(
      "checkpoint",
      `"${name}" of ${path} is of type ${dtype}; wanted floating-point weights (${floats.join(", ")})`,
      "if it was quantised, take the weights from before",
    );
  }
}

const climateBench = {
  inputs: ["CO2", "SO2", "CH4", "BC"],
  outputs: ["2m_temperature", "diurnal_temperature_range", "mean_total_precipitation_rate", "pr90"],
};

/** What `networkFrom` is told; of a projection the names of ClimateBench where they are as many. */
export function toldOf(said: Said, { V, L, patchSize, history, headOutputs }: Sizes) {
  const { variables, heads, gridShape, dropout, dropPath } = said;
  const common = { heads, gridShape, dropout, dropPath };
  if (history === undefined) return { ...common, variables, inputs: undefined, outputs: undefined };
  const fields = headOutputs === undefined ? undefined : headOutputs / (L * patchSize ** 2);
  const inputs = variables?.slice(0, V) ?? said.inputs ?? (V === 4 ? climateBench.inputs : undefined);
  const rest = variables && variables.length > V ? variables.slice(V) : undefined;
  const outputs = said.outputs ?? rest ?? (fields === 4 ? climateBench.outputs : undefined);
  return { ...common, inputs, outputs };
}

/** Says so where a projection's fields got their names for being four: in another order they would be other fields. */
function climateBenchNames({ inputs, outputs }: ReturnType<typeof toldOf>): string[] {
  const which = [
    ...(inputs === climateBench.inputs ? [`inputs ${climateBench.inputs.join(", ")}`] : []),
    ...(outputs === climateBench.outputs ? [`outputs ${climateBench.outputs.join(", ")}`] : []),
  ];
  return which.length > 0 ? [`ClimateBench's ${which.join("; ")}, in that order`] : [];
}

/** The network, which may predict changes: no tensor shows that. */
function withResidual(
  config: NetworkConfig,
  { residual }: Said,
  path: string,
): ModelConfig | ProjectionConfig {
  if (!residual || config.type === "climax") {
    return { ...(config as ModelConfig | ProjectionConfig), ...(residual ? { residual } : {}) };
  }
  throw new ClimaxError(
    "config",
    `${path} is a projection, and no projection predicts changes`,
    "leave --source.residual out",
  );
}

/** What the provenance keeps of the file. */
function origin({ path, format, bytes, says }: WeightSource): Record<string, unknown> {
  const kept = ["epoch", "global_step", "pytorch-lightning_version"];
  const scalars = kept.flatMap((key) => {
    const value = Object.hasOwn(says, key) ? says[key] : undefined;
    return typeof value === "number" || (typeof value === "string" && value.length <= 100)
      ? [[key, value]]
      : [];
  });
  return { path: basename(path), format, bytes, ...Object.fromEntries(scalars) };
}

/** A NaN in the weights would spoil every forecast without a word. */
async function readFinite(source: WeightSource, name: string): Promise<Float32Array> {
  const values = await source.read(name);
  if (allFinite(values)) return values;
  throw new ClimaxError(
    "checkpoint",
    `"${name}" of ${source.path} holds values that are not finite`,
    "take an earlier checkpoint of that run",
  );
}
