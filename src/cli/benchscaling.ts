/**
 * `climax bench scaling`: how long steps of one, two and four ranks took, and, as a projection from that or from what is
 * given, how long those of many would.
 */
import { ClimaxError } from "../errors.ts";
import { writeWhole } from "../files/wholefile.ts";
import { BUCKET_BYTES } from "../train/buckets.ts";
import {
  leastCompute,
  messagesOf,
  type Network,
  stagesOf,
  stepOf,
  type Way,
  type Work,
} from "../train/scaling.ts";
import { type MeasuredSums, readAllreduce } from "./allreducefile.ts";
import type { Context } from "./command.ts";
import { type MeasuredRun, readRun } from "./scalingruns.ts";
import { scalingText } from "./scalingtext.ts";

export interface ScalingOptions {
  readonly runs: readonly string[];
  readonly stepSeconds?: number | undefined;
  /** Samples of a rank's step, where no run tells. */
  readonly batchSize: number;
  readonly bytes?: number | undefined;
  readonly parameters?: number | undefined;
  readonly buckets?: number | undefined;
  readonly backward?: number | undefined;
  /** Bytes/s. */
  readonly bandwidth?: readonly number[] | undefined;
  /** Seconds. */
  readonly latency?: number | undefined;
  readonly measured?: string | undefined;
  readonly copy?: number | undefined;
  readonly ranks?: readonly number[] | undefined;
  readonly ranksPerHost?: number | undefined;
  readonly ways?: readonly Way[] | undefined;
  readonly efficiency?: number | undefined;
  readonly json?: string | undefined;
}

/** A number, and where it is from. */
export interface Input {
  readonly value: number;
  readonly from: string;
}

/** A run beside what the formula makes of its network, where that was measured between as many ranks and hosts. */
export interface RunRow extends MeasuredRun {
  /** Seconds of a one-rank run with the same samples of a rank, over the step's. */
  readonly efficiency: number | undefined;
  readonly projection: number | undefined;
}

export interface ProjectedRow {
  readonly ranks: number;
  readonly hosts: number;
  readonly way: Way;
  /** Bytes/s of the network. */
  readonly bandwidth: number;
  /** Of a bucket, seconds; none for one rank. */
  readonly sum: number | undefined;
  readonly algorithm: string | undefined;
  readonly step: number;
  readonly efficiency: number;
  readonly samplesPerSecond: number;
}

export interface LeastRow extends Pick<ProjectedRow, "ranks" | "way" | "bandwidth"> {
  /** Seconds of a step of one rank. */
  readonly compute: number;
}

export interface ScalingReport {
  readonly runs: readonly RunRow[];
  readonly compute: Input | undefined;
  readonly backward: Input;
  readonly bytes: Input;
  readonly buckets: Input;
  readonly samples: number;
  readonly networks: readonly Network[];
  readonly networkFrom: string;
  readonly ways: readonly Way[];
  readonly projected: readonly ProjectedRow[];
  readonly wanted: number | undefined;
  readonly least: readonly LeastRow[];
}

/** @throws ClimaxError "config" for what is lacking or given twice, "data" for files that do not tell */
export async function benchScaling(options: ScalingOptions, context: Context): Promise<void> {
  const runs: MeasuredRun[] = [];
  for (const dir of options.runs) runs.push(await readRun(dir));
  const measured = options.measured === undefined ? undefined : await readAllreduce(options.measured);
  const report = scalingOf(options, runs, measured);
  context.print(scalingText(report));
  if (options.json !== undefined)
    await writeWhole(options.json, `${JSON.stringify(documentOf(report), null, 2)}\n`);
}

