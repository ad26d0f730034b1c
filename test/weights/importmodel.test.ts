import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readNpz } from "../../src/files/npy.ts";
import type { NpyArray } from "../../src/files/npyformat.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { openCheckpoint, writeCheckpoint } from "../../src/model/checkpoint.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { networkOf } from "../../src/model/network.ts";
import { writeSafetensors } from "../../src/model/safetensors.ts";
import { writeTorchCheckpoint } from "../../src/torch/torchwrite.ts";
import { type ImportOptions, importModel, openModel } from "../../src/weights/importmodel.ts";
import type { WeightSource } from "../../src/weights/source.ts";
import { type Making, madeWeights } from "../support/madeweights.ts";
import { refusalOf } from "../support/refusal.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "climax-import-"));
});
afterAll(() => rm(folder, { recursive: true }));

const variables = [
  "land_sea_mask",
  "lattitude",
  "2m_temperature",
  "geopotential_500",
  "relative_humidity_500",
];
const sizes = { gridShape: [8, 16], patchSize: 2, embedDim: 16, depth: 2, decoderDepth: 1, heads: 4 };
const small = { variables, ...sizes };
const told = { source: { variables, heads: 4 }, stats: ["era5"] };
const projecting = {
  type: "projection",
  ...{
    variables: ["CO2", "SO2", "CH4", "BC", "2m_temperature", "pr90"],
    inputs: ["CO2", "SO2", "CH4", "BC"],
  },
  ...{ outputs: ["2m_temperature", "pr90"], history: 3 },
  ...{ gridShape: [8, 16], patchSize: 2, embedDim: 16, depth: 1, heads: 4 },
};

const imported = (options: ImportOptions = told, making: Making = {}) =>
  importModel(madeWeights(small, making), options);
const refused = (options: ImportOptions, making: Making = {}, config: Record<string, unknown> = small) =>
  refusalOf(importModel(madeWeights(config, making), options));

test("a bare file with what is said of it becomes a complete model", async () => {
  const source = madeWeights(small, {
    says: { epoch: 3, global_step: 1234, "pytorch-lightning_version": "1.9" },
  });
  const model = await importModel(source, told);
  const { info } = model;
  expect(info.model).toMatchObject({ type: "climax", ...small, mlpRatio: 4, residual: false });
  expect(info.task).toEqual({ kind: "forecast" });
  expect(info.inputs).toEqual(["land_sea_mask", "lattitude", "2m_temperature", "geopotential_500"]);
  expect(info.outputs).toEqual(["2m_temperature", "geopotential_500"]);
  expect(info.variables.map(({ name, units }) => `${name} ${units}`)).toEqual([
    ...["land_sea_mask 1", "lattitude degrees_north", "2m_temperature K", "geopotential_500 m2 s-2"],
  ]);
  expect(info.variables[2]).toEqual({ name: "2m_temperature", units: "K", mean: 278.5063, std: 21.211138 });
  const { lat, lon } = regularGrid(22.5);
  expect(info.grid).toEqual({ lat: [...lat], lon: [...lon] });
  expect(info.leads).toEqual({ min: 6, max: 168, step: 6 });
  expect(info.synthetic).toBe(false);
  expect(info.provenance).toMatchObject({
    stage: "import",
    importedFrom: {
      ...{ path: "weights.ckpt", format: "PyTorch zip", bytes: 1000 },
      ...{ epoch: 3, global_step: 1234, "pytorch-lightning_version": "1.9" },
    },
  });
  expect(model.warnings).toContain(
    "no mean and deviation of relative_humidity_500: known to the network, but left out of its inputs and outputs; " +
      "give them with --stats era5,YOUR_SET",
  );
  expect(model.notes).toContain(
    "assumed: lead times from 6 to 168 hours by 6, those of the paper's pretraining",
  );
  await model.close();
  expect(source.closed).toBe(true);
});

test("parameters are read one by one, only when asked for, and unchanged", async () => {
  const source = madeWeights(small);
  const model = await importModel(source, told);
  expect(source.reads).toEqual([]);
  const start = networkOf(model.info.model).initialise(7);
  for (const name of networkOf(model.info.model).shapes.keys()) {
    expect(await model.parameter(name)).toEqual(start.get(name));
  }
  expect(source.reads).toEqual([...source.tensors.keys()]);
});

