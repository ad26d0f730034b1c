import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CellEdges, cellEdges } from "../../src/grid/conservative.ts";
import {
  cellAreaWeights,
  type Grid,
  gaussianLatitudes,
  latitudeEdges,
  makeGrid,
  regularGrid,
} from "../../src/grid/grid.ts";
import { makeRegridder, type RegridMethod, regridMethods } from "../../src/grid/regrid.ts";
import { weightsOf } from "../../src/grid/sparse.ts";

const steps = (n: number, step: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * step);
const radians = Math.PI / 180;

/** A field from a formula of latitude and longitude in radians. */
function fieldOn({ lat, lon }: Grid, formula: (lat: number, lon: number) => number): Float64Array {
  return Float64Array.from({ length: lat.length * lon.length }, (_, k) =>
    formula(lat[Math.floor(k / lon.length)]! * radians, lon[k % lon.length]! * radians),
  );
}

function apply(
  source: Grid,
  target: Grid,
  method: RegridMethod,
  field: ArrayLike<number>,
  minimumValid?: number,
) {
  const options = minimumValid === undefined ? {} : { minimumValid };
  const out = new Float64Array(target.lat.length * target.lon.length);
  return makeRegridder(source, target, method, options).apply(Float64Array.from(field), out);
}

/** Area-weighted mean over the globe. */
function globalMean(grid: Grid, field: ArrayLike<number>): number {
  const weights = cellAreaWeights(grid);
  const w = grid.lon.length;
  return weights.reduce((sum, weight, r) => {
    let row = 0;
    for (let c = 0; c < w; c++) row += field[r * w + c]!;
    return sum + (weight * row) / (w * weights.length);
  }, 0);
}

/** Area of each cell in units of the square of the radius. */
function areas({ lat, lon }: CellEdges): Float64Array {
  const w = lon.length / 2;
  return Float64Array.from({ length: (lat.length - 1) * w }, (_, i) => {
    const [r, c] = [Math.floor(i / w), i % w];
    const height = Math.sin(lat[r + 1]! * radians) - Math.sin(lat[r]! * radians);
    return height * (lon[2 * c + 1]! - lon[2 * c]!) * radians;
  });
}

function random(length: number, seed = 1): Float64Array {
  let state = seed;
  return Float64Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  });
}

const globes: Record<string, Grid> = {
  "regular 2 x 1 degrees": makeGrid(steps(90, 2, -89), steps(360, 1)),
  "with rows at the poles": makeGrid(steps(19, 10, -90), steps(36, 10)),
  Gaussian: makeGrid(gaussianLatitudes(48), steps(96, 3.75)),
  "off zero and uneven in latitude": makeGrid([-83, -70, -30, 0, 10, 60, 85], steps(24, 15, 7)),
};

describe.each(regridMethods)("%s", (method) => {
  test.each(Object.keys(globes))("a constant on a globe stays what it is: %s", (name) => {
    const source = globes[name]!;
    for (const target of [regularGrid(5.625), regularGrid(1.40625), globes["with rows at the poles"]!]) {
      const field = new Float32Array(source.lat.length * source.lon.length).fill(287.65);
      // Weights of a row sum to 1 within a few f64 roundings, far below half a float32 step.
      const out = makeRegridder(source, target, method).apply(field);
      expect(new Set(out)).toEqual(new Set([Math.fround(287.65)]));
    }
  });

  test("onto its own grid a field is unchanged", () => {
    for (const source of Object.values(globes)) {
      const field = random(source.lat.length * source.lon.length);
      const out = apply(source, source, method, field);
      expect(Math.max(...out.map((x, i) => Math.abs(x - field[i]!)))).toBeLessThan(1e-14);
    }
  });

  test("a gap stays a gap, and what lies far from it is untouched by the path for gaps", () => {
    const source = globes.Gaussian!;
    const target = regularGrid(5.625);
    const field = random(source.lat.length * source.lon.length);
    const whole = apply(source, target, method, field);
    field.fill(Number.NaN, 20 * 96, 26 * 96); // six rows, 9.7 S to 8.4 N with their cells
    const out = apply(source, target, method, field);
    const rows = Array.from(target.lat, (_, r) => out.subarray(r * 64, r * 64 + 64));
    const reach = method === "bicubic" ? 22 : 16; // a row more on either side
    rows.forEach((row, r) => {
      const [inside, outside] = [Math.abs(target.lat[r]!) < 6, Math.abs(target.lat[r]!) > reach];
      if (inside) expect(row.every(Number.isNaN)).toBe(true);
      if (outside) {
        const difference = row.map((x, c) => Math.abs(x - whole[r * 64 + c]!));
        expect(Math.max(...difference)).toBeLessThan(1e-14);
      }
    });
    expect(rows.flatMap((row) => [...row]).filter(Number.isNaN).length).toBeLessThan(6 * 64);
  });

  test("beyond a regional source there is nothing, within it something, also across Greenwich", () => {
    const target = regularGrid(5.625);
    for (const [west, size] of [
      [30, 41],
      [340, 41],
    ] as const) {
      const lon = steps(size, 1, west)
        .map((x) => x % 360)
        .sort((a, b) => a - b);
      const source = makeGrid(steps(31, 1, 20), lon);
      const out = apply(source, target, method, new Float64Array(31 * 41).fill(5));
      for (const [r, y] of target.lat.entries()) {
        for (const [c, x] of target.lon.entries()) {
          const value = out[r * 64 + c]!;
          const east = (x - west - 20 + 540) % 360; // 180 at the region's middle
          const [dy, dx] = [Math.abs(y - 35) - 15, Math.abs(east - 180) - 20];
          if (dy < 0 && dx < 0) expect(value).toBeCloseTo(5, 13);
          // Conservative fills cells that the region's cells touch: half a target cell further at most.
          if (Math.max(dy, dx) > 0.5 + 5.625 / 2) expect(value).toBeNaN();
        }
      }
    }
  });

  test("what does not fit is refused", () => {
    expect(() => makeRegridder(makeGrid([10], [0, 1]), regularGrid(5.625), method)).toThrow(
      "a grid of 1 x 2 points cannot be regridded; at least 2 latitudes and 2 longitudes are wanted",
    );
    const regridder = makeRegridder(regularGrid(45), regularGrid(5.625), method);
    expect(() => regridder.apply(new Float32Array(31))).toThrow(
      "a field of 31 values into one of 2048; wanted 4 x 8, 45 degrees into 32 x 64, 5.625 degrees",
    );
  });
});

