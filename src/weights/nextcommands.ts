// The exact commands that use a file of weights, from what it is.
import { basename } from "node:path";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import type { BareWeights } from "./bareweights.ts";
import { shell, useCommand } from "./cardloading.ts";
import type { InspectedWeights } from "./weightsschema.ts";

type Next = InspectedWeights["next"];

/** A checkpoint of climax is used as it is. */
export function nextForCheckpoint(path: string, info: CheckpointInfo): Next {
  const { task, provenance } = info;
  const use = useCommand(info, path);
  const finetune = finetuneCommand(info, path);
  const pretrained = provenance.stage === "pretrain" || provenance.stage === "import";
  const ordered = pretrained ? [...finetune, use] : [use, ...finetune];
  const what = { forecast: "forecast", mean: "forecast", downscaling: "downscale", projection: "project" }[
    task.kind
  ];
  return {
    usable: true,
    why: pretrained ? `finetune it for a task, or ${what} with it as it is` : `${what} with it`,
    commands: [...ordered, ...exportCommand(info, path)],
  };
}

/** A file for PyTorch that climax wrote comes back whole. */
export function nextForExported(path: string, info: CheckpointInfo): Next {
  const own = withEnding(path, ".safetensors");
  return {
    usable: false,
    why: "it holds all that climax needs; convert it back",
    commands: [
      `climax convert ${shell(path)} -o ${shell(own)}`,
      useCommand(info, own),
      ...finetuneCommand(info, own),
    ],
  };
}

/** Bare weights want a description. */
export function nextForBare(path: string, bare: BareWeights): Next {
  if (bare.mend !== undefined) return { usable: false, why: bare.mend, commands: [] };
  const own = withEnding(path, ".safetensors");
  const { lacking, known, variables, variableCount, projects } = bare;
  const wanted = [
    ...(lacking.length > 0
      ? [lacking.map((flag) => flag.replace("--source.", "").replace(/ .*/, "")).join(", ")]
      : []),
    "mean and deviation of its variables",
  ];
  const all = variables.length > 0 && known.length === variables.length;
  const stats = known.length === 0 ? "--stats SET" : all ? "--stats era5" : "--stats era5,SET";
  const era5 =
    variables.length === 0 || projects
      ? ""
      : all
        ? "; era5, which comes with climax, has them"
        : `; era5, which comes with climax, has ${known.length} of ${variableCount}, a prepared SET those of its variables`;
  const use = projects
    ? `climax forecast --checkpoint ${shell(own)} --input forcings.nc -o projection.nc`
    : `climax forecast --checkpoint ${shell(own)} --input state.nc --lead 72h -o forecast.nc`;
  return {
    usable: false,
    why: `it lacks ${wanted.join(", and ")}${era5}`,
    commands: [
      ["climax convert", shell(path), ...lacking, stats, "-o", shell(own)].join(" "),
      use,
      `climax finetune${projects ? " --task projection" : ""} --checkpoint ${shell(own)} --data.set SET -o run`,
    ],
  };
}

function finetuneCommand({ model, task }: CheckpointInfo, path: string): string[] {
  if (model.type !== "climax" && model.type !== "projection" && model.type !== "vit") return [];
  const of = task.kind === "projection" ? " --task projection" : "";
  return [`climax finetune${of} --checkpoint ${shell(path)} --data.set SET -o run`];
}

/** Networks that have a graph. */
function exportCommand({ model }: CheckpointInfo, path: string): string[] {
  if (model.type !== "climax" && model.type !== "projection" && model.type !== "vit") return [];
  return [`climax convert ${shell(path)} -o ${shell(withEnding(path, ".onnx"))}`];
}

/** The file's name with another ending, in the folder that the user is in. */
function withEnding(given: string, ending: string): string {
  const path = basename(given);
  const other = path.replace(/\.[^./\\]*$/, "") + ending;
  return other === path ? path.replace(/\.[^./\\]*$/, `-climax${ending}`) : other;
}
