// Weight files: written and read again, those of other programs, those for other grids, damaged ones; CDO as the judge.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { type FileAxes, readWeights, writeWeights } from "../../src/data/weightsfile.ts";
import { ClimaxError } from "../../src/errors.ts";
import { createNetcdf, type WrittenAttributes, type WrittenDtype } from "../../src/files/netcdf4writer.ts";
import { type Grid, makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { makePoints, type Points, sizeOf } from "../../src/grid/points.ts";
import { makeRegridder, type Regridder, type RegridMethod, regridMethods } from "../../src/grid/regrid.ts";
import { type SparseWeights, sparseRegridder, weightsOf } from "../../src/grid/sparse.ts";
import { triangles } from "../support/triangles.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-weights-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const steps = (n: number, step: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * step);
const provenance = { commandLine: "climax regrid in.nc", program: "climax 0" };

const source = makeGrid(steps(12, 15, -82.5), steps(24, 15));
const target = makeGrid(steps(6, 30, -75), steps(8, 45, 10));
/** As many archives store it: north to south, and eastward from -180. */
const axes: FileAxes = {
  lat: source.lat.toReversed(),
  lon: steps(24, 15, -180),
  rows: Int32Array.from({ length: 12 }, (_, r) => 11 - r),
  columns: Int32Array.from({ length: 24 }, (_, c) => (c + 12) % 24),
};

async function failure(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ClimaxError) return `${error.kind}: ${error.message} | ${error.hint}`;
  throw error ?? new Error("nothing thrown");
}

/** Row by row, columns in order: what two matrices must share to be one. */
const dense = ({ start, column, weight, sourceSize }: SparseWeights) =>
  Array.from({ length: start.length - 1 }, (_, r) => {
    const row = new Float64Array(sourceSize);
    for (let k = start[r]!; k < start[r + 1]!; k++) row[column[k]!]! += weight[k]!;
    return row;
  });

function sameMatrix(a: SparseWeights, b: SparseWeights): void {
  const [x, y] = [dense(a), dense(b)];
  const worst = Math.max(...x.flatMap((row, r) => Array.from(row, (w, c) => Math.abs(w - y[r]![c]!))));
  // Rows are divided by their sums when written, and multiplied by them again.
  expect(worst).toBeLessThan(1e-15);
}

test.each(regridMethods)(
  "%s: written in the order of its file, read again in that of its grid",
  async (method) => {
    const regridder = makeRegridder(source, target, method);
    await writeWeights(at("grid.nc"), regridder, provenance, axes);
    const again = await readWeights(at("grid.nc"), source, target);
    expect(again.method).toBe(method);
    sameMatrix(again.weights, weightsOf(regridder));
    const dataset = await openDataset(at("grid.nc"));
    const degrees = async (name: string) =>
      Array.from(
        await dataset.variables.get(name)!.read(),
        (x) => Math.round(((Number(x) * 180) / Math.PI) * 1e6) / 1e6,
      );
    expect((await degrees("src_grid_center_lat")).slice(23, 25)).toEqual([82.5, 67.5]);
    expect((await degrees("src_grid_center_lon")).slice(0, 2)).toEqual([-180, -165]);
    expect([...(await dataset.variables.get("src_grid_dims")!.read())]).toEqual([24, 12]);
    await dataset.close();
  },
);

test("of points, with cells that have no place, and of a region that covers targets in part", async () => {
  const { points } = triangles(2, [0.1, 0.2, 0.3]);
  const lat = points.lat.slice();
  lat[5] = Number.NaN;
  const holed: Points = { ...points, lat };
  const region = makeGrid(steps(7, 5, 20), [0, 5, 10, 345, 350, 355]);
  for (const from of [holed, region]) {
    for (const method of ["nearest", "conservative"] as const) {
      const regridder = makeRegridder(from, target, method);
      await writeWeights(at("points.nc"), regridder, provenance);
      const { weights } = await readWeights(at("points.nc"), from, target);
      sameMatrix(weights, weightsOf(regridder));
    }
  }
});