test("an unknown method is named with the known ones", () => {
  expect(() => makeRegridder(regularGrid(45), regularGrid(45), "bilinar" as unknown as RegridMethod)).toThrow(
    'unknown regridding method "bilinar"',
  );
});

describe("bilinear", () => {
  test("is exact for what is linear in latitude and longitude, and goes round the date line", () => {
    const source = makeGrid(steps(19, 10, -90), steps(36, 10));
    const target = makeGrid([-33, 0, 47], [4, 9, 352, 357]);
    // 1 at longitude 0, falling linearly to 0 at 10 and 350.
    const tent = (lon: number) => Math.max(0, 1 - Math.min(lon / radians, 360 - lon / radians) / 10);
    const out = apply(
      source,
      target,
      "bilinear",
      fieldOn(source, (lat, lon) => lat + tent(lon)),
    );
    const expected = fieldOn(target, (lat, lon) => lat + tent(lon));
    expect(Math.max(...out.map((x, i) => Math.abs(x - expected[i]!)))).toBeLessThan(1e-14);
  });

  test("by hand: a quarter of the way in latitude, half in longitude, one corner missing", () => {
    const source = makeGrid([0, 4], [0, 2]);
    const target = makeGrid([1], [1]);
    expect(apply(source, target, "bilinear", [1, 2, 10, 20])[0]).toBeCloseTo(0.75 * 1.5 + 0.25 * 15, 14);
    // The corner (4, 2) carries 1/8. Unless told, all must be there; else the rest is scaled up by 8/7.
    expect(apply(source, target, "bilinear", [1, 2, 10, Number.NaN])[0]).toBeNaN();
    const seven = (0.375 * 1 + 0.375 * 2 + 0.125 * 10) / 0.875;
    expect(apply(source, target, "bilinear", [1, 2, 10, Number.NaN], 0.5)[0]).toBeCloseTo(seven, 14);
    expect(apply(source, target, "bilinear", [1, 2, 10, Number.NaN], 0.9)[0]).toBeNaN();
    // A missing neighbour that carries no weight does no harm: here the target lies on the lower row.
    expect(apply(source, makeGrid([0], [1]), "bilinear", [1, 2, 10, Number.NaN])[0]).toBeCloseTo(1.5, 14);
  });

  test("poleward of the last row a field linear in space stays within second order of the truth", () => {
    // cos(lat) cos(lon) is x on the sphere: near the pole it is linear, changes sign over it, and is 0 at it.
    const source = makeGrid(gaussianLatitudes(96), steps(192, 1.875)); // last row 88.572
    const target = regularGrid(1.40625); // last row 89.297
    const x = (lat: number, lon: number) => 100 * Math.cos(lat) * Math.cos(lon);
    const out = apply(source, target, "bilinear", fieldOn(source, x));
    const truth = fieldOn(target, x);
    const error = (row: number) =>
      Math.max(
        ...Array.from({ length: 256 }, (_, c) => Math.abs(out[row * 256 + c]! - truth[row * 256 + c]!)),
      );
    // 100 cos(88.572) = 2.49 is what it is at the last row. CDO's average of the nearest four is 1.26 off here,
    // repeating the last row is too; the chord across 1.875 degrees of longitude costs 1.3e-4 of 2.49.
    expect(error(127)).toBeLessThan(5e-4);
    expect(error(0)).toBeLessThan(5e-4);
  });

  test("the pole is the mean of what is there of the last row", () => {
    const source = makeGrid([-60, 0, 60], [0, 90, 180, 270]);
    const field = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, Number.NaN];
    const out = apply(source, makeGrid([75], [0, 90, 225]), "bilinear", field, 0.1);
    expect(out[0]).toBeCloseTo((1 + 2) / 2, 14); // halfway between 1 and the mean 2
    expect(out[1]).toBeCloseTo((2 + 2) / 2, 14);
    expect(out[2]).toBeCloseTo((0.25 * 3 + 0.5 * 2) / 0.75, 14); // half of the row's part is missing
  });
});

