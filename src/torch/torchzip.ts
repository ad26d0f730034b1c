// Files of torch.save since PyTorch 1.6: a zip of stored members, `<name>/data.pkl` the object, `<name>/data/<key>` a
// storage each. Tensors are read on demand.
import { ClimaxError } from "../errors.ts";
import { bytesOf } from "../model/dtypes.ts";
import type { WeightFile } from "../model/weightfile.ts";
import { unpickle } from "./pickle.ts";
import { shown } from "./picklereader.ts";
import { longestPickle } from "./picklewindow.ts";
import { torchGlobals } from "./torchclasses.ts";
import { readTensor } from "./torchread.ts";
import type { TorchFile } from "./torchvalue.ts";
import { damagedZip, type ZipMembers, zipMembers } from "./zipmembers.ts";

/**
 * Opens a zip of torch.save. Bytes of a tensor that fills its storage, as nearly all do, are checked against the CRC-32
 * of the storage's member; those of a tensor that shares a larger storage are not, as that would read all of it.
 *
 * @throws ClimaxError "checkpoint" if it is damaged, made to mislead, or not of torch.save
 */
export async function openTorchZip(file: WeightFile, allow: readonly string[]): Promise<TorchFile> {
  const { path } = file;
  let root = "";
  const members = await zipMembers(file, (names) => {
    root = rootOf(path, names);
  });
  await checkByteOrder(path, root, members);
  const pickle = `${root}data.pkl`;
  if (members.sizes.get(pickle)! > longestPickle) {
    damagedZip(path, `its pickle has ${members.sizes.get(pickle)} bytes; ${longestPickle} is the limit`);
  }
  const globals = torchGlobals(path, allow);
  const { value } = unpickle(await members.read(pickle), {
    path,
    globals: globals.resolver,
    persistent: (id, spot) => {
      const storage = globals.storage(id, spot);
      const bytes =
        members.sizes.get(`${root}data/${storage.key}`) ??
        spot.refuse(`storage ${storage.key} is named, but no member of the archive holds it`);
      const wanted = storage.length * bytesOf[storage.dtype];
      if (bytes < wanted) spot.refuse(`storage ${storage.key} has ${bytes} bytes, but ${wanted} are claimed`);
      return storage;
    },
  });
  return {
    path,
    format: "PyTorch zip",
    bytes: file.size,
    root: value,
    unbuilt: [...globals.unbuilt],
    read: (tensor) =>
      readTensor(tensor, ({ key }, start, end) => members.read(`${root}data/${key}`, start, end)),
    close: () => file.close(),
  };
}

/** What stands before "data.pkl" in its name, with the slash. */
function rootOf(path: string, names: readonly string[]): string {
  const pickles = names.filter((name) => /(^|\/)data\.pkl$/.test(name));
  const refuse = (what: string, mend: string): never => {
    throw new ClimaxError("checkpoint", `${path} is ${what}`, mend);
  };
  const holds = (pattern: RegExp) => names.some((name) => pattern.test(name));
  if (holds(/(^|\/)(constants\.pkl|code\/.*)$/)) {
    refuse(
      "a TorchScript archive (torch.jit.save): a program with its weights",
      "load it with torch.jit.load and save its state_dict() with torch.save",
    );
  }
  if (holds(/(^|\/)(archive_format|serialized_exported_program\.json|models\/[^/]*\.json)$/)) {
    refuse(
      "a program of torch.export (.pt2), not a checkpoint",
      "load it with torch.export.load and save its state_dict with torch.save",
    );
  }
  if (pickles.length === 0) {
    const some = names
      .slice(0, 4)
      .map((name) => `"${shown(name)}"`)
      .join(", ");
    refuse(
      `a zip archive, but not of torch.save: it has no data.pkl${some && `; it holds ${some}`}${names.length > 4 ? ", ..." : ""}`,
      "if the checkpoint is one of these, unzip it and name that file",
    );
  }
  if (pickles.length > 1) damagedZip(path, `it has ${pickles.length} members called data.pkl`);
  return pickles[0]!.slice(0, -"data.pkl".length);
}

async function checkByteOrder(path: string, root: string, members: ZipMembers): Promise<void> {
  const name = `${root}byteorder`;
  const size = members.sizes.get(name);
  if (size === undefined) return; // before PyTorch 2.1
  const order = size > 16 ? "" : new TextDecoder().decode(await members.read(name)).trim();
  if (order === "little") return;
  if (order !== "big") damagedZip(path, `its byte order is neither "little" nor "big"`);
  throw new ClimaxError(
    "checkpoint",
    `${path} was written on a big-endian machine; its numbers are the other way round`,
    "load it and save it again with PyTorch on a little-endian machine (any PC or Mac)",
  );
}
