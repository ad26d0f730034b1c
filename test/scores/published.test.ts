import { describe, expect, test } from "vitest";
import { default48, parseName } from "../../src/data/variables.ts";
import { metricNames } from "../../src/scores/metrics.ts";
import { publishedOf, publishedRows } from "../../src/scores/published.ts";
import type { ReportRow } from "../../src/scores/scoredocument.ts";
import { publishedBeside } from "../../src/scores/tables.ts";

test("published rows: known variables, a source each, no row twice, plausible values", () => {
  const keys = publishedRows.map(({ system, metric, variable, leadHours }) =>
    [system, metric, variable, leadHours].join(" "),
  );
  expect(new Set(keys).size).toBe(keys.length);
  for (const row of publishedRows) {
    expect(default48).toContain(row.variable);
    expect(row.source.length).toBeGreaterThan(10);
    expect(row.value).toBeGreaterThanOrEqual(0);
    if (row.metric === "acc") expect(row.value).toBeLessThanOrEqual(1);
  }
});

test("an error grows with the lead in every published forecast, but for known ties", () => {
  const growing = publishedRows.filter(
    ({ metric, leadHours }) => metric === "rmse" && leadHours !== undefined,
  );
  for (const a of growing) {
    for (const b of growing) {
      const same = a.system === b.system && a.variable === b.variable && a.source === b.source;
      if (same && a.leadHours! < b.leadHours!)
        expect(a.value, JSON.stringify([a, b])).toBeLessThanOrEqual(b.value);
    }
  }
});

test("some cells of the tables, by hand", () => {
  const value = (system: string, metric: string, variable: string, lead: number | undefined) =>
    publishedRows.find(
      (row) =>
        row.system === system && row.metric === metric && row.variable === variable && row.leadHours === lead,
    )?.value;
  expect(value("ClimaX 5.625", "rmse", "geopotential_500", 72)).toBe(244.08);
  expect(value("UNet 5.625", "rmse", "10m_u_component_of_wind", 720)).toBe(4.22);
  expect(value("GraphCast", "rmse", "temperature_850", 168)).toBe(2.41);
  expect(value("GraphCast", "rmse", "temperature_850", 336)).toBeUndefined();
  expect(value("ClimaX 1.40625", "acc", "2m_temperature", 336)).toBe(0.85);
  expect(value("WB1 climatology", "rmse", "geopotential_500", undefined)).toBe(1075);
});

test("a published row without a lead stands at every lead that was measured", () => {
  const measured = [72, 96].map(
    (lead_hours): ReportRow => ({
      system: "ours",
      definition: "weatherbench1",
      metric: "rmse",
      variable: "geopotential_500",
      lead_hours,
      region: "global",
      season: "all",
      value: 1,
      low: null,
      high: null,
      samples: 1,
      units: "m2 s-2",
      source: "measured",
      synthetic: false,
    }),
  );
  const beside = publishedBeside(measured, publishedRows, ({ system }) => system.startsWith("WB1"));
  const climatology = beside.filter(({ system }) => system === "WB1 climatology (published)");
  expect(climatology.map(({ lead_hours, value }) => [lead_hours, value])).toEqual([
    [72, 1075],
    [96, 1075],
  ]);
  expect(
    beside
      .filter(({ lead_hours }) => lead_hours === 96)
      .every(({ system }) => system.includes("climatology")),
  ).toBe(true);
});

describe("rows of the other tasks", () => {
  const tasks = ["s2s", "downscaling", "climatebench"].flatMap((bench) => publishedOf(bench, "global"));

  test("are of known variables and metrics, with a source, none twice", () => {
    const rows = [...tasks, ...publishedOf("weatherbench", "NorthAmerica")];
    const keys = rows.map((row) =>
      [row.system, row.metric, row.variable, row.leadHours, row.resolution, row.source].join(" "),
    );
    expect(new Set(keys).size).toBe(keys.length);
    for (const row of rows) {
      expect(parseName(row.variable).name).toBe(row.variable);
      expect(metricNames).toContain(row.metric);
      expect(row.source.length).toBeGreaterThan(10);
    }
  });

  test("the total of a projection is its spatial part plus five times the global one, as far as it was rounded", () => {
    const projections = publishedOf("climatebench", "global");
    let checked = 0;
    for (const { system, metric, variable, source, value } of projections) {
      if (metric !== "nrmse_total") continue;
      const part = (name: string) =>
        projections.find(
          (row) =>
            row.metric === name &&
            row.system === system &&
            row.variable === variable &&
            row.source === source,
        )!.value;
      // Three decimals: half a unit of the last in the sum and in the spatial part, five times that in the global one.
      expect(
        Math.abs(part("nrmse_s") + 5 * part("nrmse_g") - value),
        `${system} ${variable}`,
      ).toBeLessThanOrEqual(3.5e-3 + 1e-9);
      checked++;
    }
    // Four systems of the paper and three of the leaderboard with four variables, one row with three, one with one.
    expect(checked).toBe(7 * 4 + 3 + 1);
  });

  test("some cells, by hand", () => {
    const value = (bench: string, region: string, ...key: unknown[]) =>
      publishedOf(bench, region).find((row) =>
        [row.system, row.metric, row.variable, row.leadHours].every((part, i) => part === key[i]),
      )?.value;
    expect(value("s2s", "global", "ClimaX", "rmse", "10m_v_component_of_wind", 672)).toBe(1.54);
    expect(value("downscaling", "global", "UNet", "mean_bias", "geopotential_500", undefined)).toBe(35.1);
    expect(value("downscaling", "global", "ClimaX", "pearson", "10m_u_component_of_wind", undefined)).toBe(
      0.66,
    );
    expect(value("climatebench", "global", "ClimaX", "nrmse_g", "diurnal_temperature_range", undefined)).toBe(
      0.961,
    );
    expect(value("weatherbench", "NorthAmerica", "UNet", "rmse", "temperature_850", 168)).toBe(3.6);
    expect(value("weatherbench", "Europe", "UNet", "rmse", "temperature_850", 168)).toBeUndefined();
    expect(publishedOf("weatherbench", "global")).toEqual(publishedRows);
  });
});
