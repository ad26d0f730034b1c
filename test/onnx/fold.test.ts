import { expect, test } from "vitest";
import type { ModelConfig } from "../../src/model/config.ts";
import { foldAggregation, foldQuery } from "../../src/onnx/fold.ts";
import { uniform } from "../support/gradcheck.ts";
import { relativeError, tinyConfig, tinyModel } from "../support/onnxmodels.ts";

const [p, D, H, d] = [2, 24, 3, 8];
const pp = p * p;

/** torch.nn.MultiheadAttention of one query over tokens, in f64: [N, D] of tokens [N][V][D]. */
async function attend(
  read: (name: string) => Promise<Float32Array>,
  tokens: number[][][],
): Promise<number[][]> {
  const [query, inWeight, inBias, outWeight, outBias] = (await Promise.all(
    [
      "var_query",
      "var_agg.in_proj_weight",
      "var_agg.in_proj_bias",
      "var_agg.out_proj.weight",
      "var_agg.out_proj.bias",
    ].map(read),
  )) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
  const row = (weight: Float32Array, r: number, x: ArrayLike<number>) => {
    let sum = 0;
    for (let c = 0; c < D; c++) sum += weight[r * D + c]! * x[c]!;
    return sum;
  };
  const project = (third: number, x: ArrayLike<number>) =>
    Array.from({ length: D }, (_, r) => row(inWeight, third * D + r, x) + inBias[third * D + r]!);
  const q = project(0, query);
  return tokens.map((ofPatch) => {
    const [keys, values] = [1, 2].map((third) => ofPatch.map((token) => project(third, token)));
    const o = Array.from({ length: D }, (_, c) => {
      const h = Math.floor(c / d);
      const scores = keys!.map((key) => {
        let sum = 0;
        for (let i = h * d; i < (h + 1) * d; i++) sum += q[i]! * key[i]!;
        return Math.exp(sum / Math.sqrt(d));
      });
      const total = scores.reduce((a, b) => a + b, 0);
      return scores.reduce((sum, score, v) => sum + (score / total) * values![v]![c]!, 0);
    });
    return Array.from({ length: D }, (_, r) => row(outWeight, r, o) + outBias[r]!);
  });
}

test.for([false, true])(
  "folded constants give what tokens, keys and values give (parallel form: %s)",
  async (parallel) => {
    const config = tinyConfig({ parallelPatchEmbed: parallel }) as ModelConfig;
    const { parameter } = tinyModel(config);
    const variables = [4, 0, 2];
    const [V, K, N] = [variables.length, pp + 1, 7];
    const random = uniform(9);
    const patches = Array.from({ length: N }, () => variables.map(() => Array.from({ length: pp }, random)));

    const embed = await parameter("var_embed");
    const all = parallel
      ? {
          weight: await parameter("token_embeds.proj_weights"),
          bias: await parameter("token_embeds.proj_biases"),
        }
      : undefined;
    const parts = await Promise.all(
      variables.map(async (id) => ({
        weight:
          all?.weight.subarray(id * D * pp, (id + 1) * D * pp) ??
          (await parameter(`token_embeds.${id}.proj.weight`)),
        bias: all?.bias.subarray(id * D, (id + 1) * D) ?? (await parameter(`token_embeds.${id}.proj.bias`)),
        embed: embed.subarray(id * D, (id + 1) * D),
      })),
    );
    const tokens = patches.map((ofPatch) =>
      ofPatch.map((values, v) =>
        Array.from({ length: D }, (_, c) => {
          const { weight, bias, embed } = parts[v]!;
          return values.reduce((sum, value, k) => sum + weight[c * pp + k]! * value, bias[c]! + embed[c]!);
        }),
      ),
    );
    const wanted = await attend(parameter, tokens);

    const { scores: S, values: M, outBias } = await foldAggregation(parameter, config, variables);
    const outWeight = await parameter("var_agg.out_proj.weight");
    const found = patches.map((ofPatch) => {
      const P = ofPatch.map((values) => [...values, 1]);
      const o = Array.from({ length: D }, (_, c) => {
        const h = Math.floor(c / d);
        const weights = P.map((row, v) =>
          Math.exp(row.reduce((sum, value, k) => sum + value * S[(v * K + k) * H + h]!, 0)),
        );
        const total = weights.reduce((a, b) => a + b, 0);
        let sum = 0;
        for (const [v, row] of P.entries()) {
          for (const [k, value] of row.entries()) {
            sum += (weights[v]! / total) * value * M[(h * V * K + v * K + k) * d + (c % d)]!;
          }
        }
        return sum;
      });
      return Array.from({ length: D }, (_, r) =>
        o.reduce((sum, x, c) => sum + x * outWeight[r * D + c]!, outBias[r]!),
      );
    });
    // Both sides are f64; S, M and the bias were rounded to f32 once.
    expect(relativeError(found.flat(), wanted.flat())).toBeLessThan(2e-7);
  },
);

test("a query and the keys' projection are one, head by head", () => {
  // D 2, two heads of one number: q = [3, 1] + [1, 0], keys twice and five times the token's numbers, swapped.
  const inWeight = Float32Array.of(...[1, 0, 0, 1], ...[0, 2, 5, 0], ...[0, 0, 0, 0]);
  const U = foldQuery(Float32Array.of(3, 1), inWeight, Float32Array.of(1, 0, 0, 0, 0, 0), 2);
  expect([...U]).toEqual([0, 8, 5, 0]);
});
