// Mean and standard deviation of fields far too many to hold at once: exact for one field, merged across fields.

/** Of the finite values seen so far. Units: the field's; `squares` is the sum of squared deviations from `mean`. */
export interface Moments {
  count: number;
  mean: number;
  squares: number;
  min: number;
  max: number;
  /** Values that were NaN or infinite; they enter no other number here. */
  missing: number;
}

export function noMoments(): Moments {
  return { count: 0, mean: 0, squares: 0, min: Infinity, max: -Infinity, missing: 0 };
}

/** Moments of one field, every cell with equal weight, by the two-pass formula in f64. */
export function momentsOf(field: Float32Array): Moments {
  let count = 0;
  let sum = 0;
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < field.length; i++) {
    const value = field[i]!;
    if (!Number.isFinite(value)) continue;
    count++;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const mean = count === 0 ? 0 : sum / count;
  let squares = 0;
  for (let i = 0; i < field.length; i++) {
    const deviation = field[i]! - mean;
    if (Number.isFinite(deviation)) squares += deviation * deviation;
  }
  return { count, mean, squares, min, max, missing: field.length - count };
}

/**
 * Moments of two samples taken together, without the cancellation of sum-of-squares formulas.
 * Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", equation 2.1.
 */
export function mergeMoments(a: Moments, b: Moments): Moments {
  const count = a.count + b.count;
  const missing = a.missing + b.missing;
  if (b.count === 0) return { ...a, missing };
  if (a.count === 0) return { ...b, missing };
  const difference = b.mean - a.mean;
  return {
    count,
    mean: a.mean + (difference * b.count) / count,
    squares: a.squares + b.squares + (difference * difference * a.count * b.count) / count,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    missing,
  };
}

/**
 * The divisor that normalises a variable: its population standard deviation (over all cells and steps, without area
 * weights, as ClimaX computes it). A variable that does not vary beyond float32 rounding gets 1, so that it becomes
 * 0 when normalised instead of infinite.
 */
export function standardDeviation({ count, mean, squares }: Moments): { std: number; constant: boolean } {
  const std = count === 0 ? 0 : Math.sqrt(squares / count);
  const constant = std <= Math.abs(mean) * 2 ** -24;
  return { std: constant ? 1 : std, constant };
}

/** Moments of one calendar year. */
export interface YearMoments {
  year: number;
  moments: Moments;
}

/** Adds a field of that year, in place. */
export function addToYear(years: YearMoments[], year: number, moments: Moments): void {
  const own = years.find((one) => one.year === year);
  if (own) own.moments = mergeMoments(own.moments, moments);
  else years.push({ year, moments });
}

/**
 * Mean and deviation as ClimaX's scripts make them (microsoft/ClimaX, nc2np_equally_era5.py), for checkpoints that
 * were trained with theirs. Years count alike whatever their number of states; of a variable on pressure levels
 * the last year replaces all before it (a fault of the script); the mean of total_precipitation is 0, so that it
 * is scaled and never shifted (datamodule). The script leaves out the 366th day: give years without it.
 *
 * @param years  at least one
 */
export function referenceStatistics(
  years: readonly YearMoments[],
  { onPressure, precipitation }: { onPressure: boolean; precipitation: boolean },
): { mean: number; std: number } {
  const ordered = years.toSorted((a, b) => a.year - b.year);
  const kept = onPressure ? ordered.slice(-1) : ordered;
  const average = (of: (moments: Moments) => number) =>
    kept.reduce((sum, { moments }) => sum + of(moments) / kept.length, 0);
  const mean = average((moments) => moments.mean);
  // var(X) = E[var(X | year)] + var(E[X | year])
  const squares = average((moments) => moments.squares / moments.count + (moments.mean - mean) ** 2);
  const { std } = standardDeviation({ ...noMoments(), count: 1, mean, squares });
  return { mean: precipitation ? 0 : mean, std };
}
