// Writes pickles as torch.save does (protocol 2): plain data, ordered dictionaries, and tensors of floats that lie in storages
// beside the pickle. Only opcodes and classes that torch.load(weights_only=True) takes.
import { ClimaxError } from "../errors.ts";
import type { Plain } from "./plainvalue.ts";

/** A contiguous tensor of f32 that fills a storage of its own. */
export class StorageTensor {
  /** Of its storage, which the file holds as `data/<key>`. */
  readonly key: string;
  readonly shape: readonly number[];

  constructor(key: string, shape: readonly number[]) {
    this.key = key;
    this.shape = shape;
  }
}

/** A Map becomes a collections.OrderedDict, any other object a dict, an array a list. */
export type Picklable =
  | Plain
  | StorageTensor
  | ReadonlyMap<string, Picklable>
  | readonly Picklable[]
  | { readonly [key: string]: Picklable };

const OP = {
  ...{ PROTO: 0x80, STOP: 0x2e, MARK: 0x28, NONE: 0x4e, NEWTRUE: 0x88, NEWFALSE: 0x89 },
  ...{ BININT: 0x4a, BININT1: 0x4b, BININT2: 0x4d, LONG1: 0x8a, BINFLOAT: 0x47, BINUNICODE: 0x58 },
  ...{ EMPTY_LIST: 0x5d, APPENDS: 0x65, EMPTY_DICT: 0x7d, SETITEMS: 0x75, EMPTY_TUPLE: 0x29, TUPLE: 0x74 },
  ...{ GLOBAL: 0x63, REDUCE: 0x52, BINPERSID: 0x51, BINPUT: 0x71, BINGET: 0x68 },
} as const;

/** What every tensor repeats; each is written once, and then referred to by its place here. */
const SHARED = [
  "torch._utils\n_rebuild_tensor_v2",
  "torch\nFloatStorage",
  "collections\nOrderedDict",
] as const;

/** The pickle so far, and which of SHARED it has. */
interface Output {
  readonly pieces: Uint8Array[];
  readonly shared: Set<string>;
}

/**
 * @returns  the pickle, whole: some 150 bytes for each tensor
 * @throws   ClimaxError "checkpoint" for text that UTF-8 cannot hold
 */
export function pickle(value: Picklable): Uint8Array {
  const out: Output = { pieces: [], shared: new Set() };
  putOps(out, OP.PROTO, 2);
  // A list of what is to come, not recursion: data may be nested deeper than the stack.
  const todo: (Picklable | (() => void))[] = [value];
  while (todo.length > 0) {
    const next = todo.pop()!;
    if (typeof next === "function") {
      next();
    } else if (next instanceof StorageTensor) {
      putTensor(out, next);
    } else if (next instanceof Map) {
      putOrderedDict(out);
      putItems(OP.SETITEMS, [...(next as ReadonlyMap<string, Picklable>)].flat(1));
    } else if (Array.isArray(next)) {
      putOps(out, OP.EMPTY_LIST);
      putItems(OP.APPENDS, next as readonly Picklable[]);
    } else if (typeof next === "object" && next !== null) {
      putOps(out, OP.EMPTY_DICT);
      putItems(OP.SETITEMS, Object.entries(next as Readonly<Record<string, Picklable>>).flat(1));
    } else {
      putScalar(out, next);
    }
  }
  putOps(out, OP.STOP);
  return Buffer.concat(out.pieces);

  function putItems(op: number, items: readonly Picklable[]): void {
    putOps(out, OP.MARK);
    todo.push(() => putOps(out, op));
    for (const item of items.toReversed()) todo.push(item);
  }
}

function putOps({ pieces }: Output, ...bytes: number[]): void {
  pieces.push(Uint8Array.from(bytes));
}

function putShared(out: Output, name: (typeof SHARED)[number]): void {
  const place = SHARED.indexOf(name);
  if (out.shared.has(name)) {
    putOps(out, OP.BINGET, place);
  } else {
    out.shared.add(name);
    putOps(out, OP.GLOBAL, ...Buffer.from(`${name}\n`), OP.BINPUT, place);
  }
}

function putOrderedDict(out: Output): void {
  putShared(out, "collections\nOrderedDict");
  putOps(out, OP.EMPTY_TUPLE, OP.REDUCE);
}

function putTuple(out: Output, numbers: readonly number[]): void {
  putOps(out, OP.MARK);
  for (const number of numbers) putScalar(out, number);
  putOps(out, OP.TUPLE);
}

/** _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks); elements are counted, not bytes. */
function putTensor(out: Output, { key, shape }: StorageTensor): void {
  putShared(out, "torch._utils\n_rebuild_tensor_v2");
  putOps(out, OP.MARK, OP.MARK);
  putScalar(out, "storage");
  putShared(out, "torch\nFloatStorage");
  for (const value of [key, "cpu", shape.reduce((a, b) => a * b, 1)]) putScalar(out, value);
  putOps(out, OP.TUPLE, OP.BINPERSID);
  putScalar(out, 0);
  putTuple(out, shape);
  putTuple(out, stridesOf(shape));
  putScalar(out, false);
  putOrderedDict(out);
  putOps(out, OP.TUPLE, OP.REDUCE);
}

function putScalar(out: Output, value: null | boolean | number | string): void {
  if (typeof value === "string") out.pieces.push(pickledText(value));
  else if (typeof value === "number") out.pieces.push(pickledNumber(value));
  else putOps(out, value === null ? OP.NONE : value ? OP.NEWTRUE : OP.NEWFALSE);
}

/** Strides of C order, in elements. */
function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const extent of shape.toReversed()) {
    strides.unshift(stride);
    stride *= Math.max(extent, 1);
  }
  return strides;
}

function pickledText(text: string): Uint8Array {
  if (/\p{Surrogate}/u.test(text)) {
    const start = JSON.stringify(text.slice(0, 40));
    throw new ClimaxError(
      "checkpoint",
      `the text ${start} has half of a surrogate pair, which a PyTorch checkpoint cannot hold`,
      "correct that text where it comes from",
    );
  }
  const bytes = Buffer.from(text);
  const head = Buffer.from([OP.BINUNICODE, 0, 0, 0, 0]);
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Whole numbers up to 2^53 as integers; others, and -0, as floats. */
function pickledNumber(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    const bytes = Buffer.from([OP.BINFLOAT, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.writeDoubleBE(value, 1);
    return bytes;
  }
  if (value >= 0 && value < 0x100) return Uint8Array.of(OP.BININT1, value);
  if (value >= 0 && value < 0x10000) return Uint8Array.of(OP.BININT2, value & 0xff, value >> 8);
  if (value === (value | 0)) {
    const bytes = Buffer.from([OP.BININT, 0, 0, 0, 0]);
    bytes.writeInt32LE(value, 1);
    return bytes;
  }
  const bytes = Buffer.from([OP.LONG1, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
  bytes.writeBigInt64LE(BigInt(value), 2);
  return bytes;
}
