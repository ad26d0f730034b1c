/** How pictures and pages write variables, times, units and numbers. */
import { type CfTime, formatTime } from "../data/time.ts";
import { knownName } from "../data/variables.ts";

/** As papers write it: "500 hPa geopotential", "2 m temperature" */
export function fieldTitle(name: string): string {
  const { level } = knownName(name) ?? {};
  return level === undefined ? quantityTitle(name) : `${level} hPa ${quantityTitle(name)}`;
}

/** What all levels of a variable share: "geopotential" */
export const quantityTitle = (name: string): string =>
  (knownName(name)?.info.name ?? name)
    .replaceAll("_", " ")
    .replace(/^lattitude$/, "latitude")
    .replace(/^(\d+)m /, "$1 m ");

/** "2020-01-31 06:00"; seconds only where there are any. */
export function timeTitle(time: CfTime): string {
  return formatTime(time).replace("T", " ").replace(/:00$/, "");
}

const superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** An exponent as it stands behind its base: "-2" as "⁻²". */
export const raised = (exponent: string | number): string =>
  [...String(exponent)].map((c) => (c === "-" ? "⁻" : superscripts[Number(c)]!)).join("");

/** "m2 s-2" as "m² s⁻²"; nothing for the unit 1. */
export function unitsTitle(units: string): string {
  if (units === "1") return "";
  return units.replaceAll(/(?<=[a-zA-Z])-?\d+/g, raised);
}

/** Five digits or all whole ones, with a real minus, and powers of ten only where plain digits are long. */
export function numberText(value: number): string {
  if (Number.isNaN(value)) return "none";
  // Whole digits are never rounded away: 101616 as "101620" would look exact.
  const whole = Math.abs(value) >= 1e5 && Math.abs(value) < 1e7;
  const rounded = whole ? Math.round(value) : Number(value.toPrecision(5));
  const size = Math.abs(rounded);
  const plain = size === 0 || (size >= 1e-4 && size < 1e7);
  if (plain) return String(rounded).replace("-", "−");
  const [mantissa = "", power = "0"] = rounded.toExponential().split("e");
  return `${mantissa.replace("-", "−")}×10${raised(Number(power))}`;
}

/** A number and its unit. */
export const withUnits = (value: number, units: string) =>
  Number.isNaN(value) ? "none" : `${numberText(value)} ${unitsTitle(units)}`.trim();
