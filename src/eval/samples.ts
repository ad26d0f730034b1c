/** Which forecasts are scored: the initial times and leads that all systems share and the truth can judge. */
import { addHours, type CfTime, formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { BaselineName } from "./baselines.ts";
import type { ForecastSystem } from "./systems.ts";
import type { Truth } from "./truth.ts";

/** One forecast of one variable. */
export interface Sample {
  readonly initial: CfTime;
  readonly leadHours: number;
  /** The truth's state at the valid time. */
  readonly validStep: number;
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
  /** First and last, over all variables. */
  readonly initial: readonly [CfTime, CfTime];
  readonly valid: readonly [CfTime, CfTime];
  /** Steps of the truth that valid times fall on, ascending. */
  readonly validSteps: readonly number[];
  /** Forecasts that have no truth and were skipped. */
  readonly skipped: number;
  /** Forecasts of some systems only, which are not scored. */
  readonly unshared: number;
}

export interface SampleOptions {
  readonly systems: readonly ForecastSystem[];
  readonly truth: Truth;
  readonly variables: readonly string[];
  /** Hours; undefined: all leads above zero that every system has. */
  readonly leads: readonly number[] | undefined;
  readonly baselines: readonly BaselineName[];
  /** What to do with a forecast whose truth is missing. */
  readonly missing: "error" | "skip";
}

/**
 * Finds the samples.
 *
 * @throws ClimaxError "config" for a lead that no forecast has; "data" when the truth of a forecast is missing
 */
export function findSamples(options: SampleOptions): Samples {
  const { systems, truth, variables } = options;
  checkCalendars(systems, truth);
  const steps = new Map(truth.times.map(({ seconds }, step) => [seconds, step]));
  const leads = chooseLeads(systems, options.leads);
  const lacking = new Map<number, CfTime>();
  const validSteps = new Set<number>();
  const used: Sample[] = [];
  let [skipped, unshared] = [0, 0];

  const byVariable = variables.map((variable) => {
    const samples: Sample[] = [];
    for (const initial of initialTimes(systems)) {
      for (const leadHours of leads) {
        const having = systems.filter((system) => system.has(variable, initial, leadHours)).length;
        if (having < systems.length) {
          unshared += having > 0 ? 1 : 0;
          continue;
        }
        const valid = addHours(initial, leadHours);
        const validStep = steps.get(valid.seconds);
        const initialStep = steps.get(initial.seconds);
        const wanted = options.baselines.includes("persistence") ? [initial, valid] : [valid];
        const absent = wanted.filter(({ seconds }) => !steps.has(seconds));
        if (absent.length > 0 || validStep === undefined) {
          for (const time of absent) lacking.set(time.seconds, time);
          skipped++;
          continue;
        }
        validSteps.add(validStep);
        samples.push({ initial, leadHours, validStep, initialStep });
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
  const initial = used.map((sample) => sample.initial);
  const valid = used.map((sample) => addHours(sample.initial, sample.leadHours));
  return {
    byVariable: byVariable.filter(({ samples }) => samples.length > 0),
    initial: ends(initial),
    valid: ends(valid),
    validSteps: [...validSteps].toSorted((a, b) => a - b),
    skipped,
    unshared,
  };
}

/** The two names of the calendar in use mean the same after 1582. */
function checkCalendars(systems: readonly ForecastSystem[], truth: Truth): void {
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

/** Initial times of any system, ascending. */
function initialTimes(systems: readonly ForecastSystem[]): CfTime[] {
  const all = new Map(
    systems.flatMap(({ initialTimes }) => initialTimes.map((time) => [time.seconds, time] as const)),
  );
  return [...all.values()].toSorted((a, b) => a.seconds - b.seconds);
}

function chooseLeads(systems: readonly ForecastSystem[], asked: readonly number[] | undefined): number[] {
  const shared = systems
    .map(({ leads }) => leads)
    .reduce((a, b) => a.filter((lead) => b.includes(lead)))
    .toSorted((a, b) => a - b);
  if (asked === undefined) return shared.filter((lead) => lead > 0);
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
