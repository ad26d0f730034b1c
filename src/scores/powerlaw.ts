/** Power laws: how an error falls with the size of a model, or with the data it learnt from (paper, section 4.5). */
import { ClimaxError } from "../errors.ts";

export interface PowerLawPoint {
  /** Number of parameters, or of training states. */
  readonly size: number;
  readonly error: number;
}

/** error = a size^-b + c */
export interface PowerLaw {
  readonly a: number;
  readonly b: number;
  /** What is left at infinite size; 0 unless it was fitted. */
  readonly c: number;
  /** Standard error of `b`; null when there are no more points than coefficients. */
  readonly standardError: number | null;
  /** Root-mean-square of log(error) - log(fit). */
  readonly residual: number;
  readonly points: number;
}

/** What `fitPowerLaw` does, in a sentence that stands beside its results. */
export const powerLawMethod = {
  plain:
    "error = a N^-b by least squares of log(error), all points alike; standard error of b from the residuals",
  offset:
    "error = a N^-b + c by least squares of log(error), all points alike, 0 <= c < the smallest error; standard error " +
    "of b from the residuals and the curvature in a, b and c",
} as const;

/**
 * Fits a power law by least squares of log(error): a relative misfit counts alike at every size.
 *
 * With an offset, c is searched for between 0 and the smallest error. For each c the line through log(error - c) is
 * fitted with weights ((error - c) / error)^2, by which a misfit of log(error - c) is one of log(error) to first order,
 * and improved by Gauss-Newton steps on log(error) itself.
 *
 * @param offset  whether c is fitted; needs 4 points of 4 sizes
 * @throws        ClimaxError "data" for sizes or errors that are not positive, or of too few sizes
 */
export function fitPowerLaw(points: readonly PowerLawPoint[], offset = false): PowerLaw {
  const sizes = new Set(points.map(({ size }) => size)).size;
  const bad = points.find(
    ({ size, error }) => !(size > 0 && error > 0 && size + error < Number.POSITIVE_INFINITY),
  );
  if (bad) {
    throw new ClimaxError(
      "data",
      `found the error ${bad.error} at size ${bad.size}; a power law has positive numbers only`,
      "leave this point out",
    );
  }
  const wanted = offset ? 4 : 2;
  if (sizes < wanted) {
    throw new ClimaxError(
      "data",
      `found ${sizes} sizes, wanted at least ${wanted} for a power law${offset ? " with an offset" : ""}`,
      offset ? "add sizes, or fit without an offset" : "add sizes",
    );
  }
  return offset ? withOffset(points) : result(points, fitAt(points, 0), 0, false);
}

/** The error that a power law gives at a size. */
export function powerLawAt({ a, b, c }: Pick<PowerLaw, "a" | "b" | "c">, size: number): number {
  return a * size ** -b + c;
}

interface Line {
  readonly logA: number;
  readonly b: number;
}

/** The best a and b for a given c. */
function fitAt(points: readonly PowerLawPoint[], c: number): Line {
  const rows = points.map(({ size, error }) => ({
    x: Math.log(size),
    y: Math.log(error - c),
    weight: ((error - c) / error) ** 2,
  }));
  const start = weightedLine(rows);
  if (c === 0) return { logA: start.intercept, b: -start.slope };
  let line: Line = { logA: start.intercept, b: -start.slope };
  for (let round = 0; round < 20; round++) {
    const next = gaussNewton(points, line, c);
    // A step that makes it worse is left out: the start is then as good as this gets.
    if (!(misfit(points, next, c) < misfit(points, line, c))) break;
    line = next;
  }
  return line;
}

/** One step on a and b: d log(fit) = (share) (d logA - x db), share being the part of the fit that is not c. */
function gaussNewton(points: readonly PowerLawPoint[], { logA, b }: Line, c: number): Line {
  const rows = points.map(({ size, error }) => {
    const x = Math.log(size);
    const power = Math.exp(logA - b * x);
    const share = power / (power + c);
    return { x, y: Math.log(error / (power + c)) / share, weight: share ** 2 };
  });
  const { intercept, slope } = weightedLine(rows);
  return { logA: logA + intercept, b: b - slope };
}

