/** Models changed before they are written: what follows its name, what is resized, what is refused. */
import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import type { CheckpointInfo } from "../../src/model/checkpoint.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { type NetworkConfig, networkOf } from "../../src/model/network.ts";
import { resizePositions } from "../../src/model/positions.ts";
import { ProjectionConfig } from "../../src/model/projection.ts";
import { ResnetConfig } from "../../src/model/resnet.ts";
import { refit } from "../../src/weights/refit.ts";
import type { ModelSource } from "../../src/weights/source.ts";

const [D, V] = [8, 3];
const names = ["land_sea_mask", "2m_temperature", "geopotential_500"];
const config = ModelConfig.parse({
  ...{ variables: names, gridShape: [4, 8], patchSize: 2, embedDim: D, heads: 2, depth: 1, decoderDepth: 0 },
});
const grid = regularGrid(45);

/** A model each of whose values is told from every other. */
function source(model: NetworkConfig = config, changes: Partial<CheckpointInfo> = {}) {
  let next = 1;
  const values = new Map(
    [...networkOf(model).shapes].map(([name, shape]) => [
      name,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next++),
    ]),
  );
  const info: CheckpointInfo = {
    ...{ format: "climax-checkpoint", version: 1, model, task: { kind: "forecast" } },
    variables: model.variables.map((name, i) => ({ name, units: "K", mean: i, std: 1 + i })),
    outputs: ["2m_temperature", "geopotential_500"],
    grid: { lat: [...grid.lat], lon: [...grid.lon] },
    leads: { min: 6, max: 168, step: 6 },
    synthetic: false,
    provenance: { step: 7 },
    ...changes,
  };
  const given: ModelSource = {
    ...{ path: "in.ckpt", info, notes: ["renamed"], warnings: ["anew"] },
    parameter: async (name) => values.get(name)!,
    close: async () => undefined,
  };
  return { given, values };
}

function message(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ClimaxError) return `${error.message} | ${error.hint}`;
    throw error;
  }
  return "nothing was thrown";
}

test("without a change, or with its own grid and patch size, a model is what it was", () => {
  const { given } = source();
  expect(refit(given, {})).toBe(given);
  expect(refit(given, { grid, patchSize: 2, variables: names, parallelPatchEmbed: false })).toBe(given);
});

describe("another grid", () => {
  test("with more patches than any attention spans is refused before anything is made", () => {
    expect(message(() => refit(source().given, { grid: regularGrid(0.005) }))).toBe(
      "--res asks in.ckpt for 36000 x 72000 points, 648,000,000 patches with positions of 8 values each: no attention " +
        "spans so many | choose a coarser grid, such as --res 1.40625",
    );
  });

  test("resizes positions, and nothing else", async () => {
    const { given, values } = source();
    const finer = regularGrid(22.5);
    const { info, parameter, notes, warnings } = refit(given, { grid: finer });
    expect(info.grid).toEqual({ lat: [...finer.lat], lon: [...finer.lon] });
    expect(info.model.gridShape).toEqual([8, 16]);
    expect(await parameter("pos_embed")).toEqual(
      resizePositions(values.get("pos_embed")!, D, [2, 4], [4, 8]),
    );
    for (const [name, wanted] of values)
      if (name !== "pos_embed") expect(await parameter(name), name).toEqual(wanted);
    expect(notes).toEqual(["renamed", "positions resized, bicubic: 2 x 4 patches to 4 x 8"]);
    expect(warnings).toEqual([
      "anew",
      "resized positions are a start for finetuning on that grid; forecasts without it are worse",
    ]);
    expect(info.provenance).toEqual({ step: 7, refitted: [notes[1]] });
  });

  test("must be divided by the patches", () => {
    const wide = source(ModelConfig.parse({ ...config, patchSize: 4 }));
    expect(message(() => refit(wide.given, { grid: regularGrid(30) }))).toBe(
      "in.ckpt cannot be fitted: 4 does not divide gridShape 6,12 | " +
        "choose a grid whose rows and columns its patches divide, and name each variable once",
    );
  });

  test("is refused for a region, a projection and a network without patches", () => {
    const region = source(ModelConfig.parse({ ...config, region: { rows: [0], columns: [0, 1] } }), {
      region: "NorthAmerica",
      grid: { lat: [...grid.lat].slice(0, 2), lon: [...grid.lon].slice(0, 4) },
    });
    expect(message(() => refit(region.given, { grid: regularGrid(22.5) }))).toContain(
      "in.ckpt is for NorthAmerica, a part of the globe: --res would leave no region",
    );
    const fixed = {
      variables: names,
      inputs: names,
      outputs: names,
      gridShape: [4, 8],
      embedDim: D,
      heads: 2,
    };
    const projection = source(ProjectionConfig.parse({ type: "projection", ...fixed, depth: 1, history: 2 }));
    expect(message(() => refit(projection.given, { grid: regularGrid(22.5) }))).toBe(
      "in.ckpt is a projection network, whose weights are made for its grid: --res cannot change it | leave out --res",
    );
    expect(message(() => refit(projection.given, { variables: ["x"] }))).toContain(
      "--variables cannot change it",
    );
    const resnet = source(
      ResnetConfig.parse({
        type: "resnet",
        variables: names,
        inputs: names,
        outputs: names,
        gridShape: [4, 8],
      }),
    );
    expect(message(() => refit(resnet.given, { patchSize: 2 }))).toContain(
      "in.ckpt has no patches, --patch-size asks for 2",
    );
    expect(message(() => refit(resnet.given, { parallelPatchEmbed: true }))).toContain(
      "which has no patch embedding of each variable",
    );
  });
});

