// What pretrain and finetune share: the adapter, the run's folder, the progress bar, and a clean stop on a signal. Ranks
// that train together all run it; the first of them speaks and writes.
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { stringify } from "yaml";
import { makeFolder } from "../data/folder.ts";
import { type Gpu, openGpu, type Precision } from "../engine/device.ts";
import { precompile } from "../engine/kernel.ts";
import { ClimaxError } from "../errors.ts";
import type { Recompute } from "../model/climax.ts";
import { isTransformer, type NetworkConfig, networkOf } from "../model/network.ts";
import type { PatternScalingConfig } from "../model/patternscaling.ts";
import type { World } from "../parallel/world.ts";
import { type OptimiserSettings, overRanks, type TrainingSettings } from "../train/config.ts";
import { fitScaling } from "../train/fit.ts";
import { Learner, type LearnerOptions } from "../train/learner.ts";
import { type Run, totalSteps, trainRun } from "../train/loop.ts";
import type { Objective } from "../train/objective.ts";
import { fromFirst } from "../train/onemodel.ts";
import { bestCheckpoint, heldCheckpoint, lastCheckpoint, microBatchOf, resumeRun } from "../train/resume.ts";
import { byAll, byFirst } from "../train/together.ts";
import type { Context } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { bytes } from "./machine.ts";
import { describePlan, planEarly, planRun, roomOf } from "./memory.ts";
import { progress } from "./progress.ts";
import { describeRanks, planTogether } from "./trainranks.ts";

export interface RunConfig {
  readonly output: string;
  readonly mpi?: string | undefined;
  readonly resume: boolean | "auto";
  readonly adapter?: string | undefined;
  readonly precision: Precision;
  readonly recompute: Recompute;
  readonly updateEarly: boolean | "auto";
  readonly shardOptimiser: boolean;
  readonly allreduce: "f32" | "f16";
  readonly memory?: number | undefined;
  readonly optimiser: OptimiserSettings;
  readonly training: TrainingSettings;
}

/** Trains in the open: says what will be done, shows how far it is, and where the result lies. */
export async function trainInTheOpen(
  name: string,
  config: RunConfig,
  objective: Objective,
  context: Context,
  world: World,
): Promise<void> {
  const resume = await byFirst(world, () => goesOn(config));
  if (objective.model.type === "pattern-scaling") {
    const { model } = objective;
    return await byFirst(world, () => fitAtOnce(model, config, objective, context));
  }
  const { adapter, precision } = config;
  const turn = world.localRank; // of a step of a shared study: the rank's
  const gpu = await byAll(world, () => openGpu({ adapter, precision, turn }));
  try {
    await trainOn(gpu, name, { ...config, resume }, objective, context, world);
  } finally {
    gpu.device.destroy(); // drivers hold on to the memory of devices that are only forgotten
  }
}

/**
 * Whether the run in the folder goes on.
 *
 * @throws ClimaxError "config" when there is none to go on with, or one that would be overwritten
 */
function goesOn({ output: out, resume }: RunConfig): boolean {
  if (resume === "auto") return existsSync(lastCheckpoint(out));
  if (resume && !existsSync(lastCheckpoint(out))) {
    throw new ClimaxError(
      "config",
      `${out} has no last.safetensors to resume from`,
      "start without --resume, or with --resume auto",
    );
  }
  const held = heldCheckpoint(out);
  if (!resume && held) {
    throw new ClimaxError(
      "config",
      `${out} holds a run already (${basename(held)})`,
      existsSync(lastCheckpoint(out))
        ? "go on with --resume, or choose another --output"
        : "choose another --output, or move it away",
    );
  }
  return resume;
}

/** What is fitted at once needs no adapter, no steps and no way to go on. */
async function fitAtOnce(
  model: PatternScalingConfig,
  config: RunConfig,
  objective: Objective,
  context: Context,
): Promise<void> {
  const undo = await beginFolder(config.output, config);
  try {
    const { samples, loss } = await fitScaling(model, objective, config.output);
    const measured = loss === undefined ? "" : `, validation loss ${loss.toFixed(4)}`;
    context.print(`fitted to ${samples} samples${measured}: ${bestCheckpoint(config.output)}`);
  } catch (error) {
    await undo();
    throw error;
  }
}

