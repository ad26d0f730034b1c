// Numbers and texts as pickles write them: protocol 0's lines, and integers of any length.
import { type PickleReader, shown } from "./picklereader.ts";

/** Bytes of the longest integer: no number of a checkpoint has more than eight, and long ones take long to convert. */
const LONGEST_INTEGER = 1024;
/** Digits of the longest. */
const MOST_DIGITS = 2500;

/** A number where it is exact, a bigint beyond. */
function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Little-endian two's complement of the next `length` bytes; none are 0. */
export function signedInteger(reader: PickleReader, length: number): number | bigint {
  if (length > LONGEST_INTEGER) {
    reader.refuse(`an integer claims ${length} bytes, and ${LONGEST_INTEGER} are the limit`);
  }
  const bytes = reader.take(length);
  if (length === 0) return 0;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).reverse();
  return exact(BigInt.asIntN(8 * length, BigInt(`0x${digits.join("")}`)));
}

/** A line of ASCII; anything else stands for itself in the error. */
export function asciiLine(reader: PickleReader): string {
  return reader.text(reader.line());
}

/** A decimal integer, exact. */
export function decimalInteger(reader: PickleReader, text: string): number | bigint {
  if (!/^[+-]?\d+$/.test(text)) reader.refuse(`"${shown(text)}" stands where a decimal integer is wanted`);
  if (text.length > MOST_DIGITS) {
    reader.refuse(`an integer has ${text.length} digits, and ${MOST_DIGITS} are the limit`);
  }
  return exact(BigInt(text.replace("+", "")));
}

/** Protocol 0's index of the memo. */
export function memoIndex(reader: PickleReader, text: string): number {
  if (!/^\d{1,10}$/.test(text)) reader.refuse(`"${shown(text)}" stands where an index of the memo is wanted`);
  return Number(text);
}

/** A number as Python's repr writes it. */
export function decimalFloat(reader: PickleReader, text: string): number {
  const named = /^([+-]?)(inf|nan)$/.exec(text);
  if (named) return named[2] === "nan" ? Number.NaN : Number(`${named[1]}Infinity`);
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    reader.refuse(`"${shown(text)}" stands where a floating-point number is wanted`);
  }
  return Number(text);
}

const ESCAPES: Readonly<Record<string, number>> = {
  ...{ "\\": 0x5c, "'": 0x27, '"': 0x22, a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 },
};

/** The bytes that Python 2's repr of a string stands for: quoted, with backslashes. */
export function quotedBytes(reader: PickleReader): Uint8Array {
  const line = reader.line();
  const [first, last] = [line[0], line.at(-1)];
  if (line.length < 2 || first !== last || (first !== 0x27 && first !== 0x22)) {
    reader.refuse("a line without matching quotes stands where a quoted string is wanted");
  }
  const bytes = new Uint8Array(line.length - 2);
  let length = 0;
  for (let i = 1; i < line.length - 1; i++) {
    if (line[i] !== 0x5c) {
      bytes[length++] = line[i]!;
      continue;
    }
    const rest = String.fromCharCode(...line.subarray(i + 1, Math.min(i + 4, line.length - 1)));
    const [code] = /^(x[0-9a-f]{2}|[0-7]{1,3}|[\\'"abtnvfr])/i.exec(rest) ?? [];
    if (code === undefined) reader.refuse(`a quoted string has the unknown escape "\\${shown(rest)}"`);
    bytes[length++] = escaped(code);
    i += code.length;
  }
  return bytes.subarray(0, length);
}

function escaped(code: string): number {
  if (code.length === 3 && code.startsWith("x")) return Number.parseInt(code.slice(1), 16);
  return ESCAPES[code] ?? Number.parseInt(code, 8) & 0xff;
}

/** Protocol 0's text: Latin-1, and \uXXXX or \UXXXXXXXX for what is outside it. */
export function escapedText(reader: PickleReader): string {
  const line = reader.line();
  const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("latin1");
  // Capitals differ: \u has four digits, \U eight.
  const coded = /\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g;
  const whole = text.replace(coded, (all, short?: string, long?: string) => {
    const code = Number.parseInt(short ?? long!, 16);
    if (code > 0x10ffff) reader.refuse(`a text has the escape ${all}, which is no character`);
    return String.fromCodePoint(code);
  });
  if (/\p{Surrogate}/u.test(whole)) reader.refuse("a text has half of a surrogate pair");
  return whole;
}
