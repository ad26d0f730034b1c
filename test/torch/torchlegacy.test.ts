import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openTorchFile } from "../../src/torch/opentorch.ts";
import type { TorchTensor } from "../../src/torch/torchvalue.ts";
import { flipBits } from "../support/bitflips.ts";
import { peakMemory } from "../support/peakmemory.ts";
import {
  assemble,
  call,
  global,
  int,
  ints,
  list,
  type Op,
  storage,
  text,
  tuple,
  u32,
  u64,
} from "../support/picklewriter.ts";
import { refusalOf } from "../support/refusal.ts";
import { tensorsOf } from "../support/torchtensors.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-torchlegacy-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "forged.ckpt");

const pickled = (...ops: readonly Op[]) => assemble(["PROTO", [2]], ...ops, "STOP");
const magic = Buffer.from("80028a0a6cfc9c46f9206aa850192e", "hex");
const version = pickled(["BININT2", [0xe9, 0x03]]);
const system = pickled("EMPTY_DICT", "MARK", text("little_endian"), "NEWTRUE", "SETITEMS");

const tensorOps = (
  key: string,
  length: number,
  shape: readonly number[],
  strides: readonly number[],
  view: Op[] = ["NONE"],
) =>
  call(
    "torch._utils",
    "_rebuild_tensor_v2",
    storage("FloatStorage", key, length, view),
    [int(0)],
    ints(...shape),
    ints(...strides),
    ["NEWFALSE"],
    call("collections", "OrderedDict"),
  );

interface Parts {
  readonly version?: Uint8Array;
  readonly system?: Uint8Array;
  readonly tensors?: Readonly<Record<string, readonly Op[]>>;
  readonly keys?: readonly Op[];
  readonly storages?: readonly (readonly [count: number, values: readonly number[]])[];
}

const parts: Required<Parts> = {
  version,
  system,
  tensors: { a: tensorOps("k1", 3, [3], [1]), b: tensorOps("k2", 4, [2, 2], [1, 2]) },
  keys: list([text("k1")], [text("k2")]),
  storages: [
    [3, [1, 2, 3]],
    [4, [4, 5, 6, 7]],
  ],
};

/** A file of before 1.6 with these parts in place of the sound ones. */
function forged(changed: Parts = {}): Buffer {
  const all = { ...parts, ...changed };
  const entries = Object.entries(all.tensors).flatMap(([name, ops]) => [text(name), ...ops]);
  return Buffer.concat([
    ...[
      magic,
      all.version,
      all.system,
      pickled("EMPTY_DICT", "MARK", ...entries, "SETITEMS"),
      pickled(...all.keys),
    ],
    ...all.storages.flatMap(([count, values]) => [
      Uint8Array.from(u64(count)),
      new Uint8Array(Float32Array.from(values).buffer),
    ]),
  ]);
}

const readAll = (bytes: Uint8Array) => tensorsOf(path, bytes);

test("pickles in a row, then storages", async () => {
  expect(await readAll(forged())).toEqual([
    [1, 2, 3],
    [4, 6, 5, 7],
  ]);
});

test("what a big-endian machine wrote is little-endian all the same, as torch reads it", async () => {
  const other = pickled("EMPTY_DICT", "MARK", text("little_endian"), "NEWFALSE", "SETITEMS");
  expect((await readAll(forged({ system: other })))[0]).toEqual([1, 2, 3]);
});

test("a view of a storage, as files of before 0.4 have them", async () => {
  const view = tuple([text("v")], [int(1)], [int(2)]);
  const tensors = { a: tensorOps("k1", 3, [2], [1], view), b: parts.tensors.b! };
  expect((await readAll(forged({ tensors })))[0]).toEqual([2, 3]);
});

test("a pickle longer than the first windows", async () => {
  const tensors = Object.fromEntries(
    Array.from({ length: 1000 }, (_, i) => [
      `layer.${i}`,
      tensorOps(i % 2 ? "k1" : "k2", i % 2 ? 3 : 4, [1], [1]),
    ]),
  );
  const bytes = forged({ tensors });
  expect(bytes.length).toBeGreaterThan(100_000);
  expect(await readAll(bytes)).toHaveLength(1000);
});

