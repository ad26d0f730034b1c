/** A small weather file as reanalyses come, made anew for a test, and a way to look into files. */
import { openDataset } from "../../src/data/open.ts";
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";

export const steps = (n: number, step: number, from = 0) =>
  Array.from({ length: n }, (_, i) => from + i * step);

/** Packed temperatures that differ from point to point: 250 K and up by hundredths. */
const packed = (n: number) => Int16Array.from({ length: n }, (_, i) => ((i * 7919) % 6000) - 3000);

export interface Layout {
  lat?: number[];
  lon?: number[];
  /** Order of the field's dimensions. */
  order?: string[];
  extra?: WrittenVariable[];
}

/** A small file as reanalyses come: packed, north to south, with time and its bounds, and things of its own grid. */
export async function makeWeatherFile(
  path: string,
  { lat = steps(10, -20, 90), lon = steps(18, 20), order, extra = [] }: Layout = {},
) {
  const dimensions = order ?? ["time", "level", "latitude", "longitude"];
  const lengths: Record<string, number> = { time: 3, level: 2, latitude: lat.length, longitude: lon.length };
  const writer = await createNetcdf(path, {
    dimensions: { ...lengths, time: null, nv: 2, bound: 4 },
    attributes: {
      title: "made for a test",
      history: "yesterday: made",
      tracking_id: "hdl:1",
      grid_label: "gn",
    },
    variables: [
      {
        name: "latitude",
        dimensions: ["latitude"],
        dtype: "float32",
        data: lat,
        attributes: { units: "degrees_north" },
      },
      {
        name: "longitude",
        dimensions: ["longitude"],
        dtype: "float32",
        data: lon,
        attributes: { units: "degrees_east" },
      },
      {
        name: "level",
        dimensions: ["level"],
        dtype: "int32",
        data: [500, 850],
        attributes: { units: "hPa" },
      },
      {
        name: "time",
        dimensions: ["time"],
        dtype: "int32",
        attributes: { units: "hours since 2000-02-28", calendar: "noleap", bounds: "time_bounds" },
      },
      { name: "time_bounds", dimensions: ["time", "nv"], dtype: "float64" },
      { name: "gw", dimensions: ["latitude"], dtype: "float64", data: lat.map((y) => Math.cos(y)) },
      {
        name: "crs",
        dimensions: [],
        dtype: "int32",
        data: [0],
        attributes: { grid_mapping_name: "latitude_longitude" },
      },
      {
        name: "t",
        dimensions,
        dtype: "int16",
        attributes: {
          units: "K",
          standard_name: "air_temperature",
          scale_factor: 0.01,
          add_offset: 280,
          _FillValue: -32767,
          cell_methods: "area: time: mean",
          cell_measures: "area: areacella",
          grid_mapping: "crs",
          coordinates: "level areacella",
        },
      },
      ...extra,
    ],
  });
  await writer.write("time", [0], [6, 12, 18]);
  await writer.write("time_bounds", [0, 0], [3, 9, 9, 15, 15, 21]);
  const shape = dimensions.map((d) => lengths[d]!);
  const values = packed(shape.reduce((product, n) => product * n, 1));
  await writer.write(
    "t",
    shape.map(() => 0),
    values,
    shape,
  );
  await writer.close();
  return { path, values: Float64Array.from(values, (x) => x * 0.01 + 280) };
}

/** Everything of a variable of a file, with its dimensions and attributes. */
export async function readVariable(path: string, name: string) {
  const dataset = await openDataset(path);
  try {
    const variable = dataset.variables.get(name);
    if (!variable) throw new Error(`${path} has no ${name}, only ${[...dataset.variables.keys()]}`);
    const { dimensions, shape, dtype, attributes } = variable;
    return {
      dimensions,
      shape,
      dtype,
      attributes,
      values: await variable.readUnpacked(),
      file: dataset.attributes,
    };
  } finally {
    await dataset.close();
  }
}

export const difference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce(
    (most, x, i) => Math.max(most, Math.abs(x - b[i]!)),
    a.length === b.length ? 0 : Number.NaN,
  );
