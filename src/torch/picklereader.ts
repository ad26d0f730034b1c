// Steps through the bytes of a pickle: no length is believed before it has been compared with what is left.
import { ClimaxError } from "../errors.ts";

/**
 * Work that one pickle may ask for, in values; a container counts as 16, a place in the memo as 4, 8 bytes of text as
 * one. It bounds time (seconds) and memory (some 200 MB) whatever the file's size. A checkpoint needs about
 * 150 for each tensor, and ClimaX with the states of its optimiser has 800.
 */
export const MOST_WORK = 4_000_000;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text of a file in an error message: short, without control characters. */
export function shown(text: string): string {
  const cut = text.length > 120 ? `${text.slice(0, 120)}...` : text;
  return cut.replace(/[\p{C}\p{Z}]/gu, (c) => (c === " " ? c : `\\u{${c.codePointAt(0)!.toString(16)}}`));
}

export class PickleReader {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** First byte of the opcode being run. */
  offset = 0;
  /** Next byte to be read. */
  position = 0;
  #work = 0;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, path: string) {
    // Never a Buffer, whose slice() would be a view that keeps the file's bytes in memory.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.path = path;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Ends the reading: what was found at the present opcode. */
  refuse(
    found: string,
    hint = "copy or download it again; if it is whole, torch.save did not write it",
  ): never {
    throw new ClimaxError(
      "checkpoint",
      `${this.path} holds a pickle that cannot be read: at its byte ${this.offset}, ${found}`,
      hint,
    );
  }

  /** Charges work done for the file. */
  spend(work: number): void {
    this.#work += work;
    if (this.#work > MOST_WORK) {
      this.refuse(
        `it has asked for more than ${MOST_WORK} values`,
        "no checkpoint needs so many: is it one? Save the state_dict alone",
      );
    }
  }

  /** Moves over `count` bytes and returns where they begin. */
  #step(count: number): number {
    const start = this.position;
    const left = this.bytes.length - start;
    if (count > left) this.refuse(`${count} bytes are wanted where ${left} are left`);
    this.position = start + count;
    return start;
  }

  u8(): number {
    return this.bytes[this.#step(1)]!;
  }

  u16(): number {
    return this.#view.getUint16(this.#step(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#step(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#step(4), true);
  }

  /** Exact as far as any file reaches; above 2^53 rounded, and refused by whoever compares it with what is left. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.#step(8), true));
  }

  /** Protocol 1's float, the one number of a pickle that is big-endian. */
  f64(): number {
    return this.#view.getFloat64(this.#step(8), false);
  }

  /** A view of the next `length` bytes. */
  take(length: number): Uint8Array {
    const start = this.#step(length);
    this.spend(length >> 3);
    return this.bytes.subarray(start, this.position);
  }

  /** The bytes up to the next line feed, which is passed over. */
  line(): Uint8Array {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end < 0) {
      this.refuse(`no line feed ends a line in the ${this.bytes.length - this.position} bytes that are left`);
    }
    const line = this.take(end - this.position);
    this.position++;
    return line;
  }

  text(bytes: Uint8Array): string {
    try {
      return utf8.decode(bytes);
    } catch {
      return this.refuse(
        `a text of ${bytes.length} bytes is not UTF-8`,
        "if Python 2 wrote the file, load it there and save it with Python 3; else copy or download it again",
      );
    }
  }
}
