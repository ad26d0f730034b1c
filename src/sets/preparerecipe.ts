// All that decides what a set will hold, in words that can be compared and shown: an unfinished set goes on only
// with the recipe that it was begun with.
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Archive } from "../data/archive.ts";
import { formatTime } from "../data/time.ts";
import { describeGrid } from "../grid/grid.ts";
import type { SeasonalKind } from "./climatology.ts";
import type { Recipe } from "./journal.ts";
import type { SetDtype, SplitName, StatisticsKind } from "./manifest.ts";
import type { Plan } from "./plan.ts";
import type { NanFill } from "./readstate.ts";
import type { SetField } from "./tally.ts";

const digest = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 12);

const isUrl = (path: string) => /^[a-z][a-z0-9+.-]+:\/\//i.test(path);
const whole = (path: string) => (isUrl(path) ? path : resolve(path));

export interface Decisions {
  periods: { [split in SplitName]?: string | undefined };
  dtype: SetDtype;
  statistics: StatisticsKind;
  climatology: readonly SeasonalKind[];
  precipitation: number | undefined;
  /** SHA-256 of the set.json that is added to. */
  base?: string;
}

/** By the flag, or what else it is called. */
export function recipeOf(
  archive: Archive,
  fields: readonly SetField[],
  { shards }: Plan,
  { periods, dtype, statistics, climatology, precipitation, base }: Decisions,
): Recipe {
  const paths = archive.paths.map(whole);
  const { lat, lon } = archive.grid;
  const steps = shards.flatMap((shard) => shard.steps).map((step) => archive.times[step]!);
  const given = Object.entries({
    files:
      paths.length < 4
        ? paths.join(", ") || "none"
        : `${paths.length} files from ${paths[0]} to ${paths.at(-1)} (${digest(paths.join("\n"))})`,
    variables:
      fields.length < 4
        ? fields.map(({ name }) => name).join(", ")
        : `${fields.length} from ${fields[0]!.name} to ${fields.at(-1)!.name} (${digest(fields.map(({ name }) => name).join())})`,
    grid: `${describeGrid(archive.grid)} (${digest([...lat, ...lon].join())})`,
    states:
      `${steps.length} from ${formatTime(steps[0]!)} to ${formatTime(steps.at(-1)!)}, ${steps[0]!.calendar} calendar ` +
      `(${digest(steps.map(({ seconds }) => seconds).join())})`,
    ...periods,
    dtype,
    stats: statistics,
    climatology: [...climatology].sort().join(", ") || undefined,
    precipitation: precipitation === undefined ? undefined : `${precipitation} h`,
    set: base,
  });
  return Object.fromEntries(given.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** The same in a word; what the set was before is left out. */
export function recipeName({ set: _, ...recipe }: Recipe, nanFill: NanFill): string {
  return digest(JSON.stringify([recipe, nanFill ?? null]));
}

/** Size and date of each file on this machine, to see whether one was replaced since. */
export async function inputsOf({ paths }: Archive): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const path of paths) {
    const file = isUrl(path) ? undefined : await stat(path).catch(() => undefined);
    if (file) found[whole(path)] = `${file.size} bytes of ${file.mtime.toISOString()}`;
  }
  return found;
}

/** Files that are not what they were. */
export function changedInputs(
  then: Readonly<Record<string, string>>,
  now: Readonly<Record<string, string>>,
): string[] {
  return Object.keys(now).filter((path) => then[path] !== undefined && then[path] !== now[path]);
}
