// What the convolutional baselines share (Nguyen et al. 2023, arXiv:2301.10343, appendix A.2.3): config, layers, and the
// residual block. Names and order of layers are those of the reference (aditya-grover/climate-learn).
//
// B batch, C channels, H latitude, W longitude. Convolutions are periodic in longitude and see zeros beyond the poles.
import { z } from "zod";
import { checkpoint, isRecording } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import type { Random } from "../engine/random.ts";
import { scope, size, type Tensor } from "../engine/tensor.ts";
import { batchnorm } from "../ops/batchnorm.ts";
import { conv2d } from "../ops/conv2d.ts";
import { convTranspose2d } from "../ops/convtranspose2d.ts";
import { dropout } from "../ops/dropout.ts";
import { add } from "../ops/elementwise.ts";
import { addPicked } from "../ops/layout.ts";
import { leakyrelu } from "../ops/leakyrelu.ts";
import { drawNoise } from "../ops/noise.ts";
import { type ForwardOptions, type ModelInput, type Parameters, placesOf } from "./climax.ts";
import { modelFields } from "./config.ts";
import { type Get, getter } from "./encoder.ts";
import { expectInputs, type Fixed, fixedFields, outputPlaces } from "./fixed.ts";
import { rowsOfOutputs } from "./head.ts";
import { fillUniform, uniform } from "./parameters.ts";

/** Slope of the rectifier below zero. */
export const SLOPE = 0.3;
/** Side of the first and the last kernel; those between are 3 wide. */
export const OUTER_SIDE = 7;

/** Fields of the config of any of these networks. */
export const convolutionFields = {
  ...fixedFields,
  dropout: modelFields.dropout,
  residual: modelFields.residual,
  periodic: z
    .boolean()
    .default(true)
    .describe("whether the last column of the grid is beside the first; not so in a region"),
};

/** What all these configs have in common. */
export interface ConvolutionConfig extends Fixed {
  readonly gridShape: readonly [number, number];
  readonly dropout: number;
  readonly residual: boolean;
  readonly periodic: boolean;
}

type Shapes = Map<string, readonly number[]>;

/** Adds a convolution's parameters, [out, into, side, side] and [out]. */
export function convolutionShapes(
  shapes: Shapes,
  name: string,
  out: number,
  into: number,
  side: number,
): void {
  shapes.set(`${name}.weight`, [out, into, side, side]);
  shapes.set(`${name}.bias`, [out]);
}

/** Adds a batch normalisation's parameters, and the running moments that its forward pass keeps up. */
export function normShapes(shapes: Shapes, name: string, channels: number): void {
  for (const part of ["weight", "bias", "running_mean", "running_var"]) {
    shapes.set(`${name}.${part}`, [channels]);
  }
}

/** Adds a residual block's parameters. */
export function blockShapes(shapes: Shapes, name: string, into: number, out: number): void {
  convolutionShapes(shapes, `${name}.conv1.conv`, out, into, 3);
  convolutionShapes(shapes, `${name}.conv2.conv`, out, out, 3);
  if (into !== out) convolutionShapes(shapes, `${name}.shortcut`, out, into, 1);
  normShapes(shapes, `${name}.norm1`, out);
  normShapes(shapes, `${name}.norm2`, out);
}

/**
 * Starting values, PyTorch's: weights and biases of convolutions uniform in ±1 / sqrt(fan in), normalisations 1 and 0,
 * running moments 0 and 1. Each parameter has its own stream of `seed`.
 *
 * @param only  names wanted; all when left out
 */
export function initialiseConvolutions(
  shapes: ReadonlyMap<string, readonly number[]>,
  seed: number,
  only?: ReadonlySet<string>,
): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  for (const [name, shape] of shapes) {
    if (only && !only.has(name)) continue;
    const start = new Float32Array(size(shape));
    values.set(name, start);
    const [, into, ...side] = shapes.get(name.replace(/\.\w+$/, ".weight"))!;
    if (into !== undefined) fillUniform(start, 1 / Math.sqrt(into * size(side)), uniform(seed, name));
    else if (/\.(weight|running_var)$/.test(name)) start.fill(1);
  }
  return values;
}

/** One forward pass: what its layers have in common. */
export interface Pass {
  readonly parameters: Parameters;
  readonly get: Get;
  readonly periodic: boolean;
  readonly dropout: number;
  readonly random: Random | undefined;
  /** Normalise by the moments of the batch. */
  readonly training: boolean;
  /** And let the running moments follow. */
  readonly update: boolean;
  readonly recompute: boolean;
}

