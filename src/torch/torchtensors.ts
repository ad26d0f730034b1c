// Storages and tensors as torch.save pickles them: persistent ids, and the functions torch._utils._rebuild_*.
import { ClimaxError } from "../errors.ts";
import { bytesOf, type Dtype } from "../model/dtypes.ts";
import { PickleGlobal, type PickleSpot } from "./pickleglobal.ts";
import { kindOf } from "./picklemachine.ts";
import { type TorchStorage, TorchTensor, type TorchValue, Unbuilt } from "./torchvalue.ts";
import { checkedView, isCount } from "./torchview.ts";

/** A storage among the values of a pickle. A file that saves one by itself has it in place of a tensor. */
export class PickledStorage extends Unbuilt implements TorchStorage {
  readonly key: string;
  readonly dtype: Dtype;
  readonly length: number;
  /** The same object for all that share a key. */
  readonly stored: TorchStorage;
  /** The elements that may be seen of it: all, but for views of files before PyTorch 1.6. */
  readonly part: readonly [number, number];

  constructor(type: string, stored: TorchStorage, part: readonly [number, number]) {
    super(type);
    this.key = stored.key;
    this.dtype = stored.dtype;
    this.length = stored.length;
    this.stored = stored;
    this.part = part;
  }

  /** True where only bytes are counted, and each tensor says its own dtype. */
  get untyped(): boolean {
    return this.name.endsWith("UntypedStorage");
  }
}

/** A storage from its persistent id; the spot, if there is one, gives errors their byte. */
export type StorageReader = (id: TorchValue, spot?: PickleSpot) => PickledStorage;

const TYPES: Readonly<Record<string, Dtype>> = {
  ...{ Float: "F32", Double: "F64", Half: "F16", BFloat16: "BF16" },
  ...{ Long: "I64", Int: "I32", Short: "I16", Char: "I8", Byte: "U8", Bool: "BOOL" },
};

/** By the whole names under which torch pickles them. */
const DTYPES: ReadonlyMap<string, Dtype> = new Map(
  Object.entries<Dtype>({
    ...{ float64: "F64", float32: "F32", float16: "F16", bfloat16: "BF16" },
    ...{ int64: "I64", int32: "I32", int16: "I16", int8: "I8", uint8: "U8", bool: "BOOL" },
  }).map(([name, dtype]) => [`torch.${name}`, dtype]),
);

/** Storages' classes on the CPU and on NVIDIA's GPUs, by their whole names. */
const STORAGES: ReadonlyMap<string, Dtype> = new Map(
  ["torch", "torch.cuda"].flatMap((module) => [
    ...Object.entries(TYPES).map(([type, dtype]): [string, Dtype] => [`${module}.${type}Storage`, dtype]),
    [`${module}.UntypedStorage`, "U8"] as [string, Dtype],
    ["torch.storage.UntypedStorage", "U8"] as [string, Dtype],
  ]),
);

/** Reads persistent ids; a key keeps the type and length that it first has. */
export function storageReader(path: string): StorageReader {
  const known = new Map<string, TorchStorage>();
  const plain = (found: string, hint?: string): never => {
    throw new ClimaxError("checkpoint", `${path} is no sound PyTorch file: ${found}`, hint ?? DAMAGED);
  };
  return (id, spot) => {
    const refuse: PickleSpot["refuse"] = spot ? (found, hint) => spot.refuse(found, hint) : plain;
    // Before 1.6, a module's id: its class, file and source, reached only where the user allows that class.
    if (Array.isArray(id) && id[0] === "module") {
      refuse(
        "a whole module was saved, with its program",
        "save its weights alone: torch.save(model.state_dict(), path)",
      );
    }
    if (!Array.isArray(id) || id.length < 5 || id.length > 6) {
      refuse(`${kindOf(id)} stands where the five or six parts of a storage's id are wanted`);
    }
    const [tag, type, key, , length, view] = id as TorchValue[];
    if (tag !== "storage") refuse(`${kindOf(tag!)} stands where "storage" is wanted`);
    const dtype = type instanceof PickleGlobal ? STORAGES.get(type.name) : undefined;
    if (!dtype) refuse(`${kindOf(type!)} stands where a class of storages is wanted`);
    if (typeof key !== "string" || !/^[\w-]{1,64}$/.test(key)) refuse(`a storage is named ${kindOf(key!)}`);
    if (!isCount(length)) refuse(`storage ${key} claims ${kindOf(length!)} elements`);
    const stored = known.get(key) ?? { key, dtype, length };
    if (stored.dtype !== dtype || stored.length !== length) {
      const [first, now] = [stored, { dtype, length }].map((s) => `${s.length} elements of ${s.dtype}`);
      refuse(`storage ${key} was ${first} and is now ${now}`);
    }
    known.set(key, stored);
    return new PickledStorage((type as PickleGlobal).name, stored, partOf(stored, view, refuse));
  };
}

const DAMAGED = "copy or download it again";

function partOf(
  { key, length }: TorchStorage,
  view: TorchValue | undefined,
  refuse: PickleSpot["refuse"],
): readonly [number, number] {
  if (view === null || view === undefined) return [0, length];
  const [, start, count] = Array.isArray(view) && view.length === 3 ? view : [];
  if (!isCount(start) || !isCount(count)) refuse(`the view of storage ${key} is ${kindOf(view)}`);
  if (start + count > length) {
    refuse(`a view of storage ${key} takes elements ${start} to ${start + count} of ${length}`);
  }
  return [start, start + count];
}

