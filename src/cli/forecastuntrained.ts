// Forecasts without a checkpoint, as climax forecast --model makes them: the state itself, or what is usual.

import { formatLead, parseLead } from "../data/leadtime.ts";
import { type Share, stretchOf } from "../data/share.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { openStates, pickTimes } from "../infer/states.ts";
import { climatologyField, persistenceField, writeUntrained } from "../infer/untrained.ts";
import type { ClimatologyKind } from "../sets/climatology.ts";
import { openSet, type PreparedSet } from "../sets/prepared.ts";
import type { Context } from "./command.ts";
import type { ForecastConfig } from "./forecast.ts";
import { counted, originAttributes } from "./inference.ts";
import { interruptible } from "./interrupt.ts";
import { progress } from "./progress.ts";

export const untrainedNames = [
  "persistence",
  "climatology",
  "climatology-weekly",
  "climatology-dayofyear",
] as const;
export type UntrainedName = (typeof untrainedNames)[number];

const kinds: Record<Exclude<UntrainedName, "persistence">, ClimatologyKind> = {
  climatology: "mean",
  "climatology-weekly": "weekly",
  "climatology-dayofyear": "dayofyear",
};

/**
 * @param leads  hours, ascending
 * @param share  which of the initial times are made, all without it
 * @returns      what the whole file holds, in words
 * @throws       ClimaxError for what only a trained model can do, and for a climatology of anything but a set
 */
export async function forecastUntrained(
  name: UntrainedName,
  config: ForecastConfig,
  leads: readonly number[],
  share: Share | undefined,
  context: Context,
): Promise<string> {
  checkPlain(name, config);
  const [path = ""] = config.input;
  const states = await openStates(config.input, config.variables);
  let set: PreparedSet | undefined;
  try {
    if (name !== "persistence") set = await openSetOnly(name, config.input);
    const changing = states.variables.filter((variable) => !states.constants.includes(variable));
    const outputs = [...new Set(config.variables ?? changing)];
    for (const variable of outputs)
      if (!changing.includes(variable))
        unknownName(`variable of ${states.name} that changes in time`, variable, changing);
    const steps = pickTimes(
      states,
      config.time,
      config.every === undefined ? undefined : parseLead(config.every),
    );
    for (const note of states.notes) context.info(note);
    const initial = steps.map((step) => states.times[step]!);
    const attributes = {
      ...(await originAttributes({
        title: set ? `${name} of the training period of ${path}` : `persistence of ${states.name}`,
        checkpoints: [],
        adapter: undefined,
        synthetic: states.synthetic,
        commandLine: context.commandLine,
      })),
      system: `${name} (file)`, // climax evaluate has baselines of the plain names
    };
    await context.ready?.();
    await interruptible(async (signal) => {
      const [from, to] = share ? stretchOf(steps.length, share) : [0, steps.length];
      const total = (to - from) * leads.length;
      const bar = progress({ label: "forecast", total, quiet: context.quiet });
      try {
        await writeUntrained({
          grid: states.grid,
          initial,
          leads,
          outputs,
          field:
            set && name !== "persistence"
              ? climatologyField(set, kinds[name], initial, leads)
              : persistenceField(states, steps),
          output: config.output,
          share: share && { ...share, settings: { "the input": config.input.join(", ") } },
          attributes,
          signal,
          onProgress: (done) => bar.update(done),
        });
      } finally {
        bar.stop();
      }
    });
    return (
      `${name}, ${outputs.length} variables, ${counted(steps.length, "initial time")}, leads ` +
      `${leads.map(formatLead).join(", ")}${states.synthetic ? ", SYNTHETIC" : ""}`
    );
  } finally {
    await states.close();
    await set?.close();
  }
}

async function openSetOnly(name: UntrainedName, [path = "", ...more]: readonly string[]) {
  if (more.length > 0) {
    throw new ClimaxError(
      "config",
      `--model ${name} with ${more.length + 1} inputs; wanted one prepared set, whose training period says what is usual`,
      "make one with climax prepare, and give its folder as --input",
    );
  }
  return await openSet(path);
}

/** @throws ClimaxError "config" for settings of networks */
function checkPlain(name: UntrainedName, { rollout, rolloutMembers, ensemble }: ForecastConfig): void {
  const given = [
    ...(rollout ? ["--rollout"] : []),
    ...(rolloutMembers ? ["--rollout-members"] : []),
    ...(ensemble.members > 1 ? ["--ensemble.members"] : []),
    ...(ensemble.noise > 0 ? ["--ensemble.noise"] : []),
    ...(ensemble.dropout ? ["--ensemble.dropout"] : []),
    ...(ensemble.lag.length > 0 ? ["--ensemble.lag"] : []),
  ];
  if (given.length === 0) return;
  throw new ClimaxError(
    "config",
    `found ${given.join(", ")} with --model ${name}, which has no network`,
    `leave out ${given.join(", ")}, or give a --checkpoint`,
  );
}
