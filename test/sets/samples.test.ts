/** Batches: what is in them, which there are, and that they depend on nothing but seed, epoch and index. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hash32 } from "../../src/data/hash.ts";
import { addHours, formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet, type PreparedSet } from "../../src/sets/prepared.ts";
import { type Batch, mixSources, type SampleOptions, samples } from "../../src/sets/samples.ts";
import { drawInteger, permutation } from "../../src/sets/shuffle.ts";
import { leadList } from "../../src/sets/targets.ts";
import { batchesOf } from "../support/batches.ts";
import { fakeArchive, fakeCells, fakeValue, provenance } from "../support/fakearchive.ts";

const names = ["2m_temperature", "temperature_850"];
const pretraining = { min: 6, max: 168, step: 6 };
let root: string;
let set: PreparedSet;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-samples-"));
  // Train crosses a year's end, has a leap day in it and lacks two steps.
  const archive = fakeArchive({
    start: "2015-12-01",
    steps: 4 * 130,
    without: [10, 11],
    names,
    constants: ["orography"],
  });
  const dir = join(root, "set");
  await prepare(archive, dir, { train: "2015-12-01..2016-03-20", val: "2016-03-21..2016-03-31", provenance });
  set = await openSet(dir);
});
afterAll(async () => {
  await set.close();
  rmSync(root, { recursive: true });
});

const options: SampleOptions = {
  inputs: ["temperature_850", "orography"],
  outputs: ["2m_temperature"],
  leads: pretraining,
  batchSize: 8,
  seed: 5,
};

async function all(stream: AsyncIterable<Batch>): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of stream) batches.push(batch);
  return batches;
}

const inits = (batches: readonly Batch[]) => batches.flatMap((batch) => batch.times.map(formatTime));
const leadsIn = (batches: readonly Batch[]) => batches.flatMap((batch) => [...batch.leadHours]);

describe("samples", () => {
  test("x is the state at the initial time, y the state a lead later by the calendar, both normalised", async () => {
    for (const { x, y, times, leadHours, size, variables, outputs } of await all(
      batchesOf(samples(set, "train", options), 0),
    )) {
      expect(variables).toEqual(options.inputs);
      expect(outputs).toEqual(options.outputs);
      expect(size).toBe(8);
      expect([x.length, y.length]).toEqual([8 * 2 * fakeCells, 8 * fakeCells]);
      for (let b = 0; b < size; b++) {
        const later = addHours(times[b]!, leadHours[b]!);
        for (const cell of [0, 7]) {
          const now = fakeValue("temperature_850", times[b]!, cell);
          const then = fakeValue("2m_temperature", later, cell);
          // Both sides round once to float32; values are within 3.
          expect(x[b * 2 * fakeCells + cell]).toBeCloseTo(
            (now - set.mean.temperature_850!) / set.std.temperature_850!,
            6,
          );
          expect(y[b * fakeCells + cell]).toBeCloseTo(
            (then - set.mean["2m_temperature"]!) / set.std["2m_temperature"]!,
            6,
          );
        }
      }
    }
  });

  test("an epoch has every initial time with a target once: across the year's end, over the leap day, around the gap", async () => {
    const source = samples(set, "train", { ...options, leads: [24], dropLast: false });
    const got = inits(await all(batchesOf(source, 3)));
    const present = new Set(set.split("train").times.map(formatTime));
    const wanted = set
      .split("train")
      .times.filter((time) => present.has(formatTime(addHours(time, 24))))
      .map(formatTime);
    expect(got.toSorted()).toEqual(wanted);
    // 111 days x 4, less 2 missing initial times, 2 whose target is missing, and the last day's 4.
    expect(wanted.length).toBe(4 * 111 - 2 - 2 - 4);
    expect(wanted).toContain("2015-12-31T18:00:00");
    expect(wanted).toContain("2016-02-29T00:00:00");
    expect(wanted).not.toContain("2015-12-02T12:00:00");
    expect(source.samples).toBe(wanted.length);
  });

  test("no target lies outside of the sample's own split", async () => {
    for (const name of ["train", "val"] as const) {
      const times = new Set(set.split(name).times.map(({ seconds }) => seconds));
      const source = samples(set, name, { ...options, everyLead: true, dropLast: false, batchSize: 256 });
      const batches = await all(batchesOf(source, 0));
      for (const { times: starts, leadHours, size } of batches)
        for (let b = 0; b < size; b++)
          if (!times.has(addHours(starts[b]!, leadHours[b]!).seconds))
            expect.fail(`${name}: ${formatTime(starts[b]!)}`);
    }
  });

  test("everyLead has every pair once", async () => {
    const source = samples(set, "val", { ...options, leads: [6, 168], everyLead: true });
    const batches = await all(batchesOf(source, 0));
    // 44 states: 43 have a target 6 h on, 16 have one 168 h on.
    expect(source.samples).toBe(43 + 16);
    const pairs = batches.flatMap(({ times, leadHours }) =>
      times.map((time, b) => `${formatTime(time)}+${leadHours[b]}`),
    );
    expect(new Set(pairs).size).toBe(59);
    expect(batches.at(-1)!.size).toBe(59 % 8);
  });

  test("training leaves out the last, partial batch; validation keeps it and is in time order", async () => {
    const train = samples(set, "train", options);
    expect(train.batches).toBe(Math.floor(train.samples / 8));
    const val = samples(set, "val", options);
    const batches = await all(batchesOf(val, 0));
    expect(val.batches).toBe(Math.ceil(43 / 8));
    expect(inits(batches)).toEqual(set.split("val").times.slice(0, 43).map(formatTime));
    // The same validation samples whatever the epoch, so that losses of epochs compare.
    expect(leadsIn(await all(batchesOf(val, 7)))).toEqual(leadsIn(batches));
  });

  test("the same seed and epoch give the same batches; another epoch or seed another order and leads", async () => {
    const [one, two] = [samples(set, "train", options), samples(set, "train", options)];
    const first = await all(batchesOf(one, 2));
    expect(await all(batchesOf(two, 2))).toEqual(first);
    const next = await all(batchesOf(one, 3));
    expect(inits(next)).not.toEqual(inits(first));
    expect(leadsIn(next)).not.toEqual(leadsIn(first));
    const other = samples(set, "train", { ...options, seed: 6 });
    expect(inits(await all(batchesOf(other, 2)))).not.toEqual(inits(first));
  });

  test("a resumed run gets the batches it would have had", async () => {
    const whole = await all(batchesOf(samples(set, "train", options), 4));
    const resumed = await all(batchesOf(samples(set, "train", options), 4, 17));
    expect(resumed).toEqual(whole.slice(17));
    const source = samples(set, "train", options);
    for (const index of [30, 2, 30]) expect(await source.batchAt(4, index)).toEqual(whole[index]);
    expect(await all(batchesOf(source, 4, source.batches))).toEqual([]);
  });

  test("leads are uniform over 6, 12 ... 168, both ends included", async () => {
    // Only initial times that have every lead; 40 epochs of them.
    const counts = new Map<number, number>();
    const field = ["orography"];
    const source = samples(set, "train", { ...options, inputs: field, outputs: field, batchSize: 55 });
    const last = set.split("train").times.at(-1)!;
    let drawn = 0;
    for (let epoch = 0; epoch < 40; epoch++)
      for await (const { leadHours, times } of batchesOf(source, epoch))
        for (const [b, time] of times.entries()) {
          if (time.seconds + 168 * 3600 > last.seconds || formatTime(time) < "2015-12-03T18") continue;
          counts.set(leadHours[b]!, (counts.get(leadHours[b]!) ?? 0) + 1);
          drawn++;
        }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual(leadList(pretraining));
    const expected = drawn / 28;
    const chiSquared = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    // 27 degrees of freedom: above 55.5 by chance once in a thousand seeds.
    expect(chiSquared).toBeLessThan(55.5);
  });

  test("near the end of a split the leads that still have a target are drawn", async () => {
    const val = samples(set, "val", { ...options, batchSize: 1 });
    const { leadHours } = await val.batchAt(0, 42);
    expect([...leadHours]).toEqual([6]);
  });

  test.each<[string, Partial<SampleOptions>, string]>([
    ["an unknown input", { inputs: ["temperature_800"] }, 'unknown variable "temperature_800"'],
    ["an unknown output", { outputs: ["temperature_800"] }, 'unknown variable "temperature_800"'],
    ["a lead that no step has", { leads: [7] }, "has no two states 7 h apart"],
    ["a lead longer than the split", { leads: [24, 300] }, "has no two states 300 h apart"],
    [
      "a range beyond the split",
      { leads: { min: 300, max: 400, step: 6 } },
      "has no two states 300 to 396 h apart",
    ],
    [
      "an empty range",
      { leads: { min: 6, max: 5, step: 6 } },
      "are not one or more positive numbers of hours",
    ],
    [
      "a range that never ends",
      { leads: { min: 6, max: 168, step: 0 } },
      "are not one or more positive numbers",
    ],
    ["no leads", { leads: [] }, "are not one or more positive numbers of hours"],
    ["too few samples", { batchSize: 999, dropLast: true }, "has 43 samples, fewer than one batch of 999"],
  ])("%s is an error", (_, change, message) => {
    const make = () => samples(set, "val", { ...options, ...change });
    expect(make).toThrow(ClimaxError);
    expect(make).toThrow(message);
  });
});

describe("mixed sources", () => {
  const sources = () => [
    samples(set, "train", options),
    samples(set, "val", { ...options, shuffle: true, inputs: ["orography"] }),
  ];

  test("every batch is of one source, and an epoch has each batch of each once", async () => {
    const [train, val] = sources();
    const mixed = mixSources([train!, val!], { seed: 1 });
    expect(mixed.batches).toBe(train!.batches + val!.batches);
    expect(mixed.samples).toBe(train!.samples + val!.samples);
    const batches = await all(batchesOf(mixed, 0));
    const ofVal = batches.filter(({ variables }) => variables.length === 1);
    expect(ofVal.length).toBe(val!.batches);
    expect(inits(ofVal).toSorted()).toEqual(set.split("val").times.slice(0, 43).map(formatTime));
    // Mixed, not one source after the other.
    expect(batches.slice(0, ofVal.length)).not.toEqual(ofVal);
    expect(inits(await all(batchesOf(mixed, 1)))).not.toEqual(inits(batches));
    expect(await all(batchesOf(mixSources(sources(), { seed: 1 }), 0, 9))).toEqual(batches.slice(9));
  });

  test("weights set the shares; a source asked for more than it has goes on to its next epoch", async () => {
    const [train, val] = sources();
    const mixed = mixSources([train!, val!], { seed: 1, weights: [1, 3] });
    const batches = await all(batchesOf(mixed, 0));
    const ofVal = batches.filter(({ variables }) => variables.length === 1);
    expect(ofVal.length).toBe(Math.round(((train!.batches + val!.batches) * 3) / 4));
    const counts = new Map<string, number>();
    for (const init of inits(ofVal)) counts.set(init, (counts.get(init) ?? 0) + 1);
    expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1);
  });

  test("weights that do not fit the sources are refused", () => {
    expect(() => mixSources(sources(), { seed: 1, weights: [1] })).toThrow("1 weights (1) for 2 sources");
    expect(() => mixSources(sources(), { seed: 1, weights: [1, 0] })).toThrow(ClimaxError);
  });
});

describe("random numbers from counters", () => {
  test("a permutation has everything once, and every order of three is as likely", () => {
    expect([...permutation(1000, 1, 2, 3)].toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    );
    const counts = new Map<string, number>();
    for (let epoch = 0; epoch < 6000; epoch++) {
      const order = permutation(3, 9, 1, epoch).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    // Each 1000 with deviation sqrt(6000 * 5/36) = 29; 5 of these.
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(145);
  });

  test("neighbouring counters and large seeds give unrelated numbers", () => {
    const seen = new Set<number>();
    for (let i = 0; i < 1000; i++) for (let j = 0; j < 10; j++) seen.add(hash32(i, j));
    // 10 000 of 2^32: 0.01 collisions expected.
    expect(seen.size).toBeGreaterThan(9997);
    expect(hash32(2 ** 40)).not.toBe(hash32(0));
    expect(drawInteger(28, 1, 2)).toBeLessThan(28);
  });
});
