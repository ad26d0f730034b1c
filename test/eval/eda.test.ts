/** Persistence of real ERA5 members against published-by-definition values that were worked out in float64 elsewhere. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cellWeights, type DefinitionName, definition } from "../../src/eval/definitions.ts";
import { type MetricName, metrics } from "../../src/eval/metrics.ts";
import { openTruth, type Truth, timeMean } from "../../src/eval/truth.ts";
import { readGrib1 } from "../support/grib1.ts";
import { tinyFolder, writeTruth } from "./tinyfiles.ts";

const grib = "../shared/data/era5-ensemble-grib/era5-levels-members.grib";
const values = "../shared/data/reference-cdo/era5_eda_reference_metrics.json";
const skipped = !existsSync(grib) || !existsSync(values);

const rmseOfRoots = "RMSE_mean_of_sqrt_cos (ClimaX, WB1 paper)";
const pooled =
  "ACC ClimaX/WB1 code (clim = time mean of 4 analyses, minus unweighted mean, pooled over samples)";
const cases: [DefinitionName, MetricName, string][] = [
  ["climax", "rmse", rmseOfRoots],
  ["climax", "mae", "MAE_cos"],
  ["climax", "bias", "bias_cos (pred-truth)"],
  ["climax", "acc", pooled],
  ["weatherbench1", "rmse", "RMSE_sqrt_of_mean_cos (WB1 code)"],
  ["weatherbench1", "acc", pooled],
  ["weatherbench2", "rmse", "RMSE_sqrt_of_mean_cellarea (WB2)"],
  ["weatherbench2", "acc", "ACC WB2 style (no mean removal, per time then mean, cell-area weights)"],
];

describe.skipIf(skipped)("ERA5 members (needs ../shared/data)", () => {
  let folder: string;
  let truth: Truth;
  let expected: Record<string, Record<string, number>>;

  beforeAll(async () => {
    folder = await tinyFolder();
    const fields = readGrib1(grib).filter(({ member }) => member === 0);
    const [{ lat, columns }] = fields as [(typeof fields)[0]];
    const lon = Array.from({ length: columns }, (_, i) => (i * 360) / columns);
    const fileOf = (name: string, units: string, parameter: number, level: number) => {
      const states = fields.filter((field) => field.parameter === parameter && field.level === level);
      const hours = states.map((_, i) => 12 * i);
      const layout = { lat: [...lat], lon, variableAttributes: { units } };
      return writeTruth(
        join(folder, `${name}.nc`),
        hours,
        { [name]: states.map((s) => [...s.values]) },
        layout,
      );
    };
    truth = await openTruth([
      await fileOf("geopotential_500", "m2 s-2", 129, 500),
      await fileOf("temperature_850", "K", 130, 850),
    ]);
    expected = JSON.parse(readFileSync(values, "utf8"));
  });
  afterAll(async () => {
    await truth.close();
    rmSync(folder, { recursive: true });
  });

  test.for([
    ["geopotential_500", "z500"],
    ["temperature_850", "t850"],
  ])("%s", async ([variable, short]) => {
    const climatology = await timeMean(truth, variable!, [0, 1, 2, 3]);
    const states = await Promise.all([0, 1, 2, 3].map((step) => truth.read(variable!, step)));
    // The file is float32: exact for this geopotential; off by up to 2^-16 K in forecast and in truth, whose bias is 1e-2 K.
    const rounding = short === "t850" ? 2 ** -15 : 0;
    for (const [name, metric, key] of cases) {
      const by = definition(name);
      for (const steps of [1, 2, 3]) {
        const score = metrics[metric](cellWeights(truth.grid, by), by);
        for (let from = 0; from + steps < 4; from++) {
          score.add({ forecast: states[from]!, truth: states[from + steps]!, climatology });
        }
        const wanted = expected[`${short} persistence ${12 * steps}h (member 0)`]![key]!;
        const allowed = metric === "bias" ? rounding + 1e-9 : 1e-6 * Math.abs(wanted);
        expect(Math.abs(score.value() - wanted), `${name} ${metric} at ${12 * steps} h`).toBeLessThanOrEqual(
          allowed,
        );
      }
    }
  });
});
