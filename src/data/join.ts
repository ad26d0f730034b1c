// Fields of many files as one: the same name joined along time, all names at the times that they share.
import { ClimaxError } from "../errors.ts";
import type { AttributeValue } from "../files/dataset.ts";
import { describeGrid, type Grid, sameGrid } from "../grid/grid.ts";
import type { ArchiveVariable } from "./archive.ts";
import type { Field } from "./fields.ts";
import { type Calendar, type CfTime, formatTime, parseTime } from "./time.ts";

/** A field of one of the files, which holds nothing of the file itself. */
export interface Part extends Omit<Field, "variable"> {
  variable: { name: string; attributes: ReadonlyMap<string, AttributeValue> };
}

/** Notes once each, with the file, or how many files, they are about. */
export class Notes {
  readonly #paths = new Map<string, Set<string>>();

  add(note: string, path: string): void {
    this.#paths.set(note, (this.#paths.get(note) ?? new Set()).add(path));
  }

  lines(): string[] {
    return [...this.#paths].map(([note, paths]) => {
      const [first] = paths;
      return `${first}${paths.size > 1 ? ` and ${paths.size - 1} more` : ""}: ${note}`;
    });
  }
}

/** Degrees between two grids that are taken for one, from which on it is said; float32 rounds 360 by 3e-5. */
const worthSaying = 1e-4;

/**
 * The grid of all the fields, that of the first; undefined when none has one.
 * @throws ClimaxError "grid" when they differ
 */
export function commonGrid(parts: readonly Part[], notes: Notes): Grid | undefined {
  const first = parts.find(({ grid }) => grid);
  const checked = new Set([first?.grid]);
  for (const { grid, name, path } of parts) {
    if (!grid || checked.has(grid)) continue;
    checked.add(grid);
    if (!sameGrid(first!.grid!, grid))
      throw new ClimaxError(
        "grid",
        `the grids differ: ${first!.name} in ${first!.path} is ${describeGrid(first!.grid!)}, ${name} in ${path} is ${describeGrid(grid)}`,
        "bring the files to one grid first: climax regrid --res 5.625, each on its own",
      );
    const apart = Math.max(
      ...grid.lat.map((lat, i) => Math.abs(lat - first!.grid!.lat[i]!)),
      ...grid.lon.map((lon, i) => Math.abs(lon - first!.grid!.lon[i]!)),
    );
    if (apart > worthSaying)
      notes.add(
        `its grid lies up to ${apart.toPrecision(2)} degrees from that of ${first!.path}; taken as the same`,
        path,
      );
  }
  return first?.grid;
}

/** When the steps of a variable's parts are: the part, and the step within it, of each instant, in order of time. */
interface Timeline {
  /** Milliseconds, to which times were rounded when decoded: so they match exactly. */
  instants: Float64Array;
  part: Int32Array;
  index: Int32Array;
}

const instant = (time: CfTime) => Math.round(time.seconds * 1000);

/** Where an instant stands in a timeline; -1 when it does not. */
function find({ instants }: Timeline, wanted: number): number {
  let [low, high] = [0, instants.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (instants[middle]! < wanted) low = middle + 1;
    else if (instants[middle]! > wanted) high = middle - 1;
    else return middle;
  }
  return -1;
}

/** One step of a field on the grid; a number for the whole globe is the same everywhere. */
async function readOn(grid: Grid | undefined, part: Part, step: number): Promise<Float32Array> {
  const values = await part.read(step);
  return part.grid || !grid ? values : new Float32Array(grid.lat.length * grid.lon.length).fill(values[0]!);
}

/**
 * Joins fields of the same name along time; all names keep the times that they share.
 * @throws ClimaxError "data" for times of different calendars, or when no time is shared
 */
export function join(
  all: readonly Part[],
  grid: Grid | undefined,
  notes: Notes,
): { variables: Map<string, ArchiveVariable>; times: CfTime[] } {
  const byName = new Map<string, Part[]>();
  for (const part of all) {
    const parts = byName.get(part.name);
    if (parts) parts.push(part);
    else byName.set(part.name, [part]);
  }
  const timed = new Map<string, { parts: Part[]; timeline: Timeline }>();
  const timelines = sharedTimelines(notes);
  for (const [name, every] of byName) {
    const parts = every.filter(({ times }) => times !== undefined);
    if (parts.length > 0) timed.set(name, { parts, timeline: timelines(parts) });
    const rest = parts.length > 0 ? every.filter(({ times }) => !times) : every.slice(1);
    for (const { variable, path } of rest)
      notes.add(`${variable.name} left out: another file gives it`, path);
  }
  const times = sharedTimes(timed, notes, commonCalendar(all));
  const variables = new Map<string, ArchiveVariable>();
  for (const [name, every] of byName) {
    const { parts, timeline } = timed.get(name) ?? { parts: every, timeline: undefined };
    const { info, level, variable } = parts[0]!;
    variables.set(name, {
      name,
      info,
      ...(level === undefined ? {} : { level }),
      units: info.units,
      constant: timeline === undefined,
      attributes: variable.attributes,
      read: async (step) => {
        if (!timeline) return readOn(grid, parts[0]!, 0);
        const time = times[step];
        if (!time) throw new RangeError(`step ${step} of ${name}; there are ${times.length}`);
        const at = find(timeline, instant(time));
        return readOn(grid, parts[timeline.part[at]!]!, timeline.index[at]!);
      },
    });
  }
  return { variables, times };
}

