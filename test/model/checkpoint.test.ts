import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CheckpointInfo, openCheckpoint, writeCheckpoint } from "../../src/model/checkpoint.ts";
import { networkOf } from "../../src/model/network.ts";
import { writeSafetensors } from "../../src/model/safetensors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "climax-checkpoint-"));
});
afterAll(() => rm(folder, { recursive: true }));

const info = CheckpointInfo.parse({
  format: "climax-checkpoint",
  version: 1,
  model: { variables: ["a", "b"], gridShape: [2, 4], embedDim: 8, heads: 2, depth: 1 },
  variables: [
    { name: "a", units: "K", mean: 280, std: 12 },
    { name: "b", units: "m s-1", mean: 0, std: 5 },
  ],
  outputs: ["b"],
  grid: { lat: [-45, 45], lon: [0, 90, 180, 270] },
  leads: { min: 6, max: 168, step: 6 },
  synthetic: true,
  provenance: { command: "climax pretrain" },
});
const start = networkOf(info.model).initialise(3);
const parameter = (name: string) => start.get(name)!;
const at = (name: string) => join(folder, name);

test("a checkpoint gives back its info, parameters and state", async () => {
  const path = at("whole.safetensors");
  const training = { step: 12, random: [1, 2, 3] };
  const moments = {
    expAvg: (name: string) => parameter(name).map((value) => value / 2),
    expAvgSq: (name: string) => parameter(name).map((value) => value ** 2),
  };
  await writeCheckpoint(path, info, parameter, { moments, training });
  const checkpoint = await openCheckpoint(path);
  expect(checkpoint.info).toEqual(info);
  expect(checkpoint.training).toEqual(training);
  for (const name of networkOf(info.model).shapes.keys()) {
    expect(await checkpoint.parameter(name)).toEqual(parameter(name));
    expect(await checkpoint.moments!.expAvg(name)).toEqual(moments.expAvg(name));
    expect(await checkpoint.moments!.expAvgSq(name)).toEqual(moments.expAvgSq(name));
  }
  const bytes = await readFile(path);
  expect(await checkpoint.sha256()).toBe(createHash("sha256").update(bytes).digest("hex"));
  await checkpoint.close();
});

test("one that cannot be resumed has no state", async () => {
  await writeCheckpoint(at("weights.safetensors"), info, parameter);
  const checkpoint = await openCheckpoint(at("weights.safetensors"));
  expect(checkpoint.training).toBeUndefined();
  expect(checkpoint.moments).toBeUndefined();
  await checkpoint.close();
});

test.for<[string, object, string]>([
  [
    "statistics for an unknown variable",
    { variables: [{ name: "c", units: "K", mean: 0, std: 1 }] },
    'no variable "c"',
  ],
  ["an output without statistics", { outputs: ["d"] }, '"d" is not among the variables'],
  [
    "a grid of another size",
    { grid: { lat: [0], lon: [0, 1, 2, 3] } },
    "1 x 4 points, but the model has 2 x 4",
  ],
  ["a deviation of zero", { variables: [{ name: "b", units: "K", mean: 0, std: 0 }] }, "std"],
  ["a later version", { version: 2 }, "format version 2, and this climax reads version 1"],
  [
    "another depth than its tensors",
    { model: { ...info.model, depth: 2 } },
    '"blocks.1.norm1.weight" is missing',
  ],
  [
    "a smaller depth than its tensors",
    { model: { ...info.model, depth: 0 } },
    "is no parameter of its model",
  ],
  ["another width", { model: { ...info.model, embedDim: 16 } }, '"var_embed" is [1,2,8], expected [1,2,16]'],
  ["an endless depth", { model: { ...info.model, depth: 1e15 } }, "depth"],
])("%s is refused", async ([, change, message]) => {
  const path = at("forged.safetensors");
  const tensors = [...networkOf(info.model).shapes].map(([name, shape]) => ({
    name,
    shape,
    values: () => parameter(name),
  }));
  await writeSafetensors(path, tensors, { climax: JSON.stringify({ ...info, ...change }) });
  await expect(openCheckpoint(path)).rejects.toThrow(message);
});

test("what is wrong with a file's own description is said in one line", async () => {
  const path = at("strange.safetensors");
  await writeSafetensors(path, [], { climax: JSON.stringify({ model: "\n" }) });
  const error = await openCheckpoint(path).catch((caught: unknown) => caught as Error);
  expect((error as Error).message).toMatch(/: format: Invalid input: .*; version: .*; and \d+ more$/);
});

test("a file of weights alone is refused with a mend", async () => {
  const path = at("bare.safetensors");
  await writeSafetensors(path, [{ name: "a", shape: [1], values: () => Float32Array.of(1) }]);
  await expect(openCheckpoint(path)).rejects.toMatchObject({
    message: expect.stringContaining("it has weights only"),
    hint: `use a checkpoint that climax pretrain or finetune wrote, or climax convert ${path} -o OUT.safetensors, which adds them`,
  });
});

test.for([
  ["a zip", "PK\x03\x04\0\0\x08\x08"],
  ["the form before 1.6", "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."],
  ["a tar", `${"sys_info".padEnd(257, "\0")}ustar\0`],
] as const)("a file of PyTorch, %s, is named, and the way to convert it", async ([, head]) => {
  const path = at("5.625deg.ckpt");
  await writeFile(path, Buffer.from(head.padEnd(600, "\n"), "latin1"));
  await expect(openCheckpoint(path)).rejects.toMatchObject({
    kind: "checkpoint",
    message: `${path} is a file of PyTorch; wanted a climax checkpoint (.safetensors)`,
    hint: `climax inspect ${path} shows the climax convert that makes one of it`,
  });
});

test("an ONNX file is named, and what to use instead", async () => {
  const path = at("72h.onnx");
  await writeFile(path, Buffer.from("\x08\x08\x12\x06climax\x1a\x050.1.0", "latin1"));
  await expect(openCheckpoint(path)).rejects.toMatchObject({
    kind: "checkpoint",
    message: `${path} is an ONNX file: a graph of operators, for programs that run it; wanted a climax checkpoint (.safetensors)`,
    hint: "use the checkpoint that it was exported from",
  });
});

test("weights that are not finite are refused when they are read", async () => {
  const path = at("nan.safetensors");
  await writeCheckpoint(path, info, (name) =>
    name === "norm.bias" ? parameter(name).with(3, Number.NaN) : parameter(name),
  );
  const checkpoint = await openCheckpoint(path);
  await expect(checkpoint.parameter("norm.bias")).rejects.toThrow(
    '"norm.bias" holds values that are not finite',
  );
  await checkpoint.close();
});
