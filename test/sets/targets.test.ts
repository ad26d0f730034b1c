/** Targets beyond one state: means of a stretch, roll-outs, regions; by hand on values that tell their time and cell. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addHours, type CfTime, formatTime, parseTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { patchWindow, regionNamed } from "../../src/grid/regions.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet, type PreparedSet } from "../../src/sets/prepared.ts";
import { type SampleOptions, samples } from "../../src/sets/samples.ts";
import { targetFinder } from "../../src/sets/targets.ts";
import { fakeArchive, fakeCells, fakeGrid, fakeValue, provenance } from "../support/fakearchive.ts";

const name = "2m_temperature";
let root: string;
let set: PreparedSet;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-targets-"));
  // 20 days, six-hourly; the last step of the 5th day is missing, and the first of the 6th.
  const archive = fakeArchive({ start: "2001-01-01", steps: 80, without: [19, 20], names: [name] });
  await prepare(archive, join(root, "set"), { train: "2001-01-01..2001-01-20", provenance });
  set = await openSet(join(root, "set"));
});
afterAll(async () => {
  await set.close();
  rmSync(root, { recursive: true });
});

const options: SampleOptions = {
  inputs: [name],
  outputs: [name],
  leads: [24],
  batchSize: 4,
  seed: 3,
  shuffle: false,
  dropLast: false,
};
const normalised = (value: number) => (value - set.mean[name]!) / set.std[name]!;

/** Initial times of an epoch, and all of its batches. */
async function epoch(source: ReturnType<typeof samples>) {
  const batches = await Promise.all(
    Array.from({ length: source.batches }, (_, index) => source.batchAt(0, index)),
  );
  return { batches, inits: batches.flatMap(({ times }) => times.map(formatTime)) };
}

/** Whether the set has this time. */
const has = (time: CfTime) => set.split("train").times.some(({ seconds }) => seconds === time.seconds);

describe("means over a stretch", () => {
  test("y is the mean of the states from the lead on, the end left out", async () => {
    const { batches } = await epoch(samples(set, "train", { ...options, average: 48 }));
    for (const { y, times, leadHours, size } of batches)
      for (let b = 0; b < size; b++) {
        expect(leadHours[b]).toBe(24);
        for (const cell of [0, 11]) {
          let sum = 0;
          for (let hours = 24; hours < 24 + 48; hours += 6)
            sum += fakeValue(name, addHours(times[b]!, hours), cell);
          // The mean is rounded to float32 once (3e-5 of 300) and normalised by a deviation above 1.
          expect(y[b * fakeCells + cell]).toBeCloseTo(normalised(sum / 8), 4);
        }
      }
  });

  test("a gap in the stretch, or its end beyond the split, makes no sample", async () => {
    const { inits } = await epoch(samples(set, "train", { ...options, average: 48 }));
    const wanted = set
      .split("train")
      .times.filter((time) =>
        Array.from({ length: 8 }, (_, i) => has(addHours(time, 24 + 6 * i))).every(Boolean),
      )
      .map(formatTime);
    expect(inits).toEqual(wanted);
    // Of 80 steps, 2 are missing, 11 are too late; steps 8 to 16 have a gap 4 to 11 steps on.
    expect(inits.length).toBe(80 - 2 - 11 - 9);
    expect(inits).toContain("2001-01-02T18:00:00"); // step 7: its stretch ends at step 18
    expect(inits).not.toContain("2001-01-03T00:00:00");
    expect(inits).toContain("2001-01-05T06:00:00"); // step 17: its stretch begins at step 21
  });

  test("the two-week mean of weeks 3 and 4 takes 56 six-hourly states", () => {
    const start = parseTime("2001-01-01", "standard");
    const times = Array.from({ length: 4 * 30 }, (_, i) => addHours(start, 6 * i));
    const [target] = targetFinder(times, 6, { average: 336 })(0, 336)!;
    expect([target![0], target!.at(-1), target!.length]).toEqual([56, 111, 56]);
    expect(targetFinder(times, 6, { average: 336 })(9, 336)).toBeUndefined(); // would end at step 120
    expect(targetFinder(times, 6, { average: 336 })(8, 336)).toBeDefined();
  });
});

