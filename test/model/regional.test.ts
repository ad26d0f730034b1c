import { expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { networkOf } from "../../src/model/network.ts";
import { expectClose, gpu, uniform } from "../support/gradcheck.ts";

/** Columns 0 and 3 of 4: what a region across the edge of the grid holds. */
const region = { rows: [1], columns: [0, 3] };
const whole = ModelConfig.parse({
  ...{ variables: ["a", "b"], gridShape: [4, 8], embedDim: 16, heads: 2 },
  depth: 0, // tokens then know nothing of each other
});
const random = uniform(8);
const fields = Float32Array.from({ length: 2 * 32 }, random); // [V, H, W]
const crop = (all: ArrayLike<number>): number[] =>
  Array.from({ length: all.length / 32 }, (_, f) =>
    [2, 3].flatMap((row) => [0, 1, 6, 7].map((column) => all[f * 32 + row * 8 + column]!)),
  ).flat();

test("a region's forecast is the globe's there, as long as tokens know nothing of each other", async () => {
  const [globe, part] = [networkOf(whole), networkOf({ ...whole, region })];
  expect(part.fieldShape).toEqual([2, 4]);
  const parameters = new Map(
    [...globe.initialise(1)].map(([name, values]) => [name, tensor(gpu, globe.shapes.get(name)!, values)]),
  );
  const input = { variables: [0, 1], leadHours: [24], outputs: [1, 0] };
  const all = await read(globe.forward(parameters, { x: tensor(gpu, [1, 2, 4, 8], fields), ...input }));
  const x = tensor(gpu, [1, 2, 2, 4], crop(fields));
  const some = await read(part.forward(parameters, { x, ...input }));
  expectClose("forecast", some, new Map(crop(all).entries()), 1e-6);

  const positions = parameters.get("pos_embed")!;
  const seed = tensor(gpu, [1, 2, 2, 4], Float32Array.from({ length: 16 }, random));
  const { grads } = gradients(() => part.forward(parameters, { x, ...input }), [positions], seed);
  const gradient = await read(grads[0]!);
  const touched = Array.from({ length: 8 }, (_, id) =>
    gradient.subarray(id * 16, (id + 1) * 16).some((value) => value !== 0),
  );
  expect(touched).toEqual([false, false, false, false, true, false, false, true]); // ids 4 and 7
  expect(() => part.forward(parameters, { x: tensor(gpu, [1, 2, 4, 8], fields), ...input })).toThrow(
    "forward: x is [1,2,4,8], expected [1,2,2,4]",
  );
});

test.for([false, true])(
  "a forecast is differentiable by its input in both forms, residual %s",
  async (residual) => {
    const network = networkOf({ ...whole, depth: 1, residual });
    const random = uniform(8); // draws that leave the network well conditioned
    const parameters = new Map(
      // Larger than they start, so that the state reaches the forecast by every way.
      [...network.initialise(1)].map(([name, values]) => {
        const factor = name.includes("norm") ? 1 : 10;
        const larger = name === "var_query" ? values.map(random) : values.map((value) => factor * value);
        return [name, tensor(gpu, network.shapes.get(name)!, larger)];
      }),
    );
    const x = tensor(gpu, [1, 2, 4, 8], Float32Array.from({ length: 64 }, random));
    const seed = tensor(gpu, [1, 2, 4, 8], Float32Array.from({ length: 64 }, random));
    // Two steps of a roll-out: the second reads what the first predicts.
    const by = async (aggregation: "factored" | "plain") => {
      const step = (state: typeof x) => {
        const input = { x: state, variables: [0, 1], leadHours: [6], outputs: [0, 1] };
        return network.forward(parameters, input, { aggregation });
      };
      return read(gradients(() => step(step(x)), [x], seed).grads[0]!);
    };
    const plain = await by("plain");
    expect(Math.max(...plain.map(Math.abs))).toBeGreaterThan(1e-4);
    // Rounding of a forecast's f32 sums, through two steps.
    expectClose("gradient by the state", await by("factored"), new Map(plain.entries()), 1e-5);
  },
);
