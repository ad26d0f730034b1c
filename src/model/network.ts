// The networks there are, each by the `type` of its config: ClimaX, and the baselines it is compared with.
import { z } from "zod";
import type { Tensor } from "../engine/tensor.ts";
import { type ForwardOptions, forward, type ModelInput, type Parameters } from "./climax.ts";
import { fieldShape, ModelConfig } from "./config.ts";
import { LinearConfig, linearRegression } from "./linear.ts";
import { initialise, parameterShapes, usedParameters } from "./parameters.ts";
import { PatternScalingConfig, patternScaling } from "./patternscaling.ts";
import { ProjectionConfig, projection } from "./projection.ts";
import { ResnetConfig, resnet } from "./resnet.ts";
import { UnetConfig, unet } from "./unet.ts";
import { VitConfig, vit } from "./vit.ts";

/** What a family of networks has to say for itself. */
export interface Network<Config> {
  /** Every parameter's shape by name, in the order of the state dict. */
  parameterShapes(config: Config): Map<string, readonly number[]>;
  /** Starting values of the parameters wanted; of all without `only`. */
  initialise(config: Config, seed: number, only?: ReadonlySet<string>): Map<string, Float32Array>;
  /** [B, outputs, h, w], normalised. */
  forward(parameters: Parameters, config: Config, input: ModelInput, options: ForwardOptions): Tensor;
  /** Names of the parameters on which predictions from these variables depend; all when left out. */
  usedParameters?(config: Config, variables: readonly number[]): Set<string>;
  /** Height and width of the fields that enter and leave; those of `gridShape` when left out. */
  fieldShape?(config: Config): readonly [number, number];
  /** One line for the user: sizes. */
  describe(config: Config): string;
  /** Whether it is told the lead time; one that is not is trained for a single lead. */
  readonly knowsLead: boolean;
}

const climax: Network<ModelConfig> = {
  parameterShapes,
  initialise,
  forward,
  usedParameters,
  fieldShape,
  describe: ({ variables, patchSize, embedDim, depth, heads }) =>
    `${variables.length} variables, patch ${patchSize}, D ${embedDim}, depth ${depth}, ${heads} heads`,
  knowsLead: true,
};

const networks = {
  climax,
  projection,
  vit,
  linear: linearRegression,
  "pattern-scaling": patternScaling,
  resnet,
  unet,
};

/** The config of any network, its type always given. */
export const AnyConfig = z.discriminatedUnion("type", [
  ModelConfig,
  ProjectionConfig,
  VitConfig,
  LinearConfig,
  PatternScalingConfig,
  ResnetConfig,
  UnetConfig,
]);

/** The config of any network. One without a type is ClimaX's: so were they written before there were others. */
export const NetworkConfig = z.preprocess(
  (value) => (typeof value === "object" && value !== null ? { type: "climax", ...value } : value),
  AnyConfig,
);
export type NetworkConfig = z.output<typeof AnyConfig>;
export type NetworkType = NetworkConfig["type"];

const names: Readonly<Record<NetworkType, string>> = {
  climax: "ClimaX",
  projection: "ClimaX", // with another head
  vit: "Cli-ViT",
  resnet: "ResNet",
  unet: "UNet",
  linear: "linear regression",
  "pattern-scaling": "linear pattern scaling",
};

/** How a network is called in the field. */
export const networkName = ({ type }: { readonly type: NetworkType }): string => names[type];

/** Whether it is made of transformer blocks. */
export const isTransformer = ({ type }: { readonly type: NetworkType }): boolean =>
  type === "climax" || type === "projection" || type === "vit";

/** A network of given sizes. */
export interface BoundNetwork {
  readonly config: NetworkConfig;
  readonly knowsLead: boolean;
  /** [h, w] of the fields that enter and leave. */
  readonly fieldShape: readonly [number, number];
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  initialise(seed: number, only?: ReadonlySet<string>): Map<string, Float32Array>;
  forward(parameters: Parameters, input: ModelInput, options?: ForwardOptions): Tensor;
  usedParameters(variables: readonly number[]): Set<string>;
  describe(): string;
}

/** The network that a config describes. */
export function networkOf(config: NetworkConfig): BoundNetwork {
  const network = networks[config.type] as unknown as Network<NetworkConfig>; // each only gets configs of its type
  let shapes: ReadonlyMap<string, readonly number[]> | undefined;
  const all = () => (shapes ??= network.parameterShapes(config));
  return {
    config,
    knowsLead: network.knowsLead,
    fieldShape: network.fieldShape?.(config) ?? config.gridShape,
    get shapes() {
      return all();
    },
    initialise: (seed, only) => network.initialise(config, seed, only),
    forward: (parameters, input, options = {}) => network.forward(parameters, config, input, options),
    usedParameters: (variables) => network.usedParameters?.(config, variables) ?? new Set(all().keys()),
    describe: () => network.describe(config),
  };
}

/** Whether a parameter is a state that the forward pass itself keeps up, which no gradient reaches. */
export function isState(name: string): boolean {
  return /(^|\.)running_(mean|var)$/.test(name);
}
