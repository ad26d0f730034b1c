// Finds the weights in what a PyTorch file holds: a state dict alone, or in the dictionary of a training loop.
import { ClimaxError, listed } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import { bytesOf } from "../model/dtypes.ts";
import { shown } from "../torch/picklereader.ts";
import type { Plain } from "../torch/plainvalue.ts";
import { isDictionary, keyText, plainMaker } from "../torch/plainvalue.ts";
import { type TorchFile, TorchTensor, type TorchValue, Unbuilt } from "../torch/torchvalue.ts";
import { averagedNames, chooseWeights, type WeightSet, type WhichWeights } from "./averaged.ts";

/** The weights of a PyTorch file, and what else it says. */
export interface StateDict {
  /** By the name in the file, in its order. */
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  readonly says: { readonly [key: string]: Plain };
  /** What was left out, for the user, one line each. */
  readonly notes: readonly string[];
}

type Dictionary = ReadonlyMap<TorchValue, TorchValue>;

/** Where training loops put a state dict, the likelier first: Lightning, PyTorch's tutorial, timm, DeepSpeed. */
const PLACES = [
  "state_dict",
  "model_state_dict",
  "model",
  "module",
  "net",
  "model_state",
  "network",
  "weights",
];
/** Where they put a running mean of it. */
const MEAN_PLACES = [
  "ema",
  "model_ema",
  "ema_model",
  "state_dict_ema",
  "ema_state_dict",
  "model_ema_state_dict",
];
/** Where the mean itself stands within such a place. */
const MEAN_PARTS = ["ema_state_dict", "ema_weights", "shadow", "state_dict", "module", "model"];
/** Dictionaries within dictionaries that are looked through. */
const DEEPEST = 3;
/** Entries of the root that are told of. */
const MOST_SAID = 256;

/** A set of weights: where it stands, and its dictionary. */
interface Found {
  /** Keys from the root, e.g. `state_dict`. */
  readonly where: string;
  readonly dictionary: Dictionary;
  /** Those of its names that count; all when left out. */
  readonly names?: ReadonlySet<string>;
}

/**
 * Finds the weights of a file.
 *
 * @param which  the weights as trained, or a running mean of them; when left out as trained, or the mean where there is
 *               nothing else
 * @throws       ClimaxError "checkpoint" if there are none, or none of that kind
 */
export function findStateDict(
  { path, root, unbuilt }: Pick<TorchFile, "path" | "root" | "unbuilt">,
  which?: WhichWeights,
): StateDict {
  if (!isDictionary(root)) return refuseRoot(path, root);
  const found = candidates(path, root);
  const { kind, notes } = chooseWeights(
    path,
    { trained: sizeOf(found.trained), ema: sizeOf(found.ema) },
    which,
  );
  const chosen = found[kind]!;
  const used = new Set<unknown>([found.trained?.dictionary, found.ema?.dictionary]);
  notes.push(...leftOut(root, used), ...strangeEntries(chosen));
  const bare = used.has(root);
  const said = bare ? { says: {}, cut: [] } : says(root, used);
  if (said.cut.length > 0) notes.push(`cut, as it is long, what the file says in ${said.cut.join(", ")}`);
  if (unbuilt.length > 0) {
    notes.push(`objects of these classes were not built: ${listed(unbuilt.map(shown), 4)}`);
  }
  return { tensors: tensorsOf(chosen), says: said.says, notes };
}

function refuseRoot(path: string, root: TorchValue): never {
  if (root instanceof Unbuilt) refuseModule(path, root);
  const what =
    root instanceof TorchTensor
      ? `one tensor of [${root.shape.join(", ")}]`
      : Array.isArray(root)
        ? `a list of ${root.length}`
        : root === null
          ? "None"
          : `a ${typeof root}`;
  throw new ClimaxError(
    "checkpoint",
    `${path} holds ${what}, not a dictionary of weights`,
    `save the weights by name: torch.save(model.state_dict(), "weights.pt")`,
  );
}

/** A module as a whole is code and data in one: only the program that made it can open it. */
function refuseModule(path: string, { name }: Unbuilt): never {
  throw new ClimaxError(
    "checkpoint",
    `${path} holds a whole pickled module, ${shown(name)}, and not its weights by name: to build it its code would have to run`,
    `load it where it was made and save the weights alone: torch.save(model.state_dict(), "weights.pt")`,
  );
}

/** The weights as trained, and a running mean of them. */
interface Candidates {
  readonly trained: Found | undefined;
  readonly ema: Found | undefined;
}

function sizeOf(found: Found | undefined): WeightSet | undefined {
  return found && { where: found.where, tensors: tensorsOf(found).size };
}

/** The weights as trained, and a running mean of them; either may be missing, but not both. */
function candidates(path: string, root: Dictionary): Candidates {
  const main = inPlaces(root, PLACES) ?? bareRoot(root);
  const mean = inPlaces(root, MEAN_PLACES, MEAN_PARTS) ?? callbackMean(root);
  const swapped = swappedByLightning(root, main);
  if (swapped) return { trained: swapped, ema: main };
  if (!main && !mean) return refuseEmpty(path, root);
  if (!main) return { trained: undefined, ema: mean };
  const split = averagedNames([...tensorsOf(main).keys()]);
  if (!split) return { trained: main, ema: mean };
  const part = (names: readonly string[], where: string): Found | undefined =>
    names.length > 0 ? { ...main, where, names: new Set(names) } : undefined;
  return {
    trained: part(split.trained, main.where),
    ema: part(split.ema, `${main.where}, ${split.where}`),
  };
}