test("a column that comes again after a whole turn is in the file, and takes no part", async () => {
  const again: FileAxes = {
    lat: source.lat,
    lon: steps(25, 15),
    rows: Int32Array.from(source.lat, (_, r) => r),
    columns: Int32Array.from(source.lon, (_, c) => c),
  };
  const regridder = makeRegridder(source, target, "bilinear");
  await writeWeights(at("again.nc"), regridder, provenance, again);
  const dataset = await openDataset(at("again.nc"));
  expect(dataset.dimensions.get("src_grid_size")).toBe(12 * 25);
  await dataset.close();
  sameMatrix((await readWeights(at("again.nc"), source, target)).weights, weightsOf(regridder));
});

describe("weights for other grids are refused, saying what differs", () => {
  test.each<[string, Grid | Points, Grid, string]>([
    [
      "another number of source points",
      regularGrid(22.5),
      target,
      "holds weights for another source: it has 288 points, not 128; the source here is 8 x 16, 22.5 degrees",
    ],
    [
      "other source points",
      makeGrid(source.lat, steps(24, 15, 2)),
      target,
      "holds weights for another source: its point 1 lies at -82.5 N 0 E; the source here is 12 x 24, 15 degrees",
    ],
    [
      "another number of targets",
      source,
      regularGrid(45),
      "holds weights for another target: it has 48 points, not 32; the target here is 4 x 8, 45 degrees",
    ],
    [
      "other targets",
      source,
      makeGrid(steps(6, 30, -75), steps(8, 45)),
      "holds weights for another target: its point 1 lies at -75 N 10 E; the target here is 6 x 8, 30 x 45 degrees",
    ],
    [
      "points in another order",
      makePoints(new Float64Array(288).fill(5), steps(288, 1), [288]),
      target,
      "holds weights for another source: its point 1 lies at -82.5 N 0 E; the source here is 288 cells, unstructured",
    ],
  ])("%s", async (_, from, to, message) => {
    await writeWeights(at("other.nc"), makeRegridder(source, target, "bilinear"), provenance);
    expect(await failure(readWeights(at("other.nc"), from, to))).toBe(
      `grid: ${at("other.nc")} ${message} | leave the file out, and the weights are made anew; or name the one made for these grids`,
    );
  });
});

type Columns = Record<string, [dimensions: string[], data: ArrayLike<number>, units?: string]>;

async function write(
  name: string,
  dimensions: Record<string, number>,
  columns: Columns,
  attributes: WrittenAttributes = {},
): Promise<string> {
  const writer = await createNetcdf(at(name), {
    dimensions,
    attributes,
    variables: Object.entries(columns).map(([variable, [own, data, units]]) => ({
      name: variable,
      dimensions: own,
      dtype: (/address|^row$|^col$/.test(variable) ? "int32" : "float64") as WrittenDtype,
      data,
      ...(units !== undefined && { attributes: { units } }),
    })),
  });
  await writer.close();
  return at(name);
}

const two = makeGrid([-45, 45], [0, 180]);
const one = makeGrid([10], [90, 270]);

/** Weights as ESMF_RegridWeightGen writes them, links in no order. */
const esmfColumns = (change: Columns = {}): Columns => ({
  yc_a: [["n_a"], [45, 45, -45, -45], "degrees"],
  xc_a: [["n_a"], [0, 180, 0, 180], "degrees"],
  yc_b: [["n_b"], [10, 10], "degrees"],
  xc_b: [["n_b"], [-90, 90], "degrees"],
  frac_b: [["n_b"], [0.5, 1]],
  row: [["n_s"], [2, 1, 2, 1]],
  col: [["n_s"], [1, 2, 3, 4]],
  S: [["n_s"], [0.25, 0.5, 0.75, 0.5]],
  ...change,
});
const esmfSizes = { n_a: 4, n_b: 2, n_s: 4 };

