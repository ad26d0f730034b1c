// What is in a file as ClimaX sees it: variables recognised and not, units, levels, grid, times, ranges, and what
// to do to use it. Reads coordinates and a bounded sample of the data.
import { stat } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import { type Coordinates, findCoordinates, isBounds, timesOf } from "./coordinates.ts";
import { type Field, type FileFields, fieldsOf } from "./fields.ts";
import { nextStep } from "./inspectadvice.ts";
import { type FoundGrid, findGrid } from "./inspectgrid.ts";
import type { InspectedVariable, Inspection } from "./inspectschema.ts";
import { describeTimes } from "./inspecttimes.ts";
import { elementsPerFile, fieldCost, sampleValues } from "./inspectvalues.ts";
import { openDataset } from "./open.ts";
import { text } from "./recognise.ts";
import type { CfTime } from "./time.ts";
import { findVariable, knownName, type VariableInfo } from "./variables.ts";

export interface InspectOptions {
  /** Only these, by name in the file or ClimaX name; all by default. */
  variables?: readonly string[] | undefined;
  /** Opens the file; for sources other than those of openDataset. */
  open?: (path: string) => Promise<Dataset>;
  /** Numbers that may be read for the ranges. */
  budget?: number;
}

/**
 * Looks into one file, store or URL.
 * @throws ClimaxError "data" when it cannot be opened, "config" when it has none of the variables asked for
 */
export async function inspectFile(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const dataset = await (options.open ?? openDataset)(path);
  try {
    return await inspectDataset(dataset, path, options);
  } finally {
    await dataset.close();
  }
}

async function inspectDataset(dataset: Dataset, path: string, options: InspectOptions): Promise<Inspection> {
  const coordinates = findCoordinates(dataset);
  const wanted = chooser(dataset, options.variables);
  const data = [...dataset.variables.values()].filter((one) => isData(coordinates, one) && wanted(one));
  const grids = await findGrids(coordinates, data);
  const found = await findFields(dataset, data);
  const times = new Map<CfTime[], number>();
  for (const { times: own } of found.fields) if (own?.length && !times.has(own)) times.set(own, times.size);
  if (times.size === 0) for (const own of await timesOfData(coordinates, data)) times.set(own, times.size);
  const notes = new Set(found.notes);
  const variables = await describeVariables(found.fields, {
    gridIndex: (variable) => grids.of.get(variable.name) ?? null,
    timeIndex: (own) => (own && times.get(own)) ?? null,
    budget: options.budget ?? elementsPerFile,
    notes,
  });
  const refused = new Map(found.refused.map(({ name, error }) => [name, error]));
  const why = new Map(found.unrecognised.map(({ name, reason }) => [name, reason]));
  const used = new Set(variables.map(({ name }) => name));
  const names = await refusedNames(dataset, data, [...refused.keys()]);
  const unused = data
    .filter(({ name }) => !used.has(name) && (refused.has(name) || why.has(name) || grids.of.has(name)))
    .map(({ name, dimensions, attributes }) => ({
      name,
      dimensions,
      units: text(attributes, "units"),
      climax: names.get(name) ?? null,
      why:
        refused.get(name)?.message.replace(` in ${dataset.path}`, "") ??
        why.get(name) ??
        "another variable of the file gives it",
      mend: refused.get(name)?.hint ?? null,
    }));
  const about = {
    path,
    format: dataset.format,
    bytes: await bytesOf(path),
    title: text(dataset.attributes, "title") || null,
    synthetic: /^(true|1|yes)$/i.test(String(dataset.attributes.get("synthetic") ?? "")),
    dimensions: [...dataset.dimensions].map(([name, length]) => ({
      name,
      length,
      unlimited: dataset.unlimited.has(name),
    })),
    variables,
    unused,
    grids: grids.found.map(({ about: grid }, index) => ({
      ...grid,
      variables: [...grids.of].filter(([, at]) => at === index).map(([name]) => name),
    })),
    times: [...times.keys()].map(describeTimes),
    notes: [...notes],
  };
  return { ...about, next: nextStep(about, grids.found, found.fields) };
}

