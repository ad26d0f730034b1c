// Checks what a forecast is asked for, and runs it.
import { ClimaxError } from "../errors.ts";
import { forecastInto } from "../infer/forecast.ts";
import { checkLeads } from "../infer/inputs.ts";
import { checkRollout } from "../infer/rollout.ts";
import type { Forecast, ForecastOptions } from "./forecast.ts";
import { heldBy } from "./held.ts";
import type { Model } from "./model.ts";
import { checkChoice, checkOptions } from "./options.ts";
import { statesOf } from "./states.ts";
import { unknownVariable } from "./unknownvariable.ts";

const known = ["state", "leadHours", "outputs", "missing", "rollout", "batchSize", "signal"];

/** See `forecast`. */
export async function runForecast(model: Model, options: ForecastOptions): Promise<Forecast[]> {
  checkOptions("forecast", options, known);
  const { info, predictor, device } = heldBy(model);
  const { missing = "error", batchSize = 8, signal = { throwIfAborted: () => undefined } } = options;
  checkChoice("missing", missing, ["error", "drop", "mean"]);
  if (!Number.isSafeInteger(batchSize) || batchSize < 1)
    refuse("batchSize", batchSize, "a whole number from 1 on");
  const outputs = [...new Set(options.outputs ?? info.outputs)];
  for (const name of outputs)
    if (!info.outputs.includes(name)) unknownVariable("output of the model", name, info.outputs);
  const asked = [...new Set(hoursOf("leadHours", options.leadHours))];
  const intervals =
    options.rollout === undefined ? undefined : ascending(hoursOf("rollout", options.rollout));
  const leads = ascending(asked);

  const checkpoint = { path: model.path, info };
  const { states, inputs } = statesOf(checkpoint, options.state, missing);
  if (intervals) checkRollout(checkpoint, states, { inputs, intervals, leads, separately: false });
  else checkLeads(checkpoint, leads);

  const steps = [...states.times.keys()];
  const units = Object.fromEntries(
    outputs.map((name) => [name, info.variables.find((variable) => variable.name === name)!.units]),
  );
  const made = steps.map(() => leads.map((): [string, Float32Array][] => []));
  await device.alone(() =>
    forecastInto(
      {
        models: [{ info, inputs, use: (work) => work(predictor) }],
        ...{ states, steps, leads, outputs, missing, batchSize, signal },
        rollout: intervals && { intervals, separately: false },
      },
      async (name, { t, l }, field) => void made[t]![l]!.push([name, field.slice()]),
    ),
  );
  return steps.flatMap((state) =>
    asked.map((leadHours) => ({
      state,
      leadHours,
      fields: Object.fromEntries(made[state]![leads.indexOf(leadHours)]!),
      units,
      grid: model.grid,
    })),
  );
}

function ascending(hours: readonly number[]): number[] {
  return hours.toSorted((a, b) => a - b);
}

/** @throws ClimaxError "config" for what is no number of hours, or an empty list */
function hoursOf(name: string, given: number | readonly number[]): readonly number[] {
  const hours: readonly unknown[] = Array.isArray(given) ? given : [given];
  const wrong = hours.find((value) => !(typeof value === "number" && Number.isFinite(value) && value > 0));
  if (hours.length === 0 || wrong !== undefined || given === undefined)
    refuse(name, hours.length === 0 ? given : wrong, "hours above 0, or a list of them");
  return hours as readonly number[];
}

function refuse(name: string, value: unknown, wanted: string): never {
  throw new ClimaxError(
    "config",
    `${name} is ${typeof value === "number" ? value : (JSON.stringify(value) ?? "missing")}; wanted ${wanted}`,
    `give ${name} as numbers, e.g. { ${name}: ${name === "batchSize" ? 8 : 72} }`,
  );
}
