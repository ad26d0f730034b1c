// What kind of grid a variable of a file lies on, and how the file lays it out.
import { ClimaxError } from "../errors.ts";
import type { DatasetVariable } from "../files/dataset.ts";
import { describeGrid, type Grid } from "../grid/grid.ts";
import { describeSource } from "../grid/points.ts";
import { type Coordinates, placeOf } from "./coordinates.ts";
import type { InspectedGrid } from "./inspectschema.ts";
import type { Scattered } from "./scattered.ts";

export interface FoundGrid {
  /** Without the variables that lie on it. */
  about: Omit<InspectedGrid, "variables">;
  /** Of a rectilinear one. */
  grid?: Grid;
  /** Why it cannot be used as it is, and what to do. */
  refusal?: ClimaxError;
}

/** Looks at coordinates only. Grids of two variables with the same dimensions are the same. */
export async function findGrid(coordinates: Coordinates, variable: DatasetVariable): Promise<FoundGrid> {
  try {
    const place = await placeOf(coordinates, variable);
    if ("points" in place) return { about: pointGrid(coordinates, variable, place) };
    const { grid, rows, longitudeAxis } = place;
    const raw = async (axis: number) =>
      coordinates.axes.get(variable.dimensions[axis]!)!.variable.readUnpacked();
    const longitudes = await raw(longitudeAxis);
    const north = rows[0]! > rows[rows.length - 1]!;
    const [south, top] = [grid.lat[0]!, grid.lat.at(-1)!];
    const description = describeGrid(grid);
    const global = isGlobal(description);
    return {
      grid,
      about: {
        kind: description.includes("Gaussian")
          ? "gaussian"
          : description.includes("irregular")
            ? "rectilinear"
            : "regular",
        description,
        global,
        latitudes: {
          first: degrees(north ? top : south),
          last: degrees(north ? south : top),
          order: north ? "north to south" : "south to north",
        },
        longitudes: { first: degrees(longitudes[0]!), last: degrees(longitudes.at(-1)!) },
      },
    };
  } catch (error) {
    if (!(error instanceof ClimaxError)) throw error;
    return { about: unplaced(coordinates, variable), refusal: error };
  }
}

/** describeGrid names the extent of a region only. */
export const isGlobal = (description: string) => !/\.\.\S+N /.test(description);

/** Degrees to at most 5 decimals, without float32 noise. */
const degrees = (value: number) => Number(value.toFixed(5));

/** Points of a curvilinear or unstructured grid; projected, when its own axes are there too. */
function pointGrid(
  { axes }: Coordinates,
  variable: DatasetVariable,
  { points }: Scattered,
): FoundGrid["about"] {
  const projected = variable.dimensions.some((dimension) => axes.get(dimension)?.kind === "rotated");
  const kind = points.shape.length === 1 ? "unstructured" : projected ? "rotated" : "curvilinear";
  return { kind, description: describeSource(points), global: false, latitudes: null, longitudes: null };
}

/** What the file says of a grid that it does not place on the sphere. */
function unplaced({ axes }: Coordinates, variable: DatasetVariable): FoundGrid["about"] {
  const nothing = { global: false, latitudes: null, longitudes: null };
  const rotated = variable.dimensions.filter((dimension) => axes.get(dimension)?.kind === "rotated");
  if (rotated.length === 0) return { ...nothing, kind: "none", description: "no latitudes and longitudes" };
  const shape = rotated.map((name) => variable.shape[variable.dimensions.indexOf(name)]!).join(" x ");
  return {
    ...nothing,
    kind: "rotated",
    description: `${shape}, rotated or projected, without latitudes and longitudes`,
  };
}
