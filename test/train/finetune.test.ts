/** Finetuning: from a checkpoint to some leads and variables of a set, and what does not go together. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSet } from "../../src/data/prepared.ts";
import { ClimaxError } from "../../src/errors.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { type Checkpoint, openCheckpoint } from "../../src/model/checkpoint.ts";
import { FinetuneConfig, finetuneObjective } from "../../src/train/finetune.ts";
import { Learner } from "../../src/train/learner.ts";
import { trainRun } from "../../src/train/loop.ts";
import type { Objective } from "../../src/train/pretrain.ts";
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

async function refusal(data: object): Promise<ClimaxError> {
  const error: unknown = await objective(data).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ClimaxError);
  return error as ClimaxError;
}

test("by default all variables of the set enter and all that change are forecast", async () => {
  const { info, model, train, validation } = await objective({});
  expect(info.inputs).toEqual(["orography", ...toyNames]);
  expect(info.outputs).toEqual(toyNames);
  expect(info.leads).toEqual([12, 24]);
  expect(model).toEqual(pretrained.info.model);
  // Every state with a state 12 h later, and every one with a state 24 h later.
  expect(train.samples).toBe(98 + 96);
  expect(validation!.samples).toBe(18 + 16);
  const batch = await train.batchAt(0, 0);
  expect(batch.variables).toEqual(info.inputs);
  expect(batch.outputs).toEqual(toyNames);
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
  expect((await objective({})).model.dropout).toBe(0);
  const { model, info } = await objective({}, { model: { dropout: 0.2, dropPath: 0.3 } });
  expect(model).toEqual({ ...pretrained.info.model, dropout: 0.2, dropPath: 0.3 });
  expect(info.model).toEqual(model);
  const given = { output: "run", checkpoint: "c", data: { set: "s", leads: [24] }, model: { depth: 3 } };
  expect(FinetuneConfig.safeParse(given).error!.issues[0]!.message).toContain("depth");
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

test("variables that the checkpoint was not trained with are named", async () => {
  const error = await refusal({ set: other });
  expect(error.kind).toBe("checkpoint");
  expect(error.message).toBe(
    `${pretrained.path} was not trained with u_component_of_wind_850; ` +
      "it has orography, 2m_temperature, geopotential_500, temperature_850",
  );
  expect(error.hint).toContain("--data.inputs and --data.outputs");
  const fine = await objective({ set: other, inputs: toyNames, outputs: toyNames });
  expect(fine.info.inputs).toEqual(toyNames);
});

test("variables that the set lacks are named", async () => {
  const error = await refusal({ inputs: ["geopotential_500"] });
  expect(error.message).toBe('unknown variable "geopotential_500"');
  expect(error.hint).toContain("Known: orography, 2m_temperature, temperature_850");
  expect((await refusal({ outputs: ["2m_temprature"] })).message).toContain("2m_temprature");
});

test("a set on another grid is refused", async () => {
  const coarse = await writeToySet(join(root, "coarse"), { grid: regularGrid(45) });
  const error = await refusal({ set: coarse });
  expect(error.kind).toBe("grid");
  expect(error.message).toBe(
    `${pretrained.path} is for 8 x 16, 22.5 degrees, ${coarse} is on 4 x 8, 45 degrees`,
  );
  expect(error.hint).toContain("climax regrid");
  expect([...toyGrid.lat]).toEqual(pretrained.info.grid.lat);
});

test("leads that the set cannot have are refused", async () => {
  expect((await refusal({ leads: [12, 7] })).message).toContain("has no two states 7 h apart");
});
