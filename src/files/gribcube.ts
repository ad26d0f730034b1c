// Puts the messages of a file together: which belong to one variable, and what its times, steps, members and levels
// are. GRIB itself knows single fields only.
import type { GribKeys } from "./eccodes.ts";

/** A field as this file sees it. */
export interface GribRecord {
  /** Its place among the fields of the file. */
  index: number;
  keys: GribKeys;
  /** Place of its grid among the grids of the file. */
  grid: number;
  /** Seconds since 1970-01-01 UTC. */
  reference: number;
  valid: number;
}

/** The fields of one variable in a box. */
export interface GribCube {
  /** That of its first record. */
  keys: GribKeys;
  grid: number;
  /** Along valid times, or along initial times and steps: the latter where several forecasts reach the same time. */
  layout: "valid" | "forecast";
  /** Valid times, or initial ones; seconds, rising. */
  times: number[];
  /** Steps, seconds, rising; [0] in the layout "valid". */
  steps: number[];
  /** Initial time of all fields, where they share one and go beyond it. */
  reference: number | undefined;
  /** Initial time of each valid one, where those differ and each valid time has one; else undefined. */
  references: number[] | undefined;
  /** What all fields are sums, means or extremes over: "6h", "" of a moment; undefined where they differ. */
  interval: string | undefined;
  /** Whether all of several intervals begin with the forecast. */
  sinceStart: boolean;
  numbers: number[];
  /** In the order of the file; [] for what has none. */
  levels: GribLevel[];
  /** Indices of fields, [times, steps, numbers, levels]; -1 where the file has none. */
  slots: Int32Array<ArrayBuffer>;
  /** What sets it apart from variables of the same parameter, from the most to the least telling. */
  marks: string[];
  notes: string[];
}

export interface GribLevel {
  /** hPa for pressure, else as coded. */
  value: number;
  layer: [number, number] | undefined;
}

/** A box may hold so many times more places than the file has fields, before it is taken for nonsense. */
const emptiest = 64;

/** Whether a level is one of pressure: both types share an axis. */
const isPressure = (typeOfLevel: string) => /^isobaricIn(hPa|Pa)$/.test(typeOfLevel);

/** Level type, with both types of pressure as one. */
export const levelType = ({ typeOfLevel }: GribKeys) => (isPressure(typeOfLevel) ? "pressure" : typeOfLevel);

function levelOf({ typeOfLevel, level = 0, layer }: GribKeys, edition: 1 | 2): GribLevel {
  const pascals = typeOfLevel === "isobaricInPa" && edition === 1;
  if (isPressure(typeOfLevel)) return { value: pascals ? level / 100 : level, layer: undefined };
  return { value: layer ? (layer[0] + layer[1]) / 2 : level, layer };
}

/** Sorts records into variables. `edition` of a record decides the units of its level. */
export function makeCubes(records: GribRecord[], editionOf: (index: number) => 1 | 2): GribCube[] {
  const place = (record: GribRecord): Placed => {
    const level = levelOf(record.keys, editionOf(record.index));
    const levelKey = level.layer ? level.layer.join("-") : String(level.value);
    return { ...record, level, levelKey, number: record.keys.number ?? 0 };
  };
  const groups = groupBy(records.map(place), ({ keys, grid }) =>
    [
      keys.shortName,
      keys.paramId,
      keys.code,
      levelType(keys),
      grid,
      keys.stepType,
      keys.variant,
      kindOfData(keys),
    ].join("|"),
  );
  return [...groups.values()]
    .flatMap((group) => separate(group, []))
    .flatMap(({ list, marks }) => boxes(list, marks));
}

interface Placed extends GribRecord {
  level: GribLevel;
  levelKey: string;
  number: number;
}

/** Means and spreads of an ensemble are other quantities than its members. */
const kindOfData = ({ dataType }: GribKeys) => (/^e[ms]$|^ep$/.test(dataType) ? dataType : "");

function groupBy<T>(list: readonly T[], key: (each: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const each of list) {
    const name = key(each);
    const group = groups.get(name);
    if (group) group.push(each);
    else groups.set(name, [each]);
  }
  return groups;
}

/** Traits by which fields of the same parameter, place and time are told apart, in this order. */
const traits: ((record: Placed) => string)[] = [
  ({ keys }) => (keys.dataType === "an" ? "analysis" : ""),
  ({ keys }) => intervalOf(keys.stepRange),
];

/** Whether an interval "0-72" begins with the forecast. */
const fromStart = (stepRange: string) => /^0[a-z]?-/.test(stepRange);

/** "6h" of "66-72"; "" of a single step. Newer libraries write the unit behind a number. */
export function intervalOf(stepRange: string): string {
  const match = /^(\d+)([a-z]?)-(\d+)([a-z]?)$/.exec(stepRange);
  return match ? `${Number(match[3]) - Number(match[1])}${match[4] || "h"}` : "";
}

/** Splits by a trait as long as two fields that differ in it claim the same place. */
function separate(list: Placed[], marks: string[], from = 0): { list: Placed[]; marks: string[] }[] {
  for (let t = from; t < traits.length; t++) {
    const seen = new Map<string, string>();
    const clash = list.some((record) => {
      const key = `${record.valid} ${record.number} ${record.levelKey}`;
      const trait = traits[t]!(record);
      const before = seen.get(key);
      seen.set(key, trait);
      return before !== undefined && before !== trait;
    });
    if (!clash) continue;
    return [...groupBy(list, traits[t]!)].flatMap(([trait, part]) =>
      separate(part, trait === "" ? marks : [...marks, trait], t + 1),
    );
  }
  return [{ list, marks }];
}

