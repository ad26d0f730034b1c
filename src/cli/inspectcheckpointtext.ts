/** `climax inspect CHECKPOINT` for people: what the file is at a glance, then variables, training, tensors, what next. */

import { numberText } from "../data/numbertext.ts";
import { bytesText } from "../files/bytes.ts";
import type { TrainingStage } from "../weights/provenance.ts";
import type { InspectedTensor, InspectedWeights } from "../weights/weightsschema.ts";
import { table } from "./table.ts";

/** Lines of what a file says of itself that are shown; all are in the JSON. */
const saidShown = 12;

/** One file of weights. @param tensors  whether each is listed */
export function weightsText(weights: InspectedWeights, tensors: boolean): string {
  const { path, title, bytes, synthetic, kind } = weights;
  const called = kind === "ClimaX weights" ? `weights of ClimaX, ${title}` : title;
  return sections([
    `${path}: ${called}, ${bytesText(bytes)}${synthetic ? ", SYNTHETIC" : ""}`,
    ...weights.problems.map((problem) => `WARNING: ${problem}`),
    table(facts(weights), { header: false }),
    variablesText(weights),
    trainingText(weights.training),
    saidText(weights.says),
    partsText(weights),
    tensors ? tensorsText(weights.tensors) : "",
    weights.notes.map((note) => `note: ${note}`).join("\n"),
    nextText(weights.next),
  ]);
}

function facts(weights: InspectedWeights): string[][] {
  const { network, task, leads, grid, region, names, dtypes, resume, sha256, parameters } = weights;
  const variables = weights.variableCount;
  const rows: [string, string | null][] = [
    ["network", network && `${network.name}: ${network.sizes}`],
    ...(network?.unseen ?? []).map((line): [string, string] => ["", line]),
    [
      "parameters",
      `${millions(parameters)}, ${dtypes.map(({ dtype, bytes }) => `${dtype} ${bytesText(bytes)}`).join(", ")}`,
    ],
    ["task", task],
    ["lead times", leads ?? (variables === null ? null : "not in the file")],
    [
      "grid",
      grid === null
        ? variables === null
          ? null
          : "not in the file"
        : `${grid}${region === null ? "" : `; region ${region}`}`,
    ],
    [
      "normalised",
      variables === null
        ? null
        : weights.normalised
          ? "by the means and deviations below"
          : "by means and deviations that are not in the file",
    ],
    ["names", names && (names.prefix !== "" || names.older) ? namesText(names) : null],
    ["resume", resume.why],
    ["SHA-256", sha256],
  ];
  return rows.flatMap(([what, value]) => (value === null ? [] : [[what, value]]));
}

function namesText({ prefix, older }: NonNullable<InspectedWeights["names"]>): string {
  return [
    ...(prefix === "" ? [] : [`"${prefix}" before each`]),
    ...(older ? ["older ones: channel_embed for var_embed"] : []),
  ].join("; ");
}

/** Names alone where that is all there is: 48 lines of them would say no more. */
function variablesText({ variables, variableCount, normalised }: InspectedWeights): string {
  if (variables.length === 0) return "";
  if (!normalised) {
    const names = variables.map(({ name }) => name);
    return `Variables (${names.length}), in its order:\n${wrapped(names.join(", "), "  ")}`;
  }
  const rows = variables.map(({ name, units, mean, std, input, output }) => [
    name,
    input ? "in" : "",
    output ? "out" : "",
    units ?? "",
    mean === null ? "" : numberText(mean),
    std === null ? "" : numberText(std),
  ]);
  const more = (variableCount ?? 0) - variables.length;
  return [
    table([["variable", "", "", "units", "mean", "std"], ...rows], {
      align: ["left", "left", "left", "left", "right", "right"],
    }),
    ...(more > 0 ? [`and ${more} more that the network knows, which neither enter nor leave`] : []),
  ].join("\n");
}

