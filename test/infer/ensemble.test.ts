/** Members of an ensemble: who they are, that they differ where they should, and that batches do not matter to them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatTime } from "../../src/data/time.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { type ForecastJob, forecast } from "../../src/infer/forecast.ts";
import { readState } from "../../src/infer/inputs.ts";
import { listMembers, noEnsemble, perturb } from "../../src/infer/members.ts";
import { Predictor } from "../../src/infer/predictor.ts";
import { openStates, type States } from "../../src/infer/states.ts";
import type { Checkpoint } from "../../src/model/checkpoint.ts";
import { gpu } from "../support/gpu.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { toyNames } from "../support/toyset.ts";

const cells = 128;
const inputs = ["orography", ...toyNames];
let root: string;
let checkpoint: Checkpoint;
let predictor: Predictor;
let states: States;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-ensemble-"));
  checkpoint = await writeToyCheckpoint(join(root, "checkpoint.safetensors"));
  predictor = await Predictor.load(gpu, checkpoint);
  states = await openStates([await writeToyStates(join(root, "states.nc"))], inputs);
});
afterAll(async () => {
  await states.close();
  await checkpoint.close();
  rmSync(root, { recursive: true });
});

type Changes = Partial<Omit<ForecastJob, "ensemble">> & { ensemble?: Partial<ForecastJob["ensemble"]> };

/** Forecasts 2 m temperature and gives its fields by [initial time][lead][member]. */
async function fields({ ensemble, ...changes }: Changes = {}): Promise<Float32Array[][][]> {
  const output = join(root, "fields.nc");
  await forecast({
    models: [{ info: checkpoint.info, inputs, use: (work) => work(predictor) }],
    states,
    steps: [2, 4],
    leads: [24, 72],
    outputs: ["2m_temperature"],
    ensemble: { ...noEnsemble, ...ensemble },
    missing: "error",
    batchSize: 8,
    output,
    attributes: {},
    signal: new AbortController().signal,
    ...changes,
  });
  const file = await openForecastFile(output);
  const field = file.fields.get("2m_temperature")!;
  const all: Float32Array[][][] = [];
  for (const t of file.initial.keys()) {
    all.push([]);
    for (const l of file.leads.keys()) {
      all[t]!.push([]);
      for (let member = 0; member < field.members; member++) all[t]![l]!.push(await field.read(t, l, member));
    }
  }
  await file.close();
  return all;
}

const farthest = (a: Float32Array, b: Float32Array) =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
/** Another batch may sum in another order: rounding of values of 280. */
const rounding = 2e-4;

test("by noise: the control is the plain forecast, and members do not depend on the batch or on other times", async () => {
  const ensemble = { members: 3, noise: 0.5 };
  const plain = await fields();
  const found = await fields({ ensemble });
  const again = await fields({ ensemble, batchSize: 1 });
  const alone = await fields({ ensemble, steps: [4] });
  const seeded = await fields({ ensemble: { ...ensemble, seed: 1 } });
  for (const [t, leads] of found.entries())
    for (const [l, members] of leads.entries()) {
      expect(members).toHaveLength(3);
      expect(farthest(members[0]!, plain[t]![l]![0]!)).toBeLessThan(rounding);
      for (const [m, member] of members.entries()) {
        expect(farthest(member, again[t]![l]![m]!)).toBeLessThan(rounding);
        if (t === 1) expect(farthest(member, alone[0]![l]![m]!)).toBeLessThan(rounding);
        if (m === 0) continue;
        expect(farthest(member, members[0]!)).toBeGreaterThan(0.05);
        expect(farthest(member, seeded[t]![l]![m]!)).toBeGreaterThan(0.05);
      }
      expect(farthest(members[1]!, members[2]!)).toBeGreaterThan(0.05);
    }
});