test("of a large file only the pickles are read", async () => {
  const length = 750_000_000;
  const front = forged({
    tensors: { a: tensorOps("k1", length, [1], [1]) },
    keys: list([text("k1")]),
    storages: [[length, []]],
  });
  writeFileSync(path, front);
  const descriptor = openSync(path, "r+");
  ftruncateSync(descriptor, front.length + 4 * length);
  writeSync(descriptor, new Uint8Array(Float32Array.of(7).buffer), 0, 4, front.length);
  closeSync(descriptor);
  const before = peakMemory();
  const file = await openTorchFile(path);
  const tensor = (file.root as ReadonlyMap<string, TorchTensor>).get("a")!;
  expect([...new Float32Array(Uint8Array.from(await file.read(tensor)).buffer)]).toEqual([7]);
  await file.close();
  expect(peakMemory() - before).toBeLessThan(50e6);
});

test("a pickle that claims more than is read is refused, with bounded memory", async () => {
  const front = Buffer.concat([magic, version, system, Uint8Array.of(0x80, 2, 0x58, ...u32(90_000_000))]);
  writeFileSync(path, front);
  truncateSync(path, 100_000_000);
  const before = peakMemory();
  expect(await refusalOf(openTorchFile(path))).toContain(
    "90000000 bytes are wanted where 67108857 are left (no more than 67108864 bytes of a pickle are read",
  );
  expect(peakMemory() - before).toBeLessThan(150e6);
});

describe("is refused:", () => {
  test.for<[string, Uint8Array, string]>([
    [
      "another version",
      forged({ version: pickled(int(1002)) }),
      "its version is not 1001, the only one there is",
    ],
    [
      "a class in a header",
      forged({ system: pickled(global("os", "system")) }),
      '"system" is named in a header',
    ],
    [
      "another count than the pickle says",
      forged({ storages: [[4, [1, 2, 3, 4]], parts.storages[1]!] }),
      'its storage "k1" has 4 elements, but 3 were claimed',
    ],
    [
      "a negative count",
      forged({ storages: [[-1, []]] }),
      'its storage "k1" has -1 elements, but 3 were claimed',
    ],
    [
      "a storage that is not listed",
      forged({ keys: list([text("k1")]), storages: [parts.storages[0]!] }),
      'its storage "k2" is missing',
    ],
    [
      "a storage that nothing refers to",
      forged({ keys: list([text("k3")]) }),
      'no tensor says of what its storage "k3" is made',
    ],
    [
      "a storage that is listed twice",
      forged({ keys: list([text("k1")], [text("k1")]) }),
      'its storage "k1" is listed twice',
    ],
    [
      "keys that are no list",
      forged({ keys: [text("k1")] }),
      "what should be the list of its storages is none",
    ],
    [
      "keys that are no text",
      forged({ keys: list([int(1)]) }),
      "what should be the list of its storages is none",
    ],
    ["bytes that nobody owns", Buffer.concat([forged(), new Uint8Array(4)]), "its storages end at byte"],
    ["elements cut off", forged().subarray(0, -1), 'but its storage "k2" at byte'],
    ["a count cut off", forged().subarray(0, -20), 'before its storage "k2"'],
    [
      "a tensor beyond its storage",
      forged({ tensors: { a: tensorOps("k1", 3, [4], [1]), b: parts.tensors.b! } }),
      "reaches element 3 of a storage of 3",
    ],
    [
      "a storage of two lengths",
      forged({ tensors: { ...parts.tensors, c: tensorOps("k1", 4, [4], [1]) } }),
      "storage k1 was 3 elements of F32 and is now 4",
    ],
    [
      "a view beyond its storage",
      forged({
        tensors: {
          a: tensorOps("k1", 3, [2], [1], tuple([text("v")], [int(2)], [int(2)])),
          b: parts.tensors.b!,
        },
      }),
      "a view of storage k1 takes elements 2 to 4 of 3",
    ],
    [
      "a class that could run",
      forged({ tensors: { a: call("os", "system", [text("true")]) } }),
      '"os.system"',
    ],
  ])("%s", async ([, bytes, message]) => {
    const refusal = await refusalOf(readAll(bytes));
    expect(refusal).toContain(message);
    expect(refusal).toMatch(/^checkpoint: .* \| .{10}/);
  });
});

describe("fuzz", () => {
  const sound = readFileSync(new URL("../fixtures/weights/legacy4.ckpt", import.meta.url));

  test("cut off anywhere, it is refused", async () => {
    for (let length = 24; length < sound.length; length += 37)
      expect(await refusalOf(readAll(sound.subarray(0, length))), `${length} bytes`).toContain(
        "checkpoint: ",
      );
  });

  test("with bits flipped anywhere, it is refused or read", async () => {
    // Elements, and letters of names, are guarded by nothing.
    const outcomes = await flipBits(sound, { from: 8 * 13, to: 8 * sound.length, step: 61 }, readAll);
    expect(outcomes.refused).toBeGreaterThan(100);
    expect(outcomes.read).toBeGreaterThan(30);
  });
});
