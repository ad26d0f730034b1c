/** `climax bench allreduce`: how fast the ranks of a run add up arrays, which is what training asks of a network. */
import { ClimaxError } from "../errors.ts";
import { writeWhole } from "../files/wholefile.ts";
import { BLOCK } from "../ops/wire.ts";
import { launchedBy } from "../parallel/launcher.ts";
import { loadMpi, type MpiFacts } from "../parallel/mpi.ts";
import { kinds } from "../train/scaling.ts";
import type { AllreduceDocument } from "./allreducefile.ts";
import { type Measured, measure } from "./allreducetrials.ts";
import type { Context } from "./command.ts";
import { bytes as bytesText } from "./machine.ts";
import { table } from "./table.ts";

export interface AllreduceOptions {
  /** The MPI library; found by itself without. */
  readonly library: string | undefined;
  /** Of each array, bytes, multiples of 4. */
  readonly sizes: readonly number[];
  /** How long the calls of one size take together for each kind of sum, at least. */
  readonly seconds: number;
  /** File that gets the same numbers, for `climax bench scaling`. */
  readonly json?: string | undefined;
}

/**
 * Measures sums over all ranks, in place, size by size and of all kinds. Every rank calls it; rank 0 prints.
 *
 * @throws ClimaxError "config" for one process by itself, "device" when a sum is wrong
 */
export async function benchAllreduce(
  { library, sizes, seconds, json }: AllreduceOptions,
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
    for (const kind of kinds) {
      const row = await measure(mpi, kind, size, seconds);
      rows.push(row);
      if (mpi.rank === 0) context.info(`${bytesText(size)} ${kind}: ${milliseconds(row.median)}`);
    }
  }
  await mpi.finalize();
  if (mpi.rank > 0) return;
  context.print(describe(mpi, rows));
  if (json !== undefined) await writeWhole(json, `${JSON.stringify(documentOf(mpi, rows), null, 2)}\n`);
}

/** What --json writes; times in milliseconds. */
export function documentOf(
  { version, library, threadLevel, size, hosts }: MpiFacts,
  rows: readonly Measured[],
): AllreduceDocument {
  return {
    ...{ what: "allreduce", version, library, threads: threadLevel, ranks: size, hosts: new Set(hosts).size },
    rows: rows.map(({ kind, bytes, calls, median, most }) => ({
      ...{ kind, bytes, calls, median_ms: median, nine_of_ten_ms: most },
    })),
  };
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
  const [whole, shares, halves] = kinds.map((one) => rows.filter(({ kind }) => kind === one)) as [
    Measured[],
    Measured[],
    Measured[],
  ];
  const fastest = whole.reduce((a, b) => (b.bytes / b.median > a.bytes / a.median ? b : a));
  const least = whole.reduce((a, b) => (b.median < a.median ? b : a));
  const parameters = 1e8;
  const gradients = (4 * parameters * fastest.median) / fastest.bytes / 1000;
  return [
    `${version} (${library}), threads ${threadLevel}: ${size} ranks on ${count} host${count === 1 ? "" : "s"}`,
    "",
    table(
      [
        ["float32", "calls", "median", "9 of 10", "GB/s", "GB/s of a rank", "by shares", "as halves"],
        ...whole.map((row, i) => [
          ...[bytesText(row.bytes), `${row.calls}`, milliseconds(row.median), milliseconds(row.most)],
          ...[row.bytes / row.median / 1e6, perRank(row, size)].map((rate) => rate.toPrecision(3)),
          ...[shares, halves].map((others) => milliseconds(others[i]!.median)),
        ]),
      ],
      { align: Array(8).fill("right") },
    ),
    "",
    "Each call's time is that of the rank for which it took longest. GB/s is an array's size over the median; of a rank, " +
      "what each has to send at least, 2 (N - 1) / N of the size.",
    "By shares, the median where a rank gets the sums of its N-th part and then everybody's part, the two exchanges of " +
      "--shard-optimiser. As halves, with two bytes a number on the way and the host's additions in float32, as --allreduce " +
      `f16 does; whole blocks of ${BLOCK} numbers for each rank. ${whenHalves(whole, halves)}`,
    `A call takes ${milliseconds(least.median)} at least. Gradients of ${parameters / 1e6} million parameters (${(4 * parameters) / 1e6} MB) in ` +
      `pieces of ${bytesText(fastest.bytes)} take ${gradients.toPrecision(2)} s; training overlaps them with the backward pass.`,
  ].join("\n");
}

/** From which size on halves are faster, sizes in ascending order. */
function whenHalves(whole: readonly Measured[], halves: readonly Measured[]): string {
  const sizes = whole.map(({ bytes, median }, i) => ({ bytes, faster: halves[i]!.median < median }));
  const rising = sizes.toSorted((a, b) => a.bytes - b.bytes);
  const from = rising.findLastIndex(({ faster }) => !faster) + 1;
  return from < rising.length
    ? `Here halves are faster from ${bytesText(rising[from]!.bytes)} on.`
    : "Here halves are not faster.";
}

const milliseconds = (time: number): string => `${time.toFixed(time < 1 ? 4 : time < 100 ? 2 : 0)} ms`;
