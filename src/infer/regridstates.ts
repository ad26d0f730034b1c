// States on another grid than they were read on: coarse ones interpolated, fine ones averaged over blocks.
import { coarsener } from "../grid/coarsen.ts";
import type { Grid } from "../grid/grid.ts";
import { makeRegridder, type Regridder, type RegridMethod } from "../grid/regrid.ts";
import type { States } from "./states.ts";

/** @throws ClimaxError for an unknown method, or grids that it cannot take fields between */
export function interpolateStates(states: States, grid: Grid, method: string): States {
  return regridStates(states, makeRegridder(states.grid, grid, method as RegridMethod)); // it knows the names itself
}

/** Means over blocks of `factor` x `factor` cells. @throws ClimaxError "grid" when blocks do not tile the grid */
export function coarsenStates(states: States, factor: number): States {
  return regridStates(states, coarsener(states.grid, factor));
}

function regridStates(states: States, regridder: Regridder): States {
  return {
    ...states,
    grid: regridder.target,
    read: async (step, name) => regridder.apply(await states.read(step, name)),
  };
}
