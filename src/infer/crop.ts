// States of which a part is wanted: the region that a checkpoint was trained for, out of fields of the whole globe.
import { cropper } from "../grid/crop.ts";
import type { Grid } from "../grid/grid.ts";
import type { States } from "./states.ts";

/** States on the points of `grid`, found by their coordinates; undefined when some of them are not there. */
export function cropStates(states: States, grid: Grid): States | undefined {
  const cut = cropper(states.grid, grid);
  return cut && { ...states, grid, read: async (step, name) => cut(await states.read(step, name)) };
}
