/** Tables of scores on the terminal, CSV and JSON. */
import { describe, expect, test } from "vitest";
import type { PublishedRow } from "../../src/scores/published.ts";
import type { DifferenceRow, ReportRow } from "../../src/scores/scoredocument.ts";
import { publishedBeside, scoreTables, toCsv, toJson } from "../../src/scores/tables.ts";
import { tinyScores } from "./tinyscores.ts";

const row = (
  system: string,
  metric: string,
  value: number | null,
  more: Partial<ReportRow> = {},
): ReportRow => ({
  ...{ system, metric, value, definition: "climax", variable: "2m_temperature", lead_hours: 0 },
  ...{ region: "global", season: "all", low: null, high: null, samples: 20 },
  ...{ units: "K", source: "measured", synthetic: false },
  ...more,
});
const tables = (
  rows: ReportRow[],
  width = 100,
  differences: DifferenceRow[] = [],
  versus: string | null = null,
) => {
  const level = { method: "", level: 0.95, resamples: 10, seed: 0, block: null };
  return scoreTables({ rows, differences, versus, intervals: level }, width);
};

describe("decimals", () => {
  /** The scores of the first table's first two lines. */
  const shown = (...rows: ReportRow[]) =>
    tables(rows)[0]!
      .rows.slice(1, 3)
      .map((cells) => cells[2]);
  const none = (system: string, metric: string, value: number) => row(system, metric, value, { units: "1" });

  test("errors in units: four digits of the largest", () => {
    expect(shown(row("a", "rmse", 0.68358), row("b", "rmse", 0.85204))).toEqual(["0.6836*", "0.8520 "]);
    expect(shown(row("a", "rmse", 12345.6), row("b", "rmse", 7))).toEqual(["12346 ", "7*"]);
  });

  test("of metrics in the unit of the variable are the same, of its square their own", () => {
    const rows = [
      row("a", "bias", 0.0123),
      row("a", "rmse", 123.4),
      row("a", "mse", 15227.6, { units: "K2" }),
    ];
    expect(tables(rows).map((table) => table.rows[1]![2])).toEqual(["0.0", "123.4", "15228"]);
    const negative = [row("a", "bias", -0.0123), row("a", "rmse", 123.4)];
    expect(tables(negative)[0]!.rows[1]![2]).toBe("0.0");
  });

  test("normalised errors: three decimals, and three digits where all of them are small", () => {
    expect(shown(none("a", "nrmse_total", 1.2345), none("b", "nrmse_total", 0.2))).toEqual([
      "1.234 ",
      "0.200*",
    ]);
    // Of temperatures in K, which divide by 288: three decimals would be 0.001 and 0.002 whatever the error.
    expect(shown(none("a", "nrmse_s", 0.0011), none("b", "nrmse_s", 0.00223))).toEqual([
      "0.00110*",
      "0.00223 ",
    ]);
  });

  test("correlations: three decimals", () => {
    expect(shown(none("a", "pearson", 0.98765), none("b", "pearson", 0.5))).toEqual(["0.988*", "0.500 "]);
  });
});

