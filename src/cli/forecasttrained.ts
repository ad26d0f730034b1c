// Forecasts by checkpoints, as climax forecast makes them: what is checked, said, and written into the file.
import { formatLead, parseLead } from "../data/leadtime.ts";
import type { Share } from "../data/share.ts";
import { type Gpu, openGpu } from "../engine/device.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { forecast } from "../infer/forecast.ts";
import { checkLeads, chooseInputs, fitStates, inputsOf } from "../infer/inputs.ts";
import {
  checkEnsemble,
  describeMembers,
  type Ensemble,
  listMembers,
  type Member,
  type Rollout,
} from "../infer/members.ts";
import { checkRollout } from "../infer/rollout.ts";
import { earlierStep, openStates, pickTimes, type States, stepsWithHistory } from "../infer/states.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import { networkName } from "../model/network.ts";
import type { Context } from "./command.ts";
import type { ForecastConfig } from "./forecast.ts";
import { counted, modelOf, originAttributes } from "./inference.ts";
import { interruptible } from "./interrupt.ts";
import { progress } from "./progress.ts";
import { turnOf } from "./ranks.ts";

/**
 * @param leads  hours, ascending; only 0 for a projection
 * @param share  which of the batches are made, all without it
 * @returns      what the whole file holds, in words
 * @throws       ClimaxError for what these checkpoints cannot do
 */
export async function forecastTrained(
  config: ForecastConfig,
  checkpoints: readonly Checkpoint[],
  leads: readonly number[],
  share: Share | undefined,
  context: Context,
): Promise<string> {
  const { info } = checkpoints[0]!;
  const rollout = rolloutOf(config);
  const ensemble = { ...config.ensemble, lag: config.ensemble.lag.map(parseLead) };
  checkTask(checkpoints[0]!, rollout, ensemble);
  if (!rollout && info.task.kind !== "projection") {
    for (const checkpoint of checkpoints)
      for (const lag of [0, ...ensemble.lag])
        checkLeads(
          checkpoint,
          leads.map((lead) => lead + lag),
          lag,
        );
  }
  checkEnsemble(ensemble, checkpoints);
  const outputs = [...new Set(config.variables ?? info.outputs)];
  for (const name of outputs)
    if (!info.outputs.includes(name)) unknownName("output of the checkpoint", name, info.outputs);

  const wanted = [...new Set(checkpoints.flatMap((checkpoint) => inputsOf(checkpoint.info)))];
  const opened = await openStates(config.input, wanted, { history: info.task.kind === "projection" });
  let gpu: Gpu | undefined;
  try {
    const inputs = checkpoints.map((checkpoint) => chooseInputs(checkpoint, opened, config.missing));
    const { states, note } = fitStates(checkpoints[0]!, opened);
    const lagged = leads.flatMap((lead) => [0, ...ensemble.lag].map((lag) => lead + lag));
    if (rollout)
      for (const [i, checkpoint] of checkpoints.entries())
        checkRollout(checkpoint, states, { inputs: inputs[i]!, leads: lagged, ...rollout });
    const steps = stepsOf(states, config, checkpoints[0]!, context);
    for (const lag of ensemble.lag) for (const step of steps) earlierStep(states, step, lag);
    const simulated = checkpoints.some((checkpoint) => checkpoint.info.synthetic);
    const synthetic = states.synthetic || simulated;
    for (const said of states.notes) context.info(said);
    if (note) context.info(note);
    const left = wanted.filter((name) => !states.variables.includes(name));
    if (left.length > 0) {
      context.warn(
        `${left.join(", ")}: not in the input, ${config.missing === "mean" ? "their training mean is put" : "left out"}`,
      );
    }
    if (simulated && !states.synthetic) {
      context.warn("the checkpoint was trained on a SYNTHETIC planet: this is no forecast of real weather");
    }
    gpu = await openGpu({ adapter: config.adapter, precision: config.precision, turn: turnOf(context) });
    const device = gpu;
    context.info(`adapter   ${gpu.name} (${gpu.kind}), ${gpu.precision}`);
    const members = listMembers(checkpoints.length, ensemble, rollout);
    const attributes = {
      ...(await originAttributes({
        title: titleOf(checkpoints[0]!, rollout),
        checkpoints,
        adapter: config.precision === "f32" ? gpu.name : `${gpu.name}, f16`,
        synthetic,
        commandLine: context.commandLine,
      })),
      ...makingOf(checkpoints, members, ensemble, rollout),
    };
    await context.ready?.();
    await interruptible(async (signal) => {
      let bar: ReturnType<typeof progress> | undefined;
      const show = (total: number) => (bar ??= progress({ label: "forecast", total, quiet: context.quiet }));
      if (!rollout && !share) show(steps.length * leads.length * members.length);
      try {
        await forecast({
          models: checkpoints.map((checkpoint, i) => modelOf(device, checkpoint, inputs[i]!)),
          states,
          steps,
          leads,
          outputs,
          rollout,
          ensemble,
          missing: config.missing,
          batchSize: config.batchSize,
          output: config.output,
          share: share && { ...share, settings: settingsOf(config, ensemble) },
          attributes,
          signal,
          onProgress: (done, total) => show(total).update(done),
        });
      } finally {
        bar?.stop();
      }
    });
    const projected = info.task.kind === "projection";
    return (
      `${outputs.length} variables, ${counted(steps.length, projected ? "time" : "initial time")}` +
      `${projected ? "" : `, leads ${leads.map(formatLead).join(", ")}`}` +
      `${members.length > 1 ? `, ${members.length} members` : ""}${synthetic ? ", SYNTHETIC" : ""}`
    );
  } finally {
    gpu?.device.destroy(); // drivers hold on to the memory of devices that are only forgotten
    await opened.close();
  }
}

