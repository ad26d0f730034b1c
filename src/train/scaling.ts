// How long a step of many ranks would take: a projection from what one takes by itself and what a network can do. Pure
// arithmetic, in seconds and bytes; nothing here has been measured.

/** How the ranks exchange gradients: whole or by shares (ZeRO stage 1), f32 or halves on the wire. */
export const ways = ["f32", "f16", "zero", "zero-f16"] as const;
export type Way = (typeof ways)[number];

/** What one rank does in a step. Each rank has the same batch, however many there are. */
export interface Work {
  /** Seconds of a step of one rank by itself, all of its batches. */
  readonly compute: number;
  /** The part of them during which gradients become complete, evenly: the last micro-batch's backward pass. */
  readonly backward: number;
  /** Of all gradients in f32. */
  readonly bytes: number;
  /** Pieces in which they are added up, taken to be of equal size: training's are smaller at both ends (buckets.ts). */
  readonly buckets: number;
}

/** How a sum is made: at once, by shares that are then passed on, or of halves from each rank to each. */
export const kinds = ["whole", "shares", "halves"] as const;
export type Kind = (typeof kinds)[number];

/** What a rank's host can do. */
export interface Pace {
  /** What it adds up and passes on, bytes/s as they are on the wire; infinite where it has not been measured. */
  readonly rate: number;
  /** Seconds that a sum takes at least, of nothing. */
  readonly call: number;
}

export interface Network {
  /** Of a host's card, bytes/s each way. */
  readonly bandwidth: number;
  /** Of one message, seconds. */
  readonly latency: number;
  /** Ranks of a host, neighbours in rank: they share its card. */
  readonly perHost: number;
  /** What the hosts themselves need, whatever the network. */
  readonly paces: Readonly<Record<Kind, Pace>>;
  /** Between device and host, bytes/s each way: WebGPU knows no way from one device to another. */
  readonly copy: number;
}

/** What becomes of a bucket: seconds of each stage it goes through, one after the other; buckets follow one another. */
export interface Stages {
  /** Device to host, the sum over ranks, host to device. */
  readonly during: readonly [down: number, sum: number, up: number];
  /** After AdamW, with nothing to hide behind: a share of the parameters down, all shares gathered, all of them up. */
  readonly after: readonly number[];
  readonly algorithm: "ring" | "halving" | "all to all";
}

/** Bytes of a number on the wire in halves, of one in f32: every 512 have a scale of their own (src/ops/wire.ts). */
export const HALF = 1 / 2 + 1 / 512;

/**
 * Seconds in which each of N ranks passes N - 1 pieces of s / N on: half of a ring allreduce (Patarasuk and Yuan 2009).
 * In a ring each card is passed once each way, however many ranks share it.
 */
export function pass(bytes: number, ranks: number, rate: number, { latency }: Network): number {
  return (ranks - 1) * (bytes / ranks / rate + latency);
}

/**
 * Seconds of a sum by halving and doubling, near neighbours first: as many bytes in 2 log2 N messages. Where N is no
 * power of two, ranks beyond the last give all they have to others first, and get the sums last (Thakur, Rabenseifner and
 * Gropp 2005).
 */
export function halving(bytes: number, ranks: number, rate: number, { latency }: Network): number {
  const doublings = Math.floor(Math.log2(ranks));
  const power = 2 ** doublings;
  const beyond = power < ranks ? 2 * (bytes / rate + latency) : 0;
  return 2 * ((1 - 1 / power) * (bytes / rate) + doublings * latency) + beyond;
}

/**
 * Seconds in which every rank gives every other its piece of s / N: where ranks share a card, all that they have for other
 * hosts goes through it, while in a ring of neighbours only one of them sends there.
 */
export function allToAll(bytes: number, ranks: number, rate: number, network: Network): number {
  const { perHost, bandwidth, latency } = network;
  const piece = bytes / ranks;
  const card = (perHost * Math.max(0, ranks - perHost) * piece) / bandwidth;
  return Math.max(((ranks - 1) * piece) / rate, card) + (ranks - 1) * latency;
}

/** Bytes/s at which ranks pass pieces on: the slower of network and host. */
function rateOf(ranks: number, { bandwidth, perHost }: Network, { rate }: Pace): number {
  return ranks <= perHost && rate < Infinity ? rate : Math.min(bandwidth, rate);
}

