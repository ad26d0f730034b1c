// Writes an ONNX model's file, and a file of weights beside it when one would be too large for protobuf. Tensors are made
// and written one after the other.
import { realpath, rm } from "node:fs/promises";
import { basename } from "node:path";
import { ClimaxError } from "../errors.ts";
import { type Append, writeCheckpointFile } from "../model/checkpointfile.ts";
import { modelPieces, type OnnxModel, type OnnxTensor, tensorBytes } from "./proto.ts";

/** Protobuf's libraries read no message of 2 GiB or more. */
const LARGEST_MESSAGE = 2 ** 31 - 1;
/** Smaller tensors stay in the model: runtimes want to see the shapes that nodes are given. Bytes. */
const SMALLEST_OUTSIDE = 1024;
/** Multiples of it are where tensors begin in the file beside: every system maps those into memory, Windows as well. */
const ALIGNMENT = 65536;

/** What was written. */
export interface OnnxFiles {
  /** Of both files. */
  readonly bytes: number;
  /** Path of the file of weights, if there is one. */
  readonly external?: string;
}

/**
 * Writes a model; it appears whole or not at all.
 *
 * @param largest  bytes of the model's own file; the weights of a larger one go into `<path>.data`
 * @throws         ClimaxError "checkpoint" if the place cannot be written or is full
 */
export async function writeOnnxFile(
  path: string,
  model: OnnxModel,
  largest: number = LARGEST_MESSAGE,
): Promise<OnnxFiles> {
  const inside = modelPieces(model);
  if (inside.bytes <= largest) {
    await writeCheckpointFile(path, (append) => writePieces(append, inside.pieces));
    return { bytes: inside.bytes };
  }
  const external = `${path}.data`;
  const outside = model.tensors.filter((tensor) => tensorBytes(tensor) >= SMALLEST_OUTSIDE);
  const { offsets, end } = places(outside);
  const { pieces, bytes } = modelPieces(model, { location: basename(external), offsets });
  if (bytes > largest) {
    throw new ClimaxError(
      "checkpoint",
      `cannot write ${path}: what must stand in the model itself takes ${bytes} bytes, and ${largest} is the limit`,
      "leave out what makes its provenance so long, or keep the model as safetensors",
    );
  }
  let placed = false;
  try {
    // The model is complete, under its temporary name, before weights appear: whatever cannot be read fails by then.
    await writeCheckpointFile(path, async (append) => {
      await writePieces(append, pieces);
      await writeCheckpointFile(external, (data) => writeOutside(data, outside, offsets, path));
      placed = true;
    });
  } catch (error) {
    if (placed) await rm(external, { force: true });
    throw error;
  }
  return { bytes: bytes + end, external };
}

/** First byte of each tensor in the file beside, and that file's length. */
function places(tensors: readonly OnnxTensor[]): { offsets: Map<string, number>; end: number } {
  const offsets = new Map<string, number>();
  let end = 0;
  for (const tensor of tensors) {
    const offset = ALIGNMENT * Math.ceil(end / ALIGNMENT);
    offsets.set(tensor.name, offset);
    end = offset + tensorBytes(tensor);
  }
  return { offsets, end };
}

/** Writes the file beside. A model that is replaced goes first: it would read the new weights as its own. */
async function writeOutside(
  append: Append,
  tensors: readonly OnnxTensor[],
  offsets: ReadonlyMap<string, number>,
  model: string,
): Promise<void> {
  let at = 0;
  for (const tensor of tensors) {
    const gap = offsets.get(tensor.name)! - at;
    await append(new Uint8Array(gap));
    await append(await elements(tensor));
    at += gap + tensorBytes(tensor);
  }
  const replaced = await realpath(model).catch(() => undefined);
  if (replaced !== undefined) await rm(replaced);
}

async function writePieces(append: Append, pieces: readonly (Uint8Array | OnnxTensor)[]): Promise<void> {
  for (const piece of pieces) await append(piece instanceof Uint8Array ? piece : await elements(piece));
}

async function elements(tensor: OnnxTensor): Promise<Uint8Array> {
  const values = await tensor.values();
  if (values.byteLength !== tensorBytes(tensor)) {
    throw new Error(`${tensor.name} has ${values.length} values, not [${tensor.shape}]`);
  }
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
