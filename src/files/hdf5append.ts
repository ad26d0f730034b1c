// Chunks added to an HDF5 file past the library: compressed on other threads, and by shuffle before deflate, which
// h5wasm cannot set. The library makes the file with empty variables; then the chunks go to its end, each variable
// gets a B-tree of version 1 over them, and its object header says so (HDF5 File Format Specification 3.0, III.A, IV.A).
import { closeSync, openSync, readSync, writeSync, writevSync } from "node:fs";
import { deflateSync } from "node:zlib";
import { lookup3 } from "./hdf5checksum.ts";
import { FILTERS, type HeaderMessage, headerMessages, LAYOUT } from "./hdf5objects.ts";
import { elements } from "./hyperslab.ts";

/** The values that the library must be given with the filter deflate, so that its message has room for shuffle too. */
export const roomForShuffle = (level: number): number[] => [level, 0, 0, 0];

/**
 * float32 numbers as a chunk of such a variable: the first bytes of all numbers first, and so on, then deflate; as they
 * are at level 0.
 */
export function packChunk(values: Float32Array<ArrayBuffer>, level: number): Uint8Array<ArrayBuffer> {
  const n = values.length;
  const bytes = new Uint8Array(values.buffer, values.byteOffset, 4 * n);
  if (level === 0) return bytes;
  const planes = new Uint8Array(4 * n);
  for (let i = 0, k = 0; i < n; i++) {
    planes[i] = bytes[k++]!;
    planes[n + i] = bytes[k++]!;
    planes[2 * n + i] = bytes[k++]!;
    planes[3 * n + i] = bytes[k++]!;
  }
  return deflateSync(planes, { level, chunkSize: Math.max(64, planes.length + (planes.length >> 6) + 64) });
}

/** A variable of float32 without chunks, and where its object header is. */
export interface EmptyVariable {
  name: string;
  address: number;
  shape: readonly number[];
  chunk: readonly number[];
  level: number;
}

interface Entries {
  variable: EmptyVariable;
  /** Lengths in chunks. */
  counts: number[];
  at: Float64Array;
  bytes: Float64Array;
}

export class ChunkAppender {
  readonly #descriptor: number;
  readonly #variables: Map<string, Entries>;
  #end: number;
  #open = true;

