/** How many digits of a score are shown. */
import { expect, test } from "vitest";
import { type ReportRow, scoreTables } from "../../src/eval/report.ts";

const row = (system: string, metric: string, value: number): ReportRow => ({
  ...{ system, metric, value, definition: "climax", variable: "2m_temperature", lead_hours: 0 },
  ...{
    region: "global",
    low: null,
    high: null,
    samples: 20,
    units: "K",
    source: "measured",
    synthetic: false,
  },
});

/** The scores of the first table's first two lines. */
const shown = (...rows: ReportRow[]) =>
  scoreTables(rows, 100)[0]!
    .rows.slice(1, 3)
    .map((cells) => cells[2]);

test("errors in units: four digits of the largest", () => {
  expect(shown(row("a", "rmse", 0.68358), row("b", "rmse", 0.85204))).toEqual(["0.6836*", "0.8520 "]);
  expect(shown(row("a", "rmse", 12345.6), row("b", "rmse", 7))).toEqual(["12346 ", "7*"]);
});

test("normalised errors: three decimals, and three digits where all of them are small", () => {
  expect(shown(row("a", "nrmse_total", 1.2345), row("b", "nrmse_total", 0.2))).toEqual(["1.234 ", "0.200*"]);
  // Of temperatures in K, which divide by 288: three decimals would be 0.001 and 0.002 whatever the error.
  expect(shown(row("a", "nrmse_s", 0.0011), row("b", "nrmse_s", 0.00223))).toEqual(["0.00110*", "0.00223 "]);
});

test("correlations: three decimals", () => {
  expect(shown(row("a", "pearson", 0.98765), row("b", "pearson", 0.5))).toEqual(["0.988*", "0.500 "]);
});
