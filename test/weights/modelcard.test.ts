import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { cardScores } from "../../src/cli/cardscores.ts";
import type { CheckpointInfo } from "../../src/model/checkpoint.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { NetworkConfig, networkOf } from "../../src/model/network.ts";
import { onnxModel } from "../../src/onnx/write.ts";
import { writeModelCard } from "../../src/weights/cardfiles.ts";
import { cardMarkdown } from "../../src/weights/cardmarkdown.ts";
import { modelCardSchema } from "../../src/weights/cardschema.ts";
import { type CardFacts, modelCard } from "../../src/weights/modelcard.ts";
import { refusal, refusalOf } from "../support/refusal.ts";
import { makeScores } from "../support/scores.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-card-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const variables = ["land_sea_mask", "2m_temperature", "geopotential_500"];
const data = {
  dir: "sets/era5",
  source: "ERA5",
  synthetic: false,
  train: { start: "1979-01-01T00:00:00", end: "2015-12-31T18:00:00", steps: 54056 },
  sha256: { "train/1979.npy": "ab12" },
};
const pretraining = {
  command: "climax pretrain --config pretrain.yaml -o runs/pretrain",
  climax: "0.1.0",
  stage: "pretrain",
  data: [data],
  adapter: "a GPU",
  seed: 1,
  settings: { precision: "f16", optimiser: { lr: 5e-4 }, training: { batchSize: 8, accumulate: 2 } },
  step: 1000,
  best_validation_loss: 0.25,
};

function infoOf(changes: Partial<CheckpointInfo> = {}): CheckpointInfo {
  const lat = Array.from({ length: 32 }, (_, i) => -87.1875 + 5.625 * i);
  const lon = Array.from({ length: 64 }, (_, i) => 5.625 * i);
  return {
    format: "climax-checkpoint",
    version: 1,
    model: ModelConfig.parse({
      variables: [...variables, "temperature_850"],
      embedDim: 32,
      depth: 1,
      heads: 4,
    }),
    task: { kind: "forecast" },
    variables: variables.map((name, i) => ({
      name,
      units: ["1", "K", "m2 s-2"][i]!,
      mean: 1e3 * i,
      std: 1 + i,
    })),
    inputs: ["2m_temperature", "land_sea_mask", "geopotential_500"],
    outputs: ["geopotential_500", "2m_temperature"],
    grid: { lat, lon },
    leads: [72],
    synthetic: false,
    provenance: {
      ...{ command: "climax finetune -o runs/72h", climax: "0.1.0", stage: "finetune", task: "global" },
      ...{ freeze: ["attention"], data: [data], step: 500, best_validation_loss: 0.125 },
      settings: { training: { batchSize: 8 } },
      from: { path: "runs/pretrain/best.safetensors", sha256: "cd34", provenance: pretraining },
    },
    ...changes,
  };
}

function cardOf(changes: Partial<CheckpointInfo> = {}, facts: Partial<CardFacts> = {}) {
  return modelCard({
    info: infoOf(changes),
    file: {
      path: "out/72h.safetensors",
      format: "safetensors",
      bytes: 123456,
      sha256: "0f".repeat(32),
      tensors: 33,
    },
    scores: [],
    notes: [],
    created: "2026-01-02T03:04:05Z",
    version: "0.1.0",
    command: "climax convert best.safetensors -o out/72h.safetensors",
    ...facts,
  });
}

/** Cells of each line of a pipe table, as Markdown parts them. */
function tablesOf(markdown: string): string[][][] {
  const tables: string[][][] = [];
  let open = false;
  for (const line of markdown.split("\n")) {
    const row = line.startsWith("|");
    if (row && !open) tables.push([]);
    if (row)
      tables.at(-1)!.push(
        line
          .slice(1, -1)
          .split(/(?<!\\)\|/)
          .map((cell) => cell.trim()),
      );
    open = row;
  }
  return tables;
}

const frontMatter = (markdown: string) =>
  parse(/^---\n(.*?\n)---\n/s.exec(markdown)![1]!) as Record<string, unknown>;

