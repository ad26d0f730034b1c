import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { weightsText } from "../../src/cli/inspectcheckpointtext.ts";
import { hash32 } from "../../src/data/hash.ts";
import { default48 } from "../../src/data/variables.ts";
import { ClimaxError } from "../../src/errors.ts";
import { writeCheckpoint } from "../../src/model/checkpoint.ts";
import { NetworkConfig, networkOf } from "../../src/model/network.ts";
import { openSafetensors, writeSafetensors } from "../../src/model/safetensors.ts";
import { writeTorchCheckpoint } from "../../src/torch/torchwrite.ts";
import { inspectWeights } from "../../src/weights/inspectweights.ts";
import { looksLikeWeights } from "../../src/weights/lookslike.ts";
import { saidEntries } from "../../src/weights/saidentries.ts";
import { tensorValues } from "../../src/weights/tensorvalues.ts";
import { weightsSchema } from "../../src/weights/weightsschema.ts";
import { refusalOf } from "../support/refusal.ts";
import { writeToyCheckpoint } from "../support/toycheckpoint.ts";
import { zipBytes } from "../support/zipbytes.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-inspect-weights-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const small = {
  variables: ["land_sea_mask", "2m_temperature", "geopotential_500"],
  ...{ gridShape: [8, 16], patchSize: 2, embedDim: 16, depth: 2, decoderDepth: 1, heads: 4 },
};

/** Tensors of a network, made of small numbers. */
function tensorsOf(config: Record<string, unknown>, rename: (name: string) => string = (name) => name) {
  return [...networkOf(NetworkConfig.parse(config)).shapes].map(([name, shape]) => ({
    name: rename(name),
    shape,
    values: () => new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5),
  }));
}

const torch = (name: string, config: Record<string, unknown>, says = {}, rename?: (name: string) => string) =>
  writeTorchCheckpoint(at(name), tensorsOf(config, rename), says).then(() => at(name));

