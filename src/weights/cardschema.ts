// What a model card says, as data: the form of `<file>.card.json`, and of what its Markdown is laid out from.
import { z } from "zod";
import { stageSchema } from "./provenance.ts";

const count = z.int().nonnegative();
const number = z.number().nullable();

const comparison = z.strictObject({
  with: z.string().describe("the other system, e.g. persistence"),
  value: number.describe("its score on the same forecasts"),
  verdict: z
    .enum(["better", "worse", "tie", "not tested"])
    .describe(
      "of this model beside it, by the paired test of the score document; never by the numbers alone",
    ),
});

const score = z.strictObject({
  metric: z.string(),
  variable: z.string(),
  leadHours: z.number(),
  region: z.string(),
  season: z.string().describe('"all", or DJF, MAM, JJA, SON by valid time'),
  value: number,
  low: number.describe("confidence limits; null: none"),
  high: number,
  units: z.string(),
  samples: number.describe("forecasts that entered"),
  beside: z.array(comparison),
});
export type CardScore = z.output<typeof score>;

const scoresSchema = z.strictObject({
  path: z.string().describe("the document that climax evaluate --json wrote"),
  system: z.string().describe("what that document calls this model"),
  made: z.array(z.string()).describe("what made the forecasts, as their files say"),
  bench: z.string(),
  definition: z.strictObject({ name: z.string(), description: z.string(), source: z.string() }),
  climatology: z.string().nullable(),
  truth: z.array(z.string()),
  grid: z.string(),
  initialTimes: z.tuple([z.string(), z.string()]),
  validTimes: z.tuple([z.string(), z.string()]),
  intervals: z.string().nullable().describe("how confidence limits were made"),
  synthetic: z.boolean(),
  command: z.string(),
  created: z.string(),
  climax: z.string().describe("version of the program that scored"),
  notes: z.array(z.string()),
  rows: z.array(score),
});
/** The scores of this model in one document of `climax evaluate --json`. */
export type CardScores = z.output<typeof scoresSchema>;

const variable = z.strictObject({
  name: z.string(),
  units: z.string(),
  mean: z.number().describe("of the training period, in `units`: the network sees (x - mean) / std"),
  std: z.number(),
  input: z.boolean(),
  output: z.boolean(),
  target: z
    .strictObject({ units: z.string(), mean: z.number(), std: z.number() })
    .nullable()
    .describe("statistics of the output, where they differ from those of the input of that name"),
});

/** `<file>.card.json`, version 1. */
export const modelCardSchema = z.strictObject({
  format: z.literal("climax-model-card"),
  version: z.literal(1),
  name: z.string().describe("file name of the model, without its ending"),
  created: z.string(),
  madeBy: z.strictObject({ program: z.literal("climax"), version: z.string(), command: z.string() }),
  license: z.string().nullable().describe("as whoever exported it says; null: not stated"),
  authors: z.string().nullable().describe("likewise"),
  synthetic: z.boolean().describe("trained on simulated weather"),
  model: z.strictObject({
    network: z.string().describe("ClimaX, Cli-ViT, ResNet, ..."),
    sizes: z.string(),
    config: z.record(z.string(), z.unknown()).describe("every hyper-parameter of the network"),
    parameters: count,
    parts: z.array(z.strictObject({ part: z.string(), tensors: count, parameters: count })),
    task: z.string().describe("in words"),
    taskConfig: z.record(z.string(), z.unknown()).describe("the task as the checkpoint holds it"),
  }),
  variables: z.array(variable),
  inputs: z
    .array(z.string())
    .describe("names of the variables that enter, in the order of the network's input"),
  outputs: z.array(z.string()).describe("names of those that leave, in order"),
  unused: z.array(z.string()).describe("variables that the network knows, and that neither enter nor leave"),
  grid: z.strictObject({
    description: z.string(),
    lat: z.array(z.number()).describe("degrees north"),
    lon: z.array(z.number()).describe("degrees east"),
    region: z.string().nullable(),
  }),
  leads: z.strictObject({
    description: z.string(),
    hours: z.array(z.number()).nullable().describe("the lead times; null for a range"),
    range: z.strictObject({ min: z.number(), max: z.number(), step: z.number() }).nullable(),
  }),
  training: z.array(stageSchema).describe("the first one first"),
  scores: z.array(scoresSchema),
  intendedUse: z.array(z.string()),
  limits: z.array(z.string()),
  file: z.strictObject({
    name: z.string(),
    format: z.enum(["safetensors", "ckpt", "onnx"]),
    bytes: count,
    sha256: z.string(),
    tensors: count,
  }),
  loading: z.array(z.strictObject({ with: z.string(), language: z.string(), code: z.string() })),
  notes: z
    .array(z.string())
    .describe(
      "what was renamed, left out or made anew when it was exported, but for the notes of its import",
    ),
  citation: z.string().describe("BibTeX"),
  unchanged: z
    .string()
    .optional()
    .describe(
      "SHA-256 of this document without this key, as climax wrote it: one that was changed is not replaced",
    ),
});
export type ModelCard = z.output<typeof modelCardSchema>;
