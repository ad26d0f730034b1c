// The settings of climax study, and their way into the flags of the commands that it runs.
import { z } from "zod";
import { parseLead } from "../data/leadtime.ts";
import { ClimaxError } from "../errors.ts";
import { modelFields } from "../model/config.ts";
import { optimiserFields, runFields, trainingFields } from "../train/config.ts";
import { kebab } from "./flags.ts";
import { mpiField } from "./ranks.ts";

export const studyKinds = ["scaling", "ablation"] as const;
export type StudyKind = (typeof studyKinds)[number];

/** The rows of an ablation, in the order of its table. The first is what the others are measured against. */
export const ablationRows = [
  "direct",
  "continuous",
  "iterative",
  "all-out",
  "per-variable",
  "scratch",
  "frozen",
] as const;
export type AblationRow = (typeof ablationRows)[number];

const { patchSize, depth, decoderDepth, mlpRatio, dropPath, dropout, residual } = modelFields;
const shapeFields = { patchSize, depth, decoderDepth, mlpRatio, dropPath, dropout, residual };

const lead = z.union([z.number(), z.string()]).transform(parsedLead);

export const StudyConfig = z.strictObject({
  kind: z.enum(studyKinds).describe(`which: ${studyKinds.join(", ")}`),
  data: z
    .strictObject({
      set: z
        .string()
        .optional()
        .describe("the prepared set that is learnt and, in its test split, scored on"),
      sources: z
        .array(z.string())
        .min(1)
        .optional()
        .describe("scaling: prepared sets to pretrain on; data.set unless given"),
    })
    .prefault({})
    .describe("what to learn from, and to be scored on"),
  output: z
    .string()
    .min(1)
    .meta({ short: "o" })
    .describe("folder of the study: study.json, study.csv, figures, and a folder for each run"),
  variables: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("what is predicted and scored; those of the paper that the set has, unless given"),
  leads: z
    .array(lead)
    .min(1)
    .optional()
    .describe("how far ahead: 24h,3d; scaling takes one, 72h unless given, ablation 24h,72h")
    .meta({ value: "LEAD,..." }),
  every: z.string().default("6h").describe("score forecasts that start so often in the test split"),
  widths: z.array(z.int().positive()).min(1).optional().describe("scaling: model.embed-dim of each model"),
  fractions: z
    .array(z.number().positive().max(1))
    .min(1)
    .optional()
    .describe("scaling: parts of the training period, of pretraining if there is any; 1 unless given"),
  headWidth: z
    .int()
    .positive()
    .optional()
    .describe("scaling: width of an attention head, so that wider models have more; 32 unless given"),
  pretrain: z
    .boolean()
    .optional()
    .describe("scaling: pretrain each model before it is finetuned, as the paper; yes unless --no-pretrain"),
  offset: z
    .boolean()
    .optional()
    .describe("scaling: fit a N^-b + c instead of a N^-b, where there are 4 sizes"),
  checkpoint: z.string().optional().describe("ablation: the pretrained model").meta({ value: "FILE" }),
  rows: z
    .array(z.enum(ablationRows))
    .min(1)
    .optional()
    .describe(
      "ablation: which; direct (a model for each lead), continuous (one for all), iterative (roll-out of a short step), " +
        "all-out (predicts all variables), per-variable (a model for each), scratch (not pretrained), frozen (attention " +
        "and MLP as pretrained); all unless given",
    ),
  step: lead
    .optional()
    .describe("ablation: step of the roll-out; the shortest lead unless given")
    .meta({ value: "LEAD" }),
  continuous: z
    .strictObject({
      min: z.number().positive().describe("shortest lead, hours"),
      max: z.number().positive().describe("longest lead, hours"),
      step: z.number().positive().describe("hours between leads"),
    })
    .optional()
    .describe("ablation: leads of the continuous model; --leads unless given"),
  model: withoutDefaults(z.strictObject(shapeFields)).describe("scaling: the network, beside its width"),
  pretraining: z
    .strictObject({
      leads: withoutDefaults(
        z.strictObject({
          min: z.number().positive().describe("shortest lead, hours"),
          max: z.number().positive().describe("longest lead, hours"),
          step: z.number().positive().describe("hours between leads"),
        }),
      ),
      optimiser: withoutDefaults(optimiserFields),
      training: withoutDefaults(trainingFields),
    })
    .prefault({})
    .describe("scaling: settings of climax pretrain, its own unless given"),
  optimiser: withoutDefaults(optimiserFields).describe(
    "AdamW of climax finetune, its own settings unless given",
  ),
  training: withoutDefaults(trainingFields).describe(
    "the runs of climax finetune, its own settings unless given",
  ),
  adapter: runFields.adapter,
  precision: runFields.precision,
  memory: runFields.memory,
  shard: z
    .string()
    .optional()
    .describe(
      "make only this share of the runs: for job arrays; when all have ended, the same command without it makes the " +
        "tables. Ranks of mpirun or srun share the runs by themselves",
    )
    .meta({ value: "I/N" }),
  mpi: mpiField,
});
export type StudyConfig = z.output<typeof StudyConfig>;

