// Files of PyTorch 0.1: a tar archive of `storages` (each with its elements), `tensors` (views of them) and `pickle` (the
// object, which refers to both by the addresses they had in memory).

import { bytesOf } from "../model/dtypes.ts";
import type { WeightFile } from "../model/weightfile.ts";
import { unpickle } from "./pickle.ts";
import { shown } from "./picklereader.ts";
import { readPickle } from "./picklewindow.ts";
import { damagedTar, type TarMember, tarMembers } from "./tarmembers.ts";
import { type TorchGlobals, torchGlobals } from "./torchclasses.ts";
import { readTensor } from "./torchread.ts";
import { PickledStorage } from "./torchtensors.ts";
import type { TorchFile, TorchTensor, TorchValue } from "./torchvalue.ts";
import { checkedView, isCount } from "./torchview.ts";

/** The most storages, and the most tensors, that are believed. */
const mostParts = 100_000;
/** The most dimensions that are believed, as PyTorch. */
const mostDimensions = 64;

interface Storages {
  /** By their address. */
  readonly byKey: Map<string, PickledStorage>;
  /** First byte of the elements in the file, by the storage's key. */
  readonly starts: Map<string, number>;
}

/**
 * Opens a tar archive of PyTorch 0.1: reads what it holds and where. Nothing in this form guards the elements
 * themselves against bit rot.
 *
 * @throws ClimaxError "checkpoint" if it is damaged, cut off, made to mislead, or another archive
 */
export async function openTorchTar(file: WeightFile, allow: readonly string[]): Promise<TorchFile> {
  const { path } = file;
  const members = await tarMembers(file);
  const member = (name: string) => {
    const names = [...members.keys()]
      .slice(0, 4)
      .map((one) => `"${shown(one)}"`)
      .join(", ");
    return (
      members.get(name) ?? damagedTar(path, `it has no member "${name}"; it holds ${names || "nothing"}`)
    );
  };
  const parts = ["storages", "tensors", "pickle"].map(member) as [TarMember, TarMember, TarMember];
  const globals = torchGlobals(path, allow);
  const reader = new MemberReader(file, parts[0]);
  const storages = await readStorages(reader, globals);
  const tensors = await readTensors(new MemberReader(file, parts[1]), storages.byKey);
  const { start, end } = parts[2];
  const object = await readPickle(file, start, end, (bytes) =>
    readObject(path, bytes, allow, storages, tensors),
  );
  return {
    path,
    format: "PyTorch tar",
    bytes: file.size,
    root: object.value,
    unbuilt: [...object.unbuilt],
    read: (tensor) =>
      readTensor(tensor, ({ key }, from, to) => {
        const base = storages.starts.get(key)!;
        return file.read(base + from, base + to);
      }),
    close: () => file.close(),
  };
}

/** Reads a member from front to back: pickles with plain numbers between them. */
class MemberReader {
  readonly file: WeightFile;
  readonly end: number;
  readonly #globals: TorchGlobals;
  at: number;

  constructor(file: WeightFile, { start, end }: TarMember) {
    this.file = file;
    this.at = start;
    this.end = end;
    this.#globals = torchGlobals(file.path, []);
  }

