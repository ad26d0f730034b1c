/** Titles of pictures of forecasts and states. */
import { type CfTime, hoursBetween } from "../data/time.ts";
import type { Region } from "../grid/regions.ts";
import { timeTitle } from "../plot/words.ts";

/** "2017-01-04 12:00 UTC"; of calendars that no clock keeps, with their name. */
export function momentTitle(time: CfTime): string {
  const real = time.calendar === "standard" || time.calendar === "proleptic_gregorian";
  return `${timeTitle(time)} ${real ? "UTC" : `(${time.calendar} calendar)`}`;
}

/** "72 h", "14 d" from ten days on. */
export const leadTitle = (hours: number): string =>
  hours >= 240 && hours % 24 === 0 ? `${hours / 24} d` : `${hours} h`;

/** "72 h forecast, valid 2017-01-04 12:00 UTC"; of means "mean of 336 h from ... on"; of lead 0 the time alone. */
export function whenTitle(valid: CfTime, leadHours: number, averageHours: number | undefined): string {
  const when =
    averageHours === undefined
      ? `valid ${momentTitle(valid)}`
      : `mean of ${leadTitle(averageHours)} from ${momentTitle(valid)} on`;
  return leadHours > 0 ? `${leadTitle(leadHours)} forecast, ${when}` : when.replace(/^valid /, "");
}

/** "wb2-europe (35–75°N, 12.5°W–42.5°E)"; a box has no other name. */
export function regionTitle({ name, bands, west, width }: Region): string {
  const latitudes = bands.map(([south, north]) => spanTitle(south, north, "N", "S")).join(" and ");
  const wrapped = (longitude: number) => longitude - 360 * Math.ceil((longitude - 180) / 360);
  const place =
    width === 360 ? latitudes : `${latitudes}, ${spanTitle(wrapped(west), wrapped(west + width), "E", "W")}`;
  return name.includes("..") ? place : `${name} (${place})`;
}

function spanTitle(low: number, high: number, positive: string, negative: string): string {
  const [from, to] = [low, high].map((x) => {
    const side = x === 0 || Math.abs(x) === 180 ? "" : x > 0 ? positive : negative;
    return { size: `${Number(Math.abs(x).toFixed(4))}`, side };
  }) as [{ size: string; side: string }, { size: string; side: string }];
  const first = from.side === to.side ? from.size : `${from.size}°${from.side}`;
  return `${first}–${to.size}°${to.side}`;
}

/** What of a list of times there is, in a line: "2017-01-01 00:00 to 2017-12-31 12:00, every 12 h (730)". */
export function timesTitle(times: readonly CfTime[]): string {
  const [first, last] = [times[0], times.at(-1)];
  if (!first || !last) return "none";
  if (times.length <= 4) return times.map(timeTitle).join(", ");
  const step = hoursBetween(first, times[1]!);
  const even = times.every((time, i) => i === 0 || Math.abs(hoursBetween(times[i - 1]!, time) - step) < 1e-6);
  return `${timeTitle(first)} to ${timeTitle(last)}${even ? `, every ${leadTitle(step)}` : ""} (${times.length})`;
}

/** Numbers in a line: "6, 12, 18, ..., 240". */
export const someOf = (list: readonly (string | number)[]): string =>
  list.length <= 12
    ? list.join(", ")
    : `${list.slice(0, 6).join(", ")}, ..., ${list.at(-1)} (${list.length})`;
