// What the dimensions of a file mean, in the ways that files say it, and the grids that are refused.
import { expect, test } from "vitest";
import {
  coordinateKind,
  findCoordinates,
  horizontalOf,
  placeOf,
  timesOf,
  verticalOf,
} from "../../src/data/coordinates.ts";
import { formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import type { AttributeValue } from "../../src/files/dataset.ts";
import { type FakeVariable, fakeDataset, fakeGrid, fakeTime } from "../support/fakedataset.ts";

/** Finds the coordinates of a file and hands over its variable `t`. */
function open(variables: Record<string, FakeVariable>, global: Record<string, AttributeValue> = {}) {
  const dataset = fakeDataset("in.nc", variables, global);
  return { coordinates: findCoordinates(dataset), variable: dataset.variables.get("t")! };
}

async function place(variables: Record<string, FakeVariable>) {
  const { coordinates, variable } = open(variables);
  const { grid, rows, columns } = await horizontalOf(coordinates, variable);
  return {
    lat: [...grid.lat],
    lon: [...grid.lon],
    rows: [...rows],
    columns: [...columns],
    notes: [...coordinates.notes],
  };
}

async function failure(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof ClimaxError) return `${error.kind}: ${error.message} | ${error.hint}`;
    throw error;
  }
  return "nothing thrown";
}

const kind = (name: string, attributes: Record<string, AttributeValue>, dimensions = [name]) =>
  coordinateKind({
    ...fakeDataset("in.nc", {
      [name]: { dimensions: Object.fromEntries(dimensions.map((d) => [d, 2])) },
    }).variables.get(name)!,
    attributes: new Map(Object.entries(attributes)),
  });

test("a coordinate by its units, standard name, axis or name", () => {
  expect(kind("y", { units: "degrees_north" })).toBe("latitude");
  expect(kind("y", { standard_name: "latitude" })).toBe("latitude");
  expect(kind("lat", {})).toBe("latitude");
  expect(kind("x", { units: "degreeE" })).toBe("longitude");
  expect(kind("longitude", { units: "degrees" })).toBe("longitude");
  expect(kind("rlat", { standard_name: "grid_latitude", units: "degrees" })).toBe("rotated");
  expect(kind("clat", { units: "radian" })).toBe("latitude");
  expect(kind("lonCell", { units: "rad" })).toBe("longitude");
  expect(kind("nav_lat", { units: "degrees_north" }, ["y", "x"])).toBe("latitude");
  expect(kind("x", { standard_name: "projection_x_coordinate", units: "m" })).toBe("rotated");
  const written = { standard_name: "projection_x_coordinate", units: "degrees_east" }; // by CDO 2.1.1
  expect(kind("longitude", written)).toBe("longitude");
  expect(kind("initial", { units: "hours since 1900-01-01" })).toBe("time");
  expect(kind("time", { standard_name: "forecast_reference_time" })).toBe("reference");
  expect(kind("prediction_timedelta", { units: "hours" })).toBe("lead");
  expect(kind("plev", { units: "Pa" })).toBe("pressure");
  expect(kind("isobaricInhPa", { units: "hPa" })).toBe("pressure");
  expect(kind("level", {})).toBe("pressure");
  expect(kind("height", { units: "m", axis: "Z" }, [])).toBe("height");
  expect(kind("lev", { units: "1", positive: "down", formula_terms: "ap: ap b: b" })).toBe("model");
  expect(kind("lev", { units: "level", positive: "down" })).toBe("model");
  expect(kind("P0", { units: "Pa" }, [])).toBeUndefined(); // CESM's reference pressure is no level
  expect(kind("ps", { units: "Pa" }, ["lat", "lon"])).toBeUndefined();
  expect(kind("t", { units: "K" })).toBeUndefined();
});