describe("a climax checkpoint", () => {
  test("says what it is, wholly in the form of the schema", async () => {
    const checkpoint = await writeToyCheckpoint(at("toy.safetensors"), {
      provenance: {
        stage: "pretrain",
        step: 7,
        data: [{ dir: "earth", source: "a planet", synthetic: true }],
      },
    });
    await checkpoint.close();
    const found = await inspectWeights(at("toy.safetensors"));
    expect(weightsSchema.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
    expect(found).toMatchObject({
      kind: "climax checkpoint",
      title: "climax checkpoint",
      format: "safetensors",
      synthetic: true,
      grid: "8 x 16, 22.5 degrees",
      leads: "6 h to 168 h, every 6 h",
      task: "forecasts",
      normalised: true,
      variableCount: 4,
      names: { prefix: "", older: false },
      resume: { possible: false, bytes: 0 },
      training: [{ stage: "pretrain", steps: 7, data: [{ set: "earth", synthetic: true }] }],
      problems: [],
      next: { usable: true },
    });
    const bytes = readFileSync(at("toy.safetensors"));
    expect(found.bytes).toBe(bytes.length);
    expect(found.sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
    const shapes = [...networkOf(checkpoint.info.model).shapes.values()];
    const parameters = shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(found.parameters).toBe(parameters);
    expect(found.parts.reduce((sum, part) => sum + part.parameters, 0)).toBe(parameters);
    expect(found.dtypes).toEqual([{ dtype: "F32", tensors: shapes.length, bytes: 4 * parameters }]);
    expect(found.variables.map(({ name, input, output }) => [name, input, output])).toEqual([
      ["orography", true, false],
      ["2m_temperature", true, true],
      ["temperature_850", true, true],
    ]);
    expect(found.next.commands[0]).toBe(
      `climax finetune --checkpoint ${at("toy.safetensors")} --data.set SET -o run`,
    );
  });

  test("with optimiser states: how many bytes, and that it can go on", async () => {
    const { info, close } = await writeToyCheckpoint(at("plain.safetensors"), { provenance: { step: 12 } });
    await close();
    const zeros = (name: string) =>
      new Float32Array(
        networkOf(info.model)
          .shapes.get(name)!
          .reduce((a, b) => a * b, 1),
      );
    const resume = { moments: { expAvg: zeros, expAvgSq: zeros }, training: { step: 12 } };
    await writeCheckpoint(at("last.safetensors"), info, zeros, resume);
    const found = await inspectWeights(at("last.safetensors"));
    expect(found.resume).toMatchObject({ possible: true, bytes: 8 * found.parameters });
    expect(found.resume.why).toContain("--resume goes on at step 12");
    expect(found.tensors.every(({ name }) => !name.startsWith("optimiser."))).toBe(true);
  });

  test("that lacks a parameter, or of which a byte is missing, is refused", async () => {
    await (await writeToyCheckpoint(at("whole.safetensors"))).close();
    const file = await openSafetensors(at("whole.safetensors"));
    const tensors = [...file.tensors]
      .slice(1)
      .map(([name, { shape }]) => ({ name, shape, values: () => file.read(name) }));
    await writeSafetensors(at("less.safetensors"), tensors, Object.fromEntries(file.metadata));
    await file.close();
    expect(await refusalOf(inspectWeights(at("less.safetensors")))).toMatch(
      /^checkpoint: \S+less\.safetensors is no usable climax checkpoint: "var_embed" is missing \| /,
    );
    writeFileSync(at("short.safetensors"), readFileSync(at("whole.safetensors")).subarray(0, -1));
    expect(await refusalOf(inspectWeights(at("short.safetensors")))).toMatch(
      /^checkpoint: \S+ is no sound safetensors file: /,
    );
  });

  test("exported for PyTorch comes back whole, and what is missing then is said", async () => {
    const { info, parameter, close } = await writeToyCheckpoint(at("export.safetensors"));
    const tensors = [...networkOf(info.model).shapes].map(([name, shape]) => ({
      name: `net.${name}`,
      shape,
      values: () => parameter(name),
    }));
    await writeTorchCheckpoint(at("export.ckpt"), tensors, { climax: JSON.stringify(info) });
    await writeTorchCheckpoint(at("part.ckpt"), tensors.slice(0, -1), { climax: JSON.stringify(info) });
    await writeTorchCheckpoint(at("liar.ckpt"), tensors, { climax: "{}" });
    await close();
    const found = await inspectWeights(at("export.ckpt"));
    expect(weightsSchema.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
    expect(found).toMatchObject({
      kind: "climax checkpoint",
      title: "climax checkpoint exported for PyTorch",
      grid: "8 x 16, 22.5 degrees",
      normalised: true,
      names: { prefix: "net.", older: false },
      problems: [],
    });
    expect(found.next.commands[0]).toBe(`climax convert ${at("export.ckpt")} -o export.safetensors`);
    expect((await inspectWeights(at("part.ckpt"))).problems).toEqual(["missing 1: head.2.bias"]);
    expect(await refusalOf(inspectWeights(at("liar.ckpt")))).toMatch(
      /^checkpoint: what \S+liar\.ckpt says of itself under "climax" cannot be read/,
    );
  });
});

describe("bare weights", () => {
  test("shapes tell the network; what they do not is said, with the flags that are needed", async () => {
    const says = {
      epoch: 3,
      global_step: 1234,
      "pytorch-lightning_version": "1.9.0",
      hyper_parameters: { lr: 5e-4 },
    };
    const found = await inspectWeights(await torch("bare.ckpt", small, says, (name) => `net.${name}`));
    expect(weightsSchema.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
    expect(found).toMatchObject({
      kind: "ClimaX weights",
      title: "PyTorch Lightning 1.9.0 checkpoint (zip)",
      variables: [],
      variableCount: 3,
      normalised: false,
      grid: "8 x 16, 22.5 degrees",
      leads: null,
      names: { prefix: "net.", older: false },
      network: {
        name: "ClimaX",
        sizes: "3 variables, patch 2, D 16, depth 2, heads not in the file, head of 1 hidden layer",
        config: {
          variableCount: 3,
          patches: 32,
          patchSize: 2,
          embedDim: 16,
          depth: 2,
          decoderDepth: 1,
          mlpRatio: 4,
        },
      },
      training: [{ stage: "trained elsewhere", steps: 1234, settings: { epoch: "3" } }],
      says: expect.arrayContaining([{ key: "hyper_parameters.lr", value: "0.0005" }]),
    });
    expect(found.network!.config).not.toHaveProperty("heads");
    expect(found.network!.unseen).toEqual([
      "not in the file, and needed: --source.heads NUMBER",
      "not in the file, and needed: --source.variables NAME,... (3 names, in its order)",
      expect.stringMatching(/^not in the file; climax convert assumes a grid of 8 x 16 points/),
    ]);
    expect(found.next).toMatchObject({
      usable: false,
      why: "it lacks heads, variables, and mean and deviation of its variables",
    });
    expect(found.next.commands[0]).toBe(
      `climax convert ${at("bare.ckpt")} --source.heads NUMBER --source.variables NAME,... --stats SET -o bare.safetensors`,
    );
  });

  test("a grid that is not twice as wide as high cannot be seen", async () => {
    const found = await inspectWeights(await torch("square.ckpt", { ...small, gridShape: [8, 8] }));
    expect(found.grid).toBeNull();
    expect(found.network!.unseen).toContain(
      "not in the file, and needed: --source.grid-shape H,W (16 patches of 2 x 2 points)",
    );
    expect(found.next.commands[0]).toContain(" --source.grid-shape H,W ");
  });

  test("what lies beside them is believed, and need not be given", async () => {
    const path = await torch("beside.ckpt", small);
    writeFileSync(
      at("beside.yaml"),
      "heads: 4\nvariables: [land_sea_mask, 2m_temperature, geopotential_500]\nleads: [72]\n",
    );
    const found = await inspectWeights(path);
    expect(found.network!.sizes).toContain("4 heads");
    expect(found.variables.map(({ name }) => name)).toEqual(small.variables);
    expect(found.leads).toBe("72 h");
    expect(found.next.commands[0]).toBe(`climax convert ${path} --stats era5 -o beside.safetensors`);
    writeFileSync(at("beside.yaml"), "heads: 4\nvariables: [land_sea_mask]\n");
    const wrong = await inspectWeights(path);
    expect(wrong.problems[0]).toMatch(/has var_embed of 3 variables, but beside\.yaml says 1 variables/);
    expect(wrong.next).toMatchObject({ usable: false, commands: [] });
  });

  test("the paper's network is known by its width and number of variables", async () => {
    const paper = {
      variables: default48,
      gridShape: [4, 8],
      patchSize: 2,
      embedDim: 1024,
      depth: 1,
      decoderDepth: 0,
      mlpRatio: 0.25,
      heads: 16,
    };
    const older = (name: string) => `net.${name.replace(/^var_(embed$|query$|agg\.)/, "channel_$1")}`;
    const found = await inspectWeights(await torch("paper.ckpt", paper, {}, older));
    expect(found.names).toEqual({ prefix: "net.", older: true });
    expect(found.network!.sizes).toContain("D 1024, depth 1, 16 heads");
    expect(found.network!.unseen.join("\n")).toContain(
      "climax convert assumes 16 attention heads, the paper's for D 1024",
    );
    expect(found.variables.map(({ name }) => name)).toEqual(default48);
    expect(found.next.why).toMatch(/era5, which comes with climax, has \d\d of 48/);
    expect(found.next.commands[0]).toBe(
      `climax convert ${at("paper.ckpt")} --stats era5,SET -o paper.safetensors`,
    );
  });

  test("a projection, and safetensors without a description", async () => {
    const projection = {
      type: "projection",
      ...{
        variables: ["CO2", "SO2", "CH4", "BC", "pr90"],
        inputs: ["CO2", "SO2", "CH4", "BC"],
        outputs: ["pr90"],
      },
      ...{ gridShape: [8, 16], patchSize: 2, embedDim: 16, depth: 1, heads: 4, history: 3 },
    };
    await writeSafetensors(at("projection.safetensors"), tensorsOf(projection), {});
    const found = await inspectWeights(at("projection.safetensors"));
    expect(found).toMatchObject({
      title: "safetensors",
      task: "climate projections from 3 steps",
      network: { name: "ClimaX for projections" },
    });
    expect(found.parts.map(({ part }) => part)).toContain("time aggregation");
    expect(found.next.commands[0]).toContain("-o projection-climax.safetensors"); // never over the file itself
  });

  test("values that are not finite, and tensors that are missing, are pointed out", async () => {
    const tensors = tensorsOf(small).map((tensor) =>
      tensor.name === "norm.weight"
        ? { ...tensor, values: () => new Float32Array(16).fill(Number.NaN, 3, 5) }
        : tensor,
    );
    await writeTorchCheckpoint(
      at("nan.ckpt"),
      tensors.filter(({ name }) => name !== "blocks.1.norm1.bias"),
      {},
    );
    const found = await inspectWeights(at("nan.ckpt"));
    expect(found.problems).toEqual([
      "missing 1: blocks.1.norm1.bias; it would begin anew",
      "NOT FINITE: 2 values of norm.weight; every forecast with it would be NaN",
    ]);
    expect(found.next).toEqual({
      usable: false,
      why: "take an earlier checkpoint of that run",
      commands: [],
    });
    expect(found.tensors.find(({ name }) => name === "norm.weight")).toMatchObject({
      nonFinite: 2,
      min: 0,
      max: 0,
    });
  });

  test("weights of another model are listed all the same", async () => {
    const tensors = [
      { name: "layers.0.weight", shape: [2, 3], values: () => Float32Array.of(1, 2, 3, 4, 5, 6) },
    ];
    await writeTorchCheckpoint(at("other.pt"), tensors, {});
    const found = await inspectWeights(at("other.pt"));
    expect(found).toMatchObject({
      kind: "other weights",
      network: null,
      parameters: 6,
      next: { usable: false, commands: [] },
    });
    expect(found.problems[0]).toMatch(/is no ClimaX: it has "layers\.0\.weight"/);
    expect(found.tensors).toEqual([
      {
        ...{ name: "layers.0.weight", part: "layers", dtype: "F32", shape: [2, 3], bytes: 24 },
        ...{ min: 1, max: 6, mean: 3.5, std: Math.sqrt(35 / 12), nonFinite: 0 },
      },
    ]);
  });
});

describe("values of tensors", () => {
  test("a large mean costs the deviation no digits", () => {
    const values = Float32Array.from({ length: 200_000 }, (_, i) => 1e6 + (i % 2));
    const { mean, std, min, max } = tensorValues(values);
    expect([min, max]).toEqual([1e6, 1e6 + 1]);
    expect(mean).toBeCloseTo(1e6 + 0.5, 9);
    expect(std).toBeCloseTo(0.5, 9);
  });

  test("what is not finite is counted and left out; nothing of an empty tensor, or one of NaN alone", () => {
    expect(tensorValues(Float32Array.of(Number.NaN, 2, Number.NEGATIVE_INFINITY, 4))).toEqual({
      ...{ min: 2, max: 4, mean: 3, std: 1, nonFinite: 2 },
    });
    const nothing = { min: null, max: null, mean: null, std: null };
    expect(tensorValues(Float32Array.of(Number.NaN))).toEqual({ ...nothing, nonFinite: 1 });
    expect(tensorValues(new Float32Array(0))).toEqual({ ...nothing, nonFinite: 0 });
  });
});

test("what a file says is bounded, and free of what a terminal would obey", () => {
  const deep = { a: { b: { c: { d: { e: { f: { g: 1 } } } } } } };
  const wide = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, "x".repeat(5000)]));
  const entries = saidEntries({
    bell: "\u0007\u001b[2J\nnext",
    list: [1, 2],
    deep,
    wide,
    climax: "kept elsewhere",
  });
  expect(entries.slice(0, 3)).toEqual([
    { key: "bell", value: "[2J next" },
    { key: "list", value: "[1, 2]" },
    { key: "deep.a.b.c.d.e", value: "{...}" },
  ]);
  expect(entries).toHaveLength(200);
  expect(entries.every(({ value }) => value.length <= 400)).toBe(true);
});

test("weights are known by their content, not their names", async () => {
  await torch("weights.nc", small);
  await writeSafetensors(at("plain.txt"), tensorsOf(small), {});
  writeFileSync(at("array.safetensors"), zipBytes([{ name: "x.npy", data: Buffer.from("\x93NUMPY") }]));
  writeFileSync(at("text.ckpt"), "year,CO2\n1850,1\n");
  writeFileSync(at("empty.ckpt"), "");
  writeFileSync(at("graph.bin"), Uint8Array.of(0x08, 0x08, 0x12, 0x06, ...Buffer.from("climax")));
  mkdirSync(at("folder.ckpt"));
  const looks = async (name: string) => looksLikeWeights(at(name));
  expect(await looks("weights.nc")).toBe("weights");
  expect(await looks("plain.txt")).toBe("weights");
  expect(await looks("graph.bin")).toBe("onnx");
  for (const name of ["array.safetensors", "text.ckpt", "empty.ckpt", "folder.ckpt", "nowhere.ckpt"])
    expect(await looks(name)).toBeUndefined();
});

test("a file with bytes changed is described or refused, and its text is never obeyed", async () => {
  await (await writeToyCheckpoint(at("sound.safetensors"))).close();
  const files = [at("sound.safetensors"), await torch("sound.ckpt", small, { note: "a text" })];
  const outcomes = { described: 0, refused: 0 };
  for (const [f, file] of files.entries()) {
    const whole = readFileSync(file);
    for (let k = 0; k < 60; k++) {
      const bytes = Buffer.from(whole);
      // The header lies in front, a zip's directory at the end.
      const places = [bytes.length, 4000, 60].map(
        (range) => hash32(f, k, range) % Math.min(range, bytes.length),
      );
      for (const place of [places[0]!, places[1]!, bytes.length - 1 - places[2]!]) {
        if (hash32(f, k, place) % 3 > 0) bytes[place]! ^= 1 << (hash32(f, k, place, 1) % 8);
      }
      writeFileSync(at("changed"), bytes);
      try {
        const found = await inspectWeights(at("changed"));
        weightsSchema.parse(JSON.parse(JSON.stringify(found)));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
        expect(weightsText(found, true)).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
        outcomes.described++;
      } catch (error) {
        expect(error).toBeInstanceOf(ClimaxError);
        outcomes.refused++;
      }
    }
  }
  expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(10); // both were tried
});

const reference = join("..", "shared", "reference");
describe.skipIf(!existsSync(reference))(
  "checkpoints of the reference implementation (../shared/reference)",
  () => {
    test.for([
      ["global.ckpt", "PyTorch Lightning 1.9.0 checkpoint (zip)", false],
      ["global.channel-names.ckpt", "checkpoint of PyTorch (zip)", true],
      ["parallel-patch-embed.ckpt", "PyTorch Lightning 1.9.0 checkpoint (zip)", false],
      ["parallel-patch-embed.channel-names.ckpt", "checkpoint of PyTorch (zip)", true],
    ] as const)("%s", async ([name, title, older]) => {
      const path = join(reference, name);
      const found = await inspectWeights(path);
      expect(weightsSchema.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
      expect(found).toMatchObject({
        ...{
          kind: "ClimaX weights",
          title,
          names: { prefix: "net.", older },
          grid: "8 x 16, 22.5 degrees",
          problems: [],
        },
        training: [{ steps: 1234, settings: { epoch: "3" } }],
      });
      expect(found.sha256).toBe(createHash("sha256").update(readFileSync(path)).digest("hex"));
      expect(found.network!.config).toMatchObject({
        patchSize: 2,
        embedDim: 32,
        depth: 2,
        decoderDepth: 2,
        parallelPatchEmbed: name.startsWith("parallel"),
      });
      expect(found.resume.why).toMatch(
        older ? /^no optimiser states$/ : /^optimiser states of PyTorch \(\d+ tensors, [\d.]+ kB\)/,
      );
    });
  },
);