async function trainOn(
  gpu: Gpu,
  name: string,
  config: RunConfig & { readonly resume: boolean },
  objective: Objective,
  context: Context,
  world: World,
): Promise<void> {
  const {
    output: out,
    resume,
    recompute,
    updateEarly,
    shardOptimiser,
    allreduce,
    optimiser,
    training,
  } = config;
  // Before it is planned for: whole gradients are what ranks exchange.
  const against = againstEarly(config, world.size);
  if (updateEarly === true && against.length > 0) await byAll(world, () => refuseEarly(against));
  const { model, train, validation, grid, batches, start } = objective;
  if (recompute === "hidden" && !isTransformer(model)) await byAll(world, () => refuseHidden(model));
  const { batchSize } = training;
  const info = {
    ...objective.info,
    provenance: {
      ...objective.info.provenance,
      adapter: gpu.name,
      seed: training.seed,
      settings: { precision: gpu.precision, optimiser, training },
      ...(world.size > 1 ? { ranks: world.size, shardOptimiser, allreduce } : {}),
    },
  };
  const parameters = [...networkOf(model).shapes.values()].reduce(
    (sum, shape) => sum + shape.reduce((a, b) => a * b, 1),
    0,
  );
  const whole = overRanks(training, world.size);
  const steps = totalSteps(train, whole);
  // What embeds variables that never enter is left alone, decay included.
  const entering = info.inputs ?? info.variables.map((variable) => variable.name);
  const options: LearnerOptions = {
    ...objective.learner,
    variables: entering,
    recompute,
    early: updateEarly === true,
    average: training.ema,
  };
  const kept = await byFirst(world, () => (resume ? microBatchOf(out) : undefined));
  const room = roomOf(gpu, config.memory, world.size > 1 ? world.localSize : 1);
  const last = validation && validation.samples % batchSize;
  const { rank, size } = world;
  const ranks = size > 1 ? { rank, size, shares: shardOptimiser, wire: allreduce } : undefined;
  const rehearsal = { config: model, grid, optimiser, options, batchSize, batches, last, ranks };
  const asked = training.microBatch ?? kept;
  const maybe = updateEarly === "auto" && against.length === 0;
  const plan =
    (maybe ? planEarly(gpu, rehearsal, room, asked) : undefined) ??
    (await planTogether(world, asked, (wanted) => planRun(gpu, rehearsal, room, wanted)));
  const who = await describeRanks(world, gpu);
  context.info(
    [
      `adapter     ${gpu.name} (${gpu.kind}), ${gpu.precision}`,
      `model       ${model.type}, ${networkOf(model).describe()}: ${(parameters / 1e6).toFixed(2)} M parameters`,
      `data        ${train.samples} samples to train on, ${validation?.samples ?? 0} to validate` +
        `${info.synthetic ? ", SYNTHETIC" : ""}`,
      `memory      ${describePlan(plan, room, world.size)}`,
      ...(who ? [`ranks       ${who.ranks}`] : []),
      `run         ${steps} steps of ${batchSize * whole.accumulate} samples, in ${out}`,
    ].join("\n"),
  );
  if (who?.note !== undefined) context.warn(who.note);
  if (!ranks && (shardOptimiser || allreduce === "f16")) {
    context.info(
      "note        one process: --shard-optimiser and --allreduce are for several ranks, and do nothing",
    );
  }
  for (const note of objective.notes ?? []) context.info(`note        ${note}`);
  const first = world.rank === 0;
  const undo = await byAll(world, () => (resume || !first ? undefined : beginFolder(out, config)));
  const result = await interruptible(
    async (signal) => {
      const share = ranks?.shares ? ranks : undefined;
      const { microBatch, early } = plan;
      const learner = new Learner(gpu, model, grid, optimiser, { ...options, microBatch, early, share });
      const bar = progress({ label: name, total: steps, quiet: context.quiet });
      const run: Run = {
        learner,
        train,
        validation,
        optimiser,
        training,
        world,
        allreduce,
        info,
        out,
        signal,
        onStep: ({ step, loss, samplesPerSecond }) =>
          bar.update(step, `loss ${loss.toFixed(4)}  ${samplesPerSecond.toFixed(1)} samples/s`),
        onValidation: ({ step, loss, best }) =>
          bar.log(`step ${step}: validation loss ${loss.toFixed(4)}${best ? ", the best so far" : ""}`),
      };
      try {
        const filled = resume
          ? resumeRun(run)
          : learner.load(fromFirst(world, learner, start)).then(() => undefined);
        const [from] = await Promise.all([filled, precompile(gpu, plan.kernels)]);
        return await trainRun({ ...run, from });
      } finally {
        bar.stop();
      }
    },
    () =>
      context.warn(
        `stopping: the checkpoint is being written to ${lastCheckpoint(out)}; go on with --resume`,
      ),
    { resumable: true, oneOfSeveral: world.size > 1 },
  ).catch(async (error: unknown) => {
    // A run that broke off before its first checkpoint leaves nothing, unless its log says how the loss went.
    const telling = error instanceof ClimaxError && error.kind === "data";
    if (!telling && !heldCheckpoint(out)) await undo?.();
    throw error;
  });
  context.info(`peak of the adapter's memory: ${bytes(gpu.pool.bytes.made)} (planned: ${bytes(plan.peak)})`);
  const loss = result.best === undefined ? "" : `, validation loss ${result.best.toFixed(4)}`;
  context.print(
    `${result.stoppedEarly ? "stopped early" : "done"} after ${result.steps} steps${loss}: ${bestCheckpoint(out)}`,
  );
}

