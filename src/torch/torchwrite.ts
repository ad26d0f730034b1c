// Writes a checkpoint that torch.load takes (PyTorch 1.6 and later), laid out as torch.save does:
//
//   archive/data.pkl      {"state_dict": OrderedDict of tensors, and what else it says}
//   archive/byteorder     "little"
//   archive/data/<k>      the elements of tensor k, at a multiple of 64 bytes: torch.load(mmap=True) maps them
//   archive/version       of this layout
import { storedZip } from "../files/storedzip.ts";
import { writeCheckpointFile } from "../model/checkpointfile.ts";
import type { TensorSource } from "../model/safetensors.ts";
import { pickle, StorageTensor } from "./picklewrite.ts";
import type { Plain } from "./plainvalue.ts";

/**
 * Writes tensors as f32 in the order given, one in memory at a time. The file appears whole or not at all, and the same
 * tensors and text make the same bytes, whatever the file is called.
 *
 * @param says  what stands beside "state_dict": epoch, global_step, ...
 * @throws      ClimaxError "checkpoint" if the place cannot be written or is full; nothing is left behind
 */
export async function writeTorchCheckpoint(
  path: string,
  tensors: readonly TensorSource[],
  says: Readonly<Record<string, Plain>>,
): Promise<void> {
  const stateDict = new Map(tensors.map(({ name, shape }, k) => [name, new StorageTensor(String(k), shape)]));
  if (stateDict.size < tensors.length) throw new Error("a tensor is written twice");
  if ("state_dict" in says) throw new Error("state_dict is written from the tensors");
  const description = pickle({ state_dict: stateDict, ...says });
  await writeCheckpointFile(path, async (append) => {
    const zip = storedZip(append);
    const add = (name: string, bytes: Uint8Array) => zip.add(`archive/${name}`, bytes);
    await add("data.pkl", description);
    await add("byteorder", Buffer.from("little"));
    for (const [k, { name, shape, values }] of tensors.entries()) {
      const data = await values();
      if (data.length !== shape.reduce((a, b) => a * b, 1)) {
        throw new Error(`${name} has ${data.length} values, not [${shape}]`);
      }
      await add(`data/${k}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    await add("version", Buffer.from("3\n"));
    await zip.end();
  });
}
