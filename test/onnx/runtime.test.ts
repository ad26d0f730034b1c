// Exported models as onnxruntime runs them, beside our own forward pass and the reference's numbers.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { networkConfigOf, readCaseInfo } from "../../src/cli/referenceinfo.ts";
import { readNpz } from "../../src/files/npy.ts";
import { Predictor } from "../../src/infer/predictor.ts";
import type { Checkpoint, CheckpointInfo } from "../../src/model/checkpoint.ts";
import { networkOf } from "../../src/model/network.ts";
import { writeOnnxFile } from "../../src/onnx/file.ts";
import { onnxModel, writeOnnx } from "../../src/onnx/write.ts";
import { gpu } from "../support/gpu.ts";
import { uniform } from "../support/gradcheck.ts";
import {
  inputShape,
  ownForward,
  relativeError,
  type TinyModel,
  tinyConfig,
  tinyModel,
  tinyProjection,
} from "../support/onnxmodels.ts";
import { aggregatePlain } from "../support/onnxplain.ts";
import { hasOnnxruntime, type JudgedModel, openOnnx } from "../support/onnxruntime.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "climax-onnxruntime-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function open(model: TinyModel, normalised: boolean, largest?: number): Promise<JudgedModel> {
  const path = join(folder, "model.onnx");
  await writeOnnx(path, model, { normalised }, largest);
  return await openOnnx(path);
}

/** Random fields of B samples, normalised. */
function fields(model: TinyModel, B: number, seed = 3): Float32Array {
  const random = uniform(seed);
  return Float32Array.from({ length: inputShape(model, B).reduce((a, b) => a * b, 1) }, random);
}

async function judge(judged: JudgedModel, model: TinyModel, x: Float32Array, leadHours: readonly number[]) {
  const B = leadHours.length;
  const { data, dims } = await judged.run({ x: [x, inputShape(model, B)], lead_hours: [leadHours, [B]] });
  expect(dims).toEqual([B, model.info.outputs.length, ...networkOf(model.info.model).fieldShape]);
  return data;
}

const swapped = {
  inputs: ["temperature_850", "land_sea_mask"],
  outputs: ["geopotential_500", "temperature_850"],
};
const vitLists = { type: "vit", ...swapped };

describe.skipIf(!hasOnnxruntime)("onnxruntime agrees with our own forward pass", () => {
  test.for<[string, TinyModel]>([
    ["all variables", tinyModel(tinyConfig())],
    ["some variables, in another order", tinyModel(tinyConfig(), swapped)],
    [
      "patches of 4, head of one hidden layer",
      tinyModel(tinyConfig({ patchSize: 4, decoderDepth: 1 }), swapped),
    ],
    ["no block, head of one layer", tinyModel(tinyConfig({ depth: 0, decoderDepth: 0 }))],
    ["a hidden width that is not whole", tinyModel(tinyConfig({ mlpRatio: 1.3 }))],
    [
      "heads of two numbers, patches of one",
      tinyModel(tinyConfig({ heads: 12, patchSize: 1, gridShape: [3, 5] })),
    ],
    ["one patch, one variable", tinyModel(tinyConfig({ gridShape: [2, 2], variables: ["2m_temperature"] }))],
    ["the parallel form", tinyModel(tinyConfig({ parallelPatchEmbed: true }), swapped)],
    ["a region", tinyModel(tinyConfig({ region: { rows: [1, 2], columns: [0, 4, 5] } }), swapped)],
    ["changes of the state", tinyModel(tinyConfig({ residual: true }))],
    ["changes of some states", tinyModel(tinyConfig({ residual: true }), swapped)],
    ["projection", tinyModel(tinyProjection())],
    [
      "projection of one year and some variables",
      tinyModel(tinyProjection({ history: 1 }), { inputs: ["SO2"], outputs: ["pr"] }),
    ],
    [
      "projection, the parallel form",
      tinyModel(tinyProjection({ parallelPatchEmbed: true }), { outputs: ["pr", "tas"] }),
    ],
    ["vit", tinyModel(tinyConfig(vitLists))],
    [
      "vit of a region, some outputs, changes",
      tinyModel(tinyConfig({ ...vitLists, residual: true, region: { rows: [0, 3], columns: [1] } }), {
        inputs: swapped.inputs,
        outputs: ["temperature_850"],
      }),
    ],
  ])("%s, for one sample and for three", async ([, model]) => {
    const judged = await open(model, true);
    const leads = [6, 72, 700];
    const x = fields(model, 3);
    const three = await judge(judged, model, x, leads);
    const wanted = await ownForward(model, x, leads);
    expect(relativeError(three, wanted)).toBeLessThan(1e-5);
    const one = await judge(judged, model, x.slice(x.length / 3, (2 * x.length) / 3), [72]);
    // Sums of other shapes may take another order.
    expect(relativeError(one, three.subarray(one.length, 2 * one.length))).toBeLessThan(1e-6);
    await judged.release();
  });

  test("and with itself, whether it rewrites the graph or not", async () => {
    const model = tinyModel(tinyConfig());
    const x = fields(model, 1);
    const rewritten = await open(model, true);
    const plain = await openOnnx(join(folder, "model.onnx"), "disabled");
    const wanted = await judge(plain, model, x, [24]);
    expect(relativeError(await judge(rewritten, model, x, [24]), wanted)).toBeLessThan(1e-6);
    for (const judged of [rewritten, plain]) await judged.release();
  });

  test("with its weights in a file beside it", async () => {
    const model = tinyModel(tinyConfig());
    const x = fields(model, 1);
    const inside = await judge(await open(model, true), model, x, [24]);
    const judged = await open(model, true, 60_000);
    expect(await judge(judged, model, x, [24])).toEqual(inside);
    await judged.release();
  });
});

