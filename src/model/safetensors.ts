// Reads and writes the safetensors format: a JSON header that names each tensor's dtype, shape and bytes, then the
// bytes (https://huggingface.co/docs/safetensors, "Format"). A header is not believed until it has been checked.
import { ClimaxError } from "../errors.ts";
import { writeCheckpointFile } from "./checkpointfile.ts";
import { bytesOf, type Dtype, toFloat32 } from "./dtypes.ts";
import { damagedSafetensors, type HeaderEntry, parseHeader, quoted } from "./safetensorsheader.ts";
import { openWeightFile, type WeightFile } from "./weightfile.ts";

/** Bytes per element of every dtype the format knows in whole bytes; those beyond `bytesOf` are listed, not read. */
const BYTES: Readonly<Record<string, number>> = {
  ...bytesOf,
  ...{ F8_E4M3: 1, F8_E5M2: 1, F8_E8M0: 1, F8_E4M3FNUZ: 1, F8_E5M2FNUZ: 1, C64: 8 },
};
/**
 * The longest header that is read, bytes. The format's own readers take 100 MB, of which a hostile file makes a
 * gigabyte of names; 16 MiB hold some 150 000 tensors, ClimaX has a few hundred.
 */
const LONGEST_HEADER = 16 * 2 ** 20;

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
  /** Reads one tensor as f32: F64 and integers are rounded, F16 and BF16 exact, BOOL 0 and 1. */
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
  const file = await openWeightFile(path);
  try {
    const { metadata, tensors } = await readHeader(file);
    const read = async (name: string): Promise<Float32Array> => {
      const entry = tensors.get(name);
      if (!entry) {
        throw new ClimaxError(
          "checkpoint",
          `${path} has no tensor ${quoted(name)}`,
          "is it a checkpoint of this model?",
        );
      }
      return toFloat32(readable(path, name, entry.dtype), await file.read(entry.start, entry.end));
    };
    return { path, metadata, tensors, read, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(file: WeightFile) {
  const { path, size } = file;
  const damaged = (what: string) => damagedSafetensors(path, what);
  if (size < 8) damaged(`it has ${size} bytes, fewer than the 8 of a header's length`);
  const length = Number(new DataView((await file.read(0, 8)).buffer).getBigUint64(0, true));
  if (length > LONGEST_HEADER || length > size - 8) {
    damaged(`its header claims ${length} bytes; the file has ${size}, and ${LONGEST_HEADER} is the limit`);
  }
  const { metadata, tensors: listed } = parseHeader(path, await file.read(8, 8 + length));
  const tensors = new Map<string, TensorEntry>();
  for (const [name, entry] of listed) tensors.set(name, checkedEntry(path, name, entry, 8 + length));
  let next = 8 + length;
  for (const [name, { start, end }] of [...tensors].sort(
    ([, a], [, b]) => a.start - b.start || a.end - b.end,
  )) {
    if (start !== next)
      damaged(`${quoted(name)} begins at byte ${start}, but the tensor before ends at ${next}`);
    next = end;
  }
  if (next !== size) damaged(`its tensors end at byte ${next}, the file at ${size}`);
  return { metadata, tensors };
}

function checkedEntry(
  path: string,
  name: string,
  { dtype, shape, offsets }: HeaderEntry,
  base: number,
): TensorEntry {
  const damaged = (what: string) => damagedSafetensors(path, `${quoted(name)} has ${what}`);
  const known = Object.hasOwn(BYTES, dtype) ? BYTES[dtype] : undefined;
  const bytes = known ?? damaged(`the unknown dtype ${quoted(dtype)}`);
  const [start, end] = offsets;
  const extents = shape.filter((n) => n > 0).reduce((product, n) => product * n, bytes);
  // Beside a zero too: whoever multiplies them in order must not meet infinity.
  if (extents > Number.MAX_SAFE_INTEGER) damaged(`the shape [${shape}], more than any file holds`);
  const wanted = shape.includes(0) ? 0 : extents;
  if (end - start !== wanted) damaged(`${end - start} bytes, but ${dtype} [${shape}] takes ${wanted}`);
  return { dtype, shape, start: base + start, end: base + end };
}

function readable(path: string, name: string, dtype: string): Dtype {
  if (Object.hasOwn(bytesOf, dtype)) return dtype as Dtype;
  throw new ClimaxError(
    "checkpoint",
    `${path}: ${quoted(name)} has dtype ${dtype}, which is not read; ${Object.keys(bytesOf).join(", ")} are`,
    "save it as one of these",
  );
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
  await writeCheckpointFile(path, async (append) => {
    await append(header(tensors, metadata));
    for (const { name, shape, values } of tensors) {
      const data = await values();
      if (data.length !== count(shape)) throw new Error(`${name} has ${data.length} values, not [${shape}]`);
      await append(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  });
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
