// Every file of ../shared/data is either inspected, read and regridded right, or refused with a message that says why
// and what to do. What is right: numbers by netCDF4, CDO and ecCodes, made by test/fixtures/walk.py. A file that is in
// neither table fails.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { inspectFile } from "../../src/data/inspect.ts";
import { fileSchema } from "../../src/data/inspectschema.ts";
import { openDataset } from "../../src/data/open.ts";
import { regridFile } from "../../src/data/regridfile.ts";
import type { Dataset, DatasetVariable } from "../../src/files/dataset.ts";
import { regularGrid } from "../../src/grid/grid.ts";

const shared = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "climax-walk-"));
afterAll(() => rmSync(folder, { recursive: true }));

type Point = [lat: number, lon: number, value: number];
interface Remap {
  res: number;
  method: "bil" | "dis";
  points: Record<string, Point[]>;
}
interface Numbers {
  /** Whether of the first step only; null where all is missing. */
  stats: Record<
    string,
    [first: 0 | 1, min: number | null, mean: number, max: number, missing: number, of: number]
  >;
  remap: Remap;
}
type Message = [
  name: string,
  levelType: string,
  level: string,
  date: string,
  time: string,
  step: string,
  grid: string,
];
interface GribNumbers {
  messages: number;
  stats: [...Message, missing: number | null, min: number, mean: number, max: number][];
  remap?: Remap;
}
const walk: Record<string, Numbers | GribNumbers> = JSON.parse(
  readFileSync("test/fixtures/walk.json", "utf8"),
);

const text: [RegExp, RegExp] = [/ is of no known format/, /convert it to NetCDF/];
const statistics: [RegExp, RegExp] = [
  / is a zip archive/,
  /give the folder that holds train, lat\.npy and lon\.npy/,
];

/** What must be refused: why, and what to do. */
const refused: Record<string, [why: RegExp, mend: RegExp]> = {
  "MANIFEST.json": text,
  "README.md": text,
  "reference-cdo/CDO_VERSION.txt": text,
  "reference-cdo/era5_eda_reference_metrics.json": text,
  "reference-cdo/grid_1.40625.txt": text,
  "reference-cdo/grid_5.625.txt": text,
  "era5-normalization-npz/normalize_diff_mean_6.npz": statistics,
  "era5-normalization-npz/normalize_diff_std_24.npz": statistics,
  "era5-normalization-npz/normalize_diff_std_6.npz": statistics,
  "era5-normalization-npz/normalize_mean.npz": statistics,
  "era5-normalization-npz/normalize_std.npz": statistics,
  "era5-ensemble-grib/era5-levels-corrupted.grib": [/message 1 at byte 0 is damaged/, /grib_copy/],
  "gfs-grib2/flux.grb": [
    /behind GRIB message 4, there is something that is no GRIB message/,
    /grib_copy IN OUT/,
  ],
};

