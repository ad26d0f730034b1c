import { expect, test } from "vitest";
import { Random } from "../../src/engine/random.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import type { ForwardOptions, ModelInput } from "../../src/model/climax.ts";
import { type NetworkConfig, networkOf } from "../../src/model/network.ts";
import { VitConfig } from "../../src/model/vit.ts";
import { expectClose, gpu, uniform } from "../support/gradcheck.ts";

const config = VitConfig.parse({
  ...{ type: "vit", variables: ["a", "b", "c"], inputs: ["a", "c"], outputs: ["c", "b"] },
  ...{ gridShape: [4, 8], embedDim: 16, heads: 2, depth: 1, decoderDepth: 1 },
});
const [V, O, H, W, p, D] = [2, 2, 4, 8, 2, 16];
const random = uniform(11);
const fields = Float32Array.from({ length: 2 * V * H * W }, random);

function made(network = networkOf(config)) {
  const values = network.initialise(3);
  const parameters = new Map(
    [...values].map(([name, data]) => [name, tensor(gpu, network.shapes.get(name)!, data)]),
  );
  return {
    values,
    predict: (changed: Partial<ModelInput> = {}, options: ForwardOptions = {}) => {
      const x = tensor(gpu, [2, V, H, W], fields);
      const input = { x, variables: [0, 2], leadHours: [6, 72], outputs: [2, 1], ...changed };
      return read(network.forward(parameters, input, options));
    },
  };
}

/** A ViT without blocks and hidden layers, written plainly: each patch by itself. */
function reference(values: ReadonlyMap<string, Float32Array>, leads: readonly number[]): Float64Array {
  const get = (name: string): Float32Array => values.get(name)!;
  const y = new Float64Array(leads.length * O * H * W);
  for (const [b, hours] of leads.entries())
    for (let l = 0; l < (H / p) * (W / p); l++) {
      const [row, column] = [p * Math.floor(l / (W / p)), p * (l % (W / p))];
      const token = Array.from({ length: D }, (_, d) => {
        let sum = get("patch_embed.proj.bias")[d]! + get("pos_embed")[l * D + d]!;
        sum += get("lead_time_embed.bias")[d]! + (hours / 100) * get("lead_time_embed.weight")[d]!;
        for (let v = 0; v < V; v++)
          for (let i = 0; i < p; i++)
            for (let j = 0; j < p; j++) {
              const weight = get("patch_embed.proj.weight")[((d * V + v) * p + i) * p + j]!;
              sum += weight * fields[((b * V + v) * H + row + i) * W + column + j]!;
            }
        return sum;
      });
      const mean = token.reduce((a, t) => a + t, 0) / D;
      const variance = token.reduce((a, t) => a + (t - mean) ** 2, 0) / D;
      for (let o = 0; o < O; o++)
        for (let k = 0; k < p * p; k++) {
          let sum = get("head.0.bias")[k * O + o]!;
          for (let d = 0; d < D; d++) {
            sum +=
              (get("head.0.weight")[(k * O + o) * D + d]! * (token[d]! - mean)) / Math.sqrt(variance + 1e-5);
          }
          y[((b * O + o) * H + row + Math.floor(k / p)) * W + column + (k % p)] = sum;
        }
    }
  return y;
}

test("without blocks and hidden layers it is a patch embedding, a norm and a linear layer", async () => {
  const { values, predict } = made(networkOf({ ...config, depth: 0, decoderDepth: 0 }));
  expectClose("forecast", await predict(), new Map(reference(values, [6, 72]).entries()), 1e-5);
});

test("outputs are those of its head, in the order asked; a residual adds the state where it has the field", async () => {
  const all = await made().predict();
  const b = await made().predict({ outputs: [1] });
  expect([...b]).toEqual([...all.subarray(32, 64), ...all.subarray(96)]);
  const change = await made(networkOf({ ...config, residual: true })).predict();
  const wanted = all.map((value, i) => ((i >> 5) % 2 === 0 ? value + fields[i + 32]! : value)); // c is input 1, output 0
  expectClose("forecast", change, new Map(wanted.entries()), 1e-6);
});

test("a region's forecast needs the region's fields alone", async () => {
  const region = { rows: [0], columns: [1, 2] };
  const network = networkOf({ ...config, depth: 0, region });
  expect(network.fieldShape).toEqual([2, 4]);
  const whole = await made(networkOf({ ...config, depth: 0 })).predict();
  const crop = (all: Float32Array): number[] =>
    Array.from({ length: all.length / 32 }, (_, f) =>
      [0, 1].flatMap((row) => [...all.subarray(f * 32 + row * 8 + 2, f * 32 + row * 8 + 6)]),
    ).flat();
  const part = await made(network).predict({ x: tensor(gpu, [2, V, 2, 4], crop(fields)) });
  expectClose("forecast", part, new Map(crop(whole).entries()), 1e-6);
});

test("noise is the same for the same draw and absent in a forecast", async () => {
  const { predict } = made();
  const noisy = await predict({}, { random: new Random(1, 1) });
  expect(await predict({}, { random: new Random(1, 1) })).toEqual(noisy);
  expect(await predict()).not.toEqual(noisy);
});

test("other variables than its own are refused", () => {
  const { predict } = made();
  const refused = "this network reads a, c, all of them in that order; given: ";
  expect(() => predict({ variables: [2, 0] })).toThrow(`${refused}c, a`);
  expect(() => predict({ variables: [0] })).toThrow(`${refused}a`);
  expect(() => predict({ outputs: [0] })).toThrow("this network predicts c, b, not a");
  expect(() => predict({ x: tensor(gpu, [2, V, 2, 4], new Float32Array(32)) })).toThrow(
    "forwardVit: x is [2,2,2,4], expected [2,2,4,8]",
  );
});

test("its encoder and head are ClimaX's, parameter by parameter", () => {
  const { type: _, inputs: __, outputs: ___, ...sizes } = config;
  const climax = networkOf({ ...sizes, type: "climax", parallelPatchEmbed: false } as NetworkConfig);
  const shared = /^(blocks|norm|lead_time_embed|pos_embed)/;
  const [ours, theirs] = [networkOf(config).shapes, climax.shapes].map((shapes) =>
    [...shapes].filter(([name]) => shared.test(name)),
  );
  expect(ours).toEqual(theirs);
  expect(networkOf(config).shapes.get("patch_embed.proj.weight")).toEqual([D, V, p, p]);
  expect(networkOf(config).describe()).toBe("ViT, 2 inputs, 2 outputs, patch 2, D 16, depth 1, 2 heads");
});
