// Linear pattern scaling, the baseline of climate projection: a global forcing (ClimateBench's cumulative CO2) gives the
// global mean temperature, which gives the fields, each step a linear regression of its own (Santer et al. 1990;
// Lütjens et al. 2024, arXiv:2408.05288). Fitted in closed form on the CPU, in f64; never trained by steps.
//
// N years, B batch, T steps of time, V variables of the input, O outputs, H x W points of the grid.
import { z } from "zod";
import { isRecording, reshape } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import { empty, type Tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import { linear } from "../ops/matmul.ts";
import { product } from "../ops/product.ts";
import type { ModelInput, Parameters } from "./climax.ts";
import { getter } from "./encoder.ts";
import { checkFixed, fixedFields, inputPlaces, outputPlaces } from "./fixed.ts";
import { rowsOfOutputs } from "./head.ts";
import type { Network } from "./network.ts";

export const PatternScalingConfig = z
  .strictObject({
    type: z.literal("pattern-scaling"),
    ...fixedFields,
    predictor: z.string().default("CO2").describe("the input whose global mean is the forcing"),
    history: z
      .int()
      .positive()
      .max(4096)
      .default(1)
      .describe("T, steps of the inputs that enter; the last counts"),
  })
  .superRefine((config, ctx) => {
    checkFixed(config, ctx);
    if (config.inputs.includes(config.predictor)) return;
    const message = `"${config.predictor}" is not among the inputs`;
    ctx.addIssue({ code: "custom", path: ["predictor"], message });
  });
export type PatternScalingConfig = z.output<typeof PatternScalingConfig>;

/** temperature = globalSlope forcing + globalIntercept; field = slope temperature + intercept, at each point. */
export interface PatternScaling {
  readonly globalSlope: number;
  readonly globalIntercept: number;
  /** [O, H W], as `intercept`. */
  readonly slope: Float64Array;
  readonly intercept: Float64Array;
}

/** What is fitted: years of all scenarios, one after the other. */
export interface PatternScalingData {
  /** [N], global mean forcing. */
  readonly forcing: ArrayLike<number>;
  /** Of each output [N, H W]. */
  readonly fields: readonly ArrayLike<number>[];
  /** Which output's global mean stands between the forcing and the fields: the temperature. */
  readonly temperature: number;
  /** [H W], how much each point counts in a global mean. */
  readonly weights: ArrayLike<number>;
}

/**
 * Fits both steps by least squares; the second on the true global means, not on those that the first predicts.
 *
 * @throws ClimaxError "data" for fewer than two years, or a forcing or a temperature that never changes
 */
export function fitPatternScaling({
  forcing,
  fields,
  temperature,
  weights,
}: PatternScalingData): PatternScaling {
  const N = forcing.length;
  const points = weights.length;
  for (const field of fields) {
    if (field.length !== N * points)
      throw new Error(`${field.length} values are not ${N} fields of ${points}`);
  }
  const total = sum(points, (i) => weights[i]!);
  const means = Float64Array.from(
    { length: N },
    (_, n) => sum(points, (i) => weights[i]! * fields[temperature]![n * points + i]!) / total,
  );
  const [globalSlope, globalIntercept] = regression(N, "the forcing", (n) => forcing[n]!)((n) => means[n]!);
  const local = regression(N, "the global mean temperature", (n) => means[n]!);
  const slope = new Float64Array(fields.length * points);
  const intercept = new Float64Array(fields.length * points);
  for (const [o, field] of fields.entries()) {
    for (let i = 0; i < points; i++) {
      [slope[o * points + i], intercept[o * points + i]] = local((n) => field[n * points + i]!);
    }
  }
  return { globalSlope, globalIntercept, slope, intercept };
}

/** The fields of each forcing: [N, O, H W] of [N]. */
export function applyPatternScaling(
  { globalSlope, globalIntercept, slope, intercept }: PatternScaling,
  forcing: ArrayLike<number>,
): Float64Array {
  const points = slope.length;
  return Float64Array.from({ length: forcing.length * points }, (_, k) => {
    const temperature = globalSlope * forcing[Math.floor(k / points)]! + globalIntercept;
    return slope[k % points]! * temperature + intercept[k % points]!;
  });
}

/** Slope and intercept of lines over one x, about the means of both, which keeps the digits of small changes. */
function regression(N: number, what: string, x: (n: number) => number) {
  const mean = sum(N, x) / N;
  const square = sum(N, (n) => (x(n) - mean) ** 2);
  if (N < 2 || !(square > 0)) {
    const found = N < 2 ? `there are ${N} years` : `${what} is the same in all ${N} years`;
    throw new ClimaxError(
      "data",
      `pattern scaling cannot be fitted: ${found}`,
      "give it years of changing forcing, from several scenarios",
    );
  }
  return (y: (n: number) => number): [slope: number, intercept: number] => {
    const middle = sum(N, y) / N;
    const slope = sum(N, (n) => (x(n) - mean) * (y(n) - middle)) / square;
    return [slope, middle - slope * mean];
  };
}

function sum(count: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += term(i);
  return total;
}

/** Every parameter's shape by name: the fit, and the weights of a global mean. */
function patternScalingShapes({ outputs, gridShape: [H, W] }: PatternScalingConfig) {
  const local = [outputs.length * H * W];
  return new Map<string, readonly number[]>([
    ["weights", [H * W]],
    ["global.slope", [1, 1]],
    ["global.intercept", [1]],
    ["local.slope", [...local, 1]],
    ["local.intercept", local],
  ]);
}

/** A fit as the parameters of a network of type "pattern-scaling"; the weights then add up to 1. */
export function patternScalingParameters(
  { globalSlope, globalIntercept, slope, intercept }: PatternScaling,
  weights: ArrayLike<number>,
): Map<string, Float32Array> {
  const total = sum(weights.length, (i) => weights[i]!);
  return new Map([
    ["weights", Float32Array.from(weights, (weight) => weight / total)],
    ["global.slope", Float32Array.of(globalSlope)],
    ["global.intercept", Float32Array.of(globalIntercept)],
    ["local.slope", Float32Array.from(slope)],
    ["local.intercept", Float32Array.from(intercept)],
  ]);
}

/** Before a fit: every field 0. */
function initialisePatternScaling(
  config: PatternScalingConfig,
  _seed: number,
  only?: ReadonlySet<string>,
): Map<string, Float32Array> {
  const shapes = [...patternScalingShapes(config)].filter(([name]) => !only || only.has(name));
  return new Map(shapes.map(([name, shape]) => [name, new Float32Array(shape.reduce((a, b) => a * b, 1))]));
}

/**
 * Projects, in the units that it was fitted in.
 *
 * @param input  x [B, T, V, H, W], or [B, V, H, W] for T = 1; `variables` any that hold the predictor
 * @returns      [B, outputs, H, W]
 * @throws       ClimaxError "shape" if x does not fit, "config" if the predictor is not among the variables, for an
 *               output that it does not predict, or in training by steps
 */
function forwardPatternScaling(
  parameters: Parameters,
  config: PatternScalingConfig,
  { x, variables, outputs }: ModelInput,
): Tensor {
  const { gridShape, history: T, inputs, predictor } = config;
  const [H, W] = gridShape;
  const V = variables.length;
  const B = x.shape[0]!;
  if (isRecording()) {
    throw new ClimaxError(
      "config",
      "pattern scaling is fitted in closed form, not trained by steps",
      "train a projection or a linear network by steps",
    );
  }
  const steps = x.shape.length === 4 && T === 1 ? [] : [T];
  expectShape("forwardPatternScaling", "x", x, [B, ...steps, V, H, W]);
  const place = inputPlaces(config, variables).indexOf(inputs.indexOf(predictor));
  if (place < 0) {
    throw new ClimaxError(
      "config",
      `pattern scaling reads ${predictor}, which is not among ${variables.map((id) => config.variables[id])}`,
      `give it ${predictor}`,
    );
  }
  const wanted = outputPlaces(config, outputs);
  const get = getter(parameters);
  const rows = (name: string): Tensor => rowsOfOutputs(get(name), config.outputs.length, wanted);

  const forcing = empty(x.gpu, [B, 1]);
  product({
    ...{ M: 1, N: 1, K: H * W, batch: [1, B] },
    a: { tensor: get("weights"), row: H * W },
    b: { tensor: x, row: 1, inner: T * V * H * W, base: ((T - 1) * V + place) * H * W },
    c: { tensor: forcing, row: 1, inner: 1 },
  });
  const temperature = linear(forcing, get("global.slope"), get("global.intercept")); // [B, 1]
  const fields = linear(temperature, rows("local.slope"), rows("local.intercept")); // [B, outputs H W]
  return reshape(fields, [B, wanted.length, H, W]);
}

export const patternScaling: Network<PatternScalingConfig> = {
  parameterShapes: patternScalingShapes,
  initialise: initialisePatternScaling,
  forward: forwardPatternScaling,
  describe: ({ outputs, predictor }) =>
    `linear pattern scaling of ${outputs.length} outputs from ${predictor}`,
  knowsLead: false,
};