test("a card is of the form of its schema, with every fact of the checkpoint", () => {
  const card = cardOf();
  expect(modelCardSchema.parse(JSON.parse(JSON.stringify(card)))).toEqual(card);
  expect(card).toMatchObject({
    name: "72h",
    license: null,
    inputs: ["2m_temperature", "land_sea_mask", "geopotential_500"],
    outputs: ["geopotential_500", "2m_temperature"],
    unused: ["temperature_850"],
    grid: { description: "32 x 64, 5.625 degrees", region: null },
    leads: { description: "72 h", hours: [72], range: null },
  });
  const shapes = [...networkOf(infoOf().model).shapes.values()];
  const parameters = shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  expect(card.model.parameters).toBe(parameters);
  expect(card.model.parts.map(({ part }) => part)).toEqual([
    ...["patch embeddings", "variable embeddings", "variable aggregation", "position embeddings"],
    ...["lead time embedding", "transformer blocks", "last norm", "prediction head"],
  ]);
  expect(card.model.parts.reduce((sum, part) => sum + part.parameters, 0)).toBe(parameters);
});

test("the chain of trainings, the first one first, with the samples that its steps took", () => {
  const { training } = cardOf();
  expect(training.map(({ stage, steps, samples }) => ({ stage, steps, samples }))).toEqual([
    { stage: "pretrain", steps: 1000, samples: 16000 },
    { stage: "finetune", steps: 500, samples: 4000 },
  ]);
  expect(training[0]).toMatchObject({
    adapter: "a GPU",
    precision: "f16",
    settings: { "optimiser.lr": "0.0005", "training.batchSize": "8" },
    data: [{ source: "ERA5", first: "1979-01-01T00:00:00", states: 54056, sha256: "ab12" }],
    from: null,
  });
  expect(training[1]!.from).toEqual({ path: "runs/pretrain/best.safetensors", sha256: "cd34" });
  const markdown = cardMarkdown(cardOf());
  expect(markdown).toContain("### 1. pretrain\n");
  expect(markdown).toContain("### 2. finetune (global)\n");
  expect(markdown).toContain("| best validation loss | 0.125 |");
  expect(markdown).toContain("| kept as it was | attention |");
});

test("an import says what was assumed, in its stage and among the limits", () => {
  const card = cardOf({
    provenance: {
      stage: "import",
      importedFrom: { path: "5.625deg.ckpt", format: "PyTorch zip", bytes: 10, global_step: 77, epoch: 3 },
      statistics: ["from era5: 41 variables"],
      assumed: ["16 attention heads", "dropout 0.1, which only training needs"],
    },
  });
  expect(card.training).toHaveLength(1);
  expect(card.training[0]).toMatchObject({
    stage: "import",
    steps: 77,
    settings: { format: "PyTorch zip", epoch: "3" },
    from: { path: "5.625deg.ckpt", sha256: null },
    notes: [
      "assumed: 16 attention heads",
      "assumed: dropout 0.1, which only training needs",
      "from era5: 41 variables",
    ],
  });
  expect(card.limits).toContain("Assumed: 16 attention heads.");
  expect(card.limits.join("\n")).not.toContain("dropout");
  expect(card.limits.join("\n")).toContain("Begun with weights of another program (5.625deg.ckpt)");
});

test("what an imported file lacked is the gravest limit, until it is trained; what was changed stands under its stage", () => {
  const provenance = {
    ...{ stage: "import", importedFrom: { path: "encoder.ckpt" }, anew: ["head.0.weight", "head.0.bias"] },
    refitted: ["positions resized, bicubic: 2 x 4 patches to 4 x 8"],
  };
  const random =
    "Parts that its file lacked are random numbers until it is finetuned, and so is what it predicts: " +
    "head.0.weight, head.0.bias.";
  const imported = cardOf({ provenance });
  modelCardSchema.parse(imported);
  expect(imported.limits).toContain(random);
  expect(imported.training[0]!.notes).toEqual(provenance.refitted);
  const trained = cardOf({ provenance: { stage: "finetune", step: 4, from: { path: "in", provenance } } });
  expect(trained.limits).not.toContain(random);
  expect(cardMarkdown(trained)).toContain("| began as random numbers | head.0.weight, head.0.bias |");
});

test("what was assumed of weights that were trained on stands under the training alone", () => {
  const provenance = {
    ...{
      stage: "import",
      importedFrom: { path: "5.625deg.ckpt" },
      assumed: ["lead times from 6 to 168 hours"],
    },
  };
  const card = cardOf({
    provenance: { stage: "finetune", step: 4, from: { path: "in.safetensors", provenance } },
  });
  expect(card.limits).toContain(
    "Begun with weights of another program (5.625deg.ckpt): what they were trained on is not stated here; what was " +
      "assumed of them stands under Training.",
  );
  const markdown = cardMarkdown(card);
  expect(markdown).not.toContain("Assumed: lead times");
  expect(markdown).toContain("- assumed: lead times from 6 to 168 hours");
});

