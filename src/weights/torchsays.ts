// What a checkpoint for PyTorch says beside its weights: what PyTorch Lightning asks for, what builds the network again in
// microsoft/ClimaX, and all that climax itself knows of the model.
import type { CheckpointInfo } from "../model/checkpoint.ts";
import type { NetworkConfig } from "../model/network.ts";
import type { Plain } from "../torch/plainvalue.ts";

/** The Lightning that microsoft/ClimaX was made with; later ones take its checkpoints as they are. */
const LIGHTNING = "1.8.0";

/**
 * The entries beside "state_dict". There are no states of an optimiser: Lightning's `load_from_checkpoint`, `validate` and
 * `test` take the file, `fit(ckpt_path=...)` says that it holds the model only.
 */
export function torchSays(info: CheckpointInfo): Record<string, Plain> {
  return {
    epoch: 0,
    global_step: 0,
    "pytorch-lightning_version": LIGHTNING,
    hyper_parameters: networkArguments(info.model),
    climax: JSON.stringify(info),
  };
}

/** Arguments of climax.arch.ClimaX or its kin; none for networks that the reference does not have. */
function networkArguments(config: NetworkConfig): Record<string, Plain> {
  if (config.type !== "climax" && config.type !== "projection") return {};
  const common = {
    img_size: config.gridShape,
    patch_size: config.patchSize,
    embed_dim: config.embedDim,
    depth: config.depth,
    num_heads: config.heads,
    mlp_ratio: config.mlpRatio,
    drop_path: config.dropPath,
    drop_rate: config.dropout,
  };
  // RegionalClimaX has no parallel form, nor an argument for it.
  const form = config.parallelPatchEmbed ? { parallel_patch_embed: true } : {};
  if (config.type === "projection") {
    const { inputs, outputs, history } = config;
    return { default_vars: inputs, out_vars: outputs, time_history: history, ...common, ...form };
  }
  return { default_vars: config.variables, decoder_depth: config.decoderDepth, ...common, ...form };
}
