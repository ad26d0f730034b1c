/** Regions: which points and patches lie in one, whatever way the coordinates run; and what is cut out of fields. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import {
  cropFields,
  cropGrid,
  patchWindow,
  type Region,
  regionNamed,
  regionPoints,
  regions,
  windowPoints,
} from "../../src/grid/regions.ts";

const coarse = regularGrid(5.625);

/** Ids of patches in row-major order, as the reference numbers them. */
const patchIds = (
  { rows, columns }: { rows: readonly number[]; columns: readonly number[] },
  across: number,
) => rows.flatMap((row) => columns.map((column) => row * across + column));

function failure(run: () => unknown): ClimaxError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ClimaxError);
    return error as ClimaxError;
  }
  return expect.fail("nothing was thrown");
}

describe("named regions", () => {
  // Numbers of points noted beside the boxes in the reference.
  test.each([
    ["NorthAmerica", 8, 14],
    ["SouthAmerica", 14, 10],
    ["Europe", 6, 8],
    ["SouthAsia", 10, 14],
    ["EastAsia", 10, 12],
    ["Australia", 10, 14],
    ["Global", 32, 64],
  ])("%s has the size of the paper's, %i x %i points, but where its name says", (name, height, width) => {
    const region = regionNamed(name);
    const grid = cropGrid(coarse, patchWindow(coarse, region, 2));
    expect([grid.lat.length, grid.lon.length]).toEqual([height, width]);
    const [south, north] = region.bands[0]!;
    expect(grid.lat[0]).toBeGreaterThanOrEqual(south);
    expect(grid.lat.at(-1)).toBeLessThanOrEqual(north);
  });

  // The reference takes the first latitude for the northernmost, and WeatherBench's files begin in the south: the
  // patches of its cases are those of the box mirrored at the equator (regional-*.json of the reference cases).
  test.each([
    ["NorthAmerica", [84, 90], [180, 186], 28],
    ["Australia", [233, 239], [361, 367], 35],
  ])("%s mirrored at the equator gives the reference's patch ids", (name, first, last, count) => {
    const right = regionNamed(name);
    const mirrored: Region = { ...right, bands: right.bands.map(([south, north]) => [-north, -south]) };
    const ids = patchIds(patchWindow(coarse, mirrored, 2), 32);
    const wanted = [];
    for (let row = first[0]!; row <= last[0]!; row += 32) for (let i = 0; i < 7; i++) wanted.push(row + i);
    expect(ids).toEqual(wanted);
    expect([ids[6], ids.at(-1), ids.length]).toEqual([first[1], last[1], count]);
    // The same comes of mirrored coordinates, as the reference assumed them, and the true region.
    const northFirst = { lat: coarse.lat.toReversed(), lon: coarse.lon };
    expect(patchIds(patchWindow(northFirst, right, 2), 32)).toEqual(wanted);
    expect(patchIds(patchWindow(coarse, right, 2), 32)).not.toEqual(wanted);
  });

  test("WeatherBench 2's: bands, two bands, and Europe across Greenwich with its gap inside", () => {
    const grid = regularGrid(2.5); // points at 1.25, 3.75, ... N and 0, 2.5, ... E
    const rowsOf = (name: string) => regionPoints(grid, regionNamed(name)).rows.map((row) => grid.lat[row]!);
    expect(rowsOf("wb2-tropics")).toEqual([...grid.lat].filter((y) => Math.abs(y) <= 20));
    expect(rowsOf("wb2-extra-tropics")).toEqual([...grid.lat].filter((y) => Math.abs(y) >= 20));
    const europe = cropGrid(grid, patchWindow(grid, regionNamed("wb2-europe"), 1));
    expect([...europe.lon]).toEqual([
      ...Array.from({ length: 18 }, (_, i) => 2.5 * i), // 0 .. 42.5
      ...Array.from({ length: 5 }, (_, i) => 347.5 + 2.5 * i), // 347.5 .. 357.5
    ]);
    expect([europe.lat[0], europe.lat.at(-1)]).toEqual([36.25, 73.75]);
  });

  test("every name is known to regionNamed, once, and tells its source", () => {
    expect(new Set(regions.map(({ name }) => name)).size).toBe(regions.length);
    for (const region of regions) {
      expect(regionNamed(region.name)).toBe(region);
      expect(region.source).toMatch(/ClimaX|WeatherBench 2/);
    }
  });
});

const reference = fileURLToPath(new URL("../../../shared/reference/", import.meta.url));

test.skipIf(!existsSync(reference)).each(["NorthAmerica", "Australia"])(
  "%s mirrored has the ids and points of the reference case (skipped without ../shared/reference)",
  (name) => {
    const { region_info: info } = JSON.parse(readFileSync(`${reference}regional-${name}.json`, "utf8"));
    const northFirst = { lat: coarse.lat.toReversed(), lon: coarse.lon };
    const window = patchWindow(northFirst, regionNamed(name), 2);
    const { rows, columns } = windowPoints(window);
    expect(patchIds(window, 32)).toEqual(info.patch_ids);
    expect([rows[0], rows.at(-1), columns[0], columns.at(-1)]).toEqual([
      info.min_h,
      info.max_h,
      info.min_w,
      info.max_w,
    ]);
  },
);

