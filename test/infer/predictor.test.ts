/** Predictions of a checkpoint: those of the model that was trained, in physical units. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { latitudeWeights } from "../../src/grid/grid.ts";
import { Predictor } from "../../src/infer/predictor.ts";
import { type Checkpoint, openCheckpoint } from "../../src/model/checkpoint.ts";
import type { Batch } from "../../src/sets/samples.ts";
import { lastCheckpoint } from "../../src/train/resume.ts";
import { gpu } from "../support/gpu.ts";
import { writeToyCheckpoint } from "../support/toycheckpoint.ts";
import { openToyRun, trainToy } from "../support/toyrun.ts";
import { toyGrid, toyNames, writeToySet } from "../support/toyset.ts";

const cells = 128;
let root: string;
let checkpoint: Checkpoint;
let predictor: Predictor;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-predictor-"));
  checkpoint = await writeToyCheckpoint(join(root, "untrained.safetensors"));
  predictor = await Predictor.load(gpu, checkpoint);
});
afterAll(async () => {
  await checkpoint.close();
  rmSync(root, { recursive: true });
});

/** States [B, V, H, W] around 285, each cell of its own. */
const statesOf = (variables: readonly string[], B: number) =>
  Float32Array.from({ length: B * variables.length * cells }, (_, i) => 285 + 8 * Math.sin(i * i));

test("a trained checkpoint has the loss that its learner had", async () => {
  const settings = {
    output: join(root, "run"),
    sources: [await writeToySet(join(root, "set"))],
    model: { dropout: 0.1 },
    training: { maxSteps: 12, validationBatches: 1 },
  };
  await trainToy(settings);
  const trained = await openCheckpoint(lastCheckpoint(settings.output));
  const toy = await openToyRun(settings);
  const { learner, validation, info } = toy.run;
  await learner.load((name) => trained.parameter(name));
  const batch = await validation!.batchAt(0, 0);
  const { loss, losses } = await learner.evaluate(batch);

  const scales = toyNames.map((name) => info.variables.find((variable) => variable.name === name)!);
  const physical = (values: Float32Array) =>
    values.map((value, i) => {
      const { mean, std } = scales[Math.floor(i / cells) % 2]!;
      return mean + std * value;
    });
  const fields = await (await Predictor.load(gpu, trained)).predict(
    { variables: batch.variables, fields: physical(batch.x), leadHours: [...batch.leadHours] },
    batch.outputs,
  );
  const found = lossesOf(batch, fields, scales);
  // Fields of 280 K in f32 are good to 3e-5 K, so normalised ones to 1e-5; the rest is the order of sums.
  for (const [v, own] of found.entries()) expect(own / losses[v]!).toBeCloseTo(1, 4);
  expect((found[0]! + found[1]!) / 2 / loss).toBeCloseTo(1, 4);
  await trained.close();
  await toy.close();
});

/** Latitude-weighted mean squared error of each variable in f64, of normalised fields. */
function lossesOf(batch: Batch, fields: Float32Array, scales: readonly { mean: number; std: number }[]) {
  const weights = latitudeWeights(toyGrid);
  const sums = [0, 0];
  for (const [i, value] of fields.entries()) {
    const v = Math.floor(i / cells) % 2;
    const { mean, std } = scales[v]!;
    const weight = weights[Math.floor((i % cells) / toyGrid.lon.length)]!;
    sums[v]! += (weight * ((value - mean) / std - batch.y[i]!) ** 2) / (batch.size * cells);
  }
  return sums;
}

test("a state is forecast alike alone and among others, for every lead its own", async () => {
  const variables = ["orography", ...toyNames];
  const fields = statesOf(variables, 3);
  const size = 3 * cells;
  const together = await predictor.predict({ variables, fields, leadHours: [24, 24, 72] }, toyNames);
  for (const [b, lead] of [24, 24, 72].entries()) {
    const own = fields.slice(b * size, (b + 1) * size);
    const alone = await predictor.predict({ variables, fields: own, leadHours: [lead] }, toyNames);
    const among = together.slice(b * 2 * cells, (b + 1) * 2 * cells);
    // Rows of a batch are computed alike; only the tiling of a product may sum in another order.
    for (const [i, value] of alone.entries()) expect(Math.abs(value - among[i]!)).toBeLessThan(1e-4);
  }
  const state = fields.slice(0, size);
  const at = async (lead: number) =>
    await predictor.predict({ variables, fields: state, leadHours: [lead] }, toyNames);
  const [day, week, again] = [await at(24), await at(168), await at(24)];
  expect(again).toEqual(day);
  expect(Math.max(...day.map((value, i) => Math.abs(value - week[i]!)))).toBeGreaterThan(0.1);
});