/** What decides the fields beside what the attributes of the file say. */
function settingsOf(config: ForecastConfig, ensemble: Ensemble): Record<string, string> {
  const { input, missing, batchSize, precision, rollout } = config;
  return {
    "the input": input.join(", "),
    "--missing": missing,
    "--batch-size": String(batchSize),
    "--precision": precision,
    "--rollout": JSON.stringify(rollout ?? null),
    "--ensemble": JSON.stringify(ensemble),
  };
}

function rolloutOf({ rollout, rolloutMembers }: ForecastConfig): Rollout | undefined {
  if (!rollout) {
    if (!rolloutMembers) return undefined;
    throw new ClimaxError(
      "config",
      "--rollout-members without --rollout: there is one way to forecast directly",
      "give --rollout 6h,12h,24h, or leave it out",
    );
  }
  const intervals = [...new Set(rollout.map(parseLead))].sort((a, b) => a - b);
  if (rolloutMembers && intervals.length < 2) {
    throw new ClimaxError(
      "config",
      `--rollout-members with one step, ${formatLead(intervals[0]!)}: its roll-out is the only one`,
      "give several, --rollout 6h,12h,24h, or leave out --rollout-members",
    );
  }
  return { intervals, separately: rolloutMembers };
}

/** @throws ClimaxError "config" for what the checkpoint's task has no sense in */
function checkTask({ path, info }: Checkpoint, rollout: Rollout | undefined, ensemble: Ensemble): void {
  if (info.task.kind === "downscaling") {
    throw new ClimaxError(
      "config",
      `${path} was trained for downscaling: it says what goes with a coarse state, not what follows it`,
      "climax downscale --checkpoint FILE --input COARSE -o FINE",
    );
  }
  if (info.task.kind !== "projection") return;
  const strange = rollout
    ? "--rollout"
    : ensemble.noise > 0
      ? "--ensemble.noise"
      : ensemble.lag.length > 0
        ? "--ensemble.lag"
        : undefined;
  if (strange === undefined) return;
  throw new ClimaxError(
    "config",
    `found ${strange} with ${path}, which was trained for projections: they start from no state`,
    `leave out ${strange}; several checkpoints and --ensemble.dropout make an ensemble of projections`,
  );
}

/** The initial times; of a projection all times with enough history, or those of --time, which then must have it. */
function stepsOf(
  states: States,
  config: ForecastConfig,
  { path, info }: Checkpoint,
  context: Context,
): readonly number[] {
  const every = config.every === undefined ? undefined : parseLead(config.every);
  if (info.task.kind !== "projection") return pickTimes(states, config.time, every);
  const { history } = info.task;
  const able = stepsWithHistory(states, history);
  const own = states.own ?? [...states.times.keys()];
  const picked = config.time || every !== undefined ? pickTimes(states, config.time, every) : own;
  const steps = picked.filter((step) => able.includes(step));
  if (steps.length === 0 || (config.time && steps.length < picked.length)) {
    throw new ClimaxError(
      "config",
      `${path} takes ${history} steps of history, and ${states.name} has them for ${steps.length} of the ${picked.length} times that are wanted`,
      able.length > 0
        ? "choose later times with --time, or leave it out for all that have enough"
        : `give an input of at least ${history} steps in a row`,
    );
  }
  if (steps.length < picked.length)
    context.info(`${picked.length - steps.length} of ${picked.length} times left out: too little history`);
  return steps;
}

function titleOf({ info }: Checkpoint, rollout: Rollout | undefined): string {
  const name = networkName(info.model);
  if (info.task.kind === "projection") return `projections by ${name}`;
  const means = info.task.kind === "mean" ? ` of means over ${formatLead(info.task.hours)}` : "";
  if (!rollout) return `direct forecasts${means} by ${name}`;
  return `iterative forecasts by ${name}, in steps of ${rollout.intervals.map(formatLead).join(", ")}`;
}

/** Attributes that say how the fields came about, where that is not one direct forecast of a global state. */
function makingOf(
  checkpoints: readonly Checkpoint[],
  members: readonly Member[],
  { noise, length, dropout, lag, members: copies, seed }: Ensemble,
  rollout: Rollout | undefined,
): Record<string, string> {
  const { info } = checkpoints[0]!;
  const paths = checkpoints.map(({ path }) => path);
  const many = rollout && rollout.intervals.length > 1;
  return {
    ...(info.region ? { climax_region: info.region } : {}),
    ...(info.task.kind === "mean" ? { climax_average_hours: String(info.task.hours) } : {}),
    ...(rollout
      ? {
          climax_rollout_hours: rollout.intervals.join(", "),
          climax_rollout: many
            ? rollout.separately
              ? "each step has a roll-out of its own, written as a member"
              : "mean over the roll-outs whose step divides the lead (Nguyen et al. 2023, arXiv:2312.03876)"
            : "each step starts from the forecast before",
        }
      : {}),
    ...(members.length > 1
      ? {
          climax_ensemble: [
            ...(paths.length > 1 ? [`${paths.length} checkpoints`] : []),
            ...(lag.length > 0 ? [`lagged starts of ${lag.map(formatLead).join(", ")}`] : []),
            ...(rollout?.separately ? [`steps of ${rollout.intervals.map(formatLead).join(", ")}`] : []),
            ...(noise > 0
              ? [
                  `${copies} members by initial noise of ${noise} standard deviations, length scale ${length} km, seed ${seed}`,
                ]
              : []),
            ...(dropout ? [`${copies} members by dropout and drop path, seed ${seed}`] : []),
          ].join("; "),
          climax_members: describeMembers(members, paths, rollout?.separately ?? false),
        }
      : {}),
  };
}
