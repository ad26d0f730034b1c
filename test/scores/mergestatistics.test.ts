import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addHours, formatTime, parseTime } from "../../src/data/time.ts";
import type { ClimaxError } from "../../src/errors.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import { addTo, settle } from "../../src/scores/compensated.ts";
import { mergeStatistics } from "../../src/scores/mergestatistics.ts";
import type { LeadStatistics, Statistics } from "../../src/scores/statistics.ts";
import { type Asked, measureFiles } from "../eval/measuring.ts";
import { tinyFolder, writeEnsemble, writeTruth } from "../eval/tinyfiles.ts";

const first = parseTime("2018-01-01", "standard");

/** Statistics of one lead, by what each forecast adds to a series and to sums. */
function madeOf(hours: number[], values: number[], over: Partial<LeadStatistics> = {}): Statistics {
  const sums = Float64Array.of(0);
  const rest = Float64Array.of(0);
  for (const value of values) addTo(sums, rest, [value]);
  settle(sums, rest);
  const of = { system: "ours", size: 1, forecasts: values.length, sums, rest };
  return {
    grid: makeGrid([0], [0]),
    ...{ systems: ["ours"], metrics: ["rmse"], regions: ["global"] },
    leads: [
      {
        ...{ variable: "2m_temperature", leadHours: 24 },
        initial: hours.map((hour) => addHours(first, hour)),
        valid: hours.map((hour) => addHours(first, hour + 24)),
        series: [
          { system: "ours", metric: "rmse", region: "global", size: 1, values: Float64Array.from(values) },
        ],
        cells: [{ ...of, metric: "maps" }],
        profiles: [{ ...of, metric: "spectrum", region: "global" }],
        ...over,
      },
    ],
  };
}

describe("sums that keep what rounding leaves over", () => {
  test("lose nothing to a large number that comes and goes", () => {
    const [sums, rest] = [Float64Array.of(0), Float64Array.of(0)];
    for (const x of [1e16, 1, 1e-8, -1e16]) addTo(sums, rest, [x]);
    settle(sums, rest);
    expect(sums[0]).toBe(1 + 1e-8);
    // 1e16 + 1 is no f64: what is below its last bit stays in the rest.
    const [large, small] = [Float64Array.of(0), Float64Array.of(0)];
    for (const x of [1e16, 1]) addTo(large, small, [x]);
    settle(large, small);
    expect([large[0], small[0]]).toEqual([1e16, 1]);
  });
});

describe("by hand", () => {
  test("rows in order of initial time, sums exact, forecasts counted", () => {
    const merged = mergeStatistics([
      madeOf([24, 72], [1, 1e-8]),
      madeOf([0, 96], [1e16, -1e16]),
      madeOf([48], [5]),
    ]);
    const [lead] = merged.leads as [LeadStatistics];
    expect(lead.initial.map(formatTime)).toEqual([1, 2, 3, 4, 5].map((day) => `2018-01-0${day}T00:00:00`));
    expect(lead.valid.map(formatTime)).toEqual([2, 3, 4, 5, 6].map((day) => `2018-01-0${day}T00:00:00`));
    expect([...lead.series[0]!.values]).toEqual([1e16, 1, 5, 1e-8, -1e16]);
    for (const { sums, rest, forecasts } of [...lead.cells, ...lead.profiles]) {
      expect(sums[0]! + rest[0]!).toBe(6 + 1e-8);
      expect(forecasts).toBe(5);
    }
  });

  test("a share without a forecast adds nothing", () => {
    const whole = madeOf([0, 24], [1, 2]);
    expect(mergeStatistics([madeOf([], []), whole])).toEqual(whole);
  });
});

