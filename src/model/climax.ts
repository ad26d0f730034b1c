// ClimaX, forward (Nguyen et al. 2023, arXiv:2301.10343, section 3): tokenise, aggregate, blocks, head.
//
// B batch, V variables of the input, h x w points of the fields (the grid's H x W, or a region's), p patch side,
// L = (h/p)(w/p) patches, D width of a token.
import { reshape } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import type { Random } from "../engine/random.ts";
import { free, type Tensor } from "../engine/tensor.ts";
import { unknownName } from "../errors.ts";
import { addEmbeddings, addPicked } from "../ops/layout.ts";
import { fieldShape, type ModelConfig } from "./config.ts";
import { encode, getter } from "./encoder.ts";
import { predictFields } from "./head.ts";
import { aggregateVariables, embedLead, positionsOf } from "./tokens.ts";

/** Tensors by the reference's names, in the shapes of `parameterShapes`. */
export type Parameters = ReadonlyMap<string, Tensor>;

export interface ModelInput {
  /** [B, V, h, w], normalised, from south to north; for projection [B, T, V, h, w], T steps of time. */
  readonly x: Tensor;
  /** Which of the model's variables x holds, in its order; none twice. */
  readonly variables: readonly number[];
  /** [B], how far ahead to look, hours. */
  readonly leadHours: ArrayLike<number>;
  /** Which of the model's variables to predict, in the order wanted. */
  readonly outputs: readonly number[];
}

/** All of a block but its output (true), the hidden layers of transformers' mlps alone ("hidden"), or nothing. */
export type Recompute = boolean | "hidden";

export interface ForwardOptions {
  /** Source of dropout and drop path, for training; without it nothing is dropped. */
  readonly random?: Random;
  /** What is not kept for the backward pass, which runs it again instead. */
  readonly recompute?: Recompute;
  /** How variables are aggregated; both forms are the same function. */
  readonly aggregation?: "factored" | "plain";
  /** Is shown the activations that the reference names: `blocks_in`, `block<i>_out`, `encoder_out`, each [B, L, D]. */
  readonly observe?: (name: string, activation: Tensor) => void;
}

/** Places of variables in the model's list. Throws a `config` ClimaxError for a name it does not know. */
export function variableIds(
  { variables }: { readonly variables: readonly string[] },
  names: readonly string[],
): number[] {
  return names.map((name) => {
    const id = variables.indexOf(name);
    return id >= 0 ? id : unknownName("variable of the model", name, variables);
  });
}

/**
 * Predicts fields, normalised like the input.
 *
 * @returns  [B, outputs, h, w]
 * @throws   ClimaxError "shape" if x does not fit the model's grid or the variables listed
 */
export function forward(
  parameters: Parameters,
  config: ModelConfig,
  { x, variables, leadHours, outputs }: ModelInput,
  options: ForwardOptions = {},
): Tensor {
  const shape = fieldShape(config);
  const B = x.shape[0]!;
  expectShape("forward", "x", x, [B, variables.length, ...shape]);
  expectShape("forward", "leadHours", { shape: [leadHours.length] }, [B]);
  const get = getter(parameters);

  const aggregated = aggregateVariables(get, config, x, variables, options.aggregation); // [B, V, h, w] -> [B L, D]
  const positions = positionsOf(get, config); // [L, D]
  const tokens = addEmbeddings(
    reshape(aggregated, [B, ...positions.shape]),
    positions,
    embedLead(get, leadHours),
  );
  free(aggregated);
  const encoded = encode(parameters, config, tokens, options); // [B, L, D]
  const known = config.variables.length;
  const fields = predictFields(get, config, encoded, { known, outputs, shape }); // -> [B, outputs, h, w]
  return config.residual ? addPicked(fields, x, placesOf(outputs, variables)) : fields;
}

/** For each output its place in the input, if it is there. */
export function placesOf(outputs: readonly number[], variables: readonly number[]): (number | undefined)[] {
  return outputs.map((id) => {
    const place = variables.indexOf(id);
    return place < 0 ? undefined : place;
  });
}
