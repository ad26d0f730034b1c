import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { default48 } from "../../src/data/variables.ts";
import { readSidecar } from "../../src/weights/sidecar.ts";

let root: string;
let folder: string;
let number = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "climax-sidecar-"));
});
beforeEach(async () => {
  folder = join(root, String(number++));
  await mkdir(join(folder, "checkpoints"), { recursive: true });
});
afterAll(() => rm(root, { recursive: true }));

const put = (name: string, text: string) => writeFile(join(folder, name), text);
const read = (name = "weights.ckpt") => readSidecar(join(folder, name));

/** As LightningCLI writes those of the reference, with more in it than is of use. */
function ofRun(net: Record<string, unknown> = {}, data: Record<string, unknown> = {}): string {
  return JSON.stringify({
    seed_everything: 42,
    trainer: { precision: 16, callbacks: [{ class_path: "pytorch_lightning.callbacks.RichProgressBar" }] },
    model: {
      ...{ lr: 5e-4, pretrained_path: "" },
      net: {
        class_path: "climax.arch.ClimaX",
        init_args: {
          default_vars: default48,
          ...{ img_size: [32, 64], patch_size: 2, embed_dim: 1024, depth: 8, decoder_depth: 2 },
          ...{ num_heads: 16, mlp_ratio: 4, drop_path: 0.1, drop_rate: 0.2 },
          ...net,
        },
      },
    },
    data: {
      ...{ root_dir: "/data", batch_size: 128, predict_range: 12, hrs_each_step: 6 },
      variables: default48,
      out_variables: ["geopotential_500", "t2m"],
      ...data,
    },
  });
}

test("there need be none", async () => {
  expect(await read()).toBeUndefined();
});

test("our own keys, spelled with dashes or underscores too", async () => {
  await put(
    "weights.ckpt.yaml",
    "variables: [t2m, z_500]\ngrid_shape: [8, 16]\nheads: 4\nleads: {min: 6, max: 24, step: 6}\n",
  );
  const said = await read();
  expect(said!.description).toEqual({
    variables: ["2m_temperature", "geopotential_500"],
    gridShape: [8, 16],
    heads: 4,
    leads: { min: 6, max: 24, step: 6 },
  });
  expect(said!.notes).toEqual([
    "from weights.ckpt.yaml: variables (2m_temperature, geopotential_500), heads 4, gridShape (8, 16), leads (min 6, max 24, step 6)",
  ]);
});

test("where statistics come from, beside the YAML", async () => {
  await put("weights.yaml", "stats: [era5, humidity.yaml]");
  expect((await read())!.said).toEqual({ stats: ["era5", join(folder, "humidity.yaml")] });
  await put("weights.yaml", "stats: era5");
  expect((await read())!.said).toEqual({ stats: ["era5"] });
});

test("a file of the weights' own name comes before one of their stem, that before the run's", async () => {
  await put("config.yaml", ofRun());
  expect((await read())!.from).toBe("config.yaml");
  await put("weights.yaml", "heads: 3");
  expect((await read())!.description).toEqual({ heads: 3 });
  await put("weights.ckpt.yaml", "heads: 2");
  expect((await read())!.description).toEqual({ heads: 2 });
});

test("config.yaml of a run lies above its folder of checkpoints", async () => {
  await put("config.yaml", ofRun());
  expect((await read("checkpoints/last.ckpt"))!.description.heads).toBe(16);
  await mkdir(join(folder, "other"));
  expect(await read("other/last.ckpt")).toBeUndefined();
});

test("what a run of the reference says", async () => {
  await put("config.yaml", ofRun());
  const { said, notes } = (await read())!;
  expect(said).toEqual({
    variables: default48,
    inputs: default48,
    outputs: ["geopotential_500", "2m_temperature"],
    leads: [72],
    ...{
      gridShape: [32, 64],
      patchSize: 2,
      embedDim: 1024,
      depth: 8,
      decoderDepth: 2,
      heads: 16,
      mlpRatio: 4,
    },
    ...{ dropPath: 0.1, dropout: 0.2 },
  });
  expect(notes).toEqual([
    "from config.yaml: 48 inputs, outputs (geopotential_500, 2m_temperature), leads (72), 48 variables, gridShape (32, 64), " +
      "patchSize 2, embedDim 1024, depth 8, decoderDepth 2, heads 16, mlpRatio 4, dropPath 0.1, dropout 0.2",
  ]);
});

