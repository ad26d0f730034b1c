// From fields to the tokens that enter the encoder (src/model/tokens.ts), as an ONNX graph: patches and the aggregation of
// their variables, positions, lead times.
//
// N samples (of a projection B T), V variables, h x w points, p patch side, K = p p + 1, L patches, D width of a
// token, H heads of width d = D / H.
import { fieldShape, type ModelConfig, modelSizes } from "../model/config.ts";
import { linear } from "./encoder.ts";
import { type FoldedAggregation, foldAggregation } from "./fold.ts";
import type { OnnxGraph } from "./graph.ts";

export type PatchConfig = Pick<
  ModelConfig,
  "gridShape" | "region" | "patchSize" | "embedDim" | "heads" | "mlpRatio" | "parallelPatchEmbed"
>;

/** How variables become one token: from x [.., V, h, w] to [N L, D]. */
export type Aggregation = (
  graph: OnnxGraph,
  config: PatchConfig,
  x: string,
  variables: readonly number[],
) => string;

/** Patches down and across the fields that enter. */
export function patchShape(config: PatchConfig): readonly [rows: number, columns: number] {
  const [h, w] = fieldShape(config);
  return [h / config.patchSize, w / config.patchSize];
}

/**
 * Cuts fields into patches.
 *
 * @param first  which comes first, the patch or the variable
 * @returns      [N L, V p p] or [V, N L, p p]
 */
export function patches(
  graph: OnnxGraph,
  config: PatchConfig,
  x: string,
  V: number,
  first: "patch" | "variable",
): string {
  const p = config.patchSize;
  const [rows, columns] = patchShape(config);
  const cut = graph.reshape("patches.cut", x, [-1, V, rows, p, columns, p]);
  const perm = first === "patch" ? [0, 2, 4, 1, 3, 5] : [1, 0, 2, 4, 3, 5];
  const turned = graph.node("patches.turned", "Transpose", [cut], { perm });
  return graph.reshape("patches", turned, first === "patch" ? [-1, V * p * p] : [V, -1, p * p]);
}

/**
 * The aggregation of `foldAggregation`, from patches P [V, N L, K] that end with a 1:
 *
 *   a[v, n, h] = softmax over v of P[v, n] . S[v, :, h];   o[n, h] = sum over v, k of a[v, n, h] P[v, n, k] M[h, v k]
 *
 * In the paper's model (V 48, p 2, D 1024, H 16) a patch takes 1.3 million multiplications, by way of tokens, keys and values
 * 102 million.
 */
export const aggregateFactored: Aggregation = (graph, config, x, variables) => {
  const { patchSize: p, embedDim: D, heads: H } = config;
  const V = variables.length;
  const [K, d] = [p * p + 1, D / H];
  let made: Promise<FoldedAggregation> | undefined;
  const folded = () => (made ??= foldAggregation(graph.read, config, variables));
  const constant = (part: keyof FoldedAggregation, shape: readonly number[], doc: string) =>
    graph.constant({
      name: `var_agg.${part}`,
      type: "float",
      shape,
      doc,
      values: async () => (await folded())[part],
    });
  const S = constant("scores", [V, K, H], "S[v, k, h], tokens, keys and query folded into one");
  const M = constant("values", [H, V * K, d], "M[h, v k, :], tokens and values folded into one");
  const bias = constant("outBias", [D], "out_proj.bias + out_proj.weight times the bias of the values");

  const bare = patches(graph, config, x, V, "variable");
  const ends = graph.ints([0, 0, 0, 0, 0, 1]); // a 1 after the values of each patch, for bias and embedding
  const P = graph.node("patches.one", "Pad", [bare, ends, graph.scalar(1)]);
  const scores = graph.node("var_agg.scored", "MatMul", [P, S]); // [V, N L, H]
  const a = graph.node("var_agg.weights", "Softmax", [scores], { axis: 0 });
  const byHead = graph.node("var_agg.byHead", "Transpose", [a], { perm: [2, 1, 0] });
  const column = graph.reshape("var_agg.column", byHead, [H, -1, V, 1]);
  const byPatch = graph.node("patches.byPatch", "Transpose", [P], { perm: [1, 0, 2] }); // [N L, V, K]
  const weighted = graph.node("var_agg.weighted", "Mul", [column, byPatch]); // [H, N L, V, K]
  const mixed = graph.node("var_agg.mixed", "MatMul", [
    graph.reshape("var_agg.weightedRows", weighted, [H, -1, V * K]),
    M,
  ]); // [H, N L, d]
  const rows = graph.node("var_agg.rows", "Transpose", [mixed], { perm: [1, 0, 2] });
  const joined = graph.reshape("var_agg.joined", rows, [-1, D]);
  return linear(graph, "var_agg.out_proj", joined, graph.parameter("var_agg.out_proj.weight"), bias);
};

/** Embeddings of the positions that enter, [L, D]: the whole grid's, or the rows of a region's patches. */
export function positions(graph: OnnxGraph, config: PatchConfig): string {
  const { region, embedDim: D } = config;
  const { rows, columns } = modelSizes(config);
  if (!region) return graph.parameter("pos_embed", [rows * columns, D]);
  const wanted = region.rows.flatMap((row) => region.columns.map((column) => row * columns + column));
  return graph.constant({
    name: "pos_embed.region",
    type: "float",
    shape: [wanted.length, D],
    doc: "pos_embed, of the patches that enter",
    values: async () => rowsOf(await graph.read("pos_embed"), D, wanted),
  });
}

/** @param lead  lead_hours as the graph has them, [B]; returns [B, 1, D] */
export function embedLead(graph: OnnxGraph, lead: string, D: number): string {
  const column = graph.reshape("lead_hours.column", lead, [-1, 1, 1]);
  const hundreds = graph.node("lead_hours.hundreds", "Div", [column, graph.scalar(100)]); // as ClimaX was trained
  const weight = graph.parameter("lead_time_embed.weight", [D]);
  const scaled = graph.node("lead_time_embed.scaled", "Mul", [hundreds, weight]);
  return graph.node("lead_time_embed", "Add", [scaled, graph.parameter("lead_time_embed.bias")]);
}

/** The rows wanted of a matrix of rows `width` wide. */
export function rowsOf(values: Float32Array, width: number, wanted: readonly number[]): Float32Array {
  const picked = new Float32Array(wanted.length * width);
  for (const [i, row] of wanted.entries())
    picked.set(values.subarray(row * width, (row + 1) * width), i * width);
  return picked;
}
