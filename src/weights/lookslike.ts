// Tells files of weights from files of fields, by their first bytes and never by their names.
import { readdir, stat } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";
import { looksLikeOnnx } from "../model/onnxhead.ts";
import { openWeightFile } from "../model/weightfile.ts";
import { headBytes, looksLikeSafetensors } from "../torch/foreign.ts";
import { looksLikeTorch } from "../torch/opentorch.ts";

export type WeightsLook = "weights" | "onnx";

/**
 * What kind of weights a path seems to hold; undefined for what is something else, or cannot be opened: its own reader
 * says so better.
 */
export async function looksLikeWeights(path: string): Promise<WeightsLook | undefined> {
  const there = await stat(path).catch(() => undefined);
  if (!there?.isFile()) return undefined;
  const file = await openWeightFile(path).catch((error: unknown) => {
    if (error instanceof ClimaxError) return undefined;
    throw error;
  });
  if (!file) return undefined;
  const head = await file.read(0, Math.min(headBytes, file.size)).finally(() => file.close());
  if (looksLikeOnnx(head)) return "onnx";
  if (looksLikeSafetensors(head) || (looksLikeTorch(head) && !isOtherZip(head))) return "weights";
  return undefined;
}

/** A zip whose first member is none of torch.save's: .npz, a download of fields. */
function isOtherZip(head: Uint8Array): boolean {
  if (head[0] !== 0x50 || head[1] !== 0x4b) return false;
  const length = (head[26] ?? 0) + 256 * (head[27] ?? 0);
  const name = Buffer.from(head.subarray(30, 30 + length)).toString("latin1");
  // Its pickle, records of the format, storages; a folder by itself, where it was packed anew.
  return !/(^|\/)(data\.pkl|version|byteorder|constants\.pkl|\.format_version|\.storage_alignment|\.data\/.*|data\/[^/]*|code\/.*)$|\/$/.test(
    name,
  );
}

/** A graph of operators is no checkpoint: what reads it. @throws ClimaxError "checkpoint", always */
export function refuseOnnx(path: string): never {
  throw new ClimaxError(
    "checkpoint",
    `${path} is an ONNX file: a graph of operators with its weights, for programs that run it; climax writes such files, and reads checkpoints`,
    "run it with onnxruntime, look at it with Netron, and inspect the checkpoint that it was exported from",
  );
}

/**
 * Refuses a folder of checkpoints, naming those in it; does nothing for any other path.
 *
 * @throws ClimaxError "checkpoint"
 */
export async function refuseRunFolder(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (!there?.isDirectory()) return;
  const names = await readdir(path).catch(() => []);
  const weights = names.filter((name) => /\.(safetensors|ckpt|pth?)$/i.test(name)).sort();
  if (weights.length === 0) return;
  throw new ClimaxError(
    "checkpoint",
    `${path} is a folder with ${weights.length} ${weights.length === 1 ? "file" : "files"} of weights, not a file`,
    `name one: ${weights.slice(0, 5).join(", ")}`,
  );
}
