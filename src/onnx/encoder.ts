// The transformer that ClimaX, its projection and the ViT baseline share (src/model/encoder.ts), as an ONNX graph.
//
// N sequences, L tokens of each, D width of a token, H heads of width d = D / H. Tokens of all sequences are rows of one
// matrix, so that linear layers are Gemm with PyTorch's weights [out, in] as they are.
import type { EncoderConfig } from "../model/encoder.ts";
import type { OnnxGraph } from "./graph.ts";

/** A linear layer. x [rows, in] -> [rows, out]. */
export function linear(graph: OnnxGraph, name: string, x: string, weight: string, bias: string): string {
  return graph.node(name, "Gemm", [x, weight, bias], { transB: 1 });
}

/** A linear layer of the network: its parameters, whole, are `name`.weight and `name`.bias. */
export function namedLinear(graph: OnnxGraph, name: string, x: string): string {
  return linear(graph, name, x, graph.parameter(`${name}.weight`), graph.parameter(`${name}.bias`));
}

/** The exact one, by erf, spelt as runtimes look for it to compute it at once. */
export function gelu(graph: OnnxGraph, name: string, x: string): string {
  const scaled = graph.node(`${name}.scaled`, "Div", [x, graph.scalar(Math.SQRT2)]);
  const erf = graph.node(`${name}.erf`, "Erf", [scaled]);
  const plus = graph.node(`${name}.plus`, "Add", [erf, graph.scalar(1)]);
  const product = graph.node(`${name}.product`, "Mul", [x, plus]);
  return graph.node(name, "Mul", [product, graph.scalar(0.5)]);
}

/**
 * The blocks and the last norm.
 *
 * @param x  [N L, D]
 * @param L  tokens of a sequence
 * @returns  [N L, D]
 */
export function encoderGraph(graph: OnnxGraph, config: EncoderConfig, x: string, L: number): string {
  let y = x;
  for (let i = 0; i < config.depth; i++) {
    const name = `blocks.${i}`;
    const normed = norm(graph, `${name}.norm1`, y);
    const attended = namedLinear(graph, `${name}.attn.proj`, attention(graph, name, config, normed, L));
    y = graph.node(`${name}.attended`, "Add", [y, attended]);
    const hidden = gelu(
      graph,
      `${name}.mlp.act`,
      namedLinear(graph, `${name}.mlp.fc1`, norm(graph, `${name}.norm2`, y)),
    );
    y = graph.node(name, "Add", [y, namedLinear(graph, `${name}.mlp.fc2`, hidden)]);
  }
  return norm(graph, "norm", y);
}

function norm(graph: OnnxGraph, name: string, x: string): string {
  const inputs = [x, graph.parameter(`${name}.weight`), graph.parameter(`${name}.bias`)];
  return graph.node(name, "LayerNormalization", inputs, { axis: -1, epsilon: { float: 1e-5 } });
}

/** Self-attention of a block up to its projection. x [N L, D] -> [N L, D]. */
function attention(
  graph: OnnxGraph,
  block: string,
  { embedDim: D, heads: H }: EncoderConfig,
  x: string,
  L: number,
): string {
  const d = D / H;
  const name = `${block}.attn`;
  const qkv = namedLinear(graph, `${name}.qkv`, x); // [N L, 3 D]
  const [q, k, v] = graph.split(`${name}.split`, qkv, ["q", "k", "v"], D) as [string, string, string];
  const heads = (part: string, perm: number[]) =>
    graph.node(`${part}.heads`, "Transpose", [graph.reshape(`${part}.rows`, part, [-1, L, H, d])], { perm });
  const scaled = graph.node(`${name}.scaled`, "Mul", [
    heads(q, [0, 2, 1, 3]),
    graph.scalar(1 / Math.sqrt(d)),
  ]);
  const scores = graph.node(`${name}.scores`, "MatMul", [scaled, heads(k, [0, 2, 3, 1])]); // [N, H, L, L]
  const weights = graph.node(`${name}.weights`, "Softmax", [scores], { axis: -1 });
  const mixed = graph.node(`${name}.mixed`, "MatMul", [weights, heads(v, [0, 2, 1, 3])]); // [N, H, L, d]
  const rows = graph.node(`${name}.rows`, "Transpose", [mixed], { perm: [0, 2, 1, 3] });
  return graph.reshape(`${name}.joined`, rows, [-1, D]);
}