/** Two ranks or more. */
export function stagesOf(way: Way, { bytes, buckets }: Work, ranks: number, network: Network): Stages {
  const { whole, shares, halves } = network.paces;
  const full = bytes / buckets;
  const sent = way.endsWith("f16") ? HALF * full : full;
  const copied = sent / network.copy;
  const [share, back] = [full / ranks / network.copy, full / network.copy];
  // A call of `shares` is two, of which this is one.
  const gathered = shares.call / 2 + pass(full, ranks, rateOf(ranks, network, shares), network);
  const halfRate = rateOf(ranks, network, halves);
  const scattered = allToAll(sent, ranks, halfRate, network);

  if (way === "zero")
    return { during: [copied, gathered, share], after: [share, gathered, back], algorithm: "ring" };
  if (way === "zero-f16") {
    const during = [copied, halves.call / 2 + scattered, share] as const;
    return { during, after: [share, gathered, back], algorithm: "all to all" };
  }
  if (way === "f16") {
    const sum = halves.call + scattered + pass(sent, ranks, halfRate, network);
    return { during: [copied, sum, copied], after: [], algorithm: "all to all" };
  }
  const rate = rateOf(ranks, network, whole);
  const [ring, tree] = [2 * pass(full, ranks, rate, network), halving(full, ranks, rate, network)];
  const during = [copied, whole.call + Math.min(ring, tree), copied] as const;
  return { during, after: [], algorithm: tree < ring ? "halving" : "ring" };
}

/** Seconds in which `count` equal pieces go through stages that each take one piece at a time. */
export function pipeline(stages: readonly number[], count: number): number {
  return stages.reduce((sum, one) => sum + one, 0) + (count - 1) * Math.max(...stages);
}

/**
 * Seconds of a step of `ranks` ranks. The gradients of bucket i of k are complete at (1 - b) c + b c i / k; the stages
 * that follow take one bucket at a time, in order, and different ones at once.
 */
export function stepOf(way: Way, work: Work, ranks: number, network: Network): number {
  const { compute, backward, buckets } = work;
  if (ranks === 1) return compute;
  const { during, after } = stagesOf(way, work, ranks, network);
  const ready = (backward * compute) / buckets;
  const tail = after.length > 0 ? pipeline(after, buckets) : 0;
  return (1 - backward) * compute + pipeline([ready, ...during], buckets) + tail;
}

/**
 * The least compute, seconds a step, at which `ranks` ranks have this efficiency: c / t(c), t as of `stepOf`. That is the
 * larger of two: where the backward pass is the slowest stage, and where another is.
 *
 * @param efficiency  above 0, below 1
 */
export function leastCompute(
  way: Way,
  work: Omit<Work, "compute">,
  ranks: number,
  network: Network,
  efficiency: number,
): number {
  if (ranks === 1) return 0;
  const { backward, buckets } = work;
  const { during, after } = stagesOf(way, { ...work, compute: 0 }, ranks, network);
  const tail = after.length > 0 ? pipeline(after, buckets) : 0;
  const once = during.reduce((sum, one) => sum + one, 0) + tail;
  const hidden = (efficiency * once) / (1 - efficiency);
  const shown =
    (efficiency * (once + (buckets - 1) * Math.max(...during))) /
    (1 - efficiency * (1 - backward + backward / buckets));
  return Math.max(hidden, shown);
}

/** What measured sums of several sizes say. */
export interface Fitted {
  /** Seconds that a sum of nothing takes. */
  readonly call: number;
  /** What a rank passes on, bytes/s. */
  readonly rate: number;
  /** Largest ratio of a measured time and the fitted one, either way; 1 where all lie on the line. */
  readonly factor: number;
}

/**
 * Fits T = call + 2 (N - 1) / N s / rate to times of sums over N ranks by their ratios: the times of small and large arrays
 * differ by orders of magnitude, and too fast is as wrong as too slow.
 *
 * @param rows  of two sizes at least
 * @returns     undefined where larger arrays take no longer
 */
export function fitSums(
  rows: readonly { readonly bytes: number; readonly seconds: number }[],
  ranks: number,
): Fitted | undefined {
  let weights = rows.map(({ seconds }) => 1 / seconds ** 2);
  let [call, slope] = [0, 0];
  // Least squares whose weights make them those of logarithms, at the line of the round before.
  for (let round = 0; round < 50; round++) {
    const sum = (of: (x: number, t: number) => number): number =>
      rows.reduce((total, { bytes, seconds }, i) => total + weights[i]! * of(bytes, seconds), 0);
    const [w, x, xx] = [sum(() => 1), sum((s) => s), sum((s) => s * s)];
    const [t, xt] = [sum((_, time) => time), sum((s, time) => s * time)];
    [call, slope] = [(xx * t - x * xt) / (w * xx - x * x), (w * xt - x * t) / (w * xx - x * x)];
    if (call < 0) [call, slope] = [0, xt / xx];
    if (!(slope > 0)) return undefined;
    weights = rows.map(({ bytes, seconds }) => {
      const line = call + slope * bytes;
      const off = line / seconds - 1;
      return (Math.abs(off) < 1e-9 ? 1 : Math.log1p(off) / off) / (seconds * line);
    });
  }
  const ratios = rows.map(({ bytes, seconds }) => (call + slope * bytes) / seconds);
  const factor = Math.max(...ratios.map((ratio) => Math.max(ratio, 1 / ratio)));
  return { call, rate: (2 * (ranks - 1)) / ranks / slope, factor };
}

/** Messages of a small sum, one after the other, as `halving` counts them: what its latency is shared among. */
export function messagesOf(ranks: number): number {
  const doublings = Math.floor(Math.log2(ranks));
  return 2 * doublings + (2 ** doublings < ranks ? 2 : 0);
}
