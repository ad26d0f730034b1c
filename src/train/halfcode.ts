// Numbers to blocks of halves and back (src/ops/wire.ts) in WebAssembly, four at a time: V8 uses the processor's vectors
// for that and not for JavaScript. Number by number, with src/files/half.ts, adding up takes twice as long and making
// blocks fifty times. Few instructions are needed, so the code is put together here. Every Node that climax runs on has them.
import { BLOCK, BLOCK_WORDS } from "../ops/wire.ts";

/** What of it is used: TypeScript has its types among those of browsers. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: {
    Module: new (code: Uint8Array) => object;
    Instance: new (module: object) => { readonly exports: unknown };
  };
};

/** Bytes of WebAssembly: an expression leaves its value on the stack, and begins with the code of its operands. */
type Code = readonly number[];

const unsigned = (n: number): number[] => (n < 0x80 ? [n] : [(n & 0x7f) | 0x80, ...unsigned(n >>> 7)]);
const signed = (n: number): number[] =>
  n >= -0x40 && n < 0x40 ? [n & 0x7f] : [(n & 0x7f) | 0x80, ...signed(n >> 7)];
const counted = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()];
const sized = (code: Code): number[] => [...unsigned(code.length), ...code];

const plain =
  (opcode: number) =>
  (...operands: Code[]): Code => [...operands.flat(), opcode];
const vector =
  (opcode: number, ...more: number[]) =>
  (...operands: Code[]): Code => [...operands.flat(), 0xfd, ...unsigned(opcode), ...more];
const i32 = {
  const: (n: number): Code => [0x41, ...signed(n | 0)],
  ...{ add: plain(0x6a), sub: plain(0x6b), shl: plain(0x74), shrU: plain(0x76) },
  ...{ eq: plain(0x46), ltU: plain(0x49), gtU: plain(0x4b) },
  store: (at: Code, value: Code): Code => [...at, ...value, 0x36, 2, 0],
};
/** The third operand, where it is not 0, picks the first of the others. */
const select = plain(0x1b);

const v128 = {
  load: (at: Code, offset = 0): Code => vector(0x00, 2, offset)(at),
  loadSplat: vector(0x09, 2, 0), // of four bytes
  store: (at: Code, value: Code, offset = 0): Code => vector(0x0b, 2, offset)(at, value),
  /** Four times the same word. */
  const: (word: number): Code => {
    const bytes = [word, word >>> 8, word >>> 16, word >>> 24].map((byte) => byte & 0xff);
    return vector(0x0c, ...bytes, ...bytes, ...bytes, ...bytes)();
  },
  ...{ and: vector(0x4e), or: vector(0x50), bitselect: vector(0x52) },
};
const i32x4 = {
  ...{ splat: vector(0x11), first: vector(0x1b, 0), ltU: vector(0x3a), maxU: vector(0xb9) },
  ...{ add: vector(0xae), sub: vector(0xb1), shl: vector(0xab), shrU: vector(0xad) },
  ...{ ofLowShorts: vector(0xa7), ofHighShorts: vector(0xa8), toShorts: vector(0x86) },
  /** The words, each in the place of the one so many behind it. */
  turned: (value: Code, by: number): Code =>
    vector(0x0d, ...Array.from({ length: 16 }, (_, i) => (i + 4 * by) % 16))(value, value),
};
const f32x4 = { add: vector(0xe4), mul: vector(0xe6) };

const get = (local: number): Code => [0x20, local];
const set = (local: number, value: Code): Code => [...value, 0x21, local];
const advance = (local: number, bytes: number): Code => set(local, i32.add(get(local), i32.const(bytes)));
/** Once, and again as long as a pointer is below another. */
const whileBelow = (pointer: number, end: number, ...body: Code[]): Code => [
  ...[0x03, 0x40, ...body.flat(), ...i32.ltU(get(pointer), get(end))],
  ...[0x0d, 0, 0x0b],
];

/** A function without a result, of pointers; then come locals: pointers first, then vectors. */
const func = (pointers: number, vectors: number, ...body: Code[]): number[] =>
  sized([2, pointers, 0x7f, vectors, 0x7b, ...body.flat(), 0x0b]);