describe("tables", () => {
  test("one for each metric, region and season, each with what it is of", () => {
    const rows = ["rmse", "acc"].flatMap((metric) =>
      ["global", "tropics"].flatMap((region) =>
        ["all", "JJA"].map((season) => row("a", metric, 1, { region, season })),
      ),
    );
    expect(tables(rows).map(({ heading }) => heading)).toEqual([
      "RMSE (definition climax)",
      "RMSE, JJA (definition climax)",
      "RMSE, tropics (definition climax)",
      "RMSE, tropics, JJA (definition climax)",
      "ACC (definition climax)",
      "ACC, JJA (definition climax)",
      "ACC, tropics (definition climax)",
      "ACC, tropics, JJA (definition climax)",
    ]);
  });

  test("the best has a star: the lowest, the highest, the nearest to zero, or none", () => {
    const starred = (metric: string, ...values: (number | null)[]) =>
      tables(values.map((value, i) => row("abc"[i]!, metric, value)))[0]!
        .rows.slice(1, -1)
        .flatMap((cells) => (cells[2]!.endsWith("*") ? [cells[1]] : []));
    expect(starred("rmse", 2, 1, null)).toEqual(["b"]);
    expect(starred("acc", 0.2, 0.1, 0.3)).toEqual(["c"]);
    expect(starred("bias", 2, -1, -3)).toEqual(["b"]);
    expect(starred("spread", 2, 1)).toEqual([]);
    expect(starred("a_metric_of_another_version", 2, 1)).toEqual([]);
    expect(starred("rmse", 1)).toEqual([]); // of one there is no best
    expect(starred("rmse", 1, 1)).toEqual(["a", "b"]);
  });

  test("a score that differs from that of versus by more than chance has a sign", () => {
    const values = { a: 1, b: 2.9, c: 4, versus: 3 };
    const rows = Object.entries(values).map(([system, value]) => row(system, "rmse", value));
    const better = { a: "system", b: "tie", c: "versus" } as const;
    const differences = Object.entries(better).flatMap(([system, better]): DifferenceRow[] => {
      const { metric, variable, lead_hours, region, season } = rows[0]!;
      const common = { system, metric, variable, lead_hours, region, season, samples: 20 };
      const numbers = { difference: 0, low: 0, high: 0, p: 0.5 };
      return [
        { ...common, ...numbers, versus: "versus", better },
        { ...common, ...numbers, versus: "d", better: "versus" },
      ];
    });
    const [table] = tables(rows, 100, differences, "versus");
    expect(table!.heading).toBe(
      "RMSE (definition climax; * best measured; + better, - worse than versus at 95 %)",
    );
    expect(table!.rows.slice(1).map((cells) => cells[2])).toEqual([
      "1.000*+",
      "2.900  ",
      "4.000 -",
      "3.000  ",
      "20  ",
    ]);
  });

  test("limits stand beside the scores where the line has room for all of them", () => {
    const rows = [24, 72].flatMap((lead_hours) => [
      row("a", "rmse", 1, { lead_hours, low: 0.9, high: 1.2 }),
      row("b", "rmse", 2, { lead_hours }),
    ]);
    const [wide] = tables(rows, 100);
    expect(wide!.rows).toEqual([
      ["variable", "system", "24 h ", "95 %", "72 h ", "95 %"],
      ["2m_temperature [K]", "a", "1.000*", "0.900..1.200", "1.000*", "0.900..1.200"],
      ["", "b", "2.000 ", "", "2.000 ", ""],
      ["forecasts", "", "20 ", "", "20 ", ""],
    ]);
    expect(wide!.align).toEqual(["left", "left", "right", "right", "right", "right"]);
    // 18 + 6 and two columns of 6 and 12, two spaces between all of them
    expect(tables(rows, 70)[0]!.rows[0]!.length).toBe(6);
    expect(tables(rows, 69)[0]!.rows[0]).toEqual(["variable", "system", "24 h ", "72 h "]);
  });

  test("leads that do not fit go to further tables", () => {
    const rows = [6, 24, 72, 120].map((lead_hours) => row("a", "rmse", 1, { lead_hours }));
    const leads = (width: number) => tables(rows, width).map((table) => table.rows[0]!.slice(2).join());
    expect(leads(100)).toEqual(["6 h,24 h,72 h,120 h"]);
    expect(leads(40)).toEqual(["6 h,24 h", "72 h,120 h"]);
    expect(leads(10)).toEqual(["6 h", "24 h", "72 h", "120 h"]);
  });

  test("a score that is not there, and one without a value, is a line", () => {
    const rows = [
      row("a", "rmse", null, { lead_hours: 6 }),
      row("a", "rmse", 1, { lead_hours: 24 }),
      row("b", "rmse", 2, { lead_hours: 24, samples: 19 }),
    ];
    expect(
      tables(rows)[0]!
        .rows.slice(1)
        .map((cells) => cells.slice(2)),
    ).toEqual([
      ["- ", "1.000*"],
      ["- ", "2.000 "],
      ["20 ", "19-20 "],
    ]);
  });
});

describe("published rows", () => {
  const published: PublishedRow = {
    ...{ system: "IFS", definition: "weatherbench1", metric: "rmse", variable: "2m_temperature" },
    ...{ leadHours: 72, value: 1.35, resolution: 5.625, source: "a paper" },
  };

  test("stand beside measured ones of all seasons and their region, as they were published", () => {
    const measured = [
      row("a", "rmse", 1.2, { lead_hours: 72 }),
      row("a", "rmse", 1.3, { lead_hours: 72, season: "DJF" }),
      row("a", "rmse", 1.1, { lead_hours: 72, region: "europe" }),
    ];
    const beside = publishedBeside(measured, [published, { ...published, region: "asia" }], () => true);
    expect(beside).toEqual([
      {
        ...row("IFS (published)", "rmse", 1.35, {
          lead_hours: 72,
          definition: "weatherbench1",
          samples: null,
        }),
        source: "published: a paper",
      },
    ]);
    expect(publishedBeside([measured[1]!], [published], () => true)).toEqual([]);
    expect(publishedBeside(measured, [{ ...published, region: "europe" }], () => true)).toMatchObject([
      { region: "europe" },
    ]);
    expect(tables([...measured, ...beside])[0]!.rows[2]).toEqual([
      "",
      "IFS (published), weatherbench1",
      "1.35",
    ]);
  });
});

test("CSV: its columns, an empty field for null, quotes where they must be", () => {
  const text = toCsv([row('a "b", c', "rmse", null)]);
  expect(text).toBe(
    "system,definition,metric,variable,lead_hours,region,season,value,low,high,samples,units,source,synthetic\n" +
      '"a ""b"", c",climax,rmse,2m_temperature,0,global,all,,,,20,K,measured,false\n',
  );
});

test("JSON: a line for each score, difference and curve", () => {
  const { document } = tinyScores();
  const text = toJson(document);
  expect(JSON.parse(text)).toEqual(document);
  const lines = text.split("\n");
  const items = lines.filter((line) => line.startsWith('    {"system"'));
  expect(items.length).toBe(document.rows.length + document.differences.length + document.profiles.length);
  expect(Object.keys(JSON.parse(items[0]!.replace(/,$/, "")))).toEqual(toCsv([]).trim().split(","));
  const empty = { ...document, rows: [], differences: [], profiles: [] };
  expect(JSON.parse(toJson(empty))).toEqual(empty);
});
