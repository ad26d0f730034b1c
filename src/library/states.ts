// Fields of the caller's as states to start from: their names, lengths and values checked, and copied.
import { ClimaxError } from "../errors.ts";
import { makeGrid } from "../grid/grid.ts";
import { inputsOf, type Missing } from "../infer/inputs.ts";
import type { States } from "../infer/states.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import type { Fields, ForecastOptions } from "./forecast.ts";
import { unknownVariable } from "./unknownvariable.ts";

type Field = Float32Array | Float64Array | readonly number[];

/**
 * @returns  with the names of the variables that enter
 * @throws   ClimaxError that names the state and the variable at fault
 */
export function statesOf(
  { path, info }: { path: string; info: CheckpointInfo },
  given: ForecastOptions["state"],
  missing: Missing,
): { states: States; inputs: readonly string[] } {
  const list = isList(given) ? given : [given];
  if (list.length === 0) {
    throw new ClimaxError("config", "the list of states is empty; at least one is wanted", "give a state");
  }
  const names = list.map((_, i) => (list.length === 1 ? "the state" : `state ${i}`));
  const grid = makeGrid(info.grid.lat, info.grid.lon);
  const copies = list.map((state, i) => copyOf(state, names[i]!, info));
  const wanted = inputsOf(info);
  const there = wanted.filter((name) => copies[0]!.has(name));
  for (const [i, copy] of copies.entries()) mustMatch(copy, names[i]!, there, wanted);
  if (there.length < wanted.length) mayLack(names[0]!, path, there, wanted, missing);
  if (missing !== "mean")
    for (const [i, copy] of copies.entries())
      for (const name of there) mustBeWhole(copy.get(name)!, name, names[i]!);
  const states: States = {
    name: list.length === 1 ? "the state" : "the states",
    grid,
    times: list.map((_, i) => ({ calendar: "standard", seconds: i })), // steps are known by their place
    describe: (step) => names[step]!,
    variables: there,
    constants: [],
    notes: [],
    synthetic: false,
    read: async (step, name) => copies[step]!.get(name)!,
    close: async () => undefined,
  };
  return { states, inputs: missing === "mean" ? wanted : there };
}

function isList(given: ForecastOptions["state"]): given is readonly Fields[] {
  return Array.isArray(given);
}

function copyOf(
  state: Fields,
  called: string,
  { variables, grid }: CheckpointInfo,
): Map<string, Float32Array> {
  if (typeof state !== "object" || state === null || ArrayBuffer.isView(state)) {
    throw new ClimaxError(
      "config",
      `${called} is no record of fields by name`,
      'give { "2m_temperature": field, ... }, each field a Float32Array',
    );
  }
  const entries: Iterable<[string, Field]> = state instanceof Map ? state : Object.entries(state);
  const [H, W] = [grid.lat.length, grid.lon.length];
  const known = variables.map(({ name }) => name);
  const copies = new Map<string, Float32Array>();
  for (const [name, field] of entries) {
    if (!known.includes(name)) refuseName(name, field, called, known);
    const length = ArrayBuffer.isView(field) || Array.isArray(field) ? field.length : undefined;
    if (length !== H * W) {
      throw new ClimaxError(
        "shape",
        `${called}: ${name} ${length === undefined ? `is a ${typeof field}, not an array of numbers` : `has ${length} values`}; ` +
          `wanted ${H * W}, [${H}, ${W}] by latitude and longitude`,
        "give every field on the grid of the model (model.grid) in one array, row after row from south to north",
      );
    }
    copies.set(name, Float32Array.from(field));
  }
  return copies;
}

function refuseName(name: string, field: unknown, called: string, known: readonly string[]): never {
  if (name === "fields" && typeof field === "object" && !Array.isArray(field)) {
    throw new ClimaxError(
      "config",
      `${called} is an object with fields; wanted the fields themselves`,
      "give state.fields of what readState or forecast returned",
    );
  }
  unknownVariable(`variable in ${called}`, name, known);
}

/** The variables that enter are the same for all states: they go through the network together. */
function mustMatch(
  copy: ReadonlyMap<string, unknown>,
  called: string,
  there: readonly string[],
  wanted: readonly string[],
) {
  const odd = wanted.find((name) => copy.has(name) !== there.includes(name));
  if (odd === undefined) return;
  throw new ClimaxError(
    "data",
    `${called} ${copy.has(odd) ? "has" : "lacks"} ${odd}, and state 0 ${copy.has(odd) ? "lacks" : "has"} it`,
    "forecast states with other variables in calls of their own",
  );
}

function mayLack(
  called: string,
  path: string,
  there: readonly string[],
  wanted: readonly string[],
  missing: Missing,
): void {
  if (there.length > 0 && missing !== "error") return;
  const lacking = wanted.filter((name) => !there.includes(name));
  throw new ClimaxError(
    "data",
    `${called} lacks ${lacking.join(", ")}, which ${path} was trained with; it has ${there.join(", ") || "none of its variables"}`,
    there.length === 0
      ? `the model wants ${wanted.join(", ")}`
      : 'give them, or missing: "drop" to leave them out, missing: "mean" to put their training mean',
  );
}

function mustBeWhole(field: Float32Array, name: string, called: string): void {
  let gaps = 0;
  for (const value of field) if (!Number.isFinite(value)) gaps++;
  if (gaps === 0) return;
  throw new ClimaxError(
    "data",
    `${called}: ${gaps} of the ${field.length} values of ${name} are not finite`,
    'fill them, or missing: "mean" puts the training mean there',
  );
}