describe("conservative", () => {
  test("keeps the global integral, to 1e-12 in f64 and 1e-6 in float32", () => {
    for (const source of Object.values(globes)) {
      const field = random(source.lat.length * source.lon.length).map((x) => 250 + 50 * x);
      for (const target of [regularGrid(5.625), regularGrid(1.40625), globes.Gaussian!]) {
        const before = globalMean(source, field);
        const after = globalMean(target, apply(source, target, "conservative", field));
        expect(Math.abs(after / before - 1)).toBeLessThan(1e-12);
        const single = makeRegridder(source, target, "conservative").apply(Float32Array.from(field));
        expect(Math.abs(globalMean(target, single) / before - 1)).toBeLessThan(1e-6);
      }
    }
  });

  test("keeps the integral over what is there, for any grids and gaps", () => {
    const grid = fc
      .record({
        h: fc.integer({ min: 2, max: 9 }),
        w: fc.integer({ min: 3, max: 12 }),
        shift: fc.double({ min: 0, max: 0.999, noNaN: true }),
      })
      .map(({ h, w, shift }) =>
        makeGrid(steps(h, 180 / h, -90 + 90 / h), steps(w, 360 / w, (shift * 360) / w)),
      );
    fc.assert(
      fc.property(grid, grid, fc.integer({ min: 1, max: 1e6 }), (source, target, seed) => {
        const noise = random(source.lat.length * source.lon.length, seed);
        const field = noise.map((x) => (x < 0.3 ? Number.NaN : x));
        // Each target's valid part is what a field of ones and zeros becomes: weight the mean by it.
        const part = apply(
          source,
          target,
          "conservative",
          field.map((x) => (Number.isNaN(x) ? 0 : 1)),
        );
        const out = apply(source, target, "conservative", field);
        const after = globalMean(
          target,
          out.map((x, i) => (part[i]! < 1e-9 ? 0 : x * part[i]!)),
        );
        const before = globalMean(
          source,
          field.map((x) => (Number.isNaN(x) ? 0 : x)),
        );
        return Math.abs(after - before) < 1e-9; // cells with less than 1e-9 of their area there are dropped
      }),
      { numRuns: 100, seed: 7 },
    );
  });

  test("of a region keeps its integral, over whichever targets hold enough of it", () => {
    const axis = (low: number, high: number) =>
      fc
        .tuple(
          fc.double({ min: low, max: high, noNaN: true }),
          fc.integer({ min: 2, max: 8 }),
          fc.constantFrom(1, 3.1, 5),
        )
        .map(([from, n, step]) => steps(n, step, from));
    const region = fc.tuple(axis(-88, 50), axis(0, 359)).map(([lat, lon]) =>
      makeGrid(
        lat,
        lon.map((x) => x % 360).sort((a, b) => a - b),
      ),
    );
    const least = fc.constantFrom(0, 0.25, 0.5, 0.99);
    fc.assert(
      fc.property(
        region,
        fc.constantFrom(...Object.values(globes)),
        least,
        (source, target, minimumValid) => {
          const field = random(source.lat.length * source.lon.length, 5).map((x) => 250 + 50 * x);
          const regridder = makeRegridder(source, target, "conservative", { minimumValid });
          const { start, weight } = weightsOf(regridder);
          const covered = Array.from({ length: start.length - 1 }, (_, r) =>
            weight.subarray(start[r], start[r + 1]).reduce((sum, w) => sum + w, 0),
          );
          const out = regridder.apply(field, new Float64Array(covered.length));
          const all = apply(source, target, "conservative", field);
          let after = 0;
          const cells = areas(cellEdges(target));
          let wrong = 0;
          out.forEach((x, i) => {
            const expected = covered[i]! < minimumValid ? Number.NaN : all[i]!;
            // Where the two are near one another rounding decides.
            if (Math.abs(covered[i]! - minimumValid) > 1e-8 && !Object.is(x, expected)) wrong++;
            if (!Number.isNaN(all[i]!)) after += all[i]! * covered[i]! * cells[i]!;
          });
          expect(wrong).toBe(0);
          const before = areas(cellEdges(source)).reduce((sum, area, i) => sum + area * field[i]!, 0);
          // Targets of which less than 1e-9 is covered are gaps.
          expect(Math.abs(after / before - 1)).toBeLessThan(1e-6);
        },
      ),
      { numRuns: 60, seed: 4 },
    );
  });

  test("by hand: 90 degree cells from 45 degree ones, by sines of latitude, with a gap", () => {
    const source = regularGrid(45);
    const target = makeGrid([-45, 45], [22.5, 112.5, 202.5, 292.5]);
    const field = new Float64Array(32);
    field.set([8, 4], 16); // the row 0..45 N: columns at 0 and 45 make the first target column
    field.set([2, 6], 24); // the row 45..90 N
    const [low, high] = [Math.sin(45 * radians), 1 - Math.sin(45 * radians)]; // of the half globe's area
    const out = apply(source, target, "conservative", field);
    expect(out[4]).toBeCloseTo(low * 6 + high * 4, 14);
    field[16] = Number.NaN;
    const rest = (low * 0.5 * 4 + high * 4) / (low * 0.5 + high);
    expect(apply(source, target, "conservative", field)[4]).toBeCloseTo(rest, 14);
    expect(apply(source, target, "conservative", field, 0.7)[4]).toBeNaN(); // 1 - 0.354 is there
    expect(apply(source, target, "conservative", field, 0.6)[4]).toBeCloseTo(rest, 14);
  });

  test("uses the cell edges of the file where it has them", () => {
    const source = makeGrid([-45, 45], [0, 180]);
    const target = makeGrid([-45, 45], [0, 180]);
    // The southern cell reaches 30 N: half of the northern target's sines, 0.5 of 1.
    const sourceEdges = { lat: Float64Array.of(-90, 30, 90), lon: Float64Array.of(-90, 90, 90, 270) };
    const out = makeRegridder(source, target, "conservative", { sourceEdges }).apply(
      Float64Array.of(1, 1, 3, 3),
      new Float64Array(4),
    );
    expect(out[2]).toBeCloseTo(0.5 * 1 + 0.5 * 3, 14);
    expect(latitudeEdges(source)[1]).toBe(0);
  });
});

