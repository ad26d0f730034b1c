/** Tables for a paper. */
import { execFileSync, spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { toMarkdown } from "../../src/scores/markdown.ts";
import type { ReportRow, ScoreDocument } from "../../src/scores/scoredocument.ts";
import { tinyScores } from "./tinyscores.ts";

const { document } = tinyScores();

/** Cells of the table under a heading, without the rule. */
function tableUnder(markdown: string, heading: string): string[][] {
  const section = markdown.split(/^## /m).find((part) => part.startsWith(`${heading}\n`))!;
  return section
    .split("\n")
    .filter((line) => line.startsWith("|") && !line.startsWith("| :--"))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    );
}

/** A document of these rows alone. */
const of = (rows: Partial<ReportRow>[], more: Partial<ScoreDocument> = {}): ScoreDocument => ({
  ...document,
  ...{ differences: [], profiles: [], versus: null },
  rows: rows.map((row) => ({ ...document.rows[0]!, low: null, high: null, value: 1, ...row })),
  ...more,
});

test("a table for each metric, region and season with its caption", () => {
  const markdown = toMarkdown(document);
  expect(markdown.match(/^## .*/gm)).toEqual([
    "## RMSE",
    "## RMSE, DJF",
    "## RMSE, tropics",
    "## RMSE, tropics, DJF",
    "## Bias",
    "## Bias, DJF",
    "## Bias, tropics",
    "## Bias, tropics, DJF",
    "## Where these scores come from",
  ]);
  const caption = markdown.split("\n").find((line) => line.startsWith("**RMSE** by"))!;
  expect(caption).toBe(
    "**RMSE** by the definition *weatherbench2* (cell-area weights). Initial times 2018-01-29T00:00 to 2018-03-11T00:00, " +
      "valid times 2018-02-01T00:00 to 2018-03-12T00:00, 40 forecasts. **Bold**: the best of what was measured. " +
      `Behind a score its 95 % confidence limits: ${document.intervals!.method}. ` +
      "† better, ‡ worse than climatology: the 95 % limits of the difference on the same forecasts exclude zero. " +
      "Published: IFS (a paper, Table 1).",
  );
  const [head, ours, theirs, climatology, published] = tableUnder(markdown, "RMSE") as string[][];
  expect(head).toEqual(["variable", "system", "24 h", "72 h"]);
  expect(ours![0]).toBe("2m_temperature [K]");
  expect(ours![2]).toMatch(/^\*\*1\.\d{3}\*\* (± 0\.\d{3}|\(1\.\d{3} to 1\.\d{3}\)) †$/);
  expect(theirs![2]).toMatch(/^1\.\d{3} \S.* †$/);
  expect(climatology![2]).toMatch(/^1\.\d{3} \S.*[\d)]$/);
  expect(published).toEqual(["", "IFS (published), climax", "0.9", ""]);
  expect(markdown).toContain("    climax evaluate ours.nc theirs.nc --truth set\n");
  expect(markdown).toContain("- ours.nc (SHA-256 00ff)\n");
  expect(markdown).toContain("- a note\n");
});

test("limits that are not alike on both sides are a range", () => {
  const cells = (high: number) =>
    tableUnder(
      toMarkdown(
        of([
          { value: 1.5, low: 1.3, high },
          { system: "b", value: 2, low: 1.9, high: 2.1 },
        ]),
      ),
      "RMSE",
    ).map((row) => row[2]);
  expect(cells(1.72)).toEqual(["24 h", "**1.500** ± 0.220", "2.000 ± 0.100"]);
  expect(cells(1.9)).toEqual(["24 h", "**1.500** (1.300 to 1.900)", "2.000 (1.900 to 2.100)"]);
});

test("limits closer than the digits of a score have a digit of their own", () => {
  const rows = [
    { value: 1.5, low: 1.4999, high: 1.50012 },
    { system: "b", value: 2, low: 2, high: 2 },
  ];
  expect(tableUnder(toMarkdown(of(rows)), "RMSE").map((row) => row[2])).toEqual([
    "24 h",
    "**1.500** ± 0.0001",
    "2.000 ± 0.000",
  ]);
});

test("many leads stand one below another, with their numbers of forecasts where these differ", () => {
  const rows = Array.from({ length: 8 }, (_, i) =>
    ["a", "b"].map((system) => ({
      ...{ system, lead_hours: 24 * (i + 1), samples: 40 - i },
      value: system === "a" ? i + 1 : 4,
    })),
  ).flat();
  const table = tableUnder(toMarkdown(of(rows)), "RMSE");
  expect(table.slice(0, 3)).toEqual([
    ["variable", "lead", "a", "b", "forecasts"],
    ["2m_temperature [K]", "24 h", "**1.000**", "4.000", "40"],
    ["", "48 h", "**2.000**", "4.000", "39"],
  ]);
  expect(table[8]).toEqual(["", "192 h", "8.000", "**4.000**", "33"]);
  const few = tableUnder(toMarkdown(of(rows.slice(0, 4))), "RMSE");
  expect(few.at(-1)).toEqual(["forecasts", "", "40", "39"]);
});

test("names do not become markup, and simulated weather is said", () => {
  const markdown = toMarkdown(of([{ system: "a|b *c* <d>" }], { synthetic: true }));
  expect(tableUnder(markdown, "RMSE")[1]![1]).toBe(String.raw`a\|b \*c\* \<d\>`);
  expect(markdown).toContain("**Simulated weather**: these scores say nothing of the real atmosphere.");
});

const noPandoc = spawnSync("pandoc", ["--version"]).error !== undefined;
test.skipIf(noPandoc)("pandoc reads the tables (needs pandoc)", () => {
  const html = execFileSync("pandoc", ["-f", "gfm", "-t", "html"], {
    encoding: "utf8",
    input: toMarkdown(of([{ system: "a|b" }])),
  });
  expect(html).toMatch(/<td[^>]*>a\|b<\/td>/);
});
