// Writes a model in one of the formats of climax convert, and says what was written.
import { stat } from "node:fs/promises";
import { writeCheckpoint } from "../model/checkpoint.ts";
import { fileSha256 } from "../model/filehash.ts";
import { networkOf } from "../model/network.ts";
import { writeOnnx } from "../onnx/write.ts";
import { writeTorchCheckpoint } from "../torch/torchwrite.ts";
import { nameAs } from "../weights/names.ts";
import type { ModelSource } from "../weights/source.ts";
import { torchSays } from "../weights/torchsays.ts";
import type { ConvertConfig } from "./convert.ts";

export type Target = "safetensors" | "ckpt" | "onnx";

export interface Written {
  readonly path: string;
  readonly format: Target;
  readonly bytes: number;
  readonly sha256: string;
  /** How many it holds. */
  readonly tensors: number;
  readonly notes: readonly string[];
}

/** @throws ClimaxError "checkpoint" if the place cannot be written, or the format has no such network */
export async function writeModel(
  path: string,
  format: Target,
  { info, parameter }: ModelSource,
  { prefix = "net.", names, normalised }: Pick<ConvertConfig, "prefix" | "names" | "normalised">,
): Promise<Written> {
  const shapes = [...networkOf(info.model).shapes];
  const notes: string[] = [];
  if (format === "safetensors") await writeCheckpoint(path, info, parameter);
  else if (format === "ckpt") {
    const style = { prefix, older: names === "older" };
    const tensors = shapes.map(([name, shape]) => ({
      name: nameAs(name, style),
      shape,
      values: () => parameter(name),
    }));
    await writeTorchCheckpoint(path, tensors, torchSays(info));
    if ("residual" in info.model && info.model.residual) {
      notes.push(
        "it predicts the change from the initial state: PyTorch loads it without a word, and its output has to be added to the input",
      );
    }
  } else {
    const { opset, irVersion, external } = await writeOnnx(path, { info, parameter }, { normalised });
    notes.push(`ONNX opset ${opset}, IR version ${irVersion}`);
    if (external) {
      notes.push(
        `the weights are too large for one file: ${external} goes with it, SHA-256 ${await fileSha256(external)}`,
      );
    }
  }
  const { size } = await stat(path);
  return { path, format, bytes: size, sha256: await fileSha256(path), tensors: shapes.length, notes };
}
