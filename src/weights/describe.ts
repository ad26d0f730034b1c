// What a bare file of weights does not say of its network: told by flags, by a YAML beside it, or by the file's own
// hyper-parameters, in that order.
import { z } from "zod";
import { knownName } from "../data/variables.ts";
import { ClimaxError, listed } from "../errors.ts";
import { modelFields } from "../model/config.ts";
import { shown } from "../torch/picklereader.ts";

const names = modelFields.variables;
const leads = z.union([
  z.array(z.number().nonnegative()).min(1).max(4096),
  z
    .strictObject({
      min: z.number().positive().describe("of a range: the shortest, hours"),
      max: z.number().positive().describe("of a range: the longest, hours, inclusive"),
      step: z.number().positive().describe("of a range: hours between them"),
    })
    .refine(({ min, max }) => min <= max, "the longest is shorter than the shortest"),
]);

/** What a user may say of the weights of another system; each field is a flag `--source.*` and a key of the YAML. */
export const sourceFields = z.strictObject({
  variables: names
    .optional()
    .describe("its variables in the order of their tokens; the paper's 48 when it has as many")
    .meta({ value: "NAME,..." }),
  heads: modelFields.heads
    .unwrap()
    .optional()
    .describe("attention heads, which no tensor tells; 16 where tokens are 1024 wide, as in the paper"),
  gridShape: z
    .tuple([z.int().positive().max(65536), z.int().positive().max(65536)])
    .optional()
    .describe("latitudes and longitudes of the whole grid; twice as many longitudes by default")
    .meta({ value: "H,W" }),
  region: z
    .string()
    .max(200)
    .optional()
    .describe("part of the globe it was finetuned for: NorthAmerica, or a box such as 15..65,220..300"),
  inputs: names.optional().describe("variables that enter; all by default").meta({ value: "NAME,..." }),
  outputs: names
    .optional()
    .describe("variables it was trained to predict; by default all that change, or ClimateBench's four")
    .meta({ value: "NAME,..." }),
  leads: leads.optional().describe("lead times it was trained for, hours: a list, or a range; 6..168 by 6"),
  history: z.int().positive().max(4096).optional().describe("projection: years that enter"),
  residual: z.boolean().optional().describe("it predicts changes from the initial state, not states"),
});
export type SourceDescription = z.output<typeof sourceFields>;

/** What the YAML of a training run says beyond that: compared with the tensors, or kept for finetuning. */
export const saidFields = sourceFields.extend({
  patchSize: z.int().positive().max(1024).optional(),
  embedDim: z.int().positive().max(65536).optional(),
  depth: z.int().nonnegative().max(1024).optional(),
  decoderDepth: z.int().nonnegative().max(64).optional(),
  mlpRatio: z.number().positive().max(64).optional(),
  parallelPatchEmbed: z.boolean().optional(),
  dropPath: z.number().min(0).lt(1).optional(),
  dropout: z.number().min(0).lt(1).optional(),
  stats: z.array(z.string().min(1).max(1000)).min(1).max(100).optional(),
});
export type Said = z.output<typeof saidFields>;

/** One place that says something of the weights. */
export interface Teller {
  /** As messages name it: "--source", "config.yaml", "its hyper-parameters". */
  readonly from: string;
  readonly said: Said;
  readonly notes: readonly string[];
}

/** The teller that flags are. */
export const SOURCE = "--source";

/** What is known of the weights beside their shapes. */
export interface Told {
  readonly said: Said;
  /** Who says it. */
  readonly from: ReadonlyMap<keyof Said, string>;
  readonly notes: readonly string[];
}

/** Of several places, what the first of them says that says anything. */
export function together(tellers: readonly Teller[]): Told {
  const said: Record<string, unknown> = {};
  const from = new Map<keyof Said, string>();
  const notes = tellers.flatMap((teller) => teller.notes);
  for (const teller of tellers) {
    for (const [key, value] of Object.entries(teller.said) as [keyof Said, unknown][]) {
      if (value === undefined) continue;
      const first = from.get(key);
      if (first === undefined) {
        said[key] = value;
        from.set(key, teller.from);
      } else if (JSON.stringify(said[key]) !== JSON.stringify(value)) {
        notes.push(
          `${key} of ${first} was taken, ${brief(said[key])}, not that of ${teller.from}, ${brief(value)}`,
        );
      }
    }
  }
  return { said: said as Said, from, notes };
}

/** A value for a message: long lists by their length, and nothing nested. */
export function brief(value: unknown): string {
  if (Array.isArray(value)) {
    return value.length > 8 ? `${value.length} of them` : value.map(plain).join(", ");
  }
  if (typeof value !== "object" || value === null) return plain(value);
  const entries = Object.entries(value);
  return entries.length > 8 ? "{...}" : entries.map(([key, inner]) => `${key} ${plain(inner)}`).join(", ");
}

const plain = (value: unknown) =>
  typeof value === "object" && value !== null ? "{...}" : shown(String(value));

/** At most twenty names, and how many more. */
export const shortened = (names: readonly string[]): string => listed(names.map(shown), 20);

/** One line for the user: what was taken from there. */
export function sayings(from: string, said: Said): string[] {
  const parts = Object.entries(said).flatMap(([key, value]) => {
    if (value === undefined) return [];
    if (Array.isArray(value) && value.length > 4) return [`${value.length} ${key}`];
    return [`${key} ${typeof value === "object" ? `(${brief(value)})` : brief(value)}`];
  });
  return parts.length > 0 ? [`from ${from}: ${parts.join(", ")}`] : [];
}

/** The names as the variables table spells them, where it knows them. */
export function spelled(list: readonly string[]): string[] {
  return list.map((name) => knownName(name)?.name ?? name);
}

/** What is said, with its variables as the table spells them. */
export function withSpelling(said: SourceDescription): Said {
  const lists = (["variables", "inputs", "outputs"] as const).flatMap((key) => {
    const names = said[key];
    return names ? [[key, spelled(names)] as const] : [];
  });
  return { ...said, ...Object.fromEntries(lists) };
}

/**
 * Refuses to be told what a climax checkpoint says itself.
 *
 * @throws ClimaxError "config"
 */
export function refuseDescription(path: string, description: SourceDescription): void {
  const told = Object.entries(description).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  if (told.length === 0) return;
  throw new ClimaxError(
    "config",
    `${path} is a climax checkpoint and says itself what it is; told: ${told.map((key) => `--source.${key}`).join(", ")}`,
    "leave those flags out: they are for the weights of other programs",
  );
}