/** The time axes of what is no field of ClimaX's. One that cannot be decoded is passed over: its variables say so. */
async function timesOfData(
  coordinates: Coordinates,
  data: readonly DatasetVariable[],
): Promise<Set<CfTime[]>> {
  const found = new Set<CfTime[]>();
  for (const variable of data) {
    const times = await timesOf(coordinates, variable).catch((error: unknown) => {
      if (!(error instanceof ClimaxError)) throw error;
      return undefined;
    });
    if (times?.times.length) found.add(times.times);
  }
  return found;
}

/** Bytes of a file on disk; null for a store of many files, or what is read over the network. */
async function bytesOf(path: string): Promise<number | null> {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ? info.size : null;
}

/** Numbers on more than a vertical or time axis that are neither coordinates nor their bounds. */
function isData({ all, dataset }: Coordinates, variable: DatasetVariable): boolean {
  const { name, dtype, dimensions, attributes } = variable;
  if (["char", "string", "other"].includes(dtype) || dimensions.length === 0) return false;
  return !all.has(name) && !attributes.has("grid_mapping_name") && !isBounds(dataset, name);
}

function chooser(
  dataset: Dataset,
  names: readonly string[] | undefined,
): (variable: DatasetVariable) => boolean {
  if (!names) return () => true;
  const infos = names.map((name) => knownName(name)?.info ?? findVariable(name)).filter(Boolean);
  const chosen = new Set<string>(names);
  const known = (info: VariableInfo | undefined) => info !== undefined && infos.includes(info);
  const matches = [...dataset.variables.values()].filter(
    ({ name }) => chosen.has(name) || known(knownName(name)?.info ?? findVariable(name)),
  );
  if (matches.length === 0)
    throw new ClimaxError(
      "config",
      `${dataset.path} has no variable ${names.join(", ")}`,
      `it has ${[...dataset.variables.keys()].join(", ")}`,
    );
  return (variable) => matches.includes(variable);
}

/** Each distinct grid once, with the index for each variable; variables without a horizontal dimension have none. */
async function findGrids(coordinates: Coordinates, data: readonly DatasetVariable[]) {
  const found: FoundGrid[] = [];
  const of = new Map<string, number>();
  const seen = new Map<string, number>();
  for (const variable of data) {
    const grid = await findGrid(coordinates, variable);
    if (grid.about.kind === "none" && variable.dimensions.length < 2) continue;
    const key = JSON.stringify(grid.about);
    if (!seen.has(key)) seen.set(key, found.push(grid) - 1);
    of.set(variable.name, seen.get(key)!);
  }
  return { found, of };
}

/** What variables that cannot be used as they are would be: "temperature", or "temperature_850" by a name with its level. */
async function refusedNames(
  dataset: Dataset,
  data: readonly DatasetVariable[],
  refused: readonly string[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of refused) {
    const others = [...dataset.variables].filter(
      ([other]) => other === name || !data.some((one) => one.name === other),
    );
    const { holds } = await fieldsOf({ ...dataset, variables: new Map(others) }, () => false);
    const [first] = holds;
    if (first) found.set(name, holds.length > 1 ? (knownName(first)?.info.name ?? first) : first);
  }
  return found;
}

/** The fields of those variables. One whose units or times cannot be understood does not hide the others. */
async function findFields(dataset: Dataset, data: readonly DatasetVariable[]): Promise<FileFields> {
  const kept = new Set(data.map(({ name }) => name));
  const coordinates = findCoordinates(dataset);
  const others = [...dataset.variables].filter(
    ([name, variable]) => kept.has(name) || !isData(coordinates, variable),
  );
  try {
    return await fieldsOf({ ...dataset, variables: new Map(others) }, () => true);
  } catch (error) {
    if (!(error instanceof ClimaxError) || error.kind !== "data") throw error;
  }
  const all: FileFields = { fields: [], holds: [], unrecognised: [], refused: [], notes: [] };
  for (const { name } of data) {
    const alone = others.filter(([other]) => other === name || !kept.has(other));
    try {
      const one = await fieldsOf({ ...dataset, variables: new Map(alone) }, () => true);
      for (const key of ["fields", "holds", "unrecognised", "refused", "notes"] as const)
        (all[key] as unknown[]).push(...one[key]);
    } catch (error) {
      if (!(error instanceof ClimaxError)) throw error;
      all.refused.push({ name, error });
    }
  }
  return all;
}

