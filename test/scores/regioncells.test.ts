import { describe, expect, test } from "vitest";
import type { ClimaxError } from "../../src/errors.ts";
import { latitudeWeights, makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { definition } from "../../src/scores/definitions.ts";
import { regionCells, regionNames } from "../../src/scores/regioncells.ts";

const climax = definition("climax");

/** Rows and columns on the very edges of WeatherBench 2's boxes, and just beside them. */
const edges = makeGrid([-60.5, -60, -20, -19.5, 0, 20, 35, 60, 75, 75.5], [0, 42.5, 43, 120, 347, 347.5]);
const W = edges.lon.length;

/** Latitudes and longitudes of the cells of a region. */
function placesOf(name: string) {
  const [{ cells }] = regionCells([name], edges, climax) as [ReturnType<typeof regionCells>[number]];
  const lat = [...new Set([...cells.inside].map((i) => edges.lat[Math.floor(i / W)]!))];
  const lon = [...new Set([...cells.inside].map((i) => edges.lon[i % W]!))];
  expect(cells.inside).toHaveLength(lat.length * lon.length);
  return { lat, lon };
}

function failure(work: () => unknown): ClimaxError {
  try {
    work();
  } catch (error) {
    expect(error).toMatchObject({ name: "ClimaxError" });
    return error as ClimaxError;
  }
  throw new Error("nothing was thrown");
}

describe("edges belong to the region, as in xarray's sel(slice)", () => {
  const all = [...edges.lon];
  test.for([
    ["global", [...edges.lat], all],
    ["tropics", [-20, -19.5, 0, 20], all],
    ["extra-tropics", [-60.5, -60, -20, 20, 35, 60, 75, 75.5], all],
    ["northern-hemisphere", [20, 35, 60, 75, 75.5], all],
    ["southern-hemisphere", [-60.5, -60, -20], all],
    ["arctic", [60, 75, 75.5], all],
    ["antarctic", [-60.5, -60], all],
    ["europe", [35, 60, 75], [0, 42.5, 347.5]],
    ["ausnz", [-20, -19.5], [120]],
    ["Europe", [35, 60], [0]],
    ["35..60/-13..43", [35, 60], [0, 42.5, 43, 347, 347.5]],
    ["-20..20,120..347", [-20, -19.5, 0, 20], [120, 347]],
  ] as const)("%s", ([name, lat, lon]) => {
    expect(placesOf(name)).toEqual({ lat, lon });
  });
});

test("the names are WeatherBench 2's without a prefix, the paper's, land and sea", () => {
  expect(regionNames).toEqual([
    "global",
    "NorthAmerica",
    "SouthAmerica",
    "Europe",
    "SouthAsia",
    "EastAsia",
    "Australia",
    "extra-tropics",
    "tropics",
    "northern-hemisphere",
    "southern-hemisphere",
    "europe",
    "north-america",
    "north-atlantic",
    "north-pacific",
    "east-asia",
    "ausnz",
    "arctic",
    "antarctic",
    "land",
    "sea",
  ]);
  const grid = regularGrid(5.625);
  const land = new Float32Array(32 * 64).fill(0.5);
  const every = [
    ...regionNames,
    ...regionNames.slice(0, -2).flatMap((name) => [`${name}-land`, `${name}-sea`]),
  ];
  expect(regionCells(every, grid, climax, land).map(({ name }) => name)).toEqual(every);
});

describe("weights", () => {
  const grid = makeGrid([-60, 0], [0, 180]); // cosines 1/2 and 1, over their mean 2/3 and 4/3

  test("are those of the definition, zero outside", () => {
    const [globe, north] = regionCells(["global", "0..90/0..360"], grid, climax);
    expect([...globe!.cells.weights]).toEqual([2 / 3, 2 / 3, 4 / 3, 4 / 3].map((w) => expect.closeTo(w, 14)));
    expect([...north!.cells.weights]).toEqual([0, 0, expect.closeTo(4 / 3, 14), expect.closeTo(4 / 3, 14)]);
    expect([...north!.cells.inside]).toEqual([2, 3]);
    // By area: the border is at -30, the outer ones at -90 and 30: 1/2 and 1, over their mean 3/4.
    const [area] = regionCells(["global"], grid, definition("weatherbench2"));
    expect([...area!.cells.weights]).toEqual([2 / 3, 2 / 3, 4 / 3, 4 / 3].map((w) => expect.closeTo(w, 14)));
  });

  test("of land and sea are multiplied by its fraction, as in WeatherBench 2", () => {
    const land = Float32Array.of(0, 0.25, 1, 0.5);
    const [onLand, atSea, south] = regionCells(["land", "sea", "-90..-10/0..360-land"], grid, climax, land);
    expect([...onLand!.cells.weights]).toEqual([0, 1 / 6, 4 / 3, 2 / 3].map((w) => expect.closeTo(w, 14)));
    expect([...onLand!.cells.inside]).toEqual([1, 2, 3]);
    expect([...atSea!.cells.weights]).toEqual([2 / 3, 1 / 2, 0, 2 / 3].map((w) => expect.closeTo(w, 14)));
    expect([...atSea!.cells.inside]).toEqual([0, 1, 3]);
    expect([...south!.cells.inside]).toEqual([1]);
  });

  test("of a fraction that interpolation carried over the coast are those of its limits", () => {
    const [onLand] = regionCells(["land"], grid, climax, Float32Array.of(-0.05, 1.07, 1, 1));
    expect([...onLand!.cells.weights]).toEqual([0, 2 / 3, 4 / 3, 4 / 3].map((w) => expect.closeTo(w, 14)));
  });
});

test("the weights of the globe on the grid of the paper", () => {
  const grid = regularGrid(5.625);
  const [globe] = regionCells(["global"], grid, climax);
  const rows = latitudeWeights(grid);
  expect(globe!.cells.inside).toHaveLength(2048);
  expect(globe!.cells.weights[3 * 64 + 5]).toBe(rows[3]);
});

test("each region once, under a name without a comma", () => {
  const named = regionCells(["tropics", "-20..20, 0..360", " tropics ", "-20..20/0..360"], edges, climax);
  expect(named.map(({ name }) => name)).toEqual(["tropics", "-20..20/0..360"]);
});

describe("refused", () => {
  test("an unknown name, with the nearest", () => {
    const error = failure(() => regionCells(["tropic"], edges, climax));
    expect(error).toMatchObject({ kind: "config", message: 'unknown region "tropic"' });
    expect(error.hint).toMatch(
      /^did you mean "tropics"\? Known: global, .*antarctic, land, sea, south\.\.north\/west\.\.east \(a box in degrees\), REGION-land, REGION-sea$/,
    );
    expect(failure(() => regionCells(["tropic-land"], edges, climax, new Float32Array(60))).message).toBe(
      'unknown region "tropic-land"',
    );
  });

  test("a box that is none", () => {
    expect(failure(() => regionCells(["60..35/0..20"], edges, climax)).message).toBe(
      'the box "60..35,0..20" goes from latitude 60 to 35; wanted south to north within -90..90',
    );
  });

  test("a region without a cell", () => {
    const error = failure(() => regionCells(["-10..-5/0..360"], edges, climax));
    expect(error.kind).toBe("grid");
    expect(error.message).toMatch(
      /^the region -10\.\.-5\/0\.\.360 \(-10\.\.-5N\) holds no cell of the grid \(10 x 6, irregular/,
    );
    const dry = failure(() => regionCells(["tropics-land"], edges, climax, new Float32Array(60)));
    expect(dry.message).toMatch(
      /^the region tropics-land \(-20\.\.20N\) holds no cell with land of the grid/,
    );
  });

  test("land without a mask, and a mask that is none", () => {
    const error = failure(() => regionCells(["global", "europe-land"], edges, climax));
    expect(error.message).toBe(
      "the region europe-land wants the fraction of land in each cell, and none was given",
    );
    expect(error.hint).toContain("--land FILE");
    const percent = failure(() => regionCells(["sea"], edges, climax, new Float32Array(60).fill(100)));
    expect(percent.message).toBe(
      "the fraction of land is 100 in cell 0; wanted a number from 0 to 1 in every cell",
    );
    const gaps = new Float32Array(60);
    gaps[7] = Number.NaN;
    expect(failure(() => regionCells(["sea"], edges, climax, gaps)).message).toBe(
      "the fraction of land is NaN in cell 7; wanted a number from 0 to 1 in every cell",
    );
  });
});
