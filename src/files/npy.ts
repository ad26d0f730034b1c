// NumPy's .npy arrays and .npz archives. Reads are positioned and checked against the file's size before
// anything is allocated. A .npz is a ZIP of .npy members.

import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { crc32, inflateRawSync } from "node:zlib";
import { openPromise, type ZipFile } from "yauzl";
import { ClimaxError } from "../errors.ts";
import { fromHalf } from "./half.ts";
import {
  damaged,
  decode,
  dtypeOf,
  longestHeader,
  type NpyArray,
  type NpyData,
  type NpyDtype,
  type NpyHeader,
  npyHeader,
  parseNpyHeader,
  toRowMajor,
} from "./npyformat.ts";

/** Bytes that can be read at a position: a file, a stored member of an archive, or memory. */
export interface ByteSource {
  name: string;
  size: number;
  readInto(target: Uint8Array, position: number): Promise<void>;
}

/** An array whose elements are read on demand. `start` and `count` are in elements, in C order. */
export interface NpyReader {
  header: NpyHeader;
  read(start?: number, count?: number): Promise<NpyData>;
  /** As many elements of a float32 or float16 array as the target has, without memory of its own. */
  readInto(target: Float32Array, start: number): Promise<void>;
}

export async function readerOf(source: ByteSource): Promise<NpyReader> {
  const head = new Uint8Array(Math.min(source.size, 12 + longestHeader));
  const first = Math.min(head.length, 512); // nearly always enough, in one read
  await source.readInto(head.subarray(0, first), 0);
  let header: NpyHeader;
  try {
    header = parseNpyHeader(head.subarray(0, first), source.name);
  } catch (error) {
    if (first === head.length) throw error;
    await source.readInto(head.subarray(first), first);
    header = parseNpyHeader(head, source.name);
  }
  const present = source.size - header.dataStart;
  if (present !== header.dataBytes)
    damaged(
      source.name,
      `shape (${header.shape.join(", ")}) of ${header.dtype} needs ${header.dataBytes} bytes of data, found ${present}`,
    );
  const elements = header.shape.reduce((product, n) => product * n, 1);
  const bytesEach = elements === 0 ? 0 : header.dataBytes / elements;

  async function bytesOf(start: number, count: number): Promise<ArrayBuffer> {
    if (start < 0 || count < 0 || start + count > elements)
      throw new RangeError(`elements ${start}..${start + count} of ${elements} in ${source.name}`);
    const buffer = new ArrayBuffer(count * bytesEach);
    await source.readInto(new Uint8Array(buffer), header.dataStart + start * bytesEach);
    return buffer;
  }
  async function read(start = 0, count = elements - start): Promise<NpyData> {
    if (header.fortran && count !== elements) return (await read()).slice(start, start + count);
    const buffer = await bytesOf(start, count);
    const data = decode(buffer, header, source.name);
    return header.fortran ? toRowMajor(data, header.shape) : data;
  }

  async function readInto(target: Float32Array, start: number): Promise<void> {
    const { dtype, bigEndian, fortran } = header;
    const float = dtype === "float32" || dtype === "float16";
    if (!float) throw new TypeError(`${source.name} holds ${dtype}, read as float32`);
    const count = target.length;
    if (bigEndian || fortran || start < 0 || start + count > elements) {
      target.set((await read(start, count)) as Float32Array);
      return;
    }
    // Halves go to the end of the target's memory, and turn into floats from the front: none is lost before its turn.
    const from = target.byteOffset + count * (4 - bytesEach);
    const bytes = new Uint8Array(target.buffer, from, count * bytesEach);
    await source.readInto(bytes, header.dataStart + start * bytesEach);
    if (dtype === "float16") fromHalf(new Uint16Array(target.buffer, from, count), target);
  }
  return { header, read, readInto };
}

/** Reads exactly `target.length` bytes; a short read is a damaged file, never silence. */
export async function readExactly(
  handle: FileHandle,
  target: Uint8Array,
  position: number,
  name: string,
): Promise<void> {
  let done = 0;
  while (done < target.length) {
    // Node refuses single reads of 2 GiB and more.
    const length = Math.min(target.length - done, 1 << 30);
    const { bytesRead } = await handle.read(target, done, length, position + done);
    if (bytesRead === 0)
      damaged(name, `ends at byte ${position + done}, ${position + target.length} were wanted`);
    done += bytesRead;
  }
}

export async function openForReading(path: string): Promise<FileHandle> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe must not keep us waiting
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch (error) {
    throw new ClimaxError("data", `cannot open ${path}: ${(error as Error).message}`, "check the path", {
      cause: error,
    });
  }
  throw new ClimaxError("data", `cannot open ${path}: it is not a regular file`, "name a file");
}

