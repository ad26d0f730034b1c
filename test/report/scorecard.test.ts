/** Score cards: what stands in a cell, that it can be read without colour, and that the colours can be told apart. */
import { describe, expect, test } from "vitest";
import type { Case } from "../../src/report/comparison.ts";
import { compare } from "../../src/report/comparison.ts";
import { changeText, markOf, scoreCard, shadeInk, shadeOf, shades } from "../../src/report/scorecard.ts";
import { indexScores } from "../../src/report/scoreindex.ts";
import { contrast, luminance } from "../support/contrast.ts";
import { parseMarkup } from "../support/markup.ts";
import { makeScores, type Wanted } from "../support/scores.ts";

const part = { region: "global", season: "all" };

function card(wanted: Wanted, metric = "rmse", systems = ["ours", "theirs"]) {
  const index = indexScores(makeScores(wanted).document);
  return parseMarkup(scoreCard(index, { metric, part, versus: "persistence", systems, level: 0.95 }));
}

const one: Case = {
  ...{ variable: "geopotential_500", lead: 72, change: -24, limits: [-27, -21] },
  ...{ outcome: "better", tested: true },
};

test("a cell says by shape, sign and number what its colour says", () => {
  expect(markOf(one)).toEqual(["▲", "better"]);
  expect(markOf({ ...one, outcome: "worse" })).toEqual(["▼", "worse"]);
  expect(markOf({ ...one, outcome: "tie" })).toEqual(["≈", "not told apart"]);
  expect(markOf({ ...one, tested: false })).toEqual(["△", "better, not tested"]);
  expect(markOf({ ...one, tested: false, outcome: "worse" })).toEqual(["▽", "worse, not tested"]);
  expect(
    ["rmse", "rmse", "rmse", "acc"].map((metric, i) => changeText(metric, [-24.4, 9.96, -0.04, 0.1234][i]!)),
  ).toEqual(["−24", "+10", "0.0", "+0.123"]);
});

test("shades begin at fixed sizes, so that cards of two runs compare; a tie has none", () => {
  const shade = (change: number) => shadeOf("rmse", { ...one, change });
  expect([0.9, 1, -4.9, 5, -10, 20, -39, 40, -300].map(shade)).toEqual([-1, 0, 0, 1, 2, 3, 3, 4, 4]);
  expect(shadeOf("acc", { ...one, change: 0.05 })).toBe(2);
  expect(shadeOf("rmse", { ...one, outcome: "tie" })).toBe(-1);
});

describe("colours", () => {
  const steps = shades.better.map((_, i) => i);

  test("letters on every shade have a contrast of 4.5", () => {
    for (const side of [shades.better, shades.worse]) {
      for (const [step, fill] of side.entries()) expect(contrast(shadeInk(step), fill)).toBeGreaterThan(4.5);
    }
  });

  test("in grey both sides darken alike, step by step", () => {
    for (const step of steps) {
      const [better, worse] = [luminance(shades.better[step]!), luminance(shades.worse[step]!)];
      expect(Math.abs(better - worse)).toBeLessThan(0.06);
      if (step > 0) expect(better).toBeLessThan(luminance(shades.better[step - 1]!) - 0.08);
      if (step > 0) expect(worse).toBeLessThan(luminance(shades.worse[step - 1]!) - 0.08);
    }
  });

  test("the sides differ by blue and yellow, which hardly anybody confuses", () => {
    const channel = (colour: string, at: number) => Number.parseInt(colour.slice(at, at + 2), 16);
    for (const step of steps) {
      expect(channel(shades.better[step]!, 5)).toBeGreaterThan(channel(shades.better[step]!, 1));
      expect(channel(shades.worse[step]!, 5)).toBeLessThan(channel(shades.worse[step]!, 1));
    }
  });
});

test("variables by leads, a group for each system, every head with its scope", () => {
  const found = card({ leads: [24, 72] });
  const heads = found.filter(({ name }) => name === "th");
  expect(heads.every(({ attributes }) => ["col", "row", "rowgroup"].includes(attributes.scope!))).toBe(true);
  expect(heads.filter(({ attributes }) => attributes.scope === "col").map(({ text }) => text)).toEqual([
    "variable",
    "24 h",
    "72 h",
  ]);
  expect(heads.filter(({ attributes }) => attributes.scope === "rowgroup").map(({ text }) => text)).toEqual([
    "ours",
    "theirs",
  ]);
  expect(found.filter(({ name }) => name === "td")).toHaveLength(2 * 4 * 2);
  expect(found.find(({ name }) => name === "caption")!.text).toBe(
    "Change of RMSE in % against persistence, the globe (less is better)",
  );
});

test("the number is the change of the score, and what is read aloud is the outcome", () => {
  const { document } = makeScores({});
  const index = indexScores(document);
  const place = { ...part, metric: "rmse", variable: "geopotential_500", lead: 72 };
  const [own, other] = ["ours", "persistence"].map((system) => index.row(system, place)!.value!);
  const found = card({ leads: [72], variables: ["geopotential_500"] }, "rmse", ["ours"]);
  const cell = found.find(({ name }) => name === "td")!;
  const percent = (100 * (own! - other!)) / other!;
  expect(cell.text).toBe(`▲ −${Math.abs(percent).toFixed(0)} better`);
  expect(cell.attributes.class).toBe("b4 sure");
  expect(cell.attributes.title).toMatch(/^−\d+ %: better; 95 % interval −\d+ to −\d+ %$/);
});

test("a baseline is called one; where nothing can be compared there is no card", () => {
  const index = indexScores(makeScores({}).document);
  const of = (metric: string) =>
    scoreCard(index, { metric, part, versus: "persistence", systems: ["climatology"], level: 0.95 });
  expect(of("rmse")).toContain("climatology (baseline)");
  expect(of("acc")).toBe(""); // a climatology has no anomaly
});

test("a score of nought has no percentage", () => {
  const { document } = makeScores({ leads: [72] });
  const rows = document.rows.map((row) => (row.system === "persistence" ? { ...row, value: 0 } : row));
  const index = indexScores({ ...document, rows });
  expect(compare(index, "ours", "persistence", "rmse", part)).toEqual([]);
  expect(compare(index, "ours", "persistence", "acc", part)).toHaveLength(4);
});

test("limits are of the same percentages as the change", () => {
  const { document } = makeScores({ leads: [72], variables: ["2m_temperature"], metrics: ["rmse"] });
  const [found] = compare(indexScores(document), "ours", "persistence", "rmse", part);
  const row = document.differences.find(({ system, region }) => system === "ours" && region === "global")!;
  const base = document.rows.find(({ system, region }) => system === "persistence" && region === "global")!
    .value!;
  expect(found!.limits![0]).toBeCloseTo((100 * row.low!) / base, 10);
  expect(found!.change).toBeCloseTo((100 * row.difference!) / base, 10);
});
