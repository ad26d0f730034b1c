import { lstat, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NetworkConfig, networkOf } from "../../src/model/network.ts";
import { writeOnnx } from "../../src/onnx/write.ts";
import { bytesOf, faultsOf, readOnnx } from "../support/onnxfile.ts";
import { inputShape, type TinyModel, tinyConfig, tinyModel, tinyProjection } from "../support/onnxmodels.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "climax-onnx-"));
});
afterAll(() => rm(folder, { recursive: true }));
const write = async (name: string, model: TinyModel, normalised = false, largest?: number) => {
  const path = join(folder, `${name}.onnx`);
  return { path, summary: await writeOnnx(path, model, { normalised }, largest) };
};

test.for<[string, TinyModel]>([
  ["climax", tinyModel(tinyConfig())],
  ["without layers", tinyModel(tinyConfig({ depth: 0, decoderDepth: 0 }))],
  [
    "residual",
    tinyModel(tinyConfig({ residual: true }), { inputs: ["temperature_850", "geopotential_500"] }),
  ],
  ["parallel", tinyModel(tinyConfig({ parallelPatchEmbed: true }), { outputs: ["2m_temperature"] })],
  ["region", tinyModel(tinyConfig({ region: { rows: [1, 2], columns: [0, 4, 5] } }))],
  ["projection", tinyModel(tinyProjection(), { outputs: ["pr"] })],
  ["vit", tinyModel(tinyConfig({ type: "vit", inputs: ["2m_temperature"], outputs: ["2m_temperature"] }))],
])("%s: nodes follow what they read, all is read, shapes and bytes agree", async ([name, model]) => {
  for (const normalised of [false, true]) {
    const { path, summary } = await write(name, model, normalised);
    const file = readOnnx(path);
    expect(faultsOf(file)).toEqual([]);
    expect([file.opset, file.irVersion]).toEqual([17, 8]);
    expect(summary).toEqual({
      ...{ opset: 17, irVersion: 8, bytes: bytesOf(path) },
      inputs: [
        { name: "x", shape: ["batch", ...inputShape(model, 1).slice(1)] },
        { name: "lead_hours", shape: ["batch"] },
      ],
      outputs: model.info.outputs,
    });
    expect(file.inputs.map(({ name, shape }) => ({ name, shape }))).toEqual(summary.inputs);
    const shape = ["batch", model.info.outputs.length, ...networkOf(model.info.model).fieldShape];
    expect(file.outputs.map(({ name, shape }) => ({ name, shape }))).toEqual([{ name: "forecast", shape }]);
  }
});

test("parameters keep the reference's names and values; the aggregation is folded, the head cut to its outputs", async () => {
  const model = tinyModel(tinyConfig(), { outputs: ["temperature_850", "2m_temperature"] });
  const { path } = await write("names", model);
  const tensors = new Map(readOnnx(path).tensors.map((tensor) => [tensor.name, tensor]));
  const whole = [...networkOf(model.info.model).shapes.keys()].filter((name) => tensors.has(name));
  for (const name of whole) {
    const values = await model.parameter(name);
    expect(Buffer.compare(tensors.get(name)!.bytes, new Uint8Array(values.buffer)), name).toBe(0);
  }
  const gone = [...networkOf(model.info.model).shapes.keys()].filter((name) => !tensors.has(name));
  expect(gone.filter((name) => !name.startsWith("token_embeds."))).toEqual([
    ...["var_embed", "var_query", "var_agg.in_proj_weight", "var_agg.in_proj_bias", "var_agg.out_proj.bias"],
    ...["head.4.weight", "head.4.bias"],
  ]);
  const shape = (name: string) => tensors.get(name)?.shape;
  expect(shape("var_agg.scores")).toEqual([5, 5, 3]); // V, p p + 1, heads
  expect(shape("var_agg.values")).toEqual([3, 25, 8]); // heads, V (p p + 1), D / heads
  expect(shape("head.4.weight.outputs")).toEqual([8, 24]); // p p outputs, D
});

test("the file says what it is, for people and for programs", async () => {
  const model = tinyModel(tinyConfig(), {
    inputs: ["temperature_850", "land_sea_mask"],
    outputs: ["temperature_850"],
    targets: [{ name: "temperature_850", units: "K", mean: 0, std: 0.5 }],
    region: "Europe",
    leads: [24, 72],
  });
  const { path } = await write("document", model);
  const { version } = JSON.parse(await readFile("package.json", "utf8"));
  const { producer, doc, metadata, inputs, outputs } = readOnnx(path);
  expect(producer).toEqual(["climax", version]);
  expect(doc).toContain("Trained on SYNTHETIC weather. The forward pass of a climax network");
  expect(JSON.parse(metadata.get("climax")!)).toEqual(model.info);
  expect(JSON.parse(metadata.get("inputs")!)).toEqual([
    { name: "temperature_850", units: "K", mean: 298, std: 7 },
    { name: "land_sea_mask", units: "K", mean: 270, std: 3 },
  ]);
  expect(JSON.parse(metadata.get("outputs")!)).toEqual(model.info.targets);
  expect(metadata.get("normalised")).toBe("false");
  expect(inputs.map(({ doc }) => doc)).toEqual([
    "[batch, variable, row, column]: rows at latitudes 8 from 0 to 14 degrees north, columns at longitudes 12 from 0 to " +
      "33 degrees east (Europe). Values are in the units given here, which the graph itself normalises. Variables in order: temperature_850 [K], land_sea_mask [K]",
    "[batch], how far ahead, hours. Trained with 24, 72.",
  ]);
  expect(outputs[0]!.doc).toContain("Variables in order: temperature_850 [K]");
});

