/** What must hold of every metric, whatever the fields. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeGrid } from "../../src/grid/grid.ts";
import { definition } from "../../src/scores/definitions.ts";
import { ensembleMean } from "../../src/scores/ensemble.ts";
import type { Cells, Field, FieldPair, MetricInfo } from "../../src/scores/metric.ts";
import { metricInfo, metricNames } from "../../src/scores/metrics.ts";
import { allCells, curves, make, score, someCells, sumsOf } from "./scored.ts";

const grid = makeGrid([-70, -10, 40], [0, 90, 180, 270]);
const N = 12;
const variables: Readonly<Record<string, string>> = {
  wind_vector_rmse: "10m_u_component_of_wind",
  seeps: "total_precipitation_24hr",
};
// Derived scores follow from others, and the terciles of the S2S challenge are checked where they are made.
const names = [...metricNames, "brier(2m_temperature>0.3)", "fair_brier(2m_temperature<0.3)"].filter(
  (name) => {
    const info = metricInfo(name);
    const context = { definition: definition("climax"), grid, members: 1, variable: "2m_temperature" };
    return !info.needs.includes("terciles") && info.make(context).kind !== "derived";
  },
);

const number = fc.double({ min: -2, max: 2, noNaN: true });
/** A number of few digits, so that fields are often equal somewhere. */
const tenth = fc.integer({ min: -20, max: 20 }).map((x) => x / 10);
const fieldOf = (cell: fc.Arbitrary<number>): fc.Arbitrary<Field> =>
  fc
    .tuple(fc.boolean(), fc.array(cell, { minLength: N, maxLength: N }))
    .map(([single, values]) => (single ? Float32Array.from(values) : Float64Array.from(values)));
const field = fieldOf(fc.oneof(number, tenth));
const unknown = fc.oneof({ weight: 6, arbitrary: tenth }, { weight: 1, arbitrary: fc.constant(Number.NaN) });

function pairWith(members: number): fc.Arbitrary<FieldPair> {
  return fc
    .record({
      members: fc.array(field, { minLength: members, maxLength: members }),
      truth: fieldOf(unknown),
      climatology: field,
      v: field,
      vTruth: field,
      dryFraction: fieldOf(fc.double({ min: 0.05, max: 0.9, noNaN: true })),
    })
    .map(({ members, truth, climatology, v, vTruth, dryFraction }) => ({
      forecast: members.length > 1 ? ensembleMean(members) : members[0]!,
      ...(members.length > 1 && { members }),
      ...{ truth, climatology, other: { forecast: v, truth: vTruth } },
      seeps: { dryFraction, heavy: new Float64Array(N).fill(1) },
    }));
}
const pairs = fc
  .integer({ min: 1, max: 4 })
  .chain((members) => fc.array(pairWith(members), { minLength: 1, maxLength: 5 }));

/** The numbers of a metric: its score, or its curve. */
function numbersOf(
  name: string,
  of: readonly FieldPair[],
  cells?: Cells,
  info = metricInfo(name),
): readonly number[] {
  const given = { grid, variable: variables[name] ?? "2m_temperature", ...(cells && { cells }) };
  if (make(info, of, given).kind !== "profile") return [score(info, of, given)];
  return curves(info, of, given)?.values ?? [];
}

/** To the rounding of sums of numbers up to `size`. */
function expectAlike(a: readonly number[], b: readonly number[], size = 1) {
  expect(a).toEqual(b.map((x) => (Number.isFinite(x) ? closeTo(x, 1e-9 * Math.max(size, Math.abs(x))) : x)));
}
const closeTo = (x: number, within: number) => ({
  asymmetricMatch: (y: unknown) => typeof y === "number" && Math.abs(y - x) <= within,
  toString: () => `within ${within} of ${x}`,
});

/** Always the same fields: a variance that is all but zero makes a ratio of any two orders of a sum. */
const quick = { numRuns: 40, seed: 2023 };