/** Everything that is printed, as numbers. */
export function scalingOf(
  options: ScalingOptions,
  found: readonly MeasuredRun[],
  measured: MeasuredSums | undefined,
): ScalingReport {
  checkComparable(found);
  const runs = found.toSorted((a, b) => a.ranks - b.ranks);
  const first = runs[0];
  const compute = computeOf(options, first);
  const bytes = bytesOf(options, runs);
  const buckets = bucketsOf(options, runs, bytes.value);
  const backward = backwardOf(options, first);
  const { networks, from, between } = networksOf(options, measured);
  const shape = { backward: backward.value, bytes: bytes.value, buckets: buckets.value };
  const work: Work | undefined = compute && { ...shape, compute: compute.value };
  const samples = first?.samples ?? options.batchSize;

  const { ways = ["f32"], ranks = [8, 80, 1024], efficiency: wanted } = options;
  const each = <T>(of: (ranks: number, network: Network, way: Way) => T): T[] =>
    networks.flatMap((network) => ways.flatMap((way) => ranks.map((n) => of(n, network, way))));
  const projected = (n: number, network: Network, way: Way): ProjectedRow => {
    const step = stepOf(way, work!, n, network);
    const stages = n > 1 ? stagesOf(way, work!, n, network) : undefined;
    return {
      ...{ ranks: n, hosts: Math.ceil(n / network.perHost), way, bandwidth: network.bandwidth },
      ...{ sum: stages?.during[1], algorithm: stages?.algorithm, step },
      ...{ efficiency: work!.compute / step, samplesPerSecond: (n * samples) / step },
    };
  };
  return {
    runs: runs.map((run) => rowOf(run, runs, between, { ...shape, compute: first!.step })),
    ...{ compute, backward, bytes, buckets, samples, networks, networkFrom: from, ways, wanted },
    projected: work ? each(projected) : [],
    least:
      wanted === undefined
        ? []
        : each((n, network, way) => ({
            ...{ ranks: n, way, bandwidth: network.bandwidth },
            compute: leastCompute(way, shape, n, network, wanted),
          })),
  };
}

function checkComparable(runs: readonly MeasuredRun[]): void {
  const other = runs.find(({ model }) => model !== runs[0]!.model);
  if (!other) return;
  throw new ClimaxError(
    "config",
    `${runs[0]!.dir} and ${other.dir} trained other models, or in another precision; wanted runs that differ in their ranks`,
    "compare runs of one model; look at the settings.yaml of both",
  );
}

function computeOf({ stepSeconds, efficiency }: ScalingOptions, first?: MeasuredRun): Input | undefined {
  if (stepSeconds !== undefined && first)
    throw new ClimaxError(
      "config",
      "found both --step-seconds and runs; each says how long a step takes",
      "leave out one of them",
    );
  if (stepSeconds !== undefined) return { value: stepSeconds, from: "given" };
  if (first?.ranks === 1)
    return { value: first.step, from: `measured, ${first.dir}: median of ${first.times}` };
  if (first)
    return {
      value: first.step - first.waited,
      from: `measured, ${first.dir}: of ${first.ranks} ranks, without the time they waited for one another`,
    };
  if (efficiency !== undefined) return undefined;
  throw new ClimaxError(
    "config",
    "nothing says how long a step of one rank takes",
    "name folders of runs, or give --step-seconds; or ask with --efficiency 0.9 how long it must take",
  );
}

function bytesOf({ bytes, parameters }: ScalingOptions, runs: readonly MeasuredRun[]): Input {
  if (bytes !== undefined && parameters !== undefined)
    throw new ClimaxError(
      "config",
      "found both --bytes and --parameters; each says how large the gradients are",
      "leave out one of them",
    );
  if (bytes !== undefined) return { value: bytes, from: "given" };
  if (parameters !== undefined)
    return { value: 4 * parameters, from: `${parameters / 1e6} million parameters` };
  const run = runs.find((one) => one.bytes !== undefined);
  if (run) return { value: run.bytes!, from: run.dir };
  throw new ClimaxError(
    "config",
    runs.length > 0
      ? "the logs of these runs do not say how large the gradients are"
      : "nothing says how large the gradients are",
    "give --parameters 108e6, or --bytes 432MB",
  );
}

function bucketsOf({ buckets }: ScalingOptions, runs: readonly MeasuredRun[], bytes: number): Input {
  if (buckets !== undefined) return { value: buckets, from: "given" };
  const run = runs.find((one) => one.buckets !== undefined && one.bytes === bytes);
  if (run) return { value: run.buckets!, from: run.dir };
  return { value: Math.max(1, Math.ceil(bytes / BUCKET_BYTES)), from: "of 8 MiB" };
}