test.for<[string, object]>([
  ["resnet", {}],
  ["unet", {}],
  ["linear", {}],
  ["pattern-scaling", { inputs: ["CO2"] }],
])(
  "a network of type %s is refused with the reason and a mend, and nothing is written",
  async ([type, changes]) => {
    const lists = { variables: ["CO2", "tas"], inputs: ["CO2", "tas"], outputs: ["tas"] };
    const config = NetworkConfig.parse({ type, gridShape: [8, 16], ...lists, ...changes });
    const { info } = tinyModel(tinyProjection());
    const model = {
      info: { ...info, model: config, inputs: ["CO2"], outputs: ["tas"] },
      parameter: () => Promise.reject(),
    };
    await expect(write(type, model)).rejects.toMatchObject({
      kind: "checkpoint",
      message:
        `a network of type ${type} is not exported as ONNX: the export is made for patches and attention, which climax, ` +
        "projection and vit have, and knows none of its layers",
      hint: "keep it whole with climax convert --to safetensors, or export a network of one of those types",
    });
    expect((await readdir(folder)).filter((name) => name.startsWith(type))).toEqual([]);
  },
);

test("statistics that float32 does not hold are refused, unless fields are scaled outside", async () => {
  const scale = { name: "2m_temperature", units: "K", mean: 280, std: 1e-40 };
  const model = tinyModel(tinyConfig(), { variables: [scale], outputs: ["2m_temperature"] });
  await expect(write("small", model)).rejects.toThrow(
    "2m_temperature has the mean 280 and the standard deviation 1e-40, and an ONNX graph computes in float32",
  );
  await write("small", model, true);
});

describe("weights beside the model", () => {
  test("come when one file would be too large: small tensors stay, the others begin where systems can map them", async () => {
    const model = tinyModel(tinyConfig());
    const one = await write("one", model);
    const { path, summary } = await write("two", model, false, one.summary.bytes - 1);
    expect(summary.external).toBe(`${path}.data`);
    expect(summary.bytes).toBe(bytesOf(path) + bytesOf(`${path}.data`));
    expect(bytesOf(path)).toBeLessThan(one.summary.bytes);
    const [file, whole] = [readOnnx(path), readOnnx(one.path)];
    expect(faultsOf(file)).toEqual([]);
    for (const [i, { name, bytes, offset }] of file.tensors.entries()) {
      expect(Buffer.compare(bytes, whole.tensors[i]!.bytes), name).toBe(0);
      expect(offset === undefined, name).toBe(bytes.length < 1024);
      if (offset !== undefined) expect(offset % 65536, name).toBe(0);
    }
    expect((await write("one", model, false, one.summary.bytes)).summary.external).toBeUndefined();
  });

  test("and a graph that is too large without them is refused", async () => {
    await expect(write("graph", tinyModel(tinyConfig()), false, 1000)).rejects.toThrow(
      /^cannot write .*graph\.onnx: what must stand in the model itself takes \d+ bytes, and 1000 is the limit$/,
    );
  });
});

describe("a file appears whole or not at all", () => {
  const spoilt = (model: TinyModel): TinyModel => ({
    info: model.info,
    parameter: async (name) => {
      if (name === "head.4.bias") throw new Error("the disk it is on is gone");
      return await model.parameter(name);
    },
  });

  test.for([undefined, 60_000])("with a limit of %s bytes", async (largest) => {
    const model = tinyModel(tinyConfig());
    const { path } = await write(`whole${largest}`, model, false, largest);
    const before = await readFile(path);
    const there = await readdir(folder);
    await expect(write(`whole${largest}`, spoilt(model), false, largest)).rejects.toThrow(
      "the disk it is on is gone",
    );
    expect(await readdir(folder)).toEqual(there);
    expect(Buffer.compare(await readFile(path), before)).toBe(0);
    await expect(write(`absent${largest}`, spoilt(model), false, largest)).rejects.toThrow("is gone");
    expect(await readdir(folder)).toEqual(there);
  });

  test("a model that cannot take its place takes its weights with it", async () => {
    const model = tinyModel(tinyConfig());
    const path = join(folder, "displaced.onnx");
    const there = await readdir(folder);
    const displaced: TinyModel = {
      info: model.info,
      parameter: async (name) => {
        // One of those beside, which are written when the model waits under its temporary name.
        if (name === "head.2.weight") await rm(`${path}.partial-${process.pid}`);
        return await model.parameter(name);
      },
    };
    await expect(write("displaced", displaced, false, 60_000)).rejects.toThrow();
    expect(await readdir(folder)).toEqual(there);
  });

  test("what a link leads to is written, and the link stays", async () => {
    const model = tinyModel(tinyConfig());
    const link = join(folder, "link.onnx");
    const { path } = await write("linked", model, true);
    await symlink(path, link);
    await write("link", model, false, 60_000);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(readOnnx(path).metadata.get("normalised")).toBe("false");
    expect(faultsOf(readOnnx(link))).toEqual([]);
  });

  test("a folder that is not there is named", async () => {
    const path = join(folder, "nowhere", "model.onnx");
    await expect(writeOnnx(path, tinyModel(tinyConfig()), { normalised: false })).rejects.toMatchObject({
      message: `cannot write ${path}: its folder does not exist`,
      hint: "make the folder first",
    });
  });
});
