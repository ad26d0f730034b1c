// Assembles pickles opcode by opcode, sound or hostile: test code alone decides what the bytes claim.
import { type OpcodeName, opcodes } from "../../src/torch/pickleopcodes.ts";

/** An opcode with the bytes that follow it. */
export type Op = OpcodeName | readonly [OpcodeName, ...(readonly (Uint8Array | readonly number[])[])];

export function assemble(...ops: readonly Op[]): Uint8Array {
  return Uint8Array.from(
    ops.flatMap((op) => {
      const [name, ...rest] = typeof op === "string" ? [op] : op;
      return [opcodes[name], ...rest.flatMap((bytes) => [...bytes])];
    }),
  );
}

/** `value` in `size` bytes, little-endian; negative numbers as two's complement. */
export function little(size: number, value: number | bigint): number[] {
  const bits = BigInt.asUintN(8 * size, BigInt(value));
  return Array.from({ length: size }, (_, i) => Number((bits >> BigInt(8 * i)) & 0xffn));
}

export const u8 = (value: number): number[] => little(1, value);
export const u16 = (value: number): number[] => little(2, value);
export const u32 = (value: number): number[] => little(4, value);
export const u64 = (value: number | bigint): number[] => little(8, value);

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const line = (text: string): Uint8Array => utf8(`${text}\n`);

export function text(value: string): Op {
  const bytes = utf8(value);
  return ["BINUNICODE", u32(bytes.length), bytes];
}

export const int = (value: number): Op => ["BININT", u32(value)];
export const global = (module: string, name: string): Op => ["GLOBAL", line(module), line(name)];
export const list = (...items: readonly Op[][]): Op[] => ["EMPTY_LIST", "MARK", ...items.flat(), "APPENDS"];
export const tuple = (...items: readonly Op[][]): Op[] => ["MARK", ...items.flat(), "TUPLE"];
export const ints = (...values: readonly number[]): Op[] => tuple(...values.map((value) => [int(value)]));
export const call = (module: string, name: string, ...args: readonly Op[][]): Op[] => [
  global(module, name),
  ...tuple(...args),
  "REDUCE",
];

/** torch's reference to a storage; `type` is "FloatStorage" and the like. */
export const storage = (type: string, key: string, length: number, ...more: readonly Op[][]): Op[] => [
  ...tuple([text("storage")], [global("torch", type)], [text(key)], [text("cpu")], [int(length)], ...more),
  "BINPERSID",
];