function backwardOf({ backward }: ScalingOptions, run?: MeasuredRun): Input {
  if (backward !== undefined) return { value: backward, from: "given" };
  const count = run?.microBatches ?? 1;
  const of = count > 1 ? `of the last of ${count} micro-batches` : "of a step";
  return { value: 2 / 3 / count, from: `assumed: two thirds ${of}` };
}

const usual = { bandwidths: [25e9 / 8, 100e9 / 8, 200e9 / 8], latency: 5e-6, copy: 12e9 };

interface Networks {
  readonly networks: readonly Network[];
  readonly from: string;
  /** What was measured, for runs of as many ranks on as many hosts. */
  readonly between?: { readonly ranks: number; readonly hosts: number; readonly network: Network };
}

/** A measured network by itself; beside a stated one what was measured is what hosts can do. */
function networksOf(options: ScalingOptions, measured: MeasuredSums | undefined): Networks {
  const { bandwidth, latency = usual.latency, copy = usual.copy, ranksPerHost: perHost = 1 } = options;
  const stated = (bandwidths: readonly number[], paces: Network["paces"]): Network[] =>
    bandwidths.map((one) => ({ bandwidth: one, latency, perHost, paces, copy }));
  if (!measured) {
    const unknown = { rate: Infinity, call: 0 };
    const paces = { whole: unknown, shares: unknown, halves: unknown };
    return { networks: stated(bandwidth ?? usual.bandwidths, paces), from: "stated" };
  }
  const { ranks, hosts, fits, path } = measured;
  const own: Network = {
    bandwidth: fits.whole.rate,
    latency: fits.whole.call / messagesOf(ranks), // calls are then made of messages, and of nothing else
    paces: {
      whole: { rate: Infinity, call: 0 },
      shares: { ...fits.shares, call: 0 },
      halves: { ...fits.halves, call: 0 },
    },
    ...{ copy, perHost: Math.ceil(ranks / hosts) },
  };
  const between = { ranks, hosts, network: own };
  const where = `measured, ${path}: ${ranks} ranks on ${hosts} host${hosts === 1 ? "" : "s"}, each size within a factor of ${fits.whole.factor.toPrecision(2)}`;
  if (bandwidth) return { networks: stated(bandwidth, fits), from: `stated; of hosts ${where}`, between };
  if (options.latency !== undefined)
    throw new ClimaxError(
      "config",
      "found --latency and --measured, which says it too",
      "leave out --latency, or give --bandwidth as well: then the network is as stated, and --measured what hosts can do",
    );
  return { networks: [{ ...own, perHost }], from: where, between };
}

function rowOf(
  run: MeasuredRun,
  runs: readonly MeasuredRun[],
  between: Networks["between"],
  work: Work,
): RunRow {
  const single = runs.find(({ ranks, samples }) => ranks === 1 && samples === run.samples);
  const same = between?.ranks === run.ranks && between.hosts === run.hosts;
  return {
    ...run,
    efficiency: single && single.step / run.step,
    projection:
      single && same
        ? stepOf(run.way, { ...work, compute: single.step }, run.ranks, between.network)
        : undefined,
  };
}

/** What --json writes; all in seconds, bytes and bytes a second, null for no limit. */
function documentOf(report: ScalingReport) {
  const { runs, projected, least, networks, networkFrom, ways: _, wanted, ...inputs } = report;
  return {
    what: "scaling",
    measured: runs.map(({ model: __, ...run }) => run),
    projection: {
      note: "PROJECTION: computed from the inputs, not measured",
      inputs: {
        ...inputs,
        networks: networks.map((network) => ({ ...network, from: networkFrom })),
      },
      steps: projected.map((row) => ({ ...row, projection: true })),
      ...(wanted === undefined ? {} : { efficiency: wanted }),
      least_compute: least.map((row) => ({ ...row, projection: true })),
    },
  };
}
