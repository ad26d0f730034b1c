// Files as ClimaX sees them: fields by name and level on one grid, at times that all of them have, whatever the
// files were called, counted in or turned round. Files are joined along time and by variable; nothing is read
// before it is asked for, and few files are open at once.
import { ClimaxError } from "../errors.ts";
import type { AttributeValue, Dataset } from "../files/dataset.ts";
import type { Grid } from "../grid/grid.ts";
import { type Derivation, derive, derivedNotes, planDerivations, recipeHint, recipes } from "./derived.ts";
import { type FileFields, fieldsOf, gridOf, type Sharing } from "./fields.ts";
import { interned } from "./interned.ts";
import { commonGrid, join, Notes, type Part } from "./join.ts";
import { openDataset } from "./open.ts";
import { inParallel, type OpenFiles, openFiles } from "./openfiles.ts";
import { expandPaths } from "./paths.ts";
import { slabCache } from "./stepreader.ts";
import type { CfTime } from "./time.ts";
import { type FieldName, parseName, type VariableInfo } from "./variables.ts";
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
  /**
   * Only these, by name or short name; "geopotential" means all its levels. What no file has is derived from what they
   * have, where derived.ts knows how, and the notes say so. Default: all that are recognised, and nothing derived.
   */
  variables?: readonly string[];
  /** What to do when one of them is in no file and cannot be derived. Default: "error". */
  missing?: "error" | "skip";
  /** Opens one file; for sources other than files on disk. */
  open?: (path: string) => Promise<Dataset>;
}

type Wanted = (info: VariableInfo, level: number | undefined) => boolean;

const wantedBy = (names: readonly FieldName[] | undefined): Wanted => {
  return (info, level) =>
    !names ||
    names.some((name) => {
      const anyLevel = name.level === undefined || level === undefined;
      return name.info === info && (anyLevel || name.level === level);
    });
};

/**
 * Opens files, folders of Zarr or shards, URLs, and what patterns name (paths.ts) as one archive. Thousands will do:
 * their metadata are kept, the files are opened again when read.
 * @throws ClimaxError "config" for unknown names; "data" for files that hold nothing known, lack a wanted variable,
 *   have unknown units or times of different calendars; "grid" for grids that are not latitude by longitude or differ.
 */