/** Hours; what is wrong with it becomes an issue of the setting. */
function parsedLead(text: string | number, context: z.RefinementCtx): number {
  try {
    return parseLead(text);
  } catch (error) {
    if (!(error instanceof ClimaxError)) throw error;
    context.addIssue({ code: "custom", message: `${error.message}; ${error.hint}` });
    return z.NEVER;
  }
}

/** The same fields, none of them required: what is left out is decided by the command that is run. */
function withoutDefaults(schema: z.ZodType): z.ZodPrefault<z.ZodType<Readonly<Record<string, unknown>>>> {
  let inner = schema;
  while (inner instanceof z.ZodPrefault) inner = inner.unwrap() as z.ZodType;
  const { shape } = inner as z.ZodObject;
  const fields = Object.entries(shape).map(([key, field]) => {
    const { description = "" } = field as z.ZodType;
    const bare = field instanceof z.ZodDefault ? (field.unwrap() as z.ZodType) : (field as z.ZodType);
    return [key, bare.optional().describe(description)];
  });
  return z.strictObject(Object.fromEntries(fields) as Record<string, z.ZodType>).prefault({}) as never;
}

/** Which settings only one kind of study reads. */
const own: Readonly<Record<StudyKind, readonly (keyof StudyConfig)[]>> = {
  scaling: ["widths", "fractions", "headWidth", "pretrain", "offset", "model", "pretraining"],
  ablation: ["checkpoint", "rows", "step", "continuous"],
};

/** @throws ClimaxError "config" for settings that this kind of study does not read, naming them */
export function checkKind(config: StudyConfig): void {
  const other: StudyKind = config.kind === "scaling" ? "ablation" : "scaling";
  const strange = own[other].filter((key) => isGiven(config[key]));
  if (config.kind === "ablation" && config.data.sources) strange.push("data");
  if (strange.length === 0) return;
  const flags = strange.map((key) => (key === "data" ? "--data.sources" : `--${kebab(key)}`));
  throw new ClimaxError(
    "config",
    `climax study ${config.kind} does not read ${flags.join(", ")}`,
    `leave them out, or run climax study ${other}`,
  );
}

function isGiven(value: unknown): boolean {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return Object.values(value).some(isGiven);
  return value !== undefined;
}

/** Settings as the flags that give them: `{ optimiser: { lr: 1e-3 } }` is `--optimiser.lr 0.001`. */
export function flagsFor(
  settings: Readonly<Record<string, unknown>>,
  path: readonly string[] = [],
): string[] {
  return Object.entries(settings).flatMap(([key, value]) => {
    const name = [...path, kebab(key)];
    if (value === undefined) return [];
    if (typeof value === "boolean") return [value ? `--${name.join(".")}` : `--no-${name.join(".")}`];
    if (Array.isArray(value)) return [`--${name.join(".")}`, value.join(",")];
    if (typeof value === "object" && value !== null) return flagsFor(value as Record<string, unknown>, name);
    return [`--${name.join(".")}`, String(value)];
  });
}