test("it can be written as a checkpoint, and opened as one that says itself what it is", async () => {
  const model = await imported();
  const path = join(folder, "bundle.safetensors");
  await writeCheckpoint(path, model.info, model.parameter);
  const checkpoint = await openCheckpoint(path);
  expect(checkpoint.info).toEqual(model.info);
  await checkpoint.close();
  const again = await openModel(path);
  expect(again.info).toEqual(model.info);
  expect(await again.parameter("pos_embed")).toEqual(await model.parameter("pos_embed"));
  await again.close();
  expect(await refusalOf(openModel(path, { source: { heads: 4 } }))).toBe(
    `config: ${path} is a climax checkpoint and says itself what it is; told: --source.heads | leave those flags out: ` +
      "they are for the weights of other programs",
  );
  expect(await refusalOf(openModel(path, { stats: ["era5"] }))).toContain("has its own mean and deviation");
});

test("inputs, outputs and lead times that are said are taken, and all is in the model's order", async () => {
  const { info } = await imported({
    ...told,
    source: { ...told.source, inputs: ["z_500", "t2m"], outputs: ["z_500"], leads: [72], residual: true },
  });
  expect(info.inputs).toEqual(["geopotential_500", "2m_temperature"]);
  expect(info.outputs).toEqual(["geopotential_500"]);
  expect(info.variables.map(({ name }) => name)).toEqual(["2m_temperature", "geopotential_500"]);
  expect(info.leads).toEqual([72]);
  expect(info.model).toMatchObject({ residual: true, variables });
});

test("what leaves by default is what changes of what enters", async () => {
  const { info } = await imported({ ...told, source: { ...told.source, inputs: ["lattitude", "t2m"] } });
  expect(info.outputs).toEqual(["2m_temperature"]);
});

test("a region is cut out of the grid as finetuning does it", async () => {
  const config = { ...small, gridShape: [32, 64] };
  const model = await importModel(madeWeights(config), {
    ...told,
    source: { ...told.source, region: "NorthAmerica" },
  });
  const { info } = model;
  expect(networkOf(info.model).fieldShape).toEqual([8, 14]);
  expect(info.region).toBe("NorthAmerica");
  expect(info.grid.lat[0]).toBeCloseTo(25.3125, 6);
  expect(info.grid.lon[0]).toBe(225);
  const whole = regularGrid(5.625).lat;
  const std = Math.sqrt(whole.reduce((sum, x) => sum + x * x, 0) / whole.length);
  expect(info.variables[1]!.std).toBeCloseTo(std, 9); // normalised over the globe, as the reference's data
});

test("a projection: what drives it, what it predicts, its history", async () => {
  const model = await importModel(madeWeights(projecting), {
    source: { heads: 4, outputs: ["tas", "pr90"] },
    stats: [await emissions()],
  });
  const { info } = model;
  expect(info.model).toMatchObject({ type: "projection", history: 3, inputs: ["CO2", "SO2", "CH4", "BC"] });
  expect(info.task).toEqual({ kind: "projection", history: 3 });
  expect(info.inputs).toEqual(["CO2", "SO2", "CH4", "BC"]);
  expect(info.outputs).toEqual(["2m_temperature", "pr90"]);
  expect(info.leads).toEqual([0]);
  await model.close();
});

test("a projection of four variables is ClimateBench's when nothing else is said", async () => {
  const outputs = ["2m_temperature", "diurnal_temperature_range", "mean_total_precipitation_rate", "pr90"];
  const config = { ...projecting, outputs, variables: [...projecting.inputs, ...outputs] };
  const model = await importModel(madeWeights(config), { source: { heads: 4 }, stats: [await emissions()] });
  expect(model.info.outputs).toEqual(outputs);
  expect(await refused({ source: { heads: 4 }, stats: [await emissions()] }, {}, projecting)).toContain(
    "--source.outputs",
  );
});

async function emissions(): Promise<string> {
  const path = join(folder, "emissions.yaml");
  const names = [
    "CO2",
    "SO2",
    "CH4",
    "BC",
    "diurnal_temperature_range",
    "mean_total_precipitation_rate",
    "pr90",
  ];
  const lines = names.map((name) => `${name}: {mean: 1e-8, std: 1e-9}`);
  await writeFile(path, `2m_temperature: {mean: 280, std: 20}\n${lines.join("\n")}`);
  return path;
}

