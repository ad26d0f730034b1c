/** Finetuning: from a checkpoint to some leads and variables of a set, and what does not go together. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { type Checkpoint, openCheckpoint } from "../../src/model/checkpoint.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { resizePositions } from "../../src/model/positions.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { FinetuneConfig, finetuneObjective } from "../../src/train/finetune.ts";
import { Learner } from "../../src/train/learner.ts";
import { trainRun } from "../../src/train/loop.ts";
import type { Objective } from "../../src/train/objective.ts";
import { bestCheckpoint } from "../../src/train/resume.ts";
import { gpu } from "../support/gpu.ts";
import { trainToy } from "../support/toyrun.ts";
import { toyGrid, toyNames, writeToySet } from "../support/toyset.ts";

let root: string;
let set: string;
let other: string;
let pretrained: Checkpoint;
let objectives: Objective[] = [];
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-finetune-"));
  // The checkpoint knows one variable more than the set, and the set has another climate.
  const source = await writeToySet(join(root, "source"), {
    names: ["orography", "geopotential_500", ...toyNames],
    offset: 3,
  });
  set = await writeToySet(join(root, "set"), { names: ["orography", ...toyNames] });
  other = await writeToySet(join(root, "other"), { names: [...toyNames, "u_component_of_wind_850"] });
  const output = join(root, "pretrained");
  await trainToy({ output, sources: [source], training: { maxSteps: 3, validationBatches: 1 } });
  pretrained = await openCheckpoint(bestCheckpoint(output));
});
afterAll(async () => {
  await pretrained.close();
  for (const { sets } of objectives) for (const one of sets) await one.close();
  objectives = [];
  rmSync(root, { recursive: true });
});

async function objective(data: object, rest: object = {}): Promise<Objective> {
  const config = FinetuneConfig.parse({
    output: "unused",
    checkpoint: pretrained.path,
    data: { set, leads: [12, 24], ...data },
    training: { batchSize: 8, maxSteps: 40, validationBatches: 2 },
    optimiser: { lr: 0.01, warmup: 2 },
    ...rest,
  });
  const made = await finetuneObjective(config, pretrained, { command: "a test" });
  objectives.push(made);
  return made;
}

async function refusal(data: object, rest: object = {}): Promise<ClimaxError> {
  const error: unknown = await objective(data, rest).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ClimaxError);
  return error as ClimaxError;
}

test("variables by the names that people write", async () => {
  const { info } = await objective({ inputs: ["t_850", "tas"], outputs: ["t2m"] });
  expect([info.inputs, info.outputs]).toEqual([["temperature_850", "2m_temperature"], ["2m_temperature"]]);
});

test("what drives the climate is an input, no output unless asked for", async () => {
  const driven = await writeToySet(join(root, "driven"), {
    names: ["SO2", "skin_temperature"],
    splits: { train: "2001-01", val: "2001-02" },
  });
  const { info, notes } = await objective({ set: driven });
  expect([info.inputs, info.outputs]).toEqual([["SO2", "skin_temperature"], ["skin_temperature"]]);
  expect(notes).toContainEqual(expect.stringContaining("it is skin_temperature that is predicted"));
  expect((await objective({ set: driven, outputs: ["SO2"] })).info.outputs).toEqual(["SO2"]);
  const alone = await writeToySet(join(root, "alone"), { names: ["SO2"], splits: { train: "2001-01" } });
  const error = await refusal({ set: alone });
  expect([error.kind, error.message]).toEqual(["data", `${alone} has nothing to predict: SO2`]);
});

/** Of what the task predicts, in its order, what the set has. */
const predicted = toyNames.toReversed();

test("by default all variables of the set enter, and what the task predicts is forecast", async () => {
  const { info, model, train, validation } = await objective({});
  expect(info.inputs).toEqual(["orography", ...toyNames]);
  expect(info.outputs).toEqual(predicted);
  expect(info.leads).toEqual([12, 24]);
  expect(model).toEqual(pretrained.info.model);
  // Every state with a state 12 h later, and every one with a state 24 h later.
  expect(train.samples).toBe(98 + 96);
  expect(validation!.samples).toBe(18 + 16);
  const batch = await train.batchAt(0, 0);
  expect(batch.variables).toEqual(info.inputs);
  expect(batch.outputs).toEqual(predicted);
  expect(new Set(batch.leadHours)).toEqual(new Set([12, 24]));
});

test("inputs and outputs may be a few of them, and the set's statistics normalise", async () => {
  const { info, train } = await objective({
    inputs: ["temperature_850", "temperature_850"],
    outputs: ["2m_temperature"],
    leads: [24],
  });
  expect(info.inputs).toEqual(["temperature_850"]);
  const opened = await openSet(set);
  expect(info.variables).toEqual(
    ["temperature_850", "2m_temperature"].map((name) => ({
      name,
      units: "K",
      mean: opened.mean[name],
      std: opened.std[name],
    })),
  );
  await opened.close();
  expect(info.variables[0]!.mean).not.toBe(
    pretrained.info.variables.find(({ name }) => name === "temperature_850")!.mean,
  );
  const { x, y, size } = await train.batchAt(0, 0);
  expect([x.length, y.length]).toEqual([size * 128, size * 128]);
});