describe("by dropout", () => {
  const ensemble = { members: 3, dropout: true };

  test.each<[string, Changes]>([
    ["direct", {}],
    ["rolled out", { rollout: { intervals: [12], separately: false } }],
  ])("%s: members do not depend on the batch, the control drops nothing", async (_, changes) => {
    const plain = await fields(changes);
    const found = await fields({ ...changes, ensemble });
    const again = await fields({ ...changes, ensemble, batchSize: 3 });
    for (const [t, leads] of found.entries())
      for (const [l, members] of leads.entries()) {
        // Roll-outs of six steps add their rounding up.
        expect(farthest(members[0]!, plain[t]![l]![0]!)).toBeLessThan(1e-3);
        for (const [m, member] of members.entries())
          expect(farthest(member, again[t]![l]![m]!)).toBeLessThan(1e-3);
        expect(farthest(members[1]!, members[0]!)).toBeGreaterThan(0.05);
        expect(farthest(members[1]!, members[2]!)).toBeGreaterThan(0.05);
      }
  });

  test("beyond one block of samples too", async () => {
    const many = { ensemble: { members: 40, dropout: true } };
    const [found, again] = [
      await fields({ ...many, batchSize: 40 }),
      await fields({ ...many, batchSize: 7 }),
    ];
    const flat = (all: Float32Array[][][]) => all.flat(2); // 160 forecasts, blocks have 128
    for (const [i, field] of flat(found).entries())
      expect(farthest(field, flat(again)[i]!)).toBeLessThan(rounding);
    const dropped = new Set(flat(found).map((field) => field[0]));
    expect(dropped.size).toBeGreaterThan(150);
  });
});

test("by lagged starts: the same valid times from earlier states", async () => {
  const lagged = await fields({ ensemble: { lag: [6, 12] } });
  const direct = async (step: number, lead: number) =>
    (await fields({ steps: [step], leads: [lead] }))[0]![0]![0]!;
  expect(lagged[0]![0]).toHaveLength(3);
  expect(farthest(lagged[0]![0]![1]!, await direct(1, 30))).toBeLessThan(rounding);
  expect(farthest(lagged[1]![1]![2]!, await direct(2, 84))).toBeLessThan(rounding);
  await expect(fields({ steps: [1], ensemble: { lag: [12] } })).rejects.toThrow(
    `has no state 12h before ${formatTime(states.times[1]!)}`,
  );
});

test("a roll-out of lagged starts takes more steps to the same times", async () => {
  const rollout = { intervals: [12], separately: false };
  const lagged = await fields({ rollout, ensemble: { lag: [12] } });
  const earlier = await fields({ rollout, steps: [2], leads: [36, 84] });
  for (const l of [0, 1]) expect(farthest(lagged[1]![l]![1]!, earlier[0]![l]![0]!)).toBeLessThan(1e-3); // of up to seven steps
});

describe("perturb", () => {
  test("noise is of each variable's own deviation, and constants have none", async () => {
    const stds = new Map(checkpoint.info.variables.map(({ name, std }) => [name, std]));
    const state = await readState(states, 0, { inputs, info: checkpoint.info, missing: "error" });
    const sums = new Float64Array(3);
    const n = 300;
    for (let copy = 1; copy <= n; copy++) {
      const noisy = state.slice();
      const ensemble = { ...noEnsemble, noise: 0.5, length: 3000 };
      perturb(noisy, { names: inputs, stds, states, time: states.times[0]!, copy, ensemble });
      for (let v = 0; v < 3; v++) sums[v]! += (noisy[v * cells + 7]! - state[v * cells + 7]!) ** 2 / n;
    }
    expect(sums[0]).toBe(0);
    for (const [v, name] of inputs.entries()) {
      if (v === 0) continue;
      // The mean of n squares strays by sqrt(2 / n) = 8 %; four times that.
      const share = sums[v]! / (0.5 * stds.get(name)!) ** 2;
      expect(Math.abs(share - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    }
  });
});

test("members are listed with the control first, copies changing fastest", () => {
  const ensemble = { ...noEnsemble, members: 2, lag: [6] };
  const list = listMembers(2, ensemble, { intervals: [6, 12], separately: true });
  expect(list).toHaveLength(16);
  expect(list[0]).toEqual({ model: 0, lag: 0, intervals: [6], copy: 0 });
  expect(list[1]).toEqual({ model: 0, lag: 0, intervals: [6], copy: 1 });
  expect(list[2]).toEqual({ model: 0, lag: 0, intervals: [12], copy: 0 });
  expect(list[4]).toEqual({ model: 0, lag: 6, intervals: [6], copy: 0 });
  expect(list[8]).toEqual({ model: 1, lag: 0, intervals: [6], copy: 0 });
  expect(listMembers(1, noEnsemble, { intervals: [6, 12], separately: false })).toEqual([
    { model: 0, lag: 0, intervals: [6, 12], copy: 0 },
  ]);
});
