// How a model was trained, as Markdown: a table for each stage, the first one first.

import { numberText } from "../data/numbertext.ts";
import type { ModelCard } from "./cardschema.ts";
import { escaped, list, pipes } from "./markdowntext.ts";
import type { TrainingStage } from "./provenance.ts";

/** Sections of the chain of trainings. */
export function trainingText({ training, limits }: ModelCard): string[] {
  if (training.length === 0) return ["Not recorded: the checkpoint says nothing of how it came to be."];
  return training.flatMap((stage, i) => [
    `### ${training.length > 1 ? `${i + 1}. ` : ""}${escaped(stage.stage)}${stage.task === null ? "" : ` (${escaped(stage.task)})`}`,
    pipes(["", ""], rowsOf(stage)),
    ...unsaid(stage, limits),
  ]);
}

/** What an import noted, but for what stands among the limits. */
function unsaid({ notes }: TrainingStage, limits: readonly string[]): string[] {
  const above = new Set(limits.map((limit) => limit.toLowerCase()));
  const left = notes.filter((note) => !above.has(`${note}.`.toLowerCase()));
  return left.length > 0 ? [list(left)] : [];
}

function rowsOf(stage: TrainingStage): string[][] {
  const settings = Object.entries(stage.settings).map(([key, value]) => `${escaped(key)} ${escaped(value)}`);
  const rows: [string, string | null][] = [
    ["began with", stage.from ? escaped(originText(stage.from)) : "random numbers"],
    ...stage.data.map((data): [string, string] => ["data", dataText(data)]),
    ["steps", stage.steps === null ? null : String(stage.steps)],
    ["samples", stage.samples === null ? null : `${stage.samples} (repeated ones count again)`],
    ["best validation loss", stage.bestValidationLoss === null ? null : numberText(stage.bestValidationLoss)],
    ["began as random numbers", stage.anew.length > 0 ? stage.anew.map(escaped).join(", ") : null],
    ["kept as it was", stage.freeze.length > 0 ? stage.freeze.map(escaped).join(", ") : null],
    ["seed", stage.seed === null ? null : String(stage.seed)],
    ["precision", stage.precision === null ? null : escaped(stage.precision)],
    ["adapter", stage.adapter === null ? null : escaped(stage.adapter)],
    ["settings", settings.length > 0 ? settings.join(", ") : null],
    ["climax", stage.climax === null ? null : escaped(stage.climax)],
    ["command", stage.command === null ? null : escaped(stage.command)],
  ];
  return rows.flatMap(([what, value]) => (value === null ? [] : [[what, value]]));
}

function originText({ path, sha256 }: NonNullable<TrainingStage["from"]>): string {
  return [path ?? "a file of weights", ...(sha256 === null ? [] : [`(SHA-256 ${sha256})`])].join(" ");
}

function dataText({
  source,
  set,
  synthetic,
  first,
  last,
  states,
  sha256,
}: TrainingStage["data"][number]): string {
  return [
    ...(synthetic ? ["**SYNTHETIC**"] : []),
    escaped(source ?? set ?? "not stated"),
    ...(first !== null && last !== null ? [`${escaped(first)} to ${escaped(last)}`] : []),
    ...(states === null ? [] : [`${states} states`]),
    ...(source !== null && set !== null ? [`set ${escaped(set)}`] : []),
    ...(sha256 === null ? [] : [`first file SHA-256 ${escaped(sha256)}`]),
  ].join("; ");
}
