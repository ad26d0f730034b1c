// A model card: what a model is, how it came to be, what it can do and what it cannot, from what its checkpoint says.
import { basename } from "node:path";
import { formatLead } from "../data/leadtime.ts";
import { describeGrid, makeGrid } from "../grid/grid.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import { networkName, networkOf } from "../model/network.ts";
import { intendedUse, limitsOf } from "./cardlimits.ts";
import { loadingOf } from "./cardloading.ts";
import type { CardScores, ModelCard } from "./cardschema.ts";
import { networkParts } from "./parts.ts";
import { oneLine, trainingStages } from "./provenance.ts";

/** What a card is made from. */
export interface CardFacts {
  readonly info: CheckpointInfo;
  /** The exported file. */
  readonly file: {
    readonly path: string;
    readonly format: "safetensors" | "ckpt" | "onnx";
    readonly bytes: number;
    /** Of the whole file, hexadecimal. */
    readonly sha256: string;
    /** How many tensors it holds. */
    readonly tensors: number;
    /** Of ONNX: whether fields enter and leave normalised; in their units unless true. */
    readonly normalised?: boolean;
    /** Of a PyTorch file: what stands before each name, `net.` unless given, and whether names are the older ones. */
    readonly style?: { readonly prefix: string; readonly older: boolean };
  };
  /** As the user says; left out: not stated. */
  readonly license?: string | undefined;
  readonly authors?: string | undefined;
  readonly scores: readonly CardScores[];
  /** What was assumed, renamed, left out or made anew, one line each; what its import noted is not said again. */
  readonly notes: readonly string[];
  /** ISO 8601. */
  readonly created: string;
  /** Of this program. */
  readonly version: string;
  /** As typed. */
  readonly command: string;
}

const citation = `@inproceedings{nguyen2023climax,
  title     = {{ClimaX}: A foundation model for weather and climate},
  author    = {Nguyen, Tung and Brandstetter, Johannes and Kapoor, Ashish and Gupta, Jayesh K. and Grover, Aditya},
  booktitle = {Proceedings of the 40th International Conference on Machine Learning},
  year      = {2023},
  note      = {arXiv:2301.10343}
}`;

/** The card of an exported model: plain data, of the form of `modelCardSchema`. */
export function modelCard(facts: CardFacts): ModelCard {
  const { info, file, license, authors, scores } = facts;
  const { model, task, variables, leads } = info;
  const network = networkOf(model);
  const parts = networkParts(network.shapes);
  const inputs = info.inputs ?? variables.map(({ name }) => name);
  const [entering, leaving] = [new Set(inputs), new Set(info.outputs)];
  const training = trainingStages(info.provenance);
  const told = new Set(training.flatMap(({ notes }) => notes));
  const listed = Array.isArray(leads);
  const name = basename(file.path);
  return {
    format: "climax-model-card",
    version: 1,
    name: oneLine(name.replace(/\.(safetensors|ckpt|pth?|onnx)$/i, "")),
    created: facts.created,
    madeBy: { program: "climax", version: facts.version, command: oneLine(facts.command, 4000) },
    license: license === undefined || license.trim() === "" ? null : oneLine(license),
    authors: authors === undefined || authors.trim() === "" ? null : oneLine(authors),
    synthetic: info.synthetic,
    model: {
      network: networkName(model),
      sizes: network.describe(),
      config: { ...model },
      parameters: parts.reduce((sum, { parameters }) => sum + parameters, 0),
      parts,
      task: taskWords(info),
      taskConfig: { ...task },
    },
    variables: variables.map(({ name: variable, units, mean, std }) => {
      const target = info.targets?.find((one) => one.name === variable);
      return {
        ...{ name: oneLine(variable), units: oneLine(units), mean, std },
        input: entering.has(variable),
        output: leaving.has(variable),
        target: target ? { units: oneLine(target.units), mean: target.mean, std: target.std } : null,
      };
    }),
    inputs: inputs.map((one) => oneLine(one)),
    outputs: info.outputs.map((one) => oneLine(one)),
    unused: model.variables
      .filter((one) => !variables.some((known) => known.name === one))
      .map((one) => oneLine(one)),
    grid: {
      description: describeGrid(makeGrid(info.grid.lat, info.grid.lon)),
      lat: [...info.grid.lat],
      lon: [...info.grid.lon],
      region: info.region === undefined ? null : oneLine(info.region),
    },
    leads: {
      description: leadWords(info),
      hours: listed ? [...leads] : null,
      range: listed ? null : { ...leads },
    },
    training,
    scores: [...scores],
    intendedUse: intendedUse(info),
    limits: limitsOf(info, training, scores),
    file: {
      name: oneLine(name),
      format: file.format,
      bytes: file.bytes,
      sha256: file.sha256,
      tensors: file.tensors,
    },
    loading: loadingOf(info, { ...file, name }),
    notes: facts.notes.map((note) => oneLine(note, 4000)).filter((note) => !told.has(note)),
    citation,
  };
}

/** What it was trained to do with a state: "forecasts", "means over 14d", "downscaling from 32 x 64, ...". */
export function taskWords({ task }: Pick<CheckpointInfo, "task">): string {
  switch (task.kind) {
    case "forecast":
      return "forecasts";
    case "mean":
      return `forecasts of means over ${formatLead(task.hours)}`;
    case "downscaling":
      return `downscaling from ${describeGrid(makeGrid(task.from.lat, task.from.lon))}`;
    case "projection":
      return `climate projections from ${task.history} ${task.history === 1 ? "step" : "steps"} of forcings`;
  }
}

/** Lead times in words: "72 h", "24 h, 72 h", "6 h to 168 h, every 6 h"; "none" for a task without. */
export function leadWords({ task, leads }: Pick<CheckpointInfo, "task" | "leads">): string {
  if (task.kind === "projection" || task.kind === "downscaling") return "none: the same time";
  if (!Array.isArray(leads)) {
    if (leads.min === leads.max) return `${leads.min} h`;
    return `${leads.min} h to ${leads.max} h, every ${leads.step} h`;
  }
  return leads.map((hours) => `${hours} h`).join(", ");
}
