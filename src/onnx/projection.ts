// Climate projection (src/model/projection.ts) as an ONNX graph: each year encoded, a learned query over the years, one
// linear layer that makes whole fields.
//
// B batch, T years, L patches, D width of a token, H heads of width d = D / H, h x w points of the fields.
import { inputPlaces, outputPlaces } from "../model/fixed.ts";
import type { ProjectionConfig } from "../model/projection.ts";
import type { GraphInput } from "./climax.ts";
import { encoderGraph, linear } from "./encoder.ts";
import { foldQuery } from "./fold.ts";
import type { OnnxGraph } from "./graph.ts";
import { linearRows } from "./head.ts";
import { aggregateFactored, embedLead, patchShape, positions } from "./tokens.ts";

export function projectionGraph(
  graph: OnnxGraph,
  config: ProjectionConfig,
  { x, leadHours, variables, outputs, result }: GraphInput,
): string {
  const { gridShape, history: T, embedDim: D } = config;
  const [h, w] = gridShape;
  const [down, across] = patchShape(config);
  const L = down * across;
  const tokens = aggregateFactored(graph, config, x, inputPlaces(config, variables)); // [B T L, D]
  const years = graph.reshape("tokens.years", tokens, [-1, T, L, D]);
  const placed = graph.node("tokens.placed", "Add", [years, positions(graph, config)]);
  const when = graph.parameter("time_pos_embed", [T, 1, D]);
  const dated = graph.node("tokens.dated", "Add", [placed, when]);
  const lead = graph.reshape("lead_time_embed.years", embedLead(graph, leadHours, D), [-1, 1, 1, D]);
  const led = graph.node("tokens.led", "Add", [dated, lead]);
  const encoded = encoderGraph(graph, config, graph.reshape("tokens", led, [-1, D]), L); // [B T L, D]
  const sequences = graph.reshape("years.tokens", encoded, [-1, L, D]);
  const means = graph.node("years.means", "ReduceMean", [sequences], { axes: [1], keepdims: 0 }); // [B T, D]
  const state = aggregateYears(graph, config, means); // [B, D]

  const points = h * w;
  const rows = outputPlaces(config, outputs).flatMap((place) =>
    Array.from({ length: points }, (_, i) => place * points + i),
  );
  const flat = linearRows(graph, "head", state, rows, D); // [B, outputs h w]
  return graph.reshape(result, flat, [-1, outputs.length, h, w]);
}

/** The learned query's attention over the years. means [B T, D] -> [B, D]. */
function aggregateYears(graph: OnnxGraph, config: ProjectionConfig, means: string): string {
  const { history: T, embedDim: D, heads: H } = config;
  const d = D / H;
  const inWeight = "time_agg.in_proj_weight"; // [3 D, D]: query's, keys', values'
  const inBias = "time_agg.in_proj_bias";
  const thirdOf = (name: string, width: number) => async () =>
    (await graph.read(name)).slice(2 * D * width, 3 * D * width);
  const U = graph.constant({
    name: "time_agg.scores",
    type: "float",
    shape: [H, D],
    doc: "keys and query folded into one",
    values: async () =>
      Float32Array.from(
        foldQuery(await graph.read("time_query"), await graph.read(inWeight), await graph.read(inBias), H),
      ),
  });
  const weight = graph.constant({
    name: "time_agg.values.weight",
    type: "float",
    shape: [D, D],
    doc: `the values' rows of ${inWeight}`,
    values: thirdOf(inWeight, D),
  });
  const bias = graph.constant({
    name: "time_agg.values.bias",
    type: "float",
    shape: [D],
    doc: `the values' rows of ${inBias}`,
    values: thirdOf(inBias, 1),
  });

  const scored = graph.node("time_agg.scored", "Gemm", [means, U], { transB: 1 }); // [B T, H]
  const byYear = graph.reshape("time_agg.byYear", scored, [-1, T, H]);
  const byHead = graph.node("time_agg.byHead", "Transpose", [byYear], { perm: [0, 2, 1] });
  const a = graph.node("time_agg.weights", "Softmax", [byHead], { axis: -1 });
  const row = graph.reshape("time_agg.row", a, [-1, H, 1, T]);
  const values = linear(graph, "time_agg.valued", means, weight, bias); // [B T, D]
  const heads = graph.node(
    "time_agg.heads",
    "Transpose",
    [graph.reshape("time_agg.years", values, [-1, T, H, d])],
    { perm: [0, 2, 1, 3] },
  );
  const mixed = graph.node("time_agg.mixed", "MatMul", [row, heads]); // [B, H, 1, d]
  const joined = graph.reshape("time_agg.joined", mixed, [-1, D]);
  const out = "time_agg.out_proj";
  return linear(graph, out, joined, graph.parameter(`${out}.weight`), graph.parameter(`${out}.bias`));
}