test("flags win over the YAML, the YAML over the file's hyper-parameters, and each is said", async () => {
  const path = join(folder, "sided.ckpt");
  await writeFile(`${path}.yaml`, `variables: [${variables}]\nheads: 2\nleads: [6]\n`);
  const says = {
    hyper_parameters: { lr: 5e-4, net: { init_args: { num_heads: 8, drop_path: 0.3 } } },
    datamodule_hyper_parameters: { predict_range: 20, hrs_each_step: 6, out_variables: ["z_500"] },
  };
  const { info, notes } = await imported({ source: { heads: 4 }, stats: ["era5"] }, { path, says });
  expect(info.model).toMatchObject({ heads: 4, variables, dropPath: 0.3, dropout: 0.1 });
  expect(info.leads).toEqual([6]);
  expect(info.outputs).toEqual(["geopotential_500"]);
  expect(notes).toEqual(
    expect.arrayContaining([
      "from sided.ckpt.yaml: 5 variables, heads 2, leads (6)",
      "from datamodule_hyper_parameters: outputs (geopotential_500), leads (120)",
      "from hyper_parameters: heads 8, dropPath 0.3",
      "heads of --source was taken, 4, not that of sided.ckpt.yaml, 2",
      "heads of --source was taken, 4, not that of hyper_parameters, 8",
      "leads of sided.ckpt.yaml was taken, 6, not that of datamodule_hyper_parameters, 120",
    ]),
  );
});

test("a YAML beside the file can say all that is needed, statistics too", async () => {
  const path = join(folder, "whole.ckpt");
  const lines = [
    `variables: [${variables}]`,
    "heads: 4",
    "grid-shape: [8, 16]",
    "stats: [whole.stats.yaml, era5]",
  ];
  await writeFile(join(folder, "whole.yaml"), lines.join("\n"));
  await writeFile(
    join(folder, "whole.stats.yaml"),
    "relative_humidity_500: {mean: 50, std: 30}\nt2m: {mean: 280, std: 20}",
  );
  const { info } = await imported({}, { path });
  expect(info.inputs).toEqual(variables);
  expect(info.variables.map(({ mean }) => mean)).toEqual([0.33566034, 0, 280, 54116, 50]);
  await writeFile(join(folder, "own.yaml"), "t2m: {mean: 281, std: 20}");
  const flagged = await imported({ stats: [join(folder, "own.yaml")] }, { path });
  expect(flagged.info.variables.map(({ mean }) => mean)).toEqual([0.33566034, 0, 281, 54116, 50]);
});

test("hyper-parameters that cannot be are told, not believed", async () => {
  const says = { hyper_parameters: { num_heads: "a Trainer", img_size: [[[[[]]]], 4] } };
  const { notes, info } = await imported(told, { says });
  expect(info.model).toMatchObject({ heads: 4, gridShape: [8, 16] });
  expect(notes.filter((note) => note.startsWith("hyper_parameters"))).toEqual([
    expect.stringMatching(/^hyper_parameters says img_size.0 .*; that was not used$/),
    expect.stringMatching(
      /^hyper_parameters says num_heads a Trainer, which cannot be: .*; that was not used$/,
    ),
  ]);
});

test.for([
  [
    { variables: variables.slice(1) },
    "has var_embed of 5 variables, but --source.variables says 4 variables",
  ],
  [
    { gridShape: [16, 32] },
    "has pos_embed of 32 patches of 2 x 2 points, but --source.grid-shape says a grid of 16 x 32",
  ],
  [
    { heads: 5 },
    "has tokens of width 16, which 5 heads cannot share evenly, but --source.heads says 5 heads",
  ],
  [{ history: 10 }, "has no time_pos_embed: it is no projection, but --source.history says 10"],
] as const)("what the shapes contradict is refused: %o", async ([source, message]) => {
  const text = await refused({ ...told, source: { ...told.source, ...source } as ImportOptions["source"] });
  expect(text).toContain(`config: /nowhere/weights.ckpt ${message}`);
  expect(text).toContain("correct that flag, or leave it out");
});

