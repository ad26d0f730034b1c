// Ranks that train together: how a command becomes one of them, and what they settle before the first step.
import { hostname } from "node:os";
import { adaptersNamed } from "../engine/adapters.ts";
import type { Gpu } from "../engine/device.ts";
import { launchedBy } from "../parallel/launcher.ts";
import { alone, type World } from "../parallel/world.ts";
import type { MemoryPlan } from "../train/plan.ts";
import { byAll, isOfAllRanks, StoppedByAnother } from "../train/together.ts";
import type { Context } from "./command.ts";
import { interruptedElsewhere } from "./interrupt.ts";
import { exitCodeOf } from "./main.ts";

/**
 * Runs `work` as one of the ranks that a launcher started, or by itself. Rank 0 alone speaks. What all ranks throw
 * together ends them in good order; what one throws by itself ends the others with its name.
 *
 * @param mpi  the MPI library; found by itself without
 * @returns    the exit code
 */
export async function inTrainingRanks(
  mpi: string | undefined,
  context: Context,
  work: (world: World, own: Context) => Promise<void>,
): Promise<number> {
  const world = context.world ?? (await openWorld(mpi));
  const leave = async (): Promise<void> => (context.world ? undefined : await world.close());
  try {
    await work(world, world.rank === 0 ? context : silenced(context));
  } catch (error) {
    if (world.size > 1 && !isOfAllRanks(error)) return await world.fail(error, exitCodeOf(error));
    await leave();
    const own = error instanceof StoppedByAnother ? interruptedElsewhere(error.exitCode) : error;
    if (world.rank === 0 || context.world) throw own;
    return exitCodeOf(own);
  }
  await leave();
  return 0;
}

async function openWorld(library: string | undefined): Promise<World> {
  if (!launchedBy()) return alone;
  const { openWorld: open } = await import("../parallel/mpiworld.ts");
  return await open({ library });
}

function silenced(context: Context): Context {
  const nothing = (): void => undefined;
  return { ...context, print: nothing, info: nothing, warn: nothing, quiet: true };
}

/**
 * Plans on every rank, with the smallest micro-batch of all: they share out one run, whose batches are split alike.
 *
 * @param wanted  the size that the user asks for
 * @param plan    of this rank, for a wanted size or the largest that fits
 */
export async function planTogether(
  world: World,
  wanted: number | undefined,
  plan: (wanted: number | undefined) => MemoryPlan,
): Promise<MemoryPlan> {
  const own = await byAll(world, () => plan(wanted));
  const smallest = Float64Array.of(-own.microBatch);
  await world.max(smallest);
  return -smallest[0]! === own.microBatch ? own : plan(-smallest[0]!);
}

/** Who trains where, and what is to be known of it; undefined for one process. */
export async function describeRanks(
  world: World,
  gpu: Gpu,
): Promise<{ readonly ranks: string; readonly note: string | undefined } | undefined> {
  if (world.size === 1) return undefined;
  const places = await world.gather(`${hostname()}: ${gpu.name}`);
  const count = new Map<string, number>();
  for (const place of places) count.set(place, (count.get(place) ?? 0) + 1);
  const ranks = `${world.size}: ${[...count].map(([place, n]) => (n > 1 ? `${place} (${n})` : place)).join("; ")}`;
  const sharing = Math.max(...count.values());
  if (sharing === 1 || gpu.kind === "software" || world.rank > 0) return { ranks, note: undefined };
  const there = await adaptersNamed(gpu.name);
  const note =
    there > 1
      ? `this host has ${there} adapters called ${gpu.name}, which WebGPU cannot tell apart: its ranks all compute on ` +
        "one of them unless the launcher shows each rank the device files of its own alone (srun --gpus-per-task=1 where " +
        "cgroup.conf has ConstrainDevices=yes, or a container for each rank)"
      : `${sharing} ranks of a host share one ${gpu.name}: one rank with --training.accumulate ${sharing} is as fast`;
  return { ranks, note };
}
