// Commands whose work several processes share: those that mpirun or srun started together, or the jobs of an array.
import { hostname } from "node:os";
import { z } from "zod";
import type { Share } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { type Launched, launchedBy } from "../parallel/launcher.ts";
import { alone, type World } from "../parallel/world.ts";
import { byAll, isOfAllRanks } from "../train/together.ts";
import type { Context } from "./command.ts";
import { Interrupted } from "./interrupt.ts";
import { exitCodeOf, report } from "./main.ts";
import { parseShard } from "./shard.ts";
import { Told, unsharedError } from "./told.ts";

/** The flag of commands whose ranks have to wait for one another. */
export const mpiField = z
  .string()
  .optional()
  .describe("MPI library, under mpirun or srun; found by itself unless given")
  .meta({ value: "LIB" });

/** What one of the processes does and may say. */
export interface Place {
  /** Undefined where one process does all. */
  readonly share: Share | undefined;
  readonly context: Context;
}

/**
 * The share of --shard or of a rank, of work whose parts have nothing to wait for: no MPI library is touched. Rank 0
 * speaks; of the others only warnings are heard, with their names.
 *
 * @throws ClimaxError "config" for --shard on several ranks
 */
export function placeOf(shard: string | undefined, context: Context): Place {
  const ranks = ranksOf(context);
  if (!ranks) return { share: shard === undefined ? undefined : parseShard(shard), context };
  refuseShard(shard, ranks);
  const { rank, size, name } = ranks;
  return { share: { index: rank + 1, count: size }, context: rank === 0 ? context : hushed(context, name) };
}

/** The same where rank 0 puts together at the end what all have made. */
export interface RanksAtWork extends Place {
  /** `alone` where there are no ranks, also with --shard. */
  readonly world: World;
  /**
   * Waits until all ranks have come here; rank 0 says what the others warned of and it did not itself. The first time is
   * when all that the work needs is open, as `Context.ready` has it.
   *
   * @returns what every rank brought, by rank
   * @throws  what another rank has met with before its first time
   */
  meet(brought?: string): Promise<readonly string[]>;
}

/**
 * Does the work of a command as one of its ranks, or by itself. When a rank fails, all end, and none as if all were well.
 * What ranks meet with before they first come together is told once, by rank 0; later the rank that fails tells it, and
 * the others that it did.
 *
 * @throws ClimaxError "config" for --shard on several ranks, and for an MPI library that is not found
 */
export async function inRanks<T>(
  { mpi, shard }: { readonly mpi?: string | undefined; readonly shard?: string | undefined },
  context: Context,
  work: (ranks: RanksAtWork) => Promise<T>,
): Promise<T> {
  if (!ranksOf(context))
    return await work({ ...placeOf(shard, context), world: alone, meet: async (text = "") => [text] });
  const world = context.world ?? (await openWorld(mpi));
  let met = false;
  try {
    const place = placeOf(shard, context);
    const warned: string[] = [];
    const warn = (text: string): void => {
      if (world.rank === 0) context.warn(text);
      warned.push(text);
    };
    const meet = async (brought = ""): Promise<readonly string[]> => {
      await byAll(world, () => undefined);
      met = true;
      const told = await world.gather(JSON.stringify({ brought, name: world.name, warned }));
      const all = told.map((text) => JSON.parse(text) as { brought: string; name: string; warned: string[] });
      const said = new Set(all[0]!.warned);
      for (const { name, warned: texts } of world.rank === 0 ? all.slice(1) : [])
        for (const text of texts) {
          if (!said.has(text)) context.warn(`${name}: ${text}`);
          said.add(text); // what several of them met with is told once
        }
      warned.length = 0;
      return all.map((one) => one.brought);
    };
    const own: Context = { ...place.context, warn, world, ready: () => meet() };
    const done = await work({ ...place, context: own, world, meet });
    if (!context.world) await world.close(); // who opens it closes it
    return done;
  } catch (error) {
    // Until all have met, each waits for the others: they come, or have failed too.
    const alike = !met && !(error instanceof Interrupted) ? await ofAll(world, error) : error;
    if (!isOfAllRanks(alike)) return await world.fail(alike, exitCodeOf(alike));
    return await endTogether(world, context, alike);
  }
}

/**
 * Ends a rank whose arguments are wrong, and those of whom it is the only one: they hear of it when they first come
 * together.
 *
 * @param argv  as they are
 */
export async function failInRanks(error: unknown, argv: readonly string[], context: Context): Promise<never> {
  if (!ranksOf(context)) throw error;
  const at = argv.findIndex((word) => word === "--mpi" || word.startsWith("--mpi="));
  const library = argv[at]?.slice("--mpi=".length) || argv[at + 1];
  const world = context.world ?? (await openWorld(at < 0 ? undefined : library).catch(() => undefined));
  if (!world) throw unsharedError(error);
  const alike = await ofAll(world, error);
  return isOfAllRanks(alike)
    ? await endTogether(world, context, alike)
    : await world.fail(alike, exitCodeOf(alike));
}

/** The error that all ranks throw where they meet, for one of them that has this one to tell. */
async function ofAll(world: World, error: unknown): Promise<unknown> {
  if (isOfAllRanks(error)) return error;
  return await byAll<unknown>(world, () => Promise.reject(error)).catch((found: unknown) => found);
}

/** Rank 0 tells it before the others may leave: a launcher ends all when one of them does. */
async function endTogether(world: World, context: Context, error: unknown): Promise<never> {
  if (context.world) throw error;
  const code = world.rank === 0 ? report(error) : exitCodeOf(error);
  await world.close();
  throw new Told(code);
}

/** Which of the adapters of its host a rank takes. */
export function turnOf({ world }: Context): number | undefined {
  return world?.localRank;
}

async function openWorld(library: string | undefined): Promise<World> {
  const { openWorld: open } = await import("../parallel/mpiworld.ts");
  return await open({ library }).catch((error: unknown): never => {
    throw unsharedError(error);
  });
}

/** The ranks that share the work; undefined for a process by itself, and the only one of its launcher. */
function ranksOf({ world }: Context): { rank: number; size: number; name: string; by: string } | undefined {
  const found: World | Launched | undefined = world ?? launchedBy();
  if (!found || found.size === 1) return undefined;
  const { rank, size } = found;
  if ("launcher" in found)
    return { rank, size, name: `rank ${rank} of ${size} on ${hostname()}`, by: found.launcher };
  return { rank, size, name: found.name, by: "a launcher" };
}

function refuseShard(shard: string | undefined, { size, by }: { size: number; by: string }): void {
  if (shard === undefined) return;
  throw new ClimaxError(
    "config",
    `found --shard ${shard} under ${by}, whose ${size} ranks share the work already`,
    "leave out --shard, or start each share as one process",
  );
}

/** For what one process does: ranks would all do the same. */
export function refuseRanks(what: string, context: Context): void {
  const ranks = ranksOf(context);
  if (!ranks) return;
  throw unsharedError(
    new ClimaxError(
      "config",
      `found ${what} under ${ranks.by} with ${ranks.size} ranks, and it is work for one process`,
      `run it without ${ranks.by}`,
    ),
  );
}

function hushed(context: Context, name: string): Context {
  const nothing = (): void => undefined;
  return {
    ...context,
    ...{ print: nothing, info: nothing, quiet: true },
    warn: (text) => context.warn(`${name}: ${text}`),
  };
}
