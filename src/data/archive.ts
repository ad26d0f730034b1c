// Files as ClimaX sees them: fields by name and level on one grid, at times that all of them have, whatever the
// files were called, counted in or turned round. Files are joined along time and by variable; nothing is read
// before it is asked for.
import { ClimaxError } from "../errors.ts";
import type { AttributeValue, Dataset } from "../files/dataset.ts";
import { describeGrid, type Grid, sameGrid } from "../grid/grid.ts";
import { type Field, type FileFields, fieldsOf, gridOf } from "./fields.ts";
import { openDataset } from "./open.ts";
import { type Calendar, type CfTime, formatTime, parseTime } from "./time.ts";
import { type FieldName, findVariable, parseName, type VariableInfo } from "./variables.ts";
import { spreadOverYears } from "./yearly.ts";

export interface ArchiveVariable {
  /** ClimaX name, with its level: "geopotential_500". */
  name: string;
  info: VariableInfo;
  /** hPa */
  level?: number;
  /** Of what `read` returns. */
  units: string;
  /** Without a time axis: the same field at every step. */
  constant: boolean;
  /** As in the first file that has it, raw. */
  attributes: ReadonlyMap<string, AttributeValue>;
  /** [H, W] on the archive's grid at `times[step]`; NaN where missing. A constant ignores the step. */
  read(step: number): Promise<Float32Array>;
}

export interface Archive {
  paths: string[];
  grid: Grid;
  /** Strictly increasing, and in every variable that is not constant; empty when all are. */
  times: CfTime[];
  variables: Map<string, ArchiveVariable>;
  /** Variables of the files that are not used, and why. */
  unrecognised: { name: string; reason: string }[];
  /** Conversions made and things assumed, to be shown. */
  notes: string[];
  /** Global attributes of the first file. */
  attributes: ReadonlyMap<string, AttributeValue>;
  /** A file says that it comes from a simulated planet, not from weather. */
  synthetic: boolean;
  close(): Promise<void>;
}

export interface ArchiveOptions {
  /** Only these, by name or short name; "geopotential" means all its levels. Default: all that are recognised. */
  variables?: readonly string[];
  /** What to do when one of them is in no file. Default: "error". */
  missing?: "error" | "skip";
  /** Opens one file; for sources other than files on disk. */
  open?: (path: string) => Promise<Dataset>;
}

const latitude = findVariable("lattitude")!;

/**
 * Opens files as one archive.
 * @throws ClimaxError "config" for unknown names; "data" for files that hold nothing known, lack a wanted variable,
 *   have unknown units or times of different calendars; "grid" for grids that are not latitude by longitude or differ.
 */
