// The allow-list of PyTorch files: what each class or function that a pickle names may become. Nothing is imported and
// nothing runs: a few names are built here as plain values, many are known and left unbuilt, all others are refused.
import { numpyClasses } from "./numpyclasses.ts";
import { omegaClasses } from "./omegaclasses.ts";
import { type GlobalResolver, PickleGlobal, type PickleSpot } from "./pickleglobal.ts";
import { shown } from "./picklereader.ts";
import { pythonClasses } from "./pythonclasses.ts";
import { isLeftUnbuilt, runsCode } from "./torchnames.ts";
import { type StorageReader, storageReader, tensorClasses } from "./torchtensors.ts";

export interface TorchGlobals {
  readonly resolver: GlobalResolver;
  /** Names that were met and left unbuilt; it grows as pickles are read. */
  readonly unbuilt: Set<string>;
  /**
   * The storage that a persistent id stands for: ('storage', type, key, location, elements), and before PyTorch 1.6 a
   * sixth part, the view: None or (key, first element, elements). A key keeps the type and length it first has.
   *
   * @throws ClimaxError "checkpoint", with the byte if the spot is given
   */
  readonly storage: StorageReader;
}

/**
 * @param path for messages
 * @param allow names ("module.Class") that the user trusts to be of no use: left unbuilt instead of refused
 */
export function torchGlobals(path: string, allow: readonly string[]): TorchGlobals {
  const leftOut = new Map<string, PickleGlobal>();
  const unbuilt = new Set<string>();

  const resolver: GlobalResolver = (writtenModule, writtenName, spot) => {
    const module = PYTHON_2.get(writtenModule) ?? writtenModule;
    const name = PYTHON_2.get(`${module}.${writtenName}`) ?? writtenName;
    const whole = `${module}.${name}`;
    const known = built.get(whole) ?? leftOut.get(whole);
    if (known) return known;
    if (!isLeftUnbuilt(module, name)) refuseName(module, name, allow, spot);
    const global = new PickleGlobal(whole);
    leftOut.set(whole, global);
    unbuilt.add(whole);
    return global;
  };

  return { resolver, unbuilt, storage: storageReader(path) };
}

/** What is built, by whole names. */
const built: ReadonlyMap<string, PickleGlobal> = new Map([
  ...pythonClasses,
  ...numpyClasses,
  ...omegaClasses,
  ...tensorClasses,
]);

/** Names as protocols 0 to 2 write them, for Python 2 to read: here they have those of Python 3. */
const PYTHON_2: ReadonlyMap<string, string> = new Map([
  ["__builtin__", "builtins"],
  ["copy_reg", "copyreg"],
  ["builtins.xrange", "range"],
  ["builtins.unicode", "str"],
  ["builtins.long", "int"],
]);

/** Refuses a name, unless the user allowed it and it is of no harm to allow. */
function refuseName(module: string, name: string, allow: readonly string[], spot: PickleSpot): void {
  const whole = `${module}.${name}`;
  const said = shown(whole);
  if (runsCode(module, name)) {
    spot.refuse(
      `it names "${said}", which can run a program when Python loads the file`,
      "nothing was run; weights have no need of it, so it is refused whatever is allowed: do not load this file in Python, and ask where it comes from",
    );
  }
  if (allow.includes(whole)) return;
  const mend = UNREADABLE.find(([pattern]) => pattern.test(whole))?.[1];
  if (mend) spot.refuse(`it names "${said}", which is not read here`, mend);
  spot.refuse(
    `it names "${said}", which is not among the classes that are known to be harmless`,
    `nothing was run; if the source is trusted, --allow ${said} leaves such objects out`,
  );
}

/** Kinds of tensors and of files that are not read, each with its mend. */
const UNREADABLE: readonly (readonly [RegExp, string])[] = [
  [/^torch\._utils\._rebuild_(sparse|nested)/, "save the tensor dense: tensor.to_dense()"],
  [/^torch\._utils\._rebuild_qtensor$|^torch\.Q/, "save the tensor as numbers: tensor.dequantize()"],
  [
    /^torch\._utils\._rebuild_(device|xla|meta|wrapper|\w*numpy)/,
    "save the tensor from the CPU: tensor.cpu()",
  ],
  [/^torch\.storage\._load_from_bytes$/, "write the file with torch.save instead of pickle.dump"],
  [/^torch\.(cuda\.)?\w+Storage$/, "save its tensors as float32: tensor.float()"],
  [
    /^__torch__\./,
    "it is TorchScript: load it with torch.jit.load and save its state_dict() with torch.save",
  ],
];
