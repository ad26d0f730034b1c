import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { addHours, formatTime, parseTime } from "../../src/data/time.ts";
import { findSamples, type SampleOptions, usualStep } from "../../src/eval/samples.ts";
import { openSystems } from "../../src/eval/systems.ts";
import { openTruth } from "../../src/eval/truth.ts";
import { tinyFolder, writeForecast, writeTruth } from "./tinyfiles.ts";

const state = [280, 281, 282, 283];
let folder: string;
let truth: string;

beforeAll(async () => {
  folder = await tinyFolder();
  truth = await writeTruth(join(folder, "truth.nc"), [0, 24, 48, 72], {
    "2m_temperature": [state, state, state, state],
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** One file for each initial time, of so many leads. */
async function samplesOf(leads: Record<number, number[]>, more: Partial<SampleOptions> = {}) {
  const paths = await Promise.all(
    Object.entries(leads).map(([hour, leads]) =>
      writeForecast(join(folder, `${hour}-${leads.join("-")}.nc`), [Number(hour)], leads, {
        "2m_temperature": [leads.map(() => state)],
      }),
    ),
  );
  const opened = await openTruth([truth]);
  const { systems, close } = await openSystems(paths, ["ours"]);
  try {
    return findSamples({
      ...{ systems, truth: opened, variables: ["2m_temperature"], leads: undefined, baselines: [] },
      missing: "error",
      ...more,
    });
  } finally {
    await close();
    await opened.close();
  }
}

test("samples come by initial time, then lead, each with its valid state", async () => {
  const { byVariable, absent, validSteps } = await samplesOf({ 24: [48, 24], 0: [24, 48] });
  expect(
    byVariable[0]!.samples.map(({ initial, leadHours, validSteps, initialStep }) => [
      formatTime(initial),
      ...[leadHours, validSteps, initialStep],
    ]),
  ).toEqual([
    ["2018-01-01T00:00:00", 24, [1], 0],
    ["2018-01-01T00:00:00", 48, [2], 0],
    ["2018-01-02T00:00:00", 24, [2], 1],
    ["2018-01-02T00:00:00", 48, [3], 1],
  ]);
  expect(validSteps).toEqual([1, 2, 3]);
  expect(absent).toBe(0);
});

test("leads that some initial times lack are counted, or refused", async () => {
  const leads = { 0: [24, 48], 24: [24] };
  const { byVariable, absent } = await samplesOf(leads);
  expect(absent).toBe(1);
  expect(byVariable[0]!.samples).toHaveLength(3);
  await expect(samplesOf(leads, { absent: "error" })).rejects.toMatchObject({
    kind: "data",
    message:
      "ours has no 2m_temperature from 2018-01-02T00:00:00 for 48 h: a lead that other initial times have",
    hint: expect.stringContaining("--gaps skip"),
  });
  await expect(samplesOf({ 0: [24, 48, 72], 24: [24] }, { absent: "error" })).rejects.toMatchObject({
    message: expect.stringContaining(" for 48 h, nor 1 other forecast field: a lead"),
  });
  expect((await samplesOf(leads, { absent: "error", leads: [24] })).absent).toBe(0);
});

test("the usual step is the one that occurs most often", () => {
  const first = parseTime("2018-01-01", "standard");
  expect(usualStep([0, 6, 12, 36, 60, 66].map((hour) => addHours(first, hour)))).toBe(6 * 3600);
  expect(usualStep([first])).toBe(Infinity);
});
