// Fields that are made from others where the files lack them and they are asked for: one table of recipes.

import { ClimaxError } from "../errors.ts";
import type { AttributeValue } from "../files/dataset.ts";
import type { Grid } from "../grid/grid.ts";
import type { Archive, ArchiveVariable } from "./archive.ts";
import { relativeHumidity, specificHumidity } from "./derivedhumidity.ts";
import { incidentSolarRadiation } from "./derivedsolar.ts";
import type { CfTime } from "./time.ts";
import { usualStep } from "./timestep.ts";
import { type FieldName, fieldName, findVariable, type VariableInfo } from "./variables.ts";

/** Where and when a field is made. */
interface Place {
  grid: Grid;
  /** hPa; 0 for a single-level variable. */
  level: number;
  /** undefined for a constant. */
  time: CfTime | undefined;
  /** The usual distance of the archive's steps, hours; for recipes of what accumulates. */
  stepHours: number;
  /** Of the inputs, in their order. */
  attributes: readonly ReadonlyMap<string, AttributeValue>[];
}

interface Recipe {
  /** Names without a level; what lies on pressure levels is taken at the level that is made. */
  inputs: readonly string[];
  /** By what formula, for the user. */
  how: string;
  /** It needs a date. */
  dated?: boolean;
  /** It needs the distance of steps. */
  accumulated?: boolean;
  /** @param fields  [H, W] each, in the units of the variables table */
  make(fields: readonly Float32Array[], place: Place): Float32Array;
}

const each = (fields: readonly Float32Array[], of: (a: number, b: number) => number) =>
  fields[0]!.map((a, i) => of(a, fields[1]?.[i] ?? Number.NaN));
const radians = Math.PI / 180;

function winds(speed: string, direction: string, u: string, v: string): Record<string, Recipe[]> {
  const from = "the direction the wind comes from, clockwise from north";
  return {
    [speed]: [
      { inputs: [u, v], how: "the length of the vector", make: (fields) => each(fields, Math.hypot) },
    ],
    [u]: [
      {
        inputs: [speed, direction],
        how: `-speed sin(direction), ${from}`,
        make: (fields) => each(fields, (s, d) => -s * Math.sin(d * radians)),
      },
    ],
    [v]: [
      {
        inputs: [speed, direction],
        how: `-speed cos(direction), ${from}`,
        make: (fields) => each(fields, (s, d) => -s * Math.cos(d * radians)),
      },
    ],
  };
}

/** By the name that is made, without a level; the first whose inputs are there is taken. */
export const recipes: Record<string, readonly Recipe[]> = {
  relative_humidity: [
    {
      inputs: ["specific_humidity", "temperature"],
      how: "saturation over water, ice and between as the IFS has it",
      make: (fields, { level }) => each(fields, (q, t) => relativeHumidity(q, t, 100 * level)),
    },
  ],
  specific_humidity: [
    {
      inputs: ["relative_humidity", "temperature"],
      how: "saturation over water, ice and between as the IFS has it",
      make: (fields, { level }) => each(fields, (r, t) => specificHumidity(r, t, 100 * level)),
    },
  ],
  ...winds("wind_speed", "wind_direction", "u_component_of_wind", "v_component_of_wind"),
  ...winds("10m_wind_speed", "10m_wind_direction", "10m_u_component_of_wind", "10m_v_component_of_wind"),
  diurnal_temperature_range: [
    {
      inputs: ["maximum_2m_temperature", "minimum_2m_temperature"],
      how: "their difference",
      make: (fields) => each(fields, (most, least) => most - least),
    },
  ],
  total_precipitation: [
    {
      inputs: ["mean_total_precipitation_rate"],
      how: "the rate times a step's length, 1 kg m-2 of water being 1 mm",
      accumulated: true,
      make: ([rate], { stepHours }) => rate!.map((value) => (value * stepHours * 3600) / 1000),
    },
  ],
  toa_incident_solar_radiation: [
    {
      inputs: [],
      how: "date and place: the hour before, by the orbit and the sun's brightness of ERA5",
      dated: true,
      make: (_, { time, grid }) => incidentSolarRadiation(time!, grid),
    },
  ],
  land_sea_mask: [
    {
      inputs: ["area_type"],
      how: "1 where the flag's meaning begins with land",
      make: ([codes], { attributes }) => landOf(codes!, attributes[0]!),
    },
  ],
  // Each cell's own latitude: the reference's input variable of that (misspelt) name.
  lattitude: [
    {
      inputs: [],
      how: "the grid",
      make: (_, { grid: { lat, lon } }) =>
        Float32Array.from({ length: lat.length * lon.length }, (_, i) => lat[Math.floor(i / lon.length)]!),
    },
  ],
};

/** Flags by their meanings (CF 3.5); NaN for a number that is no flag, such as a mean of flags. */
function landOf(codes: Float32Array, attributes: ReadonlyMap<string, AttributeValue>): Float32Array {
  const meanings = String(attributes.get("flag_meanings") ?? "").split(/\s+/);
  const values = [attributes.get("flag_values") ?? []].flat();
  const land = new Map(values.map((value, i) => [Number(value), /^land/i.test(meanings[i] ?? "") ? 1 : 0]));
  return codes.map((code) => land.get(code) ?? Number.NaN);
}

