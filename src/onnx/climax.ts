// ClimaX (src/model/climax.ts) and the ViT baseline (src/model/vit.ts) as ONNX graphs: tokens, encoder, head.
import { placesOf } from "../model/climax.ts";
import type { ModelConfig } from "../model/config.ts";
import { expectInputs, outputPlaces } from "../model/fixed.ts";
import type { VitConfig } from "../model/vit.ts";
import { encoderGraph, linear } from "./encoder.ts";
import type { OnnxGraph } from "./graph.ts";
import { addStates, headGraph } from "./head.ts";
import { type Aggregation, aggregateFactored, embedLead, patches, patchShape, positions } from "./tokens.ts";

/** What a network's graph is made for. */
export interface GraphInput {
  /** Normalised fields, [B, V, h, w], of a projection [B, T, V, h, w]. */
  readonly x: string;
  /** [B] */
  readonly leadHours: string;
  /** Which of the model's variables x holds, in its order. */
  readonly variables: readonly number[];
  /** Which of the model's variables to predict, in the order wanted. */
  readonly outputs: readonly number[];
  /** Name for the value that it makes, [B, outputs, h, w], normalised. */
  readonly result: string;
}

export function climaxGraph(
  graph: OnnxGraph,
  config: ModelConfig,
  input: GraphInput,
  aggregate: Aggregation = aggregateFactored,
): string {
  const tokens = aggregate(graph, config, input.x, input.variables); // [B L, D]
  const known = config.variables.length;
  return fromTokens(graph, config, input, tokens, { known, outputs: input.outputs });
}

export function vitGraph(graph: OnnxGraph, config: VitConfig, input: GraphInput): string {
  const { patchSize: p, embedDim: D } = config;
  expectInputs(config, input.variables);
  const V = input.variables.length;
  const cut = patches(graph, { ...config, parallelPatchEmbed: false }, input.x, V, "patch"); // [B L, V p p]
  const weight = graph.parameter("patch_embed.proj.weight", [D, V * p * p]);
  const tokens = linear(graph, "patch_embed", cut, weight, graph.parameter("patch_embed.proj.bias"));
  const outputs = outputPlaces(config, input.outputs);
  return fromTokens(graph, { ...config, parallelPatchEmbed: false }, input, tokens, {
    known: config.outputs.length,
    outputs,
  });
}

/** The rest of both: positions and lead times are added, then encoder, head and, of a residual network, the state. */
function fromTokens(
  graph: OnnxGraph,
  config: Omit<ModelConfig, "type" | "variables">,
  { x, leadHours, variables, outputs, result }: GraphInput,
  tokens: string,
  rows: { known: number; outputs: readonly number[] },
): string {
  const D = config.embedDim;
  const [down, across] = patchShape(config);
  const L = down * across;
  const sequences = graph.reshape("tokens.sequences", tokens, [-1, L, D]);
  const placed = graph.node("tokens.placed", "Add", [sequences, positions(graph, config)]);
  const dated = graph.node("tokens.dated", "Add", [placed, embedLead(graph, leadHours, D)]); // [B, L, D]
  const encoded = encoderGraph(graph, config, graph.reshape("tokens", dated, [-1, D]), L);
  if (!config.residual) return headGraph(graph, result, config, encoded, rows);
  const fields = headGraph(graph, "fields", config, encoded, rows);
  return addStates(graph, result, fields, x, placesOf(outputs, variables));
}
