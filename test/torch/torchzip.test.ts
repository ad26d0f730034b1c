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
import { type TorchFile, TorchTensor } from "../../src/torch/torchvalue.ts";
import { flipBits } from "../support/bitflips.ts";
import { peakMemory } from "../support/peakmemory.ts";
import { assemble, call, int, ints, type Op, storage, text, u64, utf8 } from "../support/picklewriter.ts";
import { refusalOf } from "../support/refusal.ts";
import { type ForgedMember, zipBytes } from "../support/zipbytes.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-torchzip-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "forged.ckpt");

const tensorOps = (
  key: string,
  length: number,
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
) =>
  call(
    "torch._utils",
    "_rebuild_tensor_v2",
    storage("FloatStorage", key, length),
    [int(offset)],
    ints(...shape),
    ints(...strides),
    ["NEWFALSE"],
    call("collections", "OrderedDict"),
  );

const pickled = (...ops: readonly Op[]) => assemble(["PROTO", [2]], ...ops, "STOP");
const dictionary = (entries: Readonly<Record<string, readonly Op[]>>): Op[] => [
  ...(["EMPTY_DICT", "MARK"] as const),
  ...Object.entries(entries).flatMap(([key, value]) => [text(key), ...value]),
  "SETITEMS",
];

const values = Float32Array.of(1, 2, 3, 4, 5, 6);
const data = new Uint8Array(values.buffer);
const whole = tensorOps("0", 6, 0, [2, 3], [3, 1]);
const part = tensorOps("0", 6, 1, [2], [3]);
const pkl: ForgedMember = { name: "x/data.pkl", data: pickled(...dictionary({ whole, part })) };
const stored: ForgedMember = { name: "x/data/0", data, padding: 5 };
const version: ForgedMember = { name: "x/version", data: utf8("3\n") };

