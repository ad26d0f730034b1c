/**
 * Agreement with CDO 2.1.1 (remapbil, remapcon, remapnn, remapdis) on real topography. test/fixtures/regrid holds two of the
 * sources with their results; the rest is read from ../shared, where that is.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { findCoordinates, horizontalOf } from "../../src/data/coordinates.ts";
import { openDataset } from "../../src/data/open.ts";
import type { Grid } from "../../src/grid/grid.ts";
import { makeRegridder } from "../../src/grid/regrid.ts";

const path = (folder: string) => fileURLToPath(new URL(folder, import.meta.url));
const fixtures = path("../fixtures/regrid/");
const shared = path("../../../shared/reference/regrid/");

// Bicubic has files of its own: bicubic.test.ts.
const operators = {
  bilinear: "bil",
  conservative: "con",
  nearest: "nn",
  "distance-weighted": "dis",
} as const;
type Method = keyof typeof operators;

/** Those whose results are in test/fixtures. */
const kept = ["bilinear", "conservative", "nearest"] as const;

/** Everything of a file's topography, on its grid south to north. */
async function readField(file: string): Promise<{ grid: Grid; values: Float64Array }> {
  const dataset = await openDataset(file);
  try {
    const variable = dataset.variables.get("topo")!;
    const { grid, rows, columns } = await horizontalOf(findCoordinates(dataset), variable);
    const stored = await variable.readUnpacked();
    const values = new Float64Array(rows.length * columns.length);
    rows.forEach((row, r) => {
      columns.forEach((column, c) => {
        values[r * columns.length + c] = stored[row * columns.length + column]!;
      });
    });
    return { grid, values };
  } finally {
    await dataset.close();
  }
}

/** Largest difference in metres, rows at the poles apart, and where only one of the two has a value. */
async function compare(folder: string, source: string, method: Method, resolution: string) {
  const from = await readField(`${folder}source_${source}.nc`);
  const cdo = await readField(`${folder}${source}.${operators[method]}.${resolution}deg.nc`);
  const ours = makeRegridder(from.grid, cdo.grid, method).apply(from.values);
  const width = cdo.grid.lon.length;
  const last = from.grid.lat.at(-1)!;
  const found = { difference: 0, poles: 0, onlyOurs: [] as number[][], onlyCdo: 0, gaps: 0 };
  ours.forEach((value, k) => {
    const theirs = cdo.values[k]!;
    const [lat, lon] = [cdo.grid.lat[Math.floor(k / width)]!, cdo.grid.lon[k % width]!];
    if (Number.isNaN(value)) found[Number.isNaN(theirs) ? "gaps" : "onlyCdo"]++;
    else if (Number.isNaN(theirs)) found.onlyOurs.push([lat, lon]);
    else {
      const which = Math.abs(lat) > last ? "poles" : "difference";
      found[which] = Math.max(found[which], Math.abs(value - theirs));
    }
  });
  return found;
}

// Heights reach 8 km below and 6 km above the sea; a float32 there has steps of 4.9e-4 m, and CDO's results and
// ours, both summed in f64, are each rounded to it once: they may differ by one step.
const oneStep = 2 ** -11;

async function agrees(folder: string, source: string, method: Method, resolution: string) {
  const found = await compare(folder, source, method, resolution);
  expect(found.difference).toBeLessThanOrEqual(method === "nearest" ? 0 : oneStep);
  expect(found.onlyCdo).toBe(0);
  return found;
}

describe("CDO 2.1.1 on the 5.625 degree grid", () => {
  test.each(kept)("Gaussian source, %s", async (method) => {
    const found = await agrees(fixtures, "n48_gaussian", method, "5.625");
    expect(found).toMatchObject({ onlyOurs: [], gaps: 0, poles: 0 });
  });

  test("-180 .. 180 with a masked ocean, bilinear: a gap where a point that carries weight is missing", async () => {
    const found = await agrees(fixtures, "lon180_land_only", "bilinear", "5.625");
    expect(found.gaps).toBe(1472);
    // These two targets lie on a source meridian. CDO wants the next meridian too, whose weight is zero.
    expect(found.onlyOurs).toEqual([
      [19.6875, 270],
      [70.3125, 180],
    ]);
  });

  test("-180 .. 180 with a masked ocean, conservative: mean over what land a cell has", async () => {
    expect(await agrees(fixtures, "lon180_land_only", "conservative", "5.625")).toMatchObject({
      onlyOurs: [],
      gaps: 1088,
    });
  });

  test("-180 .. 180 with a masked ocean, nearest: ties fall to the lower longitude as CDO's do", async () => {
    expect(await agrees(fixtures, "lon180_land_only", "nearest", "5.625")).toMatchObject({
      onlyOurs: [],
      gaps: 1363,
    });
  });
});

describe.skipIf(!existsSync(shared))(
  "CDO 2.1.1, cases of ../shared/reference/regrid (skipped without it)",
  () => {
    test.each(Object.keys(operators) as Method[])("2 degree source to 5.625, %s", async (method) => {
      expect(await agrees(shared, "r180x90", method, "5.625")).toMatchObject({ onlyOurs: [], gaps: 0 });
    });

    test("Gaussian source, distance-weighted", async () => {
      expect(await agrees(shared, "n48_gaussian", "distance-weighted", "5.625")).toMatchObject({
        onlyOurs: [],
        gaps: 0,
      });
    });

    test("-180 .. 180 with a masked ocean, distance-weighted: the mean of what land is among the four", async () => {
      const { values, grid } = await readField(`${shared}source_lon180_land_only.nc`);
      const cdo = await readField(`${shared}lon180_land_only.dis.5.625deg.nc`);
      const ours = makeRegridder(grid, cdo.grid, "distance-weighted").apply(values);
      const apart = [...ours.keys()].filter((i) => {
        const [x, y] = [ours[i]!, cdo.values[i]!];
        return Number.isNaN(x) !== Number.isNaN(y) || Math.abs(x - y) > oneStep;
      });
      // Two columns are equally near to the meridians 0 and 180. CDO takes the first in the file's order, which begins
      // at -180, this program the first from 0 eastward.
      expect(apart.map((i) => cdo.grid.lon[i % 64])).toEqual([0, 180, 0]);
    });

    test("bilinear to 1.40625: equal but for the rows poleward of the last source row", async () => {
      for (const source of ["r180x90", "n48_gaussian"]) {
        const found = await agrees(shared, source, "bilinear", "1.40625");
        // Here CDO averages the nearest four points by inverse distance, all of them in the last row; this program
        // goes on towards the mean of that row, the value at the pole. The last row spans 2 km of sea floor.
        expect(found.poles).toBeGreaterThan(100);
        expect(found.poles).toBeLessThan(1500);
      }
      const masked = await agrees(shared, "lon180_land_only", "bilinear", "1.40625");
      expect(masked.onlyOurs.length).toBe(6); // on source meridians and parallels, as above
    });
  },
);