describe.skipIf(!hasOnnxruntime)("fields in their units", () => {
  const task = { kind: "forecast" } as const;
  const models: [string, TinyModel][] = [
    ["climax", tinyModel(tinyConfig())],
    [
      "with targets of their own statistics",
      tinyModel(tinyConfig({ residual: true }), {
        ...swapped,
        targets: [{ name: "temperature_850", units: "K", mean: -0.3, std: 0.01 }],
      }),
    ],
    ["projection", tinyModel(tinyProjection())],
    // float32 holds 98765.4321 to 0.004, 3e-4 of this variable's deviation.
    [
      "a mean that float32 does not hold",
      tinyModel(tinyConfig(), {
        variables: [
          { name: "geopotential_500", units: "m2 s-2", mean: 98765.4321, std: 12.3 },
          { name: "2m_temperature", units: "K", mean: 0.1, std: 0.9 },
        ],
        outputs: ["2m_temperature", "geopotential_500"],
        task,
      }),
    ],
  ];
  test.for(models)("%s, as the Predictor scales them", async ([, model]) => {
    const { info } = model;
    const variables = info.inputs ?? info.variables.map(({ name }) => name);
    const [B, H, W] = [2, ...networkOf(info.model).fieldShape];
    const scale = (list: CheckpointInfo["variables"], name: string) =>
      list.find((known) => known.name === name);
    const x = fields(model, B).map((value, i) => {
      const { mean, std } = scale(info.variables, variables[Math.floor(i / (H * W)) % variables.length]!)!;
      return mean + std * value;
    });
    const judged = await open(model, false);
    const found = await judge(judged, model, x, [6, 120]);
    await judged.release();
    const predictor = await Predictor.load(gpu, model as Checkpoint); // of which it reads these two
    const wanted = await predictor.predict({ variables, fields: x, leadHours: [6, 120] }, info.outputs);
    predictor.free();

    const targets = info.outputs.map(
      (name) => scale(info.targets ?? [], name) ?? scale(info.variables, name)!,
    );
    const target = (i: number) => targets[Math.floor(i / (H * W)) % targets.length]!;
    const normalised = wanted.map((value, i) => (value - target(i).mean) / target(i).std);
    const rms = Math.sqrt(normalised.reduce((sum, value) => sum + value * value, 0) / normalised.length);
    // What networks agree to, times 5 for the largest of some hundred differences, and a step of float32 at the value itself.
    const excess = wanted.map((value, i) => {
      const allowed = 5e-5 * rms * target(i).std + 2 ** -23 * Math.abs(value);
      return Math.abs(found[i]! - value) / allowed;
    });
    expect(Math.max(...excess)).toBeLessThan(1);
  });
});

describe.skipIf(!hasOnnxruntime)("the reference's numbers", () => {
  test.for([
    ...["global", "global-all-variables", "patch4", "parallel-patch-embed"],
    ...["regional-NorthAmerica", "regional-Australia", "projection"],
  ])("%s", async (name) => {
    const path = `test/fixtures/reference/${name}.npz`;
    const info = await readCaseInfo("test/fixtures/reference", name);
    if (typeof info === "string") throw new Error(info);
    const arrays = await readNpz(path);
    const array = (key: string) => Float32Array.from(arrays.get(key)!.data as Float32Array);
    const config = networkConfigOf(info, path, arrays.has("param/token_embeds.proj_weights"));
    const { info: described } = tinyModel(config, { inputs: info.in_variables, outputs: info.out_variables });
    const model: TinyModel = { info: described, parameter: async (key) => array(`param/${key}`) };
    const leads = [...array("lead_times")].map((hundreds) => hundreds * 100);
    const x = info.region_info ? cropped(array("x"), arrays.get("x")!.shape, info.region_info) : array("x");
    const judged = await open(model, true);
    expect(relativeError(await judge(judged, model, x, leads), array("preds"))).toBeLessThan(1e-5);
    await judged.release();
  });
});

/** The box of fields [.., H, W] that a region's patches cover. */
function cropped(
  values: Float32Array,
  shape: readonly number[],
  { min_h, max_h, min_w, max_w }: { min_h: number; max_h: number; min_w: number; max_w: number },
): Float32Array {
  const [H, W] = shape.slice(-2) as [number, number];
  return values.filter((_, i) => {
    const [row, column] = [Math.floor(i / W) % H, i % W];
    return row >= min_h && row <= max_h && column >= min_w && column <= max_w;
  });
}

test.skipIf(!hasOnnxruntime)("the folded aggregation is the plain one, in a smaller file", async () => {
  const model = tinyModel(tinyConfig({ embedDim: 48 }), { inputs: swapped.inputs });
  const x = fields(model, 2);
  const folded = join(folder, "folded.onnx");
  const plain = join(folder, "plain.onnx");
  const { bytes } = await writeOnnx(folded, model, { normalised: true });
  const { bytes: plainBytes } = await writeOnnxFile(
    plain,
    onnxModel(model, { normalised: true }, aggregatePlain),
  );
  const [a, b] = [await openOnnx(folded), await openOnnx(plain)];
  expect(relativeError(await judge(a, model, x, [6, 48]), await judge(b, model, x, [6, 48]))).toBeLessThan(
    1e-5,
  );
  expect(bytes).toBeLessThan(plainBytes);
  for (const judged of [a, b]) await judged.release();
});
