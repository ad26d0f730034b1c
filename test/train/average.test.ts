/** Runs that keep a running mean of the weights: what is saved, and that they go on as if never stopped. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { bestCheckpoint, lastCheckpoint } from "../../src/train/resume.ts";
import { firstDifference, readLog, trainToy } from "../support/toyrun.ts";
import { writeToySet } from "../support/toyset.ts";

let root: string;
let settings: Omit<Parameters<typeof trainToy>[0], "output">;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-average-"));
  const sources = [await writeToySet(join(root, "set"))];
  settings = { sources, training: { maxSteps: 6, validateEvery: 3, validationBatches: 2, ema: 0.7 } };
});
afterAll(() => rmSync(root, { recursive: true }));

test("a stopped run goes on with its weights and their mean, bit for bit", async () => {
  const [whole, stopped] = [join(root, "whole"), join(root, "stopped")];
  const straight = await trainToy({ ...settings, output: whole });
  expect((await trainToy({ ...settings, output: stopped }, { stopAt: 4 })).result).toBeUndefined();
  const resumed = await trainToy({ ...settings, output: stopped }, { resume: true });
  expect(firstDifference(straight, resumed)).toBeUndefined();
  const validations = (out: string) => readLog(out).filter(({ event }) => event === "validation");
  expect(validations(stopped)).toEqual(validations(whole));
  const [a, b] = [await openCheckpoint(lastCheckpoint(whole)), await openCheckpoint(lastCheckpoint(stopped))];
  for (const name of ["pos_embed", "head.0.weight"]) {
    expect(await b.parameter(name), name).toEqual(await a.parameter(name));
    expect(await b.trained(name), name).toEqual(await a.trained(name));
    // What is used is the mean, which lags behind what is trained.
    expect(await a.parameter(name), name).not.toEqual(await a.trained(name));
    expect(straight.parameters.get(name), name).toEqual(await a.trained(name));
  }
  await a.close();
  await b.close();
});

test("what is to be used alone has the mean only", async () => {
  const output = join(root, "best");
  await trainToy({ ...settings, output });
  const best = await openCheckpoint(bestCheckpoint(output));
  expect(await best.trained("pos_embed")).toEqual(await best.parameter("pos_embed"));
  expect(best.moments).toBeUndefined();
  await best.close();
});

test("a run with another mean is another run", async () => {
  const output = join(root, "other");
  await trainToy({ ...settings, output }, { stopAt: 2 });
  const changed = { ...settings, output, training: { ...settings.training, ema: 0.9 } };
  await expect(trainToy(changed, { resume: true })).rejects.toThrow("ema was 0.7, is 0.9");
});