/** Timelines of lists of parts, one for all variables whose parts have the very same times. */
function sharedTimelines(notes: Notes): (parts: Part[]) => Timeline {
  const identity = new Map<CfTime[], number>();
  const made = new Map<string, Timeline>();
  return (parts) => {
    const signature = parts
      .map(({ times }) => identity.get(times!) ?? identity.set(times!, identity.size).size - 1)
      .join();
    const timeline = made.get(signature) ?? makeTimeline(parts, notes);
    made.set(signature, timeline);
    return timeline;
  };
}

function makeTimeline(parts: Part[], notes: Notes): Timeline {
  const first = ({ times }: Part) => times!.reduce((least, time) => Math.min(least, time.seconds), Infinity);
  const inOrder = parts
    .map((part, at) => ({ part, at, first: first(part) }))
    .sort((a, b) => a.first - b.first);
  const known = new Set<number>();
  const steps: { instant: number; part: number; index: number }[] = [];
  for (const { part, at } of inOrder) {
    const times = part.times!;
    let repeated = 0;
    for (const [index, time] of times.entries()) {
      const when = instant(time);
      if (known.has(when)) repeated++;
      else {
        known.add(when);
        steps.push({ instant: when, part: at, index });
      }
    }
    const which = repeated === times.length ? "all" : String(repeated);
    if (repeated > 0)
      notes.add(`${which} of ${times.length} steps left out, whose times were there already`, part.path);
  }
  steps.sort((a, b) => a.instant - b.instant);
  return {
    instants: Float64Array.from(steps, (step) => step.instant),
    part: Int32Array.from(steps, (step) => step.part),
    index: Int32Array.from(steps, (step) => step.index),
  };
}

function sharedTimes(
  timed: Map<string, { parts: Part[]; timeline: Timeline }>,
  notes: Notes,
  calendar: Calendar,
): CfTime[] {
  const timelines = [...new Set([...timed.values()].map(({ timeline }) => timeline))];
  const [one, ...others] = timelines;
  if (!one) return [];
  const shared = one.instants.filter((when) => others.every((timeline) => find(timeline, when) >= 0));
  const asTime = (milliseconds: number): CfTime => ({ calendar, seconds: milliseconds / 1000 });
  if (timelines.some(({ instants }) => instants.length > shared.length)) {
    const union = new Set<number>();
    for (const { instants } of timelines) for (const when of instants) union.add(when);
    const spans = [...timed].map(([name, { parts, timeline }]) => {
      const { instants } = timeline;
      const [start, end] = [instants[0], instants.at(-1)].map((when) =>
        when === undefined ? "none" : formatTime(asTime(when)),
      );
      return {
        ...{ timeline, path: parts[0]!.path },
        text: `${name}: ${instants.length} times, ${start} to ${end}`,
      };
    });
    const fewest = spans.reduce((a, b) => (b.timeline.instants.length < a.timeline.instants.length ? b : a));
    const other = spans.find(({ timeline }) => timeline !== fewest.timeline)!;
    if (shared.length === 0)
      throw new ClimaxError(
        "data",
        `the variables have no time in common (${fewest.text}; ${other.text})`,
        "give files of the same dates together, or choose variables that have them",
      );
    const lost = `${union.size - shared.length} of ${union.size} times left out`;
    notes.add(`${lost}, which not all variables have (${fewest.text})`, fewest.path);
  }
  return Array.from(shared, asTime);
}

/** The one calendar of all times; standard and proleptic_gregorian are the same since the reform of 1582. */
function commonCalendar(parts: readonly Part[]): Calendar {
  const axes = new Map<CfTime[], Part>();
  for (const part of parts) if (part.times?.length && !axes.has(part.times)) axes.set(part.times, part);
  const timed = [...axes.values()];
  const calendarOf = ({ times }: Part) => times![0]!.calendar;
  const first = timed[0];
  if (!first) return "standard";
  const reform = parseTime("1582-10-15", "proleptic_gregorian").seconds;
  const modern = timed.every(({ times }) => times!.every(({ seconds }) => seconds >= reform));
  const kind = (part: Part) =>
    modern && calendarOf(part) === "proleptic_gregorian" ? "standard" : calendarOf(part);
  const other = timed.find((part) => kind(part) !== kind(first));
  if (other) {
    throw new ClimaxError(
      "data",
      `the calendars differ: ${first.path} counts in ${calendarOf(first)}, ${other.path} in ${calendarOf(other)}`,
      "prepare files of each calendar on their own",
    );
  }
  return calendarOf(first);
}
