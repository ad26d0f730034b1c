/** What we export, judged by PyTorch: every tensor bit by bit, and the forward pass in its own arithmetic. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCaseInfo } from "../../src/cli/referenceinfo.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { readNpz } from "../../src/files/npy.ts";
import { CheckpointInfo, writeCheckpoint } from "../../src/model/checkpoint.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { networkOf } from "../../src/model/network.ts";
import { ProjectionConfig } from "../../src/model/projection.ts";
import { writeTorchCheckpoint } from "../../src/torch/torchwrite.ts";
import { nameAs } from "../../src/weights/names.ts";
import { torchSays } from "../../src/weights/torchsays.ts";
import { gpu, uniform } from "../support/gradcheck.ts";
import { type JudgedTensor, type Judgement, judge, torchPython } from "../support/torchjudge.ts";

const REFERENCE = "test/fixtures/reference";
const leadHours = [6, 72];
const sizes = { height: 8, width: 16, patch: 2, dim: 32, depth: 2, heads: 4 };
const common = { gridShape: [8, 16], embedDim: 32, depth: 2, heads: 4 };

/** Models of ours, and how the network in PyTorch is told their sizes. */
const models = [
  {
    kind: "climax",
    config: ModelConfig.parse({ variables: ["2m_temperature", "geopotential_500", "lattitude"], ...common }),
    variables: [0, 1, 2],
    outputs: [0, 1, 2],
    shape: [2, 3, 8, 16],
    sizes: { ...sizes, variables: 3 },
  },
  {
    kind: "projection",
    config: ProjectionConfig.parse({
      ...{ type: "projection", ...common, history: 3 },
      ...{ variables: ["CO2", "SO2", "tas", "pr"], inputs: ["CO2", "SO2"], outputs: ["tas", "pr"] },
    }),
    variables: [0, 1],
    outputs: [2, 3],
    shape: [2, 3, 2, 8, 16],
    sizes: { ...sizes, variables: 2, history: 3, outputs: 2 },
  },
].map(({ config, shape, ...model }) => {
  const network = networkOf(config);
  const random = uniform(7);
  // Starting values with noise, so that no part of the network is without effect.
  const weights = [...network.initialise(3)].map(([name, values]) => ({
    name,
    shape: network.shapes.get(name)!,
    values: values.map((value) => value + random() / 8),
  }));
  const x = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, uniform(9));
  return { ...model, config, network, weights, x, shape, info: infoOf(config) };
});
type Model = (typeof models)[number];

function infoOf(model: ModelConfig | ProjectionConfig): CheckpointInfo {
  const outputs = model.type === "projection" ? model.outputs : model.variables;
  return CheckpointInfo.parse({
    ...{ format: "climax-checkpoint", version: 1, model, outputs, leads: [24], synthetic: true },
    variables: model.variables.map((name, i) => ({ name, units: "1", mean: i / 3, std: 1 + i })),
    grid: { lat: [-7, -5, -3, -1, 1, 3, 5, 7], lon: Array.from({ length: 16 }, (_, i) => i) },
    provenance: { note: "Grüße" },
  });
}

async function ourPrediction({ network, weights, x, shape, variables, outputs }: Model) {
  const parameters = new Map(weights.map((w) => [w.name, tensor(gpu, w.shape, w.values)]));
  return await read(network.forward(parameters, { x: tensor(gpu, shape, x), variables, leadHours, outputs }));
}

const sha256 = (values: Float32Array) =>
  createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex");

/** ||a - b|| / ||b|| */
function distance(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  const norm = (values: Float32Array) => Math.hypot(...values);
  return norm(a.map((value, i) => value - b[i]!)) / norm(b);
}

/** Cases that the reference computed itself, by the network they are of. */
const cases = { climax: "global-all-variables", projection: "projection" };

async function readCase(name: string) {
  const arrays = await readNpz(join(REFERENCE, `${name}.npz`));
  const info = await readCaseInfo(REFERENCE, name);
  if (typeof info === "string") throw new Error(info);
  const { config: c, in_variables: variables } = info;
  expect(variables).toEqual(c.default_vars); // the networks of the judge take all of them, in that order
  const f32 = (key: string) => Float32Array.from(arrays.get(key)!.data as ArrayLike<number>);
  const weights = [...arrays].flatMap(([key, { shape }]) =>
    key.startsWith("param/") ? [{ name: key.slice(6), shape, values: f32(key) }] : [],
  );
  const [height, width] = c.img_size;
  const told = { variables: variables.length, height, width, patch: c.patch_size, dim: c.embed_dim };
  const history = c.time_history === undefined ? {} : { history: c.time_history, outputs: 1 };
  return {
    ...{
      weights,
      x: f32("x"),
      shape: arrays.get("x")!.shape,
      lead: [...f32("lead_times")],
      preds: f32("preds"),
    },
    sizes: { ...told, depth: c.depth, heads: c.num_heads, ...history },
  };
}