test("rows from south to north, columns eastward from 0", async () => {
  const t = { dimensions: { lat: 3, lon: 4 } };
  expect(await place({ ...fakeGrid([60, 0, -60], [-180, -90, 0, 90]), t })).toEqual({
    lat: [-60, 0, 60],
    lon: [0, 90, 180, 270],
    rows: [2, 1, 0],
    columns: [2, 3, 0, 1],
    notes: [],
  });
  const already = await place({ ...fakeGrid([-60, 0, 60], [0, 90, 180, 270]), t });
  expect([already.rows, already.columns]).toEqual([
    [0, 1, 2],
    [0, 1, 2, 3],
  ]);
  const westward = await place({ ...fakeGrid([-60, 0, 60], [270, 180, 90, 0]), t });
  expect([westward.lon, westward.columns]).toEqual([
    [0, 90, 180, 270],
    [3, 2, 1, 0],
  ]);
  const region = await place({ ...fakeGrid([30, 40, 50], [-20, -10, 0, 10]), t });
  expect([region.lon, region.columns]).toEqual([
    [0, 10, 340, 350],
    [2, 3, 0, 1],
  ]);
});

test("float32 noise at the pole and at Greenwich is taken off", async () => {
  const t = { dimensions: { lat: 2, lon: 2 } };
  const { lat, lon } = await place({ ...fakeGrid([-90.00001, 90.00001], [-1e-7, 180]), t });
  expect([lat, lon]).toEqual([
    [-90, 90],
    [0, 180],
  ]);
});

test("a column repeated after a whole turn is dropped, and said", async () => {
  const t = { dimensions: { lat: 2, lon: 5 } };
  const { lon, columns, notes } = await place({ ...fakeGrid([-45, 45], [0, 90, 180, 270, 360]), t });
  expect(lon).toEqual([0, 90, 180, 270]);
  expect(columns).toEqual([0, 1, 2, 3]);
  expect(notes).toEqual(["longitude 360 repeats 0; dropped"]);
  expect(await failure(() => place({ ...fakeGrid([-45, 45], [0, 90, 90, 180, 270]), t }))).toContain(
    "in.nc has the longitude 90 twice",
  );
});

test("latitudes out of order or out of range are refused", async () => {
  const t = { dimensions: { lat: 3, lon: 2 } };
  expect(await failure(() => place({ ...fakeGrid([-60, 60, 0], [0, 180]), t }))).toMatch(
    /^grid: the latitudes of in.nc neither rise nor fall/,
  );
  expect(await failure(() => place({ ...fakeGrid([-60, 0, 95], [0, 180]), t }))).toMatch(
    /^grid: latitude 2 .* is 95/,
  );
});

const degrees = (units: string, dimensions: Record<string, number>, data?: number[]): FakeVariable => ({
  dimensions,
  attributes: { units },
  ...(data && { data }),
});

const rotatedAxes: Record<string, FakeVariable> = {
  rlat: { dimensions: { rlat: 2 }, attributes: { standard_name: "grid_latitude", units: "degrees" } },
  rlon: { dimensions: { rlon: 2 }, attributes: { standard_name: "grid_longitude", units: "degrees" } },
};

test("archives want latitudes by longitudes: other grids are refused by their own coordinates", async () => {
  const mend =
    "wanted latitudes and longitudes of one dimension each | regrid it first:" +
    " climax regrid in.nc --res 5.625 --method distance-weighted -o out.nc";
  const curvilinear = {
    lat: degrees("degrees_north", { j: 2, i: 3 }),
    lon: degrees("degrees_east", { j: 2, i: 3 }),
    t: { dimensions: { time: 1, j: 2, i: 3 } },
  };
  expect(await failure(() => place(curvilinear))).toBe(
    `grid: t(time, j, i) in in.nc lies on a curvilinear grid: lat(j, i), lon(j, i); ${mend}`,
  );
  const unstructured = {
    lat: degrees("degrees_north", { cell: 7 }),
    lon: degrees("degrees_east", { cell: 7 }),
    t: { dimensions: { cell: 7 } },
  };
  expect(await failure(() => place(unstructured))).toBe(
    `grid: t(cell) in in.nc lies on an unstructured grid of 7 cells: lat(cell), lon(cell); ${mend}`,
  );
  const rotated = {
    ...rotatedAxes,
    lat: degrees("degrees_north", { rlat: 2, rlon: 2 }),
    lon: degrees("degrees_east", { rlat: 2, rlon: 2 }),
    t: { dimensions: { rlat: 2, rlon: 2 } },
  };
  expect(await failure(() => place(rotated))).toContain(
    "a rotated or projected grid: rlat(rlat), rlon(rlon), lat(rlat, rlon), lon(rlat, rlon); wanted",
  );
});

