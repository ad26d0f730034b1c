/** Whether a forecast is in the units of the truth, by its level and how much it varies, and what it may be in instead. */
import type { Field } from "../scores/metric.ts";
import type { Overview } from "./gaps.ts";

/** What is said of a doubtful forecast. */
export interface Doubt {
  /** After "VARIABLE of SYSTEM". */
  readonly text: string;
  /** How to mend it. */
  readonly hint: string;
  /** Not in itself a mistake. */
  readonly harmless?: boolean;
}

/**
 * Kelvin beside Celsius, or metres beside m2 s-2, differ by well over this many times the variation over the globe; a
 * bad forecast does not.
 */
const farOff = 8;
/** A field that follows the truth's pattern so closely has not that many times its contrast, nor so few. */
const followsClosely = { correlation: 0.9, more: 3, less: 1 / 5 };
/**
 * It may be in known other units if its RMSE in them were below this part of that as it is, and its contrast, or its slope
 * on the truth, is their factor to 8 %: a model that exaggerates by half is none that gives knots.
 */
const fitsOtherUnits = { part: 0.5, factor: 0.08 };
/** A forecast without skill has none; one that is so far below has the wrong sign. */
const oppositeCorrelation = -0.7;
/** Nor are these the work of smoothing or of noise, with any likeness at all. */
const followsAtAll = { correlation: 0.3, more: 30, less: 1 / 30 };
/** Numbers that programs write for missing values, in f32. */
const marks = new Set(
  [999, 9999, 99999, 999999, 32767, 32768, 1e15, 1e20, 1e30, 9.96921e36, 9.969209968386869e36]
    .flatMap((mark) => [-mark, mark])
    .map(Math.fround),
);
/** Nearly all numbers are below the least of them, and are not looked up. */
const isMark = (value: number) => Math.abs(value) >= 999 && marks.has(value);
/** Fewer numbers than these may be alike by chance. */
const leastEvidence = 64;

/** Sums over cells of forecast f and truth y. */
interface Sums {
  n: number;
  f: number;
  y: number;
  ff: number;
  yy: number;
  fy: number;
}

/** The levels of the first forecasts, and then of each. */
export class Levels {
  readonly #units: string;
  readonly #sums: Sums = { n: 0, f: 0, y: 0, ff: 0, yy: 0, fy: 0 };
  #found = statisticsOf(this.#sums);
  #raised = false;
  readonly #marks = { forecast: new Map<number, number>(), truth: new Map<number, number>() };

  /** @param units of the truth */
  constructor(units: string) {
    this.#units = units;
  }

  /** Takes in one of the first forecasts; `happened` is NaN where nothing is scored. */
  look(forecast: Field, happened: Field): void {
    const sums = this.#sums;
    for (let i = 0; i < happened.length; i++) {
      const y = happened[i]!;
      if (Number.isNaN(y)) continue;
      const f = forecast[i]!;
      if (isMark(f) || isMark(y)) {
        this.#count(f, y);
        continue;
      }
      sums.n++;
      sums.f += f;
      sums.y += y;
      sums.ff += f * f;
      sums.yy += y * y;
      sums.fy += f * y;
    }
  }

