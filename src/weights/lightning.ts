// What a run of the reference says of its network and data: the config.yaml of LightningCLI, as in configs/ of
// microsoft/ClimaX, and the hyper-parameters that PyTorch Lightning keeps in its checkpoints.
import { z } from "zod";
import { variableName } from "../model/config.ts";
import { brief, type Said, saidFields, sayings, spelled, type Teller } from "./describe.ts";

type Dictionary = { readonly [key: string]: unknown };

const isDictionary = (value: unknown): value is Dictionary =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Own keys only: a file may have any. */
const at = (value: unknown, key: string): unknown =>
  isDictionary(value) && Object.hasOwn(value, key) ? value[key] : undefined;

/** An object may be written as class_path and init_args. */
const argumentsOf = (value: unknown): Dictionary => {
  const inner = at(value, "init_args");
  return isDictionary(inner) ? inner : isDictionary(value) ? value : {};
};

/** Whether settings are those of a run of LightningCLI with a network in it. */
export function isLightning(value: unknown): boolean {
  return isDictionary(at(argumentsOf(at(value, "model")), "net"));
}

/**
 * What config.yaml says. Of its many keys those of `model.net` and `data` are read.
 *
 * @param refuse  called for a value that cannot be
 */
export function lightningSays(config: unknown, from: string, refuse: (what: string) => never): Teller {
  const net = argumentsOf(at(argumentsOf(at(config, "model")), "net"));
  const data = argumentsOf(at(config, "data"));
  const read = reading(refuse);
  const said = { ...dataSays(data, read), ...networkSays(net, read) };
  return { from, said, notes: sayings(from, said) };
}

/** Entries of a checkpoint that say something of it. */
export const hyperParameters = ["hyper_parameters", "datamodule_hyper_parameters"] as const;

/**
 * What a checkpoint says of itself, by each of those entries. What of it cannot be read is said in a note: the file was
 * not written for us.
 */
export function hyperParametersSay(says: Dictionary): Teller[] {
  return hyperParameters.map((from) => {
    const unread: string[] = [];
    const read = reading((what) => {
      unread.push(`${from} ${what}; that was not used`);
      return undefined;
    });
    const entry = argumentsOf(at(says, from));
    const said =
      from === "hyper_parameters"
        ? networkSays({ ...entry, ...argumentsOf(at(entry, "net")) }, read)
        : dataSays(entry, read);
    return { from, said, notes: [...sayings(from, said), ...unread] };
  });
}

type Read = <T>(key: string, value: unknown, field: z.ZodType<T>) => T | undefined;

/** Reads one value, which may be left out or null. */
function reading(refuse: (what: string) => undefined): Read {
  return (key, value, field) => {
    if (value === undefined || value === null) return undefined;
    const parsed = field.safeParse(value);
    if (parsed.success) return parsed.data;
    const { path, message } = parsed.error.issues[0]!;
    return refuse(
      `says ${[key, ...path].join(".")} ${brief(value).slice(0, 200)}, which cannot be: ${message}`,
    );
  };
}

const names = z
  .union([variableName.transform((name) => [name]), z.array(variableName).max(4096)])
  .transform(spelled);
const { heads, patchSize, embedDim, depth, decoderDepth, mlpRatio, parallelPatchEmbed, dropPath, dropout } =
  saidFields.shape;
const { gridShape, region, history } = saidFields.shape;

/** By our name: the argument of climax.arch.ClimaX, and what it may be. */
const ofNetwork = {
  variables: ["default_vars", names],
  outputs: ["out_vars", names],
  gridShape: ["img_size", gridShape],
  history: ["time_history", history],
  patchSize: ["patch_size", patchSize],
  embedDim: ["embed_dim", embedDim],
  depth: ["depth", depth],
  decoderDepth: ["decoder_depth", decoderDepth],
  heads: ["num_heads", heads],
  mlpRatio: ["mlp_ratio", mlpRatio],
  dropPath: ["drop_path", dropPath],
  dropout: ["drop_rate", dropout],
  parallelPatchEmbed: ["parallel_patch_embed", parallelPatchEmbed],
} as const;

function networkSays(net: Dictionary, read: Read): Said {
  const entries = Object.entries(ofNetwork).map(([ours, [theirs, field]]) => [
    ours,
    read(theirs, at(net, theirs), field as z.ZodType<unknown>),
  ]);
  return withoutGaps(Object.fromEntries(entries));
}

function dataSays(data: Dictionary, read: Read): Said {
  const hours = read("hrs_each_step", at(data, "hrs_each_step"), z.number().positive()) ?? 1;
  const steps = read("predict_range", at(data, "predict_range"), z.number().nonnegative());
  const place = read("region", at(data, "region"), region);
  return withoutGaps({
    inputs: read("variables", at(data, "variables"), names),
    outputs: read("out_variables", at(data, "out_variables"), names),
    leads: steps === undefined ? undefined : [steps * hours],
    region: place === "Global" ? undefined : place,
    ...pretrainingSays(data, read),
  });
}

/** Pretraining has several sources of data, each with its own settings; what they say together. */
function pretrainingSays(data: Dictionary, read: Read): Said {
  const record = <T>(key: string, field: z.ZodType<T>): T[] =>
    Object.values(read(key, at(data, key), z.record(z.string(), field)) ?? {});
  const inputs = record("dict_in_variables", names.nullable()).flatMap((list) => list ?? []);
  const ranges = record("dict_max_predict_ranges", z.number().positive());
  const hours = record("dict_hrs_each_step", z.number().positive());
  const random = record("dict_random_lead_time", z.boolean());
  const said: Record<string, unknown> = {};
  if (inputs.length > 0) said.inputs = [...new Set(inputs)];
  if (ranges.length > 0 && hours.length === ranges.length) {
    const longest = ranges.map((range, i) => range * hours[i]!);
    said.leads =
      random.length === ranges.length && random.every(Boolean)
        ? { min: Math.min(...hours), max: Math.max(...longest), step: Math.min(...hours) }
        : [...new Set(longest)];
  }
  return said as Said;
}

function withoutGaps(said: { readonly [key: string]: unknown }): Said {
  return Object.fromEntries(
    Object.entries(said).filter(
      ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
    ),
  ) as Said;
}