test("a run of climate projection", async () => {
  const net = { default_vars: ["CO2", "SO2", "CH4", "BC"], out_vars: "tas", time_history: 10 };
  await put(
    "config.yaml",
    ofRun(net, { variables: net.default_vars, out_variables: "tas", predict_range: null }),
  );
  const { said } = (await read())!;
  expect(said).toMatchObject({ variables: net.default_vars, outputs: ["2m_temperature"], history: 10 });
  expect(said.leads).toBeUndefined();
});

test("a regional run; the globe is no region", async () => {
  await put("config.yaml", ofRun({}, { region: "NorthAmerica" }));
  expect((await read())!.said.region).toBe("NorthAmerica");
  await put("config.yaml", ofRun({}, { region: "Global" }));
  expect((await read())!.said.region).toBeUndefined();
});

test("a pretraining run: variables of all its sources, and lead times at random", async () => {
  const data = {
    ...{ variables: null, out_variables: null, predict_range: null, hrs_each_step: null },
    dict_in_variables: {
      "mpi-esm": ["2m_temperature", "geopotential_500"],
      awi: ["2m_temperature", "temperature_500"],
    },
    dict_out_variables: { "mpi-esm": null, awi: null },
    dict_max_predict_ranges: { "mpi-esm": 28, awi: 28 },
    dict_random_lead_time: { "mpi-esm": true, awi: true },
    dict_hrs_each_step: { "mpi-esm": 6, awi: 6 },
  };
  await put("config.yaml", ofRun({}, data));
  const { said } = (await read())!;
  expect(said.inputs).toEqual(["2m_temperature", "geopotential_500", "temperature_500"]);
  expect(said.leads).toEqual({ min: 6, max: 168, step: 6 });
  expect(said.outputs).toBeUndefined();
});

test("a config.yaml of something else is not read, and that is said", async () => {
  await put("config.yaml", "architecture: GPT\nheads: 99\n");
  const { said, notes } = (await read())!;
  expect(said).toEqual({});
  expect(notes).toEqual(["config.yaml beside it is not LightningCLI's (no model.net) and was not read"]);
});

test.for([
  ["weights.yaml", "head: 4", 'has the key "head"; did you mean "heads"?'],
  ["weights.yaml", "leads: {min: 24, max: 6, step: 6}", "says what cannot be: leads"],
  ["weights.yaml", "heads: four", "says what cannot be: heads: Invalid input: expected number"],
  ["weights.yaml", "heads: 4\nheads: 5", 'is not YAML: the key "heads" stands twice'],
  ["weights.yaml", "- heads", 'is no list of settings, one "name: value" a line'],
  ["weights.yaml", "", "is no list of settings"],
  ["weights.yaml", "[".repeat(1000), "is not YAML: more than 64 brackets are open at once"],
  ["weights.yaml", `# ${"x".repeat(300_000)}`, "has 300002 bytes, more than the 262144 of any settings"],
  ["config.yaml", ofRun({ num_heads: "many" }), "says num_heads many, which cannot be: Invalid input"],
  ["config.yaml", ofRun({ img_size: [32] }), "says img_size"],
  ["config.yaml", ofRun({}, { out_variables: [["a"]] }), "says out_variables"],
] as const)("%s with %s is refused", async ([name, text, message]) => {
  await put(name, text);
  await expect(read()).rejects.toMatchObject({
    kind: "config",
    message: expect.stringContaining(message),
    hint: "mend the file, or move it away and give the flags --source.* instead",
  });
});

test("a folder of that name is refused", async () => {
  await mkdir(join(folder, "weights.yaml"));
  await expect(read()).rejects.toThrow("is not a file");
});
