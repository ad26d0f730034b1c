/** Forecast systems: the files of each joined, so that a forecast is found by variable, initial time and lead. */
import { basename, extname } from "node:path";
import { type CfTime, formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid, sameGrid } from "../grid/grid.ts";
import { baselineNames } from "./baselines.ts";
import { type ForecastFile, openForecastFile } from "./forecastfile.ts";

export interface ForecastSystem {
  readonly name: string;
  readonly paths: readonly string[];
  readonly grid: Grid;
  /** Of its first initial time. */
  readonly calendar: string | undefined;
  readonly synthetic: boolean;
  /** Ascending. */
  readonly initialTimes: readonly CfTime[];
  /** Hours, ascending; not every initial time need have every lead. */
  readonly leads: readonly number[];
  /** Units by ClimaX name. */
  readonly units: ReadonlyMap<string, string>;
  /** Members of its ensemble; 1 for a single forecast. */
  readonly members: number;
  /** Each field is the mean of the states from its valid time on for so many hours; undefined: the state at that time. */
  readonly averageHours: number | undefined;
  /** Name of the region that the grid is, if its files give one. */
  readonly region: string | undefined;
  has(variable: string, initial: CfTime, leadHours: number): boolean;
  /**
   * [H * W], ClimaX units; the first member unless another is asked for. A forecast that it does not have is a
   * RangeError.
   */
  read(variable: string, initial: CfTime, leadHours: number, member?: number): Promise<Float32Array>;
}

