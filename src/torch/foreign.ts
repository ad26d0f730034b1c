// Files and folders that hold no weights as they are, but that people name: what each looks like, and how to mend it.
import { readdir, stat } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";
import { looksLikeOnnx } from "../model/onnxhead.ts";

/** Bytes of a file's beginning that are enough to tell what it is: a tar archive shows itself at byte 257. */
export const headBytes = 1024;

interface Kind {
  readonly looks: (head: Uint8Array, text: string) => boolean;
  /** Completes "it is ..." */
  readonly what: string;
  readonly mend: string;
}

const begins =
  (...magic: readonly number[]) =>
  (head: Uint8Array) =>
    magic.every((byte, i) => head[i] === byte);

const matches = (pattern: RegExp) => (_: Uint8Array, text: string) => pattern.test(text);

const unpack = "unpack it, and name the checkpoint that comes out";

const kinds: readonly Kind[] = [
  {
    looks: (head) => head.length === 0,
    what: "empty",
    mend: "copy or download it again",
  },
  {
    looks: matches(/^version https:\/\/git-lfs\.github\.com\//),
    what: "a pointer of Git LFS, not the file it points to",
    mend: "run `git lfs pull` in its folder, or download the file itself",
  },
  {
    looks: matches(/^\s*(<!doctype html|<html|<head|<\?xml|<!--)/i),
    what: "a web page (HTML or XML), not a checkpoint",
    mend: "a download ended at a page that asks for something: open the link in a browser, or take the link of the file itself (on Hugging Face /resolve/ in place of /blob/)",
  },
  { looks: begins(0x1f, 0x8b), what: "compressed with gzip", mend: unpack },
  { looks: begins(0x42, 0x5a, 0x68), what: "compressed with bzip2", mend: unpack },
  { looks: begins(0xfd, 0x37, 0x7a, 0x58, 0x5a), what: "compressed with xz", mend: unpack },
  { looks: begins(0x28, 0xb5, 0x2f, 0xfd), what: "compressed with zstd", mend: unpack },
  { looks: begins(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c), what: "a 7z archive", mend: unpack },
  {
    looks: begins(0x50, 0x4b, 0x05, 0x06),
    what: "a zip archive without members",
    mend: "copy or download it again",
  },
  {
    looks: begins(0x89, 0x48, 0x44, 0x46),
    what: "HDF5: data (NetCDF-4) or weights of Keras, not of PyTorch",
    mend: "if it holds fields, give it to `climax inspect`; weights of Keras are not read",
  },
  {
    looks: (head, text) => text.startsWith("CDF") && [1, 2, 5].includes(head[3]!),
    what: "NetCDF: fields, not weights",
    mend: "give it to `climax inspect`, and name a checkpoint here",
  },
  {
    looks: (_, text) => text.startsWith("GRIB"),
    what: "GRIB: fields, not weights",
    mend: "give it to `climax inspect`, and name a checkpoint here",
  },
  {
    looks: (_, text) => text.startsWith("\x93NUMPY"),
    what: "an array of NumPy (.npy), not a checkpoint",
    mend: "save the whole state_dict: as safetensors, or with torch.save",
  },
  {
    looks: (_, text) => text.startsWith("GGUF"),
    what: "a GGUF file of llama.cpp",
    mend: "name the safetensors or PyTorch checkpoint that it was made from",
  },
  {
    looks: looksLikeOnnx,
    what: "an ONNX file: a graph of operators with its weights, not a checkpoint",
    mend: "name the checkpoint that it was exported from",
  },
  {
    looks: (head) => head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5,
    what: "a Python pickle that torch.save did not write",
    mend: "load it in Python and save the state_dict with torch.save or safetensors",
  },
  {
    looks: matches(/^\s*[[{]/),
    what: "JSON, not a checkpoint",
    mend: "if it is an index (*.index.json), name one file that holds all the weights",
  },
  {
    looks: (head) => head.every((byte) => byte === 0),
    what: "nothing but zeros where it begins",
    mend: "a copy or download was cut off: do it again",
  },
  {
    looks: (head) => isText(head),
    what: "plain text, not a checkpoint",
    mend: "open it in an editor: it may say why; then download it again",
  },
];

function isText(head: Uint8Array): boolean {
  try {
    // A character may be cut off at the end.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    return !/(?![\t\n\r])\p{C}/u.test(text);
  } catch {
    return false;
  }
}

/** Whether a file begins as safetensors do: the header's length, then the header. */
export function looksLikeSafetensors(head: Uint8Array): boolean {
  if (head.length < 9 || head[8] !== 0x7b) return false;
  return head[5] === 0 && head[6] === 0 && head[7] === 0; // headers end before 2^40
}

/**
 * Refuses a file that is no checkpoint of a form that is read, and says what it looks like.
 *
 * @param head    its first `headBytes`, or all of it
 * @param wanted  completes "wanted: ..."
 * @throws ClimaxError "checkpoint", always
 */
export function refuseForeign(
  path: string,
  head: Uint8Array,
  wanted = "a checkpoint: safetensors, or what torch.save writes",
): never {
  const text = Buffer.from(head).toString("latin1");
  const { what, mend } = kinds.find(({ looks }) => looks(head, text)) ?? {
    what: `of no known kind (it begins with ${Buffer.from(head.subarray(0, 8)).toString("hex")})`,
    mend: "is it the right file? If it is, copy or download it again",
  };
  throw new ClimaxError("checkpoint", `${path} is ${what}; wanted: ${wanted}`, mend);
}

/** Folders that trainers leave in place of a file, by a name in them. */
const folders: readonly (readonly [name: RegExp, what: string, mend: string])[] = [
  [
    /^(zero_to_fp32\.py|zero_pp_rank_.*|mp_rank_\d+_model_states\.pt|bf16_zero_pp_rank_.*)$/,
    "a checkpoint of DeepSpeed in parts",
    "make one file of it with the zero_to_fp32.py that lies in it (`python zero_to_fp32.py FOLDER out.ckpt`), and name that",
  ],
  [
    /^(\.metadata|__\d+_\d+\.distcp)$/,
    "a checkpoint of torch.distributed in parts",
    "make one file of it with `python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER out.ckpt`, and name that",
  ],
  [
    /\.(bin|safetensors)\.index\.json$/,
    "a model in several files with an index",
    "load it in Python and save its state_dict as one file",
  ],
  [
    /^data\.pkl$/,
    "an unpacked file of torch.save",
    "pack it again from the folder above it with `zip -0 -r out.ckpt FOLDER`, and name out.ckpt",
  ],
  [/^saved_model\.pb$/, "a model of TensorFlow", "weights of TensorFlow are not read"],
];

/** Refuses a folder, and says what it looks like; does nothing where there is no folder. */
export async function refuseFolder(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (!there?.isDirectory()) return;
  const names = (await readdir(path).catch(() => [])).slice(0, 10_000);
  const known = folders.find(([name]) => names.some((other) => name.test(other)));
  if (known) throw new ClimaxError("checkpoint", `${path} is a folder: ${known[1]}`, known[2]);
  const weights = names.filter((name) => /\.(ckpt|pt|pth|bin|safetensors)$/i.test(name)).sort();
  throw new ClimaxError(
    "checkpoint",
    `${path} is a folder, not a file of weights`,
    weights.length > 0 ? `name a file in it: ${weights.slice(0, 5).join(", ")}` : "name a file of weights",
  );
}
