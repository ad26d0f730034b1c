// The ranks of a run that mpirun or srun started: their collective calls on MPI, and the watch that ends the run when one
// is lost.
import { ClimaxError } from "../errors.ts";
import { launchedBy } from "./launcher.ts";
import { loadMpi, type Mpi } from "./mpi.ts";
import { ownAddresses, type Place, thisPlace } from "./place.ts";
import { startWatch, type Watch } from "./watch.ts";
import { type Limits, type Member, shortened, usualLimits } from "./watchmessages.ts";
import type { Rendezvous } from "./watchspoke.ts";
import { alone, type World } from "./world.ts";

export interface WorldOptions {
  /** Name or path of the MPI library; CLIMAX_MPI_LIB or a search otherwise. */
  readonly library?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  /** Times of the watch. */
  readonly limits?: Limits;
}

/**
 * The ranks of this run: `alone` where no launcher started several; then no library is touched. Ends when all ranks
 * have called it.
 *
 * Every rank gets the same numbers from each call, bit for bit. Of sums MPI requires it ("all MPI processes from the
 * same group participating in these operations receive identical results", MPI 4.0, 6.9.6), whatever order it adds them
 * up in; that order may be another with another number of ranks or another library, or, in theory, in another call. Of
 * maxima it is held here, where MPI does not promise it: one that is not a number, on any rank, is none on all ranks,
 * and -0 counts as 0. What is broadcast is rank 0's bytes.
 *
 * @throws ClimaxError "config" where there is no MPI library, it is not the launcher's, or a rank cannot reach rank 0;
 *   on all ranks alike
 */
export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const { library, env = process.env, limits = usualLimits } = options;
  const launched = launchedBy(env);
  if (launched === undefined || launched.size === 1) return alone;
  const mpi = loadMpi(library, env);
  const watch = startWatch(mpi.rank, limits); // no sooner: a starting library is best alone with the memory
  await watch.prepare(mpi.library);
  const cards = await exchange<Card>(mpi, { ...thisPlace(), pid: process.pid });
  await connect(mpi, watch, cards);
  return worldOf(mpi, watch, cards, limits);
}

/** What each rank says of itself at the start. */
type Card = Place & { readonly pid: number };

async function exchange<T>(mpi: Mpi, mine: T): Promise<T[]> {
  const all = await mpi.gather(Buffer.from(JSON.stringify(mine)));
  return all.map((bytes) => JSON.parse(Buffer.from(bytes).toString()) as T);
}

/** Rank 0 listens, all others connect. */
async function connect(mpi: Mpi, watch: Watch, cards: readonly Card[]): Promise<void> {
  const members = cards.map(({ host, pid, processes }, rank): Member => ({ rank, host, pid, processes }));
  const loopback = cards.every(({ network }) => network === cards[0]!.network);
  const listen = async (): Promise<Rendezvous> => {
    const { address, port, token } = await watch.open(members, loopback);
    return { addresses: loopback ? [address] : ownAddresses(), port, token };
  };
  const [rendezvous] = await exchange(mpi, mpi.rank === 0 ? await listen() : null);
  const why =
    mpi.rank === 0
      ? ""
      : await watch.join(members, rendezvous!).then(
          () => "",
          (error: Error) => error.message,
        );
  const failures = await exchange(mpi, why);
  const failed = failures.findIndex((failure) => failure !== "");
  if (failed < 0) return;
  await watch.leave();
  throw new ClimaxError(
    "config",
    `rank ${failed} on ${cards[failed]!.host} cannot reach rank 0 on ${cards[0]!.host}, port ${rendezvous!.port}: ${failures[failed]}`,
    "ranks watch over one another by TCP, on a port that the system chooses: let the hosts of a job reach one another, as MPI over TCP needs too",
  );
}

function worldOf(mpi: Mpi, watch: Watch, cards: readonly Card[], limits: Limits): World {
  const { rank, size } = mpi;
  const neighbours = cards.flatMap(({ machine }, other) => (machine === cards[rank]!.machine ? [other] : []));
  let closing = false;

  /**
   * The library carries calls out one after the other, in the order they were made. One that fails does so because
   * another rank is lost, as a rule: then the watch knows more, and ends this process while it waits here.
   */
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    if (closing) throw new Error("a call to the other ranks after close()");
    try {
      return await work();
    } catch (error) {
      await new Promise((resolve) => setTimeout(resolve, limits.reconnect + 2 * limits.beat));
      throw error;
    }
  };

  return {
    ...{ rank, size, localRank: neighbours.indexOf(rank), localSize: neighbours.length },
    name: `rank ${rank} of ${size} on ${cards[rank]!.host}`,
    sum: (values) => call(() => mpi.allreduce(values, "sum")),
    max: (values) => call(() => largest(mpi, values)),
    broadcast: (values) => call(() => mpi.broadcast(values)),
    reduceScatter: (values) => call(() => mpi.reduceScatter(values)),
    allgather: (values) => call(() => mpi.allgather(values)),
    alltoall: (from, into) => call(() => mpi.alltoall(from, into)),
    gather: (text) =>
      call(async () => (await mpi.gather(Buffer.from(text))).map((bytes) => Buffer.from(bytes).toString())),
    keptCheckpoint: (path) => watch.keep(path),
    fail: async (error, code) => {
      const message = error instanceof Error ? error.message : String(error);
      await watch.end({ kind: "failed", message: shortened(message), code }, code);
      throw error;
    },
    close: () =>
      call(async () => {
        closing = true;
        await mpi.finalize();
        await watch.leave();
      }),
  };
}

/** MPI_MAX of what is not a number depends on who compares: these are found beside the rest. */
async function largest(mpi: Mpi, values: Float64Array): Promise<void> {
  const n = values.length;
  const both = new Float64Array(2 * n);
  for (const [i, value] of values.entries()) {
    if (Number.isNaN(value)) both[n + i] = 1;
    both[i] = Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value + 0; // -0 + 0 is 0
  }
  await mpi.allreduce(both, "max");
  for (let i = 0; i < n; i++) values[i] = both[n + i] === 1 ? Number.NaN : both[i]!;
}
