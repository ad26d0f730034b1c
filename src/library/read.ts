// Reads one state of weather files, on a model's grid and in its units.
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { fitStates, inputsOf } from "../infer/inputs.ts";
import { openStates, pickTimes, type States } from "../infer/states.ts";
import { heldBy } from "./held.ts";
import type { Model } from "./model.ts";
import { checkOptions } from "./options.ts";
import type { State, StateOptions } from "./state.ts";

/** See `readState`. */
export async function readFiles(
  model: Model,
  paths: string | readonly string[],
  options: StateOptions,
): Promise<State> {
  checkOptions("readState", options, ["time"]);
  const { info } = heldBy(model);
  const wanted = inputsOf(info);
  const opened = await openStates([paths].flat(), wanted);
  try {
    const { states, note } = fitStates({ path: model.path, info }, opened);
    const step = stepOf(states, options.time);
    const fields: Record<string, Float32Array> = {};
    for (const name of wanted)
      if (states.variables.includes(name)) fields[name] = await states.read(step, name);
    const time = states.times[step]!;
    return {
      fields,
      time: formatTime(time),
      calendar: time.calendar,
      notes: [...states.notes, ...(note ? [note] : [])],
      synthetic: states.synthetic,
    };
  } finally {
    await opened.close();
  }
}

/** @throws ClimaxError "config" when there are several to choose from, or none */
function stepOf(states: States, time: string | undefined): number {
  const steps = time === undefined ? (states.own ?? [...states.times.keys()]) : pickTimes(states, [time]);
  if (steps.length === 1) return steps[0]!;
  const [first, last] = [steps[0]!, steps.at(-1)!].map((step) => formatTime(states.times[step]!));
  throw new ClimaxError(
    "config",
    `${states.name} has ${steps.length} states from ${first} to ${last}${time === undefined ? ", and it was not said which is meant" : ` in ${time}`}; readState gives one`,
    `give its time: { time: "${last!.slice(0, 16)}" }`,
  );
}