test.for([
  ["embed_dim", 1024, "has tensors of embedDim 16, but hyper_parameters says 1024 for embedDim"],
  ["depth", 8, "has tensors of depth 2, but hyper_parameters says 8 for depth"],
  ["patch_size", 4, "has tensors of patchSize 2, but hyper_parameters says 4 for patchSize"],
  ["decoder_depth", 2, "has tensors of decoderDepth 1"],
  ["mlp_ratio", 2, "has blocks with a hidden layer of 64 for tokens of width 16"],
  ["parallel_patch_embed", true, "has tensors of parallelPatchEmbed false, but hyper_parameters says true"],
] as const)("hyper-parameters of another network are refused: %s", async ([key, value, message]) => {
  const text = await refused(told, { says: { hyper_parameters: { [key]: value } } });
  expect(text).toContain(message);
  expect(text).toContain("the file contradicts itself: save the state dict alone");
});

test("without any statistics the sources and the mend are named", async () => {
  expect(await refused({ source: { variables, heads: 4, inputs: ["t2m"] } })).toBe(
    "config: /nowhere/weights.ckpt does not say how its variables were normalised, and no --stats was given; " +
      "wanted are those of 2m_temperature | give --stats era5, a folder with normalize_mean.npz, or a " +
      "prepared set; several by commas, e.g. --stats era5,YOUR_SET",
  );
  const text = await refused({ ...told, source: { ...told.source, outputs: ["relative_humidity_500"] } });
  expect(text).toContain(
    "and none of its outputs has a mean and deviation in era5; wanted are those of relative_humidity_500",
  );
});

test("variables that the network does not know are refused, with the nearest", async () => {
  const text = await refused({ ...told, source: { ...told.source, outputs: ["geopotential_501"] } });
  expect(text).toContain(
    'unknown variable of the network "geopotential_501" | did you mean "geopotential_500"?',
  );
});

test("a variable without a place in the variables table stays in the network and is told", async () => {
  const strange = ["land_sea_mask", "2m_temperature", "geopotential", "z500", "dust"];
  const { info, warnings } = await imported({ ...told, source: { variables: strange, heads: 4 } });
  expect(info.model).toMatchObject({ variables: strange });
  expect(warnings).toContain(
    "names that climax has no variable for: geopotential (at which level? geopotential_500, ...), z500 (geopotential_500?), dust",
  );
});

test("missing and misshapen parameters begin anew and are told", async () => {
  const change: Making["change"] = (tensors) => {
    tensors.delete("blocks.1.norm2.bias");
    tensors.set("lead_time_embed.weight", { dtype: "F32", shape: [16, 2], values: new Float32Array(32) });
    tensors.set("val_metric", { dtype: "F32", shape: [1], values: new Float32Array(1) });
  };
  const model = await imported(told, { change });
  expect(model.warnings).toContain(
    "begin anew, they were not in it as wanted: blocks.1.norm2.bias, lead_time_embed.weight",
  );
  expect(model.info.provenance.anew).toEqual(["blocks.1.norm2.bias", "lead_time_embed.weight"]);
  expect(model.notes).toContain("left out, no part of ClimaX: net.val_metric");
  const fresh = networkOf(model.info.model).initialise(0);
  for (const name of ["blocks.1.norm2.bias", "lead_time_embed.weight"]) {
    expect(await model.parameter(name)).toEqual(fresh.get(name));
  }
  expect(await refused({ ...told, strict: true }, { change })).toBe(
    "checkpoint: /nowhere/weights.ckpt is not exactly the network that it seems to be: missing 1: blocks.1.norm2.bias; " +
      "too much 1: net.val_metric; of another shape 1: lead_time_embed.weight [16,2] for [16,1] | leave --strict out to " +
      "import it all the same: what is missing begins anew, what is too much is left out",
  );
});

test("strict takes what is exactly the network", async () => {
  await expect(imported({ ...told, strict: true })).resolves.toBeDefined();
});

