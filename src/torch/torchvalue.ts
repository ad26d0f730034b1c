// What a PyTorch file holds once its pickle is read: plain values, tensors that lie in storages, and objects left unbuilt.
import type { Dtype } from "../model/dtypes.ts";

/** The three forms of torch.save: since 1.6, before that, and before 0.1.10. */
export type TorchFormat = "PyTorch zip" | "PyTorch before 1.6" | "PyTorch tar";

/** A run of elements in the file that tensors are views of. */
export interface TorchStorage {
  readonly key: string;
  readonly dtype: Dtype;
  /** Elements. */
  readonly length: number;
}

/** A view of a storage. Offset and strides are in elements; checked to lie within the storage when it is made. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(storage: TorchStorage, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }

  get dtype(): Dtype {
    return this.storage.dtype;
  }
}

/** An object or class of the file that is of no use here and was not built: only its name is kept. Nothing of it ran. */
export class Unbuilt {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** A value of a pickle. Dictionaries keep their order; tuples and sets are lists. */
export type TorchValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly TorchValue[]
  | ReadonlyMap<TorchValue, TorchValue>
  | TorchTensor
  | Unbuilt;

/** An opened PyTorch file. The caller closes it. */
export interface TorchFile {
  readonly path: string;
  readonly format: TorchFormat;
  readonly bytes: number;
  readonly root: TorchValue;
  /** Names of classes in it that were left unbuilt. */
  readonly unbuilt: readonly string[];
  /** The elements of a tensor in C order, little-endian, of its dtype. Reads no more of the file than the tensor spans. */
  read(tensor: TorchTensor): Promise<Uint8Array>;
  close(): Promise<void>;
}