test("ESMF's, whatever the order of rows and links; a part covered is known from frac_b", async () => {
  const path = await write("esmf.nc", esmfSizes, esmfColumns(), {
    map_method: "Conservative remapping",
    normalization: "fracarea",
  });
  const { weights, method } = await readWeights(path, two, one);
  expect(method).toBe("conservative");
  // Ours: source 45 S first, target 90 E first.
  expect(dense(weights).map((row) => [...row])).toEqual([
    [0.75, 0, 0.25, 0],
    [0, 0.25, 0, 0.25],
  ]);
  const regridder = (minimumValid: number) =>
    sparseRegridder(weights, { source: two, target: one, method: "conservative", minimumValid });
  expect([...regridder(0).apply(Float32Array.of(1, 2, 3, 4))]).toEqual([1.5, 3]);
  expect([...regridder(0.6).apply(Float32Array.of(1, 2, 3, 4))]).toEqual([1.5, Number.NaN]);
});

test.each<[string, string, RegridMethod | undefined]>([
  ["ESMF", "Bilinear remapping", "bilinear"],
  ["CDO", "Conservative remapping using clipping on sphere", "conservative"],
  ["CDO", "Distance weighted avg of nearest neighbors", "distance-weighted"],
  ["CDO", "Nearest neighbor", "nearest"],
  ["ESMF", "Higher-order Patch", undefined],
])("%s's %s", async (_, named, method) => {
  const path = await write("named.nc", esmfSizes, esmfColumns(), { map_method: named });
  expect((await readWeights(path, two, one)).method).toBe(method);
});

describe("damaged and unfit files", () => {
  const read = async (
    change: Columns,
    attributes: WrittenAttributes = {},
    sizes: Record<string, number> = {},
  ) =>
    failure(
      write("bad.nc", { ...esmfSizes, ...sizes }, esmfColumns(change), attributes).then((path) =>
        readWeights(path, two, one),
      ),
    );
  test("addresses outside the grids, weights that are no numbers, lists of different lengths", async () => {
    expect(await read({ col: [["n_s"], [1, 5, 3, 4]] })).toContain(
      `link 2 of ${at("bad.nc")} goes from 5 to 1 with the weight 0.5; wanted addresses in 1..4 and 1..2, and a number`,
    );
    expect(await read({ row: [["n_s"], [0, 1, 2, 1]] })).toContain("goes from 1 to 0");
    expect(await read({ S: [["n_s"], [1, 1, 1, Number.POSITIVE_INFINITY]] })).toContain(
      "with the weight Infinity",
    );
    expect(await read({ S: [["n_t"], [1, 1, 1]] }, {}, { n_t: 3 })).toContain(
      "has 3 weights for 4 source and 4 target addresses",
    );
  });
  test("no weights at all, no centres, weights of slopes", async () => {
    const path = await write("none.nc", { x: 1 }, { topo: [["x"], [1]] });
    expect(await failure(readWeights(path, two, one))).toBe(
      `data: ${path} holds no regridding weights: found topo; wanted src_address, dst_address and remap_matrix (SCRIP, CDO)` +
        " or row, col and S (ESMF) | name a file written by climax regrid --weights, cdo gencon or ESMF_RegridWeightGen",
    );
    const { xc_b: _, ...lacking } = esmfColumns();
    const centreless = await write("centreless.nc", esmfSizes, lacking);
    expect(await failure(readWeights(centreless, two, one))).toContain(
      "has no xc_b; wanted the centres of both grids",
    );
    const slopes: Columns = { S: [["n_s", "num_wgts"], new Float64Array(16)] };
    expect(await read(slopes, { map_method: "Bicubic remapping" }, { num_wgts: 4 })).toContain(
      "holds 4 weights a link (Bicubic remapping), of values and of slopes; wanted weights of values only",
    );
    const second = { map_method: "Conservative remapping", remap_order: 2 };
    expect(await read(slopes, second, { num_wgts: 4 })).toContain("holds 4 weights a link");
  });
  test("SCRIP's three weights a link of first order: the first is the one", async () => {
    const S = [0.25, 9, 9, 0.5, 9, 9, 0.75, 9, 9, 0.5, 9, 9];
    const path = await write(
      "three.nc",
      { ...esmfSizes, num_wgts: 3 },
      esmfColumns({ S: [["n_s", "num_wgts"], S] }),
      { map_method: "Conservative remapping" },
    );
    expect([...dense((await readWeights(path, two, one)).weights)[0]!]).toEqual([0.75, 0, 0.25, 0]);
  });
});

