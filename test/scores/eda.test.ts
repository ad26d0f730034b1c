/**
 * Real ERA5 members, their GRIB values in f64, against values that were worked out in f64 elsewhere from the definitions:
 * persistence of member 0, and members 1 to 9 as an ensemble that forecasts member 0.
 */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { makeGrid } from "../../src/grid/grid.ts";
import { type DefinitionName, definition } from "../../src/scores/definitions.ts";
import type { FieldPair } from "../../src/scores/metric.ts";
import { metricInfo } from "../../src/scores/metrics.ts";
import { type Grib1Field, readGrib1 } from "../support/grib1.ts";
import { ensemblePair, score } from "./scored.ts";

const grib = "../shared/data/era5-ensemble-grib/era5-levels-members.grib";
const values = "../shared/data/reference-cdo/era5_eda_reference_metrics.json";
const skipped = !existsSync(grib) || !existsSync(values);

const pooled =
  "ACC ClimaX/WB1 code (clim = time mean of 4 analyses, minus unweighted mean, pooled over samples)";
const persistence: [DefinitionName, string, string][] = [
  ["climax", "rmse", "RMSE_mean_of_sqrt_cos (ClimaX, WB1 paper)"],
  ["climax", "mae", "MAE_cos"],
  ["climax", "bias", "bias_cos (pred-truth)"],
  ["climax", "acc", pooled],
  ["weatherbench1", "rmse", "RMSE_sqrt_of_mean_cos (WB1 code)"],
  ["weatherbench1", "mae", "MAE_cos"],
  ["weatherbench1", "bias", "bias_cos (pred-truth)"],
  ["weatherbench1", "acc", pooled],
  ["weatherbench2", "rmse", "RMSE_sqrt_of_mean_cellarea (WB2)"],
  ["weatherbench2", "acc", "ACC WB2 style (no mean removal, per time then mean, cell-area weights)"],
];
const ensemble: [string, string][] = [
  ["crps", "CRPS fair (WB2)"],
  ["crps_skill", "CRPSskill E|X-Y|"],
  ["crps_spread", "CRPSspread E|X-X'|"],
  ["rmse", "ens mean RMSE (sqrt of time-mean)"],
  ["spread", "ens std sqrt(mean var ddof1)"],
];

describe.skipIf(skipped).for([
  ["z500", 129, 500],
  ["t850", 130, 850],
] as const)("ERA5 members, %s (skipped without ../shared/data)", ([short, parameter, level]) => {
  const read = () => {
    const fields = readGrib1(grib).filter((field) => field.parameter === parameter && field.level === level);
    const [{ lat, columns }] = fields as [Grib1Field];
    const lon = Float64Array.from({ length: columns }, (_, i) => (i * 360) / columns);
    // Rows run from north to south here; their weights are the same from either end.
    const grid = makeGrid(lat.toReversed(), lon);
    const dates = [...new Set(fields.map(({ date }) => date))].map((date) =>
      fields.filter((field) => field.date === date).toSorted((a, b) => a.member - b.member),
    );
    const expected = JSON.parse(readFileSync(values, "utf8")) as Record<string, Record<string, number>>;
    return { grid, dates: dates.map((members) => members.map(({ values }) => values)), expected };
  };

  test("persistence", () => {
    const { grid, dates, expected } = read();
    const states = dates.map(([control]) => control!);
    const climatology = states[0]!.map((_, i) => states.reduce((sum, state) => sum + state[i]!, 0) / 4);
    for (const steps of [1, 2, 3]) {
      const wanted = expected[`${short} persistence ${12 * steps}h (member 0)`]!;
      const pairs = states
        .slice(steps)
        .map((truth, from): FieldPair => ({ forecast: states[from]!, truth, climatology }));
      for (const [name, metric, key] of persistence) {
        const value = score(metricInfo(metric), pairs, { grid, by: definition(name) });
        expect(Math.abs(value / wanted[key]! - 1), `${name} ${metric}, ${12 * steps} h`).toBeLessThan(1e-9);
      }
      expect(new Set(persistence.map(([, , key]) => key))).toEqual(new Set(Object.keys(wanted)));
    }
  });

  test("nine members against the tenth", () => {
    const { grid, dates, expected } = read();
    const wanted = expected[`${short} ensemble members1-9 vs member0`]!;
    const pairs = dates.map(([truth, ...members]) => ensemblePair(members, truth!));
    const given = { grid, by: definition("weatherbench2") };
    const of = (metric: string) => score(metricInfo(metric), pairs, given);
    for (const [metric, key] of ensemble) {
      expect(Math.abs(of(metric) / wanted[key]! - 1), metric).toBeLessThan(1e-10);
    }
    expect(of("spread_skill")).toBeCloseTo(of("spread") / of("rmse"), 12);
    expect(of("debiased_mse")).toBeCloseTo(of("rmse") ** 2 - of("spread") ** 2 / 9, 9);
    // The biased CRPS divides the pairs by M^2 instead of M (M - 1).
    const biased = of("crps_skill") - (of("crps_spread") / 2) * (8 / 9);
    expect(Math.abs(biased / wanted["CRPS biased (all pairs /M^2)"]! - 1)).toBeLessThan(1e-10);
    expect(Object.keys(wanted)).toHaveLength(ensemble.length + 1);
  });
});
