// A network of fixed inputs and outputs on toy fields: runs it, turns the globe under it, trains it.
import { gradients } from "../../src/engine/autograd.ts";
import { Random } from "../../src/engine/random.ts";
import { read, scope, size, type Tensor, tensor, write } from "../../src/engine/tensor.ts";
import type { ForwardOptions } from "../../src/model/climax.ts";
import type { Network } from "../../src/model/network.ts";
import { weightedMse } from "../../src/ops/loss.ts";
import { gpu } from "./gpu.ts";
import { uniform } from "./gradcheck.ts";

interface Fixed {
  readonly variables: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly gridShape: readonly [number, number];
}

/** Its starting parameters on the device, with gradients. */
export function start<Config>(network: Network<Config>, config: Config, seed = 3): Map<string, Tensor> {
  const shapes = network.parameterShapes(config);
  return new Map(
    [...network.initialise(config, seed)].map(([name, values]) => {
      const shape = shapes.get(name)!;
      const grad = tensor(gpu, shape, new Float32Array(size(shape)));
      return [name, { ...tensor(gpu, shape, values), grad }];
    }),
  );
}

/** Fields [B, inputs, H, W] of fixed random numbers. */
export function someFields({ inputs, gridShape }: Fixed, B: number): Float32Array {
  return Float32Array.from({ length: B * inputs.length * size(gridShape) }, uniform(7));
}

/** The same fields seen from `columns` further west. */
export function turned(fields: Float32Array, W: number, columns: number): Float32Array {
  return fields.map((_, i) => fields[i - (i % W) + (((i % W) + columns) % W)]!);
}

/** What it predicts from fields [B, inputs, H, W]. */
export function predict<Config extends Fixed>(
  network: Network<Config>,
  config: Config,
  parameters: ReadonlyMap<string, Tensor>,
  fields: Float32Array,
  { outputs = config.outputs, ...options }: ForwardOptions & { outputs?: readonly string[] } = {},
): Promise<Float32Array> {
  const ids = (names: readonly string[]) => names.map((name) => config.variables.indexOf(name));
  const B = fields.length / (config.inputs.length * size(config.gridShape));
  const x = tensor(gpu, [B, config.inputs.length, ...config.gridShape], fields);
  const input = { x, variables: ids(config.inputs), outputs: ids(outputs), leadHours: new Array(B).fill(24) };
  return read(network.forward(parameters, config, input, options));
}

/** Losses of plain gradient descent towards the first input seen from one column further west. */
export async function train<Config extends Fixed>(
  network: Network<Config>,
  config: Config,
  parameters: ReadonlyMap<string, Tensor>,
  { B, steps, rate }: { B: number; steps: number; rate: number },
): Promise<number[]> {
  const [H, W] = config.gridShape;
  const fields = someFields(config, B);
  const V = config.inputs.length;
  const wanted = turned(fields, W, 1).filter((_, i) => Math.floor(i / (H * W)) % V === 0);
  const ids = (names: readonly string[]) => names.map((name) => config.variables.indexOf(name));
  const input = {
    x: tensor(gpu, [B, V, H, W], fields),
    variables: ids(config.inputs),
    outputs: ids(config.outputs).slice(0, 1),
    leadHours: new Array(B).fill(24),
  };
  const y = tensor(gpu, [B, 1, H, W], wanted);
  const weights = tensor(gpu, [H], new Float32Array(H).fill(1));
  const losses: number[] = [];
  for (let step = 1; step <= steps; step++) {
    const loss = scope(gpu, () => {
      const forward = () => {
        const pred = network.forward(parameters, config, input, { random: new Random(5, step) });
        return weightedMse(pred, y, weights).loss;
      };
      return gradients(forward).y;
    });
    losses.push((await read(loss))[0]!);
    for (const [name, parameter] of parameters) {
      if (name.includes("running_")) continue;
      const [values, grad] = [await read(parameter), await read(parameter.grad!)];
      write(
        parameter,
        values.map((value, i) => value - rate * grad[i]!),
      );
      write(parameter.grad!, new Float32Array(grad.length));
    }
  }
  return losses;
}
