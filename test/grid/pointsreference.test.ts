/**
 * Agreement with CDO 2.1.1 (remapdis, remapnn, remapcon, all in f64) on real files without rows and columns of
 * latitude and longitude: its values at ten places are written down here; where cdo is installed, all are compared.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { findCoordinates, placeOf } from "../../src/data/coordinates.ts";
import { openDataset } from "../../src/data/open.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import type { Points } from "../../src/grid/points.ts";
import { makeRegridder, type RegridMethod } from "../../src/grid/regrid.ts";

const data = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const grids = `${data}reference-cdo/`;

async function readField(path: string, name: string): Promise<{ points: Points; values: Float64Array }> {
  const dataset = await openDataset(path);
  try {
    const variable = dataset.variables.get(name)!;
    const place = await placeOf(findCoordinates(dataset), variable, true);
    if (!("points" in place)) throw new Error(`${path} is on latitudes by longitudes`);
    return { points: place.points, values: Float64Array.from(await variable.readUnpacked()) };
  } finally {
    await dataset.close();
  }
}

const nan = Number.NaN;

/** Rows and columns of the 5.625 degree grid: both poles, coasts, the open sea, mountains. */
const places = [
  [0, 0],
  [2, 40],
  [8, 41],
  [15, 5],
  [16, 60],
  [20, 33],
  [25, 50],
  [28, 30],
  [30, 2],
  [31, 63],
] as const;

interface Expected {
  method: RegridMethod;
  /** At the places above, to six decimals. */
  values: number[];
  /** Targets without a value, of 2048, and the mean of the others. */
  gaps: number;
  mean: number;
}

const files: { path: string; name: string; expected: Expected[] }[] = [
  {
    path: "cmip6-mini-esgf/tas_Amon_ICON-ESM-LR_historical_r1i1p1f1_gn_185001.nc",
    name: "tas",
    expected: [
      {
        method: "distance-weighted",
        values: [
          242.137164, 262.809029, 286.576156, 290.911661, 300.280867, 294.833293, 251.986555, 236.16133,
          242.841256, 243.687365,
        ],
        gaps: 0,
        mean: 275.202234,
      },
      {
        method: "nearest",
        values: [
          241.460175, 263.28772, 286.595398, 288.871887, 300.364716, 294.846069, 251.808792, 239.492767,
          242.876648, 243.097656,
        ],
        gaps: 0,
        mean: 275.186126,
      },
      {
        method: "conservative",
        values: [
          242.167416, 263.506558, 286.679553, 292.456996, 300.089722, 294.786375, 252.389816, 234.407922,
          244.061567, 242.833681,
        ],
        gaps: 0,
        mean: 275.278769,
      },
    ],
  },
  {
    path: "cmip6-mini-esgf/tos_Omon_MPI-ESM-1-2-HAM_ssp370_r1i1p1f1_gn_201501.nc",
    name: "tos",
    expected: [
      {
        method: "distance-weighted",
        values: [nan, nan, 15.377715, nan, 27.714393, 19.435323, -1.898931, -1.899712, -1.898089, -1.899784],
        gaps: 632,
        mean: 13.80129,
      },
      {
        method: "nearest",
        values: [nan, nan, 15.131636, nan, 27.588383, 19.357712, nan, -1.899651, -1.897558, -1.899782],
        gaps: 690,
        mean: 13.950874,
      },
      {
        method: "conservative",
        values: [nan, 2.43708, 15.393652, nan, 27.55246, 19.66066, -1.889793, -1.89977, -1.039972, -1.89978],
        gaps: 453,
        mean: 13.444937,
      },
    ],
  },
  {
    path: "geocat/tos_ocean_bipolar_grid.nc",
    name: "tos",
    expected: [
      {
        method: "distance-weighted",
        values: [nan, nan, 286.688294, nan, 298.706704, 295.211291, 271.25, 271.25, 271.25, 271.25],
        gaps: 632,
        mean: 286.876257,
      },
      {
        method: "nearest",
        values: [nan, nan, 286.221985, nan, 298.55127, 295.321411, nan, 271.25, 271.25, 271.25],
        gaps: 690,
        mean: 287.016918,
      },
      {
        method: "conservative",
        values: [
          nan,
          275.234789,
          286.415199,
          nan,
          298.870628,
          295.150539,
          271.25,
          271.25,
          272.979076,
          271.25,
        ],
        gaps: 454,
        mean: 286.535056,
      },
    ],
  },
  {
    // Without a coordinates attribute; CDO was told its grid.
    path: "geocat/camse_unstructured_grid.nc",
    name: "T850",
    expected: [
      {
        method: "distance-weighted",
        values: [
          242.730163, 261.782186, 276.895085, 290.75382, 288.297306, 281.78835, 257.353371, 251.521278,
          254.852712, 251.27033,
        ],
        gaps: 0,
        mean: 271.08388,
      },
      {
        method: "nearest",
        values: [
          242.82309, 261.883087, 277.079163, 290.677582, 288.301849, 282.132935, 257.358978, 251.524902,
          254.689301, 251.406036,
        ],
        gaps: 0,
        mean: 271.111919,
      },
    ],
  },
];

