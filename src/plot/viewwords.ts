/** What a page of forecasts says: names, times, numbers and the texts that stand for pictures. */
import { type CfTime, formatTime } from "../data/time.ts";
import { knownName } from "../data/variables.ts";
import type { Side } from "./viewchoice.ts";
import type { FieldNumbers } from "./viewnumbers.ts";
import type { Choice, Frame } from "./viewsource.ts";

/** "geopotential at 500 hPa", "2m temperature" */
export function variableTitle(name: string): string {
  const { info, level } = knownName(name) ?? {};
  const plain = (info?.name ?? name).replaceAll("_", " ");
  return level === undefined ? plain : `${plain} at ${level} hPa`;
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

export const sideTitles: Readonly<Record<Side, string>> = {
  forecast: "Forecast",
  truth: "Truth",
  difference: "Forecast − truth",
};

/** ", member 2 of 10"; nothing where there is one. */
export function memberTitle({ member }: Choice, members: number): string {
  if (members === 1) return "";
  return member === "mean" ? `, mean of ${members} members` : `, member ${member + 1} of ${members}`;
}

/** "from 2020-01-01 00:00 for 72 h: valid 2020-01-04 00:00"; a state that nothing was forecast for is "at" its time. */
export function whenTitle({ initial, valid, choice }: Frame, averageHours: number | undefined): string {
  const mean = averageHours === undefined ? "" : `, mean of ${averageHours} h from then on`;
  if (choice.leadHours === 0) return `at ${timeTitle(valid)}${mean}`;
  return `from ${timeTitle(initial)} for ${choice.leadHours} h: valid ${timeTitle(valid)}${mean}`;
}

/** What a picture shows, for who does not see it. */
export function alternative(
  side: Side,
  { choice, valid, units }: Frame,
  { mean, least, most, missing }: FieldNumbers,
  { members, place }: { readonly members: number; readonly place: string },
): string {
  const { variable, leadHours } = choice;
  const whose = { forecast: "forecast", truth: "the true", difference: "forecast less true" }[side];
  const ahead = side === "truth" || leadHours === 0 ? "" : `, ${leadHours} h ahead`;
  const member = side === "truth" ? "" : memberTitle(choice, members);
  const what = `Map of ${whose} ${variableTitle(variable)} at ${timeTitle(valid)}${ahead}${member}`;
  const numbers = Number.isNaN(mean)
    ? "no value is known"
    : `mean ${withUnits(mean, units)}, from ${withUnits(least, units)} to ${withUnits(most, units)}`;
  const gaps = missing > 0 && !Number.isNaN(mean) ? `; ${missing} cells have no value` : "";
  return `${what}, ${place}: ${numbers}${gaps}.`;
}