test("what an import assumed stands among the limits, the rest of its notes under the training, each once", () => {
  const card = cardOf(
    {
      provenance: {
        stage: "import",
        importedFrom: { path: "5.625deg.ckpt", format: "PyTorch zip", bytes: 10 },
        statistics: ["from era5: 41 variables"],
        assumed: ["16 attention heads", "dropout 0.1, which only training needs"],
      },
    },
    {
      notes: [
        "optimiser states left out",
        "assumed: 16 attention heads",
        "assumed: dropout 0.1, which only training needs",
        "from era5: 41 variables",
      ],
    },
  );
  expect(card.notes).toEqual(["optimiser states left out"]);
  const markdown = cardMarkdown(card);
  for (const said of ["16 attention heads", "dropout 0.1, which", "from era5: 41 variables"])
    expect(markdown.split(said), said).toHaveLength(2);
});

test("a provenance of any form does no harm", () => {
  const loop: Record<string, unknown> = { stage: "finetune" };
  loop.from = { path: "itself", provenance: loop };
  for (const provenance of [
    loop,
    {},
    { stage: 3, data: "x", settings: [1], from: [] },
    {
      stage: "\u001b[31mred\u001b[0m\nline",
      command: "x".repeat(1e6),
      data: [null, { train: 5 }],
      from: { path: 1 },
    },
  ]) {
    const card = cardOf({ provenance });
    modelCardSchema.parse(card);
    expect(card.training.length).toBeLessThanOrEqual(32);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(JSON.stringify(card.training)).not.toMatch(/[\u0000-\u001f]|\\u00|\\n/);
    expect(JSON.stringify(card.training).length).toBeLessThan(40_000);
  }
});

describe("Markdown", () => {
  test("front matter is YAML with licence, tags and library", () => {
    expect(frontMatter(cardMarkdown(cardOf()))).toEqual({
      license: "unknown",
      library_name: "climax",
      tags: ["weather", "climate", "climax", "arxiv:2301.10343"],
    });
    const licensed = (license: string) => frontMatter(cardMarkdown(cardOf({ synthetic: true }, { license })));
    expect(licensed("CC-BY-4.0")).toMatchObject({ license: "cc-by-4.0" });
    expect(licensed("ask: me # first")).toMatchObject({ license: "other", license_name: "ask: me # first" });
    expect(licensed("MIT").tags).toContain("synthetic");
  });

  test("an absent licence stands in plain sight, a given one and authors as given", () => {
    expect(cardMarkdown(cardOf())).toContain("| licence | **not stated**");
    expect(cardMarkdown(cardOf())).not.toContain("| authors |");
    const named = cardMarkdown(cardOf({}, { license: "MIT", authors: "A. Nyone" }));
    expect(named).toContain("| licence | MIT |");
    expect(named).toContain("| authors | A. Nyone |");
  });

  test("tables are well formed, whatever the names in them", () => {
    const strange = "a|b`c*<script>\n| x";
    const markdown = cardMarkdown(
      cardOf(
        { region: strange, provenance: { ...pretraining, command: strange, adapter: strange } },
        { license: strange, notes: [strange], command: "a\n```\n# b" },
      ),
    );
    const tables = tablesOf(markdown);
    expect(tables.length).toBeGreaterThanOrEqual(5);
    for (const table of tables) {
      expect(new Set(table.map((row) => row.length)).size).toBe(1);
      expect(table[1]!.every((cell) => /^:?-+:?$/.test(cell))).toBe(true);
    }
    expect(markdown.slice(markdown.indexOf("\n# "))).not.toMatch(/(?<!\\)<script/); // YAML quotes by itself
  });

  test("units and statistics of every variable, and what the outputs have of their own", () => {
    const targets = [{ name: "2m_temperature", units: "K", mean: 0, std: 0.5 }];
    const [rows] = tablesOf(cardMarkdown(cardOf({ targets }))).filter(([head]) => head![0] === "variable");
    expect(rows!.slice(2)).toEqual([
      ["land_sea_mask", "in", "1", "0", "1", "", ""],
      ["2m_temperature", "in, out", "K", "1000", "2", "0 K", "0.5"],
      ["geopotential_500", "in, out", "m2 s-2", "2000", "3", "", ""],
    ]);
  });
});

