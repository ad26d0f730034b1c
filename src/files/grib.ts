// Opens GRIB 1 and 2. One pass over the headers makes an index; what belongs together becomes a variable, and a
// message is unpacked, by ecCodes, when its values are asked for.
import type { FileHandle } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "./dataset.ts";
import { type GribCoordinate, gribAxes } from "./gribaxes.ts";
import { type GribCube, makeCubes } from "./gribcube.ts";
import type { GribField } from "./gribfield.ts";
import { type GribGrid, harmonics } from "./gribgrid.ts";
import { readIndex } from "./gribindex.ts";
import { gribAttributes, gribNames } from "./gribnames.ts";
import { fieldReader, type ReadField } from "./gribunpack.ts";
import { copyBox, elements, hyperslab, type NumericArray } from "./hyperslab.ts";

/**
 * Opens a GRIB file and takes over its handle.
 * @throws ClimaxError "data" for damaged messages, with their number and byte; when ecCodes is not there, with what
 *   to install; for a file of spherical harmonics, or of a grid whose coordinates are elsewhere.
 */
export async function openGrib(path: string, handle: FileHandle, size: number): Promise<Dataset> {
  const index = await readIndex(path, handle, size);
  const { fields, grids } = index;
  const cubes = makeCubes(index.records, (i) => fields[i]!.edition);
  const placed = cubes.filter((cube) => grids[cube.grid]!.layout !== "none");
  const placeless = cubes.filter((cube) => !placed.includes(cube));
  if (placed.length === 0) throw withoutPlace(path, grids[0]!);
  const kept = placed.filter((cube) => cube.slots.length > 0);
  const axes = gribAxes();
  const read = fieldReader(path, handle, fields);
  const variables = new Map<string, DatasetVariable>();
  const names = gribNames(kept, grids);
  const data = kept.map((cube, i) => {
    const grid = grids[cube.grid]!;
    const { dimensions, others } = axes.place(cube, grid, cube.grid);
    return makeVariable(path, names[i]!, cube, grid, { dimensions, others }, fields, read);
  });
  for (const coordinate of axes.coordinates.values()) variables.set(coordinate.name, asVariable(coordinate));
  for (const variable of data) {
    // A parameter named as a coordinate (number, height, step...) makes way.
    const name = variables.has(variable.name) ? `${variable.name}_field` : variable.name;
    variables.set(name, { ...variable, name });
  }
  const editions = [...new Set(fields.map(({ edition }) => edition))].sort();
  return {
    path,
    format: `GRIB ${editions.join(" and ")}`,
    dimensions: axes.dimensions,
    unlimited: new Set(),
    attributes: new Map([
      ["Conventions", "CF-1.7"],
      ["source", `GRIB edition ${editions.join(" and ")}, read through ecCodes`],
    ]),
    variables,
    notes: [...new Set(placed.flatMap(({ notes }) => notes)), ...leftOut(placeless, grids)],
    close: () => handle.close(),
  };
}

/** Nothing in the file has latitudes and longitudes. */
function withoutPlace(path: string, { type }: GribGrid): ClimaxError {
  const out = `${path.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "")}.nc`;
  const isSpectral = type === harmonics;
  return new ClimaxError(
    "data",
    `${path} holds ${isSpectral ? `${type}, not values on a grid` : `fields on ${type}`}`,
    isSpectral
      ? `transform it first: cdo -f nc4 sp2gpl ${path} ${out}`
      : `give it the grid: cdo -f nc4 setgrid,GRIDFILE.nc ${path} ${out}`,
  );
}

/** What is left out beside fields that have a place. */
function leftOut(cubes: readonly GribCube[], grids: readonly GribGrid[]): string[] {
  return [...new Set(cubes.map((cube) => grids[cube.grid]!.type))].map((type) => {
    const names = cubes
      .filter((cube) => grids[cube.grid]!.type === type)
      .map(({ keys }) => keys.shortName || keys.code);
    const mend = type === harmonics ? "; to have them too: cdo -f nc4 sp2gpl" : "";
    return `${[...new Set(names)].join(", ")} left out: ${type}${mend}`;
  });
}

