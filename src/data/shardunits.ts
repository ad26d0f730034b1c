// The units of ClimaX's npz shards, which say none.
import { ClimaxError } from "../errors.ts";
import { parseUnit } from "./units.ts";
import { type FieldName, knownName } from "./variables.ts";

/**
 * Units by the variables' names where the first state's values can be in them, else those that convert to them and can:
 * the reference keeps CMIP6's geopotential height, in metres, under the name geopotential.
 *
 * @param firstState  values of a variable at the first time
 * @throws ClimaxError "data" when values are possible in none of them
 */
export async function shardUnits(
  keys: readonly string[],
  firstState: (key: string) => Promise<ArrayLike<number>>,
  path: string,
): Promise<{ of: Map<string, string>; notes: string[] }> {
  const of = new Map<string, string>();
  const fields = keys.flatMap((key) => knownName(key) ?? []);
  const byKey = new Map(keys.map((key) => [knownName(key)?.name, key]));
  const heights = await holdsHeights(fields, (name) => firstState(byKey.get(name)!));
  const converted: string[] = [];
  for (const { name, info } of fields) {
    const key = byKey.get(name)!;
    const candidates = [{ units: info.units, scale: 1 }, ...(info.equivalents ?? [])];
    const [least, most] = range(await firstState(key));
    const possible = ({ scale }: { scale: number }) =>
      least > most || (least * scale >= info.bounds[0] && most * scale <= info.bounds[1]);
    const units = info.name === "geopotential" && heights ? "m" : candidates.find(possible)?.units;
    if (units === undefined)
      throw new ClimaxError(
        "data",
        `${key} in ${path} goes from ${least} to ${most}, which cannot be ${name} in ${candidates.map((one) => one.units).join(" or ")} (${info.bounds.join(" to ")} ${info.units})`,
        "leave the variable out when writing the shards, or write it in these units",
      );
    if (units !== info.units) converted.push(`${key} in ${units}`);
    of.set(key, units);
  }
  const notes = ["the shards have no units; taken as those of ClimaX's names"];
  if (converted.length > 0) notes.push(`by the values of the first state: ${converted.join(", ")}`);
  return { of, notes };
}

function range(values: ArrayLike<number>): [number, number] {
  let [least, most] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    least = Math.min(least, Number.isNaN(values[i]!) ? Infinity : values[i]!);
    most = Math.max(most, Number.isNaN(values[i]!) ? -Infinity : values[i]!);
  }
  return [least, most];
}

/** Whether geopotential is its height: the mean of the highest level is nearer to that of the standard atmosphere. */
async function holdsHeights(
  fields: readonly FieldName[],
  firstState: (name: string) => Promise<ArrayLike<number>>,
): Promise<boolean> {
  const levels = fields.filter(({ info, level }) => info.name === "geopotential" && level !== undefined);
  if (levels.length === 0) return false;
  const highest = levels.reduce((a, b) => (b.level! < a.level! ? b : a));
  const values = Array.from(await firstState(highest.name)).filter(Number.isFinite);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const height = standardHeight(highest.level!);
  const off = (wanted: number) => Math.abs(Math.log(mean / wanted));
  return off(height) < off(height * parseUnit("gpm")!.factor);
}

/** Metres, of a pressure in hPa in the standard atmosphere up to 20 km (ICAO Doc 7488); beyond, near enough for this. */
const standardHeight = (pressure: number) =>
  pressure > 226.32
    ? 44330.8 * (1 - (pressure / 1013.25) ** 0.190263)
    : 11000 + 6341.6 * Math.log(226.32 / pressure);