/** By their whole names. */
export const tensorClasses: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    ...[...STORAGES.keys()].map((name) => new PickleGlobal(name, noStorage)),
    ...[...DTYPES.keys()].map(named),
    new PickleGlobal(`torch._utils._rebuild_tensor`, tensor),
    new PickleGlobal(`torch._utils._rebuild_tensor_v2`, tensor),
    new PickleGlobal(`torch._utils._rebuild_tensor_v3`, typedTensor),
    ...["parameter", "parameter_with_state"].map(
      (name) => new PickleGlobal(`torch._utils._rebuild_${name}`, parameter),
    ),
    ...["Parameter", "Buffer"].map((name) => new PickleGlobal(`torch.nn.parameter.${name}`, parameter)),
    ...["", "_v2"].map((version) => new PickleGlobal(`torch._tensor._rebuild_from_type${version}`, subclass)),
    new PickleGlobal("torch.Size", ([sizes], spot) =>
      Array.isArray(sizes) ? sizes : spot.refuse(`a torch.Size is to be made of ${kindOf(sizes ?? null)}`),
    ),
    new PickleGlobal("torch.device", device),
    new PickleGlobal("torch.torch_version.TorchVersion", version),
    ...["torch.serialization._get_layout", "torch.Tensor", "torch.layout", "torch.dtype"].map(named),
    ...["strided", "contiguous_format", "preserve_format", "channels_last"].map((n) => named(`torch.${n}`)),
    ...[...STORAGES.keys()].map((name) => named(name.replace(/Storage$/, "Tensor"))),
  ].map((one) => [one.name, one]),
);

/** What is only ever a value: a dtype, a layout, a type. */
function named(name: string): PickleGlobal {
  return new PickleGlobal(name);
}

function noStorage(_args: readonly TorchValue[], spot: PickleSpot): never {
  return spot.refuse("a storage is called instead of being referred to");
}

/** (storage, offset, sizes, strides), and in _v2 requires_grad, hooks and a dictionary of further properties. */
function tensor(args: readonly TorchValue[], spot: PickleSpot): TorchTensor {
  const storage = storageOf(args, 4, 7, spot);
  if (storage.untyped) spot.refuse("a tensor over an untyped storage says no dtype");
  return view(storage.stored, storage.part, args, args[6], spot);
}

/** As _v2, with the dtype before the further properties: over storages that count bytes. */
function typedTensor(args: readonly TorchValue[], spot: PickleSpot): TorchTensor {
  const storage = storageOf(args, 7, 8, spot);
  const said = args[6]!;
  const dtype = said instanceof PickleGlobal ? DTYPES.get(said.name) : undefined;
  if (!dtype) {
    spot.refuse(`a tensor has the dtype ${kindOf(said)}`, "save its tensors as float32: tensor.float()");
  }
  if (!storage.untyped && storage.dtype !== dtype) {
    spot.refuse(`a tensor of ${dtype} lies in a storage of ${storage.dtype}`);
  }
  const length = Math.floor((storage.length * bytesOf[storage.dtype]) / bytesOf[dtype]);
  return view({ key: storage.key, dtype, length }, [0, length], args, args[7], spot);
}

function storageOf(
  args: readonly TorchValue[],
  least: number,
  most: number,
  spot: PickleSpot,
): PickledStorage {
  if (args.length < least || args.length > most) {
    spot.refuse(`a tensor is given by ${args.length} values, and ${least} to ${most} are wanted`);
  }
  const [storage] = args;
  return storage instanceof PickledStorage
    ? storage
    : spot.refuse(`${kindOf(storage!)} stands where a tensor's storage is wanted`);
}

function view(
  storage: TorchStorage,
  part: readonly [number, number],
  [, offset, shape, strides]: readonly TorchValue[],
  properties: TorchValue | undefined,
  spot: PickleSpot,
): TorchTensor {
  for (const bit of ["neg", "conj"]) {
    // torch negates or conjugates such a tensor only when it is read.
    if (properties instanceof Map && properties.get(bit)) {
      spot.refuse(`a tensor is stored with its ${bit} bit set`, `save it after tensor.resolve_${bit}()`);
    }
  }
  return checkedView(storage, { offset, shape, strides }, (found) => spot.refuse(found), part);
}

/** A parameter is its tensor, whatever follows: requires_grad, hooks, a state. */
function parameter([data]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  // Left unbuilt is what the user allowed to be.
  return data instanceof TorchTensor || data instanceof Unbuilt
    ? data
    : spot.refuse(`a parameter is to be made of ${kindOf(data ?? null)}`);
}

/** (function, class, its arguments, state): a tensor with attributes or of a class derived from torch's. */
function subclass([make, , args]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  if (!Array.isArray(args)) spot.refuse(`${kindOf(args ?? null)} stands for a tensor's arguments`);
  return spot.call(make ?? null, args);
}

/** torch.__version__, a text with a comparison of its own. */
function version([text]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  return typeof text === "string" ? text : spot.refuse(`a version is to be made of ${kindOf(text ?? null)}`);
}

/** "cuda:0", from its type and perhaps its index. */
function device([type, index]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  if (typeof type !== "string") spot.refuse(`a torch.device is to be made of ${kindOf(type ?? null)}`);
  return typeof index === "number" ? `${type}:${index}` : type;
}