function makeVariable(
  path: string,
  name: string,
  cube: GribCube,
  grid: GribGrid,
  { dimensions, others }: { dimensions: string[]; others: string[] },
  fields: readonly GribField[],
  readField: ReadField,
): DatasetVariable {
  const first = fields[cube.slots.find((index) => index >= 0)!]!;
  const dropped = { valid: [cube.times.length], forecast: [cube.times.length, cube.steps.length] }[
    cube.layout
  ];
  const lengths = [...dropped, cube.numbers.length, cube.levels.length].filter((n, i) => i === 0 || n > 1);
  // Pressure is a dimension even of one level, as time is of one time; other single things are scalars.
  const outerRank = dimensions.length - grid.shape.length;
  const outer = lengths.length < outerRank ? [...lengths, 1] : lengths;
  const shape = [...outer, ...grid.shape];
  // Packed in up to 24 bits, a number is a float32 (as CDO has it).
  const double = cube.slots.some((index) => index >= 0 && fields[index]!.bits > 24);
  const slotAt = (start: readonly number[]) => outer.reduce((slot, n, d) => slot * n + start[d]!, 0);
  const read = async (
    start?: readonly number[],
    count?: readonly number[],
  ): Promise<Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>> => {
    const slab = hyperslab(name, shape, start, count);
    const result = double ? new Float64Array(elements(slab.count)) : new Float32Array(elements(slab.count));
    const [from, take] = [slab.start.slice(outer.length), slab.count.slice(outer.length)];
    const each = elements(take);
    const whole = each === elements(grid.shape);
    const outerCount = slab.count.slice(0, outer.length);
    for (let done = 0; done * each < result.length; done++) {
      let [slot, rest, stride] = [0, done, 1];
      for (let d = outer.length - 1; d >= 0; d--) {
        slot += (slab.start[d]! + (rest % outerCount[d]!)) * stride;
        rest = Math.floor(rest / outerCount[d]!);
        stride *= outer[d]!;
      }
      const index = cube.slots[slot]!;
      const target = result.subarray(done * each, (done + 1) * each) as NumericArray;
      if (index < 0) target.fill(Number.NaN);
      else {
        const values = await readField(index, double, grid.shape.at(-1)!);
        if (whole) target.set(values);
        else
          copyBox(
            values,
            grid.shape,
            from,
            take,
            target,
            take,
            take.map(() => 0),
          );
      }
    }
    return result;
  };
  return {
    name,
    dimensions,
    shape,
    dtype: double ? "float64" : "float32",
    attributes: gribAttributes(cube, grid, first.edition, first.packing, others),
    chunks: [...outer.map(() => 1), ...grid.shape],
    ...(cube.slots.includes(-1) && { holds: (start: readonly number[]) => cube.slots[slotAt(start)]! >= 0 }),
    read,
    readUnpacked: read,
    readText: noText(path, name),
  };
}

function asVariable({ name, dimensions, shape, attributes, values }: GribCoordinate): DatasetVariable {
  const read = async (start?: readonly number[], count?: readonly number[]) => {
    const slab = hyperslab(name, shape, start, count);
    const result = new Float64Array(elements(slab.count));
    copyBox(
      await values(),
      shape,
      slab.start,
      slab.count,
      result,
      slab.count,
      shape.map(() => 0),
    );
    return result;
  };
  return {
    name,
    dimensions,
    shape,
    dtype: "float64",
    attributes,
    read,
    readUnpacked: read,
    readText: noText(name, name),
  };
}

const noText = (path: string, name: string) => async (): Promise<string[]> => {
  throw new ClimaxError("data", `${path}: "${name}" holds numbers, not text`, "read it as numbers");
};