/** Lightning's WeightAveraging puts the mean where the weights were, and them elsewhere. */
function swappedByLightning(root: Dictionary, main: Found | undefined): Found | undefined {
  const trained = root.get("current_model_state");
  if (main?.where !== `"state_dict"` || !isDictionary(trained) || !hasTensors(trained)) return undefined;
  return { where: `"current_model_state"`, dictionary: trained };
}

function refuseEmpty(path: string, root: Dictionary): never {
  for (const place of [...PLACES, ...MEAN_PLACES]) {
    const value = root.get(place);
    if (value instanceof Unbuilt) refuseModule(path, value);
  }
  const keys = [...root.keys()].slice(0, 12).map((key) => `"${shown(keyText(key) ?? "?")}"`);
  throw new ClimaxError(
    "checkpoint",
    `${path} holds no weights by name; wanted is a dictionary of tensors, alone or under one of ${PLACES.join(", ")}; ` +
      `it has ${keys.length > 0 ? keys.join(", ") : "nothing"}${root.size > keys.length ? ", ..." : ""}`,
    `save them where they are: torch.save({"state_dict": model.state_dict()}, "weights.ckpt")`,
  );
}

function hasTensors(dictionary: Dictionary): boolean {
  for (const [name, value] of dictionary) {
    if (typeof name === "string" && value instanceof TorchTensor) return true;
  }
  return false;
}

/** The first dictionary of tensors under these keys, itself or within it. */
function inPlaces(
  root: Dictionary,
  places: readonly string[],
  within = places,
  depth = 1,
): Found | undefined {
  for (const place of places) {
    const value = root.get(place);
    if (!isDictionary(value)) continue;
    if (hasTensors(value)) return { where: `"${place}"`, dictionary: value };
    const inner = depth < DEEPEST ? inPlaces(value, within, within, depth + 1) : undefined;
    if (inner) return { where: `"${place}" ${inner.where}`, dictionary: inner.dictionary };
  }
  return undefined;
}

function bareRoot(root: Dictionary): Found | undefined {
  return hasTensors(root) ? { where: "the file", dictionary: root } : undefined;
}

/** A mean that a callback of Lightning keeps. */
function callbackMean(root: Dictionary): Found | undefined {
  const callbacks = root.get("callbacks");
  if (!isDictionary(callbacks)) return undefined;
  for (const [key, value] of callbacks) {
    if (typeof key !== "string" || !/ema|averag/i.test(key) || !isDictionary(value)) continue;
    const inner = inPlaces(value, MEAN_PARTS);
    if (inner) return { where: `"callbacks" "${shown(key)}" ${inner.where}`, dictionary: inner.dictionary };
  }
  return undefined;
}

function tensorsOf({ dictionary, names }: Found): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  for (const [name, value] of dictionary) {
    if (typeof name !== "string" || !(value instanceof TorchTensor)) continue;
    if (!names || names.has(name)) tensors.set(name, value);
  }
  return tensors;
}

/** Entries of a state dict that are no tensors, such as a module's extra state. */
function strangeEntries({ dictionary, where }: Found): string[] {
  if (where === "the file") return [];
  const names = [...dictionary].flatMap(([key, value]) =>
    value instanceof TorchTensor && typeof key === "string" ? [] : [shown(keyText(key) ?? "?")],
  );
  if (names.length === 0) return [];
  return [`entries of ${where} that are no tensors left out: ${listed(names, 4)}`];
}

/** Tensors that stand neither in the weights nor in their mean, by the entry of the root they belong to. */
function leftOut(root: Dictionary, used: ReadonlySet<unknown>): string[] {
  if (used.has(root)) return [];
  const sums = new Map<string, { tensors: number; bytes: number }>();
  const seen = new Set<unknown>(used); // values may be shared, and hold themselves
  for (const [key, value] of root) {
    const name = keyText(key) ?? "?";
    const group = /optim/i.test(name) ? "optimiser states" : `"${shown(name)}"`;
    const open: TorchValue[] = [value];
    while (open.length > 0) {
      const one = open.pop()!;
      if (typeof one !== "object" || one === null || seen.has(one)) continue;
      seen.add(one);
      if (one instanceof TorchTensor) {
        const sum = sums.get(group) ?? { tensors: 0, bytes: 0 };
        sum.tensors++;
        sum.bytes += one.shape.reduce((product, n) => product * n, bytesOf[one.dtype]);
        sums.set(group, sum);
      } else if (isDictionary(one)) {
        for (const item of one.values()) open.push(item);
      } else if (Array.isArray(one)) {
        for (const item of one) open.push(item);
      }
    }
  }
  const lines = [...sums].map(([group, { tensors, bytes }]) => {
    const count = tensors === 1 ? "1 tensor" : `${tensors} tensors`;
    return `${group} left out: ${count}, ${bytesText(bytes)}`;
  });
  const most = 8;
  return lines.length > most
    ? [...lines.slice(0, most), `and tensors of ${lines.length - most} other entries`]
    : lines;
}

/** What the root says in plain words; and the keys of which something was cut. */
function says(root: Dictionary, used: ReadonlySet<unknown>) {
  const plain: Record<string, Plain> = Object.create(null);
  const cut: string[] = [];
  let count = 0;
  for (const [key, value] of root) {
    const name = keyText(key);
    if (name === undefined || /optim/i.test(name)) continue;
    if (++count > MOST_SAID) {
      cut.push(`${root.size - MOST_SAID} more entries`);
      break;
    }
    if (name === "climax" && typeof value === "string") {
      plain[name] = value; // our own description, of use only whole
      continue;
    }
    const maker = plainMaker();
    const said = maker.plain(value, used);
    if (said !== undefined) plain[name] = said;
    if (maker.cut) cut.push(`"${shown(name)}"`);
  }
  return { says: plain, cut };
}