interface Indices {
  gridIndex(variable: DatasetVariable): number | null;
  timeIndex(times: CfTime[] | undefined): number | null;
  budget: number;
  notes: Set<string>;
}

async function describeVariables(
  fields: readonly Field[],
  { gridIndex, timeIndex, budget, notes }: Indices,
): Promise<InspectedVariable[]> {
  const groups = grouped(fields);
  const described: InspectedVariable[] = [];
  let left = budget;
  let waiting = groups.size;
  for (const group of groups.values()) {
    const { variable, info, times } = group[0]!;
    // Each may take its share of what is left, and a first one that is small leaves more to the rest.
    const share = Math.max(left / waiting--, Math.min(left, fieldCost(group[0]!)));
    const values = await sampleValues(group, share);
    if (values) left -= fieldCost(group[0]!) * values.steps * values.levels;
    else
      notes.add(
        `${variable.name}: its values were not looked at: one field means reading ${fieldCost(group[0]!)} numbers`,
      );
    const { attributes } = variable;
    const number = (name: string) => attributes.get(name);
    const [scale, offset] = [number("scale_factor"), number("add_offset")];
    const packed = typeof scale === "number" || typeof offset === "number";
    described.push({
      name: variable.name,
      climax: info.name,
      recognisedBy: evidence(variable, info),
      role: info.role,
      levels: group.flatMap(({ level }) => (level === undefined ? [] : [level])),
      fileUnits: text(attributes, "units"),
      units: info.units,
      conversion: conversionOf(variable, notes),
      dimensions: variable.dimensions,
      shape: variable.shape,
      dtype: variable.dtype,
      packing: packed
        ? { scale: typeof scale === "number" ? scale : 1, offset: typeof offset === "number" ? offset : 0 }
        : null,
      chunks: variable.chunks ? [...variable.chunks] : null,
      grid: gridIndex(variable),
      time: timeIndex(times),
      values: values ?? null,
    });
  }
  return described;
}

/** Takes the conversion out of the notes, where it stands as "NAME: UNITS to UNITS: ...". */
function conversionOf({ name, attributes }: DatasetVariable, notes: Set<string>): string | null {
  const units = text(attributes, "units");
  const starts = units === "" ? `${name}: no units; ` : `${name}: ${units} to `;
  const note = [...notes].find((one) => one.startsWith(starts));
  if (note === undefined) return null;
  notes.delete(note);
  return note.slice(name.length + 2);
}

/** What told which variable it is, the most trustworthy first. */
function evidence({ name, attributes }: DatasetVariable, info: VariableInfo): string {
  const standard = text(attributes, "standard_name").split(/\s/)[0]!;
  if (name === info.name || name.startsWith(`${info.name}_`)) return "its name";
  if (info.cfStandardNames.includes(standard)) return `standard name ${standard}`;
  if ((knownName(name)?.info ?? findVariable(name)) === info) return "its name";
  const longName = text(attributes, "long_name");
  if (info.longNames.includes(longName.toLowerCase())) return `long name "${longName}"`;
  return "its name";
}

function grouped(fields: readonly Field[]): Map<string, Field[]> {
  const groups = new Map<string, Field[]>();
  for (const field of fields) {
    const key = `${field.variable.name} ${field.info.name}`;
    groups.set(key, [...(groups.get(key) ?? []), field]);
  }
  return groups;
}
