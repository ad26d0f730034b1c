// Which ClimaX variable a variable of a file is, by its names, its CF attributes and the level it lies on.
import type { AttributeValue } from "../files/dataset.ts";
import { findVariable, type VariableInfo, variables } from "./variables.ts";

/** What recognition looks at: the variable, and what its coordinates say of its level. */
export interface Candidate {
  name: string;
  attributes: ReadonlyMap<string, AttributeValue>;
  /** It has a pressure axis, or a scalar pressure coordinate. */
  onPressure: boolean;
  /** Its scalar height coordinate, m. */
  height?: number | undefined;
}

export type Recognised =
  | { info: VariableInfo /** hPa, when the name tells it. */; level?: number; note?: string }
  | { reason: string };

/** Names such as t850 and zg500, but not u100, which ECMWF uses for the wind at 100 metres. */
const nameWithLevel = /^([a-z]+)_?(\d{1,4})$/;
const metresAboveGround = new Set(["u10", "v10", "u100", "v100", "t2", "q2", "r2"]);

/**
 * Recognises a variable. The standard name decides when it is in the table, then the variable's own name, then
 * its long name; the level decides between a variable aloft and its counterpart near the ground.
 */
export function recognise(candidate: Candidate): Recognised {
  const { attributes } = candidate;
  const own = byOwnName(candidate);
  const standard = text(attributes, "standard_name").split(/\s/)[0]!;
  const longName = text(attributes, "long_name").toLowerCase();
  const byStandard = variables.filter((info) => info.cfStandardNames.includes(standard));
  const byLong = variables.filter((info) => info.longNames.includes(longName));

  let pool = own.exact ? [own.info!] : byStandard;
  if (pool.length === 0 || (own.info && pool.includes(own.info))) {
    // CESM's U10 is a wind speed and so says its long name; a short name proves less than that.
    const other = candidate.name.length <= 3 && byLong.length === 1 && byLong[0]!.levels === "single";
    if (own.info) pool = other ? byLong : [own.info];
  }
  if (pool.length === 0) pool = byLong;
  if (pool.length === 0) return { reason: `ClimaX has no such variable${nearest(candidate)}` };
  if (own.info && !own.exact && byStandard.length === 0 && pool.includes(own.info)) {
    const stranger = standard !== "" && standard !== "unknown";
    if (stranger && candidate.name.length <= 2) {
      return { reason: `its standard name is ${standard}, so it is no ${own.info.name}` };
    }
  }
  return byLevel(candidate, pool, own.level ?? levelInLongName(longName));
}

function byOwnName({ name, attributes }: Candidate): {
  info?: VariableInfo;
  level?: number;
  exact?: boolean;
} {
  const lower = name.toLowerCase();
  const named = /^(.+)_(\d{1,4})$/.exec(lower);
  for (const info of variables) {
    if (info.name === lower || info.name === name) return { info, exact: true };
    if (info.levels === "pressure" && named?.[1] === info.name) {
      return { info, level: Number(named[2]), exact: true };
    }
  }
  for (const key of [lower, text(attributes, "GRIB_shortName"), text(attributes, "short_name")]) {
    const info = key === "" ? undefined : findVariable(key);
    if (info) return { info };
  }
  const short = metresAboveGround.has(lower) ? undefined : nameWithLevel.exec(lower);
  const info = short ? findVariable(short[1]!) : undefined;
  return info?.levels === "pressure" ? { info, level: Number(short![2]) } : {};
}

/** "Temperature at 850 mbar pressure surface": 850. */
function levelInLongName(longName: string): number | undefined {
  const match = /\b(\d{1,4})[ -]*(?:hpa|mb|mbar|millibars?)\b/.exec(longName);
  return match ? Number(match[1]) : undefined;
}

/** Chooses among variables that share a standard name by the level, and checks that the level fits. */
function byLevel(candidate: Candidate, pool: VariableInfo[], level: number | undefined): Recognised {
  const { name, attributes, onPressure, height } = candidate;
  const aloft = onPressure || level !== undefined;
  const chosen = pool.find((info) => (info.levels === "pressure") === aloft) ?? pool[0]!;
  if (aloft && chosen.levels === "single") {
    if (onPressure) return { reason: `${chosen.name} lies on one level, but this has pressure levels` };
    return { info: chosen };
  }
  if (aloft) return { info: chosen, ...(level === undefined || onPressure ? {} : { level }) };
  if (chosen.levels === "single") {
    const daily = dailyExtreme(pool, text(attributes, "cell_methods"));
    const single = daily ?? chosen;
    const sure = pool.length === 1 || daily !== undefined || height !== undefined;
    // Sharing air_temperature or eastward_wind with the levels aloft, it must say that it is near the ground.
    if (!sure) return { reason: `it says neither its pressure level nor its height; is it ${single.name}?` };
    if (height !== undefined && height > 20) return { reason: `it lies ${height} m above the ground` };
    const note = pool.length > 1 ? `at a height of ${height ?? 2} m: taken as ${single.name}` : undefined;
    return { info: single, ...(note ? { note } : {}) };
  }
  const below = chosen.nearSurface ? findVariable(chosen.nearSurface) : undefined;
  if (below && height !== undefined && height <= 20) {
    return { info: below, note: `at a height of ${height} m: taken as ${below.name}` };
  }
  if (chosen.name === "geopotential" && height === undefined) {
    const orography = findVariable("orography")!;
    return { info: orography, note: "has no level: taken as the surface's, that is orography" };
  }
  return { reason: `it would be ${chosen.name}, but ${name} has no pressure level` };
}

/** CMIP6's tasmin and tasmax carry the standard name of tas; their cell methods tell. */
function dailyExtreme(pool: VariableInfo[], cellMethods: string): VariableInfo | undefined {
  const method = /time:\s*(minimum|maximum)\b/.exec(cellMethods)?.[1];
  return method ? pool.find((info) => info.name.startsWith(method)) : undefined;
}

/** ", the nearest is ...", by letter pairs shared with the name or long name (Dice's coefficient), if near at all. */
function nearest({ name, attributes }: Candidate): string {
  const written = [name, text(attributes, "long_name"), text(attributes, "standard_name")].map(pairs);
  let best = { score: 0.5, name: "" };
  for (const info of variables) {
    for (const known of [info.name, info.short, info.cmip6 ?? "", ...info.longNames].map(pairs)) {
      for (const own of written) {
        const shared = [...own].filter((pair) => known.has(pair)).length;
        const score = (2 * shared) / (own.size + known.size || 1);
        if (score > best.score) best = { score, name: info.name };
      }
    }
  }
  return best.name === "" ? "" : `; the nearest is ${best.name}`;
}

function pairs(name: string): Set<string> {
  const letters = name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  return new Set(Array.from({ length: Math.max(letters.length - 1, 0) }, (_, i) => letters.slice(i, i + 2)));
}

/** A text attribute, trimmed; "" when there is none. */
export function text(attributes: ReadonlyMap<string, AttributeValue>, name: string): string {
  const value = attributes.get(name);
  return typeof value === "string" ? value.trim() : "";
}
