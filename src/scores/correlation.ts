/** Correlations of forecast and truth: of anomalies, and of the fields themselves. */
import type { MetricInfo, SeriesMetric } from "./metric.ts";
import { type AddCells, meansOverForecasts, sumsOverCells } from "./perforecast.ts";

/**
 * Anomaly correlation coefficient of a = f - c and b = y - c, c the climatology.
 *
 *   pooled, centred:  sum w a' b' / sqrt(sum w a'^2 . sum w b'^2), all sums over forecasts and cells,
 *                     a' = a - (unweighted mean of a over forecasts and cells), b' likewise
 *                     (ClimaX and WeatherBench 1 code. The ClimaX code forms one ratio per batch and averages those,
 *                     so that its value depends on the batch size; all forecasts are one batch here.)
 *   per forecast:     mean over n of sum w a b / sqrt(sum w a^2 . sum w b^2)   (WeatherBench 2); a forecast without
 *                     an anomaly, as climatology itself, has none and does not count
 */
export const acc: MetricInfo = {
  title: "ACC",
  unit: "none",
  better: "high",
  needs: ["climatology"],
  make: ({ definition }) => (definition.acc === "pooled, centred" ? pooledCorrelation : meanCorrelation),
};

/** What is left of a variance by the rounding of sums over a million cells: a field that varies less is constant. */
const rounding = 1e-12;

/** Sums over cells of 1, a, b, w, w a, w b, w a b, w a^2, w b^2. */
const anomalyMoments: AddCells = (pair, { weights, inside }, from, to, sums) => {
  const { forecast, truth, climatology } = pair;
  if (climatology === undefined) throw new TypeError("an anomaly correlation needs a climatology");
  const all = inside.length === weights.length;
  let n = 0;
  let a1 = 0;
  let b1 = 0;
  let w1 = 0;
  let wa = 0;
  let wb = 0;
  let wab = 0;
  let waa = 0;
  let wbb = 0;
  for (let k = from; k < to; k++) {
    const i = all ? k : inside[k]!;
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    const c = climatology[i]!;
    const a = forecast[i]! - c;
    const b = y - c;
    const w = weights[i]!;
    n++;
    a1 += a;
    b1 += b;
    w1 += w;
    wa += w * a;
    wb += w * b;
    wab += w * a * b;
    waa += w * a * a;
    wbb += w * b * b;
  }
  const added = [n, a1, b1, w1, wa, wb, wab, waa, wbb];
  for (let j = 0; j < added.length; j++) sums[j]! += added[j]!;
};

const momentsOf = sumsOverCells(9, anomalyMoments);

const meanCorrelation = meansOverForecasts(
  1,
  (pair, cells) => {
    const sums = momentsOf(pair, cells);
    if (sums === undefined) return undefined;
    const [wab, waa, wbb] = sums.subarray(6) as unknown as [number, number, number];
    return waa === 0 || wbb === 0 ? undefined : [wab / Math.sqrt(waa * wbb)];
  },
  ([mean]) => mean!,
);

type Nine = [number, number, number, number, number, number, number, number, number];

const pooledCorrelation: SeriesMetric = {
  kind: "series",
  size: 9,
  measure: momentsOf,
  score(sums) {
    // The centred sums follow from plain ones, so that the mean need not be known beforehand:
    // sum w (a - A)(b - B) = sum w a b - A sum w b - B sum w a + A B sum w.
    const [n, a1, b1, w, wa, wb, wab, waa, wbb] = Array.from(sums) as Nine;
    const [A, B] = [a1 / n, b1 / n];
    const aa = waa - 2 * A * wa + A * A * w;
    const bb = wbb - 2 * B * wb + B * B * w;
    if (!(aa > rounding * waa && bb > rounding * wbb)) return Number.NaN;
    return (wab - A * wb - B * wa + A * B * w) / Math.sqrt(aa * bb);
  },
};

/**
 * Pearson correlation over all forecasts and cells at once, unweighted; cells that are not finite in both are left out
 * (the downscaling scores of microsoft/ClimaX).
 */
export const pearson: MetricInfo = {
  title: "Pearson correlation",
  unit: "none",
  better: "high",
  needs: [],
  make: () => ({
    kind: "series",
    size: 9,
    measure: sumsOverCells(9, fieldMoments),
    score(sums) {
      const [n, f, y, ff, yy, fy, FF, YY, FY] = Array.from(sums) as Nine;
      const varianceF = ff + (FF - (f * f) / n);
      const varianceY = yy + (YY - (y * y) / n);
      if (!(varianceF > rounding * FF && varianceY > rounding * YY)) return Number.NaN;
      return (fy + (FY - (f * y) / n)) / Math.sqrt(varianceF * varianceY);
    },
  }),
};

/**
 * Of blocks of n cells, with F and Y their own means of f and y: sums of n, n F, n Y, of the squares and the product of the
 * deviations from F and Y, and of n F^2, n Y^2, n F Y. They add up over blocks and forecasts, and means of 5e4 beside
 * deviations of 1e2 cost no digits.
 */
const fieldMoments: AddCells = ({ forecast, truth }, { inside }, from, to, sums) => {
  let n = 0;
  // Of deviations from the first value: of a constant field they are exactly zero.
  let f0 = Number.NaN;
  let y0 = Number.NaN;
  let f1 = 0;
  let y1 = 0;
  let ff = 0;
  let yy = 0;
  let fy = 0;
  for (let k = from; k < to; k++) {
    const i = inside[k]!;
    const f = forecast[i]!;
    const y = truth[i]!;
    if (!Number.isFinite(f) || !Number.isFinite(y)) continue;
    if (n === 0) {
      f0 = f;
      y0 = y;
    }
    n++;
    const df = f - f0;
    const dy = y - y0;
    f1 += df;
    y1 += dy;
    ff += df * df;
    yy += dy * dy;
    fy += df * dy;
  }
  if (n === 0) return;
  const [F, Y] = [f0 + f1 / n, y0 + y1 / n];
  const own = [ff - (f1 * f1) / n, yy - (y1 * y1) / n, fy - (f1 * y1) / n];
  const added = [n, n * F, n * Y, ...own, n * F * F, n * Y * Y, n * F * Y];
  for (let j = 0; j < added.length; j++) sums[j]! += added[j]!;
};