test("a file that lacks most of the network is refused, and long lists are cut", async () => {
  const change: Making["change"] = (tensors) => {
    for (const name of [...tensors.keys()]) {
      if (
        /attn|mlp|norm\d|head/.test(name) &&
        !name.startsWith("blocks.0.mlp") &&
        name !== "blocks.1.attn.proj.bias" &&
        name !== "blocks.0.norm1.bias"
      ) {
        tensors.delete(name);
      }
    }
  };
  const text = await refused(told, { change });
  expect(text).toMatch(/is no whole ClimaX: of 51 parameters 24 are not in it as wanted: missing 24: /);
  expect(text).toMatch(/ and \d more/);
});

test("weights that are not finite, and such that are no floats, are refused by name", async () => {
  const spoiled = await imported(told, {
    change: (tensors) => {
      tensors.get("var_query")!.values[3] = Number.NaN;
    },
  });
  expect(await refusalOf(spoiled.parameter("var_query"))).toContain(
    'checkpoint: "net.var_query" of /nowhere/weights.ckpt holds values that are not finite',
  );
  const change: Making["change"] = (tensors) => {
    tensors.get("norm.weight")!.dtype = "I8";
  };
  expect(await refused(told, { change })).toContain(
    '"net.norm.weight" of /nowhere/weights.ckpt is of type I8',
  );
});

test("a grid that is not twice as wide as high is refused", async () => {
  const text = await refused({ ...told, source: { ...told.source, gridShape: [16, 8] } });
  expect(text).toContain("is for a grid of 16 x 8 points, and no regular global grid has so many");
});

test("a projection has no region and predicts no changes", async () => {
  const source = { heads: 4, outputs: ["tas", "pr90"] };
  const stats = [await emissions()];
  expect(await refused({ source: { ...source, region: "Europe" }, stats }, {}, projecting)).toContain(
    "has a projection, which is for the whole globe, but --source.region says Europe",
  );
  expect(await refused({ source: { ...source, residual: true }, stats }, {}, projecting)).toContain(
    "no projection predicts changes",
  );
});

test("bare safetensors are imported, a parallel patch embedding too", async () => {
  const config = { ...small, parallelPatchEmbed: true };
  const { tensors, read } = madeWeights(config, { prefix: "" });
  const path = join(folder, "bare.safetensors");
  await writeSafetensors(
    path,
    [...tensors].map(([name, { shape }]) => ({ name, shape, values: () => read(name) })),
    {},
  );
  const model = await openModel(path, told);
  expect(model.info.model).toMatchObject({ parallelPatchEmbed: true });
  expect(model.info.provenance).toMatchObject({
    importedFrom: { format: "safetensors", path: "bare.safetensors" },
  });
  const name = "token_embeds.proj_weights";
  expect(await model.parameter(name)).toEqual(await read(name));
  await model.close();
});

describe("a PyTorch file that climax exported", () => {
  const exported = async (name: string, climax: (info: object) => string, leaveOut?: string) => {
    const model = await imported();
    const path = join(folder, name);
    const shapes = [...networkOf(model.info.model).shapes].filter(([parameter]) => parameter !== leaveOut);
    await writeTorchCheckpoint(
      path,
      shapes.map(([parameter, shape]) => ({
        name: parameter,
        shape,
        values: () => model.parameter(parameter),
      })),
      { climax: climax(model.info) },
    );
    return { path, model };
  };

  test("comes back whole", async () => {
    const { path, model } = await exported("exported.ckpt", JSON.stringify);
    const again = await openModel(path);
    expect(again.info).toEqual(model.info);
    for (const name of networkOf(model.info.model).shapes.keys()) {
      expect(await again.parameter(name)).toEqual(await model.parameter(name));
    }
    await again.close();
    expect(await refusalOf(openModel(path, { source: { residual: true } }))).toContain(
      "told: --source.residual",
    );
  });

  test("is refused when it is not what it says", async () => {
    const lacking = await exported("lacking.ckpt", JSON.stringify, "blocks.0.norm1.bias");
    expect(await refusalOf(openModel(lacking.path))).toContain(
      "is not the model that it says it is: missing 1: blocks.0.norm1.bias | export it again",
    );
    const torn = await exported("torn.ckpt", () => "{");
    expect(await refusalOf(openModel(torn.path))).toContain('says of itself under "climax" cannot be read');
    const other = await exported("other.ckpt", (info) => JSON.stringify({ ...info, outputs: [] }));
    expect(await refusalOf(openModel(other.path))).toContain("outputs");
  });
});

