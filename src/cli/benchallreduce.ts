/** `climax bench allreduce`: how fast the ranks of a run add up arrays, which is what training asks of a network. */
import { ClimaxError } from "../errors.ts";
import type { Collectives } from "../parallel/collectives.ts";
import { launchedBy } from "../parallel/launcher.ts";
import { loadMpi, type MpiFacts } from "../parallel/mpi.ts";
import type { Context } from "./command.ts";
import { bytes as bytesText } from "./machine.ts";
import { table } from "./table.ts";

export interface AllreduceOptions {
  /** The MPI library; found by itself without. */
  readonly library: string | undefined;
  /** Of each array, bytes, multiples of 4. */
  readonly sizes: readonly number[];
  /** How long the calls of one size take together, at least. */
  readonly seconds: number;
}

/** Times of calls, ms: each that of the rank for which it took longest. */
export interface Measured {
  readonly bytes: number;
  readonly calls: number;
  readonly median: number;
  /** Nine of ten calls took no longer. */
  readonly most: number;
}

/**
 * Measures float32 sums over all ranks, in place, size by size. Every rank calls it; rank 0 prints.
 *
 * @throws ClimaxError "config" for one process by itself, "device" when a sum is wrong
 */
export async function benchAllreduce(
  { library, sizes, seconds }: AllreduceOptions,
  context: Context,
): Promise<void> {
  if ((launchedBy()?.size ?? 1) < 2)
    throw new ClimaxError(
      "config",
      "one process has nobody to exchange arrays with; wanted two or more that a launcher started",
      "mpirun -n 4 climax bench allreduce, or srun climax bench allreduce in a job of several tasks",
    );
  const mpi = loadMpi(library);
  const rows: Measured[] = [];
  for (const size of sizes) {
    const row = await measure(mpi, mpi, size, seconds);
    rows.push(row);
    if (mpi.rank === 0) context.info(`${bytesText(size)}: ${milliseconds(row.median)}`);
  }
  await mpi.finalize();
  if (mpi.rank === 0) context.print(describe(mpi, rows));
}

/** Sums arrays of one size until the time is over, the same number of times on every rank. */
export async function measure(
  { rank, size }: { readonly rank: number; readonly size: number },
  calls: Pick<Collectives, "allreduce" | "barrier">,
  bytes: number,
  seconds: number,
): Promise<Measured> {
  const values = Float32Array.from({ length: bytes / 4 }, (_, i) => (i % 1024) + rank);
  const once = async (): Promise<number> => {
    const before = performance.now();
    await calls.allreduce(values, "sum");
    return performance.now() - before;
  };
  await once(); // opens the connections
  const ranks = (size * (size - 1)) / 2;
  const wrong = values.findIndex((value, i) => value !== size * (i % 1024) + ranks);
  if (wrong >= 0)
    throw new ClimaxError(
      "device",
      `a sum over ${size} ranks is wrong: element ${wrong} of ${values.length} is ${values[wrong]}, wanted ${size * (wrong % 1024) + ranks}`,
      "the MPI library or the network corrupts data: try another library with --mpi LIB",
    );
  values.fill(0); // sums of sums would overflow
  const own: number[] = [];
  const elapsed = new Float64Array(1);
  await calls.barrier();
  const start = performance.now();
  do {
    // Whether the time is over is asked seldom, and between calls that are measured.
    for (let more = 1 + (own.length >> 1); more > 0; more--) own.push(await once());
    elapsed[0] = performance.now() - start;
    await calls.allreduce(elapsed, "max");
  } while (elapsed[0]! < 1000 * seconds && own.length < 10_000);
  const times = Float64Array.from(own);
  await calls.allreduce(times, "max");
  times.sort();
  const at = (part: number): number => times[Math.floor(part * times.length)]!;
  return { bytes, calls: times.length, median: at(0.5), most: at(0.9) };
}

/**
 * GB/s that a rank sends, and receives as much: the best algorithms move 2 (N - 1) / N of an array (Patarasuk and Yuan
 * 2009, "Bandwidth optimal all-reduce algorithms").
 */
export function perRank({ bytes, median }: Measured, ranks: number): number {
  return ((2 * (ranks - 1)) / ranks) * (bytes / median / 1e6);
}

export function describe(
  { version, library, threadLevel, size, hosts }: MpiFacts,
  rows: readonly Measured[],
): string {
  const count = new Set(hosts).size;
  const fastest = rows.reduce((a, b) => (b.bytes / b.median > a.bytes / a.median ? b : a));
  const least = rows.reduce((a, b) => (b.median < a.median ? b : a));
  const parameters = 1e8;
  const gradients = (4 * parameters * fastest.median) / fastest.bytes / 1000;
  return [
    `${version} (${library}), threads ${threadLevel}: ${size} ranks on ${count} host${count === 1 ? "" : "s"}`,
    "",
    table(
      [
        ["float32", "calls", "median", "9 of 10", "GB/s", "GB/s of a rank"],
        ...rows.map((row) => [
          ...[bytesText(row.bytes), `${row.calls}`, milliseconds(row.median), milliseconds(row.most)],
          ...[row.bytes / row.median / 1e6, perRank(row, size)].map((rate) => rate.toPrecision(3)),
        ]),
      ],
      { align: ["right", "right", "right", "right", "right", "right"] },
    ),
    "",
    "Each call's time is that of the rank for which it took longest. GB/s is an array's size over the median; of a rank, " +
      `what each has to send at least, 2 (N - 1) / N of the size.`,
    `A call takes ${milliseconds(least.median)} at least. Gradients of ${parameters / 1e6} million parameters (${(4 * parameters) / 1e6} MB) in ` +
      `pieces of ${bytesText(fastest.bytes)} take ${gradients.toPrecision(2)} s; training overlaps them with the backward pass.`,
  ].join("\n");
}

const milliseconds = (time: number): string => `${time.toFixed(time < 1 ? 4 : time < 100 ? 2 : 0)} ms`;
