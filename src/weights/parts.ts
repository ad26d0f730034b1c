// The parts of a network by the names of its parameters, and how many numbers each part has.

/** A part of a network, in the words of the paper. */
export interface NetworkPart {
  readonly part: string;
  readonly tensors: number;
  /** Numbers in all of them. */
  readonly parameters: number;
}

/** In the order of the forward pass. */
const parts: readonly (readonly [part: string, name: RegExp])[] = [
  ["patch embeddings", /^(token_embeds|patch_embed|parallel_patch_embed)\./],
  ["variable embeddings", /^(var_embed|channel_embed)$/],
  ["variable aggregation", /^(var_query|channel_query)$|^(var_agg|channel_agg)\./],
  ["position embeddings", /^pos_embed$/],
  ["lead time embedding", /^lead_time_embed\./],
  ["time embeddings", /^time_pos_embed$/],
  ["transformer blocks", /^blocks\.\d+\.(norm1|norm2|attn|mlp)\./],
  ["last norm", /^norm\./],
  ["time aggregation", /^time_query$|^time_agg\./],
  ["prediction head", /^head\./],
];

/** The part that a parameter belongs to by the reference's name; the first word of a name that it does not know. */
export function partOf(name: string): string {
  return parts.find(([, pattern]) => pattern.test(name))?.[0] ?? name.split(".", 1)[0]!;
}

/**
 * Adds up a network's parameters by part, in the order of the forward pass.
 *
 * @param shapes  by the reference's name
 */
export function networkParts(shapes: Iterable<readonly [string, readonly number[]]>): NetworkPart[] {
  const found = new Map<string, { tensors: number; parameters: number }>();
  for (const [name, shape] of shapes) {
    const part = partOf(name);
    const sum = found.get(part) ?? { tensors: 0, parameters: 0 };
    found.set(part, {
      tensors: sum.tensors + 1,
      parameters: sum.parameters + shape.reduce((product, n) => product * n, 1),
    });
  }
  const order = parts.map(([part]) => part);
  const place = (part: string) => (order.includes(part) ? order.indexOf(part) : order.length);
  return [...found].map(([part, sum]) => ({ part, ...sum })).sort((a, b) => place(a.part) - place(b.part));
}