export async function openArchive(
  patterns: readonly string[],
  options: ArchiveOptions = {},
): Promise<Archive> {
  if (patterns.length === 0) {
    throw new ClimaxError("config", "no input file was given; at least one is wanted", "name the files");
  }
  const paths = await expandPaths(patterns);
  const names = options.variables?.map(parseName);
  const files = openFiles(options.open ?? openDataset);
  const close = () => files.close();
  try {
    const notes = new Notes();
    const scan = scanner(files, notes);
    const scanned = await scan(paths, wantedBy(names), "must hold something");
    const holds = new Set(scanned.flatMap((file) => file.holds));
    const derivations = planDerivations(names ?? [], holds);
    const parts = scanned.flatMap((file) => file.parts);
    const present = new Set(parts.map(({ name }) => name));
    const inputs = new Set(derivations.flatMap((one) => one.inputs).filter((input) => !present.has(input)));
    if (inputs.size > 0) {
      const having = scanned.filter((file) => file.holds.some((name) => inputs.has(name)));
      const more = await scan(
        having.map(({ path }) => path),
        wantedBy([...inputs].map(parseName)),
      );
      parts.push(...more.flatMap((file) => file.parts));
    }
    const { fields, spread } = spreadOverYears(parts);
    for (const { variable, path } of spread)
      notes.add(`${variable.name}: one number a year, taken for all times of that year`, path);
    const fromGrid = names?.some(({ info }) =>
      recipes[info.name]?.some((recipe) => recipe.inputs.length === 0),
    );
    const grid = commonGrid(fields, notes) ?? (fromGrid ? await files.use(paths[0]!, gridOf) : undefined);
    const joined = join(fields, grid, notes);
    const variables = new Map([...joined.variables].filter(([name]) => !inputs.has(name)));
    const made: Derivation[] = [];
    for (const one of grid ? derivations : []) {
      try {
        const field = derive(one, { ...joined, grid: grid! });
        variables.set(field.name, field);
        made.push(one);
      } catch (error) {
        if (!(error instanceof ClimaxError) || options.missing !== "skip") throw error;
        notes.add(`not derived: ${error.message}`, paths[0]!);
      }
    }
    if (names && options.missing !== "skip")
      for (const name of names) mustHave(name, variables, paths, holds);
    if (!grid && fields[0])
      throw new ClimaxError(
        "grid",
        `${fields[0].name} in ${fields[0].path} is one number for the whole globe, and no field gives a grid`,
        "give a file with fields on a grid as well",
      );
    if (!grid) throw lacking(names ?? [], paths, holds);
    const unused = new Map<string, string>();
    for (const { name, reason } of scanned.flatMap((file) => file.unused))
      if (!unused.has(name)) unused.set(name, reason);
    return {
      ...{ paths: [...paths], grid, times: joined.times, variables, close },
      unrecognised: [...unused].map(([name, reason]) => ({ name, reason })),
      notes: [...notes.lines(), ...derivedNotes(made, joined.times)],
      attributes: scanned[0]!.attributes,
      synthetic: scanned.some(({ attributes }) =>
        /^(true|1|yes)$/i.test(String(attributes.get("synthetic") ?? "")),
      ),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What is kept of a file. */
interface Scanned {
  path: string;
  parts: Part[];
  holds: string[];
  unused: { name: string; reason: string }[];
  attributes: ReadonlyMap<string, AttributeValue>;
}

/** Files whose metadata are read at once: enough to wait for several disks or servers, and to hold few in memory. */
const atOnce = 8;

function scanner(files: OpenFiles<Dataset>, notes: Notes) {
  const shared = interned();
  const cache = slabCache();
  return async (paths: readonly string[], wanted: Wanted, mustHold?: "must hold something") => {
    const scanned = await inParallel(paths, atOnce, (path) =>
      files.use(path, async (dataset) => {
        const found = await fieldsOf(dataset, wanted, { interned: shared, cache, use: useIn(files, path) });
        if (mustHold) mustHoldSomething(dataset, found);
        return { path, notes: found.notes, ...kept(found, shared.attributes, dataset.attributes) };
      }),
    );
    for (const one of scanned) for (const note of one.notes) notes.add(note, one.path);
    return scanned;
  };
}

/** Apart, as all that outlives an open file. */
function useIn(files: OpenFiles<Dataset>, path: string): Sharing["use"] {
  return (name, work) =>
    files.use(path, (dataset) => {
      const variable = dataset.variables.get(name);
      if (variable) return work(variable);
      throw new ClimaxError(
        "data",
        `${path} had ${name} when it was opened first, and has it no more`,
        "start again, and leave the file alone meanwhile",
      );
    });
}

function kept(
  { fields, holds, unrecognised, refused }: FileFields,
  shared: (attributes: ReadonlyMap<string, AttributeValue>) => ReadonlyMap<string, AttributeValue>,
  attributes: ReadonlyMap<string, AttributeValue>,
): Omit<Scanned, "path"> {
  const parts = fields.map(({ variable, ...field }): Part => {
    return { ...field, variable: { name: variable.name, attributes: shared(variable.attributes) } };
  });
  const unused = [...unrecognised, ...refused.map(({ name, error }) => ({ name, reason: error.message }))];
  return { parts, holds, unused, attributes: shared(attributes) };
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

function mustHave(
  wanted: FieldName,
  variables: Map<string, ArchiveVariable>,
  paths: readonly string[],
  holds: ReadonlySet<string>,
): void {
  const found = [...variables.values()].some(
    ({ info, level }) => info === wanted.info && (wanted.level === undefined || level === wanted.level),
  );
  if (!found) throw lacking([wanted], paths, holds);
}

function lacking(wanted: FieldName[], paths: readonly string[], holds: ReadonlySet<string>): ClimaxError {
  const files = paths.length === 1 ? paths[0] : `the ${paths.length} files (${paths[0]}, ...)`;
  const unique = [...holds];
  const from = wanted.length === 1 ? recipeHint(wanted[0]!) : undefined;
  const same = unique.filter((name) => wanted.some(({ info }) => name.startsWith(`${info.name}_`)));
  return new ClimaxError(
    "data",
    `${wanted.map(({ name }) => name).join(", ")} is not in ${files}; there is ${shorten(unique)}`,
    same.length > 0
      ? `other levels are there: ${shorten(same)}`
      : `give the file that has it as well${from ? `, or those of ${from}, from which it is derived,` : ","} or leave the variable out`,
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
