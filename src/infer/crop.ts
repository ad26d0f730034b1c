// States of which a part is wanted: the region that a checkpoint was trained for, out of fields of the whole globe.
import type { Grid } from "../grid/grid.ts";
import type { States } from "./states.ts";

/** Degrees; float32 files round their coordinates. */
const tolerance = 1e-3;

/** States on the points of `grid`, found by their coordinates; undefined when some of them are not there. */
export function cropStates(states: States, grid: Grid): States | undefined {
  const rows = placesOf(grid.lat, states.grid.lat);
  const columns = placesOf(grid.lon, states.grid.lon);
  if (!rows || !columns) return undefined;
  const W = states.grid.lon.length;
  return {
    ...states,
    grid,
    read: async (step, name) => {
      const whole = await states.read(step, name);
      const part = new Float32Array(rows.length * columns.length);
      let next = 0;
      for (const row of rows) for (const column of columns) part[next++] = whole[row * W + column]!;
      return part;
    },
  };
}

/** Where each coordinate lies on an axis; undefined when one is not there. */
function placesOf(wanted: Float64Array, axis: Float64Array): number[] | undefined {
  const places = Array.from(wanted, (value) => axis.findIndex((x) => Math.abs(x - value) <= tolerance));
  return places.includes(-1) ? undefined : places;
}