  /** What the first forecasts say. */
  judge(): Doubt | undefined {
    const found = statisticsOf(this.#sums);
    this.#found = found;
    const marked = this.#marked();
    if (marked) {
      this.#raised = true;
      return marked;
    }
    const offLevel = isFarOff(found.forecast, found.truth, found.spread);
    const { n } = this.#sums;
    const offScale =
      n >= leastEvidence &&
      ([followsClosely, followsAtAll].some(
        ({ correlation, more, less }) =>
          found.correlation > correlation && (found.ratio > more || found.ratio < less),
      ) ||
        (found.correlation > followsClosely.correlation && this.#fitsOtherUnits()));
    if (!offLevel && !offScale) return undefined;
    this.#raised = true;
    return doubt(found, this.#units, offLevel);
  }

  /** Whether the first forecasts have the sign turned, where nothing else was wrong with them. */
  opposite(): Doubt | undefined {
    const { correlation } = this.#found;
    if (this.#raised || this.#sums.n < leastEvidence || !(correlation < oppositeCorrelation))
      return undefined;
    return {
      text: `goes the opposite way of the truth: their correlation is ${correlation.toFixed(2)}; is its sign turned?`,
      hint: "change the sign of the numbers: cdo mulc,-1 in.nc out.nc",
    };
  }

  #fitsOtherUnits(): boolean {
    const { ff, yy, fy } = this.#sums;
    const { ratio, correlation } = this.#found;
    const asItIs = ff - 2 * fy + yy;
    return (factors[this.#units] ?? []).some(
      ([factor]) =>
        [ratio, ratio * correlation].some((r) => Math.abs(Math.log(r / factor)) < fitsOtherUnits.factor) &&
        ff / factor ** 2 - (2 * fy) / factor + yy < fitsOtherUnits.part ** 2 * asItIs,
    );
  }

  #count(f: number, y: number): void {
    if (isMark(f)) this.#marks.forecast.set(f, (this.#marks.forecast.get(f) ?? 0) + 1);
    if (isMark(y)) this.#marks.truth.set(y, (this.#marks.truth.get(y) ?? 0) + 1);
  }

  #markedIn(forecast: Field, happened: Field): Doubt | undefined {
    const { truth, spread } = this.#found;
    const far = farOff * spread;
    let any = false;
    for (let i = 0; i < happened.length; i++) {
      const [f, y] = [forecast[i]!, happened[i]!];
      // What is not far off, as nearly all is, need not be looked up.
      if (!(Math.abs(f - truth) > far || Math.abs(y - truth) > far)) continue;
      if (Number.isNaN(y) || !(isMark(f) || isMark(y))) continue;
      this.#count(f, y);
      any = true;
    }
    return any ? this.#marked() : undefined;
  }

  /** A number that marks missing values in files, and that the field itself cannot have. */
  #marked(): Doubt | undefined {
    const { truth, spread } = this.#found;
    for (const [whose, marks] of Object.entries(this.#marks)) {
      const mark = [...marks].find(
        ([value]) => this.#sums.n === 0 || Math.abs(value - truth) > farOff * spread,
      );
      if (!mark) continue;
      const [value, cells] = mark;
      const written = Math.abs(value) < 1e6 ? `${value}` : value.toExponential(5).replace(/\.?0+e/, "e");
      return {
        text:
          `${whose === "truth" ? "is scored against a truth that holds" : "holds"} ${written} in ` +
          `${cells} ${cells === 1 ? "cell" : "cells"}: a missing value that the file does not declare?`,
        hint: `declare it: cdo setctomiss,${written} in.nc out.nc`,
      };
    }
    return undefined;
  }

  /**
   * What a later forecast says, by its mean beside the variation of the truth, its own and that of the first: a field
   * that is zero nearly everywhere at first may vary later. Said once.
   */
  after({ known, forecast, truth }: Overview, field: Field, happened: Field): Doubt | undefined {
    const { spread } = this.#found;
    const marked = this.#raised ? undefined : this.#markedIn(field, happened);
    if (marked) {
      this.#raised = true;
      return marked;
    }
    const [mean, wanted] = [forecast / known, truth / known];
    if (this.#raised || known === 0 || !isFarOff(mean, wanted, spread)) return undefined;
    let squares = 0;
    for (let i = 0; i < happened.length; i++) {
      if (!Number.isNaN(happened[i]!)) squares += (happened[i]! - wanted) ** 2;
    }
    const own = Math.sqrt(squares / known);
    if (!isFarOff(mean, wanted, own)) return undefined;
    this.#raised = true;
    const found = { forecast: mean, truth: wanted, spread: own, ratio: Number.NaN, correlation: Number.NaN };
    return doubt(found, this.#units, true);
  }
}

const isFarOff = (mean: number, wanted: number, spread: number) =>
  spread > 0 && Math.abs(mean - wanted) > farOff * spread;

interface Found {
  /** Means. */
  readonly forecast: number;
  readonly truth: number;
  /** Standard deviation of the truth. */
  readonly spread: number;
  /** That of the forecast over it; NaN: not known. */
  readonly ratio: number;
  readonly correlation: number;
}

function statisticsOf({ n, f, y, ff, yy, fy }: Sums): Found {
  const [mean, wanted] = [f / n, y / n];
  const own = Math.sqrt(Math.max(0, ff / n - mean ** 2));
  const spread = Math.sqrt(Math.max(0, yy / n - wanted ** 2));
  const correlation = (fy / n - mean * wanted) / (own * spread);
  return { forecast: mean, truth: wanted, spread, ratio: own / spread, correlation };
}

function doubt(found: Found, units: string, offLevel: boolean): Doubt {
  const said = offLevel
    ? `averages ${digits(found.forecast)} where the truth averages ${digits(found.truth)}`
    : `varies by ${digits(found.ratio * found.spread)} where the truth varies by ${digits(found.spread)} (standard deviations), in the same pattern`;
  const likely = likelyUnits(found, units, offLevel);
  return {
    text: `${said}: is it in the same units${units === "" || units === "1" ? "" : ` (${units})`}?${likely ? ` It looks like ${likely}` : ""}`,
    hint: "correct the attribute units of its variable, or the numbers; units are converted by what the file says",
  };
}

const digits = (value: number) => value.toPrecision(5);

/** How many times the right number each looks like, by the units of the truth. */
const factors: Readonly<Record<string, readonly (readonly [factor: number, what: string])[]>> = {
  "m2 s-2": [
    [1 / 9.80665, "metres of height"],
    [1 / 98.0665, "decametres of height"],
  ],
  Pa: [[1 / 100, "hectopascals"]],
  "kg kg-1": [[1000, "grams per kilogram"]],
  m: [
    [1000, "millimetres"],
    [100, "centimetres"],
  ],
  "m s-1": [
    [3.6, "kilometres per hour"],
    [1.94384, "knots"],
  ],
  "kg m-2 s-1": [
    [86400, "millimetres per day"],
    [3600, "millimetres per hour"],
    [1 / 1000, "metres per second"],
  ],
  "kg m-2 day-1": [[1 / 86400, "kilograms per square metre and second"]],
  "J m-2": [[1 / 3600, "watts per square metre"]],
  "%": [[1 / 100, "a fraction"]],
  "1": [[100, "per cent"]],
};

/** Zero of the Celsius scale, K. */
const celsius = 273.15;

function likelyUnits({ forecast, truth, spread, ratio }: Found, units: string, offLevel: boolean) {
  if (units === "K") {
    // Its bias and the season of the first dates may add to the difference; nothing else is near.
    return Math.abs(truth - forecast - celsius) < 30 ? "degrees Celsius" : undefined;
  }
  // Means tell a factor better than contrasts do, where they are not near zero.
  const times = offLevel || Math.abs(truth) > spread || Number.isNaN(ratio) ? forecast / truth : ratio;
  return factors[units]?.find(([factor]) => Math.abs(Math.log(times / factor)) < Math.log(1.3))?.[1];
}