function trainingText(training: readonly TrainingStage[]): string {
  if (training.length === 0) return "";
  const rows = training.flatMap((stage, i) => {
    const about: [string, string][] = [
      [
        training.length > 1 ? `${i + 1}. ${stage.stage}` : stage.stage,
        [stage.task, stepsText(stage)].filter(Boolean).join(": "),
      ],
      ...(stage.from ? [["", `began with ${stage.from.path ?? "a file"}`] as [string, string]] : []),
      ...stage.data.map((data): [string, string] => ["", dataText(data)]),
      ...(stage.freeze.length > 0
        ? [["", `kept as it was: ${stage.freeze.join(", ")}`] as [string, string]]
        : []),
      ...(stage.adapter ? [["", `on ${stage.adapter}`] as [string, string]] : []),
      ...stage.notes.map((note): [string, string] => ["", note]),
    ];
    return about;
  });
  return `Training:\n${table(
    rows.map(([what, value]) => [`  ${what}`, value]),
    { header: false },
  )}`;
}

function stepsText({ steps, samples, bestValidationLoss, seed, settings }: TrainingStage): string {
  const rate = settings["optimiser.lr"];
  return [
    ...(settings.epoch === undefined ? [] : [`epoch ${settings.epoch}`]),
    ...(steps === null ? [] : [`${steps} steps`]),
    ...(samples === null ? [] : [`${samples} samples`]),
    ...(bestValidationLoss === null ? [] : [`best validation loss ${numberText(bestValidationLoss)}`]),
    ...(rate === undefined ? [] : [`learning rate ${rate}`]),
    ...(seed === null ? [] : [`seed ${seed}`]),
  ].join(", ");
}

function dataText({ source, set, synthetic, first, last, states }: TrainingStage["data"][number]): string {
  const when = first !== null && last !== null ? `, ${first.slice(0, 10)} to ${last.slice(0, 10)}` : "";
  return `${synthetic ? "SYNTHETIC " : ""}${set ?? source ?? "data not stated"}${when}${
    states === null ? "" : `, ${states} states`
  }${set !== null && source !== null ? ` (${cut(source, 64)})` : ""}`;
}

function saidText(says: InspectedWeights["says"]): string {
  if (says.length === 0) return "";
  const rows = says.slice(0, saidShown).map(({ key, value }) => [`  ${cut(key, 44)}`, cut(value, 68)]);
  const more = says.length - rows.length;
  return [
    "It says beside:",
    table(rows, { header: false }),
    ...(more > 0 ? [`  and ${more} more (--json has them)`] : []),
  ].join("\n");
}

function partsText({ parts, parameters }: InspectedWeights): string {
  const most = 16;
  const rows = parts
    .slice(0, most)
    .map((one) => [
      cut(one.part, 60),
      String(one.tensors),
      one.parameters.toLocaleString("en"),
      `${((100 * one.parameters) / Math.max(1, parameters)).toFixed(1)} %`,
    ]);
  const more = parts.length - rows.length;
  return [
    table([["part", "tensors", "parameters", "share"], ...rows], {
      align: ["left", "right", "right", "right"],
    }),
    ...(more > 0 ? [`and ${more} more`] : []),
  ].join("\n");
}

function tensorsText(tensors: readonly InspectedTensor[]): string {
  const number = (value: number | null) => (value === null ? "" : value.toPrecision(3));
  const rows = tensors.map(({ name, dtype, shape, bytes, min, mean, max, std, nonFinite }) => [
    name,
    dtype,
    shape.length === 0 ? "scalar" : shape.join(" x "),
    bytesText(bytes),
    number(min),
    number(mean),
    number(max),
    number(std),
    nonFinite === null ? "not looked at" : nonFinite === 0 ? "" : `${nonFinite} NOT FINITE`,
  ]);
  return table([["tensor", "dtype", "shape", "size", "min", "mean", "max", "std", ""], ...rows], {
    align: ["left", "left", "left", "right", "right", "right", "right", "right", "left"],
  });
}

function nextText({ usable, why, commands }: InspectedWeights["next"]): string {
  return [
    `${usable ? "Ready" : "Next"}: ${why}${commands.length > 0 ? ":" : "."}`,
    ...commands.map((line) => `  ${line}`),
  ].join("\n");
}

const millions = (count: number) =>
  count >= 1e6 ? `${(count / 1e6).toFixed(2)} M` : count.toLocaleString("en");

/** Text in lines that fit any terminal, each behind `before`. */
function wrapped(text: string, before: string, width = 80): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + word.length + 1 <= width)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(`${before}${word}`);
  }
  return lines.join("\n");
}

const cut = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 3)}...` : text);

const sections = (parts: readonly string[]) => parts.filter((part) => part !== "").join("\n\n");