  /** Opens a file that the library has closed. */
  constructor(path: string, variables: readonly EmptyVariable[]) {
    this.#descriptor = openSync(path, "r+");
    this.#end = Number(this.#readAt(28, 8).readBigUInt64LE(0));
    this.#variables = new Map(
      variables.map((variable) => {
        const counts = variable.shape.map((n, axis) => Math.ceil(n / variable.chunk[axis]!));
        const n = elements(counts);
        return [variable.name, { variable, counts, at: new Float64Array(n), bytes: new Float64Array(n) }];
      }),
    );
  }

  /** Adds chunks that begin at the elements `starts`. */
  append(name: string, starts: readonly (readonly number[])[], chunks: readonly Uint8Array[]): void {
    const { variable, counts, at, bytes } = this.#variables.get(name)!;
    const from = this.#end;
    for (const [i, chunk] of chunks.entries()) {
      const number = starts[i]!.reduce((n, a, axis) => n * counts[axis]! + a / variable.chunk[axis]!, 0);
      at[number] = this.#end;
      bytes[number] = chunk.length;
      this.#end += chunk.length;
    }
    let written = 0;
    const total = this.#end - from;
    // IOV_MAX is 1024 on Linux.
    for (let i = 0; i < chunks.length; i += 512) {
      const some = chunks.slice(i, i + 512);
      const size = some.reduce((sum, chunk) => sum + chunk.length, 0);
      let done = writevSync(this.#descriptor, some, from + written);
      if (done < size) {
        const rest = Buffer.concat(some);
        while (done < size)
          done += writeSync(this.#descriptor, rest, done, size - done, from + written + done);
      }
      written += size;
    }
    if (written !== total) throw new Error(`${written} of ${total} bytes were written`);
  }

  /** Writes the indices and closes the file. */
  finish(): void {
    try {
      for (const entries of this.#variables.values()) {
        if (elements(entries.counts) === 0) continue;
        const missing = entries.at.indexOf(0);
        if (missing >= 0) throw new Error(`chunk ${missing} of ${entries.variable.name} was never written`);
        this.#link(entries, this.#writeTree(entries));
      }
      const superblock = this.#readAt(0, 48);
      superblock.writeBigUInt64LE(BigInt(this.#end), 28);
      superblock.writeUInt32LE(lookup3(superblock.subarray(0, 44)), 44);
      writeSync(this.#descriptor, superblock, 0, 48, 0);
    } finally {
      this.close();
    }
  }

  /** Does nothing the second time. */
  close(): void {
    if (this.#open) closeSync(this.#descriptor);
    this.#open = false;
  }

  #readAt(position: number, length: number): Buffer {
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, readSync(this.#descriptor, buffer, 0, length, position));
  }

  /** Writes the B-tree over the chunks, leaves first; the address of its root. */
  #writeTree({ variable: { chunk }, counts, at, bytes }: Entries): number {
    const most = 64; // twice the K of 32 that files have unless they say otherwise
    const rank = counts.length;
    const keyBytes = 8 + 8 * (rank + 1);
    const nodeBytes = 24 + most * (keyBytes + 8) + keyBytes;
    const total = at.length;
    /** The key of a chunk; the one behind the last lies beyond it along each axis. */
    const writeKey = (node: Buffer, offset: number, number: number) => {
      const inside = Math.min(number, total - 1);
      const beyond = number >= total ? 1 : 0;
      node.writeUInt32LE(beyond ? 0 : bytes[inside]!, offset);
      let rest = inside;
      for (let axis = rank - 1; axis >= 0; axis--) {
        const index = (rest % counts[axis]!) + beyond;
        node.writeBigUInt64LE(BigInt(index * chunk[axis]!), offset + 8 + 8 * axis);
        rest = Math.floor(rest / counts[axis]!);
      }
      node.writeBigUInt64LE(BigInt(4 * beyond), offset + 8 + 8 * rank);
    };
    let level = 0;
    // Of each node below: the chunk that it begins with, and its address.
    let below = Array.from(at, (address, number) => ({ first: number, address }));
    for (;;) {
      const nodes = Math.ceil(below.length / most);
      const begin = Math.ceil(this.#end / 8) * 8;
      const block = Buffer.alloc(nodes * nodeBytes);
      const above: typeof below = [];
      for (let n = 0; n < nodes; n++) {
        const node = block.subarray(n * nodeBytes, (n + 1) * nodeBytes);
        const children = below.slice(n * most, (n + 1) * most);
        node.write("TREE", 0, "latin1");
        node[4] = 1;
        node[5] = level;
        node.writeUInt16LE(children.length, 6);
        const sibling = (m: number) => (m < 0 || m >= nodes ? 2n ** 64n - 1n : BigInt(begin + m * nodeBytes));
        node.writeBigUInt64LE(sibling(n - 1), 8);
        node.writeBigUInt64LE(sibling(n + 1), 16);
        for (const [i, child] of children.entries()) {
          writeKey(node, 24 + i * (keyBytes + 8), child.first);
          node.writeBigUInt64LE(BigInt(child.address), 24 + i * (keyBytes + 8) + keyBytes);
        }
        writeKey(node, 24 + children.length * (keyBytes + 8), below[(n + 1) * most]?.first ?? total);
        above.push({ first: children[0]!.first, address: begin + n * nodeBytes });
      }
      writeSync(this.#descriptor, block, 0, block.length, begin);
      this.#end = begin + block.length;
      if (nodes === 1) return begin;
      below = above;
      level++;
    }
  }

  /** Enters the tree and the filters in the variable's object header. */
  #link({ variable: { name, address, level } }: Entries, root: number): void {
    const messages = headerMessages((position, length) => this.#readAt(position, length), address) ?? [];
    const layout = messages.find(({ type }) => type === LAYOUT);
    const filters = messages.find(({ type }) => type === FILTERS);
    const room = level === 0 || (filters?.data[0] === 2 && filters.data.length >= 22);
    if (layout?.data[0] !== 3 || layout.data[1] !== 2 || !room)
      throw new Error(`the header of ${name} is not as the library was told to make it`);
    layout.data.writeBigUInt64LE(BigInt(root), 3);
    this.#patch(layout);
    if (level === 0 || !filters) return;
    filters.data.fill(0);
    // Version 2, two filters; shuffle (2) of 4 bytes; deflate (1) at its level; both may be left out of a chunk.
    Buffer.from("020202000100010004000000010001000100", "hex").copy(filters.data);
    filters.data.writeUInt32LE(level, 18);
    this.#patch(filters);
  }

  #patch({ data, at, block }: HeaderMessage): void {
    writeSync(this.#descriptor, data, 0, data.length, at);
    const whole = this.#readAt(block.at, block.bytes);
    whole.writeUInt32LE(lookup3(whole.subarray(0, -4)), whole.length - 4);
    writeSync(this.#descriptor, whole, whole.length - 4, 4, block.at + block.bytes - 4);
  }
}
