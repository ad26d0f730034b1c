// Commands whose work several processes share: those that mpirun or srun started together, or the jobs of an array.
import { hostname } from "node:os";
import { z } from "zod";
import type { Share } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { type Launched, launchedBy } from "../parallel/launcher.ts";
import { alone, type World } from "../parallel/world.ts";
import type { Context } from "./command.ts";
import { exitCodeOf } from "./main.ts";
import { parseShard } from "./shard.ts";

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
   * Waits until all ranks have come here; rank 0 says what the others warned of and it did not itself.
   *
   * @returns what every rank brought, by rank
   */
  meet(brought?: string): Promise<readonly string[]>;
}

/**
 * Does the work of a command as one of its ranks, or by itself. When a rank fails, all end, and none as if all were well.
 *
 * @throws ClimaxError "config" for --shard on several ranks, and for an MPI library that is not found
 */
export async function inRanks<T>(
  { mpi, shard }: { readonly mpi?: string | undefined; readonly shard?: string | undefined },
  context: Context,
  work: (ranks: RanksAtWork) => Promise<T>,
): Promise<T> {
  const place = placeOf(shard, context);
  if (!ranksOf(context)) return await work({ ...place, world: alone, meet: async (text = "") => [text] });
  const world = context.world ?? (await openWorld(mpi));
  try {
    const warned: string[] = [];
    const warn = (text: string): void => {
      if (world.rank === 0) context.warn(text);
      warned.push(text);
    };
    const meet = async (brought = ""): Promise<readonly string[]> => {
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
    const done = await work({ ...place, context: { ...place.context, warn, world }, world, meet });
    if (!context.world) await world.close(); // who opens it closes it
    return done;
  } catch (error) {
    return await world.fail(error, exitCodeOf(error));
  }
}

/** Which of the adapters of its host a rank takes. */
export function turnOf({ world }: Context): number | undefined {
  return world?.localRank;
}

async function openWorld(library: string | undefined): Promise<World> {
  const { openWorld: open } = await import("../parallel/mpiworld.ts");
  return await open({ library });
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
  throw new ClimaxError(
    "config",
    `found ${what} under ${ranks.by} with ${ranks.size} ranks, and it is work for one process`,
    `run it without ${ranks.by}`,
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