describe("limits come from the facts", () => {
  const limits = (changes: Partial<CheckpointInfo> = {}) => cardOf(changes).limits.join("\n");

  test("simulated weather, first of all and at the head of the page", () => {
    const card = cardOf({ synthetic: true });
    expect(card.limits[0]).toMatch(/^SYNTHETIC: trained on simulated weather/);
    expect(cardMarkdown(card).indexOf("> **SYNTHETIC**")).toBeLessThan(cardMarkdown(card).indexOf("## "));
    expect(limits()).not.toContain("SYNTHETIC");
  });

  test("leads, region, poles, missing variables, scores that are lacking", () => {
    expect(limits()).toContain("Trained for lead times of 72 h; climax forecast refuses all others");
    expect(limits({ leads: { min: 6, max: 168, step: 6 } })).toContain(
      "6 to 168 h in steps of 6 h; climax forecast refuses those beyond",
    );
    // cos 87.1875 over cos 2.8125
    expect(limits()).toContain(
      "a point of the row at -87.1875° and 87.1875° weighs 0.049 times one at the equator",
    );
    expect(limits({ region: "NorthAmerica" })).toContain("It sees nothing but NorthAmerica");
    expect(limits()).toContain("It wants all of its 3 inputs");
    expect(limits()).toContain("Not scored: this card was made without scores");
    expect(limits({ provenance: {} })).toContain("How long it was trained is not recorded.");
  });

  test("a projection has neither leads nor a loss that weighs rows", () => {
    const inputs = ["CO2", "SO2"];
    const projection: Partial<CheckpointInfo> = {
      model: NetworkConfig.parse({
        type: "projection",
        ...{ variables: [...inputs, "2m_temperature"], inputs, outputs: ["2m_temperature"], history: 10 },
        ...{ embedDim: 32, depth: 1, heads: 4 },
      }),
      task: { kind: "projection", history: 10 },
      variables: [...inputs, "2m_temperature"].map((name) => ({ name, units: "1", mean: 0, std: 1 })),
      inputs,
      outputs: ["2m_temperature"],
      leads: [0],
    };
    expect(limits(projection)).not.toMatch(/lead times of|Near the poles/);
    const card = cardOf(projection);
    expect(card.intendedUse[0]).toMatch(/^Projections of 2m_temperature .* from CO2, SO2\.$/);
    expect(card.model.parts.map(({ part }) => part)).toContain("time aggregation");
    expect(card.loading.map(({ code }) => code).join("\n")).toContain("ClimaXClimateBench(");
  });
});

describe("how to load it", () => {
  const code = (facts: Partial<CardFacts>, changes: Partial<CheckpointInfo> = {}) =>
    cardOf(changes, facts).loading.map((one) => one.code);
  const file = { bytes: 1, sha256: "00", tensors: 1 };

  test("safetensors: in climax at once, in PyTorch into the reference's class", () => {
    const [sh, python] = code({});
    expect(sh).toBe("climax forecast --checkpoint 72h.safetensors --input state.nc --lead 3d -o forecast.nc");
    expect(python).toContain('state = load_file("72h.safetensors")');
    expect(python).toContain(
      "img_size=[32, 64], patch_size=2, embed_dim=32, depth=1, decoder_depth=2, num_heads=4",
    );
  });

  test("a PyTorch file: converted first", () => {
    const [sh, python] = code({ file: { ...file, path: "it's.ckpt", format: "ckpt" } });
    expect(sh!.split("\n")[0]).toBe(`climax convert 'it'\\''s.ckpt' -o 'it'\\''s.safetensors'`);
    expect(python).toContain(`torch.load("it's.ckpt", map_location="cpu")["state_dict"]`);
  });

  test("a PyTorch file with other names: what stands before them, and that they are the older ones", () => {
    const older = {
      ...file,
      path: "a.pth",
      format: "ckpt",
      style: { prefix: "model.net.", older: true },
    } as const;
    const [sh, python] = code({ file: older });
    expect(sh).toMatch(/^climax convert a\.pth -o a\.safetensors\n/);
    expect(python).toContain('state = {key.removeprefix("model.net."): value');
    expect(python).toContain("# its names are those of older code");
    expect(code({ file: { ...older, style: { prefix: "", older: false } } })[1]).not.toContain(
      "removeprefix",
    );
  });

  test("ONNX: the names and axes of its inputs, in their order", () => {
    const [python] = code({ file: { ...file, path: "a.onnx", format: "onnx" } });
    expect(python).toContain(
      `in the units of the table, rows from south to north: "2m_temperature", "land_sea_mask"`,
    );
    expect(python).toContain(`x = numpy.zeros([1, 3, 32, 64], "float32")`);
    expect(python).toContain(`lead_hours = numpy.array([72], "float32")`);
    const info = infoOf();
    const { inputs, outputs } = onnxModel(
      { info, parameter: async (name) => networkOf(info.model).initialise(0).get(name)! },
      { normalised: false },
    );
    expect(inputs.map(({ name, shape }) => [name, shape.length])).toEqual([
      ["x", 4],
      ["lead_hours", 1],
    ]);
    expect(inputs[0]!.shape.slice(1)).toEqual([3, 32, 64]);
    expect(outputs.map(({ name }) => name)).toEqual(["forecast"]);
    const [bare] = code({ file: { ...file, path: "a.onnx", format: "onnx", normalised: true } });
    expect(bare).toContain("# normalised, (field - mean) / std");
  });

  test("a network that the reference does not have is not put into its class", () => {
    const residual = ModelConfig.parse({ variables, embedDim: 32, depth: 1, heads: 4, residual: true });
    expect(code({}, { model: residual })[1]).toContain("the reference implementation has no such network");
  });
});

