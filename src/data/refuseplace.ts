// Why a variable is not taken as one on latitudes by longitudes, by the file's own coordinates, and the mend.
import { ClimaxError } from "../errors.ts";
import type { DatasetVariable } from "../files/dataset.ts";
import type { Coordinate, Coordinates } from "./coordinates.ts";
import { scatteredPair } from "./scattered.ts";

/** Says what the grid of a variable is instead. @throws ClimaxError "grid", always */
export function refusePlace(coordinates: Coordinates, variable: DatasetVariable): never {
  const { all, axes, dataset } = coordinates;
  const describe = ({ variable: v }: Coordinate) => `${v.name}(${v.dimensions.join(", ")})`;
  const near = [...all.values()].filter(
    ({ kind, variable: v }) =>
      (kind === "latitude" || kind === "longitude") &&
      v.dimensions.length > 0 &&
      v.dimensions.every((dimension) => variable.dimensions.includes(dimension)),
  );
  const shape = `${variable.name}(${variable.dimensions.join(", ")}) in ${dataset.path}`;
  const wanted = "wanted latitudes and longitudes of one dimension each";
  const rotated = variable.dimensions.map((d) => axes.get(d)).filter((axis) => axis?.kind === "rotated");
  const mend = `climax regrid ${dataset.path} --res 5.625 --method distance-weighted -o out.nc`;
  const pair = scatteredPair(coordinates, variable);
  if (pair) {
    const n = pair.latitude.shape[0];
    const cells = pair.latitude.shape.length === 1;
    const what = cells
      ? `an unstructured grid of ${n} cells`
      : rotated.length > 0
        ? "a rotated or projected grid"
        : "a curvilinear grid";
    const list = [...rotated.map((axis) => describe(axis!)), ...near.map(describe)].join(", ");
    throw new ClimaxError("grid", `${shape} lies on ${what}: ${list}; ${wanted}`, `regrid it first: ${mend}`);
  }
  if (rotated.length > 0) {
    const list = rotated.map((axis) => describe(axis!)).join(", ");
    throw new ClimaxError(
      "grid",
      `${shape} lies on a rotated or projected grid: ${list}, without latitudes and longitudes of its points; ${wanted}`,
      `remap it first: cdo -f nc4 remapbil,r360x180 ${dataset.path} out.nc`,
    );
  }
  if (near.some(({ kind }) => kind === "latitude") && near.some(({ kind }) => kind === "longitude")) {
    throw new ClimaxError(
      "grid",
      `${shape} lies along a track: ${near.map(describe).join(", ")}; ${wanted}`,
      "only fields on a grid or a mesh of cells can be used",
    );
  }
  const missing = near[0]?.kind === "latitude" ? "longitude" : "latitude";
  const found = [...all.values()].map(describe).join(", ") || "none";
  throw new ClimaxError(
    "grid",
    `${shape} has no ${missing}: none of its dimensions has a coordinate of units degrees_${missing === "latitude" ? "north" : "east"} (coordinates found: ${found})`,
    `give it one, for example by a grid description of cdo: cdo -f nc4 setgrid,r360x180 ${dataset.path} out.nc`,
  );
}