test("noise is as in the checkpoint unless given; nothing else of the model can change", async () => {
  expect(((await objective({})).model as ModelConfig).dropout).toBe(0);
  const { model, info } = await objective({}, { model: { dropout: 0.2, dropPath: 0.3 } });
  expect(model).toEqual({ ...pretrained.info.model, dropout: 0.2, dropPath: 0.3 });
  expect(info.model).toEqual(model);
  const error = await refusal({}, { model: { depth: 3 } });
  expect(error.message).toBe(`model.depth: the network comes from ${pretrained.path}`);
  expect(error.hint).toContain("depth is 1");
});

test("it learns from where the checkpoint was, and says where it came from", async () => {
  const { info, model, train, validation, sets } = await objective({ leads: [12] });
  const config = FinetuneConfig.parse({
    output: join(root, "run"),
    checkpoint: pretrained.path,
    data: { set, leads: [12] },
    training: { batchSize: 8, maxSteps: 40, validationBatches: 2 },
    optimiser: { lr: 0.02, warmup: 2 },
  });
  const learner = new Learner(gpu, model, sets[0]!.grid, config.optimiser, {
    variables: info.inputs!,
  });
  await learner.load((name) => pretrained.parameter(name));
  const before = await learner.evaluate(await validation!.batchAt(0, 0));
  const { best } = await trainRun({
    learner,
    train,
    validation,
    optimiser: config.optimiser,
    training: config.training,
    info,
    out: config.output,
    signal: new AbortController().signal,
  });
  // 40 steps roughly halve it; without learning it stays what it was.
  expect(best).toBeLessThan(0.8 * before.loss);
  const tuned = await openCheckpoint(bestCheckpoint(config.output));
  expect(tuned.info.provenance).toMatchObject({
    stage: "finetune",
    command: "a test",
    from: {
      path: pretrained.path,
      sha256: await pretrained.sha256(),
      provenance: { stage: "pretrain", step: 3 },
    },
  });
  // The token of the variable that the set lacks is untouched.
  const token = `token_embeds.${model.variables.indexOf("geopotential_500")}.proj.weight`;
  expect(await tuned.parameter(token)).toEqual(await pretrained.parameter(token));
  await tuned.close();
});

test("a real set does not make a synthetic checkpoint real", async () => {
  const real = await writeToySet(join(root, "real"), { synthetic: false });
  expect((await objective({ set: real })).info.synthetic).toBe(true);
});

test("variables that the checkpoint was not trained with begin anew and are named", async () => {
  const { notes, model, start } = await objective({ set: other });
  expect(notes!.join()).toContain("u_component_of_wind_850");
  expect(model.variables).toEqual([...pretrained.info.model.variables, "u_component_of_wind_850"]);
  const old = `token_embeds.${model.variables.indexOf("2m_temperature")}.proj.weight`;
  expect(await start(old)).toEqual(await pretrained.parameter(old));
  const fine = await objective({ set: other, inputs: toyNames, outputs: toyNames });
  expect(fine.info.inputs).toEqual(toyNames);
  expect(fine.model.variables).toEqual(pretrained.info.model.variables);
});

test("variables that the set lacks are named", async () => {
  const error = await refusal({ inputs: ["geopotential_500"] });
  expect(error.message).toBe(`unknown variable of ${set} "geopotential_500"`);
  expect(error.hint).toContain("Known: orography, 2m_temperature, temperature_850");
  expect((await refusal({ outputs: ["2m_temprature"] })).message).toContain("2m_temprature");
});

test("on another grid positions are resized, and that is said", async () => {
  const coarse = await writeToySet(join(root, "coarse"), { grid: regularGrid(45) });
  const { notes, start, model } = await objective({ set: coarse });
  expect(notes).toContain(`the checkpoint is for 8 x 16, 22.5 degrees, the data are on 4 x 8, 45 degrees`);
  expect(model.gridShape).toEqual([4, 8]);
  const resized = resizePositions(await pretrained.parameter("pos_embed"), 16, [4, 8], [2, 4]);
  expect(await start("pos_embed")).toEqual(resized);
});

test("a convolution goes round the globe only where the fields do", async () => {
  const grids = {
    globe: toyGrid,
    box: makeGrid(toyGrid.lat, [45, 67.5, 90, 112.5]),
    across: makeGrid(toyGrid.lat, [0, 22.5, 315, 337.5]),
  };
  const periodic: Record<string, unknown> = {};
  for (const [name, grid] of Object.entries(grids)) {
    const dir = await writeToySet(join(root, `cnn-${name}`), { grid });
    const config = FinetuneConfig.parse({
      output: "unused",
      data: { set: dir, leads: [12] },
      model: { type: "resnet", hidden: 4, blocks: 1 },
      training: { batchSize: 8 },
    });
    periodic[name] = await finetuneObjective(config, undefined, {}).then(
      (made) => {
        objectives.push(made);
        return (made.model as { periodic?: boolean }).periodic;
      },
      (error: Error) => error.message,
    );
  }
  expect(periodic).toEqual({
    globe: true,
    box: false,
    across: expect.stringContaining("crosses 0 E, where its columns are apart"),
  });
});

test("a region is made of the patches of the checkpoint", async () => {
  const { info, grid, train } = await objective({}, { task: "regional", region: "0..45,300..60" });
  expect(info.region).toBe("0..45,300..60");
  expect([...grid.lat]).toEqual(info.grid.lat);
  const { x, size } = await train.batchAt(0, 0);
  expect(x.length).toBe(size * 3 * grid.lat.length * grid.lon.length);
  expect(grid.lon.length).toBeLessThan(toyGrid.lon.length);
});

test("leads that the set cannot have are refused", async () => {
  expect((await refusal({ leads: [12, 7] })).message).toContain("has no two states 7 h apart");
});
