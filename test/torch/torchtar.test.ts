import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { flipBits } from "../support/bitflips.ts";
import {
  assemble,
  global,
  int,
  list,
  little,
  type Op,
  text,
  tuple,
  u32,
  u64,
  utf8,
} from "../support/picklewriter.ts";
import { refusalOf } from "../support/refusal.ts";
import { type ForgedTarMember, tarBytes } from "../support/tarbytes.ts";
import { tensorsOf } from "../support/torchtensors.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-torchtar-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "forged.ckpt");

const pickled = (...ops: readonly Op[]) => assemble(["PROTO", [2]], ...ops, "STOP");
/** An address as Python wrote it: too long for four bytes. */
const address = (value: number): Op => ["LONG1", [6], little(6, value)];
const root = 2 ** 40 + 1;
const view = 2 ** 40 + 2;
const first = 2 ** 40 + 3;
const second = 2 ** 40 + 4;

const sound = {
  ...{ storages: 1, length: 6, tensors: 2, dimensions: 2, shape: [2, 2], strides: [1, 3], offset: 1 },
  views: list(tuple([address(view)], [address(root)], [int(2)], [int(3)])) as readonly Op[],
  /** What the first tensor is of. */
  of: root,
  id: [text(String(first))] as readonly Op[],
};

const values = Float32Array.of(1, 2, 3, 4, 5, 6);

/** The three members of an archive with these parts in place of the sound ones: two tensors, one of a view. */
function members(
  changed: Partial<typeof sound> = {},
): Record<"storages" | "tensors" | "pickle", ForgedTarMember> {
  const { storages, length, tensors, dimensions, shape, strides, offset, views, of, id } = {
    ...sound,
    ...changed,
  };
  const described = (key: number, storage: number) =>
    pickled(...tuple([address(key)], [address(storage)], [global("torch", "FloatTensor")]));
  return {
    storages: {
      name: "storages",
      data: Buffer.concat([
        pickled(int(storages)),
        pickled(...tuple([address(root)], [text("cpu")], [global("torch", "FloatStorage")])),
        Uint8Array.from(u64(length)),
        new Uint8Array(values.buffer),
        pickled(...views),
      ]),
    },
    tensors: {
      name: "tensors",
      data: Buffer.concat([
        pickled(int(tensors)),
        described(first, of),
        Uint8Array.from([...u32(dimensions), ...u32(99), ...[...shape, ...strides, offset].flatMap(u64)]),
        described(second, view),
        Uint8Array.from([...u32(1), ...u32(0), ...u64(3), ...u64(1), ...u64(0)]),
      ]),
    },
    pickle: {
      name: "pickle",
      data: pickled(
        "EMPTY_DICT",
        "MARK",
        ...[text("a"), ...id, "BINPERSID" as const],
        ...[text("b"), text(String(second)), "BINPERSID" as const],
        "SETITEMS",
      ),
    },
  };
}

const readAll = (bytes: Uint8Array) => tensorsOf(path, bytes);

const archive = (changed: Partial<typeof sound> = {}) => tarBytes(Object.values(members(changed)));

test("storages, views of them, tensors, and a pickle that refers to them by address", async () => {
  const expected = [
    [2, 5, 3, 6],
    [3, 4, 5],
  ];
  expect(await readAll(archive())).toEqual(expected);
  const { storages, tensors, pickle } = members();
  const info = { name: "sys_info", data: pickled("NONE") };
  expect(await readAll(tarBytes([info, pickle, tensors, storages]))).toEqual(expected);
});

test("sizes may stand in a pax header, or in binary", async () => {
  const { storages, tensors, pickle } = members();
  const pax = (record: string) => ({ name: "pax", type: "x", data: utf8(record) });
  const size = String(storages.data!.length);
  const bytes = tarBytes([
    pax(`${size.length + 9} size=${size}\n`),
    { ...storages, size: "77777777777" },
    tensors,
    pickle,
  ]);
  expect(await readAll(bytes)).toHaveLength(2);
});

