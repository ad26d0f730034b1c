/** Rain: what its numbers are is said, and sums over a time that is asked for are right or refused. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CfTime, formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { accumulateRain, rainMeaning } from "../../src/sets/precipitation.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { appendToSet } from "../../src/sets/prepareappend.ts";
import { type FakeArchiveOptions, fakeArchive, fakeCells, provenance } from "../support/fakearchive.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-rain-"));
});
afterAll(() => rmSync(root, { recursive: true }));

const amount = "total_precipitation";
const rate = "mean_total_precipitation_rate";

/** Different at every hour and cell. */
const rain = (name: string, time: CfTime, cell: number) =>
  name === amount || name === rate
    ? (((time.seconds / 3600) % 100) + cell) / (name === rate ? 1e5 : 1e4)
    : 280;

function rainy(name: string, cellMethods: string | undefined, options: FakeArchiveOptions = {}) {
  const archive = fakeArchive({
    names: ["2m_temperature", name],
    constants: ["orography"],
    value: rain,
    ...options,
  });
  const variable = archive.variables.get(name)!;
  if (cellMethods !== undefined) variable.attributes = new Map([["cell_methods", cellMethods]]);
  return archive;
}

describe("what the numbers are", () => {
  test.each([
    [amount, "time: sum (interval: 6 hours)", "accumulated over 6 h"],
    [amount, "time: sum (interval: 1 hour)", "accumulated over 1 h"],
    [amount, "area: mean time: sum (interval: 1 day comment: of 24 h)", "accumulated over 24 h"],
    [amount, "time: sum (interval: 30 min)", "accumulated over 0.5 h"],
    [amount, "time: sum (interval: 1 month)", "accumulated over a time that the files do not say"],
    [amount, undefined, "accumulated over a time that the files do not say"],
    [rate, "area: time: mean", "mean rate"],
    [rate, "time: point", "rate at the time"],
    [rate, undefined, "rate, the files do not say of which time"],
  ])("%s with cell_methods %s: %s", (name, methods, meaning) => {
    expect(rainMeaning(rainy(name, methods).variables.get(name)!)).toBe(meaning);
  });

  test("is in set.json, in the notes, and only for rain", async () => {
    const archive = rainy(amount, "time: sum (interval: 1 hour)");
    const { manifest } = await prepare(archive, join(root, "said"), { train: "2015", provenance });
    expect(manifest.variables.map(({ name, meaning }) => [name, meaning])).toEqual([
      ["orography", undefined],
      ["2m_temperature", undefined],
      [amount, "accumulated over 1 h"],
    ]);
    expect(manifest.notes).toContain(`${amount}: accumulated over 1 h`);
  });

  test("states of another kind are not added to a set", async () => {
    const dir = join(root, "kind");
    await prepare(rainy(amount, "time: sum (interval: 1 hour)"), dir, { train: "2015", provenance });
    const more = rainy(amount, "time: sum (interval: 6 hours)");
    const error = await appendToSet(more, dir, { test: "2016", provenance }).catch(
      (thrown: unknown) => thrown,
    );
    expect((error as ClimaxError).message).toBe(
      `${amount} of the files is accumulated over 6 h, that of ${dir} accumulated over 1 h`,
    );
    expect((error as ClimaxError).hint).toContain("--precipitation HOURS");
  });
});

describe("a sum over hours", () => {
  test("of a six-hourly mean rate is the rate times six hours, in metres", async () => {
    const archive = rainy(rate, "area: time: mean");
    const summed = accumulateRain(archive, 6);
    expect(summed.times).toEqual(archive.times);
    expect([...summed.variables.keys()]).toEqual(["orography", "2m_temperature", amount]);
    const field = await summed.variables.get(amount)!.read(7);
    // 1 kg m-2 is a millimetre.
    const wanted = Array.from({ length: fakeCells }, (_, cell) =>
      Math.fround(Math.fround(rain(rate, archive.times[7]!, cell)) * 6 * 3600 * 1e-3),
    );
    expect([...field]).toEqual(wanted);
    expect(rainMeaning(summed.variables.get(amount)!)).toBe("accumulated over 6 h");
    expect(summed.notes).toEqual([`${amount} over 6 h is ${rate} times 6 h (1 kg m-2 of rain is 1 mm)`]);
  });

  test("of hourly sums is of the hours up to the state; states without them are left out", async () => {
    const archive = rainy(amount, "time: sum (interval: 1 hour)", { stepHours: 1, steps: 30, without: [12] });
    const summed = accumulateRain(archive, 6);
    // The first 5, then those up to 5 hours after the gap.
    expect(summed.times.map(formatTime).slice(0, 8)).toEqual([
      ...[5, 6, 7, 8, 9, 10, 11].map((hour) => `2015-12-25T${String(hour).padStart(2, "0")}:00:00`),
      "2015-12-25T18:00:00",
    ]);
    const time = summed.times[7]!;
    const field = await summed.variables.get(amount)!.read(7);
    for (const cell of [0, 11]) {
      const hours = [0, 1, 2, 3, 4, 5].map((back) => ({ ...time, seconds: time.seconds - 3600 * back }));
      const wanted = hours.reduce((sum, hour) => sum + Math.fround(rain(amount, hour, cell)), 0);
      expect(Math.abs(field[cell]! / wanted - 1)).toBeLessThan(2 ** -23);
    }
    // Other variables go along with the times.
    expect(await summed.variables.get("2m_temperature")!.read(7)).toEqual(new Float32Array(12).fill(280));
    expect(summed.notes).toEqual([
      `${amount} over 6 h is the sum of 6 steps of 1 h`,
      "10 of 29 states left out, whose 6 h of rain are not all there",
    ]);
  });

  test("of rates that may be of a moment says what was assumed; of that very sum changes nothing", () => {
    expect(accumulateRain(rainy(rate, undefined), 12).notes[0]).toContain(
      "times 6 h, the sum of 2 steps (1 kg m-2 of rain is 1 mm); the files do not say that it is a mean, which was assumed",
    );
    const same = rainy(amount, "time: sum (interval: 6 hours)");
    expect(accumulateRain(same, 6)).toBe(same);
  });

  test.each<[string, string, string | undefined, number, string]>([
    [
      "no rain",
      "temperature_850",
      undefined,
      6,
      "have neither total_precipitation nor mean_total_precipitation_rate",
    ],
    ["sums over an unknown time", amount, undefined, 6, "does not say over how long it is accumulated"],
    ["rates of a moment", rate, "time: point", 6, "is the rate at a moment, which is no amount"],
    [
      "less than a step",
      rate,
      "time: mean",
      3,
      "is of 6 h at every 6 h, of which no sum over 3 h can be made",
    ],
    ["no multiple", rate, "time: mean", 9, "no sum over 9 h"],
    ["hours that are not all there", amount, "time: sum (interval: 1 hour)", 6, "is of 1 h at every 6 h"],
    ["longer than the files", rate, "time: mean", 600, "has nowhere 100 steps in a row"],
  ])("is refused of %s", (_, name, methods, hours, message) => {
    let error: unknown;
    try {
      accumulateRain(rainy(name, methods), hours);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ClimaxError);
    expect((error as ClimaxError).message).toContain(message);
    expect((error as ClimaxError).hint).not.toBe("");
  });
});
