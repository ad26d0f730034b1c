/** Terciles by the week of the year, of the states of a training period or of means over some hours of them. */
import { type CfTime, formatTime, timeParts } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { minuteOfDay, weekOf } from "../sets/seasonal.ts";
import { usualStep } from "./samples.ts";
import type { Truth } from "./truth.ts";
import type { TercileFields, Terciles } from "./usual.ts";

/**
 * Terciles of the training period of a truth; undefined without one. For a valid time those of all training states of
 * the same week of the year (counted from 1 January, the 52nd takes what is left) and time of day; of means, those of
 * the means that begin then. Quantiles are linear between values, as NumPy's. Made for each week when asked for; memory:
 * two fields for each week, and while one is made, the fields of a week of all years.
 */
export function trainingTerciles(truth: Truth, averageHours: number | undefined): Terciles | undefined {
  const { times, path, units } = truth;
  const training = times.map((_, step) => truth.splitOf(step) === "train");
  if (!training.includes(true)) return undefined;
  const step = usualStep(times);
  const count = averageHours === undefined ? 1 : Math.round((averageHours * 3600) / step);
  const starts = new Map<string, number[]>();
  for (const [first, time] of times.entries()) {
    const end = times[first + count - 1];
    const whole = training[first] && training[first + count - 1] && end;
    // Half a second: times are whole milliseconds.
    if (!whole || Math.abs(end.seconds - time.seconds - (count - 1) * step) > 0.5) continue;
    const list = starts.get(keyOf(time));
    if (list) list.push(first);
    else starts.set(keyOf(time), [first]);
  }
  const what = averageHours === undefined ? "states" : `means over ${averageHours} h`;
  return {
    label: `the terciles by week of the year of the ${what} of the training period of ${path}`,
    async field(variable) {
      if (!units.has(variable)) return undefined;
      const made = new Map<string, Promise<TercileFields>>();
      return (_, valid) => {
        const key = keyOf(valid);
        let fields = made.get(key);
        if (!fields) {
          const steps = starts.get(key) ?? uncovered(path, what, valid);
          made.set(key, (fields = tercilesOf(truth, variable, steps, count)));
        }
        return fields;
      };
    },
  };
}

/** Week of the year and minute of the day. */
const keyOf = (time: CfTime) => `${weekOf(time)} ${minuteOfDay(time)}`;

function uncovered(path: string, what: string, valid: CfTime): never {
  const { hour, minute } = timeParts(valid);
  const clock = [hour, minute].map((n) => String(n).padStart(2, "0")).join(":");
  throw new ClimaxError(
    "data",
    `no terciles for ${formatTime(valid)}: the training period of ${path} has no whole ${what} at ${clock} in week ` +
      `${weekOf(valid) + 1} of the year`,
    "give a set whose training period covers the whole year at these hours, or a file of tercile edges: --terciles FILE",
  );
}

async function tercilesOf(
  truth: Truth,
  variable: string,
  steps: readonly number[],
  count: number,
): Promise<TercileFields> {
  const fields: Float32Array[] = [];
  for await (const mean of runningMeans(truth, variable, steps, count)) fields.push(mean);
  const cells = fields[0]!.length;
  const [lower, upper] = [new Float32Array(cells), new Float32Array(cells)];
  const values = new Float32Array(fields.length);
  for (let i = 0; i < cells; i++) {
    for (let k = 0; k < values.length; k++) values[k] = fields[k]![i]!;
    values.sort(); // NaN last
    let known = values.length;
    while (known > 0 && Number.isNaN(values[known - 1]!)) known--;
    lower[i] = quantile(values, known, 1 / 3);
    upper[i] = quantile(values, known, 2 / 3);
  }
  return [lower, upper];
}

/** Linear between the sorted values; NaN of none. */
function quantile(sorted: Float32Array, count: number, at: number): number {
  if (count === 0) return Number.NaN;
  const place = at * (count - 1);
  const below = Math.floor(place);
  const [a, b] = [sorted[below]!, sorted[Math.min(below + 1, count - 1)]!];
  return a + (place - below) * (b - a);
}

/**
 * The means of `count` states from each step on, f32 of sums in f64. Steps rise; what two means share is read once, and
 * `count` states are held.
 */
async function* runningMeans(
  truth: Truth,
  variable: string,
  steps: readonly number[],
  count: number,
): AsyncGenerator<Float32Array> {
  let held = new Map<number, Float32Array>();
  for (const first of steps) {
    const next = new Map<number, Float32Array>();
    for (let step = first; step < first + count; step++) {
      next.set(step, held.get(step) ?? (await truth.read(variable, step)));
    }
    held = next;
    const sum = new Float64Array(held.get(first)!.length);
    for (const state of held.values()) for (let i = 0; i < sum.length; i++) sum[i]! += state[i]!;
    yield Float32Array.from(sum, (x) => x / count);
  }
}
