// Named tensors as a file keeps them, whatever its format: what every reader of weights gives, and every writer takes.
import type { CheckpointInfo } from "../model/checkpoint.ts";
import type { Dtype } from "../model/dtypes.ts";
import type { Plain } from "../torch/plainvalue.ts";
import type { TorchFormat } from "../torch/torchvalue.ts";

export interface StoredTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

export type WeightFormat = "safetensors" | TorchFormat;

/** The weights of one model in a file, under the names that the file gives them. The caller closes it. */
export interface WeightSource {
  readonly path: string;
  readonly format: WeightFormat;
  /** Bytes of the whole file. */
  readonly bytes: number;
  /** By the name in the file, e.g. `net.var_embed`, in its order. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Reads one tensor in C order. Integers and F64 are rounded to f32. */
  read(name: string): Promise<Float32Array>;
  /** What else the file says: epoch, step, hyper-parameters, Lightning's version, a safetensors file's metadata. */
  readonly says: { readonly [key: string]: Plain };
  /** What was left out, for the user, one line each: optimiser states, a second set of weights, objects not built. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/** A model that is complete: what a climax checkpoint holds, wherever it comes from. The caller closes it. */
export interface ModelSource {
  readonly path: string;
  readonly info: CheckpointInfo;
  /** Reads one parameter by the reference's name, finite. */
  parameter(name: string): Promise<Float32Array>;
  /** What was assumed, renamed or left out, for the user, one line each. */
  readonly notes: readonly string[];
  /** The same for what makes it less than what its file seems to hold: weights made anew, variables without statistics. */
  readonly warnings: readonly string[];
  close(): Promise<void>;
}
