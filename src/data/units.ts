// Units as weather files spell them, and their conversion to the units of the variables table.
// Never a guess: what cannot be read or converted is an error that says what was wanted.
import { ClimaxError } from "../errors.ts";
import type { VariableInfo } from "./variables.ts";

/** SI value = factor * value + offset; `dimension` holds the powers of m, kg, s, K and degree of angle. */
export interface Unit {
  factor: number;
  offset: number;
  dimension: readonly number[];
}

/** ClimaX value = scale * file's value + offset. */
export interface UnitsConverter {
  scale: number;
  offset: number;
  /** What was converted or assumed, for the user to read; absent when nothing was. */
  note?: string;
}

const dimensionless = [0, 0, 0, 0, 0];
const metre = [1, 0, 0, 0, 0];
const kilogram = [0, 1, 0, 0, 0];
const second = [0, 0, 1, 0, 0];
const kelvin = [0, 0, 0, 1, 0];
const degree = [0, 0, 0, 0, 1];
const pascal = [-1, 1, -2, 0, 0];
const unit = (factor: number, dimension: readonly number[], offset = 0): Unit => ({
  factor,
  offset,
  dimension,
});

/** Symbols, exactly as written: in units case matters (s, S; m, M; Pa, pA). Whole names are in lower case. */
const symbols: Record<string, Unit> = {
  "1": unit(1, dimensionless),
  "%": unit(0.01, dimensionless),
  m: unit(1, metre),
  km: unit(1000, metre),
  dam: unit(10, metre),
  cm: unit(0.01, metre),
  mm: unit(0.001, metre),
  kg: unit(1, kilogram),
  g: unit(1e-3, kilogram),
  mg: unit(1e-6, kilogram),
  Mt: unit(1e9, kilogram),
  Gt: unit(1e12, kilogram),
  Tg: unit(1e9, kilogram),
  Pg: unit(1e12, kilogram),
  s: unit(1, second),
  sec: unit(1, second),
  min: unit(60, second),
  h: unit(3600, second),
  hr: unit(3600, second),
  d: unit(86400, second),
  K: unit(1, kelvin),
  degK: unit(1, kelvin),
  C: unit(1, kelvin, 273.15),
  degC: unit(1, kelvin, 273.15),
  F: unit(5 / 9, kelvin, 273.15 - (32 * 5) / 9),
  degF: unit(5 / 9, kelvin, 273.15 - (32 * 5) / 9),
  Pa: unit(1, pascal),
  hPa: unit(100, pascal),
  kPa: unit(1000, pascal),
  bar: unit(1e5, pascal),
  mb: unit(100, pascal),
  mbar: unit(100, pascal),
  N: unit(1, [1, 1, -2, 0, 0]),
  J: unit(1, [2, 1, -2, 0, 0]),
  W: unit(1, [2, 1, -3, 0, 0]),
  // The geopotential metre is a unit of geopotential: 9.80665 m2 s-2 (WMO-No. 8, annex 1.A).
  gpm: unit(9.80665, [2, 0, -2, 0, 0]),
  gpdam: unit(98.0665, [2, 0, -2, 0, 0]),
};

/** Whole names, without plural s. */
const names: Record<string, string> = {
  percent: "%",
  fraction: "1",
  proportion: "1",
  dimensionless: "1",
  unitless: "1",
  meter: "m",
  metre: "m",
  kilometer: "km",
  kilometre: "km",
  millimeter: "mm",
  millimetre: "mm",
  kilogram: "kg",
  gram: "g",
  second: "s",
  minute: "min",
  hour: "h",
  day: "d",
  kelvin: "K",
  degk: "K",
  celsius: "degC",
  centigrade: "degC",
  degc: "degC",
  fahrenheit: "degF",
  degf: "degF",
  pa: "Pa",
  pascal: "Pa",
  hpa: "hPa",
  hectopascal: "hPa",
  mb: "mb",
  mbar: "mbar",
  millibar: "mbar",
  joule: "J",
  watt: "W",
};
for (const angle of ["degree", "degrees", "degrees_north", "degree_north", "degrees_east", "degree_east"]) {
  symbols[angle] = unit(1, degree);
}
for (const angle of ["radian", "radians", "rad"]) symbols[angle] = unit(180 / Math.PI, degree);