describe.skipIf(torchPython === undefined)("PyTorch (needs a Python that has it)", () => {
  let folder: string;
  const answers = new Map<string, Judgement>();
  const at = (name: string) => join(folder, name);
  const predictionAt = async (name: string) =>
    new Float32Array((await readFile(at(`${name}.y`))).buffer.slice(0));

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "climax-torchjudge-"));
    const questions = new Map<string, object>();
    const write = async (
      file: string,
      weights: Model["weights"],
      style: { prefix: string; older: boolean },
      says: Parameters<typeof writeTorchCheckpoint>[2],
    ) => {
      const named = weights.map(({ name, shape, values }) => ({
        name: nameAs(name, style),
        shape,
        values: () => values,
      }));
      await writeTorchCheckpoint(at(file), named, says);
      questions.set(`load ${file}`, { ask: "load", path: at(file) });
    };
    const predict = async (
      file: string,
      network: string,
      {
        x,
        shape,
        lead,
        sizes,
      }: { x: Float32Array; shape: readonly number[]; lead: readonly number[]; sizes: object },
      prefix = "net.",
    ) => {
      await writeFile(at(`${file}.x`), x);
      questions.set(`predict ${file}`, {
        ...{ ask: "predict", path: at(file), prefix, network, sizes, lead },
        ...{ x: { file: at(`${file}.x`), shape }, to: at(`${file}.y`) },
      });
    };

    for (const { kind, weights, info, ...model } of models) {
      const says = torchSays(info);
      await write(`${kind}.ckpt`, weights, { prefix: "net.", older: false }, says);
      await write(`${kind}-older.ckpt`, weights, { prefix: "net.", older: true }, says);
      await write(`${kind}-bare.ckpt`, weights, { prefix: "", older: false }, says);
      const input = { ...model, lead: leadHours.map((hours) => hours / 100) };
      await predict(`${kind}.ckpt`, kind, input);
      await predict(`${kind}-bare.ckpt`, kind, input, "");
      const file = `${kind}.safetensors`;
      await writeCheckpoint(at(file), info, (name) => weights.find((w) => w.name === name)!.values);
      questions.set(file, { ask: "safetensors", path: at(file) });
    }
    for (const [kind, name] of Object.entries(cases)) {
      const { weights, ...input } = await readCase(name);
      await write(`reference-${name}.ckpt`, weights, { prefix: "net.", older: false }, {});
      await predict(`reference-${name}.ckpt`, kind, input);
    }
    const found = await judge([...questions.values()]);
    for (const [i, question] of [...questions.keys()].entries()) answers.set(question, found[i]!);
  });
  afterAll(() => rm(folder, { recursive: true }));

  const kinds = models.map((model) => [model.kind, model] as const);

  /** Names, shapes and elements as they were written. */
  const written = ({ weights }: Model, style: { prefix: string; older: boolean }, dtype: string) =>
    weights.map(({ name, shape, values }): [string, JudgedTensor] => [
      nameAs(name, style),
      { shape, dtype, sha256: sha256(values) },
    ]);

  test.for(kinds)("loads each tensor of a %s bit by bit, by newer and older names", ([kind, model]) => {
    for (const [file, style] of [
      [`${kind}.ckpt`, { prefix: "net.", older: false }],
      [`${kind}-older.ckpt`, { prefix: "net.", older: true }],
      [`${kind}-bare.ckpt`, { prefix: "", older: false }],
    ] as const) {
      const { kind: dictionary, tensors } = answers.get(`load ${file}`)!;
      expect(dictionary).toBe("OrderedDict");
      expect(Object.entries(tensors!)).toEqual(
        written(model, style, "torch.float32").map(([name, found]) => [name, { ...found, contiguous: true }]),
      );
    }
    expect(Object.keys(answers.get(`load ${kind}-older.ckpt`)!.tensors!)).toContain("net.channel_query");
  });

  test.for(kinds)(
    "finds in a %s what Lightning asks for, what builds the network, and all of ours",
    ([kind, { info }]) => {
      const { says } = answers.get(`load ${kind}.ckpt`)!;
      expect(says).toEqual(torchSays(info));
      expect(CheckpointInfo.parse(JSON.parse(says!.climax as string))).toEqual(info);
      expect(says).toMatchObject({
        ...{ epoch: 0, global_step: 0, "pytorch-lightning_version": "1.8.0" },
        hyper_parameters: {
          img_size: [8, 16],
          patch_size: 2,
          embed_dim: 32,
          num_heads: 4,
          mlp_ratio: 4,
          drop_rate: 0.1,
        },
      });
    },
  );

  test("needs no trust to load it: weights_only", () => {
    const { torch, restricted } = answers.get("load climax.ckpt")!;
    // Before 2.0 it refused any float, such as those of the hyper-parameters.
    if (torch!.startsWith("1."))
      expect(restricted).toMatch(/Unsupported operand 71|unexpected keyword|invalid keyword/);
    else expect(restricted).toBe("the same");
    const { restricted: bare } = answers.get("load reference-projection.ckpt")!; // which has no more than tensors
    expect(bare).toBe(restricted!.includes("keyword") ? restricted : "the same");
  });

  test.for(kinds)(
    "reads a %s in safetensors by the format's definition, by the reference's names",
    ([kind, model]) => {
      const { tensors, says } = answers.get(`${kind}.safetensors`)!;
      const wanted = written(model, { prefix: "", older: false }, "float32");
      expect(Object.entries(tensors!)).toEqual(wanted);
      expect(JSON.parse(says!.climax as string)).toEqual(model.info);
    },
  );

  // A digit above what float32 does in a network of this depth.
  test.for(Object.entries(cases))("has a %s that predicts as the reference did", async ([, name]) => {
    const { preds } = await readCase(name);
    expect(distance(await predictionAt(`reference-${name}.ckpt`), preds)).toBeLessThan(1e-5);
  });

  test.for(kinds)("gives a %s our state dict, strictly, and predicts what we do", async ([kind, model]) => {
    const ours = await ourPrediction(model);
    for (const [file, prefix] of [
      [`${kind}.ckpt`, "net."],
      [`${kind}-bare.ckpt`, ""],
    ] as const) {
      expect(answers.get(`predict ${file}`)!.names!.toSorted()).toEqual(
        model.weights.map(({ name }) => prefix + name).toSorted(),
      );
      expect(distance(ours, await predictionAt(file)), file).toBeLessThan(1e-5);
    }
  });
});