test("without latitudes and longitudes of its points, or along a track, nothing can be done", async () => {
  const points = async (variables: Record<string, FakeVariable>) => {
    const { coordinates, variable } = open(variables);
    return placeOf(coordinates, variable);
  };
  expect(await failure(() => points({ ...rotatedAxes, t: { dimensions: { rlat: 2, rlon: 2 } } }))).toBe(
    "grid: t(rlat, rlon) in in.nc lies on a rotated or projected grid: rlat(rlat), rlon(rlon), without latitudes and" +
      " longitudes of its points; wanted latitudes and longitudes of one dimension each" +
      " | remap it first: cdo -f nc4 remapbil,r360x180 in.nc out.nc",
  );
  const ship = {
    ...fakeTime([0, 6, 12]),
    lat: degrees("degrees_north", { time: 3 }, [10, 11, 12]),
    lon: degrees("degrees_east", { time: 3 }, [330, 331, 332]),
    t: { dimensions: { time: 3 } },
  };
  expect(await failure(() => points(ship))).toContain(
    "t(time) in in.nc lies along a track: lat(time), lon(time)",
  );
});

test("the places of curvilinear and unstructured fields, in the order of the field", async () => {
  const scattered = async (variables: Record<string, FakeVariable>, corners = false) => {
    const { coordinates, variable } = open(variables);
    const found = await placeOf(coordinates, variable, corners);
    if (!("points" in found)) throw new Error("on latitudes by longitudes");
    const { points, axes, latitude } = found;
    const { lat, lon, shape } = points;
    return {
      lat: [...lat],
      lon: [...lon],
      shape,
      axes,
      name: latitude.name,
      notes: [...coordinates.notes],
      corners: points.corners,
    };
  };
  const curvilinear = {
    lat: degrees("degrees_north", { y: 2, x: 3 }, [10, 11, 12, 20, 21, 22]),
    lon: degrees("degrees_east", { y: 2, x: 3 }, [-5, 0, 5, -6, 0, Number.NaN]),
  };
  expect(await scattered({ ...curvilinear, t: { dimensions: { y: 2, lev: 4, x: 3 } } })).toMatchObject({
    lat: [10, 11, 12, 20, 21, Number.NaN],
    lon: [355, 0, 5, 354, 0, Number.NaN],
    shape: [2, 3],
    axes: [0, 2],
  });
  expect(await scattered({ ...curvilinear, t: { dimensions: { x: 3, y: 2 } } })).toMatchObject({
    lat: [10, 20, 11, 21, 12, Number.NaN],
    shape: [3, 2],
    axes: [0, 1],
  });
  // ICON: radians; the cells' coordinates rather than those of another dimension; bounds in radians too.
  const quarter = Math.PI / 4;
  const icon: Record<string, FakeVariable> = {
    vlat: { dimensions: { vertex: 4 }, attributes: { standard_name: "latitude", units: "radian" } },
    vlon: { dimensions: { vertex: 4 }, attributes: { standard_name: "longitude", units: "radian" } },
    clat: {
      dimensions: { cell: 2 },
      data: [quarter, -quarter],
      attributes: { standard_name: "latitude", units: "radian", bounds: "clat_vertices" },
    },
    clon: {
      dimensions: { cell: 2 },
      data: [-quarter, 0],
      attributes: { standard_name: "longitude", units: "radian", bounds: "clon_vertices" },
    },
    clat_vertices: { dimensions: { cell: 2, nv: 3 }, data: [0, quarter, quarter, 0, -quarter, -quarter] },
    clon_vertices: { dimensions: { cell: 2, nv: 3 }, data: [0, 0, -quarter, 0, 0, quarter] },
    t: { dimensions: { time: 1, cell: 2 } },
  };
  const found = await scattered(icon, true);
  expect(found).toMatchObject({ shape: [2], axes: [1], name: "clat", lon: [315, 0] });
  expect(found.lat[0]).toBeCloseTo(45, 12);
  expect(found.corners?.perCell).toBe(3);
  expect(found.corners?.lat[1]).toBeCloseTo(45, 12);
  expect((await scattered(icon)).corners).toBeUndefined();
  // Two pairs on the same dimensions: the one that the field names.
  const staggered = {
    lat_t: degrees("degrees_north", { y: 1, x: 2 }, [1, 2]),
    lon_t: degrees("degrees_east", { y: 1, x: 2 }, [1, 2]),
    lat_u: degrees("degrees_north", { y: 1, x: 2 }, [3, 4]),
    lon_u: degrees("degrees_east", { y: 1, x: 2 }, [3, 4]),
    t: { dimensions: { y: 1, x: 2 }, attributes: { coordinates: "lon_u lat_u" } },
  };
  expect(await scattered(staggered)).toMatchObject({ lat: [3, 4], lon: [3, 4], name: "lat_u" });
  const blank = {
    lat: degrees("degrees_north", { cell: 8 }, [0, 0, 0, 0, 0, 0, 50, 51]),
    lon: degrees("degrees_east", { cell: 8 }, [0, 0, 0, 0, 0, 0, 7, 8]),
    t: { dimensions: { cell: 8 } },
  };
  const { lat, notes } = await scattered(blank);
  expect(lat).toEqual([...new Array<number>(6).fill(Number.NaN), 50, 51]);
  expect(notes).toEqual(["6 cells lie at 0 N 0 E; taken for cells without a place, and left out"]);
});