async function opened<T>(bytes: Uint8Array, use: (file: TorchFile) => Promise<T>): Promise<T> {
  writeFileSync(path, bytes);
  const file = await openTorchFile(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** Opens a file and reads all its tensors. */
const readAll = (bytes: Uint8Array) =>
  opened(bytes, async (file) => {
    const read: number[][] = [];
    for (const tensor of (file.root as ReadonlyMap<string, unknown>).values())
      if (tensor instanceof TorchTensor)
        read.push([...new Float32Array(Uint8Array.from(await file.read(tensor)).buffer)]);
    return read;
  });

const expected = [
  [1, 2, 3, 4, 5, 6],
  [2, 5],
];

test("a zip of stored members is read, whatever else it holds and however it ends", async () => {
  expect(await readAll(zipBytes([pkl, stored, version]))).toEqual(expected);
  expect(await readAll(zipBytes([pkl, stored, version], { zip64: true }))).toEqual(expected);
  const order = { name: "x/byteorder", data: utf8("little") };
  const later = { name: "x/.data/serialization_id", data: utf8("123") };
  expect(await readAll(zipBytes([version, order, later, stored, pkl]))).toEqual(expected);
});

test("sizes where a member begins may be left to a descriptor, as torch does", async () => {
  const local = { flags: 8, size: 0 };
  expect(
    await readAll(
      zipBytes([
        { ...pkl, local },
        { ...stored, local },
      ]),
    ),
  ).toEqual(expected);
});

describe("is refused:", () => {
  const forged: Record<string, [members: readonly ForgedMember[], message: string]> = {
    "a compressed member": [
      [pkl, { ...stored, method: 8 }],
      '"x/data/0" is compressed; torch.save stores members',
    ],
    "a member that is compressed only where it begins": [
      [{ ...pkl, local: { method: 8 } }, stored],
      '"x/data.pkl" is stored in the directory, but not where it begins',
    ],
    "an encrypted member": [[pkl, { ...stored, flags: 1 }], '"x/data/0" is encrypted'],
    "a member stored in fewer bytes than claimed": [
      [pkl, { ...stored, uncompressed: 1000 }],
      '"x/data/0" is stored in 24 bytes, 1000 were claimed',
    ],
    "another name where a member begins": [
      [{ ...pkl, local: { name: "y/data.pkl" } }, stored],
      '"x/data.pkl" has another name where it begins',
    ],
    "another size where a member begins": [
      [{ ...pkl, local: { size: 7 } }, stored],
      '"x/data.pkl" has another size where it begins',
    ],
    "two members of one name": [[pkl, stored, stored], 'two members are called "x/data/0"'],
    "two pickles": [[pkl, stored, { ...pkl, name: "y/data.pkl" }], "it has 2 members called data.pkl"],
    "a storage that no member holds": [[pkl], "storage 0 is named, but no member of the archive holds it"],
    "a storage that is too short": [
      [pkl, { ...stored, data: data.subarray(1) }],
      "storage 0 has 23 bytes, but 24 are claimed",
    ],
    "members over one another": [
      [pkl, stored, { ...stored, name: "x/data/1", absent: true, offset: 0 }],
      'its member "x/data.pkl" overlaps "x/data/1"',
    ],
    "a member within another": [
      [
        { ...pkl, data: new Uint8Array(500) },
        { ...stored, absent: true, offset: 100 },
      ],
      'its member "x/data.pkl" overlaps "x/data/0"',
    ],
    "a member over the directory": [
      [pkl, { ...stored, size: 60 }],
      'its member "x/data/0" reaches into the directory, or beyond the file',
    ],
    "a member beyond the file": [
      [pkl, { ...stored, absent: true, offset: 2 ** 31 }],
      'its member "x/data/0" reaches into the directory, or beyond the file',
    ],
    "padding that hides how far a member reaches": [
      [{ ...pkl, size: pkl.data!.length + 3, padding: 4 }, { ...stored }],
      'its member "x/data.pkl" runs into the next one',
    ],
    "a wrong checksum of the pickle": [[{ ...pkl, crc: 1 }, stored], "(CRC-32) of its member"],
    "bytes of a big-endian machine": [
      [pkl, stored, { name: "x/byteorder", data: utf8("big") }],
      "was written on a big-endian machine",
    ],
    "an unknown byte order": [
      [pkl, stored, { name: "x/byteorder", data: utf8("middle") }],
      'neither "little" nor',
    ],
    TorchScript: [
      [pkl, stored, { name: "x/constants.pkl" }, { name: "x/code/__torch__.py" }],
      "is a TorchScript archive (torch.jit.save): a program with its weights",
    ],
    "torch.export": [
      [{ name: "m/archive_format", data: utf8("pt2") }, { name: "m/models/model.json" }],
      "is a program of torch.export (.pt2), not a checkpoint",
    ],
    "a zip of something else": [
      [{ name: "a.npy", method: 8 }, { name: "b.npy" }],
      'a zip archive, but not of torch.save: it has no data.pkl; it holds "a.npy", "b.npy"',
    ],
    ...Object.fromEntries(
      ["../../etc/data.pkl", "/x/data.pkl", "C:\\x\\data.pkl", "x\\data.pkl", "x/../data.pkl"].map((name) => [
        `the name ${name}`,
        [[{ ...pkl, name }, stored], "a name made to leave the folder it is unpacked in"],
      ]),
    ),
  };
  test.for(Object.entries(forged))("%s", async ([, [members, message]]) => {
    const refusal = await refusalOf(readAll(zipBytes(members)));
    expect(refusal).toContain(message);
    expect(refusal).toMatch(/^checkpoint: .* \| .{10}/);
  });

  test("more members than are believed, before any is read", async () => {
    const many = zipBytes([pkl, stored], { zip64: true, count: 2 ** 40 });
    expect(await refusalOf(readAll(many))).toContain(`it claims ${2 ** 40} members; 100000 is the limit`);
  });

  test("fewer or more members than claimed", async () => {
    expect(await refusalOf(readAll(zipBytes([pkl, stored], { count: 3 })))).toContain(
      "a record of it would end at byte",
    );
    expect(await refusalOf(readAll(zipBytes([pkl, stored], { count: 1 })))).toMatch(/overlaps|no member/);
  });

  test("a copy that was cut off, and one with bytes behind", async () => {
    const whole = zipBytes([pkl, stored]);
    for (const bytes of [whole.subarray(0, -30), Buffer.concat([whole, new Uint8Array(3)])])
      expect(await refusalOf(readAll(bytes))).toBe(
        `checkpoint: ${path} is no sound PyTorch file (a zip archive): its directory does not stand at its end: it is cut off, or something was appended | copy or download it again; if it was just written, the program that wrote it was cut off`,
      );
  });

  test("a directory that begins nowhere", async () => {
    for (const directory of [2 ** 31, 1])
      expect(await refusalOf(readAll(zipBytes([pkl, stored], { directory })))).toContain(
        "is no sound PyTorch file",
      );
    const end = zipBytes([pkl, stored], { zip64: true });
    end.set(u64(2n ** 64n - 1n), end.length - 22 - 12); // where the zip64 record is
    expect(await refusalOf(readAll(end))).toContain("is no sound PyTorch file");
  });

  test("a directory of more than 64 MiB, without reading it", async () => {
    writeFileSync(path, "PK\x03\x04");
    truncateSync(path, 100_000_000);
    const end = zipBytes([], { zip64: true, count: 90_000, directory: 4 });
    const descriptor = openSync(path, "r+");
    const record = end.length - 22 - 20;
    end.set(u64(100_000_000 + end.length - 22 - 20 - 56), record + 8);
    writeSync(descriptor, end, 0, end.length, 100_000_000);
    closeSync(descriptor);
    expect(await refusalOf(openTorchFile(path))).toMatch(
      /its directory has \d+ bytes; 67108864 is the limit/,
    );
  });

  test("a path trick, with the mend", async () => {
    expect(await refusalOf(readAll(zipBytes([{ ...pkl, name: "../data.pkl" }])))).toBe(
      `checkpoint: ${path} has a member called "../data.pkl", a name made to leave the folder it is unpacked in | nothing was or is ever unpacked; PyTorch writes no such names, so do not trust this file`,
    );
  });

  test("a pickle of more than 64 MiB, without reading it", async () => {
    const size = 2 ** 26 + 1;
    const bytes = zipBytes(
      [
        { ...pkl, size, data: new Uint8Array(0) },
        { ...stored, absent: true, offset: size + 60 },
      ],
      {
        directory: size + 200,
      },
    );
    // The member's bytes are a hole in the file; the directory follows it.
    const local = 30 + "x/data.pkl".length;
    const descriptor = openSync(path, "w");
    writeSync(descriptor, bytes, 0, local, 0);
    writeSync(descriptor, bytes, local, bytes.length - local, size + 200);
    closeSync(descriptor);
    expect(await refusalOf(openTorchFile(path))).toContain(
      `its pickle has ${size} bytes; 67108864 is the limit`,
    );
  });
});

test("rot in a tensor that fills its storage is found when it is read; in a part of one it cannot be", async () => {
  const rotten = Buffer.from(zipBytes([pkl, stored, version]));
  rotten[rotten.indexOf(Buffer.from(data)) + 9]! ^= 4;
  await opened(rotten, async (file) => {
    const root = file.root as ReadonlyMap<string, TorchTensor>;
    expect(await refusalOf(file.read(root.get("whole")!))).toBe(
      `checkpoint: ${path} is no sound PyTorch file (a zip archive): the checksum (CRC-32) of its member "x/data/0" is wrong | copy or download it again; if it was just written, the program that wrote it was cut off`,
    );
    expect((await file.read(root.get("part")!)).length).toBe(8);
  });
});

test("a checksum of 0 is none: torch can be told to leave them out", async () => {
  expect(
    await readAll(
      zipBytes([
        { ...pkl, crc: 0 },
        { ...stored, crc: 0 },
      ]),
    ),
  ).toEqual(expected);
});

test("of a large file only what is asked for is read", async () => {
  // A storage of 3 GB, all of it a hole in the file but the last number.
  const length = 750_000_000;
  const size = 4 * length;
  const last = tensorOps("0", length, length - 1, [1], [1]);
  const front = zipBytes([
    { name: "x/data.pkl", data: pickled(...dictionary({ last })) },
    { ...stored, data: new Uint8Array(0), padding: 0 },
  ]);
  const begin = front.indexOf("x/data/0") + "x/data/0".length;
  const bytes = zipBytes(
    [
      { name: "x/data.pkl", data: pickled(...dictionary({ last })) },
      { ...stored, data: new Uint8Array(0), padding: 0, size, crc: 1 },
    ],
    { directory: begin + size },
  );
  const descriptor = openSync(path, "w");
  writeSync(descriptor, bytes, 0, begin, 0);
  ftruncateSync(descriptor, begin + size);
  writeSync(descriptor, new Uint8Array(Float32Array.of(7).buffer), 0, 4, begin + size - 4);
  writeSync(descriptor, bytes, begin, bytes.length - begin, begin + size);
  closeSync(descriptor);
  const before = peakMemory();
  const file = await openTorchFile(path);
  const tensor = (file.root as ReadonlyMap<string, TorchTensor>).get("last")!;
  expect([...new Float32Array(Uint8Array.from(await file.read(tensor)).buffer)]).toEqual([7]);
  await file.close();
  expect(peakMemory() - before).toBeLessThan(50e6);
});

describe("fuzz", () => {
  const sound = readFileSync(new URL("../fixtures/weights/zip2.ckpt", import.meta.url));
  const read = (bytes: Uint8Array) =>
    opened(bytes, async (file) => {
      const state = (file.root as ReadonlyMap<string, unknown>).get("state_dict") as ReadonlyMap<
        string,
        unknown
      >;
      for (const tensor of state.values()) await file.read(tensor as TorchTensor);
    });

  test("cut off anywhere, it is refused", async () => {
    for (let length = 4; length < sound.length; length += 97) {
      expect(await refusalOf(read(sound.subarray(0, length))), `${length} bytes`).toContain("checkpoint: ");
    }
  });

  test("with bits flipped anywhere, it is refused or read", async () => {
    // Padding, dates and letters of a name are guarded by nothing.
    const outcomes = await flipBits(sound, { from: 40, to: 8 * sound.length, step: 151 }, read);
    expect(outcomes.refused).toBeGreaterThan(100);
  });
});
