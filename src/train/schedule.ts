// The learning rate of each optimiser step: linear warm-up, then half a cosine, then flat.

export interface Schedule {
  /** The rate at the end of the warm-up. */
  readonly lr: number;
  /** Steps of linear growth from `startLr` (step 0) to `lr` (step `warmup - 1`). */
  readonly warmup: number;
  /** The step at which the cosine reaches `endLr`. */
  readonly steps: number;
  /** The rate of step 0 when there is a warm-up; the reference's 1e-8 when left out. */
  readonly startLr?: number;
  /** The rate from step `steps` on; the reference's 1e-8 when left out. */
  readonly endLr?: number;
}

/**
 * The learning rate of optimiser step `step`, counted from 0.
 *
 * After `steps` it stays at `endLr`: the reference's recursion would climb the cosine again.
 *
 * @see Loshchilov and Hutter 2017, arXiv:1608.03983, section 3; ClimaX (arXiv:2301.10343), appendix B
 */
export function learningRate(step: number, schedule: Schedule): number {
  const { lr, warmup, steps, startLr = 1e-8, endLr = 1e-8 } = schedule;
  if (step < warmup) {
    return warmup === 1 ? startLr : startLr + (step * (lr - startLr)) / (warmup - 1);
  }
  if (step >= steps) return endLr;
  return endLr + 0.5 * (lr - endLr) * (1 + Math.cos((Math.PI * (step - warmup)) / (steps - warmup)));
}
