/** Pretraining on several sources: what goes into a batch, what a checkpoint says, what is refused. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { openSet, type PreparedSet } from "../../src/sets/prepared.ts";
import type { Objective } from "../../src/train/objective.ts";
import { PretrainConfig, pretrainObjective } from "../../src/train/pretrain.ts";
import { bestCheckpoint } from "../../src/train/resume.ts";
import { tinyModel, trainToy } from "../support/toyrun.ts";
import { toyGrid, toyNames, writeToySet } from "../support/toyset.ts";

const windyNames = ["orography", "2m_temperature", "geopotential_500"];

let root: string;
const dirs: Record<"warm" | "windy" | "coarse" | "real", string> = {
  warm: "",
  windy: "",
  coarse: "",
  real: "",
};
let warm: PreparedSet;
let windy: PreparedSet;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-pretrain-"));
  const write = (name: string, options: Parameters<typeof writeToySet>[1]) =>
    writeToySet(join(root, name), options);
  dirs.warm = await write("warm", {});
  dirs.windy = await write("windy", { names: windyNames, offset: 5, splits: { train: "2001-01" } });
  dirs.coarse = await write("coarse", { grid: regularGrid(45) });
  dirs.real = await write("real", { names: ["2m_temperature"], synthetic: false });
  warm = await openSet(dirs.warm);
  windy = await openSet(dirs.windy);
});
afterAll(async () => {
  await warm.close();
  await windy.close();
  rmSync(root, { recursive: true });
});

function config(sources: string[], data: object = {}, rest: object = {}): PretrainConfig {
  return PretrainConfig.parse({
    output: "unused",
    data: { sources, ...data },
    model: tinyModel,
    training: { batchSize: 4 },
    ...rest,
  });
}

async function objective(...settings: Parameters<typeof config>): Promise<Objective> {
  const made = await pretrainObjective(config(...settings), { command: "a test" });
  for (const set of made.sets) await set.close(); // reading opens files anew
  return made;
}

async function refusal(...settings: Parameters<typeof config>): Promise<ClimaxError> {
  const error: unknown = await objective(...settings).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ClimaxError);
  return error as ClimaxError;
}

test("the defaults are the paper's: leads of 6 to 168 h, its optimiser and its 5.625 degree model", () => {
  const { data, optimiser, model } = PretrainConfig.parse({ output: "run", data: { sources: ["set"] } });
  expect(data.leads).toEqual({ min: 6, max: 168, step: 6 });
  expect(optimiser).toMatchObject({ lr: 5e-4, beta1: 0.9, beta2: 0.95, weightDecay: 1e-5 });
  expect(model).toMatchObject({
    patchSize: 2,
    embedDim: 1024,
    depth: 8,
    heads: 16,
    dropPath: 0.1,
    dropout: 0.1,
  });
});

describe("two sources of different variables", () => {
  test("each batch is of one source with its own variables; constants enter but are no target", async () => {
    const { train, sets } = await objective([dirs.warm, dirs.windy]);
    const seen = new Map<string, number>();
    const leads = new Set<number>();
    for (let i = 0; i < train.batches; i++) {
      const { variables, outputs, x, y, size, leadHours } = await train.batchAt(0, i);
      seen.set(variables.join(" "), (seen.get(variables.join(" ")) ?? 0) + 1);
      expect(outputs).toEqual(variables.filter((name) => name !== "orography"));
      expect(x).toHaveLength(size * variables.length * 128);
      expect(y).toHaveLength(size * outputs.length * 128);
      for (const lead of leadHours) leads.add(lead);
    }
    // 99 and 123 states have one 6 h later: 24 and 30 batches of 4.
    expect([...seen]).toHaveLength(2);
    expect(seen.get(toyNames.join(" "))).toBe(24);
    expect(seen.get(windyNames.join(" "))).toBe(30);
    expect(Math.min(...leads)).toBe(6);
    expect(Math.max(...leads)).toBe(168);
    for (const set of sets) await set.close();
  });

  test("samples are normalised by their own source", async () => {
    const { train, sets } = await objective([dirs.windy]);
    const { x, times, variables } = await train.batchAt(0, 0);
    const split = windy.split("train");
    const step = split.times.findIndex(({ seconds }) => seconds === times[0]!.seconds);
    const raw = await split.read(step, variables);
    for (const at of [0, 200, 300]) {
      const name = variables[Math.floor(at / 128)]!;
      // (x - mean) / std in f64 and in f32 by 1/std: some units of the last place of values up to 3.
      expect(x[at]).toBeCloseTo((raw[at]! - windy.mean[name]!) / windy.std[name]!, 5);
    }
    for (const set of sets) await set.close();
  });

  test("weights say how often each source is drawn from", async () => {
    const { train, sets } = await objective([dirs.warm, dirs.windy], { weights: [3, 1] });
    let first = 0;
    for (let i = 0; i < train.batches; i++)
      if ((await train.batchAt(0, i)).variables.length === toyNames.length) first++;
    expect(first / train.batches).toBeCloseTo(0.75, 1);
    for (const set of sets) await set.close();
  });

  test("validation comes from the sources that have it", async () => {
    const { validation, sets } = await objective([dirs.warm, dirs.windy]);
    expect(validation!.batches).toBe(5); // 19 of its 20 states have one 6 h later
    expect((await validation!.batchAt(0, 0)).variables).toEqual(toyNames);
    expect((await objective([dirs.windy])).validation).toBeUndefined();
    for (const set of sets) await set.close();
  });

  test("the checkpoint is self-contained: all variables, units, statistics, grid, leads, provenance", async () => {
    const output = join(root, "run");
    await trainToy({ output, sources: [dirs.windy, dirs.warm], training: { maxSteps: 2 } });
    const { info, ...checkpoint } = await openCheckpoint(bestCheckpoint(output));
    await checkpoint.close();
    expect(info.model.variables).toEqual([...windyNames, "temperature_850"]);
    expect(info.variables.map(({ name, units }) => [name, units])).toEqual([
      ["orography", "m"],
      ["2m_temperature", "K"],
      ["geopotential_500", "m2 s-2"],
      ["temperature_850", "K"],
    ]);
    // Of the first source that has it.
    const { name: _, units: __, ...scale } = info.variables[1]!;
    expect(scale).toEqual({ mean: windy.mean["2m_temperature"], std: windy.std["2m_temperature"] });
    expect(scale.mean).not.toBe(warm.mean["2m_temperature"]);
    expect(info.outputs).toEqual(["2m_temperature", "geopotential_500", "temperature_850"]);
    expect(info.inputs).toBeUndefined();
    expect(info.grid).toEqual({ lat: [...toyGrid.lat], lon: [...toyGrid.lon] });
    expect(info.leads).toEqual({ min: 12, max: 12, step: 12 });
    expect(info.synthetic).toBe(true);
    expect(info.provenance).toMatchObject({
      stage: "pretrain",
      command: "a test",
      step: 2,
      data: [
        { dir: dirs.windy, source: "waves that travel east", synthetic: true },
        { dir: dirs.warm, train: { start: "2001-01-01T00:00:00", end: "2001-01-25T18:00:00", steps: 100 } },
      ],
    });
    expect(JSON.stringify(info.provenance)).toMatch(/"train\/2001\.npy":"[0-9a-f]{64}"/);
  });

  test("one synthetic source makes the model synthetic", async () => {
    expect((await objective([dirs.real])).info.synthetic).toBe(false);
    expect((await objective([dirs.real, dirs.warm])).info.synthetic).toBe(true);
  });
});

describe("what is refused", () => {
  test("sources on different grids", async () => {
    const error = await refusal([dirs.warm, dirs.coarse]);
    expect(error.kind).toBe("grid");
    expect(error.message).toBe(
      `${dirs.coarse} is on 4 x 8, 45 degrees, ${dirs.warm} on 8 x 16, 22.5 degrees`,
    );
    expect(error.hint).toContain("climax regrid");
  });

  test.each([
    [["a", "b"], [1, 2, 3], "3 weights (1, 2, 3) for 2 sources"],
    [["a"], [1, 2], "2 weights (1, 2) for 1 sources"],
  ])("weights that do not fit the sources %s", async (which, weights, message) => {
    const error = await refusal(
      which.map(() => dirs.warm),
      { weights },
    );
    expect(error.message).toBe(message);
  });

  test("a source of nothing but what drives the climate, which is no target", async () => {
    const driven = await writeToySet(join(root, "driven"), { names: ["SO2", "2m_temperature"] });
    expect((await objective([driven])).info.outputs).toEqual(["2m_temperature"]);
    const alone = await writeToySet(join(root, "alone"), { names: ["SO2"] });
    const error = await refusal([dirs.warm, alone]);
    expect([error.kind, error.message]).toEqual(["data", `${alone} has nothing to predict: SO2`]);
  });

  test("a source that is none", async () => {
    expect((await refusal([dirs.warm, join(root, "nothing")])).kind).toBe("data");
  });

  test.each<[string, object, string]>([
    [
      "a patch that does not divide the grid",
      { patchSize: 3 },
      "model.patchSize: 3 does not divide gridShape 8,16",
    ],
    ["heads that do not divide D", { heads: 3 }, "model.heads: 3 heads cannot share embedDim 16 evenly"],
  ])("%s", async (_, model, message) => {
    const error = await refusal([dirs.warm], {}, { model: { ...tinyModel, ...model } });
    expect(error.kind).toBe("config");
    expect(error.message).toBe(message);
  });

  test("a period too short for the leads or the batch", async () => {
    expect((await refusal([dirs.warm], { leads: { min: 2000, max: 2400, step: 24 } })).message).toContain(
      "has no two states 2000 to 2384 h apart",
    );
    expect((await refusal([dirs.warm], {}, { training: { batchSize: 200 } })).message).toContain(
      "fewer than one batch of 200",
    );
  });
});