describe("is refused:", () => {
  const { storages, tensors, pickle } = members();
  const cases: Record<string, [Uint8Array, string]> = {
    "a member that is missing": [
      tarBytes([storages, pickle]),
      'it has no member "tensors"; it holds "storages", "pickle"',
    ],
    "two members of one name": [
      tarBytes([storages, tensors, pickle, pickle]),
      'two members are called "pickle"',
    ],
    "a link": [
      tarBytes([storages, tensors, { ...pickle, type: "2" }]),
      'its member "pickle" is no plain file',
    ],
    "a path trick": [
      tarBytes([storages, tensors, pickle, { name: "../../etc/passwd" }]),
      'has a member called "../../etc/passwd", a name made to leave the folder it is unpacked in',
    ],
    "a member beyond the file": [
      tarBytes([storages, tensors, { ...pickle, size: 10_000 }]),
      'its member "pickle" does not end within the file',
    ],
    "a size that is no number": [
      tarBytes([storages, tensors, { ...pickle, size: "-1" }]),
      "does not end within",
    ],
    "a damaged header": [
      tarBytes([storages, tensors, { ...pickle, off: 1 }]),
      "the checksum of the header at byte",
    ],
    "a pax header that is none": [
      tarBytes([{ name: "p", type: "x", data: utf8("99 size=1\n") }, storages]),
      "a pax header is not made of records",
    ],
    "a pax header of 100 kB": [
      tarBytes([{ name: "p", type: "x", data: new Uint8Array(100_000) }]),
      "a pax header has 100000 bytes; 65536 is the limit",
    ],
    "a thousand members": [
      tarBytes(Array.from({ length: 1000 }, (_, i) => ({ name: `${i}` }))),
      "it has more than 64 members",
    ],
    "a million storages": [archive({ storages: 1_000_000 }), "it claims 1000000 parts; 100000 is the limit"],
    "a storage too many": [archive({ storages: 2 }), "a storage is not described"],
    "a storage beyond its member": [archive({ length: 1000 }), "in the middle"],
    "a storage of a negative length": [archive({ length: -1 }), "claims the number -1 elements"],
    "a view of no storage": [
      archive({ views: list(tuple([address(view)], [int(3)], [int(2)], [int(3)])) }),
      "a view is of no storage",
    ],
    "a view beyond its storage": [
      archive({ views: list(tuple([address(view)], [address(root)], [int(4)], [int(3)])) }),
      "a view of a storage of 6 elements lies outside it",
    ],
    "a view under the storage's address": [
      archive({ views: list(tuple([address(root)], [address(root)], [int(0)], [int(3)])) }),
      `two storages have the address "${root}"`,
    ],
    "a tensor of no storage": [archive({ of: 5 }), "a tensor is of no storage"],
    "a tensor of a thousand dimensions": [
      archive({ dimensions: 1000 }),
      "a tensor has 1000 dimensions; 64 is the limit",
    ],
    "a tensor of -1 dimensions": [archive({ dimensions: -1 }), "a tensor has -1 dimensions; 64 is the limit"],
    "a tensor beyond its storage": [archive({ shape: [2, 3] }), "reaches element 8 of a storage of 6"],
    "a negative stride": [archive({ strides: [-1, 1] }), "strides of a tensor is [-1,1]"],
    "a tensor before its storage": [archive({ offset: -1 }), "a tensor begins at element -1"],
    "an address of nothing": [archive({ id: [text("7")] }), 'nothing has the address "7"'],
    "a whole module": [
      archive({ id: tuple([global("torch.nn", "Linear")], ["NONE"], ["NONE"]) }),
      "a whole module was saved, with its program",
    ],
  };
  test.for(Object.entries(cases))("%s", async ([, [bytes, message]]) => {
    const refusal = await refusalOf(readAll(bytes));
    expect(refusal).toContain(message);
    expect(refusal).toMatch(/^checkpoint: .* \| .{10}/);
  });
});

describe("fuzz", () => {
  const whole = readFileSync(new URL("../fixtures/weights/tar.ckpt", import.meta.url));
  const end = whole.findLastIndex((byte) => byte !== 0) + 1;

  test("cut off anywhere, it is refused", async () => {
    for (let length = 512; length < end; length += 509)
      expect(await refusalOf(readAll(whole.subarray(0, length))), `${length} bytes`).toContain(
        "checkpoint: ",
      );
  });

  test("with bits flipped anywhere, it is refused or read", async () => {
    // Padding and elements are guarded by nothing.
    const outcomes = await flipBits(whole, { from: 0, to: 8 * end, step: 599 }, readAll);
    expect(outcomes.refused).toBeGreaterThan(40);
    expect(outcomes.read).toBeGreaterThan(40);
  });
});