export interface Derivation {
  info: VariableInfo;
  level?: number;
  recipe: Recipe;
  /** Names of fields, in the recipe's order. */
  inputs: string[];
}

/**
 * What of `wanted` is lacking and can be made. A variable on levels that is asked for without one is made on every
 * level that has the inputs, when the files have it on none.
 *
 * @param held  names of all fields that the files hold
 */
export function planDerivations(wanted: readonly FieldName[], held: ReadonlySet<string>): Derivation[] {
  const planned = new Map<string, Derivation>();
  for (const { info, level, name } of wanted) {
    const all = info.levels === "pressure" && level === undefined;
    const there = all ? [...held].some((other) => levelIn(other, info) !== undefined) : held.has(name);
    if (there) continue;
    for (const recipe of recipes[info.name] ?? []) {
      const levels = all ? levelsWith(recipe, held) : [level];
      for (const at of levels) {
        const inputs = inputsAt(recipe, at);
        if (!inputs.every((input) => held.has(input)) || planned.has(fieldName(info, at))) continue;
        planned.set(fieldName(info, at), {
          info,
          recipe,
          inputs,
          ...(at === undefined ? {} : { level: at }),
        });
      }
    }
  }
  return [...planned.values()];
}

const inputsAt = ({ inputs }: Recipe, level: number | undefined) =>
  inputs.map((input) => fieldName(findVariable(input)!, level));

/** hPa, of a field's name if it is one of that variable. */
function levelIn(name: string, info: VariableInfo): number | undefined {
  const level = name.startsWith(`${info.name}_`) ? name.slice(info.name.length + 1) : "";
  return /^\d+$/.test(level) ? Number(level) : undefined;
}

function levelsWith({ inputs }: Recipe, held: ReadonlySet<string>): number[] {
  const first = findVariable(inputs[0]!)!;
  const levels = [...held].flatMap((name) => levelIn(name, first) ?? []);
  return [...new Set(levels)].sort((a, b) => a - b);
}

/** "make it from specific_humidity_500 and temperature_500", or undefined for what has no recipe with inputs. */
export function recipeHint({ info, level }: FieldName): string | undefined {
  const recipe = recipes[info.name]?.find(({ inputs }) => inputs.length > 0);
  return recipe && inputsAt(recipe, level).join(" and ");
}

/**
 * The field of a derivation, from those already joined.
 * @throws ClimaxError "data" when the recipe needs dates or steps that the archive has not
 */
export function derive(
  { info, level, recipe, inputs }: Derivation,
  { grid, times, variables }: Pick<Archive, "grid" | "times" | "variables">,
): ArchiveVariable {
  const name = fieldName(info, level);
  const sources = inputs.map((input) => variables.get(input)!);
  if (recipe.dated && times.length === 0)
    throw new ClimaxError(
      "data",
      `${name} is made from the date, and no field of the files has one`,
      "give files of states in time as well",
    );
  const stepHours = recipe.accumulated ? stepOf(times) : 0;
  if (recipe.accumulated && stepHours === 0)
    throw new ClimaxError(
      "data",
      `${name} is what falls in a step, and the files have ${times.length} step${times.length === 1 ? "" : "s"}, whose length they do not say`,
      "give files of several steps",
    );
  const constant = !recipe.dated && sources.every((source) => source.constant);
  const attributes = sources.map((source) => source.attributes);
  if (recipe.accumulated && attributes.some((of) => /\btime: point\b/.test(String(of.get("cell_methods")))))
    throw new ClimaxError(
      "data",
      `${name} is what falls in a step, and ${inputs.join(" and ")} is the rate at a moment`,
      "give means over the steps",
    );
  const cell = recipe.accumulated
    ? [["cell_methods", `time: sum (interval: ${stepHours} hours)`] as const]
    : [];
  return {
    ...{ name, info, units: info.units, constant, attributes: new Map(cell) },
    ...(level === undefined ? {} : { level }),
    async read(step) {
      const time = constant ? undefined : times[step];
      if (!constant && !time) throw new RangeError(`step ${step} of ${name}; there are ${times.length}`);
      const fields: Float32Array[] = [];
      for (const source of sources) fields.push(await source.read(step));
      return recipe.make(fields, { grid, level: level ?? 0, time, stepHours, attributes });
    },
  };
}

/** One line for each variable made: "relative_humidity_500/850: derived from specific_humidity and temperature (...)". */
export function derivedNotes(derivations: readonly Derivation[], times: readonly CfTime[]): string[] {
  const groups = new Map<Recipe, Derivation[]>();
  for (const one of derivations) groups.set(one.recipe, [...(groups.get(one.recipe) ?? []), one]);
  return [...groups].map(([{ inputs, how, accumulated }, made]) => {
    const levels = made.flatMap(({ level }) => level ?? []);
    const name = `${made[0]!.info.name}${levels.length > 0 ? `_${levels.join("/")}` : ""}`;
    const from = inputs.length > 0 ? `from ${inputs.join(" and ")} (${how})` : `from ${how}`;
    return `${name}: derived ${from}${accumulated ? `; steps of ${stepOf(times)} h` : ""}`;
  });
}

/** The usual distance of an archive's steps, hours. */
const stepOf = (times: readonly CfTime[]) => usualStep(times, [{ steps: [...times.keys()] }]);
