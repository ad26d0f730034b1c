// Dimensions and coordinate variables for the cubes of a GRIB file, shared where their values are equal, with the
// attributes by which the CF conventions tell what they are.
import type { AttributeValue } from "./dataset.ts";
import { type GribCube, levelType } from "./gribcube.ts";
import type { GribGrid } from "./gribgrid.ts";

export interface GribCoordinate {
  name: string;
  /** [] for a scalar. */
  dimensions: string[];
  shape: number[];
  attributes: Map<string, AttributeValue>;
  values(): Promise<Float64Array<ArrayBuffer>>;
}

export interface GribAxes {
  dimensions: Map<string, number>;
  coordinates: Map<string, GribCoordinate>;
  /** Dimensions of the cube with those of its grid, and names of coordinates that are no dimensions. */
  place(cube: GribCube, grid: GribGrid, gridNumber: number): { dimensions: string[]; others: string[] };
}

type Attributes = Record<string, AttributeValue>;

const since = "seconds since 1970-01-01 00:00:00";
const timeAttributes: Attributes = {
  standard_name: "time",
  long_name: "valid time",
  units: since,
  calendar: "proleptic_gregorian",
  axis: "T",
};
const referenceAttributes: Attributes = {
  standard_name: "forecast_reference_time",
  long_name: "initial time of the forecast",
  units: since,
  calendar: "proleptic_gregorian",
};

/** Names and attributes of vertical coordinates, by ecCodes' type of level; others get that type as their name. */
const vertical: Record<string, { name: string } & Attributes> = {
  pressure: {
    name: "level",
    standard_name: "air_pressure",
    long_name: "pressure",
    units: "hPa",
    positive: "down",
  },
  heightAboveGround: {
    name: "height",
    standard_name: "height",
    long_name: "height above the ground",
    units: "m",
    positive: "up",
  },
  heightAboveSea: {
    name: "altitude",
    standard_name: "altitude",
    long_name: "height above the sea",
    units: "m",
    positive: "up",
  },
  hybrid: {
    name: "hybrid",
    standard_name: "atmosphere_hybrid_sigma_pressure_coordinate",
    long_name: "model level",
    units: "1",
    positive: "down",
  },
};

