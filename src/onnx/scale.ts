// Normalisation inside an ONNX graph, in f32 as exact as if it were done in f64: a mean is two floats, the nearest and what
// it lacks, for that of a pressure or a geopotential is some thousand times its variable's rounding.
import { ClimaxError } from "../errors.ts";
import type { OnnxGraph } from "./graph.ts";

/** How a variable is normalised, (x - mean) / std. */
export interface Scale {
  readonly name: string;
  readonly units: string;
  readonly mean: number;
  readonly std: number;
}

/** @throws ClimaxError "checkpoint" for statistics that float32, in which the graph computes, cannot hold */
export function checkScale({ name, mean, std }: Scale): void {
  const [m, s] = [Math.fround(mean), Math.fround(std)];
  const [smallest, largest] = [2 ** -126, 3.4028234663852886e38]; // of normal numbers
  if (Number.isFinite(m) && s >= smallest && s <= largest) return;
  throw new ClimaxError(
    "checkpoint",
    `${name} has the mean ${mean} and the standard deviation ${std}, and an ONNX graph computes in float32, which holds ` +
      "numbers from 1.2e-38 to 3.4e38",
    "export it with fields that are normalised outside (--normalised)",
  );
}

/** x [.., V, h, w] in units -> normalised. */
export function scaleInputs(graph: OnnxGraph, x: string, scales: readonly Scale[]): string {
  const { mean, rest, std } = constants(graph, "x", scales);
  const rough = graph.node("x.centred", "Sub", [x, mean]); // exact where x is within a factor 2 of the mean
  const centred = graph.node("x.centredExactly", "Sub", [rough, rest]);
  return graph.node("x.normalised", "Div", [centred, std]);
}

/** fields [B, outputs, h, w] normalised -> in units, under the name given. */
export function scaleOutputs(
  graph: OnnxGraph,
  name: string,
  fields: string,
  scales: readonly Scale[],
): string {
  const { mean, rest, std } = constants(graph, name, scales);
  const scaled = graph.node(`${name}.scaled`, "Mul", [fields, std]);
  const raised = graph.node(`${name}.raised`, "Add", [scaled, rest]);
  return graph.node(name, "Add", [raised, mean]);
}

function constants(graph: OnnxGraph, of: string, scales: readonly Scale[]) {
  const add = (part: string, doc: string, value: (scale: Scale) => number) =>
    graph.constant({
      name: `${of}.${part}`,
      type: "float",
      shape: [scales.length, 1, 1],
      doc,
      values: () => Float32Array.from(scales, value),
    });
  return {
    mean: add("mean", "means of the variables", ({ mean }) => mean),
    rest: add("meanRest", "means less what float32 makes of them", ({ mean }) => mean - Math.fround(mean)),
    std: add("std", "standard deviations of the variables", ({ std }) => std),
  };
}