describe("scores", () => {
  const written = (name: string, wanted: Parameters<typeof makeScores>[0]) => {
    writeFileSync(at(name), JSON.stringify(makeScores(wanted).document));
    return at(name);
  };
  const some = { metrics: ["rmse"], variables: ["geopotential_500"], leads: [72, 120], regions: ["global"] };

  test("each with its limits, beside baselines with the document's own verdict and no other", async () => {
    const path = written("scores.json", { ...some, notes: ["a note"] });
    const [scores] = await cardScores([path]);
    const { document } = makeScores({ ...some, notes: ["a note"] });
    expect(scores).toMatchObject({
      path,
      system: "ours",
      bench: "weatherbench2",
      definition: document.definition,
    });
    expect(scores!.rows).toHaveLength(2);
    const row = scores!.rows[0]!;
    const own = document.rows.find(({ system, lead_hours }) => system === "ours" && lead_hours === 72)!;
    expect(row).toMatchObject({
      leadHours: 72,
      value: own.value,
      low: own.low,
      high: own.high,
      units: "m2 s-2",
    });
    const test = document.differences.find(
      ({ system, lead_hours }) => system === "ours" && lead_hours === 72,
    )!;
    const verdict = { system: "better", versus: "worse", tie: "tie" }[test.better!];
    expect(row.beside.map((one) => [one.with, one.verdict])).toEqual([
      ["theirs", "not tested"],
      ["persistence", verdict],
      ["climatology", "not tested"],
    ]);
    const card = cardOf({}, { scores: scores ? [scores] : [] });
    modelCardSchema.parse(card);
    const [table] = tablesOf(cardMarkdown(card)).filter(([head]) => head![4] === "this model");
    expect(table![0]).toEqual([
      "variable",
      "lead",
      "score",
      "where",
      "this model",
      "units",
      "theirs",
      "persistence",
      "climatology",
    ]);
    expect(table![2]![7]).toMatch(new RegExp(`^[\\d.]+: ${verdict}$`));
    expect(card.limits).toContain("Not scored: 2m_temperature.");
    expect(card.limits.join("\n")).not.toContain("made without scores");
  });

  test("a document that others stand against: the verdict is turned round", async () => {
    const [scores] = await cardScores([written("versus.json", { ...some, versus: "ours" })]);
    const { differences } = makeScores({ ...some, versus: "ours" }).document;
    const theirs = differences.find(
      ({ system, lead_hours }) => system === "persistence" && lead_hours === 72,
    )!;
    const turned = { system: "worse", versus: "better", tie: "tie" }[theirs.better!];
    expect(scores!.rows[0]!.beside.find((one) => one.with === "persistence")!.verdict).toBe(turned);
    expect(theirs.better).toBe("versus"); // or nothing would be turned
  });

  test("what tests find it worse than is a limit, before what was not scored; ties and untested numbers are none", async () => {
    const [scores] = await cardScores([written("scores.json", some)]);
    const rows = (["worse", "tie", "worse", "better", "not tested"] as const).map((verdict, i) => ({
      ...scores!.rows[0]!,
      variable: i === 2 ? "temperature_850" : "geopotential_500",
      beside: [
        { with: "persistence", value: 1, verdict },
        { with: "climatology", value: 1, verdict: i === 1 ? ("worse" as const) : ("not tested" as const) },
        { with: "ours at 24 h", value: 1, verdict: "better" as const },
      ],
    }));
    const { limits } = cardOf({}, { scores: [{ ...scores!, rows }] });
    expect(limits.filter((line) => line.startsWith("Worse"))).toEqual([
      "Worse than persistence in 2 of 4 tested scores: geopotential_500, temperature_850.",
      "Worse than climatology in 1 of 1 tested score: geopotential_500.",
    ]);
    expect(limits.findIndex((line) => line.startsWith("Worse"))).toBeLessThan(
      limits.findIndex((line) => line.startsWith("Not scored")),
    );
    expect(cardMarkdown(cardOf({}, { scores: [scores!] }))).toContain("### scores.json\n");
  });

  test("many: the first ones in the Markdown, all in the JSON", async () => {
    const scores = await cardScores([written("many.json", { seasons: ["all", "DJF"] })]);
    const card = cardOf({}, { scores });
    const [table] = tablesOf(cardMarkdown(card)).filter(([head]) => head![4] === "this model");
    expect(card.scores[0]!.rows.length).toBeGreaterThan(300);
    expect(table).toHaveLength(82);
    expect(cardMarkdown(card)).toContain(
      `${card.scores[0]!.rows.length - 80} further scores are in the JSON`,
    );
  });

  test("a document in which the model cannot be told is refused", async () => {
    const { document } = makeScores(some);
    const systems = document.systems.map((system) => ({ ...system, made: [] }));
    writeFileSync(at("two.json"), JSON.stringify({ ...document, systems }));
    expect(await refusalOf(cardScores([at("two.json")]))).toBe(
      `config: ${at("two.json")} scores 2 models (ours, theirs), and does not say which of them this card is of` +
        " | give scores of this model's forecasts alone: climax evaluate --forecast ITS_FORECASTS --json scores.json",
    );
  });
});