describe.for(names)("%s", (name) => {
  test("does not depend on the order of forecasts", () => {
    fc.assert(
      fc.property(pairs, (list) => expectAlike(numbersOf(name, list.toReversed()), numbersOf(name, list))),
      quick,
    );
  });

  test("does not depend on the order of members", () => {
    const turned = (pair: FieldPair): FieldPair =>
      pair.members ? { ...pair, members: pair.members.toReversed() } : pair;
    fc.assert(
      fc.property(pairs, (list) => expectAlike(numbersOf(name, list.map(turned)), numbersOf(name, list))),
      quick,
    );
  });

  test("does not change when all weights are doubled", () => {
    const cells = allCells(grid, definition("climax"));
    const doubled = { ...cells, weights: cells.weights.map((w) => 2 * w) };
    fc.assert(
      fc.property(pairs, (list) => expectAlike(numbersOf(name, list, doubled), numbersOf(name, list, cells))),
      quick,
    );
  });

  test("scores a region as if there were no truth elsewhere", () => {
    const cells = allCells(grid, definition("climax"));
    const indices = fc.subarray([...cells.inside], { minLength: 1 });
    fc.assert(
      fc.property(pairs, indices, (list, inside) => {
        const masked = list.map((pair) => ({
          ...pair,
          truth: pair.truth.map((y, i) => (inside.includes(i) ? y : Number.NaN)),
        }));
        expectAlike(numbersOf(name, list, someCells(cells, inside)), numbersOf(name, masked, cells));
      }),
      quick,
    );
  });

  test("has the unit that the table gives it", () => {
    const info = metricInfo(name);
    if (name.includes("brier") || name === "seeps") return; // of thresholds in that unit
    const factor = { variable: 4, squared: 16, energy: 16, none: 1 }[info.unit];
    const times4 = (field: Field) => field.map((x) => 4 * x) as Field;
    const scaled = (pair: FieldPair): FieldPair => ({
      forecast: times4(pair.forecast),
      truth: times4(pair.truth),
      climatology: times4(pair.climatology!),
      ...(pair.members && { members: pair.members.map(times4) }),
      other: { forecast: times4(pair.other!.forecast), truth: times4(pair.other!.truth) },
    });
    fc.assert(
      fc.property(pairs, (list) => {
        // Powers of two are exact: nothing is rounded otherwise.
        expect(numbersOf(name, list.map(scaled))).toEqual(numbersOf(name, list).map((x) => factor * x));
      }),
      quick,
    );
  });

  test("statistics of two halves add up to those of the whole", () => {
    const given = { grid, variable: variables[name] ?? "2m_temperature" };
    const cells = allCells(grid, definition("climax"));
    fc.assert(
      fc.property(pairs, fc.nat(), (list, at) => {
        const cut = at % (list.length + 1);
        const ofWhole = make(metricInfo(name), list, given);
        if (ofWhole.kind !== "series" && ofWhole.kind !== "profile") return;
        const [a, b] = [list.slice(0, cut), list.slice(cut)].map((half) => {
          const own = make(metricInfo(name), list, given) as typeof ofWhole;
          return sumsOf(own, half, cells);
        }) as [Float64Array, Float64Array];
        const whole = sumsOf(ofWhole, list, cells);
        expectAlike(
          [...a].map((sum, i) => sum + b[i]!),
          [...whole],
          Math.max(...whole.map(Math.abs)),
        );
      }),
      quick,
    );
  });
});

describe("a perfect forecast", () => {
  const best: Readonly<Record<string, number>> = {
    ...{
      rmse: 0,
      mse: 0,
      mae: 0,
      bias: 0,
      mean_bias: 0,
      wind_vector_rmse: 0,
      seeps: 0,
      nrmse_s: 0,
      nrmse_g: 0,
    },
    ...{ acc: 1, pearson: 1, activity_ratio: 1 },
    ...{ crps: 0, crps_skill: 0, crps_spread: 0, spread: 0, debiased_mse: 0 },
    ...{ "brier(2m_temperature>0.3)": 0, "fair_brier(2m_temperature<0.3)": 0 },
  };
  const perfect = (pair: FieldPair): FieldPair => ({
    ...pair,
    forecast: pair.truth,
    ...(pair.members && { members: pair.members.map(() => pair.truth) }),
    other: { forecast: pair.other!.truth, truth: pair.other!.truth },
  });

  test.for(Object.keys(best))("scores perfectly in %s", (name) => {
    let scored = 0;
    fc.assert(
      fc.property(pairs, (list) => {
        const [value] = numbersOf(name, list.map(perfect)) as [number];
        // Without variance, without rain in the right cells, or without members there is no score.
        if (Number.isNaN(value)) return;
        scored++;
        expect(value).toBeCloseTo(best[name]!, 9);
      }),
      quick,
    );
    expect(scored).toBeGreaterThan(5);
  });

  test("has the spectrum of the truth", () => {
    fc.assert(
      fc.property(pairs, (list) => {
        const made = curves(metricInfo("spectrum"), list.map(perfect), { grid });
        if (made) expectAlike(made.values, made.truth, 1e7);
      }),
      quick,
    );
  });
});

describe("between metrics", () => {
  const value = (info: string | MetricInfo, list: FieldPair[], by: "climax" | "weatherbench1" = "climax") =>
    score(typeof info === "string" ? metricInfo(info) : info, list, { grid, by: definition(by) });

  test("the mean of roots is never greater than the root of the mean", () => {
    fc.assert(
      fc.property(pairs, (list) => {
        const [first, second] = [value("rmse", list), value("rmse", list, "weatherbench1")];
        expect(Number.isNaN(first) || first <= second * (1 + 1e-12)).toBe(true);
        if (Number.isFinite(second)) expect(second ** 2).toBeCloseTo(value("mse", list), 9);
      }),
      quick,
    );
  });

  test("fair Brier scores of all thresholds add up to the fair CRPS", () => {
    // Of whole numbers, the integral over thresholds is the sum over those half way between.
    const whole = fieldOf(fc.integer({ min: 0, max: 6 }));
    const ensembles = fc
      .tuple(fc.array(whole, { minLength: 2, maxLength: 5 }), whole)
      .map(([members, truth]): FieldPair => ({ forecast: ensembleMean(members), members, truth }));
    fc.assert(
      fc.property(ensembles, (pair) => {
        const thresholds = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5];
        const sum = thresholds.reduce((all, t) => all + value(`fair_brier(2m_temperature>${t})`, [pair]), 0);
        expect(sum).toBeCloseTo(value("crps", [pair]), 12);
      }),
      quick,
    );
  });
});
