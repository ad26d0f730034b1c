// The two ways of climax downscale: by checkpoints, and by interpolation alone.

import type { Share } from "../data/share.ts";
import { type Gpu, openGpu } from "../engine/device.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { describeGrid, type Grid, makeGrid, regularGrid, sameGrid } from "../grid/grid.ts";
import { coveredTarget } from "../grid/region.ts";
import { makeRegridder } from "../grid/regrid.ts";
import { cropStates } from "../infer/crop.ts";
import { forecast } from "../infer/forecast.ts";
import { chooseInputs, inputsOf } from "../infer/inputs.ts";
import { describeMembers, listMembers, noEnsemble } from "../infer/members.ts";
import { interpolateStates } from "../infer/regridstates.ts";
import type { States } from "../infer/states.ts";
import { persistenceField, writeUntrained } from "../infer/untrained.ts";
import type { Checkpoint, CheckpointInfo } from "../model/checkpoint.ts";
import { networkName } from "../model/network.ts";
import type { Context } from "./command.ts";
import type { CoarseInput, DownscaleConfig } from "./downscale.ts";
import { counted, modelOf, originAttributes } from "./inference.ts";
import { interruptible } from "./interrupt.ts";
import { progress } from "./progress.ts";
import { turnOf } from "./ranks.ts";

/** @throws ClimaxError for inputs that are not what the checkpoints were trained from */
export async function downscaleByNetwork(
  config: DownscaleConfig,
  checkpoints: readonly Checkpoint[],
  { given, coarse, steps }: CoarseInput,
  share: Share | undefined,
  context: Context,
): Promise<string> {
  const { info } = checkpoints[0]!;
  const outputs = [...new Set(config.variables ?? info.outputs)];
  for (const name of outputs)
    if (!info.outputs.includes(name)) unknownName("output of the checkpoint", name, info.outputs);
  const inputs = checkpoints.map((checkpoint) => chooseInputs(checkpoint, coarse, config.missing));
  const { states, made } = toFineGrid(checkpoints[0]!, coarse, given);
  context.info(made);
  const left = [...new Set(checkpoints.flatMap((each) => inputsOf(each.info)))].filter(
    (name) => !states.variables.includes(name),
  );
  if (left.length > 0) {
    context.warn(
      `${left.join(", ")}: not in the input, ${config.missing === "mean" ? "their training mean is put" : "left out"}`,
    );
  }
  const simulated = checkpoints.some((checkpoint) => checkpoint.info.synthetic);
  const synthetic = states.synthetic || simulated;
  if (simulated && !states.synthetic)
    context.warn("the checkpoint was trained on a SYNTHETIC planet: these are no fields of real weather");
  const members = listMembers(checkpoints.length, noEnsemble);
  let gpu: Gpu | undefined;
  try {
    gpu = await openGpu({ adapter: config.adapter, precision: config.precision, turn: turnOf(context) });
    const device = gpu;
    context.info(`adapter   ${gpu.name} (${gpu.kind}), ${gpu.precision}`);
    const attributes = {
      ...(await originAttributes({
        title: `fields downscaled by ${networkName(info.model)}`,
        checkpoints,
        adapter: config.precision === "f32" ? gpu.name : `${gpu.name}, f16`,
        synthetic,
        commandLine: context.commandLine,
      })),
      climax_downscaling: made,
      ...(info.region ? { climax_region: info.region } : {}),
      ...(members.length > 1
        ? {
            climax_ensemble: `${members.length} checkpoints`,
            climax_members: describeMembers(
              members,
              checkpoints.map(({ path }) => path),
              false,
            ),
          }
        : {}),
    };
    const models = checkpoints.map((checkpoint, i) => modelOf(device, checkpoint, inputs[i]!));
    return await written(steps.length * members.length, share, synthetic, context, (signal, onProgress) =>
      forecast({
        models,
        states,
        steps,
        leads: [0],
        outputs,
        missing: config.missing,
        batchSize: config.batchSize,
        output: config.output,
        share: share && { ...share, settings: settingsOf(config) },
        attributes,
        signal,
        onProgress,
      }).then(
        () =>
          `${outputs.length} variables, ${counted(steps.length, "time")}${members.length > 1 ? `, ${members.length} members` : ""}`,
      ),
    );
  } finally {
    gpu?.device.destroy(); // drivers hold on to the memory of devices that are only forgotten
  }
}