/** One box, or several where levels come at different times. */
function boxes(list: Placed[], marks: string[]): GribCube[] {
  const layout = layoutOf(list);
  const outer = (record: Placed) =>
    layout === "valid"
      ? `${record.valid} ${record.number}`
      : `${record.reference} ${record.valid - record.reference} ${record.number}`;
  const byLevel = groupBy(list, ({ levelKey }) => levelKey);
  const alike = groupBy([...byLevel.values()], (level) => [...new Set(level.map(outer))].sort().join());
  const parts = [...alike.values()].toSorted((a, b) => b.length - a.length);
  return parts.map((part, i) => {
    const levels = part.map(([first]) => first!.level.value).join("_");
    const own = i === 0 ? marks : [...marks, part.length === 1 ? levels : `part${i + 1}`];
    return box(part.flat(), layout, own);
  });
}

/** Valid times tell fields apart unless forecasts overlap; forecasts of one lead keep their initial times. */
function layoutOf(list: Placed[]): GribCube["layout"] {
  const references = new Set(list.map(({ reference }) => reference));
  const steps = new Set(list.map(({ valid, reference }) => valid - reference));
  if (references.size === 1) return "valid";
  const lagged = new Set(list.map(({ reference, number }) => `${reference} ${number}`)).size;
  const whole = references.size * new Set(list.map(({ number }) => number)).size === lagged;
  if (steps.size === 1 && !steps.has(0) && whole) return "forecast";
  const seen = new Map<string, number>();
  const overlap = list.some(({ valid, number, levelKey, reference }) => {
    const key = `${valid} ${number} ${levelKey}`;
    const before = seen.get(key);
    seen.set(key, reference);
    return before !== undefined && before !== reference;
  });
  return overlap ? "forecast" : "valid";
}

function box(list: Placed[], layout: GribCube["layout"], marks: string[]): GribCube {
  const ordered = list.toSorted((a, b) => a.index - b.index);
  const rising = (values: number[]) => [...new Set(values)].sort((a, b) => a - b);
  const valid = layout === "valid";
  const times = rising(list.map((record) => (valid ? record.valid : record.reference)));
  const stepOf = (record: Placed) => (valid ? 0 : record.valid - record.reference);
  const steps = rising(list.map(stepOf));
  const numbers = rising(list.map(({ number }) => number));
  const levels = [...new Map(ordered.map(({ levelKey, level }) => [levelKey, level])).values()];
  const levelKeys = [...new Set(ordered.map(({ levelKey }) => levelKey))];
  const size = times.length * steps.length * numbers.length * levels.length;
  const references = rising(list.map(({ reference }) => reference));
  // A sum of no time at all, the first of a forecast, tells nothing of the others.
  const stepped = list.filter((record) => record.valid !== record.reference);
  const intervals = [...new Set(stepped.map(({ keys }) => intervalOf(keys.stepRange)))];
  const cube: GribCube = {
    keys: ordered[0]!.keys,
    grid: ordered[0]!.grid,
    layout,
    times,
    steps,
    reference:
      references.length === 1 && list.some((r) => r.valid !== r.reference) ? references[0] : undefined,
    references: valid && references.length > 1 ? referencesOf(ordered, times) : undefined,
    interval: intervals.length === 1 ? intervals[0] : undefined,
    sinceStart: intervals.length > 1 && stepped.every(({ keys }) => fromStart(keys.stepRange)),
    numbers,
    levels,
    slots: new Int32Array(size <= list.length * emptiest + 1024 ? size : 0).fill(-1),
    marks,
    notes: [],
  };
  const name = cube.keys.shortName || cube.keys.code;
  if (cube.slots.length < size) {
    cube.notes.push(
      `${name}: ${list.length} fields at ${times.length} times, ${steps.length} steps, of ${numbers.length} members and ${levels.length} levels make no array; left out`,
    );
    return cube;
  }
  const [atTime, atStep, atNumber, atLevel] = [times, steps, numbers, levelKeys].map(
    (values) => new Map(values.map((value, i) => [value, i] as [number | string, number])),
  );
  let twice = 0;
  for (const record of ordered) {
    const time = atTime!.get(valid ? record.valid : record.reference)!;
    const step = time * steps.length + atStep!.get(stepOf(record))!;
    const member = step * numbers.length + atNumber!.get(record.number)!;
    const slot = member * levels.length + atLevel!.get(record.levelKey)!;
    if (cube.slots[slot] !== -1) twice++;
    cube.slots[slot] = record.index;
  }
  const gaps = cube.slots.filter((index) => index < 0).length;
  if (twice > 0)
    cube.notes.push(`${name}: ${twice} fields are in the file more than once; the last of each is taken`);
  if (gaps > 0)
    cube.notes.push(`${name}: ${gaps} of ${size} fields are not in the file; missing values stand for them`);
  if (valid && references.length > 1 && steps.length === 1 && list.some((r) => r.valid !== r.reference)) {
    cube.notes.push(`forecasts from ${references.length} initial times are put together by valid time`);
  }
  return cube;
}

/** The initial time of each valid time; undefined where one has several, or all are analyses. */
function referencesOf(list: readonly Placed[], times: readonly number[]): number[] | undefined {
  const found = new Map<number, number>();
  for (const { valid, reference } of list) {
    if ((found.get(valid) ?? reference) !== reference) return undefined;
    found.set(valid, reference);
  }
  if (list.every(({ valid, reference }) => valid === reference)) return undefined;
  return times.map((time) => found.get(time)!);
}