const reference = "../shared/reference";
describe.skipIf(!existsSync(reference))(
  "the reference's checkpoints (skipped: ../shared/reference is not there)",
  () => {
    test.for([
      "global.ckpt",
      "global.channel-names.ckpt",
      "parallel-patch-embed.ckpt",
      "parallel-patch-embed.channel-names.ckpt",
    ])("%s", async (file) => {
      const stem = `${reference}/${file.replace(/\..*/, "")}`;
      const { config, out_variables } = JSON.parse(readFileSync(`${stem}.json`, "utf8"));
      const model = await openModel(`${reference}/${file}`, {
        source: { variables: config.default_vars, heads: config.num_heads, outputs: out_variables },
        stats: ["era5"],
        strict: true,
      });
      expect(model.info.outputs).toEqual(out_variables);
      expect(model.info.inputs).toEqual(config.default_vars);
      const npz = await readNpz(`${stem}.npz`);
      for (const name of networkOf(model.info.model).shapes.keys()) {
        expect(await model.parameter(name), name).toEqual(npz.get(`param/${name}`)!.data);
      }
      await model.close();
    });

    /** A case as a source whose json is what its hyper-parameters say. */
    async function caseOf(stem: string) {
      const { config, out_variables, region_info } = JSON.parse(
        readFileSync(`${reference}/${stem}.json`, "utf8"),
      );
      const region = /^regional-(.*)/.exec(stem)?.[1];
      const npz = await readNpz(`${reference}/${stem}.npz`);
      const params = [...npz].filter(([key]) => key.startsWith("param/"));
      const tensors = new Map(
        params.map(([key, array]): [string, NpyArray] => [`net.${key.slice(6)}`, array]),
      );
      const source: WeightSource = {
        ...madeWeights(small),
        tensors: new Map([...tensors].map(([name, { shape }]) => [name, { dtype: "F32", shape }])),
        read: async (name) => tensors.get(name)!.data as Float32Array,
        says: {
          hyper_parameters: { net: { class_path: "climax.arch.ClimaX", init_args: config } },
          datamodule_hyper_parameters: { out_variables, predict_range: 72, region: region ?? null },
        },
      };
      return { source, config, out_variables, region_info, region, npz };
    }

    test.for([
      "global-all-variables",
      "patch4",
      "projection",
      "projection-frozen",
      "regional-NorthAmerica",
      "regional-Australia",
    ])("the weights of %s, with what its json says as hyper-parameters", async (stem) => {
      const { source, config, out_variables, region_info: box, region, npz } = await caseOf(stem);
      const { info, parameter } = await importModel(source, {
        stats: [await emissions(), "era5"],
        strict: true,
      });
      const projects = stem.startsWith("projection");
      expect(info.model).toMatchObject({ heads: config.num_heads, patchSize: config.patch_size });
      expect(info.outputs).toEqual(projects ? ["2m_temperature"] : out_variables);
      expect(info.leads).toEqual(projects ? [0] : [72]);
      expect(info.region).toBe(region);
      expect(networkOf(info.model).fieldShape).toEqual(
        box ? [box.max_h - box.min_h + 1, box.max_w - box.min_w + 1] : config.img_size,
      );
      expect(await parameter("pos_embed")).toEqual(npz.get("param/pos_embed")!.data);
    });

    test.for(["NorthAmerica", "Australia"])(
      "the box that is told for %s is the one that the reference mirrored",
      async (name) => {
        const { source, region_info: box } = await caseOf(`regional-${name}`);
        const { warnings } = await importModel(source, { stats: ["era5"] });
        const region = warnings.flatMap((note) => /--source\.region=(\S+)/.exec(note)?.[1] ?? [])[0]!;
        const mirrored = await importModel(source, { stats: ["era5"], source: { region } });
        const { rows, columns } = (mirrored.info.model as ModelConfig).region!;
        const ids = rows.flatMap((row) => columns.map((column) => row * 32 + column));
        expect(ids).toEqual(box.patch_ids);
        expect(mirrored.warnings.filter((note) => note.includes("--source.region="))).toEqual([]);
      },
    );
  },
);
