// Python's own classes that are plain data once built: dictionaries and lists by other names, bytes, paths, namespaces.
import { PickleGlobal, type PickleSpot } from "./pickleglobal.ts";
import { kindOf } from "./picklemachine.ts";
import { isRunner } from "./torchnames.ts";
import { type TorchValue, Unbuilt } from "./torchvalue.ts";

type Make = NonNullable<PickleGlobal["make"]>;

/** By their whole names in Python 3. */
export const pythonClasses: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    global("builtins.dict", dictionary),
    global("collections.OrderedDict", dictionary),
    global("collections.Counter", dictionary),
    // Its first argument makes missing values, which nobody asks for here.
    global("collections.defaultdict", ([, ...rest], spot) => dictionary(rest, spot)),
    ...["pytorch_lightning.utilities", "lightning.pytorch.utilities"].map((m) =>
      global(`${m}.parsing.AttributeDict`, dictionary),
    ),
    ...["lightning_fabric.utilities", "lightning.fabric.utilities"].map((m) =>
      global(`${m}.data.AttributeDict`, dictionary),
    ),
    ...["argparse", "jsonargparse.namespace", "jsonargparse._namespace"].map((m) =>
      namespace(`${m}.Namespace`),
    ),
    namespace("types.SimpleNamespace"),
    ...["list", "set", "frozenset"].map((name) => global(`builtins.${name}`, list)),
    global("collections.deque", list), // its second argument is the greatest length
    global("builtins.bytes", bytes),
    global("builtins.bytearray", bytes),
    global("_codecs.encode", bytes),
    ...["Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"].flatMap((name) =>
      ["pathlib", "pathlib._local"].map((m) => global(`${m}.${name}`, filePath)),
    ),
    global("copyreg._reconstructor", reconstructed),
    global("copyreg.__newobj__", ([made, ...args], spot) => spot.call(made ?? null, args)),
    global("copyreg.__newobj_ex__", ([made, args], spot) => spot.call(made ?? null, listOf(args, spot))),
    global("builtins.getattr", member),
    // Named as types, by defaultdict and OmegaConf.
    ...["object", "type", "int", "float", "str", "bool", "tuple"].map(
      (type) => new PickleGlobal(`builtins.${type}`),
    ),
  ].map((one) => [one.name, one]),
);

function global(name: string, make: Make): PickleGlobal {
  return new PickleGlobal(name, make);
}

/** An object that is nothing but its attributes. */
function namespace(name: string): PickleGlobal {
  return new PickleGlobal(
    name,
    () => new Map(),
    (object, state, spot) => fill(object as Map<TorchValue, TorchValue>, state, spot),
  );
}

function dictionary([entries]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  const map = new Map<TorchValue, TorchValue>();
  if (entries !== undefined) fill(map, entries, spot);
  return map;
}

/** Sets what a dictionary, or a list of pairs, holds. */
function fill(map: Map<TorchValue, TorchValue>, entries: TorchValue, spot: PickleSpot): void {
  if (entries instanceof Map) {
    spot.spend(2 * entries.size);
    for (const [key, value] of entries) map.set(key, value);
    return;
  }
  const pairs = listOf(entries, spot);
  spot.spend(2 * pairs.length);
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      spot.refuse(`${kindOf(pair)} stands where a key and its value are wanted`);
    }
    map.set(pair[0], pair[1]);
  }
}

function list([items]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  if (items === undefined) return [];
  const copied = listOf(items, spot);
  spot.spend(copied.length);
  return [...copied];
}

/** Bytes as protocols 0 to 2 write them: none, as they are, or a text of the codes 0 to 255. */
function bytes([value, encoding]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  if (value === undefined) return new Uint8Array(0);
  if (value instanceof Uint8Array) {
    spot.spend(value.length >> 3);
    return value.slice();
  }
  const latin1 = encoding === "latin1" || encoding === "latin-1";
  if (typeof value !== "string" || !latin1) spot.refuse(`bytes are to be made of ${kindOf(value)}`);
  spot.spend(value.length >> 3);
  if (/[^\0-\xff]/.test(value)) spot.refuse("a text stands for bytes and has characters beyond them");
  return Uint8Array.from(Buffer.from(value, "latin1"));
}

/** A path as text. */
function filePath(parts: readonly TorchValue[], spot: PickleSpot): TorchValue {
  const texts = parts.map((part) =>
    typeof part === "string" ? part : spot.refuse(`${kindOf(part)} stands in a path`),
  );
  spot.spend(texts.reduce((length, text) => length + text.length, 0) >> 3);
  return texts.join("/").replace(/^\/\//, "/");
}

/** Protocols 0 and 1: an object of a class, whose base dict or list (`object` otherwise) holds `state`. */
function reconstructed([made, , state]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  return spot.call(made ?? null, state === null || state === undefined ? [] : [state]);
}

/**
 * How some versions of Python write a member of an enumeration, a function of a class, and a method of an object that
 * is left unbuilt anyway (OneCycleLR keeps one in its state): only its name is kept.
 */
function member([owner, name]: readonly TorchValue[], spot: PickleSpot): TorchValue {
  const known = owner instanceof Unbuilt && owner.name.length < 500;
  if (!known || typeof name !== "string" || !/^(?!__)\w{1,100}$/.test(name) || isRunner(name)) {
    spot.refuse(
      `it takes an attribute of ${kindOf(owner ?? null)} by builtins.getattr, which weights have no need of`,
      "nothing was run; if the source is trusted, load it in Python and save its state_dict alone",
    );
  }
  return new Unbuilt(`${owner.name}.${name}`);
}

function listOf(value: TorchValue | undefined, spot: PickleSpot): readonly TorchValue[] {
  return Array.isArray(value) ? value : spot.refuse(`${kindOf(value ?? null)} stands where a list is wanted`);
}
