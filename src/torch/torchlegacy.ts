// Files of torch.save before PyTorch 1.6 (later with _use_new_zipfile_serialization=False): pickles in a row, of a magic
// number, a version, the writer's system, the object and the keys of its storages; then each storage's elements.
import { ClimaxError } from "../errors.ts";
import { bytesOf } from "../model/dtypes.ts";
import type { WeightFile } from "../model/weightfile.ts";
import { unpickle } from "./pickle.ts";
import { shown } from "./picklereader.ts";
import { readPickle } from "./picklewindow.ts";
import { type TorchGlobals, torchGlobals } from "./torchclasses.ts";
import { readTensor } from "./torchread.ts";
import type { PickledStorage } from "./torchtensors.ts";
import { type TorchFile, type TorchValue, Unbuilt } from "./torchvalue.ts";

const magicNumber = 0x1950a86a20f9469cfc6cn;
const protocolVersion = 1001;
/** The most storages that are believed: a checkpoint has one for each tensor. */
const mostStorages = 100_000;

/** The magic number as each protocol of pickle writes it: ten bytes, or digits. */
const magicBytes = Buffer.from("8a0a6cfc9c46f9206aa850192e", "hex");
const magicText = Buffer.from(`L${magicNumber}L\n.`);

/** Whether a file begins with the magic number's pickle. */
export function looksLikeTorchLegacy(head: Uint8Array): boolean {
  const start = Buffer.from(head.subarray(0, 64));
  const at = start.indexOf(magicBytes);
  // Behind at most the protocol (2 bytes) and a frame (9).
  return (at >= 0 && at <= 11) || start.subarray(0, magicText.length).equals(magicText);
}

function damaged(path: string, what: string): never {
  throw new ClimaxError(
    "checkpoint",
    `${shown(path)} is no sound PyTorch file (of before 1.6): ${what}`,
    "copy or download it again; if it was just written, the program that wrote it was cut off",
  );
}

/**
 * Opens a file of before 1.6: reads its pickles, and of each storage where it lies. Nothing in this form guards the
 * elements themselves against bit rot.
 *
 * @throws ClimaxError "checkpoint" if it is damaged, cut off, or made to mislead
 */
export async function openTorchLegacy(file: WeightFile, allow: readonly string[]): Promise<TorchFile> {
  const { path, size } = file;
  const plain = (start: number) =>
    readPickle(file, start, size, (bytes) =>
      unpickle(bytes, {
        path,
        globals: (_, name, spot) => spot.refuse(`"${shown(name)}" is named in a header`),
      }),
    );
  const magic = await plain(0);
  if (magic.value !== magicNumber) damaged(path, "its magic number is wrong");
  const version = await plain(magic.end);
  if (version.value !== protocolVersion) {
    damaged(path, `its version is not ${protocolVersion}, the only one there is`);
  }
  const system = await plain(version.end); // elements are little-endian, whatever it says
  const object = await readPickle(file, system.end, size, (bytes) => readObject(path, bytes, allow));
  const keys = await plain(object.end);
  const starts = await locate(file, keys.end, keysOf(path, keys.value), object.storages);
  return {
    path,
    format: "PyTorch before 1.6",
    bytes: size,
    root: object.value,
    unbuilt: [...object.globals.unbuilt],
    read: (tensor) =>
      readTensor(tensor, ({ key }, start, end) =>
        file.read(starts.get(key)! + start, starts.get(key)! + end),
      ),
    close: () => file.close(),
  };
}

interface LegacyObject {
  readonly value: TorchValue;
  readonly end: number;
  readonly globals: TorchGlobals;
  readonly storages: ReadonlyMap<string, PickledStorage>;
}

function readObject(path: string, bytes: Uint8Array, allow: readonly string[]): LegacyObject {
  const globals = torchGlobals(path, allow);
  const storages = new Map<string, PickledStorage>();
  const { value, end } = unpickle(bytes, {
    path,
    globals: globals.resolver,
    persistent: (id, spot) => {
      // A class with its source, which a saved module has: the class alone, as in newer files.
      if (Array.isArray(id) && id[0] === "module" && id[1] instanceof Unbuilt) return id[1];
      const storage = globals.storage(id, spot);
      storages.set(storage.key, storage);
      return storage;
    },
  });
  return { value, end, globals, storages };
}

function keysOf(path: string, value: TorchValue): string[] {
  if (!Array.isArray(value) || !value.every((key) => typeof key === "string")) {
    damaged(path, "what should be the list of its storages is none");
  }
  if (value.length > mostStorages) {
    damaged(path, `it claims ${value.length} storages; ${mostStorages} is the limit`);
  }
  return value as string[];
}

/** First byte of the elements of each storage; before them stands how many there are. */
async function locate(
  file: WeightFile,
  from: number,
  keys: readonly string[],
  storages: ReadonlyMap<string, PickledStorage>,
): Promise<ReadonlyMap<string, number>> {
  const { path, size } = file;
  const starts = new Map<string, number>();
  let at = from;
  for (const key of keys) {
    const storage =
      storages.get(key) ?? damaged(path, `no tensor says of what its storage "${shown(key)}" is made`);
    if (starts.has(key)) damaged(path, `its storage "${shown(key)}" is listed twice`);
    if (at + 8 > size) damaged(path, `it ends at byte ${size}, before its storage "${shown(key)}"`);
    const count = new DataView((await file.read(at, at + 8)).buffer).getBigInt64(0, true);
    if (count !== BigInt(storage.length)) {
      damaged(path, `its storage "${shown(key)}" has ${count} elements, but ${storage.length} were claimed`);
    }
    starts.set(key, at + 8);
    at += 8 + storage.length * bytesOf[storage.dtype];
    if (at > size) damaged(path, `it ends at byte ${size}, but its storage "${shown(key)}" at byte ${at}`);
  }
  const missing = [...storages.keys()].find((key) => !starts.has(key));
  if (missing !== undefined) damaged(path, `its storage "${shown(missing)}" is missing`);
  if (at !== size) damaged(path, `its storages end at byte ${at}, the file at ${size}`);
  return starts;
}