/** add(words, sums, end of words): adds up what the blocks hold. */
function addCode(): number[] {
  const [words, sums, end, blockEnd, unit, halves] = [0, 1, 2, 3, 4, 5];
  // The bits of a half, moved to where a float has them, are a float 2^112 times too small, also where the half is subnormal.
  const four = (shorts: Code): Code => {
    const bits = v128.and(i32x4.shl(shorts, i32.const(13)), v128.const(0x8fff_e000));
    return f32x4.mul(f32x4.mul(bits, v128.const((127 + 112) << 23)), get(unit));
  };
  const more = (offset: number, value: Code): Code =>
    v128.store(get(sums), f32x4.add(v128.load(get(sums), offset), value), offset);
  return func(
    ...[1, 2],
    whileBelow(
      ...[words, end],
      set(unit, v128.loadSplat(get(words))),
      set(blockEnd, i32.add(get(words), i32.const(4 * BLOCK_WORDS))),
      advance(words, 4),
      whileBelow(
        ...[words, blockEnd],
        set(halves, v128.load(get(words))),
        more(0, four(i32x4.ofLowShorts(get(halves)))),
        more(16, four(i32x4.ofHighShorts(get(halves)))),
        ...[advance(words, 16), advance(sums, 32)],
      ),
    ),
  );
}

/** encode(numbers, words, end of numbers): as kernels/wire.wgsl does. */
function encodeCode(): number[] {
  const [numbers, words, end, at, blockEnd, exponent, unit] = [0, 1, 2, 3, 4, 5, 6];
  const [largest, scale, value, rest] = [7, 8, 9, 10];
  const larger = (other: Code): Code => set(largest, i32x4.maxU(get(largest), other));
  /** As toHalf of src/files/half.ts, which has the reasons. */
  const four = (offset: number): Code => {
    const small = i32x4.sub(f32x4.add(get(rest), v128.const(0x3f00_0000)), v128.const(0x3f00_0000)); // 0.5, and its bits
    const odd = v128.and(i32x4.shrU(get(rest), i32.const(13)), v128.const(1));
    const rounded = i32x4.add(i32x4.sub(get(rest), v128.const(0x3800_0000 - 0xfff)), odd);
    const normal = i32x4.shrU(rounded, i32.const(13));
    const sign = v128.and(i32x4.shrU(get(value), i32.const(16)), v128.const(0x8000));
    return [
      ...set(value, f32x4.mul(v128.load(get(at), offset), get(scale))),
      ...set(rest, v128.and(get(value), v128.const(0x7fff_ffff))),
      ...v128.or(v128.bitselect(small, normal, i32x4.ltU(get(rest), v128.const(0x3880_0000))), sign),
    ];
  };
  return func(
    ...[4, 4],
    whileBelow(
      ...[numbers, end],
      set(at, get(numbers)),
      set(blockEnd, i32.add(get(numbers), i32.const(4 * BLOCK))),
      set(largest, v128.const(0)),
      whileBelow(
        ...[at, blockEnd],
        larger(v128.and(v128.load(get(at)), v128.const(0x7fff_ffff))),
        advance(at, 16),
      ),
      larger(i32x4.turned(get(largest), 2)),
      larger(i32x4.turned(get(largest), 1)),
      set(exponent, i32.shrU(i32x4.first(get(largest)), i32.const(23))), // biased by 127; 255 where not finite
      set(
        unit,
        i32.sub(select(get(exponent), i32.const(15), i32.gtU(get(exponent), i32.const(15))), i32.const(14)),
      ),
      i32.store(
        get(words),
        select(
          ...[i32.const(0x7fc0_0000), i32.shl(get(unit), i32.const(23))],
          i32.eq(get(exponent), i32.const(255)),
        ),
      ),
      set(scale, i32x4.splat(i32.shl(i32.sub(i32.const(254), get(unit)), i32.const(23)))),
      advance(words, 4),
      whileBelow(
        ...[numbers, blockEnd],
        set(at, get(numbers)),
        v128.store(get(words), i32x4.toShorts(four(0), four(16))),
        ...[advance(words, 16), advance(numbers, 32)],
      ),
    ),
  );
}

/** The functions, on `memory`: pointers are its bytes, multiples of four. */
export interface HalfCode {
  readonly memory: { readonly buffer: ArrayBuffer };
  add(words: number, sums: number, endOfWords: number): void;
  encode(numbers: number, words: number, endOfNumbers: number): void;
}

/** @param pages  of 64 KiB of memory */
export function halfCode(pages: number): HalfCode {
  const text = (name: string): number[] => sized([...Buffer.from(name)]);
  const section = (id: number, items: readonly Code[]): number[] => [id, ...sized(counted(items))];
  const module = [
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [[0x60, 3, 0x7f, 0x7f, 0x7f, 0]]),
    ...section(3, [[0], [0]]),
    ...section(5, [[0, pages]]),
    ...section(7, [
      [...text("memory"), 2, 0],
      [...text("add"), 0, 0],
      [...text("encode"), 0, 1],
    ]),
    ...section(10, [addCode(), encodeCode()]),
  ];
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(module)));
  return exports as HalfCode;
}
