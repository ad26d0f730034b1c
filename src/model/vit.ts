// Cli-ViT, the paper's baseline (Nguyen et al. 2023, arXiv:2301.10343, section 4.1): ClimaX without variable tokens. One
// patch embedding reads all input variables together; the encoder and the head are ClimaX's.
//
// B batch, V variables of the input, h x w points of the fields, p patch side, L patches that enter, D width of a token.
import { z } from "zod";
import { reshape } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import { free, type Tensor } from "../engine/tensor.ts";
import { addEmbeddings, addPicked } from "../ops/layout.ts";
import { linear } from "../ops/matmul.ts";
import { patchifyPlain } from "../ops/patchembed.ts";
import { type ForwardOptions, type ModelInput, type Parameters, placesOf } from "./climax.ts";
import { checkTransformer, fieldShape, modelFields } from "./config.ts";
import { encode, getter } from "./encoder.ts";
import { checkFixed, expectInputs, fixedFields, outputPlaces } from "./fixed.ts";
import { predictFields } from "./head.ts";
import type { Network } from "./network.ts";
import { addEncoder, addHead, addPositions, startValues } from "./parameters.ts";
import { embedLead, positionsOf } from "./tokens.ts";

const { variables: _, gridShape: __, parallelPatchEmbed: ___, ...shared } = modelFields;

/** Hyperparameters; the defaults are ClimaX's. */
export const VitConfig = z
  .strictObject({ type: z.literal("vit"), ...fixedFields, ...shared })
  .superRefine((config, ctx) => {
    checkTransformer(config, ctx);
    checkFixed(config, ctx);
  });
export type VitConfig = z.output<typeof VitConfig>;

/** Every parameter's shape by name; those of the patch embedding are timm's. */
function vitShapes(config: VitConfig): Map<string, readonly number[]> {
  const { inputs, outputs, patchSize: p, embedDim: D } = config;
  const shapes = new Map<string, readonly number[]>();
  addPositions(shapes, config);
  shapes.set("patch_embed.proj.weight", [D, inputs.length, p, p]);
  shapes.set("patch_embed.proj.bias", [D]);
  addEncoder(shapes, config);
  addHead(shapes, config, outputs.length * p * p);
  return shapes;
}

/**
 * Predicts fields, normalised like the input.
 *
 * @param input  `variables` exactly the config's inputs in order, `outputs` any of the config's outputs
 * @returns      [B, outputs, h, w]
 * @throws       ClimaxError "config" for other variables, "shape" if x does not fit
 */
function forwardVit(
  parameters: Parameters,
  config: VitConfig,
  { x, variables, leadHours, outputs }: ModelInput,
  options: ForwardOptions = {},
): Tensor {
  const { patchSize: p, embedDim: D } = config;
  const shape = fieldShape(config);
  const B = x.shape[0]!;
  expectInputs(config, variables);
  const wanted = outputPlaces(config, outputs);
  expectShape("forwardVit", "x", x, [B, variables.length, ...shape]);
  expectShape("forwardVit", "leadHours", { shape: [leadHours.length] }, [B]);
  const get = getter(parameters);

  const weight = reshape(get("patch_embed.proj.weight"), [D, variables.length * p * p]);
  const embedded = linear(patchifyPlain(x, p), weight, get("patch_embed.proj.bias")); // [B, V, h, w] -> [B L, D]
  const positions = positionsOf(get, config); // [L, D]
  const tokens = addEmbeddings(
    reshape(embedded, [B, ...positions.shape]),
    positions,
    embedLead(get, leadHours),
  );
  free(embedded);
  const encoded = encode(parameters, config, tokens, options); // [B, L, D]
  const known = config.outputs.length;
  const fields = predictFields(get, config, encoded, { known, outputs: wanted, shape }); // [B, outputs, h, w]
  return config.residual ? addPicked(fields, x, placesOf(outputs, variables)) : fields;
}

export const vit: Network<VitConfig> = {
  parameterShapes: vitShapes,
  initialise: (config, seed, only) => startValues(vitShapes(config), config, seed, only),
  forward: forwardVit,
  fieldShape,
  describe: ({ inputs, outputs, patchSize, embedDim, depth, heads }) =>
    `ViT, ${inputs.length} inputs, ${outputs.length} outputs, patch ${patchSize}, D ${embedDim}, depth ${depth}, ` +
    `${heads} heads`,
  knowsLead: true,
};