describe("boxes", () => {
  test.each([
    ["15..65,220..300", 220, 80],
    ["15..65,-140..-60", 220, 80],
    ["35..60,350..20", 350, 30],
    ["35..60,-10..20", 350, 30],
    ["-30..10.5,170..-170", 170, 20],
    ["-90..90,0..360", 0, 360],
    ["-90..90,-180..180", 180, 360],
    [" 10..10 , 30..30 ", 30, 0],
  ])("%s", (text, west, width) => {
    expect(regionNamed(text)).toMatchObject({ west, width, patches: "touching" });
  });

  test("a patch belongs to it that has one point in it", () => {
    // Latitudes 2.8125 and 8.4375 make a patch, 14.0625 and 19.6875 the next.
    const { rows, columns } = patchWindow(coarse, regionNamed("8..15,5..6"), 2);
    expect(windowPoints({ rows, columns, patchSize: 2 }).rows.map((row) => coarse.lat[row])).toEqual([
      2.8125, 8.4375, 14.0625, 19.6875,
    ]);
    expect(columns).toEqual([0]);
  });

  test("points on its edges belong to it, with coordinates rounded to float32", () => {
    const grid = makeGrid(Float32Array.of(10.1, 60.1), Float32Array.of(20.1, 359.9));
    const point = regionPoints(grid, regionNamed("60.1..60.1,20.1..20.1"));
    expect(point).toEqual({ rows: [1], columns: [0] });
    expect(regionPoints(grid, regionNamed("60.1..61,359.9..360")).columns).toEqual([1]);
    expect(regionPoints(grid, regionNamed("60.1..61,-0.1..0")).columns).toEqual([1]);
  });

  test("has the same points whichever way longitudes are counted and latitudes run", () => {
    const degrees = fc.integer({ min: -180, max: 180 });
    fc.assert(
      fc.property(degrees, degrees, fc.integer({ min: -90, max: 89 }), (west, east, south) => {
        const written = regionNamed(`${south}..${south + 1},${west}..${east}`);
        const turned = regionNamed(`${south}..${south + 1},${(west + 360) % 360}..${(east + 360) % 360}`);
        const grid = regularGrid(3);
        const { rows, columns } = regionPoints(grid, written);
        // Once round is not nothing: only "-180..180" loses that when it is counted from 0.
        if (east - west !== 360) expect(regionPoints(grid, turned)).toEqual({ rows, columns });
        const other = {
          lat: grid.lat.toReversed(),
          lon: grid.lon.map((x) => (x >= 180 ? x - 360 : x)),
        };
        expect(regionPoints(other, written)).toEqual({
          rows: rows.map((row) => grid.lat.length - 1 - row).toReversed(),
          columns,
        });
      }),
      { numRuns: 200, seed: 3 },
    );
  });
});

describe("what cannot be is refused, with the mend", () => {
  test.each([
    ["NorthAmercia", 'unknown region "NorthAmercia"', 'did you mean "NorthAmerica"?'],
    ["wb2-europa", 'unknown region "wb2-europa"', 'did you mean "wb2-europe"?'],
    ["15..65", '"15..65" is no box', "write a box as south..north,west..east"],
    ["65..15,0..10", "goes from latitude 65 to 15; wanted south to north", "write a box as"],
    ["80..95,0..10", "goes from latitude 80 to 95", "write a box as"],
    ["0..10,-190..10", "goes from longitude -190 to 10", "write a box as"],
    ["0..10,-180..200", "goes from longitude -180 to 200", "write a box as"],
  ])("%s", (text, message, hint) => {
    const error = failure(() => regionNamed(text));
    expect(error.kind).toBe("config");
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });

  test("patches that do not tile the grid, and a region without a patch", () => {
    const odd = makeGrid([0, 1, 2], [0, 1, 2, 3]);
    const tiles = failure(() => patchWindow(odd, regionNamed("0..2,0..3"), 2));
    expect(tiles.message).toBe("the grid has 3 latitudes, which patches of 2 x 2 points do not tile");
    expect(tiles.hint).toBe("choose a patch size that divides 3 and 4 (1), or regrid the data");
    const empty = failure(() => patchWindow(odd, regionNamed("10..20,0..3"), 1));
    expect(empty.message).toBe(
      "no point of the grid (3 x 4, 0..2N 0..3E) lies in the region 10..20,0..3 (10..20N 0..3E)",
    );
    const part = failure(() => patchWindow(regularGrid(45), regionNamed("Europe"), 2));
    expect(part.message).toContain("no whole patch of 2 x 2 points of the grid");
    expect(part.message).toContain("lies in the region Europe (30..65N 0..40E)");
  });
});

test("a crop has the values of its points, field by field, with a gap across Greenwich", () => {
  const grid = regularGrid(45); // 4 x 8, longitudes 0, 45, ... 315
  const window = patchWindow(grid, regionNamed("0..90,315..0"), 1);
  expect(window).toEqual({ rows: [2, 3], columns: [0, 7], patchSize: 1 });
  expect([...cropGrid(grid, window).lon]).toEqual([0, 315]);
  const fields = Float32Array.from({ length: 2 * 32 }, (_, i) => i);
  expect([...cropFields(fields, grid, window)]).toEqual([16, 23, 24, 31, 48, 55, 56, 63]);
  expect(failure(() => cropFields(new Float32Array(33), grid, window)).message).toBe(
    "33 values are no whole number of fields of 4 x 8, 45 degrees",
  );
});