/** Spellings of more than one word, rewritten before the words are read. */
const phrases: [RegExp, string][] = [
  [/^[[(]?\s*0\s*(?:-|to)\s*1\s*[\])]?$/, "1"], // ECMWF: (0 - 1)
  [/^[~-]$/, "1"], // ECMWF: codes and indices
  [/\s+of\s+(?:liquid\s+)?water(?:\s+equivalent)?\b/g, ""], // ECMWF: m of water equivalent
  [/\b(?:geopotential|gp)\s+m(?:et(?:er|re)s?)?\b/g, "gpm"],
  [/(?:°|º|\bdeg(?:ree)?s?[ _.]?)\s*C(?:elsius)?\b/gi, "degC"],
  [/(?:°|º|\bdeg(?:ree)?s?[ _.]?)\s*F(?:ahrenheit)?\b/gi, "degF"],
  [/\bdeg(?:ree)?s?[ _.]?\s*K(?:elvin)?\b/gi, "K"],
  [/²/g, "2"],
  [/⁻/g, "-"],
  [/¹/g, "1"],
  [/\*\*|\^/g, "^"],
  [/[·⋅*]/g, " "],
  [/([A-Za-z\d])\.(?=[A-Za-z])/g, "$1 "], // kg.m-2.s-1
];

/** The unit that a text means, or undefined. Reads products of powers: "m**2 s**-2", "kg/(m2 s)", "mm day-1". */
export function parseUnit(text: string): Unit | undefined {
  const written = phrases.reduce((result, [from, to]) => result.replace(from, to), text.trim());
  const word = /\s*(\/?)\s*(\(?)\s*([A-Za-z%_µ]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(?:\^?([+-]?\d+))?\s*(\)?)/y;
  let result: Unit = { factor: 1, offset: 0, dimension: dimensionless };
  let below = false; // inside a group after a slash
  let count = 0;
  while (word.lastIndex < written.length) {
    const match = word.exec(written);
    if (!match) return undefined;
    const [, slash, open, symbol, exponent, close] = match;
    const part = /^\d/.test(symbol!) ? unit(Number(symbol), dimensionless) : lookUp(symbol!);
    if (!part) return undefined;
    if (slash && open) below = true;
    const power = Number(exponent ?? 1) * (slash || below ? -1 : 1);
    if (close) below = false;
    result = {
      factor: result.factor * part.factor ** power,
      offset: part.offset,
      dimension: result.dimension.map((n, i) => n + power * part.dimension[i]!),
    };
    // A degree Celsius within a product is a difference of temperatures.
    if (++count > 1 || power !== 1) result.offset = 0;
  }
  return count > 0 ? result : undefined;
}

function lookUp(symbol: string): Unit | undefined {
  if (Object.hasOwn(symbols, symbol)) return symbols[symbol];
  const lower = symbol.toLowerCase();
  const name = [lower, lower.replace(/s$/, "")].find((key) => Object.hasOwn(names, key));
  return name === undefined ? undefined : symbols[names[name]!];
}

const sameDimension = (a: Unit, b: Unit) => a.dimension.every((n, i) => n === b.dimension[i]);

/**
 * How to bring a variable from the units its file gives (undefined or blank: none) to those of the table.
 * `where` names the variable and its file in an error.
 * @throws ClimaxError "data" for units that are unknown or measure something else.
 */
export function unitsConverter(
  from: string | undefined,
  info: VariableInfo,
  where = `variable ${info.name}`,
): UnitsConverter {
  if (from === undefined || from.trim() === "") {
    return { scale: 1, offset: 0, note: `no units; taken as ${info.units}, the units of ${info.name}` };
  }
  const source = parseUnit(from);
  const target = parseUnit(info.units)!;
  const accepted = [info.units, ...(info.equivalents ?? []).map((other) => other.units)];
  if (!source) {
    throw new ClimaxError(
      "data",
      `${where} has the unknown units "${from}"; ${info.name} wants ${accepted.join(" or ")}, or what converts to it`,
      mend(where, info),
    );
  }
  if (sameDimension(source, target)) {
    return converter(from, info, source.factor / target.factor, source.offset / target.factor);
  }
  for (const other of info.equivalents ?? []) {
    const through = parseUnit(other.units)!;
    if (sameDimension(source, through)) {
      return converter(from, info, (source.factor / through.factor) * other.scale, 0, other.why);
    }
  }
  throw new ClimaxError(
    "data",
    `${where} has the units "${from}", which measure something else; ${info.name} wants ${accepted.join(" or ")}`,
    mend(where, info),
  );
}

function converter(
  from: string,
  info: VariableInfo,
  scale: number,
  offset: number,
  why?: string,
): UnitsConverter {
  const shift = info.difference ? 0 : offset;
  if (scale === 1 && shift === 0) return { scale, offset: shift };
  const steps = [scale === 1 ? "" : `times ${shown(scale)}`, shift === 0 ? "" : `plus ${shown(shift)}`];
  const note = `${from} to ${info.units}: ${steps.filter(Boolean).join(", ")}${why ? ` (${why})` : ""}`;
  return { scale, offset: shift, note };
}

/** At most seven digits: the note is for the eye. */
const shown = (x: number) => String(Number(x.toPrecision(7)));

function mend(where: string, info: VariableInfo): string {
  const variable = /^\S+/.exec(where.replace(/^variable /, ""))![0];
  return (
    "if the values are right, correct the attribute: " +
    `cdo setattribute,${variable}@units="${info.units}" in.nc out.nc`
  );
}