export function gribAxes(): GribAxes {
  const dimensions = new Map<string, number>();
  const coordinates = new Map<string, GribCoordinate>();
  /** The name that stands for these contents. */
  const known = new Map<string, string>();

  /** Finds or makes a coordinate of one dimension that bears its name, or without dimensions for one value. */
  const line = (
    base: string,
    values: number[],
    attributes: Attributes,
    { scalar = false, bounds = [] as number[] } = {},
  ): string => {
    const key = `${base} ${scalar} ${values.join()} ${bounds.join()}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const name = unused(base);
    known.set(key, name);
    if (!scalar) dimensions.set(name, values.length);
    coordinates.set(name, {
      name,
      dimensions: scalar ? [] : [name],
      shape: scalar ? [] : [values.length],
      attributes: new Map(Object.entries(attributes)),
      values: async () => Float64Array.from(values),
    });
    return name;
  };
  /** The initial time of each step along valid times. */
  const beside = (time: string, references: number[]): string => {
    const key = `references ${time} ${references.join()}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const name = unused("forecast_reference_time");
    known.set(key, name);
    coordinates.set(name, {
      ...{ name, dimensions: [time], shape: [references.length] },
      attributes: new Map(Object.entries(referenceAttributes)),
      values: async () => Float64Array.from(references),
    });
    return name;
  };
  const unused = (base: string): string => {
    let name = base;
    for (let i = 2; dimensions.has(name) || coordinates.has(name); i++) name = `${base}_${i}`;
    return name;
  };

  const levels = (cube: GribCube, dims: string[], others: string[]): void => {
    const type = levelType(cube.keys) || "level_of_unknown_type";
    const { name: base, ...about } = vertical[type] ?? {
      name: type,
      long_name: `level of type ${type}, as coded`,
    };
    const values = cube.levels.map(({ value }) => value);
    if (values.length === 1 && type !== "pressure") {
      // Of a scalar, a direction would say that it is a height, which a depth in the soil is not.
      const { positive: _, ...plain } = about;
      others.push(line(base, values, type.startsWith("heightAbove") ? about : plain, { scalar: true }));
      return;
    }
    const layers = cube.levels.every(({ layer }) => layer !== undefined);
    const bounds = layers ? cube.levels.flatMap(({ layer }) => layer!) : [];
    const axis = line(base, values, { ...about, axis: "Z" }, { bounds });
    dims.push(axis);
    if (!layers || coordinates.has(`${axis}_bnds`)) return;
    const coordinate = coordinates.get(axis)!;
    coordinate.attributes.set("bounds", `${axis}_bnds`);
    dimensions.set("bnds", 2);
    coordinates.set(`${axis}_bnds`, {
      name: `${axis}_bnds`,
      dimensions: [axis, "bnds"],
      shape: [values.length, 2],
      attributes: new Map(),
      values: async () => Float64Array.from(bounds),
    });
  };

  /** Dimensions of each grid, by its number in the file. */
  const placed = new Map<number, { dims: string[]; others: string[] }>();
  const horizontal = (grid: GribGrid, gridNumber: number): { dims: string[]; others: string[] } => {
    const before = placed.get(gridNumber);
    if (before) return before;
    const [latitude, longitude] = [unused("latitude"), unused("longitude")];
    const own =
      grid.layout === "cells"
        ? [unused("cell")]
        : grid.layout === "curvilinear"
          ? [unused("y"), unused("x")]
          : [latitude, longitude];
    const dims = grid.columnwise ? own.toReversed() : own;
    dims.forEach((name, d) => {
      dimensions.set(name, grid.shape[d]!);
    });
    const add = (name: string, which: "latitude" | "longitude") => {
      const along = grid.layout === "rectilinear" ? [name] : dims;
      const attributes: Attributes = {
        standard_name: which,
        long_name: which,
        units: which === "latitude" ? "degrees_north" : "degrees_east",
        ...(grid.layout === "rectilinear" && { axis: which === "latitude" ? "Y" : "X" }),
      };
      coordinates.set(name, {
        name,
        dimensions: along,
        shape: along.map((dimension) => dimensions.get(dimension)!),
        attributes: new Map(Object.entries(attributes)),
        values: async () => (await grid.coordinates())[which],
      });
    };
    add(latitude, "latitude");
    add(longitude, "longitude");
    const others = grid.layout === "rectilinear" ? [] : [latitude, longitude];
    const result = { dims, others };
    placed.set(gridNumber, result);
    return result;
  };

  return {
    dimensions,
    coordinates,
    place(cube, grid, gridNumber) {
      const [dims, others]: [string[], string[]] = [[], []];
      const hours = cube.steps.map((step) => step / 3600);
      const stepAttributes: Attributes = {
        standard_name: "forecast_period",
        long_name: "time since the initial time",
        units: "hours",
      };
      if (cube.layout === "valid") {
        const time = line("time", cube.times, timeAttributes);
        dims.push(time);
        if (cube.references) others.push(beside(time, cube.references));
        if (cube.reference !== undefined) {
          others.push(
            line("forecast_reference_time", [cube.reference], referenceAttributes, { scalar: true }),
          );
        }
      } else {
        dims.push(line("forecast_reference_time", cube.times, referenceAttributes));
        const step = line("step", hours, stepAttributes, { scalar: hours.length === 1 });
        (hours.length === 1 ? others : dims).push(step);
      }
      const members: Attributes = { standard_name: "realization", long_name: "ensemble member", units: "1" };
      if (cube.numbers.length > 1) dims.push(line("number", cube.numbers, members));
      else if (cube.numbers[0] !== 0) others.push(line("number", cube.numbers, members, { scalar: true }));
      levels(cube, dims, others);
      const place = horizontal(grid, gridNumber);
      return { dimensions: [...dims, ...place.dims], others: [...others, ...place.others] };
    },
  };
}
