// What dropout and drop path multiply an element by: named by a few words, drawn again wherever it is needed.
import type { Draw, Random } from "../engine/random.ts";

/** Dropout and drop path of the elements of one tensor, as kernels/noise.wgsl computes them. */
export interface Noise {
  /** Probability that an element is dropped; the others are scaled by 1 / (1 - rate). */
  readonly rate: number;
  /** Probability that a sample's branch is dropped as a whole. */
  readonly pathRate: number;
  /** Elements of a sample. */
  readonly share: number;
  /** Draws dropout; drop path takes the stream after it. */
  readonly draw: Draw;
}

/**
 * Draws the noise of one tensor; undefined where nothing is dropped.
 *
 * @param share  elements of a sample
 * @see          Srivastava et al. 2014 (dropout); Huang et al. 2016, arXiv:1603.09382 (stochastic depth)
 */
export function drawNoise(
  random: Random | undefined,
  { rate, pathRate = 0, share }: { rate: number; pathRate?: number; share: number },
): Noise | undefined {
  if (!random) return undefined;
  for (const one of [rate, pathRate]) {
    if (!(one >= 0 && one < 1)) throw new Error(`a dropout rate of ${one} is not in [0, 1)`);
  }
  if (rate === 0 && pathRate === 0) return undefined;
  const draw = random.next();
  random.next(); // the stream of drop path
  return { rate, pathRate, share, draw };
}

/** The words of the shader's `Noise`. */
export function noiseWords({ rate, pathRate, share, draw }: Noise) {
  const threshold = (one: number): number => Math.floor(one * 2 ** 32);
  const { sample, ...words } = draw;
  // Draws go by fours: samples whose elements do not would draw other numbers in a part of a batch than in the whole.
  const first = 4 * Math.ceil((sample * share) / 4);
  return { threshold: threshold(rate), path_threshold: threshold(pathRate), share, ...words, first };
}