/** The settings that need the gradients of the whole model at once, with why. */
function againstEarly({ shardOptimiser, optimiser, training }: RunConfig, ranks: number): string[] {
  const { batchSize, accumulate, microBatch = batchSize } = training;
  return [
    ...(optimiser.clip > 0 ? [`--optimiser.clip ${optimiser.clip} (the norm is of all gradients)`] : []),
    ...(accumulate > 1 ? [`--training.accumulate ${accumulate}`] : []),
    ...(ranks > 1 ? [`${ranks} ranks (their gradients are added up before the step)`] : []),
    ...(ranks > 1 && shardOptimiser ? ["--shard-optimiser"] : []),
    ...(microBatch < batchSize
      ? [`--training.micro-batch ${microBatch} of a --training.batch-size of ${batchSize}`]
      : []),
  ];
}

function refuseHidden({ type }: NetworkConfig): never {
  throw new ClimaxError(
    "config",
    `--recompute hidden is for transformers, and --model.type is ${type}`,
    "use --recompute, or leave it out",
  );
}

function refuseEarly(against: readonly string[]): never {
  throw new ClimaxError(
    "config",
    `--update-early does not go with ${against.join(", ")}`,
    "change these settings, or leave --update-early out",
  );
}

/** Makes the run's folder and leaves its settings in it. Returns what takes them, and the log, away again. */
async function beginFolder(out: string, config: RunConfig): Promise<() => Promise<void>> {
  const own = ["settings.yaml", "log.jsonl"].map((name) => join(out, name));
  let made: string | undefined;
  const undo = async (): Promise<void> => {
    for (const path of made ? [made] : own) await rm(path, { recursive: true, force: true });
  };
  try {
    made = await makeFolder(out);
    const { resume: _, output: __, mpi: ___, ...settings } = config;
    await writeFile(own[0]!, stringify(settings));
    return undo;
  } catch (error) {
    await undo().catch(() => undefined);
    throw new ClimaxError(
      "config",
      `cannot write to ${out}: ${(error as Error).message}`,
      "choose another --output",
      { cause: error },
    );
  }
}
