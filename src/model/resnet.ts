// The ResNet that ClimaX is compared with (Nguyen et al. 2023, arXiv:2301.10343, appendix A.2.3): a first convolution,
// residual blocks on the grid as it is, a last convolution.
import { z } from "zod";
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
} from "./convolutions.ts";
import { checkFixed } from "./fixed.ts";
import type { Network } from "./network.ts";

/** Hyperparameters of the ResNet. The defaults are the paper's. */
export const ResnetConfig = z
  .strictObject({
    type: z.literal("resnet"),
    ...convolutionFields,
    hidden: z.int().positive().max(65536).default(128).describe("channels of the blocks"),
    blocks: z.int().nonnegative().max(1024).default(28).describe("residual blocks"),
  })
  .superRefine(checkFixed);

export type ResnetConfig = z.output<typeof ResnetConfig>;

/** The ResNet: knows one lead, the one it was trained for. */
export const resnet: Network<ResnetConfig> = {
  parameterShapes({ inputs, outputs, hidden, blocks }) {
    const shapes = new Map<string, readonly number[]>();
    convolutionShapes(shapes, "image_proj.conv", hidden, inputs.length, OUTER_SIDE);
    for (let i = 0; i < blocks; i++) blockShapes(shapes, `blocks.${i}`, hidden, hidden);
    normShapes(shapes, "norm", hidden);
    convolutionShapes(shapes, "final.conv", outputs.length, hidden, OUTER_SIDE);
    return shapes;
  },
  initialise: (config, seed, only) => initialiseConvolutions(resnet.parameterShapes(config), seed, only),
  forward(parameters, config, input, options) {
    const pass = beginPass(parameters, config, input, options);
    let x = convolution(pass, "image_proj.conv", input.x); // [B, inputs, H, W] -> [B, hidden, H, W]
    for (let i = 0; i < config.blocks; i++) {
      const into = x;
      x = throughBlock(pass, `blocks.${i}`, [into], (own) => residualBlock(own, `blocks.${i}`, into));
    }
    return finish(pass, config, x, input); // -> [B, outputs, H, W]
  },
  describe: ({ inputs, outputs, hidden, blocks }) =>
    `ResNet, ${inputs.length} variables to ${outputs.length}, ${blocks} blocks of ${hidden} channels`,
  knowsLead: false,
};
