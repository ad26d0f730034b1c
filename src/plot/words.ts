/** How pictures and pages write variables, times, units and numbers. */
import { type CfTime, formatTime } from "../data/time.ts";
import { knownName } from "../data/variables.ts";

/** "geopotential at 500 hPa", "2m temperature" */
export function variableTitle(name: string): string {
  const { info, level } = knownName(name) ?? {};
  const plain = (info?.name ?? name).replaceAll("_", " ");
  return level === undefined ? plain : `${plain} at ${level} hPa`;
}

/** The same as a title: "500 hPa geopotential", "2 m temperature" */
export function fieldTitle(name: string): string {
  const { info, level } = knownName(name) ?? {};
  const plain = (info?.name ?? name)
    .replaceAll("_", " ")
    .replace(/^lattitude$/, "latitude")
    .replace(/^(\d+)m /, "$1 m ");
  return level === undefined ? plain : `${level} hPa ${plain}`;
}

/** "2020-01-31 06:00"; seconds only where there are any. */
export function timeTitle(time: CfTime): string {
  return formatTime(time).replace("T", " ").replace(/:00$/, "");
}

const superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** "m2 s-2" as "m² s⁻²"; nothing for the unit 1. */
export function unitsTitle(units: string): string {
  if (units === "1") return "";
  return units.replaceAll(/(?<=[a-zA-Z])-?\d+/g, (power) =>
    [...power].map((c) => (c === "-" ? "⁻" : superscripts[Number(c)]!)).join(""),
  );
}

/** Five digits, with a real minus, and powers of ten only where plain digits are long. */
export function numberText(value: number): string {
  if (Number.isNaN(value)) return "none";
  const rounded = Number(value.toPrecision(5));
  const size = Math.abs(rounded);
  const plain = size === 0 || (size >= 1e-4 && size < 1e7);
  if (plain) return String(rounded).replace("-", "−");
  const [mantissa = "", power = "0"] = rounded.toExponential().split("e");
  const raised = [...power.replace("+", "")]
    .map((c) => (c === "-" ? "⁻" : superscripts[Number(c)]!))
    .join("");
  return `${mantissa.replace("-", "−")}×10${raised}`;
}

/** A number and its unit. */
export const withUnits = (value: number, units: string) =>
  Number.isNaN(value) ? "none" : `${numberText(value)} ${unitsTitle(units)}`.trim();