/** What can be read but not put on a grid. */
const unregriddable: Record<string, RegExp> = {
  // Cut out of larger files: no point of the target lies between their few.
  "cmip6-esmvaltool/ta_day_MPI-ESM1-2-HR_historical_r1i1p1f1_gn_20000101-20041231.nc":
    /no point of the target grid .* lies within the source \(2 x 3/,
  "cmip6-mini-esgf/mrsofc_fx_MPI-ESM1-2-LR_ssp370_r1i1p1f1_gn.nc":
    /a grid of 1 x 2 points cannot be regridded/,
};

const stores = ["zarr-earthkit/test_zarr"];
const files = existsSync(shared)
  ? readdirSync(shared, { recursive: true, encoding: "utf8" })
      .filter((name) => statSync(join(shared, name)).isFile())
      .sort()
  : [];
const isGrib = (name: string) => "messages" in (walk[name] ?? {});
const read = [...files, ...stores].filter((name) => name in walk && !(name in refused));

/** Whether the system has the library that GRIB needs; where it has not, each such file says how to get it. */
const library = existsSync(shared)
  ? await inspectFile(join(shared, "ecmwf-pl-timeseries/test4.grib")).catch((error: Error) => error)
  : undefined;
const noGrib = library instanceof Error;

describe.skipIf(files.length === 0)("of ../shared/data", () => {
  test("every file is known here", () => {
    const inStore = (name: string) => stores.some((store) => name.startsWith(`${store}/`));
    expect(files.filter((name) => !(name in walk) && !(name in refused) && !inStore(name))).toEqual([]);
  });

  test.for(read.filter((name) => !isGrib(name)))("%s is inspected, read and regridded", async (name) => {
    const path = join(shared, name);
    const { stats, remap } = walk[name] as Numbers;
    const report = fileSchema.parse(await inspectFile(path));
    expect(report.variables.length + report.unused.length).toBeGreaterThan(0);
    await compareStats(path, stats);
    await compareRegridded(name, remap);
  });

  test.skipIf(noGrib).for(read.filter(isGrib))("%s is inspected, read and regridded", async (name) => {
    const path = join(shared, name);
    const { stats, remap } = walk[name] as GribNumbers;
    const report = fileSchema.parse(await inspectFile(path));
    expect(report.variables.length + report.unused.length).toBeGreaterThan(0);
    await compareMessages(path, stats);
    if (remap) await compareRegridded(name, remap);
  });

  test.for(Object.entries(refused))("%s is refused", async ([name, [why, mend]], { skip }) => {
    if (noGrib && /\.grib?b?\d?$/.test(name)) skip("the system has no libeccodes");
    const error = await inspectFile(join(shared, name)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      name: "ClimaxError",
      message: expect.stringMatching(why),
      hint: expect.stringMatching(mend),
    });
  });
});

/** Seven digits of float32 sums: a share of the largest number. */
const close = (found: number, wanted: number, size: number) => Math.abs(found - wanted) <= 2e-6 * size;

interface Summary {
  min: number;
  mean: number;
  max: number;
  missing: number;
}

function summary(values: ArrayLike<number>): Summary {
  let [min, max, sum, missing] = [Infinity, -Infinity, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) missing++;
    else {
      min = Math.min(min, value);
      max = Math.max(max, value);
      sum += value;
    }
  }
  return { min, mean: sum / (values.length - missing), max, missing };
}

const agrees = (found: Summary, min: number, mean: number, max: number) => {
  const size = Math.max(Math.abs(min), Math.abs(max));
  return close(found.min, min, size) && close(found.mean, mean, size) && close(found.max, max, size);
};

/** Minimum, mean and maximum of what the file holds, first step or all, against netCDF4. */
async function compareStats(path: string, stats: Numbers["stats"]) {
  const dataset = await openDataset(path);
  try {
    for (const [name, [first, min, mean, max, missing, of]] of Object.entries(stats)) {
      const variable = dataset.variables.get(name)!;
      const count = variable.shape.map((n, axis) => (axis === 0 && first ? 1 : n));
      const values = await variable.readUnpacked(
        count.map(() => 0),
        count,
      );
      const found = summary(values);
      expect([values.length, found.missing], `${name}: numbers, and missing ones`).toEqual([of, missing]);
      if (min !== null) expect(found, name).toSatisfy((x: Summary) => agrees(x, min, mean, max));
    }
  } finally {
    await dataset.close();
  }
}

/** Each message that ecCodes' own tools were asked about is one of the fields of its variable. */
async function compareMessages(path: string, stats: GribNumbers["stats"]) {
  const dataset = await openDataset(path);
  try {
    for (const [name, type, level, , , , , missing, min, mean, max] of stats) {
      if (missing === null) continue; // the tools know the grid no better than to say nothing
      const found: Summary[] = [];
      for (const variable of dataset.variables.values())
        if (variable.attributes.get("GRIB_shortName") === name || variable.name.startsWith(`${name}_${type}`))
          for await (const field of fieldsOf(variable)) found.push(summary(field));
      expect(found, `${name} ${type} ${level}: ${min} ${mean} ${max}`).toSatisfy((all: Summary[]) =>
        // The tools print six digits.
        all.some(
          (x) =>
            x.missing === missing && near(x.min, min) && near(x.max, max) && near(x.mean, mean, max - min),
        ),
      );
    }
  } finally {
    await dataset.close();
  }
}