test("another patch size is refused with the reason", () => {
  expect(message(() => refit(source().given, { patchSize: 4 }))).toBe(
    "in.ckpt has patches of 2 x 2 points, --patch-size asks for 4: the weights of patch embeddings and head are one for each " +
      "point of a patch, and no others follow from them | keep --patch-size 2, or train a network of the other patch size from nothing",
  );
});

describe("other variables", () => {
  test("go by name; new ones begin anew and neither enter nor leave", async () => {
    const { given, values } = source();
    const variables = ["geopotential_500", "temperature_850", "2m_temperature"];
    const { info, parameter, notes } = refit(given, { variables });
    expect(info.model.variables).toEqual(variables);
    expect(info.variables.map(({ name, std }) => [name, std])).toEqual([
      ["2m_temperature", 2],
      ["geopotential_500", 3],
    ]);
    expect(info.outputs).toEqual(["2m_temperature", "geopotential_500"]);
    expect(await parameter("token_embeds.0.proj.weight")).toEqual(values.get("token_embeds.2.proj.weight"));
    const embed = await parameter("var_embed");
    expect(embed.subarray(2 * D)).toEqual(values.get("var_embed")!.subarray(D, 2 * D));
    const head = await parameter("head.0.weight"); // [p p V, D], the variable changing fastest
    expect(head.subarray(0, D)).toEqual(values.get("head.0.weight")!.subarray((V - 1) * D, V * D));
    expect(notes).toContain("new inputs, from scratch: temperature_850");
    expect(notes).toContain("inputs left out: land_sea_mask");
  });

  test("names may be any that are known", () => {
    const { info } = refit(source().given, { variables: ["z_500", "t2m", "t_850"] });
    expect(info.model.variables).toEqual(["geopotential_500", "2m_temperature", "temperature_850"]);
    expect(info.outputs).toEqual(["2m_temperature", "geopotential_500"]);
    expect(message(() => refit(source().given, { variables: ["t2m", "2m_temperature"] }))).toContain(
      '"2m_temperature" is listed twice',
    );
  });

  test("at least one output stays", () => {
    expect(message(() => refit(source().given, { variables: ["land_sea_mask"] }))).toBe(
      "of the outputs of in.ckpt (2m_temperature, geopotential_500) --variables keeps none | keep at least one of its outputs",
    );
    expect(
      message(() => refit(source().given, { variables: ["2m_temperature", "2m_temperature"] })),
    ).toContain('"2m_temperature" is listed twice');
  });
});

test("the other form of patch embeddings and back is the same, bit by bit", async () => {
  const { given, values } = source();
  const parallel = refit(given, { parallelPatchEmbed: true });
  expect(parallel.notes).toEqual(["renamed"]);
  expect(parallel.info.provenance).toEqual({ step: 7 });
  const weights = await parallel.parameter("token_embeds.proj_weights");
  expect(weights.length).toBe(V * D * 4);
  const back = refit(parallel, { parallelPatchEmbed: false });
  for (const [name, wanted] of values) expect(await back.parameter(name), name).toEqual(wanted);
});
