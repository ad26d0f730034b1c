/** Every tensor of a PyTorch file's state dict, as numbers. */
import { writeFileSync } from "node:fs";
import { toFloat32 } from "../../src/model/dtypes.ts";
import { openTorchFile } from "../../src/torch/opentorch.ts";
import { TorchTensor } from "../../src/torch/torchvalue.ts";

/** Writes the bytes to `path` and reads them back, tensor by tensor. */
export async function tensorsOf(path: string, bytes: Uint8Array): Promise<number[][]> {
  writeFileSync(path, bytes);
  const file = await openTorchFile(path);
  try {
    const root = file.root as ReadonlyMap<string, unknown>;
    const state = (root.get("state_dict") ?? root) as ReadonlyMap<string, unknown>;
    const read: number[][] = [];
    for (const tensor of state.values())
      if (tensor instanceof TorchTensor) read.push([...toFloat32(tensor.dtype, await file.read(tensor))]);
    return read;
  } finally {
    await file.close();
  }
}
