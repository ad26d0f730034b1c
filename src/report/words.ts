/** How a report says things: metrics, leads, parts, numbers. */
import { fieldTitle, raised, unitsTitle } from "../plot/words.ts";
import { metricInfo } from "../scores/metrics.ts";
import type { Part } from "./scoreindex.ts";

/** "RMSE" */
export const metricTitle = (metric: string): string => metricInfo(metric).title;

/** The title up to its first comma, for the middle of a sentence. */
export const metricShort = (metric: string): string => metricTitle(metric).split(",")[0]!;

/** Which of two scores is better; undefined: neither. */
export const betterOf = (metric: string) => metricInfo(metric).better;

/** How a score is told from that of another: by what part of it, or, where zero means nothing, by how much. */
export const comparedBy = (metric: string): "percent" | "difference" =>
  betterOf(metric) === "low" ? "percent" : "difference";

/** Metrics that say which system is better, in the order of the tables. */
export const directed = (metrics: readonly string[]): string[] =>
  metrics.filter((metric) => betterOf(metric) === "low" || betterOf(metric) === "high");

/** "72 h"; nothing where forecasts have no lead, as of a projection. */
export const leadWords = (hours: number): string => (hours === 0 ? "" : `${hours} h`);

/** "500 hPa geopotential, 72 h" */
export const caseWords = (variable: string, hours: number): string =>
  [fieldTitle(variable), leadWords(hours)].filter((part) => part !== "").join(", ");

const seasonWords: Readonly<Record<string, string>> = {
  DJF: "December to February",
  MAM: "March to May",
  JJA: "June to August",
  SON: "September to November",
};

/** "global, all seasons" */
export function partWords({ region, season }: Part): string {
  const words = seasonWords[season];
  const name = region.toLowerCase() === "global" ? "the globe" : region;
  return season === "all" ? name : `${name}, ${words === undefined ? season : `${season} (${words})`}`;
}

/** "RMSE [m² s⁻²]" */
export function withUnit(title: string, units: string): string {
  const unit = unitsTitle(units);
  return unit === "" ? title : `${title} [${unit}]`;
}

const minus = (text: string) => text.replace("-", "−");

/** A number of so many significant digits. */
export function digits(value: number, count = 3): string {
  const rounded = Number(value.toPrecision(count));
  const size = Math.abs(rounded);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return power(value, count - 1);
  const places = size === 0 ? 0 : Math.max(0, count - 1 - Math.floor(Math.log10(size)));
  return minus(rounded.toFixed(places));
}

/** Writes numbers of one column: the largest with four digits, all with as many decimals. */
export function columnFormat(values: readonly number[]): (value: number) => string {
  const largest = Math.max(0, ...values.map(Math.abs));
  if (largest > 0 && (largest < 1e-2 || largest >= 1e7))
    return (value) => (value === 0 ? "0" : power(value, 3));
  const places = largest === 0 ? 0 : Math.min(5, Math.max(0, 3 - Math.floor(Math.log10(largest))));
  return (value) => signless(value.toFixed(places));
}

/** 0.95 as "95 %" */
export const percentWords = (part: number): string => `${Number((100 * part).toPrecision(4))} %`;

/** With its sign. */
export function signed(value: number, places: number): string {
  const text = signless(value.toFixed(places));
  return text.startsWith("−") || Number(value.toFixed(places)) === 0 ? text : `+${text}`;
}

/** "-0.0" is nought. */
const signless = (text: string) => (Number(text) === 0 ? text.replace("-", "") : minus(text));

function power(value: number, places: number): string {
  const [mantissa = "", exponent = "0"] = value.toExponential(places).split("e");
  return `${minus(mantissa)}×10${raised(Number(exponent))}`;
}

/** "a", "a and b", "a, b and c" */
export function listed(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)!}`;
}

/** "1 forecast", "2 forecasts" */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
