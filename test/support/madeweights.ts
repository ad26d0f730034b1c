// Weights of a small network as another program would keep them, made in memory.

import type { Dtype } from "../../src/model/dtypes.ts";
import { NetworkConfig, networkOf } from "../../src/model/network.ts";
import type { Plain } from "../../src/torch/plainvalue.ts";
import type { WeightSource } from "../../src/weights/source.ts";

export interface Making {
  readonly path?: string;
  /** What stands before each name. */
  readonly prefix?: string;
  readonly says?: { readonly [key: string]: Plain };
  /** Changes the tensors, by the reference's names. */
  readonly change?: (tensors: Map<string, MadeTensor>) => void;
}

export interface MadeTensor {
  dtype: Dtype;
  shape: readonly number[];
  values: Float32Array;
}

export interface MadeSource extends WeightSource {
  /** Names in the order they were read. */
  readonly reads: readonly string[];
  readonly closed: boolean;
}

/** Weights of a network of that config, started from a seed. */
export function madeWeights(config: Readonly<Record<string, unknown>>, making: Making = {}): MadeSource {
  const network = networkOf(NetworkConfig.parse(config));
  const values = network.initialise(7);
  const tensors = new Map<string, MadeTensor>();
  for (const [name, shape] of network.shapes)
    tensors.set(name, { dtype: "F32", shape, values: values.get(name)! });
  making.change?.(tensors);
  const { prefix = "net.", path = "/nowhere/weights.ckpt", says = {} } = making;
  const named = new Map([...tensors].map(([name, tensor]) => [prefix + name, tensor]));
  const reads: string[] = [];
  let closed = false;
  return {
    path,
    format: "PyTorch zip",
    bytes: 1000,
    tensors: named,
    says,
    notes: [],
    reads,
    get closed() {
      return closed;
    },
    read: async (name) => {
      reads.push(name);
      return named.get(name)!.values;
    },
    close: async () => {
      closed = true;
    },
  };
}
