// What a pickle says beside its tensors, as plain data of bounded size.
import { TorchTensor, type TorchValue, Unbuilt } from "./torchvalue.ts";

/** Plain data: what a file says beside its tensors. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain };

/** Elements of a list or entries of a dictionary that are kept; lists of variables have 48. */
const LONGEST = 256;
/** Characters of a text that are kept. */
const LONGEST_TEXT = 2000;
/** A network's settings lie deep in those of a run: hyper_parameters.model.init_args.net.init_args.default_vars. */
const DEEPEST = 10;
/** Values kept of all. */
const MOST = 4000;

/** What stands for what was cut. */
const CUT = "…";

/** Makes values plain until together they are too many. */
export interface PlainMaker {
  /**
   * A value as plain data; undefined for tensors and for what holds nothing else. Numbers that JSON does not know are
   * their names; objects left unbuilt are the name of their class.
   *
   * @param skip  values that are left out wherever they stand
   */
  plain(value: TorchValue, skip?: ReadonlySet<unknown>): Plain | undefined;
  /** Whether anything was cut so far. */
  readonly cut: boolean;
}

export function plainMaker(): PlainMaker {
  let seen = 0;
  let cut = false;
  const shortened = (): Plain => {
    cut = true;
    return CUT;
  };
  const plain = (value: TorchValue, skip: ReadonlySet<unknown>, depth: number): Plain | undefined => {
    if (value instanceof TorchTensor || skip.has(value)) return undefined;
    if (++seen > MOST) return shortened();
    if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
    if (typeof value === "bigint") return String(value);
    if (typeof value === "string") {
      if (value.length <= LONGEST_TEXT) return value;
      cut = true;
      return `${value.slice(0, LONGEST_TEXT)}${CUT}`;
    }
    if (value === null || typeof value === "boolean") return value;
    if (value instanceof Unbuilt) return `<${value.name}>`;
    if (value instanceof Uint8Array) return `<${value.length} bytes>`;
    if (depth >= DEEPEST) return shortened();
    return isDictionary(value) ? dictionary(value, skip, depth) : list(value, skip, depth);
  };
  const list = (values: readonly TorchValue[], skip: ReadonlySet<unknown>, depth: number) => {
    const kept = values.slice(0, LONGEST).flatMap((item) => plain(item, skip, depth + 1) ?? []);
    if (values.length > LONGEST) kept.push(shortened());
    return kept.length > 0 || values.length === 0 ? kept : undefined;
  };
  const dictionary = (
    values: ReadonlyMap<TorchValue, TorchValue>,
    skip: ReadonlySet<unknown>,
    depth: number,
  ): Plain | undefined => {
    const kept: Record<string, Plain> = Object.create(null);
    let count = 0;
    for (const [key, item] of values) {
      if (++count > LONGEST) {
        kept[CUT] = shortened();
        break;
      }
      const name = keyText(key);
      const value = name === undefined ? undefined : plain(item, skip, depth + 1);
      if (value !== undefined) kept[name!] = value;
    }
    return Object.keys(kept).length > 0 || values.size === 0 ? kept : undefined;
  };
  return {
    plain: (value, skip = new Set()) => plain(value, skip, 0),
    get cut() {
      return cut;
    },
  };
}

export function isDictionary(value: unknown): value is ReadonlyMap<TorchValue, TorchValue> {
  return value instanceof Map;
}

/** A key as text; undefined for one that is none, or that could stand for an object's prototype. */
export function keyText(key: TorchValue): string | undefined {
  const simple = ["string", "number", "bigint", "boolean"].includes(typeof key);
  return simple && key !== "__proto__" ? String(key).slice(0, LONGEST_TEXT) : undefined;
}