describe("nearest", () => {
  test("is the nearest by great circle, not by latitude and longitude", () => {
    const source = globes["off zero and uneven in latitude"]!;
    const target = makeGrid([-87, -76.4, -51, -16, 4, 30, 36, 71.9, 72.2, 72.4, 89], steps(53, 6.77, 0.4));
    const n = source.lat.length * source.lon.length;
    const out = apply(source, target, "nearest", steps(n, 1));
    const vector = (lat: number, lon: number) => [
      Math.cos(lat * radians) * Math.cos(lon * radians),
      Math.cos(lat * radians) * Math.sin(lon * radians),
      Math.sin(lat * radians),
    ];
    let crooked = 0;
    for (const [r, y] of target.lat.entries()) {
      for (const [c, x] of target.lon.entries()) {
        const here = vector(y, x);
        const cosines = steps(n, 1).map((k) => {
          const there = vector(source.lat[Math.floor(k / 24)]!, source.lon[k % 24]!);
          return here[0]! * there[0]! + here[1]! * there[1]! + here[2]! * there[2]!;
        });
        const chosen = out[r * 53 + c]!;
        expect(cosines[chosen]! - Math.max(...cosines)).toBeGreaterThan(-1e-12);
        const byLatitude = source.lat.reduce((best, s) => (Math.abs(s - y) < Math.abs(best - y) ? s : best));
        if (source.lat[Math.floor(chosen / 24)] !== byLatitude) crooked++;
      }
    }
    expect(crooked).toBeGreaterThan(0); // else this would not tell the two apart
  });

  test("of points equally near the southern and that of lower longitude is taken, also across Greenwich", () => {
    const source = makeGrid([-10, 10], steps(36, 10, 5));
    const target = makeGrid([0], [0, 10, 350]);
    const out = apply(source, target, "nearest", steps(72, 1));
    expect([...out]).toEqual([0, 0, 34]);
  });

  test("a point far outside the region's cells gets nothing, one inside the last cell does", () => {
    const source = makeGrid([10, 20], [0, 10]);
    const out = apply(source, makeGrid([14, 24, 26], [355, 356]), "nearest", [1, 2, 3, 4]);
    expect([...out]).toEqual([1, 1, 3, 3, Number.NaN, Number.NaN]);
  });
});
