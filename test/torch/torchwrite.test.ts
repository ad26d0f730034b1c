import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPromise } from "yauzl";
import type { TensorSource } from "../../src/model/safetensors.ts";
import { writeTorchCheckpoint } from "../../src/torch/torchwrite.ts";
import { openWeights } from "../../src/weights/openweights.ts";
import { builtScript } from "../support/builtclimax.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "climax-torchwrite-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Every kind of number that f32 has. */
const numbers = new Float32Array(
  Uint32Array.of(0, 0x8000_0000, 1, 0x8000_0001, 0x7f7f_ffff, 0x7f80_0000, 0xff80_0000, 0x3f80_0001).buffer,
);
const tensors: readonly TensorSource[] = [
  { name: "net.var_embed", shape: [1, 2, 4], values: () => numbers },
  { name: "net.scalar", shape: [], values: async () => Float32Array.of(Math.PI) },
  { name: "net.empty", shape: [0, 3], values: () => new Float32Array() },
  { name: "net.part", shape: [3], values: () => numbers.subarray(4, 7) },
];
const says = {
  ...{ epoch: 0, global_step: 0, "pytorch-lightning_version": "1.8.0" },
  hyper_parameters: { default_vars: ["a", "b"], drop_path: 0.1, parallel_patch_embed: false },
  climax: JSON.stringify({ note: "Grüße", long: "x".repeat(10_000) }),
};

const bits = (values: Float32Array) => [...new Uint32Array(Float32Array.from(values).buffer)];

test("what is written is read again, bit by bit, in its order, with all it says", async () => {
  const path = join(folder, "round.ckpt");
  await writeTorchCheckpoint(path, tensors, says);
  const file = await openWeights(path);
  expect(file.format).toBe("PyTorch zip");
  expect([...file.tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual(
    tensors.map(({ name, shape }) => [name, "F32", shape]),
  );
  for (const { name, values } of tensors)
    expect(bits(await file.read(name)), name).toEqual(bits(await values()));
  expect(file.says).toEqual(says);
  await file.close();
});

test("written, read and written again it is byte for byte the same, whatever it is called", async () => {
  const [first, second] = [join(folder, "first.ckpt"), join(folder, "another name.pt")];
  await writeTorchCheckpoint(first, tensors, says);
  const file = await openWeights(first);
  await writeTorchCheckpoint(
    second,
    [...file.tensors].map(([name, { shape }]) => ({ name, shape, values: () => file.read(name) })),
    file.says,
  );
  await file.close();
  expect((await readFile(first)).equals(await readFile(second))).toBe(true);
});

test("it is laid out as torch.save does: one folder, its pickle first, the elements mappable", async () => {
  const path = join(folder, "layout.ckpt");
  await writeTorchCheckpoint(path, tensors, says);
  const zip = await openPromise(path, { autoClose: false });
  const names: string[] = [];
  for await (const entry of zip.eachEntry()) {
    names.push(entry.fileName);
    expect((await zip.readLocalFileHeaderPromise(entry)).fileDataStart % 64, entry.fileName).toBe(0);
  }
  zip.close();
  const data = tensors.map((_, k) => `data/${k}`);
  expect(names).toEqual(["data.pkl", "byteorder", ...data, "version"].map((name) => `archive/${name}`));
});

test("each tensor is asked for once, in order, when its turn comes", async () => {
  const path = join(folder, "turns.ckpt");
  const sizes: number[] = [];
  const partial = () => stat(`${path}.partial-${process.pid}`).then(({ size }) => size);
  const sources = Array.from({ length: 4 }, (_, k) => ({
    name: String(k),
    shape: [1000],
    values: async () => {
      sizes.push(await partial());
      return new Float32Array(1000);
    },
  }));
  await writeTorchCheckpoint(path, sources, {});
  expect(sizes.length).toBe(4);
  for (const [k, size] of sizes.entries()) expect(Math.floor((size - sizes[0]!) / 4000)).toBe(k);
});

test("a write that fails leaves the old file and nothing else", async () => {
  const path = join(folder, "kept.ckpt");
  await writeTorchCheckpoint(path, tensors, says);
  const [before, names] = [await readFile(path), await readdir(folder)];
  const failing = (values: () => Float32Array) =>
    writeTorchCheckpoint(path, [...tensors, { name: "b", shape: [2], values }], says);
  await expect(
    failing(() => {
      throw new Error("device lost");
    }),
  ).rejects.toThrow("device lost");
  await expect(failing(() => new Float32Array(3))).rejects.toThrow("b has 3 values, not [2]");
  const twice = [...tensors, tensors[0]!];
  await expect(writeTorchCheckpoint(path, twice, says)).rejects.toThrow("a tensor is written twice");
  await expect(writeTorchCheckpoint(path, tensors, { state_dict: 1 })).rejects.toThrow("state_dict");
  expect(await readdir(folder)).toEqual(names);
  expect((await readFile(path)).equals(before)).toBe(true);
});

test("places that cannot be written are named with a mend", async () => {
  const path = join(folder, "absent", "a.ckpt");
  await expect(writeTorchCheckpoint(path, tensors, says)).rejects.toMatchObject({
    kind: "checkpoint",
    message: `cannot write ${path}: its folder does not exist`,
    hint: "make the folder first",
  });
  await expect(writeTorchCheckpoint(folder, tensors, says)).rejects.toThrow("it is a folder");
});

test("a file of 240 MB takes the memory of a few of its tensors of 8 MB", () => {
  const argv = [builtScript("torchlarge"), join(folder, "large.ckpt"), "30", "8"];
  const { stdout, stderr } = spawnSync(process.execPath, argv);
  if (!stdout.length) throw new Error(stderr.toString());
  // What the garbage collector leaves lying between two of its runs; the file held whole would be 250 MB.
  expect(Number(stdout.toString()) / 1e6).toBeLessThan(120);
});