/** The input on the checkpoint's grid, and how it came there. */
function toFineGrid(
  { path, info }: Checkpoint,
  coarse: States,
  given: States,
): { states: States; made: string } {
  const task = downscalingOf(info);
  const from = makeGrid(task.from.lat, task.from.lon);
  const fine = makeGrid(info.grid.lat, info.grid.lon);
  const averaged = coarse === given ? "" : `averaged over blocks from ${describeGrid(given.grid)}, `;
  const source = sameGrid(coarse.grid, from) ? coarse : cropStates(coarse, from);
  if (source) {
    const made = `${averaged}interpolated (${task.method}) from ${describeGrid(from)} to ${describeGrid(fine)}`;
    return { states: interpolateStates(source, fine, task.method), made };
  }
  const ready = coarse !== given ? undefined : sameGrid(given.grid, fine) ? given : cropStates(given, fine);
  if (ready) {
    const made = `taken as interpolated before: the input is on the fine grid already, ${describeGrid(fine)}`;
    return { states: ready, made };
  }
  throw new ClimaxError(
    "grid",
    `${path} makes ${describeGrid(fine)} from ${describeGrid(from)}; ${given.name} is ` +
      (coarse === given
        ? `on ${describeGrid(given.grid)}`
        : `on ${describeGrid(coarse.grid)} after --coarsen, at ${places(coarse.grid)} instead of ${places(from)}`),
    coarse === given
      ? `give fields on ${describeGrid(from)}, or fine ones with --coarsen`
      : "choose the --coarsen, and the grid, that it was trained with",
  );
}

/** Where a grid begins, for two that look alike. */
function places({ lat, lon }: Grid): string {
  return `${Number(lat[0]!.toFixed(4))}N ${Number(lon[0]!.toFixed(4))}E`;
}

function downscalingOf({ task }: CheckpointInfo) {
  if (task.kind !== "downscaling")
    throw new Error(`a checkpoint for ${task.kind} among those for downscaling`);
  return task;
}

/** @throws ClimaxError for variables that are not there, or a grid that the input does not reach */
export async function downscaleByInterpolation(
  config: DownscaleConfig,
  { given, coarse, steps }: CoarseInput,
  share: Share | undefined,
  context: Context,
): Promise<string> {
  const method = config.model!;
  const changing = coarse.variables.filter((name) => !coarse.constants.includes(name));
  const outputs = [...new Set(config.variables ?? changing)];
  for (const name of outputs)
    if (!coarse.variables.includes(name)) unknownName(`variable of ${coarse.name}`, name, changing);
  const wanted = config.res === undefined ? given.grid : regularGrid(config.res);
  const grid = coveredTarget(makeRegridder(coarse.grid, wanted, method));
  const states = interpolateStates(coarse, grid, method);
  const averaged = coarse === given ? "" : `averaged over blocks from ${describeGrid(given.grid)}, `;
  const made = `${averaged}interpolated (${method}) from ${describeGrid(coarse.grid)} to ${describeGrid(grid)}`;
  context.info(made);
  const attributes = {
    ...(await originAttributes({
      title: `fields downscaled by ${method} interpolation`,
      checkpoints: [],
      adapter: undefined,
      synthetic: states.synthetic,
      commandLine: context.commandLine,
    })),
    climax_downscaling: made,
    system: method,
  };
  return await written(steps.length, share, states.synthetic, context, (signal, onProgress) =>
    writeUntrained({
      grid,
      initial: steps.map((step) => states.times[step]!),
      leads: [0],
      outputs,
      field: persistenceField(states, steps),
      output: config.output,
      share: share && { ...share, settings: settingsOf(config) },
      attributes,
      signal,
      onProgress,
    }).then(() => `${method}, ${outputs.length} variables, ${counted(steps.length, "time")}`),
  );
}

/** What decides the fields beside what the attributes of the file say. */
function settingsOf({ input, missing, batchSize, precision }: DownscaleConfig): Record<string, string> {
  return {
    "the input": input.join(", "),
    "--missing": missing,
    "--batch-size": String(batchSize),
    "--precision": precision,
  };
}

/** Runs `work` with a bar and Ctrl-C. @returns what the whole file holds, in words */
async function written(
  total: number,
  share: Share | undefined,
  synthetic: boolean,
  context: Context,
  work: (signal: AbortSignal, onProgress: (done: number, own: number) => void) => Promise<string>,
): Promise<string> {
  await context.ready?.();
  let bar: ReturnType<typeof progress> | undefined;
  const show = (own: number) => (bar ??= progress({ label: "downscale", total: own, quiet: context.quiet }));
  if (!share) show(total);
  try {
    const said = await interruptible((signal) => work(signal, (done, own) => show(own).update(done)));
    return `${said}${synthetic ? ", SYNTHETIC" : ""}`;
  } finally {
    bar?.stop();
  }
}
