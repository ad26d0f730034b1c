// Exports a model as ONNX: the forward pass of a checkpoint as one graph that any onnxruntime runs, with the statistics in it
// and all that a checkpoint says about itself beside it.
import { ClimaxError } from "../errors.ts";
import type { Checkpoint, CheckpointInfo } from "../model/checkpoint.ts";
import { variableIds } from "../model/climax.ts";
import { networkOf } from "../model/network.ts";
import { version } from "../version.ts";
import { climaxGraph, type GraphInput, vitGraph } from "./climax.ts";
import { documentModel } from "./document.ts";
import { writeOnnxFile } from "./file.ts";
import { makeGraph, type OnnxGraph } from "./graph.ts";
import { projectionGraph } from "./projection.ts";
import { IR_VERSION, type OnnxModel, OPSET } from "./proto.ts";
import { checkScale, scaleInputs, scaleOutputs } from "./scale.ts";
import type { Aggregation } from "./tokens.ts";

export interface OnnxOptions {
  /** Fields enter and leave as the network has them, (x - mean) / std; otherwise in their units. */
  readonly normalised: boolean;
}

/** What was written. */
export interface OnnxSummary {
  readonly opset: number;
  readonly irVersion: number;
  /** Of all files. */
  readonly bytes: number;
  /** float32 arrays; "batch" stands for any length. */
  readonly inputs: readonly { readonly name: string; readonly shape: readonly (number | string)[] }[];
  /** Names of the variables of `forecast`, in order. */
  readonly outputs: readonly string[];
  /** Path of the weights, where the model is too large for one file. It goes with the model. */
  readonly external?: string;
}

/**
 * Writes the forward pass as ONNX, opset 17.
 *
 *   x           [batch, V, H, W], of projection [batch, T, V, H, W]; the model's inputs in their order
 *   lead_hours  [batch]
 *   forecast    [batch, outputs, H, W]; the variables it was trained to predict
 *
 * Rows go from south to north. The aggregation is folded (`foldAggregation`), so that its keys, values and tokens are not
 * computed; of the head, only the outputs' rows are kept. One parameter is in memory at a time.
 *
 * @param largest  bytes of one file; the weights of a larger model go into `<path>.data`
 * @throws         ClimaxError "checkpoint" for a network that has no such graph, and if the place cannot be written
 */
export async function writeOnnx(
  path: string,
  model: Pick<Checkpoint, "info" | "parameter">,
  options: OnnxOptions,
  largest?: number,
): Promise<OnnxSummary> {
  const made = onnxModel(model, options);
  const { bytes, external } = await writeOnnxFile(path, made, largest);
  return {
    ...{ opset: OPSET, irVersion: IR_VERSION, bytes },
    inputs: made.inputs.map(({ name, shape }) => ({ name, shape })),
    outputs: [...model.info.outputs],
    ...(external === undefined ? {} : { external }),
  };
}

/**
 * The model as ONNX has it, before it is written.
 *
 * @param aggregation  how ClimaX's variables become tokens; another form of the same function, to compare with
 */
export function onnxModel(
  { info, parameter }: Pick<Checkpoint, "info" | "parameter">,
  { normalised }: OnnxOptions,
  aggregation?: Aggregation,
): OnnxModel {
  const { model } = info;
  const inputs = info.inputs ?? info.variables.map(({ name }) => name);
  const scales = new Map(info.variables.map((variable) => [variable.name, variable]));
  const targets = new Map([...info.variables, ...(info.targets ?? [])].map((scale) => [scale.name, scale]));
  const entering = inputs.map((name) => scales.get(name)!);
  const leaving = info.outputs.map((name) => targets.get(name)!);
  if (!normalised) for (const scale of [...entering, ...leaving]) checkScale(scale);

  const { shapes, fieldShape } = networkOf(model);
  const graph = makeGraph(shapes, parameter);
  const [x, leadHours, forecast] = ["x", "lead_hours", "forecast"];
  const fields = networkGraph(
    graph,
    info,
    {
      x: normalised ? x : scaleInputs(graph, x, entering),
      leadHours,
      variables: variableIds(model, inputs),
      outputs: variableIds(model, info.outputs),
      result: normalised ? forecast : "forecast.normalised",
    },
    aggregation,
  );
  if (!normalised) scaleOutputs(graph, forecast, fields, leaving);

  const years = model.type === "projection" ? [model.history] : [];
  const docs = documentModel(info, { entering, leaving, normalised });
  return {
    name: model.type,
    doc: docs.model,
    nodes: graph.nodes,
    tensors: graph.tensors,
    inputs: [
      { name: x, shape: ["batch", ...years, inputs.length, ...fieldShape], doc: docs.x },
      { name: leadHours, shape: ["batch"], doc: docs.leadHours },
    ],
    outputs: [{ name: forecast, shape: ["batch", info.outputs.length, ...fieldShape], doc: docs.forecast }],
    producerVersion: version(),
    metadata: docs.metadata,
  };
}

function networkGraph(
  graph: OnnxGraph,
  { model }: CheckpointInfo,
  input: GraphInput,
  aggregation?: Aggregation,
): string {
  if (model.type === "climax") return climaxGraph(graph, model, input, aggregation);
  if (model.type === "projection") return projectionGraph(graph, model, input);
  if (model.type === "vit") return vitGraph(graph, model, input);
  throw new ClimaxError(
    "checkpoint",
    `a network of type ${model.type} is not exported as ONNX: the export is made for patches and attention, which ` +
      "climax, projection and vit have, and knows none of its layers",
    "keep it whole with climax convert --to safetensors, or export a network of one of those types",
  );
}