test("outputs are in the order asked for, and asking for fewer changes none", async () => {
  const variables = toyNames;
  const batch = { variables, fields: statesOf(variables, 1), leadHours: [24] };
  const both = await predictor.predict(batch, toyNames);
  const turned = await predictor.predict(batch, toyNames.toReversed());
  const one = await predictor.predict(batch, ["temperature_850"]);
  expect(turned.subarray(cells)).toEqual(both.subarray(0, cells));
  expect(turned.subarray(0, cells)).toEqual(both.subarray(cells));
  expect(one).toEqual(both.subarray(cells));
  expect(one).toHaveLength(cells);
});

test("the order in which variables enter does not matter, which of them do does", async () => {
  const fields = statesOf(toyNames, 1);
  const swapped = Float32Array.from([...fields.subarray(cells), ...fields.subarray(0, cells)]);
  const leadHours = [24];
  const one = await predictor.predict({ variables: toyNames, fields, leadHours }, toyNames);
  const other = await predictor.predict(
    { variables: toyNames.toReversed(), fields: swapped, leadHours },
    toyNames,
  );
  // Aggregation sums over variables, in another order: rounding of values of 280.
  for (const [i, value] of one.entries()) expect(Math.abs(value - other[i]!)).toBeLessThan(2e-4);
  const first = fields.slice(0, cells);
  const fewer = await predictor.predict({ variables: [toyNames[0]!], fields: first, leadHours }, toyNames);
  expect(Math.max(...fewer.map((value, i) => Math.abs(value - one[i]!)))).toBeGreaterThan(1);
});

test("units are physical: a mean and deviation of their own move and stretch what goes in and comes out", async () => {
  const moved = await writeToyCheckpoint(join(root, "moved.safetensors"), {
    variables: checkpoint.info.variables.map((variable) => ({
      ...variable,
      mean: 2 * variable.mean - 270,
      std: 2 * variable.std,
    })),
  });
  const other = await Predictor.load(gpu, moved);
  const fields = statesOf(toyNames, 1);
  const batch = { variables: toyNames, leadHours: [12] };
  const plain = await predictor.predict({ ...batch, fields }, toyNames);
  const twice = await other.predict({ ...batch, fields: fields.map((x) => 2 * x - 270) }, toyNames);
  for (const [i, value] of plain.entries()) expect(Math.abs(2 * value - 270 - twice[i]!)).toBeLessThan(5e-4);
  await moved.close();
});

test("nothing stays on the device after a prediction", async () => {
  const batch = { variables: toyNames, fields: statesOf(toyNames, 2), leadHours: [6, 12] };
  await predictor.predict(batch, toyNames);
  const { lent } = gpu.pool.bytes;
  for (let i = 0; i < 3; i++) await predictor.predict(batch, toyNames);
  expect(gpu.pool.bytes.lent).toBe(lent);
});

test("a predictor that is freed gives all of its memory back", async () => {
  const { lent } = gpu.pool.bytes;
  const other = await Predictor.load(gpu, checkpoint);
  expect(gpu.pool.bytes.lent).toBeGreaterThan(lent);
  other.free();
  expect(gpu.pool.bytes.lent).toBe(lent);
});

test.skipIf(!gpu.half)(
  "in f16 it predicts the same to the rounding of f16, with smaller weights (skipped without shader-f16)",
  async () => {
    const half = { ...gpu, precision: "f16" as const };
    const before = gpu.pool.bytes.lent;
    const full = await Predictor.load(gpu, checkpoint);
    const between = gpu.pool.bytes.lent;
    const small = await Predictor.load(half, checkpoint);
    expect(gpu.pool.bytes.lent - between).toBeLessThan(between - before);
    const batch = { variables: toyNames, fields: statesOf(toyNames, 2), leadHours: [6, 72] };
    const [wanted, found] = [await full.predict(batch, toyNames), await small.predict(batch, toyNames)];
    // Operands lose 2^-11 of themselves; a field's deviation is below 20, and an error adds up over a few layers.
    for (const [i, value] of wanted.entries()) expect(Math.abs(value - found[i]!)).toBeLessThan(20 * 2 ** -8);
    expect(wanted.some((value, i) => value !== found[i])).toBe(true);
  },
);
