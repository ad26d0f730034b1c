// The JSON header of a safetensors file, read as what the format allows and nothing else. JSON.parse would hide a name
// that occurs twice, and make gigabytes of objects of a header that is made to.
import { ClimaxError } from "../errors.ts";

/** A tensor as the header gives it, before anything is compared with the file. */
export interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offsets: readonly [number, number];
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, HeaderEntry>;
}

/** The most dimensions that are believed, as PyTorch. */
const mostDimensions = 64;

export function damagedSafetensors(path: string, what: string): never {
  throw new ClimaxError(
    "checkpoint",
    `${path} is no sound safetensors file: ${what}`,
    "copy or download it again; if it was just written, the run that wrote it was cut off",
  );
}

/** Text of the file in a message: escaped, and no longer than a line. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/**
 * Reads a header; it is walked once, without recursion.
 *
 * @throws ClimaxError "checkpoint" if it is not UTF-8, not JSON, names something twice, or holds anything but tensors
 *   and text
 */
export function parseHeader(path: string, bytes: Uint8Array): SafetensorsHeader {
  const fail = (what: string) => damagedSafetensors(path, what);
  if (bytes[0] !== 0x7b) fail('its header does not begin with "{"');
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail("its header is not UTF-8");
  }
  const scan = new Scanner(text, fail);
  const metadata = new Map<string, string>();
  const tensors = new Map<string, HeaderEntry>();
  let described = false;
  scan.members("it", (name) => {
    if (name !== "__metadata__") {
      if (tensors.has(name)) fail(`two tensors are called ${quoted(name)}`);
      tensors.set(name, entry(scan, name, fail));
      return;
    }
    if (described) fail("it has two __metadata__");
    described = true;
    scan.members("its __metadata__", (key) => {
      if (metadata.has(key)) fail(`its __metadata__ names ${quoted(key)} twice`);
      metadata.set(key, scan.string(`${quoted(key)} in its __metadata__`));
    });
  });
  scan.end();
  return { metadata, tensors };
}

function entry(scan: Scanner, name: string, fail: (what: string) => never): HeaderEntry {
  const who = quoted(name);
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  scan.members(who, (key) => {
    if (key === "dtype" && dtype === undefined) dtype = scan.string(`the dtype of ${who}`);
    else if (key === "shape" && shape === undefined) shape = scan.integers(`${who} has no proper shape`);
    else if (key === "data_offsets" && offsets === undefined)
      offsets = scan.integers(`${who} has no proper data_offsets`);
    else
      fail(
        `${who} has ${/^(dtype|shape|data_offsets)$/.test(key) ? "a second" : "an unknown field,"} ${quoted(key)}`,
      );
  });
  if (dtype === undefined) fail(`${who} has no dtype`);
  if (shape === undefined) fail(`${who} has no proper shape`);
  if (offsets === undefined) fail(`${who} has no proper data_offsets`);
  const [start, end, ...more] = offsets as number[];
  if (start === undefined || end === undefined || more.length > 0) fail(`${who} has no proper data_offsets`);
  return { dtype: dtype!, shape: shape!, offsets: [start!, end!] };
}

/** Walks JSON text forwards; every call takes one thing that the format allows there. */
class Scanner {
  readonly text: string;
  readonly fail: (what: string) => never;
  at = 0;

  constructor(text: string, fail: (what: string) => never) {
    this.text = text;
    this.fail = fail;
  }

  /** Calls `value` for each name of an object, to take what follows it. */
  members(what: string, value: (name: string) => void): void {
    if (!this.takes("{")) this.fail(`${what} is not an object`);
    if (this.takes("}")) return;
    do {
      const name = this.string("a name in it");
      if (!this.takes(":")) this.notJson();
      value(name);
    } while (this.takes(","));
    if (!this.takes("}")) this.notJson();
  }

  string(what: string): string {
    this.space();
    if (this.text[this.at] !== '"')
      this.fail(this.at < this.text.length ? `${what} is not a string` : NOT_JSON);
    let end = this.at + 1;
    let plain = true;
    for (let code = this.text.charCodeAt(end); code !== 0x22; code = this.text.charCodeAt(end)) {
      if (end >= this.text.length) this.notJson();
      if (code === 0x5c || code < 0x20) plain = false;
      end += code === 0x5c ? 2 : 1;
    }
    const start = this.at;
    this.at = end + 1;
    if (plain) return this.text.slice(start + 1, end);
    try {
      return JSON.parse(this.text.slice(start, end + 1)) as string; // escapes are its to judge
    } catch {
      return this.notJson();
    }
  }

  /** A list of integers from 0 on that a double holds exactly. */
  integers(otherwise: string): number[] {
    const list: number[] = [];
    if (!this.takes("[")) this.fail(otherwise);
    if (this.takes("]")) return list;
    do {
      this.space();
      const digits = /(?:0|[1-9]\d{0,15})(?![\d.eE])/y;
      digits.lastIndex = this.at;
      const [found] = digits.exec(this.text) ?? this.fail(otherwise);
      this.at += found.length;
      if (!Number.isSafeInteger(Number(found)) || list.length === mostDimensions) this.fail(otherwise);
      list.push(Number(found));
    } while (this.takes(","));
    if (!this.takes("]")) this.fail(otherwise);
    return list;
  }

  end(): void {
    this.space();
    if (this.at < this.text.length) this.notJson();
  }

  takes(character: string): boolean {
    this.space();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  notJson(): never {
    return this.fail(`${NOT_JSON}, from character ${this.at} on`);
  }
}

const NOT_JSON = "its header is not JSON";
