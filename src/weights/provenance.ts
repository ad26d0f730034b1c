// Where weights come from, as a checkpoint's provenance says: one stage for each training, the first one first. The
// provenance is whatever a file holds, so nothing of it is believed to have a form.
import { z } from "zod";

/** Stages that are followed back; a chain that is longer was not made by training. */
const mostStages = 32;
/** Characters of a text that are kept. */
const longestText = 400;

const periodSchema = z.strictObject({
  source: z.string().nullable().describe("what the training set was made from, as it says"),
  set: z.string().nullable().describe("where it lay"),
  synthetic: z.boolean(),
  first: z.string().nullable(),
  last: z.string().nullable(),
  states: z.number().nullable().describe("time steps in the training period"),
  sha256: z.string().nullable().describe("of the first file of the training period"),
});

/** One training, or one import of weights. */
export const stageSchema = z.strictObject({
  stage: z.string().describe('"pretrain", "finetune", "import", or what the file calls it'),
  task: z.string().nullable(),
  command: z.string().nullable().describe("as it was typed"),
  climax: z.string().nullable().describe("version of the program"),
  data: z.array(periodSchema),
  freeze: z.array(z.string()).describe("parts that were not trained"),
  steps: z.number().nullable().describe("optimiser steps"),
  samples: z.number().nullable().describe("samples that the steps took; repeated ones count again"),
  seed: z.number().nullable(),
  precision: z.string().nullable(),
  adapter: z.string().nullable().describe("the hardware it ran on"),
  bestValidationLoss: z.number().nullable(),
  settings: z.record(z.string(), z.string()).describe('"optimiser.lr": "0.0005"'),
  from: z
    .strictObject({ path: z.string().nullable(), sha256: z.string().nullable() })
    .nullable()
    .describe("the file of weights that it began with; null: from random numbers, or not stated"),
  notes: z
    .array(z.string())
    .describe(
      "what was assumed, and where statistics come from, at an import; how it was changed afterwards",
    ),
  anew: z
    .array(z.string())
    .describe("parameters that the imported file lacked, and that began as random numbers"),
});
export type TrainingStage = z.output<typeof stageSchema>;

/**
 * The trainings that led to a checkpoint, the first one first.
 *
 * @param provenance  CheckpointInfo.provenance
 */
export function trainingStages(provenance: Readonly<Record<string, unknown>>): TrainingStage[] {
  const stages: TrainingStage[] = [];
  let here: Readonly<Record<string, unknown>> | undefined = provenance;
  while (here && stages.length < mostStages && Object.keys(here).length > 0) {
    const imported = tree(here.importedFrom);
    stages.unshift(imported ? importOf(here, imported) : stageOf(here));
    here = tree(tree(here.from)?.provenance);
  }
  return stages;
}

function stageOf(here: Readonly<Record<string, unknown>>): TrainingStage {
  const settings = tree(here.settings);
  const training = tree(settings?.training);
  const [steps, batch] = [numberOf(here.step), numberOf(training?.batchSize)];
  const accumulate = numberOf(training?.accumulate) ?? 1;
  const from = tree(here.from);
  return {
    stage: textOf(here.stage) ?? "not stated",
    task: textOf(here.task),
    command: textOf(here.command),
    climax: textOf(here.climax),
    data: listOf(here.data).flatMap((data) => (tree(data) ? [periodOf(tree(data)!)] : [])),
    freeze: listOf(here.freeze).flatMap((name) => textOf(name) ?? []),
    steps,
    samples: numberOf(here.samples) ?? (steps === null || batch === null ? null : steps * batch * accumulate),
    seed: numberOf(here.seed),
    precision: textOf(settings?.precision),
    adapter: textOf(here.adapter),
    bestValidationLoss: numberOf(here.best_validation_loss),
    settings: Object.fromEntries(
      [...leaves("optimiser", settings?.optimiser), ...leaves("training", settings?.training)].slice(0, 100),
    ),
    from: from ? { path: textOf(from.path), sha256: textOf(from.sha256) } : null,
    notes: listOf(here.refitted).flatMap((line) => textOf(line) ?? []),
    anew: [],
  };
}

/** Weights of another system, of whose training little is known. */
function importOf(
  here: Readonly<Record<string, unknown>>,
  imported: Readonly<Record<string, unknown>>,
): TrainingStage {
  const said = Object.entries(imported).filter(
    ([key]) => !["path", "sha256", "bytes", "global_step"].includes(key),
  );
  const lines = (value: unknown, before: string) =>
    listOf(value).flatMap((line) => (textOf(line) === null ? [] : [`${before}${textOf(line)}`]));
  const stage = stageOf({ ...here, from: undefined, step: imported.global_step });
  return {
    ...stage,
    settings: Object.fromEntries(said.flatMap(([key, value]) => leaves(key, value)).slice(0, 100)),
    from: { path: textOf(imported.path), sha256: textOf(imported.sha256) },
    notes: [...lines(here.assumed, "assumed: "), ...lines(here.statistics, ""), ...stage.notes].slice(0, 100),
    anew: listOf(here.anew).flatMap((name) => textOf(name) ?? []),
  };
}

function periodOf(data: Readonly<Record<string, unknown>>): TrainingStage["data"][number] {
  const train = tree(data.train);
  const [sum] = Object.values(tree(data.sha256) ?? {});
  return {
    source: textOf(data.source),
    set: textOf(data.dir),
    synthetic: data.synthetic === true,
    first: textOf(train?.start),
    last: textOf(train?.end),
    states: numberOf(train?.steps),
    sha256: textOf(sum),
  };
}

/** Settings as one list: "optimiser.lr" with "0.0005". Two deep, as those of runs are. */
function leaves(name: string, value: unknown): [string, string][] {
  const below = tree(value);
  if (!below) {
    const text = plainText(value);
    return text === null ? [] : [[oneLine(name), text]];
  }
  return Object.entries(below).flatMap(([key, leaf]) => {
    const text = plainText(leaf);
    return text === null ? [] : [[oneLine(`${name}.${key}`), text] as [string, string]];
  });
}

/** Numbers, words, and lists of them; null for what is neither. */
function plainText(value: unknown): string | null {
  if (typeof value === "string") return oneLine(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value) && value.length <= 100 && value.every((one) => typeof one !== "object"))
    return oneLine(value.map(String).join(", "));
  return null;
}

/** A text of a file as one line without control characters, and not endless: it goes to terminals and into tables. */
export function oneLine(text: string, longest = longestText): string {
  const line = text
    .slice(0, 4 * longest)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
  return line.length > longest ? `${line.slice(0, longest - 3)}...` : line;
}

function tree(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return value as Readonly<Record<string, unknown>>;
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value.slice(0, 1000) : []);

const textOf = (value: unknown): string | null =>
  typeof value === "string" && value !== "" ? oneLine(value) : null;

const numberOf = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;
