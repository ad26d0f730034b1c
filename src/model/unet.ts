// The UNet that ClimaX is compared with (Nguyen et al. 2023, arXiv:2301.10343, appendix A.2.3): residual blocks down to
// a grid some times coarser and up again, with every step down beside its step up.
import { z } from "zod";
import type { Tensor } from "../engine/tensor.ts";
import { concatChannels } from "../ops/channels.ts";
import {
  beginPass,
  blockShapes,
  convolution,
  convolutionFields,
  convolutionShapes,
  finish,
  initialiseConvolutions,
  normShapes,
  OUTER_SIDE,
  residualBlock,
  throughBlock,
  upsampling,
} from "./convolutions.ts";
import { checkFixed } from "./fixed.ts";
import type { Network } from "./network.ts";

/** Hyperparameters of the UNet. The defaults are the paper's; blocks per level those of the reference. */
export const UnetConfig = z
  .strictObject({
    type: z.literal("unet"),
    ...convolutionFields,
    hidden: z.int().positive().max(4096).default(64).describe("channels of the first convolution"),
    multipliers: z
      .array(z.int().positive().max(64))
      .min(1)
      .max(8)
      .default([1, 2, 2, 4])
      .describe("by how much each level widens the channels of the one above it; every next is half as fine"),
    blocks: z
      .int()
      .positive()
      .max(64)
      .default(2)
      .describe("residual blocks of a level on the way down; one more on the way up"),
  })
  .superRefine((config, ctx) => {
    checkFixed(config, ctx);
    const { gridShape, multipliers } = config;
    const coarsest = 2 ** (multipliers.length - 1);
    if (gridShape.every((points) => points % coarsest === 0)) return;
    ctx.addIssue({
      code: "custom",
      path: ["gridShape"],
      message: `${multipliers.length} levels halve the grid ${multipliers.length - 1} times, and ${coarsest} does not divide ${gridShape}`,
    });
  });

export type UnetConfig = z.output<typeof UnetConfig>;

interface Part {
  /** What its parameters' names begin with. */
  readonly name: string;
  readonly kind: "block" | "halve" | "double";
  readonly into: number;
  readonly out: number;
}

/** The parts on the way down and those on the way up, whose blocks also read what went down: `out` more channels. */
function partsOf({ hidden, multipliers, blocks }: UnetConfig): { down: Part[]; middle: number; up: Part[] } {
  const down: Part[] = [];
  const up: Part[] = [];
  const put = (way: "down" | "up", kind: Part["kind"], into: number, out: number): number => {
    const parts = way === "down" ? down : up;
    parts.push({ name: `${way}.${parts.length}`, kind, into, out });
    return out;
  };
  let channels = hidden;
  for (const [i, multiplier] of multipliers.entries()) {
    const out = channels * multiplier;
    for (let k = 0; k < blocks; k++) channels = put("down", "block", channels, out);
    if (i < multipliers.length - 1) put("down", "halve", channels, channels);
  }
  const middle = channels;
  for (const [i, multiplier] of [...multipliers.entries()].reverse()) {
    for (let k = 0; k < blocks; k++) put("up", "block", channels, channels);
    channels = put("up", "block", channels, channels / multiplier);
    if (i > 0) put("up", "double", channels, channels);
  }
  return { down, middle, up };
}

/** The UNet: knows one lead, the one it was trained for. */
export const unet: Network<UnetConfig> = {
  parameterShapes(config) {
    const { inputs, outputs, hidden } = config;
    const { down, middle, up } = partsOf(config);
    const shapes = new Map<string, readonly number[]>();
    convolutionShapes(shapes, "image_proj.conv", hidden, inputs.length, OUTER_SIDE);
    for (const { name, kind, into, out } of down) {
      if (kind === "block") blockShapes(shapes, `${name}.res`, into, out);
      else convolutionShapes(shapes, `${name}.conv`, out, into, 3);
    }
    for (const i of [1, 2]) blockShapes(shapes, `middle.res${i}`, middle, middle);
    for (const { name, kind, into, out } of up) {
      if (kind === "block") blockShapes(shapes, `${name}.res`, into + out, out);
      else convolutionShapes(shapes, `${name}.conv`, out, into, 4);
    }
    normShapes(shapes, "norm", hidden);
    convolutionShapes(shapes, "final.conv", outputs.length, hidden, OUTER_SIDE);
    return shapes;
  },
  initialise: (config, seed, only) => initialiseConvolutions(unet.parameterShapes(config), seed, only),
  forward(parameters, config, input, options) {
    const pass = beginPass(parameters, config, input, options);
    const { down, up } = partsOf(config);
    const block = (name: string, x: Tensor, skip?: Tensor): Tensor =>
      throughBlock(pass, name, skip ? [x, skip] : [x], (own) =>
        residualBlock(own, name, skip ? concatChannels(x, skip) : x),
      );
    let x = convolution(pass, "image_proj.conv", input.x); // [B, inputs, H, W] -> [B, hidden, H, W]
    const skips = [x];
    for (const { name, kind } of down) {
      x = kind === "block" ? block(`${name}.res`, x) : convolution(pass, `${name}.conv`, x, { stride: 2 });
      skips.push(x);
    }
    x = block("middle.res2", block("middle.res1", x)); // [B, widest, H / 2^n, W / 2^n]
    for (const { name, kind } of up) {
      x = kind === "block" ? block(`${name}.res`, x, skips.pop()!) : upsampling(pass, `${name}.conv`, x);
    }
    return finish(pass, config, x, input); // -> [B, outputs, H, W]
  },
  describe: ({ inputs, outputs, hidden, multipliers, blocks }) =>
    `UNet, ${inputs.length} variables to ${outputs.length}, ${multipliers.length} levels of ${blocks} blocks, ` +
    `${hidden} channels times ${multipliers.join(", ")}`,
  knowsLead: false,
};
