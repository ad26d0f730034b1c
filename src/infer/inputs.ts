// Whether a state has what a checkpoint needs: variables, grid, lead times, values.
import { formatLead } from "../data/leadtime.ts";
import { type CfTime, formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, makeGrid, sameGrid } from "../grid/grid.ts";
import type { Checkpoint, CheckpointInfo } from "../model/checkpoint.ts";
import { cropStates } from "./crop.ts";
import type { States } from "./states.ts";

/** What to do about a variable, or a cell, that the input lacks. */
export type Missing = "error" | "drop" | "mean";

/** What is asked of a checkpoint here. */
export type Opened = Pick<Checkpoint, "path" | "info">;

/** Names of the variables that enter the network. */
export function inputsOf({ variables, inputs }: CheckpointInfo): readonly string[] {
  return inputs ?? variables.map(({ name }) => name);
}

/**
 * Says which variables enter: all that the checkpoint was trained with, or those that are there.
 *
 * @throws ClimaxError "data" naming what is missing and what the input has
 */
export function chooseInputs(checkpoint: Opened, states: States, missing: Missing): readonly string[] {
  const wanted = inputsOf(checkpoint.info);
  const there = wanted.filter((name) => states.variables.includes(name));
  const lacking = wanted.filter((name) => !states.variables.includes(name));
  if (there.length === 0 || (lacking.length > 0 && missing === "error")) {
    throw new ClimaxError(
      "data",
      `${states.name} lacks ${lacking.join(", ")}, which ${checkpoint.path} was trained with; ` +
        `it has ${there.join(", ") || "none of its variables"}`,
      there.length === 0
        ? `the checkpoint wants ${wanted.join(", ")}`
        : "give a file that has them as a further --input, or --missing drop to leave them out, " +
            "--missing mean to put their training mean",
    );
  }
  return missing === "mean" ? wanted : there;
}

/** @throws ClimaxError "grid" when the states are not on the checkpoint's grid */
export function checkGrid({ path, info }: Opened, states: States): void {
  const trained = makeGrid(info.grid.lat, info.grid.lon);
  if (sameGrid(trained, states.grid)) return;
  if (info.region) {
    throw new ClimaxError(
      "grid",
      `${path} is for ${info.region}, ${describeGrid(trained)}, ${states.name} is on ${describeGrid(states.grid)}, which does not have its points`,
      "give global fields of the resolution it was trained with, or the region of them",
    );
  }
  throw new ClimaxError(
    "grid",
    `${path} is for ${describeGrid(trained)}, ${states.name} is on ${describeGrid(states.grid)}`,
    `climax regrid IN --res ${(180 / trained.lat.length).toPrecision(6).replace(/\.?0+$/, "")} -o OUT brings it there`,
  );
}

/**
 * States on the checkpoint's grid: as they are, or cut to its region.
 *
 * @returns  with a word on what was cut
 * @throws   ClimaxError "grid" when they are not there
 */
export function fitStates(checkpoint: Opened, states: States): { states: States; note?: string } {
  const { info } = checkpoint;
  const grid = makeGrid(info.grid.lat, info.grid.lon);
  const part = info.region && !sameGrid(grid, states.grid) ? cropStates(states, grid) : undefined;
  if (!part) {
    checkGrid(checkpoint, states);
    return { states };
  }
  return {
    states: part,
    note: `${states.name} cut to ${info.region}: ${describeGrid(grid)}, of ${describeGrid(states.grid)}`,
  };
}

/**
 * @param lag  hours that are part of the leads, because a member starts so much earlier
 * @throws     ClimaxError "config" for a lead the checkpoint was not trained for
 */
export function checkLeads({ path, info }: Opened, leads: readonly number[], lag = 0): void {
  const trained = info.leads;
  const wrong = leads.find((lead) =>
    Array.isArray(trained) ? !trained.includes(lead) : lead < trained.min || lead > trained.max,
  );
  if (wrong === undefined) return;
  const range = Array.isArray(trained)
    ? trained.map(formatLead).join(", ")
    : `${formatLead(trained.min)} to ${formatLead(trained.max)}`;
  throw new ClimaxError(
    "config",
    `${path} was trained for leads of ${range}; ${formatLead(wrong)}${lag > 0 ? ` (${formatLead(wrong - lag)} and a lag of ${formatLead(lag)})` : ""} is not among them`,
    "choose one of them, or finetune the checkpoint with --data.leads",
  );
}

/**
 * One state, [V, H, W], with means where variables or cells are missing and that is allowed.
 *
 * @param inputs  names of the variables that enter; those that `states` lacks enter as their mean
 * @throws        ClimaxError "data" for missing values
 */
export async function readState(
  states: States,
  step: number,
  { inputs, info, missing }: { inputs: readonly string[]; info: CheckpointInfo; missing: Missing },
): Promise<Float32Array> {
  const cells = states.grid.lat.length * states.grid.lon.length;
  const fields = new Float32Array(inputs.length * cells);
  const means = new Map(info.variables.map(({ name, mean }) => [name, mean]));
  for (const [v, name] of inputs.entries()) {
    const mean = means.get(name)!;
    if (!states.variables.includes(name)) {
      fields.fill(mean, v * cells, (v + 1) * cells);
      continue;
    }
    const field = await states.read(step, name);
    checkField(field, { name, mean, time: states.times[step]!, from: states.name, missing });
    fields.set(field, v * cells);
  }
  return fields;
}

/**
 * Checks one field; with `mean`, fills its gaps.
 *
 * @param field  [H, W], changed in place
 * @throws       ClimaxError "data" for missing values
 */
export function checkField(
  field: Float32Array,
  {
    name,
    mean,
    time,
    from,
    missing,
  }: { name: string; mean: number; time: CfTime; from: string; missing: Missing },
): void {
  let gaps = 0;
  for (const [i, value] of field.entries()) {
    if (Number.isFinite(value)) continue;
    gaps++;
    if (missing === "mean") field[i] = mean;
  }
  if (gaps === 0 || missing === "mean") return;
  throw new ClimaxError(
    "data",
    `${from}: ${name} at ${formatTime(time)} has ${gaps} missing values of ${field.length}`,
    "fill them, e.g. cdo fillmiss in.nc out.nc, or --missing mean puts the training mean there",
  );
}