describe("roll-outs", () => {
  test("later has the targets at two, three leads, each like y", async () => {
    const { batches, inits } = await epoch(samples(set, "train", { ...options, steps: 3 }));
    for (const { later, times, size } of batches) {
      expect(later!.map(({ length }) => length)).toEqual([size * fakeCells, size * fakeCells]);
      for (let b = 0; b < size; b++)
        for (const [k, fields] of later!.entries())
          expect(fields[b * fakeCells + 5]).toBeCloseTo(
            normalised(fakeValue(name, addHours(times[b]!, 24 * (k + 2)), 5)),
            5,
          );
    }
    const wanted = set
      .split("train")
      .times.filter((time) => [24, 48, 72].every((h) => has(addHours(time, h))));
    expect(inits).toEqual(wanted.map(formatTime));
    expect(inits.length).toBe(80 - 2 - 12 - 6); // a gap at 4, 8 and 12 steps on, two steps each
  });

  test("one step has no later, and the same y as several have", async () => {
    const one = await samples(set, "train", options).batchAt(0, 0);
    expect("later" in one).toBe(false);
    expect((await samples(set, "train", { ...options, steps: 2 }).batchAt(0, 0)).y).toEqual(one.y);
  });

  test("leads are drawn among those that have all of their steps", async () => {
    const leads = { min: 6, max: 48, step: 6 };
    const source = samples(set, "train", { ...options, leads, steps: 4, shuffle: true });
    for (let e = 0; e < 5; e++)
      for (let index = 0; index < source.batches; index++) {
        const { times, leadHours } = await source.batchAt(e, index);
        for (const [b, time] of times.entries())
          for (let k = 1; k <= 4; k++)
            if (!has(addHours(time, k * leadHours[b]!))) expect.fail(`${formatTime(time)} + ${leadHours[b]}`);
      }
  });
});

test("a window cuts x, y and later to the region's points", async () => {
  // Latitudes -60, 0, 60, longitudes 0, 90, 180, 270.
  const window = patchWindow(fakeGrid, regionNamed("-10..90,260..10"), 1);
  const whole = await samples(set, "train", { ...options, steps: 2 }).batchAt(0, 1);
  const part = await samples(set, "train", { ...options, steps: 2, window }).batchAt(0, 1);
  const cells = [4, 7, 8, 11]; // rows 0 and 60 N, columns 0 and 270 E
  const cut = (fields: Float32Array) =>
    Array.from({ length: whole.size }, (_, b) => cells.map((cell) => fields[b * fakeCells + cell]!)).flat();
  expect([...part.x]).toEqual(cut(whole.x));
  expect([...part.y]).toEqual(cut(whole.y));
  expect([...part.later![0]!]).toEqual(cut(whole.later![0]!));
});

test("targets are all there or none, whatever is missing, averaged and rolled out", () => {
  const start = parseTime("2001-01-01", "standard");
  const missing = fc.uniqueArray(fc.integer({ min: 0, max: 39 }), { maxLength: 8 });
  const count = (max: number) => fc.integer({ min: 1, max });
  fc.assert(
    fc.property(missing, count(4), count(4), count(3), (without, lead, states, steps) => {
      const kept = Array.from({ length: 40 }, (_, i) => i).filter((i) => !without.includes(i));
      const times = kept.map((i) => addHours(start, 6 * i));
      const find = targetFinder(times, 6, { average: 6 * states, steps });
      return kept.every((at, step) => {
        const wanted = Array.from({ length: steps }, (_, k) =>
          Array.from({ length: states }, (_, i) => kept.indexOf(at + (k + 1) * lead + i)),
        );
        const found = find(step, 6 * lead);
        return wanted.flat().includes(-1)
          ? found === undefined
          : JSON.stringify(found) === JSON.stringify(wanted);
      });
    }),
    { numRuns: 100, seed: 11 },
  );
});

test.each<[string, Partial<SampleOptions>, string]>([
  [
    "an average between states",
    { average: 45 },
    "a mean over 45 h is no whole number of states, which come every 6 h",
  ],
  ["an average of nothing", { average: 0 }, "a mean over 0 h is no whole number of states"],
  ["no steps", { steps: 0 }, "0 steps of a roll-out; wanted a whole number from 1"],
  ["half a step", { steps: 1.5 }, "1.5 steps of a roll-out"],
  ["too long an average", { average: 600 }, "has no state with all states of 600 h from 24 h later on"],
  ["too many steps", { steps: 40 }, "has no state with states 40 times one after the other 24 h later"],
])("%s is an error", (_, change, message) => {
  const make = () => samples(set, "train", { ...options, ...change });
  expect(make).toThrow(ClimaxError);
  expect(make).toThrow(message);
});