test("latitudes in radians on an axis of their own are brought to degrees", async () => {
  const radians = (data: number[], name: string): FakeVariable => ({
    dimensions: { [name]: data.length },
    data,
    attributes: { units: "radians" },
  });
  const half = Math.PI / 2;
  const { lat, lon } = await place({
    lat: radians([-half / 2, half / 2], "lat"),
    lon: radians([0, half, 2 * half, 3 * half], "lon"),
    t: { dimensions: { lat: 2, lon: 4 } },
  });
  expect([lat, lon]).toEqual([
    [-45, 45],
    [0, 90, 180, 270],
  ]);
});

test("a file without latitudes says which coordinates it has", async () => {
  const { lon } = fakeGrid([0], [0, 90, 180, 270]);
  const t = { dimensions: { row: 3, lon: 4 } };
  expect(await failure(() => place({ lon: lon!, t }))).toMatch(
    /^grid: t\(row, lon\) in in.nc has no latitude: .* degrees_north \(coordinates found: lon\(lon\)\) \| .*setgrid/,
  );
});

test("levels in hPa, from hPa, Pa, millibars or bare numbers", async () => {
  const levels = async (data: number[], units?: string) => {
    const attributes: Record<string, AttributeValue> = units === undefined ? {} : { units };
    const level = { dimensions: { level: data.length }, data, attributes };
    const { coordinates, variable } = open({ level, t: { dimensions: { level: data.length, lat: 1 } } });
    const vertical = await verticalOf(coordinates, variable);
    return vertical.kind === "pressure"
      ? { levels: vertical.levels, notes: [...coordinates.notes] }
      : vertical;
  };
  expect(await levels([50000, 85000], "Pa")).toEqual({ levels: [500, 850], notes: [] });
  expect(await levels([500, 850], "millibars")).toEqual({ levels: [500, 850], notes: [] });
  expect(await levels([5, 85], "kPa")).toEqual({ levels: [50, 850], notes: [] });
  expect(await levels([500, 1000])).toEqual({
    levels: [500, 1000],
    notes: ["level has no units; taken as hPa by its values, 500 to 1000"],
  });
  expect(await levels([100000, 50000])).toEqual({
    levels: [1000, 500],
    notes: ["level has no units; taken as Pa by its values, 50000 to 100000"],
  });
  // 1, 2, 3... without units may count model levels: not guessed.
  expect(await levels([1, 2, 3, 4])).toMatchObject({ kind: "refused" });
  expect(await levels([1, 2], "1")).toMatchObject({
    kind: "refused",
    what: 'its vertical axis level(2) is no pressure (no standard name, units "1")',
  });
});

