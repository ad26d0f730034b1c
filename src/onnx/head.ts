// From the encoder's tokens to fields (src/model/head.ts), as an ONNX graph. Only rows of the last layer that predict the
// outputs wanted are kept.
//
// B batch, L patches, D width of a token, h x w points of the fields, p patch side.
import { fieldShape, type ModelConfig } from "../model/config.ts";
import { gelu, linear, namedLinear } from "./encoder.ts";
import type { OnnxGraph } from "./graph.ts";
import { type PatchConfig, patchShape, rowsOf } from "./tokens.ts";

/**
 * A linear layer of which some rows are computed.
 *
 * @param rows   those wanted, of the layer's weight and bias
 * @param width  of x
 */
export function linearRows(
  graph: OnnxGraph,
  name: string,
  x: string,
  rows: readonly number[],
  width: number,
): string {
  const picked = (part: "weight" | "bias", shape: readonly number[]) =>
    graph.constant({
      name: `${name}.${part}.outputs`,
      type: "float",
      shape,
      doc: `${name}.${part}, of the outputs that the model was trained to predict`,
      values: async () => rowsOf(await graph.read(`${name}.${part}`), part === "weight" ? width : 1, rows),
    });
  const weight = picked("weight", [rows.length, width]);
  return linear(graph, name, x, weight, picked("bias", [rows.length]));
}

/**
 * Predicts fields from tokens.
 *
 * @param name     of the value that it makes
 * @param x        [B L, D]
 * @param known    how many fields the head's last layer predicts
 * @param outputs  which of those are wanted
 * @returns        [B, outputs, h, w]
 */
export function headGraph(
  graph: OnnxGraph,
  name: string,
  config: PatchConfig & Pick<ModelConfig, "decoderDepth">,
  x: string,
  { known, outputs }: { known: number; outputs: readonly number[] },
): string {
  const { patchSize: p, embedDim: D, decoderDepth } = config;
  let y = x;
  for (let i = 0; i < decoderDepth; i++) {
    y = gelu(graph, `head.${2 * i + 1}`, namedLinear(graph, `head.${2 * i}`, y));
  }
  // The last layer predicts p p values of every variable it knows, the variable changing fastest.
  const rows = Array.from({ length: p * p }, (_, k) => outputs.map((id) => k * known + id)).flat();
  y = linearRows(graph, `head.${2 * decoderDepth}`, y, rows, D);
  const cut = graph.reshape("fields.cut", y, [-1, ...patchShape(config), p, p, outputs.length]);
  const turned = graph.node("fields.turned", "Transpose", [cut], { perm: [0, 5, 1, 3, 2, 4] });
  return graph.reshape(name, turned, [-1, outputs.length, ...fieldShape(config)]);
}

/**
 * Adds to each field the one of x that it is the change of, if there is one.
 *
 * @param name    of the value that it makes
 * @param fields  [B, outputs, h, w]
 * @param x       [B, V, h, w]
 * @param places  for each output its place in x
 */
export function addStates(
  graph: OnnxGraph,
  name: string,
  fields: string,
  x: string,
  places: readonly (number | undefined)[],
): string {
  const indices = graph.ints(places.map((place) => place ?? 0));
  const picked = graph.node("states.picked", "Gather", [x, indices], { axis: 1 });
  if (!places.includes(undefined)) return graph.node(name, "Add", [fields, picked]);
  const there = graph.constant({
    name: "states.there",
    type: "bool",
    shape: [places.length, 1, 1],
    doc: "which outputs are among the inputs, and predicted as changes of them",
    values: () => Uint8Array.from(places, (place) => (place === undefined ? 0 : 1)),
  });
  const states = graph.node("states", "Where", [there, picked, graph.scalar(0)]);
  return graph.node(name, "Add", [fields, states]);
}
