// Which steps of a series are kept, and which are averaged to one: by period, and by multiples of hours of the day.
import { ClimaxError } from "../errors.ts";
import { type CfTime, formatTime, isWithin, parsePeriod } from "./time.ts";

export interface StepOptions {
  /** Hours: keeps the steps at its multiples from midnight; longer than a day, from 1970-01-01. All steps without. */
  every?: number | undefined;
  /** Dates that are kept, as `parsePeriod` takes them. */
  period?: string | undefined;
  /** Takes the mean over each `every` hours in place of the step at its start. */
  average?: boolean | undefined;
}

export interface StepSelection {
  /** The steps whose mean is each step of the output, by number; one each unless averaged. */
  groups: number[][];
  /** Of the output. */
  times: CfTime[];
  /** What was left out, and what a time now stands for. */
  notes: string[];
}

const hour = 3_600_000; // in milliseconds, which times are whole numbers of
const day = 24 * hour;

/**
 * Chooses steps. Means are over [t, t + every), and have t as their time; those that lack a step, at the ends or in a
 * gap, are left out. Every calendar's days begin at midnight, so multiples of 6 h are 00, 06, 12 and 18 in all of them.
 *
 * @param times  in time order; their distances need not be alike
 * @throws ClimaxError (config) for options that leave nothing or that the steps cannot give, (data) for times out of order
 */
export function selectSteps(
  times: readonly CfTime[],
  { every, period, average = false }: StepOptions = {},
): StepSelection {
  mustIncrease(times);
  if (average && every === undefined)
    throw new ClimaxError(
      "config",
      "means were asked for without their length",
      "say over how many hours, such as 24",
    );
  const inside = within(times, period);
  const notes = period === undefined ? [] : [`kept ${inside.length} of ${times.length} steps: ${period}`];
  if (every === undefined)
    return { groups: inside.map((step) => [step]), times: inside.map((step) => times[step]!), notes };

  const width = Math.round(every * hour);
  if (!(width > 0) || Math.abs(width - every * hour) > 1e-3)
    throw new ClimaxError(
      "config",
      `every ${every} h is no step of time`,
      "write a positive number of hours, such as 6",
    );
  const usual = usualDistance(times);
  if (usual !== undefined && width % usual !== 0)
    throw new ClimaxError(
      "config",
      `every ${every} h is no multiple of the steps of the files, which are ${usual / hour} h apart`,
      `choose a multiple of ${usual / hour} h`,
    );
  const chosen = average
    ? means(times, inside, width, usual)
    : thinned(times, inside, width, { every, usual });
  return { ...chosen, notes: [...notes, ...chosen.notes] };
}

const milliseconds = ({ seconds }: CfTime): number => Math.round(seconds * 1000);

function mustIncrease(times: readonly CfTime[]): void {
  const at = times.findIndex((time, i) => i > 0 && !(time.seconds > times[i - 1]!.seconds));
  if (at < 0) return;
  throw new ClimaxError(
    "data",
    `step ${at} (${formatTime(times[at]!)}) does not come after step ${at - 1} (${formatTime(times[at - 1]!)})`,
    "bring the steps into order, each once: cdo sorttimestamp in.nc out.nc",
  );
}

function within(times: readonly CfTime[], period: string | undefined): number[] {
  const all = [...times.keys()];
  if (period === undefined || times.length === 0) return all;
  const stretch = parsePeriod(period, times[0]!.calendar);
  const inside = all.filter((step) => isWithin(times[step]!, stretch));
  if (inside.length > 0) return inside;
  throw new ClimaxError(
    "config",
    `no step lies in ${period}; there are ${times.length} from ${formatTime(times[0]!)} to ${formatTime(times.at(-1)!)}`,
    "choose a period that overlaps with these",
  );
}

/** The distance of more than half of the steps, milliseconds; undefined where there is none. */
function usualDistance(times: readonly CfTime[]): number | undefined {
  const counts = new Map<number, number>();
  for (let i = 1; i < times.length; i++) {
    const distance = milliseconds(times[i]!) - milliseconds(times[i - 1]!);
    counts.set(distance, (counts.get(distance) ?? 0) + 1);
  }
  const [first] = [...counts].sort(([, a], [, b]) => b - a);
  return first && first[1] > (times.length - 1) / 2 ? first[0] : undefined;
}

function thinned(
  times: readonly CfTime[],
  inside: readonly number[],
  width: number,
  { every, usual }: { every: number; usual: number | undefined },
): StepSelection {
  const kept = inside.filter((step) => milliseconds(times[step]!) % width === 0);
  if (kept.length === 0) {
    const some = inside.slice(0, 3).map((step) => formatTime(times[step]!));
    throw new ClimaxError(
      "config",
      `no step lies at a multiple of ${every} h from midnight; the steps are at ${some.join(", ")}${inside.length > 3 ? ", ..." : ""}`,
      usual !== undefined && width > usual
        ? "steps at the middle of what they are means of can be averaged over these hours instead"
        : "shift the times to where the others are: cdo shifttime,-30minutes in.nc out.nc",
    );
  }
  const count = `${kept.length} of ${inside.length}`;
  const daily = usual !== undefined && day % usual === 0 && day % width === 0;
  const note = daily
    ? `kept ${day / width} of ${day / usual} steps a day: ${every}-hourly; ${count}`
    : `kept ${count} steps: those at multiples of ${every} h`;
  return {
    groups: kept.map((step) => [step]),
    times: kept.map((step) => times[step]!),
    notes: kept.length < inside.length ? [note] : [],
  };
}

function means(
  times: readonly CfTime[],
  inside: readonly number[],
  width: number,
  usual: number | undefined,
): StepSelection {
  const every = width / hour;
  if (usual === undefined)
    throw new ClimaxError(
      "data",
      `${times.length} steps at no usual distance: whether ${every} h have all of theirs cannot be told`,
      `bring them to even steps first, or keep single steps every ${every} h`,
    );
  const windows = new Map<number, number[]>();
  for (const step of inside) {
    const window = Math.floor(milliseconds(times[step]!) / width);
    const held = windows.get(window);
    if (held) held.push(step);
    else windows.set(window, [step]);
  }
  const size = width / usual;
  const whole = [...windows].filter(([, steps]) => steps.length === size);
  if (whole.length === 0)
    throw new ClimaxError(
      "config",
      `no stretch of ${every} h from a multiple of ${every} h has all of its ${size} steps`,
      "choose a shorter mean, or a longer period",
    );
  const { calendar } = times[0]!;
  const broken = windows.size - whole.length;
  const lost = [...windows.values()].reduce(
    (sum, steps) => sum + (steps.length === size ? 0 : steps.length),
    0,
  );
  return {
    groups: whole.map(([, steps]) => steps),
    times: whole.map(([window]) => ({ calendar, seconds: (window * width) / 1000 })),
    notes: [
      `every step is the mean of ${size} over ${every} h, and has their beginning as its time; ${whole.length} of ${inside.length}`,
      ...(broken > 0
        ? [
            `left out ${broken} mean${broken > 1 ? "s" : ""} that lack${broken > 1 ? "" : "s"} steps (${lost} steps), at the ends or in gaps`,
          ]
        : []),
    ],
  };
}
