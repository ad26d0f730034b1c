/** The sums that ranks can make of gradients, and how long calls of each kind take. */
import { ClimaxError } from "../errors.ts";
import { BLOCK, BLOCK_WORDS } from "../ops/wire.ts";
import type { Collectives } from "../parallel/collectives.ts";
import { encodeBlocks, sumBlocks } from "../train/halfblocks.ts";
import { allreduceHalves } from "../train/halfsum.ts";
import type { Kind } from "../train/scaling.ts";

/** The ranks and what they can do together, of which `Mpi` is one. */
export type Ranks = Pick<
  Collectives,
  "allreduce" | "reduceScatter" | "allgather" | "alltoall" | "barrier"
> & {
  readonly rank: number;
  readonly size: number;
};

/** An array of this rank in one form, and what is done with it. */
interface Trial {
  /** One call of every rank: then all have the sums. */
  run(): Promise<void>;
  /** The sums, which are at most `lost` of themselves off. */
  sums(): Float32Array;
  readonly lost: number;
  /** Makes numbers of which calls without end can be made: sums of sums would overflow. */
  readonly settle: () => void;
  /** After each call, where the numbers of `settle` do not stay. */
  readonly renew?: () => void;
}

/** Whole numbers, of which neither a half nor a sum in float32 loses anything among up to 1024 ranks. */
const given = (rank: number) => (_: unknown, i: number) => (i % 1024) + rank;
const filled = (numbers: number, unit: number): number => Math.ceil(numbers / unit) * unit;

/** What of them there is to choose from. Each takes how many numbers there are. */
const makeTrial = {
  whole(ranks: Ranks, numbers: number): Trial {
    const values = Float32Array.from({ length: numbers }, given(ranks.rank));
    const run = () => ranks.allreduce(values, "sum");
    return { run, sums: () => values, lost: 0, settle: () => void values.fill(0) };
  },
  shares(ranks: Ranks, numbers: number): Trial {
    const values = Float32Array.from({ length: filled(numbers, ranks.size) }, given(ranks.rank));
    const run = async () => {
      await ranks.reduceScatter(values);
      await ranks.allgather(values);
    };
    return { run, sums: () => values, lost: 0, settle: () => void values.fill(0) };
  },
  halves(ranks: Ranks, numbers: number): Trial {
    const whole = filled(numbers, BLOCK * ranks.size);
    const words = new Uint32Array((whole / BLOCK) * BLOCK_WORDS);
    encodeBlocks(Float32Array.from({ length: whole }, given(ranks.rank)), words);
    const room = new Uint32Array(words.length);
    const units = new Float32Array(words.buffer);
    // Not zeros, of which some processors make shorter work.
    const renew = () => {
      for (let at = 0; at < units.length; at += BLOCK_WORDS) units[at] = 2 ** -14;
    };
    return {
      run: () => allreduceHalves(ranks, words, room),
      sums: () => sumBlocks([words]),
      lost: 2 ** -11,
      ...{ settle: renew, renew },
    };
  },
} satisfies Record<Kind, (ranks: Ranks, numbers: number) => Trial>;

/** Times of calls, ms: each that of the rank for which it took longest. */
export interface Measured {
  readonly kind: Kind;
  /** Of the array in float32. */
  readonly bytes: number;
  readonly calls: number;
  readonly median: number;
  /** Nine of ten calls took no longer. */
  readonly most: number;
}

/**
 * Sums arrays of one size until the time is over, the same number of times on every rank.
 *
 * @throws ClimaxError "device" when a sum is wrong
 */
export async function measure(ranks: Ranks, kind: Kind, bytes: number, seconds: number): Promise<Measured> {
  const trial = makeTrial[kind](ranks, bytes / 4);
  await trial.run(); // opens the connections
  check(trial, ranks.size, kind);
  trial.settle();
  const once = async (): Promise<number> => {
    const before = performance.now();
    await trial.run();
    const time = performance.now() - before;
    trial.renew?.();
    return time;
  };
  const own: number[] = [];
  const elapsed = new Float64Array(1);
  await ranks.barrier();
  const start = performance.now();
  do {
    // Whether the time is over is asked seldom, and between calls that are measured.
    for (let more = 1 + (own.length >> 1); more > 0; more--) own.push(await once());
    elapsed[0] = performance.now() - start;
    await ranks.allreduce(elapsed, "max");
  } while (elapsed[0]! < 1000 * seconds && own.length < 10_000);
  const times = Float64Array.from(own);
  await ranks.allreduce(times, "max");
  times.sort();
  const at = (part: number): number => times[Math.floor(part * times.length)]!;
  return { kind, bytes, calls: times.length, median: at(0.5), most: at(0.9) };
}

function check({ sums, lost }: Trial, size: number, kind: Kind): void {
  const found = sums();
  const wanted = (i: number): number => size * (i % 1024) + (size * (size - 1)) / 2;
  const wrong = found.findIndex((value, i) => !(Math.abs(value - wanted(i)) <= lost * wanted(i)));
  if (wrong < 0) return;
  throw new ClimaxError(
    "device",
    `a sum over ${size} ranks is wrong (${kind}): element ${wrong} of ${found.length} is ${found[wrong]}, wanted ${wanted(wrong)}`,
    "the MPI library or the network corrupts data: try another library with --mpi LIB",
  );
}
