import { expect, test } from "vitest";
import { default48 } from "../../src/data/variables.ts";
import { publishedRows } from "../../src/eval/published.ts";
import { publishedBeside, type ReportRow } from "../../src/eval/report.ts";

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
