/** Which forecasts are scored: the initial times and leads that all systems share and the truth can judge. */
import { addHours, type CfTime, formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { BaselineName } from "../scores/baselinenames.ts";
import type { ForecastSystem } from "./systems.ts";
import type { Truth } from "./truth.ts";

/** One forecast of one variable. */
export interface Sample {
  readonly initial: CfTime;
  readonly leadHours: number;
  /** The truth's state at the valid time; of a mean over time, all states inside, ascending. */
  readonly validSteps: readonly number[];
  /** The truth's state at the initial time; only persistence needs it. */
  readonly initialStep: number | undefined;
}

export interface Samples {
  readonly byVariable: readonly {
    readonly variable: string;
    /** Hours, ascending. */
    readonly leads: readonly number[];
    /** In order of initial time, then lead. */
    readonly samples: readonly Sample[];
  }[];
  /** First and last, over all variables; of means over time, the last state inside. */
  readonly initial: readonly [CfTime, CfTime];
  readonly valid: readonly [CfTime, CfTime];
  /** Steps of the truth that valid times fall on, ascending. */
  readonly validSteps: readonly number[];
  /** Forecasts that have no truth and were skipped. */
  readonly skipped: number;
  /** Forecasts of some systems only, which are not scored. */
  readonly unshared: number;
  /** Forecasts that no system has, at initial times and leads that they have of others: leads that are missing. */
  readonly absent: number;
}

export interface SampleOptions {
  readonly systems: readonly ForecastSystem[];
  readonly truth: Truth;
  readonly variables: readonly string[];
  /** Hours; undefined: all leads above zero that every system has, with `leadZero` that one too. */
  readonly leads: readonly number[] | undefined;
  readonly leadZero?: boolean;
  readonly baselines: readonly BaselineName[];
  /** What to do with a forecast whose truth is missing. */
  readonly missing: "error" | "skip";
  /** What to do with forecasts that no system has, at initial times that they have of other leads; "skip" unless given. */
  readonly absent?: "error" | "skip";
}

/**
 * Finds the samples.
 *
 * @throws ClimaxError "config" for a lead that no forecast has; "data" when the truth of a forecast is missing, or a
 *         forecast itself
 */
export function findSamples(options: SampleOptions): Samples {
  const { systems, truth, variables } = options;
  checkCalendars(systems, truth);
  const steps = new Map(truth.times.map(({ seconds }, step) => [seconds, step]));
  const leads = chooseLeads(systems, options.leads, options.leadZero ?? false);
  const averageHours = sharedAverage(systems);
  const statesOf = statesInside(truth, averageHours ?? 0);
  const lacking = new Map<number, CfTime>();
  const validSteps = new Set<number>();
  const used: Sample[] = [];
  let [skipped, unshared] = [0, 0];
  const absent: Absent[] = [];

  const byVariable = variables.map((variable) => {
    const samples: Sample[] = [];
    for (const initial of initialTimes(systems)) {
      for (const leadHours of leads) {
        const having = systems.filter((system) => system.has(variable, initial, leadHours)).length;
        if (having < systems.length) {
          if (having > 0) unshared++;
          else absent.push({ variable, initial, leadHours });
          continue;
        }
        const valid = addHours(initial, leadHours);
        const first = steps.get(valid.seconds);
        const { inside, missing } = first === undefined ? { inside: [], missing: valid } : statesOf(first);
        const initialStep = steps.get(initial.seconds);
        const wantsInitial = options.baselines.includes("persistence") && initialStep === undefined;
        const without = [...(wantsInitial ? [initial] : []), ...(missing ? [missing] : [])];
        if (without.length > 0) {
          for (const time of without) lacking.set(time.seconds, time);
          skipped++;
          continue;
        }
        for (const step of inside) validSteps.add(step);
        samples.push({ initial, leadHours, validSteps: inside, initialStep });
      }
    }
    used.push(...samples);
    const present = new Set(samples.map(({ leadHours }) => leadHours));
    return { variable, leads: leads.filter((lead) => present.has(lead)), samples };
  });

  if (skipped > 0 && (options.missing === "error" || used.length === 0)) {
    refuseMissing(truth, [...lacking.values()], skipped, used.length);
  }
  if (used.length === 0) refuseUnshared(systems);
  if (absent.length > 0 && options.absent === "error") refuseAbsent(systems, absent);
  const initial = used.map((sample) => sample.initial);
  const valid = [...validSteps].map((step) => truth.times[step]!);
  return {
    byVariable: byVariable.filter(({ samples }) => samples.length > 0),
    initial: ends(initial),
    valid: ends(valid),
    validSteps: [...validSteps].toSorted((a, b) => a - b),
    skipped,
    unshared,
    absent: absent.length,
  };
}

interface Absent {
  readonly variable: string;
  readonly initial: CfTime;
  readonly leadHours: number;
}

/** The two names of the calendar in use mean the same after 1582. */
export function checkCalendars(systems: readonly ForecastSystem[], truth: Truth): void {
  const plain = (calendar: string | undefined) => calendar?.replace("proleptic_gregorian", "standard");
  for (const { name, calendar } of systems) {
    if (plain(calendar) === plain(truth.calendar)) continue;
    throw new ClimaxError(
      "data",
      `${name} counts time in the ${calendar} calendar, the truth ${truth.path} in the ${truth.calendar} calendar`,
      "score a forecast against a truth of its own calendar",
    );
  }
}

/** Hours that the fields of every system are the mean of. */
function sharedAverage(systems: readonly ForecastSystem[]): number | undefined {
  const [first] = systems;
  const other = systems.find(({ averageHours }) => averageHours !== first?.averageHours);
  if (!first || !other) return first?.averageHours;
  const what = ({ name, averageHours }: ForecastSystem) =>
    `${name} holds ${averageHours === undefined ? "states at single times" : `means over ${averageHours} h`}`;
  throw new ClimaxError(
    "config",
    `${what(first)}, ${what(other)}: they have no truth in common`,
    "score them one by one",
  );
}

/** Some states of the truth, or the first time that is missing among them. */
export interface Inside {
  readonly inside: readonly number[];
  readonly missing: CfTime | undefined;
}

/** The step between states of the truth that occurs most often, seconds; Infinity for less than two states. */
export function usualStep(times: readonly CfTime[]): number {
  const counts = new Map<number, number>();
  for (const [i, { seconds }] of times.slice(1).entries()) {
    const gap = seconds - times[i]!.seconds;
    counts.set(gap, (counts.get(gap) ?? 0) + 1);
  }
  return [...counts].toSorted(([a, m], [b, n]) => n - m || a - b)[0]?.[0] ?? Infinity;
}

/**
 * The steps of the truth from a step on for so many hours, the end not included, and that step itself for no hours.
 * What is missing among them is told by the truth's usual step.
 */
export function statesInside({ times }: Truth, hours: number): (first: number) => Inside {
  const usual = usualStep(times);
  const slack = 1e-3; // seconds: times are whole milliseconds
  return (first) => {
    const end = times[first]!.seconds + hours * 3600;
    const inside = [first];
    for (let step = first; times[step]!.seconds + usual < end - slack; step++) {
      const due = addHours(times[step]!, usual / 3600);
      const next = times[step + 1];
      if (!next || next.seconds > due.seconds + slack) return { inside, missing: due };
      inside.push(step + 1);
    }
    return { inside, missing: undefined };
  };
}

/** Initial times of any system, ascending. */
function initialTimes(systems: readonly ForecastSystem[]): CfTime[] {
  const all = new Map(
    systems.flatMap(({ initialTimes }) => initialTimes.map((time) => [time.seconds, time] as const)),
  );
  return [...all.values()].toSorted((a, b) => a.seconds - b.seconds);
}

function chooseLeads(
  systems: readonly ForecastSystem[],
  asked: readonly number[] | undefined,
  leadZero: boolean,
): number[] {
  const shared = systems
    .map(({ leads }) => leads)
    .reduce((a, b) => a.filter((lead) => b.includes(lead)))
    .toSorted((a, b) => a - b);
  if (asked === undefined) return shared.filter((lead) => lead > 0 || (leadZero && lead === 0));
  const unknown = asked.filter((lead) => !shared.includes(lead));
  if (unknown.length > 0) {
    throw new ClimaxError(
      "config",
      `no forecast with a lead of ${unknown.join(", ")} h; ${systems.length > 1 ? "all systems have" : "there are"} ${shared.join(", ")} h`,
      "choose among these with --leads, or leave it out to score all",
    );
  }
  return [...new Set(asked)].toSorted((a, b) => a - b);
}

function refuseMissing(truth: Truth, lacking: CfTime[], forecasts: number, left: number): never {
  const [first, last] = ends(lacking).map(formatTime);
  const span =
    truth.times.length > 0
      ? `it has ${truth.times.length} states from ${formatTime(truth.times[0]!)} to ${formatTime(truth.times.at(-1)!)}`
      : "it has no states at all";
  if (left === 0) {
    throw new ClimaxError(
      "data",
      `the truth ${truth.path} has none of the times of the forecasts (${first} to ${last}); ${span}`,
      "give the truth of the same dates; a forecast is scored at its initial time plus its lead",
    );
  }
  throw new ClimaxError(
    "data",
    `the truth ${truth.path} lacks ${lacking.length} ${lacking.length === 1 ? "time" : "times"} ` +
      `of ${forecasts} forecast fields, first ${first}, last ${last}; ${span}`,
    "give a truth that covers the initial and the valid times, or score the others only with --missing skip",
  );
}

function refuseAbsent(systems: readonly ForecastSystem[], absent: readonly Absent[]): never {
  const [{ variable, initial, leadHours }] = absent as [Absent];
  const others =
    absent.length > 1
      ? `, nor ${absent.length - 1} other forecast ${absent.length > 2 ? "fields" : "field"}`
      : "";
  throw new ClimaxError(
    "data",
    `${systems.map(({ name }) => name).join(", ")} ${systems.length > 1 ? "have" : "has"} no ${variable} from ` +
      `${formatTime(initial)} for ${leadHours} h${others}: a lead that other initial times have`,
    "give the files that are lacking, choose leads that every initial time has with --leads, or score what is there with --gaps skip",
  );
}

function refuseUnshared(systems: readonly ForecastSystem[]): never {
  const names = systems.map(({ name }) => name).join(", ");
  throw new ClimaxError(
    "data",
    systems.length > 1
      ? `no initial time and lead is in the forecasts of all systems (${names})`
      : `${names} holds no forecast with a lead above zero`,
    "score systems together only where they forecast from the same initial times; give them one by one otherwise",
  );
}

function ends(times: readonly CfTime[]): [CfTime, CfTime] {
  const sorted = times.toSorted((a, b) => a.seconds - b.seconds);
  return [sorted[0]!, sorted.at(-1)!];
}