describe.skipIf(!existsSync(data))("CDO 2.1.1 on real files (skipped without ../shared/data)", () => {
  test.each(files)("$path: values at ten places, gaps and mean", async ({ path, name, expected }) => {
    const { points, values } = await readField(`${data}${path}`, name);
    for (const { method, values: theirs, gaps, mean } of expected) {
      const ours = makeRegridder(points, regularGrid(5.625), method).apply(values, new Float64Array(2048));
      const there = ours.filter((x) => !Number.isNaN(x));
      expect(2048 - there.length).toBe(gaps);
      // Written to six decimals; what of it is ours is below.
      expect(Math.abs(there.reduce((sum, x) => sum + x, 0) / there.length - mean)).toBeLessThan(1e-6);
      theirs.forEach((x, i) => {
        const here = ours[places[i]![0] * 64 + places[i]![1]]!;
        if (Number.isNaN(x)) expect(here).toBeNaN();
        else expect(Math.abs(here - x)).toBeLessThan(1e-6);
      });
    }
  });
});

const hasCdo = spawnSync("cdo", ["--version"]).status === 0;

describe.skipIf(!existsSync(data) || !hasCdo)(
  "every value, with cdo (skipped where it is not installed)",
  () => {
    const operators = { "distance-weighted": "dis", nearest: "nn", conservative: "con" } as const;
    // Degrees. Four distances: CDO's are rounded where a target is near a point. Areas: CDO clips polygons to 1e-9 or so
    // of their size, and cells at coasts have few of them. Nearest: the same point.
    const tolerance = { "distance-weighted": 1e-6, nearest: 0, conservative: 1e-5 } as const;

    test.each(files.slice(0, 2))("$path to 1.40625 degrees", async ({ path, name }) => {
      const folder = mkdtempSync(join(tmpdir(), "climax-cdo-"));
      try {
        const { points, values } = await readField(`${data}${path}`, name);
        for (const method of Object.keys(operators) as (keyof typeof operators)[]) {
          const out = join(folder, `${method}.nc`);
          const remap = `remap${operators[method]},${grids}grid_1.40625.txt`;
          const { status, stderr } = spawnSync(
            "cdo",
            ["-s", "-f", "nc4", "-b", "F64", remap, `-selname,${name}`, `${data}${path}`, out],
            { encoding: "utf8" },
          );
          expect(status, stderr).toBe(0);
          const dataset = await openDataset(out);
          const theirs = await dataset.variables
            .get(name)!
            .readUnpacked()
            .finally(() => dataset.close());
          const ours = makeRegridder(points, regularGrid(1.40625), method).apply(
            values,
            new Float64Array(128 * 256),
          );
          const differ = ours.map((x, i) =>
            Number.isNaN(x) && Number.isNaN(theirs[i]!) ? 0 : Math.abs(x - theirs[i]!),
          );
          // A gap of one alone would be NaN here, which is not within.
          expect(differ.filter((d) => !(d <= tolerance[method])).length).toBe(0);
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  },
);
