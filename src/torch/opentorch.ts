// Opens a file that PyTorch wrote, whichever of its three forms it has: told by content, never by extension.
import { ClimaxError } from "../errors.ts";
import { openWeightFile } from "../model/weightfile.ts";
import { headBytes, looksLikeSafetensors, refuseFolder, refuseForeign } from "./foreign.ts";
import { looksLikeTar } from "./tarmembers.ts";
import { looksLikeTorchLegacy, openTorchLegacy } from "./torchlegacy.ts";
import { openTorchTar } from "./torchtar.ts";
import type { TorchFile } from "./torchvalue.ts";
import { openTorchZip } from "./torchzip.ts";

/** A zip's first member; an archive that begins with anything else is none that torch.load takes. */
function looksLikeZip(head: Uint8Array): boolean {
  return head[0] === 0x50 && head[1] === 0x4b && head[2] === 0x03 && head[3] === 0x04;
}

/** Whether a file is of PyTorch, by its first 512 bytes or more: a zip, a row of pickles, or a tar archive. */
export function looksLikeTorch(head: Uint8Array): boolean {
  return looksLikeZip(head) || looksLikeTorchLegacy(head) || looksLikeTar(head);
}

/**
 * Opens a file of torch.save: reads its pickle without running anything of it; tensors are read on demand. The caller
 * closes it.
 *
 * @param options.allow  classes to be left unbuilt where they would be refused, as `module.name`
 * @throws ClimaxError "checkpoint" if it cannot be opened, is not of PyTorch, is damaged or made to mislead
 */
export async function openTorchFile(
  path: string,
  { allow = [] }: { readonly allow?: readonly string[] } = {},
): Promise<TorchFile> {
  await refuseFolder(path);
  const file = await openWeightFile(path);
  try {
    const head = await file.read(0, Math.min(headBytes, file.size));
    if (looksLikeZip(head)) return await openTorchZip(file, allow);
    if (looksLikeTorchLegacy(head)) return await openTorchLegacy(file, allow);
    if (looksLikeTar(head)) return await openTorchTar(file, allow);
    if (looksLikeSafetensors(head)) {
      throw new ClimaxError(
        "checkpoint",
        `${path} is a safetensors file, not of PyTorch`,
        "it can be read as it is: name it where safetensors are taken",
      );
    }
    return refuseForeign(path, head, "what torch.save writes");
  } catch (error) {
    await file.close();
    throw error;
  }
}
