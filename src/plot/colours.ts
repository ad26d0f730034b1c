/** From values to colours that colour-blind eyes tell apart: which colours a variable has, and where they begin and end. */
import * as chromatic from "d3-scale-chromatic";
import { knownName } from "../data/variables.ts";
import { type Limits, limitsAbout, limitsOf } from "./colourlimits.ts";

/** Colours of a field: a run from low to high. */
export interface Colours {
  readonly low: number;
  readonly high: number;
  /** value -> [r, g, b], 0..255; out of range clamps. */
  at(value: number): readonly [number, number, number];
  readonly name: string;
  readonly diverging: boolean;
  /** Whether values lie beyond low / high, drawn as arrows on the bar. */
  readonly extend: "neither" | "min" | "max" | "both";
}

/**
 * What the values are: a state of the weather; a difference from what is usual; forecast less truth; a score that is
 * better when low, as an RMSE; a skill, whose zero is a reference and which is better when high.
 */
export type Shown = "state" | "anomaly" | "error" | "score" | "skill";

type Ramp = (part: number) => string;

/** All are of ColorBrewer or made to be even to the eye (viridis and kin); none needs red told from green. */
const ramps = {
  viridis: chromatic.interpolateViridis,
  plasma: chromatic.interpolatePlasma,
  cividis: chromatic.interpolateCividis,
  YlGnBu: chromatic.interpolateYlGnBu,
  Blues: chromatic.interpolateBlues,
  BuPu: chromatic.interpolateBuPu,
  YlOrRd: chromatic.interpolateYlOrRd,
  RdBu: chromatic.interpolateRdBu,
  "RdBu reversed": (part: number) => chromatic.interpolateRdBu(1 - part),
  "PuOr reversed": (part: number) => chromatic.interpolatePuOr(1 - part),
  BrBG: chromatic.interpolateBrBG,
} as const satisfies Record<string, Ramp>;

export type RampName = keyof typeof ramps;

const diverging: ReadonlySet<RampName> = new Set(["RdBu", "RdBu reversed", "PuOr reversed", "BrBG"]);

/** Quantities of either sign, about zero. */
const signed = /component_of_wind|^vertical_velocity|^vorticity|^divergence/;
const wet = /humidity|water|cloud|precipitation|^pr90/;

/** Which colours, and whether they begin at zero. */
function rampFor(what: Shown, variable: string): { ramp: RampName; fromZero: boolean } {
  const name = knownName(variable)?.info.name ?? variable;
  const plain = (ramp: RampName, fromZero = false) => ({ ramp, fromZero });
  if (what === "score") return plain("YlOrRd", true);
  if (what === "skill") return plain("RdBu"); // blue is better, as in the field's score cards
  if (what !== "state") return plain(wet.test(name) ? "BrBG" : "RdBu reversed");
  if (signed.test(name)) return plain("PuOr reversed");
  if (/temperature/.test(name)) return plain("plasma");
  if (/precipitation|^pr90|snow/.test(name)) return plain("Blues", true);
  if (/wind_speed/.test(name)) return plain("BuPu", true);
  if (wet.test(name)) return plain("YlGnBu", true);
  if (/mask|cover|radiation|^CO2|^CH4|^SO2|^BC/.test(name)) return plain("cividis", true);
  return plain("viridis");
}

/**
 * Colours for fields of a variable that are shown together: the same for all of them.
 *
 * @param variable  ClimaX name
 * @param values    all that will be drawn; NaN counts for nothing
 * @param range     limits, instead of those that follow from the values
 */
export function coloursFor(
  what: Shown,
  variable: string,
  values: Iterable<ArrayLike<number>>,
  range?: readonly [low: number, high: number],
): Colours {
  const { ramp, fromZero } = rampFor(what, variable);
  const diverges = diverging.has(ramp);
  const found: Limits = diverges ? limitsAbout(0, values, range) : limitsOf(values, fromZero, range);
  return makeColours(ramp, found);
}

/** Colours of a ramp between limits. */
function makeColours(ramp: RampName, { low, high, extend }: Limits): Colours {
  const table = tableOf(ramp);
  const last = table.length - 1;
  const twoSided = diverging.has(ramp);
  // The middle of a diverging ramp is zero, wherever the limits lie.
  const reach = Math.max(Math.abs(low), Math.abs(high));
  const [from, to] = twoSided ? [-reach, reach] : [low, high];
  const scale = last / (to - from);
  return {
    ...{ low, high, extend, name: ramp, diverging: twoSided },
    at: (value) => table[Math.round((Math.max(low, Math.min(high, value)) - from) * scale)]!,
  };
}

const tables = new Map<RampName, readonly (readonly [number, number, number])[]>();

/** 257 colours, so that the middle of a diverging ramp is one of them. */
function tableOf(ramp: RampName) {
  let table = tables.get(ramp);
  if (!table) {
    table = Array.from({ length: 257 }, (_, i) => parseColour(ramps[ramp](i / 256)));
    tables.set(ramp, table);
  }
  return table;
}

/** "rgb(1, 2, 3)" or "#010203". */
function parseColour(text: string): readonly [number, number, number] {
  const parts = text.startsWith("#")
    ? [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16))
    : [...text.matchAll(/\d+/g)].map(([part]) => Number(part));
  return [parts[0]!, parts[1]!, parts[2]!];
}
