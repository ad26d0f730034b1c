// The convolutional baselines against numbers that PyTorch 1.13 made in f64, from networks written anew in it after the
// reference (nn.Conv2d after circular padding of longitudes, nn.ConvTranspose2d of a wrapped field cut to size,
// nn.BatchNorm2d, LeakyReLU 0.3, no dropout): 3 fields to 2 on 8 x 16 points, 2 samples, 4 channels; ResNet 1 block, UNet
// multipliers 1, 2, 2 and 1 block.
//
// Element i of a parameter is 0.2 sin(1.7 i + s), s the sum of the codes of its name's letters; 1 is added to weights of
// norms and running variances. x is sin(1.7 i + 1), dL/dy sin(1.7 i + 2). Recorded of each tensor: sum over i of
// t[i] cos(i), and its norm.
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import { Random } from "../../src/engine/random.ts";
import { read, size, type Tensor, tensor } from "../../src/engine/tensor.ts";
import type { Network } from "../../src/model/network.ts";
import { gpu } from "./gpu.ts";

type Recorded = readonly [projection: number, norm: number];

interface Numbers {
  readonly evaluation: Recorded;
  readonly training: Recorded;
  readonly gradients: Readonly<Record<string, Recorded>>;
  readonly running: Readonly<Record<string, Recorded>>;
}

const file = new URL("../fixtures/convolutions.json", import.meta.url);
const cases = JSON.parse(readFileSync(file, "utf8")) as Readonly<Record<string, Numbers>>;

/** The sizes these numbers were made with. */
export const torchSizes = {
  variables: ["a", "b", "c"],
  inputs: ["a", "b", "c"],
  outputs: ["a", "b"],
  gridShape: [8, 16] as [number, number],
  dropout: 0,
  hidden: 4,
};

function wave(length: number, phase: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(1.7 * i + phase));
}

function parameterOf(name: string, shape: readonly number[]): Tensor {
  const phase = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
  const ones = shape.length === 1 && (/norm\d?\.weight$/.test(name) || name.endsWith("running_var"));
  const value = tensor(
    gpu,
    shape,
    wave(size(shape), phase).map((w) => (ones ? 1 : 0) + 0.2 * w),
  );
  // Running moments have gradients too, as every parameter of a learner does; none may reach them.
  return { ...value, grad: tensor(gpu, shape, new Float32Array(size(shape))) };
}

/** Fails unless the projection agrees, relative to the norm (to 1 where that is smaller: some gradients cancel to 0). */
function expectRecorded(what: string, t: Float32Array, [wanted, norm]: Recorded, tolerance: number): void {
  const projection = t.reduce((sum, value, i) => sum + value * Math.cos(i), 0);
  const error = Math.abs(projection - wanted) / Math.max(1, norm);
  expect(error, `${what}: ${projection}, torch says ${wanted}`).toBeLessThan(tolerance);
}

/** Predictions in evaluation and training, every gradient, and the running moments after one step. */
export async function expectTorchs<Config>(
  network: Network<Config>,
  config: Config,
  name: string,
  recompute: boolean,
): Promise<void> {
  const wanted = cases[name]!;
  const parameters = new Map(
    [...network.parameterShapes(config)].map(([key, shape]) => [key, parameterOf(key, shape)]),
  );
  const running = [...parameters.keys()].filter((key) => key.includes("running_"));
  expect(running.sort()).toEqual(Object.keys(wanted.running).sort());
  expect([...parameters.keys()].filter((key) => !key.includes("running_")).sort()).toEqual(
    Object.keys(wanted.gradients).sort(),
  );
  const x = tensor(gpu, [2, 3, 8, 16], wave(2 * 3 * 8 * 16, 1));
  const input = { x, variables: [0, 1, 2], outputs: [0, 1], leadHours: [24, 24] };
  const evaluated = await read(network.forward(parameters, config, input, {}));
  expectRecorded("prediction in evaluation", evaluated, wanted.evaluation, 1e-5);

  const seed = tensor(gpu, [2, 2, 8, 16], wave(2 * 2 * 8 * 16, 2));
  const options = { random: new Random(1, 1), recompute };
  const { y } = gradients(() => network.forward(parameters, config, input, options), [], seed);
  expectRecorded("prediction in training", await read(y), wanted.training, 1e-5);
  for (const [key, recorded] of Object.entries(wanted.gradients)) {
    expectRecorded(`gradient of ${key}`, await read(parameters.get(key)!.grad!), recorded, 1e-4);
  }
  for (const [key, recorded] of Object.entries(wanted.running)) {
    expectRecorded(key, await read(parameters.get(key)!), recorded, 1e-5);
    expect(new Set(await read(parameters.get(key)!.grad!))).toEqual(new Set([0]));
  }
}
