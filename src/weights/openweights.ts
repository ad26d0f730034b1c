// Opens a file of weights, whichever program wrote it: safetensors or PyTorch, told by content, never by extension.

import { ClimaxError } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import { bytesOf, type Dtype, toFloat32 } from "../model/dtypes.ts";
import { openSafetensors, type SafetensorsFile } from "../model/safetensors.ts";
import { openWeightFile } from "../model/weightfile.ts";
import { headBytes, looksLikeSafetensors, refuseFolder, refuseForeign } from "../torch/foreign.ts";
import { looksLikeTorch, openTorchFile } from "../torch/opentorch.ts";
import { shown } from "../torch/picklereader.ts";
import type { Plain } from "../torch/plainvalue.ts";
import { averagedNames, chooseWeights, type WhichWeights } from "./averaged.ts";
import type { StoredTensor, WeightSource } from "./source.ts";
import { findStateDict } from "./statedict.ts";

/** What to read of a file, and what to let pass. */
export interface OpenWeightsOptions {
  /** Names of classes in a PyTorch file that may be left unbuilt, though they are not known to be harmless. */
  readonly allow?: readonly string[] | undefined;
  /** The weights as trained, or a running mean of them; without a wish as trained, or what there is. */
  readonly weights?: WhichWeights | undefined;
}

/** Characters of an entry of a safetensors file's metadata that are kept; our own is kept whole. */
const LONGEST_TEXT = 2000;

/**
 * Opens a file of weights and finds those of the model in it; they are read on demand. The caller closes it.
 *
 * @throws ClimaxError "checkpoint" if it cannot be opened, is of another format, damaged or hostile, or holds no weights
 *         of the kind that is wanted
 */
export async function openWeights(path: string, options: OpenWeightsOptions = {}): Promise<WeightSource> {
  await refuseFolder(path);
  const { head, size } = await headOf(path);
  if (looksLikeTorch(head)) return openTorch(path, options);
  if (looksLikeSafetensors(head)) return openNamed(path, size, options);
  return refuseForeign(path, head);
}

async function headOf(path: string): Promise<{ head: Uint8Array; size: number }> {
  const file = await openWeightFile(path);
  try {
    return { head: await file.read(0, Math.min(headBytes, file.size)), size: file.size };
  } finally {
    await file.close();
  }
}

async function openTorch(path: string, { allow = [], weights }: OpenWeightsOptions): Promise<WeightSource> {
  const file = await openTorchFile(path, { allow });
  try {
    const { tensors, says, notes } = findStateDict(file, weights);
    const read = async (name: string): Promise<Float32Array> => {
      const tensor = tensors.get(name) ?? refuseName(path, name);
      return toFloat32(tensor.dtype, await file.read(tensor));
    };
    return {
      path,
      format: file.format,
      bytes: file.bytes,
      tensors,
      read,
      says,
      notes,
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function refuseName(path: string, name: string): never {
  throw new ClimaxError("checkpoint", `${path} has no tensor "${name}"`, "is it a checkpoint of this model?");
}

async function openNamed(
  path: string,
  bytes: number,
  { weights }: OpenWeightsOptions,
): Promise<WeightSource> {
  const file = await openSafetensors(path);
  try {
    const notes: string[] = [];
    const names = chosenNames(file, weights, notes);
    const tensors = new Map<string, StoredTensor>();
    for (const name of names) {
      const { dtype, shape } = file.tensors.get(name)!;
      if (Object.hasOwn(bytesOf, dtype)) tensors.set(name, { dtype: dtype as Dtype, shape });
      else notes.push(`"${shown(name)}" left out: elements of type ${dtype} are no weights`);
    }
    const read = async (name: string) => (tensors.has(name) ? file.read(name) : refuseName(path, name));
    return {
      path,
      format: "safetensors",
      bytes,
      tensors,
      read,
      says: said(file),
      notes,
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What a climax checkpoint keeps of its training; `weight.` are those trained where the parameters are their mean. */
const OPTIMISER = /^optimiser\.(exp_avg|exp_avg_sq|weight)\./;

/** Names of the weights that are wanted; tells in `notes` what is left out. */
function chosenNames(file: SafetensorsFile, which: WhichWeights | undefined, notes: string[]): string[] {
  const { path, tensors, metadata } = file;
  const all = [...tensors.keys()];
  const set = (names: readonly string[], where: string) =>
    names.length > 0 ? { where, tensors: names.length } : undefined;
  if (metadata.has("climax")) {
    const plain = all.filter((name) => !OPTIMISER.test(name));
    const trained = all.filter((name) => name.startsWith("optimiser.weight."));
    const moments = all.filter((name) => /^optimiser\.exp_avg/.test(name));
    if (moments.length > 0) notes.push(optimiserNote(file, moments));
    if (trained.length === 0) {
      chooseWeights(path, { trained: set(plain, "its parameters") }, which);
      return plain;
    }
    // Such a checkpoint is its mean: forecasts with it use that.
    const choice = chooseWeights(
      path,
      { trained: set(trained, `"optimiser.weight.*"`), ema: set(plain, "its parameters") },
      which ?? "ema",
    );
    notes.push(...choice.notes);
    return choice.kind === "trained" ? trained : plain;
  }
  const split = averagedNames(all);
  if (!split) {
    chooseWeights(path, { trained: { where: "the file", tensors: all.length } }, which);
    return all;
  }
  const choice = chooseWeights(
    path,
    { trained: set(split.trained, "the file"), ema: set(split.ema, split.where) },
    which,
  );
  notes.push(...choice.notes);
  return [...split[choice.kind]];
}

function optimiserNote({ tensors }: SafetensorsFile, names: readonly string[]): string {
  const bytes = names.reduce((sum, name) => sum + tensors.get(name)!.end - tensors.get(name)!.start, 0);
  return `optimiser states left out: ${names.length} tensors, ${bytesText(bytes)}`;
}

/** The metadata, long texts cut; the state of our own training loop is of use to nobody else. */
function said({ metadata }: SafetensorsFile): { readonly [key: string]: Plain } {
  const says: Record<string, Plain> = Object.create(null);
  for (const [key, text] of metadata) {
    if (key === "__proto__" || (key === "training" && metadata.has("climax"))) continue;
    const whole = key === "climax" || text.length <= LONGEST_TEXT;
    says[key] = whole ? text : `${text.slice(0, LONGEST_TEXT)}…`;
  }
  return says;
}
