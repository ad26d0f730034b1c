// Reads and writes the safetensors format: a JSON header that names each tensor's dtype, shape and bytes, then the
// bytes (https://huggingface.co/docs/safetensors, "Format"). A header is not believed until it has been checked.
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { ClimaxError } from "../errors.ts";

/** Bytes per element of every dtype the format knows. */
const BYTES: Readonly<Record<string, number>> = {
  ...{ F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1 },
  ...{ I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 },
};
/** The longest header the format's own readers take, bytes. */
const LONGEST_HEADER = 100_000_000;
/** Node refuses single reads and writes of 2 GiB and more. */
const CHUNK = 1 << 30;

export interface TensorEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte in the file, and the one after the last. */
  readonly start: number;
  readonly end: number;
}

export interface SafetensorsFile {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Reads one tensor; F16, BF16 and F64 become f32. */
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/** A tensor to be written; `values` is called once, when its turn comes, so that not all need be in memory. */
export interface TensorSource {
  readonly name: string;
  readonly shape: readonly number[];
  values(): Float32Array | Promise<Float32Array>;
}

/**
 * Opens a file and checks its header whole; tensors are read on demand. The caller closes it.
 *
 * @throws ClimaxError "checkpoint" if it cannot be opened, is cut off, or its header contradicts itself or the file
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe must not keep us waiting
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === "ENOENT" ? "there is no such file" : String(error);
    throw new ClimaxError("checkpoint", `cannot open ${path}: ${reason}`, "check the path", { cause: error });
  }
  try {
    const file = await handle.stat();
    if (!file.isFile()) damaged(path, "is not a regular file");
    const { metadata, tensors } = await readHeader(handle, path, file.size);
    const read = async (name: string): Promise<Float32Array> => {
      const entry = tensors.get(name);
      if (!entry) {
        throw new ClimaxError(
          "checkpoint",
          `${path} has no tensor "${name}"`,
          "is it a checkpoint of this model?",
        );
      }
      return toFloat32(path, name, entry.dtype, await readBytes(handle, path, entry.start, entry.end));
    };
    return { path, metadata, tensors, read, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function damaged(path: string, what: string): never {
  throw new ClimaxError(
    "checkpoint",
    `${path} is no sound safetensors file: ${what}`,
    "copy or download it again; if it was just written, the run that wrote it was cut off",
  );
}

async function readHeader(handle: FileHandle, path: string, size: number) {
  if (size < 8) damaged(path, `it has ${size} bytes, fewer than the 8 of a header's length`);
  const prefix = new DataView(await readBytes(handle, path, 0, 8));
  const length = Number(prefix.getBigUint64(0, true));
  if (length > LONGEST_HEADER || length > size - 8) {
    damaged(
      path,
      `its header claims ${length} bytes; the file has ${size}, and ${LONGEST_HEADER} is the limit`,
    );
  }
  const text = new TextDecoder("utf-8", { fatal: true });
  let header: unknown;
  try {
    header = JSON.parse(text.decode(await readBytes(handle, path, 8, 8 + length)));
  } catch {
    damaged(path, "its header is not JSON");
  }
  if (!isRecord(header)) damaged(path, "its header is not a JSON object");

  const metadata = new Map<string, string>();
  const tensors = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(header)) {
    if (name !== "__metadata__") {
      tensors.set(name, checkedEntry(path, name, value, 8 + length));
      continue;
    }
    if (!isRecord(value)) damaged(path, "its __metadata__ is not an object");
    for (const [key, item] of Object.entries(value)) {
      if (typeof item !== "string") damaged(path, `its __metadata__.${key} is not a string`);
      metadata.set(key, item);
    }
  }
  let next = 8 + length;
  for (const [name, { start, end }] of [...tensors].sort(
    ([, a], [, b]) => a.start - b.start || a.end - b.end,
  )) {
    if (start !== next)
      damaged(path, `"${name}" begins at byte ${start}, but the tensor before ends at ${next}`);
    next = end;
  }
  if (next !== size) damaged(path, `its tensors end at byte ${next}, the file at ${size}`);
  return { metadata, tensors };
}

function checkedEntry(path: string, name: string, value: unknown, base: number): TensorEntry {
  const { dtype, shape, data_offsets: offsets } = isRecord(value) ? value : {};
  const whole = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((n) => Number.isSafeInteger(n) && n >= 0);
  const bytes = typeof dtype === "string" && Object.hasOwn(BYTES, dtype) ? BYTES[dtype] : undefined;
  if (bytes === undefined) damaged(path, `"${name}" has the unknown dtype ${JSON.stringify(dtype)}`);
  if (!whole(shape) || shape.length > 64) damaged(path, `"${name}" has no proper shape`);
  if (!whole(offsets) || offsets.length !== 2) damaged(path, `"${name}" has no proper data_offsets`);
  const [start, end] = offsets as [number, number];
  const wanted = shape.reduce((product, n) => product * n, bytes);
  if (end - start !== wanted) {
    damaged(path, `"${name}" has ${end - start} bytes, but ${dtype} [${shape}] takes ${wanted}`);
  }
  return { dtype: dtype as string, shape, start: base + start, end: base + end };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

async function readBytes(handle: FileHandle, path: string, start: number, end: number): Promise<ArrayBuffer> {
  const buffer = new ArrayBuffer(end - start);
  const bytes = new Uint8Array(buffer);
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(CHUNK, bytes.length - done);
    const { bytesRead } = await handle.read(bytes, done, length, start + done);
    if (bytesRead === 0) damaged(path, `it ends at byte ${start + done}; ${end} were there a moment ago`);
    done += bytesRead;
  }
  return buffer;
}

function toFloat32(path: string, name: string, dtype: string, buffer: ArrayBuffer): Float32Array {
  if (dtype === "F32") return new Float32Array(buffer);
  if (dtype === "F64") return Float32Array.from(new Float64Array(buffer));
  if (dtype === "BF16") {
    const halves = new Uint16Array(buffer);
    return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
  }
  if (dtype === "F16") return Float32Array.from(new Uint16Array(buffer), fromHalf);
  throw new ClimaxError(
    "checkpoint",
    `${path}: "${name}" has dtype ${dtype}; F32, F16, BF16 or F64 is wanted`,
    "save it as floating-point numbers",
  );
}

/** IEEE 754 binary16 to a number. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * Writes tensors as f32 in the order given. The file appears whole or not at all: it grows under a temporary name
 * beside `path`, is flushed to the disk, then renamed.
 *
 * @throws ClimaxError "checkpoint" if the place cannot be written or is full; nothing is left behind
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const partial = `${path}.partial-${process.pid}`;
  let handle: FileHandle | undefined;
  try {
    await rm(partial, { force: true }); // of an earlier process that had this id
    handle = await open(partial, "wx");
    await writeAll(handle, header(tensors, metadata));
    for (const { name, shape, values } of tensors) {
      const data = await values();
      if (data.length !== count(shape)) throw new Error(`${name} has ${data.length} values, not [${shape}]`);
      await writeAll(handle, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(partial, path);
    await syncFolder(path);
  } catch (error) {
    await handle?.close().catch(() => {});
    await rm(partial, { force: true }).catch(() => {});
    throw explained(path, error);
  }
}

function header(tensors: readonly TensorSource[], metadata: Readonly<Record<string, string>>): Uint8Array {
  let offset = 0;
  const entries = tensors.map(({ name, shape }): [string, object] => {
    const start = offset;
    offset += 4 * count(shape);
    return [name, { dtype: "F32", shape, data_offsets: [start, offset] }];
  });
  if (new Set(entries.map(([name]) => name)).size < entries.length)
    throw new Error("a tensor is written twice");
  const json = new TextEncoder().encode(
    JSON.stringify(Object.fromEntries([["__metadata__", metadata], ...entries])),
  );
  const length = Math.ceil(json.length / 8) * 8; // so that the data can be mapped as f32
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}

function count(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(CHUNK, bytes.length - done));
    done += bytesWritten;
  }
}

/** Makes the rename itself last; not every file system can. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), "r").catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}

function explained(path: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const known: Record<string, [string, string]> = {
    ENOENT: ["its folder does not exist", "make the folder first"],
    ENOTDIR: ["a part of the path is a file, not a folder", "choose another path"],
    EISDIR: ["it is a folder", "name a file in it"],
    EACCES: ["permission denied", "choose a folder you may write to"],
    EPERM: ["permission denied", "choose a folder you may write to"],
    EROFS: ["the file system is read-only", "choose another folder"],
    ENOSPC: ["no space left on the device", "free some space or choose another folder"],
    EDQUOT: ["the disk quota is used up", "free some space or choose another folder"],
    EFBIG: ["the file would be larger than allowed here", "choose another folder, or raise the limit"],
  };
  const [reason, hint] = known[code ?? ""] ?? [];
  if (reason === undefined) return error;
  return new ClimaxError("checkpoint", `cannot write ${path}: ${reason}`, hint!, { cause: error });
}