const near = (found: number, wanted: number, size = 0) =>
  Math.abs(found - wanted) <= 1e-5 * Math.max(Math.abs(wanted), size);

/** Dimensions that a field of a GRIB message has. */
const horizontal = /^(latitude|longitude|lat|lon|x|y|cell)(_\d+)?$/;

/** All fields of a variable, one for each entry of its other dimensions. */
async function* fieldsOf({ dimensions, shape, readUnpacked }: DatasetVariable) {
  const outer = shape.filter((_, at) => !horizontal.test(dimensions[at]!));
  const count = shape.map((n, at) => (horizontal.test(dimensions[at]!) ? n : 1));
  const total = outer.reduce((product, n) => product * n, 1);
  for (let field = 0; field < total; field++) {
    let rest = field;
    const places = outer.toReversed().map((n) => {
      const place = rest % n;
      rest = Math.floor(rest / n);
      return place;
    });
    yield await readUnpacked(
      shape.map((_, at) => (horizontal.test(dimensions[at]!) ? 0 : places.pop()!)),
      count,
    );
  }
}

/** Of the values that CDO remapped. Nearly all agree to 1e-6 of the values' spread; see the README on regridding. */
const tolerance = { bil: 2e-5, dis: 2e-3 };

async function compareRegridded(name: string, { res, method, points }: Remap) {
  const out = join(folder, "out.nc");
  rmSync(out, { force: true });
  const regridded = regridFile(join(shared, name), out, {
    target: regularGrid(res),
    cut: true,
    commandLine: "climax regrid",
    program: "climax",
  });
  const why = unregriddable[name];
  if (why) {
    await expect(regridded).rejects.toMatchObject({
      name: "ClimaxError",
      message: expect.stringMatching(why),
    });
    return;
  }
  await regridded;
  const dataset = await openDataset(out);
  try {
    for (const [key, wanted] of Object.entries(points)) {
      const [short] = key.split(" ");
      const variables = [...dataset.variables.values()].filter(
        (one) => one.name === key || one.attributes.get("GRIB_shortName") === short,
      );
      let best = Infinity;
      let compared = 0;
      for (const variable of variables)
        for await (const values of valuesAt(dataset, variable, wanted)) {
          const there = wanted
            .map(([, , value], i) => [value, values[i]!] as const)
            .filter(([, y]) => !Number.isNaN(y));
          const spread = Math.max(...wanted.map(([, , value]) => Math.abs(value)), 1e-30);
          const worst = Math.max(...there.map(([x, y]) => Math.abs(x - y))) / spread;
          if (there.length > 0 && worst < best) [best, compared] = [worst, there.length];
        }
      if (wanted.length > 0)
        expect(best, `${key} in ${name}, ${compared} points`).toBeLessThan(tolerance[method]);
    }
  } finally {
    await dataset.close();
  }
}

/** Each field of a variable at latitudes and longitudes of the grid; NaN where the file does not reach. */
async function* valuesAt(dataset: Dataset, variable: DatasetVariable, points: readonly Point[]) {
  const axis = async (at: number) =>
    Array.from(await dataset.variables.get(variable.dimensions.at(at)!)!.readUnpacked());
  const [lat, lon] = [await axis(-2), await axis(-1)];
  const find = (list: number[], value: number) =>
    list.findIndex((x) => Math.abs(((x - value + 540) % 360) - 180) < 1e-3);
  const places = points.map(([y, x]) => [find(lat, y), find(lon, x)] as const);
  for await (const field of fieldsOf(variable))
    yield places.map(([row, column]) =>
      row < 0 || column < 0 ? Number.NaN : field[row * lon.length + column]!,
    );
}
