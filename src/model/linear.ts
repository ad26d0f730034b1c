// Linear regression, the baseline of WeatherBench (Rasp et al. 2020, arXiv:2002.00469, section 4.3): every point of every
// output from every point of every input, by one matrix or by a product of two thin ones.
//
// B batch, V variables of the input, O outputs, H x W points of the grid, r the rank.
import { z } from "zod";
import { reshape } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import type { Tensor } from "../engine/tensor.ts";
import { addPicked } from "../ops/layout.ts";
import { linear } from "../ops/matmul.ts";
import { type ModelInput, type Parameters, placesOf } from "./climax.ts";
import { modelFields } from "./config.ts";
import { getter } from "./encoder.ts";
import { checkFixed, expectInputs, type Fixed, fixedFields, outputPlaces } from "./fixed.ts";
import { rowsOfOutputs } from "./head.ts";
import type { Network } from "./network.ts";
import { fillUniform, uniform } from "./parameters.ts";

/** Entries of the largest matrix: 1 GiB, and as much again for its gradient and for each of AdamW's moments. */
const MOST_ENTRIES = 2 ** 28;

export const LinearConfig = z
  .strictObject({
    type: z.literal("linear"),
    ...fixedFields,
    rank: z
      .int()
      .positive()
      .max(65536)
      .optional()
      .describe("r, width between two matrices [r, in] and [out, r]; one whole matrix when left out"),
    residual: modelFields.residual,
  })
  .superRefine((config, ctx) => {
    checkFixed(config, ctx);
    const { into, out } = lengths(config);
    const entries = config.rank === undefined ? into * out : config.rank * Math.max(into, out);
    if (entries <= MOST_ENTRIES) return;
    const wanted =
      config.rank === undefined ? `${out} x ${into}` : `rank ${config.rank} with ${into} -> ${out}`;
    const fitting = Math.min(256, Math.floor(MOST_ENTRIES / Math.max(into, out)));
    const mend =
      fitting > 0 ? `set rank, to ${fitting} for example` : "take a coarser grid or fewer variables";
    const message = `a matrix of ${wanted} has more than ${MOST_ENTRIES} entries: ${mend}`;
    ctx.addIssue({ code: "custom", path: ["rank"], message });
  });
export type LinearConfig = z.output<typeof LinearConfig>;

function lengths({ inputs, outputs, gridShape: [H, W] }: Fixed & { gridShape: readonly [number, number] }) {
  return { into: inputs.length * H * W, out: outputs.length * H * W };
}

/** Every parameter's shape by name. */
function linearShapes(config: LinearConfig): Map<string, readonly number[]> {
  const { into, out } = lengths(config);
  const { rank } = config;
  const shapes = new Map<string, readonly number[]>();
  if (rank !== undefined) shapes.set("down.weight", [rank, into]);
  shapes.set("out.weight", [out, rank ?? into]);
  shapes.set("out.bias", [out]);
  return shapes;
}

/**
 * Starting values: the matrix that makes the outputs 0, so that predicted changes start at persistence; with a rank the
 * other one uniform in ±sqrt(3 / in), which keeps the variance of its input.
 */
function initialiseLinear(
  config: LinearConfig,
  seed: number,
  only?: ReadonlySet<string>,
): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  for (const [name, shape] of linearShapes(config)) {
    if (only && !only.has(name)) continue;
    const start = new Float32Array(shape.reduce((a, b) => a * b, 1));
    if (name === "down.weight") fillUniform(start, Math.sqrt(3 / shape[1]!), uniform(seed, name));
    values.set(name, start);
  }
  return values;
}

/**
 * Predicts fields, normalised like the input. It is told no lead time: one network serves one.
 *
 * @param input  `variables` exactly the config's inputs in order, `outputs` any of the config's outputs
 * @returns      [B, outputs, H, W]
 * @throws       ClimaxError "config" for other variables, "shape" if x does not fit
 */
function forwardLinear(
  parameters: Parameters,
  config: LinearConfig,
  { x, variables, outputs }: ModelInput,
): Tensor {
  const { gridShape, residual, rank } = config;
  const [H, W] = gridShape;
  const B = x.shape[0]!;
  expectInputs(config, variables);
  const wanted = outputPlaces(config, outputs);
  expectShape("forwardLinear", "x", x, [B, variables.length, H, W]);
  const get = getter(parameters);
  const { into } = lengths(config);

  const flat = reshape(x, [B, into]);
  const inner = rank === undefined ? flat : linear(flat, get("down.weight"));
  const pick = (name: string): Tensor => rowsOfOutputs(get(name), config.outputs.length, wanted);
  const y = linear(inner, pick("out.weight"), pick("out.bias"));
  const fields = reshape(y, [B, wanted.length, H, W]);
  return residual ? addPicked(fields, x, placesOf(outputs, variables)) : fields;
}

export const linearRegression: Network<LinearConfig> = {
  parameterShapes: linearShapes,
  initialise: initialiseLinear,
  forward: forwardLinear,
  describe: (config) => {
    const { into, out } = lengths(config);
    return `linear regression of ${out} points on ${into}${config.rank === undefined ? "" : `, rank ${config.rank}`}`;
  },
  knowsLead: false,
};