const hasCdo = spawnSync("cdo", ["--version"]).status === 0;
const cdo = (...args: string[]) => {
  const { status, stderr } = spawnSync("cdo", ["-s", "-O", ...args], { encoding: "utf8", cwd: folder });
  expect(status, stderr).toBe(0);
};

describe.skipIf(!hasCdo)("CDO as the judge (skipped where it is not installed)", () => {
  const axis = (name: string, units: string, data: ArrayLike<number>) =>
    ({ name, dimensions: [name], dtype: "float64", data, attributes: { units } }) as const;

  /** A file of one field on the source, stored as `axes` say, and that field in the order of the grid. */
  async function makeField(): Promise<Float64Array> {
    const field = Float64Array.from({ length: 288 }, (_, i) => ((i * 7919) % 1000) / 10);
    const stored = new Float64Array(288);
    field.forEach((x, i) => {
      stored[axes.rows[Math.floor(i / 24)]! * 24 + axes.columns[i % 24]!] = x;
    });
    const writer = await createNetcdf(at("field.nc"), {
      dimensions: { lat: 12, lon: 24 },
      variables: [
        axis("lat", "degrees_north", axes.lat),
        axis("lon", "degrees_east", axes.lon),
        { name: "t", dimensions: ["lat", "lon"], dtype: "float64", data: stored },
      ],
    });
    await writer.close();
    return field;
  }
  const to = regularGrid(22.5);
  const read = async (name: string) => {
    const dataset = await openDataset(at(name));
    return Float64Array.from(
      await dataset.variables
        .get("t")!
        .readUnpacked()
        .finally(() => dataset.close()),
    );
  };
  const worst = (a: Float64Array, b: Float64Array) => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));
  const apply = (regridder: Regridder, field: Float64Array) =>
    regridder.apply(field, new Float64Array(to.lat.length * to.lon.length));

  async function targetFile(): Promise<void> {
    const writer = await createNetcdf(at("target.nc"), {
      dimensions: { lat: to.lat.length, lon: to.lon.length },
      variables: [
        axis("lat", "degrees_north", to.lat),
        axis("lon", "degrees_east", to.lon),
        { name: "t", dimensions: ["lat", "lon"], dtype: "float64", data: new Float64Array(sizeOf(to)) },
      ],
    });
    await writer.close();
  }

  test.each(regridMethods)("cdo remap of our weights is our own result: %s", async (method) => {
    const field = await makeField();
    await targetFile();
    const regridder = makeRegridder(source, to, method);
    await writeWeights(at("ours.nc"), regridder, provenance, axes);
    cdo("-f", "nc4", "remap,target.nc,ours.nc", "field.nc", "out.nc");
    // Sums of up to 24 products of numbers up to 100, in f64 in two orders.
    expect(worst(await read("out.nc"), apply(regridder, field))).toBeLessThan(1e-11);
  });

  test.each([
    ["bil", "bilinear"],
    ["con", "conservative"],
    ["nn", "nearest"],
    ["dis", "distance-weighted"],
  ] as const)("our use of cdo gen%s is cdo's own result", async (name, method) => {
    const field = await makeField();
    await targetFile();
    cdo(`gen${name},target.nc`, "field.nc", "theirs.nc");
    cdo("-f", "nc4", `remap${name},target.nc`, "field.nc", "out.nc");
    const { weights, method: found } = await readWeights(at("theirs.nc"), source, to);
    expect(found).toBe(method);
    const regridder = sparseRegridder(weights, { source, target: to, method, minimumValid: 0 });
    expect(worst(await read("out.nc"), apply(regridder, field))).toBeLessThan(1e-11);
  });
});