  async pickle(): Promise<TorchValue> {
    const { path } = this.file;
    const { value, end } = await readPickle(this.file, this.at, this.end, (bytes) =>
      unpickle(bytes, { path, globals: this.#globals.resolver }),
    );
    this.at = end;
    return value;
  }

  /** How many parts follow. */
  async count(): Promise<number> {
    const count = await this.pickle();
    if (typeof count !== "number" || !(count >= 0 && count <= mostParts)) {
      damagedTar(this.file.path, `it claims ${String(count)} parts; ${mostParts} is the limit`);
    }
    return count;
  }

  /** A list of so many things, as a pickle. */
  async parts(length: number, what: string): Promise<readonly TorchValue[]> {
    const value = await this.pickle();
    if (!Array.isArray(value) || value.length !== length)
      damagedTar(this.file.path, `a ${what} is not described`);
    return value;
  }

  async bytes(length: number): Promise<DataView> {
    const start = this.skip(length);
    return new DataView((await this.file.read(start, start + length)).buffer);
  }

  /** Moves over bytes, and says where they begin. */
  skip(length: number): number {
    const start = this.at;
    if (start + length > this.end)
      damagedTar(this.file.path, `a member ends at byte ${this.end}, in the middle`);
    this.at = start + length;
    return start;
  }
}

/** An address as the pickles give it: a number, a long one, or its digits. */
function addressOf(path: string, value: TorchValue | undefined): string {
  if (typeof value === "string" || typeof value === "number" || typeof value === "bigint")
    return String(value);
  return damagedTar(path, "a part has no address");
}

async function readStorages(reader: MemberReader, globals: TorchGlobals): Promise<Storages> {
  const { path } = reader.file;
  const byKey = new Map<string, PickledStorage>();
  const starts = new Map<string, number>();
  for (let left = await reader.count(); left > 0; left--) {
    const [address, location, type] = await reader.parts(3, "storage");
    const key = addressOf(path, address);
    if (byKey.has(key)) damagedTar(path, `two storages have the address "${shown(key)}"`);
    const length = Number((await reader.bytes(8)).getBigInt64(0, true));
    const storage = globals.storage(["storage", type!, key, location!, length]);
    starts.set(key, reader.skip(length * bytesOf[storage.dtype]));
    byKey.set(key, storage);
  }
  const views = await reader.pickle();
  if (!Array.isArray(views)) damagedTar(path, "its storages' views are no list");
  for (const view of views as readonly TorchValue[]) {
    const [address, root, offset, count] = Array.isArray(view) && view.length === 4 ? view : [];
    const whole = byKey.get(addressOf(path, root)) ?? damagedTar(path, "a view is of no storage");
    const key = addressOf(path, address);
    if (byKey.has(key)) damagedTar(path, `two storages have the address "${shown(key)}"`);
    const { stored, name } = whole;
    if (!isCount(offset) || !isCount(count) || offset + count > stored.length) {
      damagedTar(path, `a view of a storage of ${stored.length} elements lies outside it`);
    }
    byKey.set(key, new PickledStorage(name, stored, [offset, offset + count]));
  }
  return { byKey, starts };
}

async function readTensors(
  reader: MemberReader,
  storages: ReadonlyMap<string, PickledStorage>,
): Promise<ReadonlyMap<string, TorchTensor>> {
  const { path } = reader.file;
  const tensors = new Map<string, TorchTensor>();
  for (let left = await reader.count(); left > 0; left--) {
    const [address, root] = await reader.parts(3, "tensor");
    const key = addressOf(path, address);
    if (tensors.has(key)) damagedTar(path, `two tensors have the address "${shown(key)}"`);
    const storage = storages.get(addressOf(path, root)) ?? damagedTar(path, "a tensor is of no storage");
    const dimensions = (await reader.bytes(8)).getInt32(0, true); // the other four bytes may be anything
    if (!(dimensions >= 0 && dimensions <= mostDimensions)) {
      damagedTar(path, `a tensor has ${dimensions} dimensions; ${mostDimensions} is the limit`);
    }
    const numbers = await reader.bytes(16 * dimensions + 8);
    const number = (i: number) => Number(numbers.getBigInt64(8 * i, true));
    const shape = Array.from({ length: dimensions }, (_, d) => number(d));
    const strides = Array.from({ length: dimensions }, (_, d) => number(dimensions + d));
    const offset = number(2 * dimensions);
    const refuse = (found: string) => damagedTar(path, found);
    tensors.set(key, checkedView(storage.stored, { offset, shape, strides }, refuse, storage.part));
  }
  return tensors;
}

function readObject(
  path: string,
  bytes: Uint8Array,
  allow: readonly string[],
  { byKey }: Storages,
  tensors: ReadonlyMap<string, TorchTensor>,
) {
  const globals = torchGlobals(path, allow);
  const { value, end } = unpickle(bytes, {
    path,
    globals: globals.resolver,
    persistent: (id, spot) => {
      if (Array.isArray(id)) {
        spot.refuse(
          "a whole module was saved, with its program",
          "save its weights alone: torch.save(model.state_dict(), path)",
        );
      }
      const key = addressOf(path, id);
      return tensors.get(key) ?? byKey.get(key) ?? spot.refuse(`nothing has the address "${shown(key)}"`);
    },
  });
  return { value, end, unbuilt: globals.unbuilt };
}