export async function openArchive(paths: readonly string[], options: ArchiveOptions = {}): Promise<Archive> {
  if (paths.length === 0) {
    throw new ClimaxError("config", "no input file was given; at least one is wanted", "name the files");
  }
  const names = options.variables?.map(parseName);
  const wanted = (info: VariableInfo, level: number | undefined) =>
    !names ||
    names.some((name) => {
      const anyLevel = name.level === undefined || level === undefined;
      return name.info === info && (anyLevel || name.level === level);
    });
  const datasets: Dataset[] = [];
  const close = async () => {
    for (const dataset of datasets) await dataset.close();
  };
  try {
    const files: FileFields[] = [];
    const notes = new Notes();
    for (const path of paths) {
      const dataset = await (options.open ?? openDataset)(path);
      datasets.push(dataset);
      const found = await fieldsOf(dataset, wanted);
      mustHoldSomething(dataset, found);
      for (const note of found.notes) notes.add(note, path);
      files.push(found);
    }
    const { fields, spread } = spreadOverYears(files.flatMap((file) => file.fields));
    for (const { variable, path } of spread)
      notes.add(`${variable.name}: one number a year, taken for all times of that year`, path);
    const asksLatitude = names?.some(({ info }) => info === latitude) ?? false;
    const grid = commonGrid(fields) ?? (asksLatitude ? await gridOf(datasets[0]!) : undefined);
    const { variables, times } = join(fields, grid, notes);
    if (asksLatitude && grid && !variables.has(latitude.name))
      variables.set(latitude.name, latitudeField(grid));
    if (names && options.missing !== "skip") {
      for (const name of names)
        mustHave(
          name,
          variables,
          paths,
          files.flatMap((file) => file.holds),
        );
    }
    if (!grid && fields[0])
      throw new ClimaxError(
        "grid",
        `${fields[0].name} in ${fields[0].path} is one number for the whole globe, and no field gives a grid`,
        "give a file with fields on a grid as well",
      );
    if (!grid)
      throw lacking(
        names ?? [],
        paths,
        files.flatMap((file) => file.holds),
      );
    const unused = files.flatMap(({ unrecognised, refused }) => [
      ...unrecognised,
      ...refused.map(({ name, error }) => ({ name, reason: error.message })),
    ]);
    return {
      paths: [...paths],
      grid,
      times,
      variables,
      unrecognised: unused.filter(({ name }, i) => unused.findIndex((other) => other.name === name) === i),
      notes: notes.lines(),
      attributes: datasets[0]!.attributes,
      synthetic: datasets.some(({ attributes }) =>
        /^(true|1|yes)$/i.test(String(attributes.get("synthetic") ?? "")),
      ),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Notes once each, with the file, or how many files, they are about. */
class Notes {
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

/** A file that gives nothing was not meant: say what it has instead. */
function mustHoldSomething({ path, variables }: Dataset, found: FileFields): void {
  if (found.fields.length === 0 && found.refused[0]) throw found.refused[0].error;
  if (found.holds.length > 0) return;
  const reasons = found.unrecognised.map(({ name, reason }) => {
    const long = variables.get(name)?.attributes.get("long_name");
    return `${name}${long ? ` "${long}"` : ""} (${reason})`;
  });
  const shown = [...reasons.slice(0, 8), ...(reasons.length > 8 ? [`${reasons.length - 8} more`] : [])];
  throw new ClimaxError(
    "data",
    `${path} holds no variable that ClimaX knows; it holds ${shown.join("; ") || "no data at all"}`,
    "if one of them is known under another name, rename it: cdo chname,old,t2m in.nc out.nc (known: z, u, v, t, q, r, t2m, u10, v10, msl, tas, zg...)",
  );
}

function commonGrid(fields: Field[]): Grid | undefined {
  const placed = fields.flatMap(({ grid, name, path }) => (grid ? [{ grid, name, path }] : []));
  const first = placed[0];
  for (const { grid, name, path } of placed) {
    if (!first || sameGrid(first.grid, grid)) continue;
    throw new ClimaxError(
      "grid",
      `the grids differ: ${first.name} in ${first.path} is ${describeGrid(first.grid)}, ${name} in ${path} is ${describeGrid(grid)}`,
      "bring the files to one grid first: climax regrid --res 5.625, each on its own",
    );
  }
  return first?.grid;
}

/** Each cell's own latitude: the reference's input variable of that (misspelt) name. */
function latitudeField(grid: Grid): ArchiveVariable {
  const field = Float32Array.from({ length: grid.lat.length * grid.lon.length }, (_, i) => {
    return grid.lat[Math.floor(i / grid.lon.length)]!;
  });
  return {
    name: latitude.name,
    info: latitude,
    units: latitude.units,
    constant: true,
    attributes: new Map(),
    read: async () => field.slice(),
  };
}

/** When the steps of a variable's parts are: the part, and the step within it, of each instant. */
type Timeline = Map<number, { part: number; index: number }>;

/** Times match to the millisecond, to which they were rounded when decoded. */
const key = (time: CfTime) => Math.round(time.seconds * 1000);

/** One step of a field on the grid; a number for the whole globe is the same everywhere. */
async function readOn(grid: Grid | undefined, field: Field, step: number): Promise<Float32Array> {
  const values = await field.read(step);
  return field.grid || !grid ? values : new Float32Array(grid.lat.length * grid.lon.length).fill(values[0]!);
}

/** Joins fields of the same name along time; all names keep the times that they share. */
function join(
  fields: Field[],
  grid: Grid | undefined,
  notes: Notes,
): { variables: Map<string, ArchiveVariable>; times: CfTime[] } {
  const byName = new Map<string, Field[]>();
  for (const field of fields) byName.set(field.name, [...(byName.get(field.name) ?? []), field]);
  const timed = new Map<string, { parts: Field[]; timeline: Timeline }>();
  const timelines = sharedTimelines(notes);
  for (const [name, all] of byName) {
    const parts = all.filter(({ times }) => times !== undefined);
    if (parts.length > 0) timed.set(name, { parts, timeline: timelines(parts) });
    const rest = parts.length > 0 ? all.filter(({ times }) => !times) : all.slice(1);
    for (const { variable, path } of rest)
      notes.add(`${variable.name} left out: another file gives it`, path);
  }
  const times = sharedTimes(timed, notes, commonCalendar(fields));
  const variables = new Map<string, ArchiveVariable>();
  for (const [name, all] of byName) {
    const { parts, timeline } = timed.get(name) ?? { parts: all, timeline: undefined };
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
        const { part, index } = timeline.get(key(time))!;
        return readOn(grid, parts[part]!, index);
      },
    });
  }
  return { variables, times };
}

/** Timelines of lists of parts, one for all variables whose parts have the very same times. */
function sharedTimelines(notes: Notes): (parts: Field[]) => Timeline {
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

function makeTimeline(parts: Field[], notes: Notes): Timeline {
  const timeline: Timeline = new Map();
  const first = (field: Field) =>
    field.times!.reduce((least, time) => Math.min(least, time.seconds), Infinity);
  const inOrder = [...parts.entries()].sort(([, a], [, b]) => first(a) - first(b));
  for (const [part, { times, path }] of inOrder) {
    let repeated = 0;
    times!.forEach((time, index) => {
      if (timeline.has(key(time))) repeated++;
      else timeline.set(key(time), { part, index });
    });
    const which = repeated === times!.length ? "all" : String(repeated);
    if (repeated > 0)
      notes.add(`${which} of ${times!.length} steps left out, whose times were there already`, path);
  }
  return timeline;
}

function sharedTimes(
  timed: Map<string, { parts: Field[]; timeline: Timeline }>,
  notes: Notes,
  calendar: Calendar,
): CfTime[] {
  const timelines = [...new Set([...timed.values()].map(({ timeline }) => timeline))];
  const union = new Set(timelines.flatMap((timeline) => [...timeline.keys()]));
  const shared = [...union].filter((time) => timelines.every((timeline) => timeline.has(time)));
  const asTime = (milliseconds: number): CfTime => ({ calendar, seconds: milliseconds / 1000 });
  if (shared.length < union.size) {
    const spans = [...timed].map(([name, { parts, timeline }]) => {
      const [start, ...more] = [...timeline.keys()]
        .sort((a, b) => a - b)
        .map((time) => formatTime(asTime(time)));
      const path = parts[0]!.path;
      return { timeline, path, text: `${name}: ${timeline.size} times, ${start} to ${more.at(-1) ?? start}` };
    });
    const fewest = spans.reduce((a, b) => (b.timeline.size < a.timeline.size ? b : a));
    const other = spans.find(({ timeline }) => timeline !== fewest.timeline)!;
    if (shared.length === 0) {
      throw new ClimaxError(
        "data",
        `the variables have no time in common (${fewest.text}; ${other.text})`,
        "give files of the same dates together, or choose variables that have them",
      );
    }
    const lost = `${union.size - shared.length} of ${union.size} times left out`;
    notes.add(`${lost}, which not all variables have (${fewest.text})`, fewest.path);
  }
  return shared.sort((a, b) => a - b).map(asTime);
}

/** The one calendar of all times; standard and proleptic_gregorian are the same since the reform of 1582. */
function commonCalendar(fields: Field[]): Calendar {
  const timed = fields.filter(({ times }) => times && times.length > 0);
  const calendarOf = ({ times }: Field) => times![0]!.calendar;
  const first = timed[0];
  if (!first) return "standard";
  const reform = parseTime("1582-10-15", "proleptic_gregorian").seconds;
  const modern = timed.every(({ times }) => times!.every(({ seconds }) => seconds >= reform));
  const kind = (field: Field) =>
    modern && calendarOf(field) === "proleptic_gregorian" ? "standard" : calendarOf(field);
  const other = timed.find((field) => kind(field) !== kind(first));
  if (other) {
    throw new ClimaxError(
      "data",
      `the calendars differ: ${first.path} counts in ${calendarOf(first)}, ${other.path} in ${calendarOf(other)}`,
      "prepare files of each calendar on their own",
    );
  }
  return calendarOf(first);
}

function mustHave(
  wanted: FieldName,
  variables: Map<string, ArchiveVariable>,
  paths: readonly string[],
  holds: string[],
): void {
  const found = [...variables.values()].some(
    ({ info, level }) => info === wanted.info && (wanted.level === undefined || level === wanted.level),
  );
  if (!found) throw lacking([wanted], paths, holds);
}

function lacking(wanted: FieldName[], paths: readonly string[], holds: string[]): ClimaxError {
  const files = paths.length === 1 ? paths[0] : `the ${paths.length} files (${paths[0]}, ...)`;
  const unique = [...new Set(holds)];
  const same = unique.filter((name) => wanted.some(({ info }) => name.startsWith(`${info.name}_`)));
  return new ClimaxError(
    "data",
    `${wanted.map(({ name }) => name).join(", ")} is not in ${files}; there is ${shorten(unique)}`,
    same.length > 0
      ? `other levels are there: ${shorten(same)}`
      : "give the file that has it as well, or leave the variable out",
  );
}

/** Levels together: "geopotential_50/500/850, 2m_temperature". */
function shorten(names: string[]): string {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const { info, level } = parseName(name);
    groups.set(info.name, [
      ...(groups.get(info.name) ?? []),
      ...(level === undefined ? [] : [String(level)]),
    ]);
  }
  return [...groups]
    .map(([name, levels]) => (levels.length > 0 ? `${name}_${levels.join("/")}` : name))
    .join(", ");
}
