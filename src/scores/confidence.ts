/** Confidence limits of scores and of differences between them, and word of those that have none. */
import {
  type Additive,
  blockLength,
  percentiles,
  Resampler,
  scoreOf,
  twoSidedP,
  widening,
  withoutEach,
} from "./bootstrap.ts";
import type { MetricInfo } from "./metric.ts";
import type { DifferenceRow, Intervals } from "./scoredocument.ts";

export interface BootstrapOptions {
  readonly resamples: number;
  /** 0.95 */
  readonly level: number;
  /** Initial times in a block; undefined: chosen from the scores. */
  readonly block: number | undefined;
  readonly seed: number;
}

/** Fewer forecasts say nothing of how much forecasts differ. */
const fewestForecasts = 8;
const fewestBlocks = 3;

export interface Limits {
  readonly low: number | null;
  readonly high: number | null;
}

export type Difference = Pick<DifferenceRow, "difference" | "low" | "high" | "p" | "better" | "samples">;

/** Limits for one score after the other, all from the same draws; keeps account of those that have none. */
export class Confidence {
  readonly #options: BootstrapOptions;
  readonly #resampler: Resampler;
  /** By the number of blocks. */
  readonly #factors = new Map<number, number>();
  readonly #lacking = new Map<string, number>();
  #made = 0;

  constructor(options: BootstrapOptions) {
    this.#options = options;
    this.#resampler = new Resampler(options.resamples, options.seed);
  }

  /** Limits of a score; null where there are none. */
  limits(score: Additive): Limits {
    const none = { low: null, high: null };
    const value = scoreOf(score);
    const block = this.#block(score, value, () => withoutEach(score));
    if (block === undefined) return none;
    const resampled = this.#resampler.scores(score, block);
    return this.#limits(this.#widen(resampled, value, score, block)) ?? none;
  }

  /**
   * The score of one system minus that of another on the same forecasts, which are drawn together: what is hard or easy
   * for both does not count. A score that is best at zero is compared by its distance from zero.
   */
  difference(own: Additive, other: Additive, better: MetricInfo["better"]): Difference {
    const [x, y] = [scoreOf(own), scoreOf(other)];
    const none = plainDifference(x, y, countOf(own));
    const block = this.#block(own, x - y, () => minus(withoutEach(own), withoutEach(other)));
    if (block === undefined) return none;
    const xs = this.#resampler.scores(own, block);
    const ys = this.#resampler.scores(other, block);
    const differences = this.#widen(minus(xs, ys), x - y, own, block);
    const limits = this.#limits(differences);
    if (limits === undefined) return none;
    const nearer = () =>
      this.#widen(minus(xs.map(Math.abs), ys.map(Math.abs)), Math.abs(x) - Math.abs(y), own, block);
    const compared = better === "zero" ? nearer() : differences;
    const [low, high] = percentiles(compared, this.#options.level)!;
    return { ...none, ...limits, p: twoSidedP(differences), better: verdict(low, high, better) };
  }

  /** How limits were made; null if none were. */
  describe(): Intervals | null {
    const { resamples, level, block = null, seed } = this.#options;
    if (this.#made === 0) return null;
    const blocks =
      block === null
        ? "block lengths by Politis and White (2004, corrected 2009)"
        : `blocks of ${block} initial times`;
    return {
      method:
        `circular block bootstrap over initial times, ${resamples} resamples, ${blocks}, percentiles widened by ` +
        "Student's t of the number of blocks",
      ...{ level, resamples, seed, block },
    };
  }

  /** Why scores have no limits, a sentence for each reason. */
  notes(): string[] {
    return [...this.#lacking].map(([reason, count]) =>
      count === 1
        ? `1 score or difference has no confidence limits: ${reason}`
        : `${count} scores and differences have no confidence limits: ${reason}`,
    );
  }

  /** Length of a block; undefined where there can be no limits. */
  #block(score: Additive, value: number, influence: () => Float64Array): number | undefined {
    if (!Number.isFinite(value)) return undefined;
    if (countOf(score) < fewestForecasts) {
      return this.#without(`fewer than ${fewestForecasts} forecasts say nothing of how they vary`);
    }
    const given = this.#options.block;
    if (given !== undefined && countOf(score) < fewestBlocks * given) {
      return this.#without(
        `their forecasts make fewer than ${fewestBlocks} blocks of ${given} initial times; give a shorter --bootstrap.block`,
      );
    }
    return given ?? blockLength(influence());
  }

  #widen(resampled: Float64Array, value: number, score: Additive, block: number): Float64Array {
    const blocks = countOf(score) / block;
    const factor = this.#factors.get(blocks) ?? widening(blocks, this.#options.level);
    this.#factors.set(blocks, factor);
    return resampled.map((drawn) => value + factor * (drawn - value));
  }

  #limits(scores: Float64Array): Limits | undefined {
    const limits = percentiles(scores, this.#options.level);
    if (limits === undefined) return this.#without("they have no value in some resamples");
    this.#made++;
    return { low: limits[0], high: limits[1] };
  }

  #without(reason: string): undefined {
    this.#lacking.set(reason, (this.#lacking.get(reason) ?? 0) + 1);
  }
}

/** The difference of scores that were not resampled. */
export function plainDifference(own: number, other: number, samples: number): Difference {
  return { difference: finite(own - other), low: null, high: null, p: null, better: null, samples };
}

/** As JSON has it. */
export const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

const countOf = (score: Additive) => score.columns[0]!.length;
const minus = (a: Float64Array, b: Float64Array) => a.map((value, i) => value - b[i]!);

function verdict(low: number, high: number, better: MetricInfo["better"]): DifferenceRow["better"] {
  if (better === undefined || (low <= 0 && high >= 0)) return "tie";
  const smaller = high < 0;
  return smaller === (better !== "high") ? "system" : "versus";
}