/**
 * Begins a forward pass. Dropout follows from `random` alone; batch normalisation is in training only where gradients are
 * recorded too, so that an ensemble made by dropout leaves the running moments alone.
 *
 * @throws  ClimaxError "config" if x does not hold just the inputs of the network in order, "shape" if it is not on its grid
 */
export function beginPass(
  parameters: Parameters,
  config: ConvolutionConfig,
  { x, variables }: ModelInput,
  { random, recompute = false }: ForwardOptions,
): Pass {
  expectInputs(config, variables);
  expectShape("forward", "x", x, [x.shape[0]!, variables.length, ...config.gridShape]);
  const training = random !== undefined && isRecording();
  const { periodic, dropout } = config;
  return {
    parameters,
    get: getter(parameters),
    periodic,
    dropout,
    random,
    training,
    update: training,
    recompute: recompute === true,
  };
}

/** A convolution that keeps the grid, or with a stride of 2 halves it; `slope` as in `conv2d`. */
export function convolution(
  pass: Pass,
  name: string,
  x: Tensor,
  { stride = 1, slope }: { stride?: 1 | 2; slope?: number } = {},
): Tensor {
  const weight = pass.get(`${name}.weight`);
  const padding = (weight.shape[2]! - 1) / 2;
  const options = { stride, padding, periodic: pass.periodic, ...(slope === undefined ? {} : { slope }) };
  return conv2d(x, weight, pass.get(`${name}.bias`), options);
}

/** A transposed convolution that doubles the grid. */
export function upsampling(pass: Pass, name: string, x: Tensor): Tensor {
  const options = { stride: 2, padding: 1, periodic: pass.periodic };
  return convTranspose2d(x, pass.get(`${name}.weight`), pass.get(`${name}.bias`), options);
}

function norm(pass: Pass, name: string, x: Tensor): Tensor {
  const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((part) =>
    pass.get(`${name}.${part}`),
  );
  return batchnorm(x, weight!, bias!, mean!, variance!, pass);
}

/**
 * Twice convolution, rectifier, batch normalisation ("post-norm") and dropout, and the input past them, through a
 * convolution of single points where the channels change.
 *
 * @param x  [B, into, H, W]
 * @returns  [B, out, H, W]
 */
export function residualBlock(pass: Pass, name: string, x: Tensor): Tensor {
  const half = (i: 1 | 2, into: Tensor): Tensor => {
    const h = norm(
      pass,
      `${name}.norm${i}`,
      convolution(pass, `${name}.conv${i}.conv`, into, { slope: SLOPE }),
    );
    return dropout(h, drawNoise(pass.random, { rate: pass.dropout, share: size(h.shape.slice(1)) }));
  };
  const h = half(2, half(1, x));
  const shortcut = pass.parameters.has(`${name}.shortcut.weight`);
  return add(h, shortcut ? convolution(pass, `${name}.shortcut`, x) : x);
}

/**
 * Runs a block, keeping nothing of it but its result where the pass says so; then its second run leaves the running
 * moments alone.
 *
 * @param name    what the names of its parameters begin with
 * @param inputs  the tensors it reads
 */
export function throughBlock(
  pass: Pass,
  name: string,
  inputs: readonly Tensor[],
  block: (pass: Pass) => Tensor,
): Tensor {
  if (!pass.recompute) return scope(inputs[0]!.gpu, () => block(pass)); // without a tape, nothing of it outlives it
  const own = [...pass.parameters].flatMap(([key, t]) => (key.startsWith(`${name}.`) ? [t] : []));
  let { update } = pass;
  const run = (random: Random | undefined): Tensor => {
    const y = block({ ...pass, random, update });
    update = false;
    return y;
  };
  return checkpoint([...inputs, ...own], run, pass.random);
}

/**
 * The end of each of these networks: normalisation, rectifier and the last convolution, of which only the rows of the
 * outputs wanted are computed.
 *
 * @param h  [B, C, H, W]
 * @returns  [B, outputs, H, W]
 * @throws   ClimaxError "config" for an output it does not predict
 */
export function finish(
  pass: Pass,
  config: ConvolutionConfig,
  h: Tensor,
  { x, variables, outputs }: ModelInput,
): Tensor {
  const rectified = leakyrelu(norm(pass, "norm", h), SLOPE);
  const places = outputPlaces(config, outputs);
  const pick = (part: string) => rowsOfOutputs(pass.get(`final.conv.${part}`), config.outputs.length, places);
  const options = { padding: (OUTER_SIDE - 1) / 2, periodic: pass.periodic };
  const fields = conv2d(rectified, pick("weight"), pick("bias"), options);
  return config.residual ? addPicked(fields, x, placesOf(outputs, variables)) : fields;
}