test("scalar levels and heights belong to the variable that names them", async () => {
  const scalars = {
    height: { data: [2], attributes: { units: "m", standard_name: "height" } },
    plev: { data: [85000], attributes: { units: "Pa", standard_name: "air_pressure" } },
  };
  const vertical = async (coordinates?: string) => {
    const attributes: Record<string, AttributeValue> = coordinates ? { coordinates } : {};
    const file = open({ ...scalars, t: { dimensions: { lat: 2 }, attributes } });
    return verticalOf(file.coordinates, file.variable);
  };
  expect(await vertical("lat height")).toEqual({ kind: "height", height: 2 });
  expect(await vertical("plev lat")).toEqual({ kind: "pressure", levels: [850] });
  expect(await vertical("lat")).toEqual({ kind: "none" });
});

test("times from an axis, a scalar, months without a year, and a forecast's start and lead", async () => {
  const read = async (variables: Record<string, FakeVariable>) => {
    const { coordinates, variable } = open(variables);
    const found = await timesOf(coordinates, variable);
    return found && { axis: found.axis, times: found.times.map(formatTime), notes: [...coordinates.notes] };
  };
  expect(await read({ ...fakeTime([0, 6]), t: { dimensions: { lat: 2, time: 2 } } })).toEqual({
    axis: 1,
    times: ["2001-01-01T00:00:00", "2001-01-01T06:00:00"],
    notes: [],
  });
  const scalar = { data: [24], attributes: { units: "hours since 1959-01-01" } };
  expect(await read({ time: scalar, t: { dimensions: { lat: 2 } } })).toMatchObject({
    axis: undefined,
    times: ["1959-01-02T00:00:00"],
  });
  expect(await read({ t: { dimensions: { lat: 2 } } })).toBeUndefined();
  const month = { dimensions: { month: 2 }, data: [1, 7] };
  expect(await read({ month, t: { dimensions: { month: 2, lat: 2 } } })).toMatchObject({
    axis: 0,
    times: ["0001-01-16T00:00:00", "0001-07-16T00:00:00"],
    notes: [expect.stringContaining("months without a year (1, 7)")],
  });
  const start = {
    dimensions: { time: 1 },
    data: [12],
    attributes: { units: "hours since 2001-01-01", standard_name: "forecast_reference_time" },
  };
  const lead = {
    dimensions: { lead: 1 },
    data: [3],
    attributes: { units: "days", standard_name: "forecast_period" },
  };
  expect(await read({ time: start, lead, t: { dimensions: { time: 1, lead: 1, lat: 2 } } })).toMatchObject({
    times: ["2001-01-04T12:00:00"],
    notes: ["valid time is time plus lead, 72 h"],
  });
});

test("a time without units, or with units of no fixed length, names the file and the mend", async () => {
  const read = (attributes: Record<string, AttributeValue>) => {
    const { coordinates, variable } = open({
      time: { dimensions: { time: 2 }, data: [0, 1], attributes },
      t: { dimensions: { time: 2, lat: 2 } },
    });
    return failure(() => timesOf(coordinates, variable));
  };
  expect(await read({})).toMatch(/^data: time in in.nc has no units.*\| set them: cdo -r settaxis/);
  expect(await read({ units: "months since 1850-01-01" })).toMatch(
    /^data: time in in.nc: time units "months since/,
  );
});
