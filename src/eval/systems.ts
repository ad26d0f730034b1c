/** Forecast systems: the files of each joined, so that a forecast is found by variable, initial time and lead. */
import { basename, extname } from "node:path";
import { expandFolders } from "../data/folderfiles.ts";
import { Notes } from "../data/join.ts";
import { inParallel, type OpenFiles, openFiles } from "../data/openfiles.ts";
import { type CfTime, formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid, sameGrid } from "../grid/grid.ts";
import { isBaseline } from "../scores/baselinenames.ts";
import { type FileFacts, factsTaker } from "./filefacts.ts";
import { type ForecastFile, openForecastFile } from "./forecastfile.ts";
import { type ForecastIndex, forecastIndex } from "./forecastindex.ts";

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
  /** What made its files, as they say, each once. */
  readonly made: readonly string[];
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

/** Files whose metadata are read at once: enough to wait for several disks or servers, and to hold few in memory. */
const atOnce = 8;

/**
 * Opens forecast files, stores, folders of them and what patterns name, and joins those of one system: files of one given
 * name, or, without names, files that say the same system (or none) and do not hold the same forecast twice. Thousands of
 * files will do: their metadata are kept, and the files are opened again when read.
 *
 * @param names       one for all files, or one for each path
 * @param leadZero    take files without a lead as forecasts of lead 0
 * @param timeIsValid a plain time beside a lead is the valid one (WeatherBench 2's by_init=False)
 * @throws ClimaxError "config" when names and files do not match or name a baseline; "data" when a forecast is there twice
 */
export async function openSystems(
  paths: readonly string[],
  names?: readonly string[],
  leadZero = false,
  timeIsValid = false,
): Promise<Systems> {
  if (names && names.length !== 1 && names.length !== paths.length) {
    throw new ClimaxError(
      "config",
      `${names.length} names for ${paths.length} forecast files`,
      "give --name once, or once for each file in their order",
    );
  }
  const inputs: { path: string; name: string | undefined }[] = [];
  for (const [i, path] of paths.entries()) {
    const name = names && (names.length === 1 ? names[0]! : names[i]!);
    inputs.push(...(await expandFolders([path])).map((path) => ({ path, name })));
  }
  const open = openFiles((path) => openForecastFile(path, leadZero, timeIsValid));
  try {
    const facts = factsTaker();
    const files = await inParallel(inputs, atOnce, ({ path }) => open.use(path, async (file) => facts(file)));
    const groups = names ? byName(files.map((file, i) => [inputs[i]!.name!, file])) : byContent(files);
    const systems = groups.map(({ name, files }) => joinFiles(name, files, open));
    const notes = notesOf(files);
    const joined = groups.some(({ files }) => files.length > 1);
    for (const { name, files, apart } of groups) {
      if (joined && apart) {
        notes.push(
          `${files[0]!.path} holds the forecast of ${apart.forecast} again, which is in ${apart.other.path}: taken for another ` +
            `system, ${name}; only what both hold is scored. Leave it out if it is a copy`,
        );
      }
      if (!names && files.length > 1) {
        notes.push(
          `${files.length} files, ${files[0]!.path} to ${files.at(-1)!.path}, are one system, ${name}; --name says otherwise`,
        );
      }
    }
    return { systems, notes, close: () => open.close() };
  } catch (error) {
    await open.close();
    throw error;
  }
}

/** Once each, with how many files they are about. */
function notesOf(files: readonly FileFacts[]): string[] {
  const notes = new Notes();
  for (const { path, notes: own } of files) {
    for (const note of own)
      notes.add(note.startsWith(`${path}: `) ? note.slice(path.length + 2) : note, path);
  }
  return notes.lines();
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
  files: FileFacts[];
  /** What keeps its first file from those before. */
  apart?: ReturnType<ForecastIndex["clash"]>;
}

function byName(named: readonly (readonly [string, FileFacts])[]): Group[] {
  const groups = new Map<string, FileFacts[]>();
  for (const [name, file] of named) {
    if (isBaseline(name)) {
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

function byContent(files: readonly FileFacts[]): Group[] {
  const groups: (Omit<Group, "name"> & { says: string | undefined; index: ForecastIndex })[] = [];
  for (const file of files) {
    const fitting = groups.find((group) => group.says === file.system && !group.index.clash(file));
    const like = groups.find(({ says }) => says === file.system);
    const group = fitting ?? {
      ...{ says: file.system, files: [], index: forecastIndex() },
      apart: like?.index.clash(file),
    };
    if (!fitting) groups.push(group);
    group.files.push(file);
    group.index.add(file);
  }
  const stem = ({ path }: FileFacts) => basename(path, extname(path));
  const unique = (name: string | undefined) => groups.filter(({ says }) => says === name).length === 1;
  const named = groups.map(({ says, files, apart }) => ({
    name: says !== undefined && unique(says) ? says : stem(files[0]!),
    ...{ files, apart },
  }));
  // Two files of one name in two folders.
  const clash = new Set(named.map(({ name }) => name)).size < named.length;
  return named.map(({ name, ...group }) => ({ name: clash ? group.files[0]!.path : name, ...group }));
}

function joinFiles(name: string, files: readonly FileFacts[], open: OpenFiles<ForecastFile>): ForecastSystem {
  const [first] = files as [FileFacts];
  const index = forecastIndex();
  for (const file of files) {
    if (file.grid !== first.grid && !sameGrid(file.grid, first.grid)) {
      throw new ClimaxError(
        "grid",
        `${file.path} is on ${describeGrid(file.grid)}, ${first.path} of the same system ${name} on ${describeGrid(first.grid)}`,
        "put both on one grid first: climax regrid IN --res ... -o OUT",
      );
    }
    const twice = index.clash(file);
    if (twice) {
      throw new ClimaxError(
        "data",
        `the forecast of ${twice.forecast} is in ${twice.other.path} and again in ${file.path}, both of ${name}`,
        "give two systems two names with --name, or leave one of the files out",
      );
    }
    index.add(file);
  }
  const members = oneAnswer(name, files, "members", (file) =>
    [...file.fields].map(([field, { members }]) => [`${field} in ${file.path}`, members]),
  );
  const averageHours = oneAnswer(name, files, "hours that a field is the mean of", (file) => [
    [file.path, file.averageHours],
  ]);
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
    made: [...new Set(files.flatMap(({ made }) => made ?? []))],
    has: (variable, initial, leadHours) => index.find(variable, initial, leadHours) !== undefined,
    read: async (variable, time, leadHours, member) => {
      const place = index.find(variable, time, leadHours);
      if (!place)
        throw new RangeError(`${name} has no ${variable} from ${formatTime(time)} for ${leadHours} h`);
      const { file, initialIndex, leadIndex } = place;
      return open.use(file.path, ({ fields }) => {
        const field = fields.get(variable);
        if (field) return field.read(initialIndex, leadIndex, member);
        throw new ClimaxError(
          "data",
          `${file.path} had ${variable} when it was opened first, and has it no more`,
          "start again, and leave the file alone meanwhile",
        );
      });
    },
  };
}

/** What all files of a system must agree on. */
function oneAnswer<T>(
  name: string,
  files: readonly FileFacts[],
  what: string,
  ofFile: (file: FileFacts) => (readonly [string, T])[],
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