function weightedLine(rows: readonly { x: number; y: number; weight: number }[]): {
  intercept: number;
  slope: number;
} {
  const sum = (of: (row: (typeof rows)[number]) => number) =>
    rows.reduce((total, row) => total + row.weight * of(row), 0);
  const total = sum(() => 1);
  const [x, y] = [sum((row) => row.x) / total, sum((row) => row.y) / total];
  const slope = sum((row) => (row.x - x) * (row.y - y)) / sum((row) => (row.x - x) ** 2);
  return { intercept: y - slope * x, slope };
}

/** Sum of squares of log(error) - log(fit). */
function misfit(points: readonly PowerLawPoint[], { logA, b }: Line, c: number): number {
  return points.reduce((total, { size, error }) => {
    const fit = Math.exp(logA - b * Math.log(size)) + c;
    return total + Math.log(error / fit) ** 2;
  }, 0);
}

function withOffset(points: readonly PowerLawPoint[]): PowerLaw {
  const least = Math.min(...points.map(({ error }) => error));
  const cost = (part: number) => misfit(points, fitAt(points, part * least), part * least);
  // The misfit may have two valleys (c near 0, c near the smallest error): look everywhere, then closely.
  const parts = Array.from({ length: 200 }, (_, i) => i / 200);
  const best = parts.reduce((a, b) => (cost(b) < cost(a) ? b : a));
  let [low, high] = [Math.max(0, best - 1 / 200), Math.min(best + 1 / 200, 1 - 1e-6)];
  while (high - low > 1e-9) {
    const third = (high - low) / 3;
    if (cost(low + third) < cost(high - third)) high -= third;
    else low += third;
  }
  const middle = (low + high) / 2;
  const c = least * (cost(0) <= cost(middle) ? 0 : middle);
  return result(points, fitAt(points, c), c, true);
}

function result(points: readonly PowerLawPoint[], line: Line, c: number, fittedOffset: boolean): PowerLaw {
  const squares = misfit(points, line, c);
  const free = points.length - (fittedOffset ? 3 : 2);
  const variance = free > 0 ? (squares / free) * inverseOfB(points, line, c, fittedOffset) : null;
  return {
    a: Math.exp(line.logA),
    b: line.b,
    c,
    // A flat row of errors does not say what is a and what is c.
    standardError: variance !== null && Number.isFinite(variance) ? Math.sqrt(variance) : null,
    residual: Math.sqrt(squares / points.length),
    points: points.length,
  };
}

/** The entry of b in the inverse of J^T J, J being the slopes of log(fit) in log a, b and, if it was fitted, c. */
function inverseOfB(
  points: readonly PowerLawPoint[],
  { logA, b }: Line,
  c: number,
  fittedOffset: boolean,
): number {
  const rows = points.map(({ size }) => {
    const x = Math.log(size);
    const fit = Math.exp(logA - b * x) + c;
    const share = (fit - c) / fit;
    return { b: -x * share, others: fittedOffset ? [share, 1 / fit] : [share] };
  });
  // What of the column of b the other columns cannot say: its length squared is the inverse of the entry.
  let columns = [...rows[0]!.others.keys()].map((k) => rows.map(({ others }) => others[k]!));
  let column = rows.map((row) => row.b);
  while (columns.length > 0) {
    const [first, ...rest] = columns as [number[], ...number[][]];
    column = without(column, first);
    columns = rest.map((other) => without(other, first));
  }
  return 1 / dot(column, column);
}

const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** A vector less its part along another. */
function without(vector: readonly number[], along: readonly number[]): number[] {
  const part = dot(vector, along) / dot(along, along);
  return vector.map((value, i) => value - part * along[i]!);
}