export interface Systems {
  readonly systems: readonly ForecastSystem[];
  /** Conversions and what was taken as one system. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/**
 * Opens forecast files and joins those of one system: files of one given name, or, without names, files that say
 * the same system (or none) and do not hold the same forecast twice.
 *
 * @param names    one for all files, or one for each
 * @param leadZero take files without a lead as forecasts of lead 0
 * @throws ClimaxError "config" when names and files do not match or name a baseline; "data" when a forecast is there twice
 */
export async function openSystems(
  paths: readonly string[],
  names?: readonly string[],
  leadZero = false,
): Promise<Systems> {
  if (names && names.length !== 1 && names.length !== paths.length) {
    throw new ClimaxError(
      "config",
      `${names.length} names for ${paths.length} forecast files`,
      "give --name once, or once for each file in their order",
    );
  }
  const files: ForecastFile[] = [];
  const close = async () => {
    for (const file of files) await file.close();
  };
  try {
    for (const path of paths) files.push(await openForecastFile(path, leadZero));
    const groups = names
      ? byName(files.map((file, i) => [names.length === 1 ? names[0]! : names[i]!, file]))
      : byContent(files);
    const systems = groups.map(({ name, files }) => joinFiles(name, files));
    const notes = files.flatMap((file) => file.notes);
    for (const { name, files } of groups) {
      if (!names && files.length > 1) {
        notes.push(
          `${files.length} files, ${files[0]!.path} to ${files.at(-1)!.path}, are one system, ${name}; --name says otherwise`,
        );
      }
    }
    return { systems, notes, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Holds `--control` to what there is.
 *
 * @throws ClimaxError "config" when no system has members, or one is named as the control of another
 */
export function checkControl(systems: readonly Pick<ForecastSystem, "name" | "members">[]): void {
  const ensembles = systems.filter(({ members }) => members > 1);
  if (ensembles.length === 0) {
    throw new ClimaxError(
      "config",
      `--control wants an ensemble; ${systems.map(({ name }) => name).join(", ")} has one member`,
      "leave --control out, or make members: climax forecast --ensemble.members 10",
    );
  }
  const controls = new Set(ensembles.map(controlName));
  const clash = systems.find(({ name }) => controls.has(name));
  if (!clash) return;
  throw new ClimaxError(
    "config",
    `a system is named ${clash.name}, as the control of an ensemble is`,
    "give it another name with --name",
  );
}

/** The name of an ensemble's first member, scored as a system of its own. */
export const controlName = ({ name }: Pick<ForecastSystem, "name">) => `${name} control`;

interface Group {
  name: string;
  files: ForecastFile[];
}

function byName(named: readonly (readonly [string, ForecastFile])[]): Group[] {
  const groups = new Map<string, ForecastFile[]>();
  for (const [name, file] of named) {
    if ((baselineNames as readonly string[]).includes(name)) {
      throw new ClimaxError(
        "config",
        `a system is named ${name}, as a baseline is`,
        "give it another name with --name",
      );
    }
    groups.set(name, [...(groups.get(name) ?? []), file]);
  }
  return [...groups].map(([name, files]) => ({ name, files }));
}

function byContent(files: readonly ForecastFile[]): Group[] {
  const groups: { says: string | undefined; files: ForecastFile[] }[] = [];
  for (const file of files) {
    const fitting = groups.find(
      (group) => group.says === file.system && !group.files.some((other) => sharedForecast(file, other)),
    );
    if (fitting) fitting.files.push(file);
    else groups.push({ says: file.system, files: [file] });
  }
  const stem = ({ path }: ForecastFile) => basename(path, extname(path));
  const unique = (name: string | undefined) => groups.filter(({ says }) => says === name).length === 1;
  const named = groups.map(({ says, files }) => ({
    name: says !== undefined && unique(says) ? says : stem(files[0]!),
    files,
  }));
  // Two files of one name in two folders.
  const clash = new Set(named.map(({ name }) => name)).size < named.length;
  return named.map(({ name, files }) => ({ name: clash ? files[0]!.path : name, files }));
}

/** A forecast that two files both hold, in words. */
function sharedForecast(a: ForecastFile, b: ForecastFile): string | undefined {
  const variable = [...a.fields.keys()].find((name) => b.fields.has(name));
  const initial = a.initial.find((time) => b.initial.some(({ seconds }) => seconds === time.seconds));
  const lead = a.leads.find((hours) => b.leads.includes(hours));
  if (variable === undefined || initial === undefined || lead === undefined) return undefined;
  return `${variable} from ${formatTime(initial)} for ${lead} h`;
}

function joinFiles(name: string, files: readonly ForecastFile[]): ForecastSystem {
  const [first] = files as [ForecastFile];
  for (const [i, file] of files.entries()) {
    if (!sameGrid(file.grid, first.grid)) {
      throw new ClimaxError(
        "grid",
        `${file.path} is on ${describeGrid(file.grid)}, ${first.path} of the same system ${name} on ${describeGrid(first.grid)}`,
        "put both on one grid first: climax regrid IN --res ... -o OUT",
      );
    }
    for (const other of files.slice(0, i)) {
      const twice = sharedForecast(file, other);
      if (twice === undefined) continue;
      throw new ClimaxError(
        "data",
        `the forecast of ${twice} is in ${other.path} and again in ${file.path}, both of ${name}`,
        "give two systems two names with --name, or leave one of the files out",
      );
    }
  }
  const members = oneAnswer(name, files, "members", (file) =>
    [...file.fields].map(([field, { members }]) => [`${field} in ${file.path}`, members]),
  );
  const averageHours = oneAnswer(name, files, "hours that a field is the mean of", (file) => [
    [file.path, file.averageHours],
  ]);
  const places = files.map((file) => ({
    file,
    initial: new Map(file.initial.map(({ seconds }, i) => [seconds, i])),
    lead: new Map(file.leads.map((hours, i) => [hours, i])),
  }));
  const find = (variable: string, { seconds }: CfTime, leadHours: number) =>
    places.find(
      ({ file, initial, lead }) => file.fields.has(variable) && initial.has(seconds) && lead.has(leadHours),
    );
  const initialTimes = new Map(
    files.flatMap((file) => file.initial.map((time) => [time.seconds, time] as const)),
  );
  return {
    name,
    paths: files.map(({ path }) => path),
    grid: first.grid,
    calendar: first.initial[0]?.calendar,
    synthetic: files.some(({ synthetic }) => synthetic),
    initialTimes: [...initialTimes.values()].toSorted((a, b) => a.seconds - b.seconds),
    leads: [...new Set(files.flatMap(({ leads }) => leads))].toSorted((a, b) => a - b),
    units: new Map(
      files.flatMap(({ fields }) => [...fields].map(([key, { units }]) => [key, units] as const)),
    ),
    members: members ?? 1,
    averageHours,
    region: first.region,
    has: (variable, initial, leadHours) => find(variable, initial, leadHours) !== undefined,
    read: (variable, time, leadHours, member) => {
      const place = find(variable, time, leadHours);
      if (!place)
        throw new RangeError(`${name} has no ${variable} from ${formatTime(time)} for ${leadHours} h`);
      const { file, initial, lead } = place;
      return file.fields.get(variable)!.read(initial.get(time.seconds)!, lead.get(leadHours)!, member);
    },
  };
}

/** What all files of a system must agree on. */
function oneAnswer<T>(
  name: string,
  files: readonly ForecastFile[],
  what: string,
  ofFile: (file: ForecastFile) => (readonly [string, T])[],
): T | undefined {
  const answers = files.flatMap(ofFile);
  const other = answers.find(([, value]) => value !== answers[0]![1]);
  if (!other) return answers[0]?.[1];
  const said = ([where, value]: readonly [string, T]) => `${where}: ${value ?? "not given"}`;
  throw new ClimaxError(
    "data",
    `the forecasts of ${name} differ in their ${what}: ${said(answers[0]!)}; ${said(other)}`,
    "give files that differ in this two names with --name, and score them apart",
  );
}
