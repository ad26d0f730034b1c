// The aggregation of variables as the reference has it, as an ONNX graph, to compare the folded one with: a token of each
// variable and patch, then torch.nn.MultiheadAttention with keys and values.
import { linear } from "../../src/onnx/encoder.ts";
import { type Aggregation, patches } from "../../src/onnx/tokens.ts";

/** x [B, V, h, w] -> [B L, D]. For networks that are not of the parallel form. */
export const aggregatePlain: Aggregation = (graph, config, x, variables) => {
  const { patchSize: p, embedDim: D, heads: H } = config;
  const V = variables.length;
  const [pp, d] = [p * p, D / H];
  const float = (name: string, shape: readonly number[], values: () => Promise<Float32Array>) =>
    graph.constant({ name, type: "float", shape, values });
  const token = (v: number, part: string) => graph.read(`token_embeds.${v}.proj.${part}`);
  const weights = float("plain.weights", [V, pp, D], async () => {
    const all = new Float32Array(V * pp * D);
    for (const [i, v] of variables.entries()) {
      const weight = await token(v, "weight");
      for (let c = 0; c < D; c++)
        for (let k = 0; k < pp; k++) all[(i * pp + k) * D + c] = weight[c * pp + k]!;
    }
    return all;
  });
  const biases = float("plain.biases", [V, 1, D], async () => {
    const all = new Float32Array(V * D);
    for (const [i, v] of variables.entries()) all.set(await token(v, "bias"), i * D);
    return all;
  });
  const embeds = float("plain.embeds", [V, 1, D], async () => {
    const embed = await graph.read("var_embed");
    return Float32Array.from(variables.flatMap((v) => [...embed.subarray(v * D, (v + 1) * D)]));
  });
  const third = (part: number) => ({
    weight: float(`plain.weight${part}`, [D, D], async () =>
      (await graph.read("var_agg.in_proj_weight")).slice(part * D * D, (part + 1) * D * D),
    ),
    bias: float(`plain.bias${part}`, [D], async () =>
      (await graph.read("var_agg.in_proj_bias")).slice(part * D, (part + 1) * D),
    ),
  });

  const cut = patches(graph, config, x, V, "variable"); // [V, N, p p]
  const bare = graph.node("plain.bare", "MatMul", [cut, weights]);
  const biased = graph.node("plain.biased", "Add", [bare, biases]);
  const tokens = graph.node("plain.tokens", "Add", [biased, embeds]); // [V, N, D]
  const byPatch = graph.node("plain.byPatch", "Transpose", [tokens], { perm: [1, 0, 2] });
  const rows = graph.reshape("plain.rows", byPatch, [-1, D]); // [N V, D]
  const [queries, keys, values] = [0, 1, 2].map((part) => {
    const { weight, bias } = third(part);
    const from = part === 0 ? graph.parameter("var_query", [1, D]) : rows;
    return linear(graph, `plain.projected${part}`, from, weight, bias);
  }) as [string, string, string];
  const q = graph.reshape("plain.q", queries, [1, H, 1, d]);
  const scaled = graph.node("plain.scaled", "Mul", [q, graph.scalar(1 / Math.sqrt(d))]);
  const heads = (name: string, from: string, perm: number[]) =>
    graph.node(name, "Transpose", [graph.reshape(`${name}.cut`, from, [-1, V, H, d])], { perm });
  const scores = graph.node("plain.scores", "MatMul", [scaled, heads("plain.k", keys, [0, 2, 3, 1])]);
  const a = graph.node("plain.weighting", "Softmax", [scores], { axis: -1 }); // [N, H, 1, V]
  const mixed = graph.node("plain.mixed", "MatMul", [a, heads("plain.v", values, [0, 2, 1, 3])]);
  const joined = graph.reshape("plain.joined", mixed, [-1, D]);
  const out = "var_agg.out_proj";
  return linear(graph, out, joined, graph.parameter(`${out}.weight`), graph.parameter(`${out}.bias`));
};
