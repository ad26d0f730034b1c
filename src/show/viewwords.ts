/** What a page of forecasts says: names, times, numbers and the texts that stand for pictures. */
import { fieldTitle, timeTitle, withUnits } from "../plot/words.ts";
import { momentTitle } from "./plotwords.ts";
import type { Side } from "./viewchoice.ts";
import type { FieldNumbers } from "./viewnumbers.ts";
import type { Choice, Frame } from "./viewsource.ts";

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

/** "from 2020-01-01 00:00 for 72 h: valid 2020-01-04 00:00 UTC"; a state that nothing was forecast for is "at" its time. */
export function whenTitle({ initial, valid, choice }: Frame, averageHours: number | undefined): string {
  const mean = averageHours === undefined ? "" : `, mean of ${averageHours} h from then on`;
  if (choice.leadHours === 0) return `at ${momentTitle(valid)}${mean}`;
  return `from ${timeTitle(initial)} for ${choice.leadHours} h: valid ${momentTitle(valid)}${mean}`;
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
  const what = `Map of ${whose} ${fieldTitle(variable)} at ${timeTitle(valid)}${ahead}${member}`;
  const numbers = Number.isNaN(mean)
    ? "no value is known"
    : `mean ${withUnits(mean, units)}, from ${withUnits(least, units)} to ${withUnits(most, units)}`;
  const gaps = missing > 0 && !Number.isNaN(mean) ? `; ${missing} cells have no value` : "";
  return `${what}, ${place}: ${numbers}${gaps}.`;
}