/** Opens a .npy file for reads on demand; the caller closes it. */
export async function openNpy(path: string): Promise<NpyReader & { close(): Promise<void> }> {
  const handle = await openForReading(path);
  try {
    const { size } = await handle.stat();
    const readInto = (target: Uint8Array, position: number) => readExactly(handle, target, position, path);
    return { ...(await readerOf({ name: path, size, readInto })), close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Reads a whole .npy file. */
export async function readNpy(path: string): Promise<NpyArray> {
  const file = await openNpy(path);
  try {
    return { shape: file.header.shape, dtype: file.header.dtype, data: await file.read() };
  } finally {
    await file.close();
  }
}

/** Writes a whole little-endian C-order .npy file. The dtype is that of `data`. */
export async function writeNpy(path: string, shape: readonly number[], data: NpyData): Promise<void> {
  const handle = await open(path, "w");
  try {
    await handle.writeFile(npyHeader(shape, dtypeOf(data)));
    await handle.writeFile(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  } finally {
    await handle.close();
  }
}

/**
 * Reads every array of a .npz archive, by its name without ".npy". Members are checked against their CRC-32.
 * @param largest  bytes of all its arrays together, beyond which it is refused before they are read
 */
export async function readNpz(
  path: string,
  largest = Number.POSITIVE_INFINITY,
): Promise<Map<string, NpyArray>> {
  const handle = await openForReading(path);
  let zip: ZipFile | undefined;
  try {
    const { size } = await handle.stat();
    zip = await openPromise(path, { autoClose: false }).catch((error: Error) =>
      damaged(path, `not a readable .npz (ZIP) archive: ${error.message}`),
    );
    const arrays = new Map<string, NpyArray>();
    let claimed = 0;
    let unpacked = 0;
    for await (const entry of zip.eachEntry()) {
      const name = `${path}: member ${entry.fileName}`;
      // Members that overlap would let a small file ask for unbounded memory.
      claimed += entry.compressedSize;
      if (claimed > size) damaged(name, "members claim more bytes than the archive has");
      unpacked += entry.uncompressedSize;
      if (unpacked > largest)
        damaged(path, `its arrays have ${unpacked} bytes and more; ${largest} is the limit`);
      const bytes = await memberBytes(handle, zip, entry, name);
      const readInto = async (target: Uint8Array, position: number) => {
        target.set(bytes.subarray(position, position + target.length));
      };
      const reader = await readerOf({ name, size: bytes.length, readInto });
      const { shape, dtype } = reader.header;
      arrays.set(entry.fileName.replace(/\.npy$/, ""), { shape, dtype, data: await reader.read() });
    }
    return arrays;
  } catch (error) {
    if (error instanceof ClimaxError) throw error;
    return damaged(path, `not a readable .npz (ZIP) archive: ${(error as Error).message}`);
  } finally {
    zip?.close();
    await handle.close();
  }
}

export type ZipEntry = Parameters<ZipFile["readLocalFileHeaderPromise"]>[0];

/** Refuses members that no reader could give. @returns whether it is deflated, not stored as it is */
export function checkMember(entry: ZipEntry, name: string): boolean {
  if (entry.isEncrypted()) damaged(name, "is encrypted");
  const deflated = entry.compressionMethod === 8;
  if (!deflated && entry.compressionMethod !== 0)
    damaged(name, `compression method ${entry.compressionMethod}; stored (0) and deflated (8) are read`);
  // Deflate cannot expand by more than 1032 to 1 (zlib's documentation), so a larger claim is false.
  if (deflated && entry.uncompressedSize > entry.compressedSize * 1032 + 64)
    damaged(name, `claims ${entry.uncompressedSize} bytes from ${entry.compressedSize}`);
  return deflated;
}

/** All bytes of a member, inflated and checked against its CRC-32. */
export async function memberBytes(
  handle: FileHandle,
  zip: ZipFile,
  entry: ZipEntry,
  name: string,
): Promise<Uint8Array> {
  const deflated = checkMember(entry, name);
  const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
  let bytes = new Uint8Array(entry.compressedSize);
  await readExactly(handle, bytes, fileDataStart, name);
  if (deflated)
    try {
      // One byte of room: zlib refuses to fill its limit exactly.
      bytes = new Uint8Array(inflateRawSync(bytes, { maxOutputLength: entry.uncompressedSize + 1 }));
    } catch (error) {
      damaged(name, `cannot be inflated: ${(error as Error).message}`);
    }
  if (bytes.length !== entry.uncompressedSize)
    damaged(name, `holds ${bytes.length} bytes, ${entry.uncompressedSize} were claimed`);
  if (crc32(bytes) !== entry.crc32) damaged(name, "fails its CRC-32 check");
  return bytes;
}

/**
 * Writes a little-endian C-order .npy file of known shape piece by piece, and flushes it to the disk. Elements of
 * float16 are given as their bits, Uint16Array (half.ts).
 *
 * @param path  must not exist
 * @param fill  appends all elements, in order
 * @returns SHA-256 of the file, hexadecimal
 */
export async function streamNpy(
  path: string,
  shape: readonly number[],
  dtype: NpyDtype,
  fill: (append: (data: NpyData) => Promise<void>) => Promise<void>,
): Promise<string> {
  const handle = await open(path, "wx");
  try {
    const hash = createHash("sha256");
    const put = async (bytes: Uint8Array) => {
      hash.update(bytes);
      await handle.writeFile(bytes);
    };
    let missing = shape.reduce((product, n) => product * n, 1);
    await put(npyHeader(shape, dtype));
    await fill(async (data) => {
      const bits = dtype === "float16" && data instanceof Uint16Array; // halves, which this Node need not know
      if (!bits && dtypeOf(data) !== dtype)
        throw new TypeError(`${dtypeOf(data)} for ${path}, which holds ${dtype}`);
      missing -= data.length;
      await put(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    });
    if (missing !== 0) throw new RangeError(`${path}: ${missing} elements short of (${shape.join(", ")})`);
    await handle.sync();
    return hash.digest("hex");
  } finally {
    await handle.close();
  }
}