describe("beside the file", () => {
  test("a card as climax wrote it is replaced; one that was changed is kept, and said", () => {
    const file = at("model.safetensors");
    const [markdown, json] = [`${file}.card.md`, `${file}.card.json`];
    expect(writeModelCard(file, cardOf())).toEqual({ written: [markdown, json], notes: [] });
    modelCardSchema.parse(JSON.parse(readFileSync(json, "utf8")));
    const later = cardOf({}, { license: "MIT" });
    expect(writeModelCard(file, later).notes).toEqual([]);
    expect(readFileSync(markdown, "utf8")).toContain("| licence | MIT |");
    expect(JSON.parse(readFileSync(json, "utf8"))).toMatchObject({ license: "MIT" });

    const edited = readFileSync(markdown, "utf8").replace("MIT", "MIT, and please write to us");
    writeFileSync(markdown, edited);
    const { written, notes } = writeModelCard(file, cardOf());
    expect(written).toEqual([json]);
    expect(notes).toEqual([
      `${markdown} is kept as it is: it was changed by hand, or climax did not write it. It does not describe the new ${file}; move it away and convert again for a card that does`,
    ]);
    expect(readFileSync(markdown, "utf8")).toBe(edited);
  });

  test("what somebody wrote below the seal, and JSON with a key more, are changes too", () => {
    const file = at("sealed.safetensors");
    writeModelCard(file, cardOf());
    writeFileSync(`${file}.card.md`, `${readFileSync(`${file}.card.md`, "utf8")}More words.\n`);
    const json = JSON.parse(readFileSync(`${file}.card.json`, "utf8")) as object;
    writeFileSync(`${file}.card.json`, JSON.stringify({ ...json, doi: "10.1/2" }, null, 2));
    expect(writeModelCard(file, cardOf()).written).toEqual([]);
    expect(readFileSync(`${file}.card.md`, "utf8")).toContain("More words.");
  });

  test("a place that cannot be written is an error that says so, and nothing is left there", () => {
    expect(refusal(() => writeModelCard(at("nowhere/model.onnx"), cardOf()))).toMatch(
      /^data: cannot write \S+nowhere\/model\.onnx\.card\.md: the folder \S+ does not exist \| make it: mkdir -p /,
    );
    expect(existsSync(at("nowhere"))).toBe(false);
  });
});