describe("shares of a run", () => {
  let folder: string;
  let asked: Asked;

  beforeAll(async () => {
    folder = await tinyFolder();
    // Thirds and sevenths, so that every sum is rounded.
    const state = (step: number) => [0, 1, 2, 3].map((i) => 280 + ((step * 7 + i * 3) % 11) / 3 + step / 7);
    const hours = Array.from({ length: 14 }, (_, i) => i * 24);
    const truth = await writeTruth(join(folder, "truth.nc"), hours, {
      "2m_temperature": hours.map((_, i) => state(i)),
    });
    const path = await writeEnsemble(join(folder, "ours.nc"), hours.slice(0, 12), [24, 48], {
      "2m_temperature": hours
        .slice(0, 12)
        .map((_, i) =>
          [1, 2].map((days) =>
            [1, 2, 3].map((m) => state(i + days).map((x, k) => x + Math.sin(m * 5 + i + k))),
          ),
        ),
    });
    asked = {
      ...{ truth, forecasts: [path], baselines: ["persistence"], maps: true },
      metrics: ["rmse", "mae", "crps", "nrmse_s", "rank_histogram"],
      regions: ["global", "tropics"],
    };
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const shares = async (count: number, more: Partial<Asked> = {}) => {
    const parts: Statistics[] = [];
    for (let index = 1; index <= count; index++) {
      parts.push((await measureFiles({ ...asked, ...more, share: { index, count } })).statistics);
    }
    return parts;
  };

  test.for([1, 2, 3, 5])("%d, in any order, are the run of one process, bit for bit", async (count) => {
    const whole = (await measureFiles(asked)).statistics;
    expect(whole.leads[0]!.cells.map(({ metric }) => metric)).toEqual(["nrmse_s", "maps", "nrmse_s", "maps"]);
    const parts = await shares(count);
    const firsts = parts.map(({ leads }) => leads[0]!.initial.map(formatTime)[0]);
    expect(firsts).toEqual(parts.map((_, i) => `2018-01-0${i + 1}T00:00:00`));
    for (const shuffled of [parts, parts.toReversed(), [...parts.slice(2), ...parts.slice(0, 2)]]) {
      const merged = mergeStatistics(shuffled);
      // What is below the last bit of a sum depends on the order, by the rounding of a rounding.
      expect(withoutRest(merged)).toEqual(withoutRest(whole));
      for (const [i, { cells }] of merged.leads.entries()) {
        for (const [k, { sums, rest }] of cells.entries()) {
          const exact = whole.leads[i]!.cells[k]!.rest;
          for (const [j, x] of rest.entries()) {
            expect(Math.abs(x - exact[j]!)).toBeLessThanOrEqual(1e-30 * Math.abs(sums[j]!));
          }
        }
      }
    }
  });

  test("have the same leads when there are more shares than initial times", async () => {
    const parts = await shares(13);
    expect(parts[12]!.leads.map(({ leadHours, initial }) => [leadHours, initial.length])).toEqual([
      [24, 0],
      [48, 0],
    ]);
    const whole = (await measureFiles(asked)).statistics;
    expect(withoutRest(mergeStatistics(parts))).toEqual(withoutRest(whole));
  });

  const failure = (parts: readonly Statistics[]): ClimaxError => {
    try {
      mergeStatistics(parts);
    } catch (error) {
      expect(error).toMatchObject({ name: "ClimaxError", kind: "config" });
      return error as ClimaxError;
    }
    throw new Error("nothing was thrown");
  };

  test("given twice are refused", async () => {
    const [one, two] = await shares(2);
    expect(failure([one!, two!, one!]).message).toBe(
      "the forecast of 2m_temperature from 2018-01-01T00:00:00 for 24 h is in two of the parts",
    );
  });

  test("of another run are refused, by what differs", async () => {
    const [one] = await shares(2);
    const [, regions] = await shares(2, { regions: ["global"] });
    expect(failure([one!, regions!]).message).toBe(
      "the parts are of two runs: they have other regions: global, tropics; and global",
    );
    const [, metrics] = await shares(2, { metrics: ["rmse"] });
    expect(failure([one!, metrics!]).message).toBe(
      "the parts are of two runs: they have other metrics: rmse, mae, crps, nrmse_s, rank_histogram; and rmse",
    );
    const [, maps] = await shares(2, { maps: false });
    expect(failure([one!, maps!]).message).toBe("the parts are of two runs: they have other numbers");
    const grid = { ...one!, grid: makeGrid([-60, 1], [0, 180]) };
    expect(failure([one!, grid]).message).toBe("the parts are of two runs: they have other grids");
  });
});

function withoutRest({ leads, ...of }: Statistics) {
  return {
    ...of,
    leads: leads.map((lead) => ({
      ...lead,
      cells: lead.cells.map((sums) => ({ ...sums, rest: undefined })),
      profiles: lead.profiles.map((sums) => ({ ...sums, rest: undefined })),
    })),
  };
}
