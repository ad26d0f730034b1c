/** What SEEPS asks of the climate of precipitation, made of a training period as WeatherBench 2 makes it. */
import { addHours, type CfTime, formatTime, timeParts } from "../data/time.ts";
import { parseUnit } from "../data/units.ts";
import { ClimaxError } from "../errors.ts";
import { dryBelow } from "../scores/seeps.ts";
import { weightedQuantile } from "../scores/weightedquantile.ts";
import { longestYear, minuteOfDay, reach } from "../sets/seasonal.ts";
import type { Truth } from "./truth.ts";
import type { SeepsClimate, SeepsFields } from "./usual.ts";

/** Bytes of states that are kept beyond those of one window. */
const kept = 128 * 2 ** 20;
/** Borders of heavy rain that are kept: forecasts of some initial times ask for the same valid times. */
const bordersKept = 256;
/** Cells whose values are laid side by side. */
const together = 256;

/**
 * The climate of a truth's training period; undefined without one.
 *
 *   dry fraction  the mean over times of day of the fraction of dry days, a year's last day standing for the 366th
 *   heavy         for each day of the year and time of day: 2/3 quantile of the sums that are not dry within 29 days,
 *                 of all years, round the turn of the year, weighted by 1 - |days| / 30 (xarray's weighted quantile)
 *
 * The fraction takes one pass over the training period. Borders are made when asked for; memory: the states of 59 days
 * of all years at one time of day (37 years at 5.625 degrees: 18 MB, at 1.40625: 290 MB).
 */
export function trainingSeeps(truth: Truth): SeepsClimate | undefined {
  const training = truth.times.flatMap((_, step) => (truth.splitOf(step) === "train" ? [step] : []));
  if (training.length === 0) return undefined;
  return {
    async field(variable) {
      const dry = dryBelow.get(variable);
      const units = truth.units.get(variable);
      if (dry === undefined || units === undefined) return undefined;
      const threshold = Math.fround(dry / (parseUnit(units)?.factor ?? 1));
      const days = daysOf(truth, training);
      const dryFraction = await meanDryness(truth, variable, threshold, days);
      const border = borders(truth, variable, threshold, days);
      return async (valid): Promise<SeepsFields> => ({ dryFraction, heavy: await border(valid) });
    },
  };
}

/** Steps by minute of the day and day of the year, from 1. */
interface Days {
  readonly length: number;
  readonly byClock: ReadonlyMap<number, ReadonlyMap<number, readonly number[]>>;
}

function daysOf({ times, calendar }: Truth, training: readonly number[]): Days {
  const length = longestYear(calendar!);
  const byClock = new Map<number, Map<number, number[]>>();
  for (const step of training) {
    const time = times[step]!;
    const clock = minuteOfDay(time);
    let byDay = byClock.get(clock);
    if (!byDay) byClock.set(clock, (byDay = new Map()));
    const { year, dayOfYear } = timeParts(time);
    const isLast = timeParts(addHours(time, 24)).year !== year;
    for (let day = dayOfYear; day <= (isLast ? length : dayOfYear); day++) {
      const steps = byDay.get(day);
      if (steps) steps.push(step);
      else byDay.set(day, [step]);
    }
  }
  return { length, byClock };
}

/** [H * W]; NaN where nothing is known. */
async function meanDryness(
  truth: Truth,
  variable: string,
  threshold: number,
  { byClock }: Days,
): Promise<Float64Array> {
  const cells = truth.grid.lat.length * truth.grid.lon.length;
  const mean = new Float64Array(cells);
  for (const byDay of byClock.values()) {
    const times = new Map<number, number>(); // how many days each step stands for
    for (const steps of byDay.values()) for (const step of steps) times.set(step, (times.get(step) ?? 0) + 1);
    const [dry, known] = [new Float64Array(cells), new Float64Array(cells)];
    for (const [step, count] of times) {
      const state = await truth.read(variable, step);
      for (let i = 0; i < cells; i++) {
        const y = state[i]!;
        if (Number.isNaN(y)) continue;
        known[i]! += count;
        if (y < threshold) dry[i]! += count;
      }
    }
    for (let i = 0; i < cells; i++) mean[i]! += dry[i]! / known[i]! / byClock.size;
  }
  return mean;
}

function borders(
  truth: Truth,
  variable: string,
  threshold: number,
  { length, byClock }: Days,
): (valid: CfTime) => Promise<Float32Array> {
  const made = new Map<string, Float32Array>();
  const held = new Map<number, Float32Array>();
  const bytes = 4 * truth.grid.lat.length * truth.grid.lon.length;
  return async (valid) => {
    const [day, clock] = [timeParts(valid).dayOfYear, minuteOfDay(valid)];
    const key = `${day} ${clock}`;
    const known = made.get(key);
    if (known) return known;
    const window = windowOf(byClock.get(clock), day, length);
    if (window.length === 0) uncovered(truth, valid);
    const wanted = new Set(window.map(({ step }) => step));
    for (const step of held.keys()) {
      if (held.size * bytes <= kept) break;
      if (!wanted.has(step)) held.delete(step);
    }
    for (const step of wanted) if (!held.has(step)) held.set(step, await truth.read(variable, step));
    const border = heavyBorder(
      window.map(({ step, weight }) => ({ state: held.get(step)!, weight })),
      threshold,
    );
    if (made.size >= bordersKept) made.delete(made.keys().next().value!);
    made.set(key, border);
    return border;
  };
}

/** The states about a day, with their weights. */
function windowOf(byDay: ReadonlyMap<number, readonly number[]> | undefined, day: number, length: number) {
  const window: { step: number; weight: number }[] = [];
  for (let offset = -reach; offset <= reach; offset++) {
    const steps = byDay?.get(((day - 1 + offset + length) % length) + 1) ?? [];
    for (const step of steps) window.push({ step, weight: 1 - Math.abs(offset) / (reach + 1) });
  }
  return window;
}

function heavyBorder(
  window: readonly { readonly state: Float32Array; readonly weight: number }[],
  threshold: number,
): Float32Array {
  const cells = window[0]!.state.length;
  const border = new Float32Array(cells);
  const n = window.length;
  const values = new Float32Array(together * n); // [cell, value]
  const weights = new Float64Array(together * n);
  const counts = new Int32Array(together);
  for (let first = 0; first < cells; first += together) {
    const count = Math.min(together, cells - first);
    counts.fill(0);
    for (const { state, weight } of window) {
      for (let c = 0; c < count; c++) {
        const y = state[first + c]!;
        if (!(y >= threshold)) continue;
        const place = c * n + counts[c]!++;
        values[place] = y;
        weights[place] = weight;
      }
    }
    for (let c = 0; c < count; c++) {
      const [start, end] = [c * n, c * n + counts[c]!];
      const [of, by] = [values.subarray(start, end), weights.subarray(start, end)];
      border[first + c] = weightedQuantile(of, by, counts[c]!, 2 / 3);
    }
  }
  return border;
}

function uncovered({ path }: Truth, valid: CfTime): never {
  throw new ClimaxError(
    "data",
    `no border of heavy rain for ${formatTime(valid)}: the training period of ${path} has no state at that time of day ` +
      `within ${reach} days of that day of the year`,
    "give a set whose training period covers the whole year at these hours, or a climatology of WeatherBench 2: --climatology FILE",
  );
}
