// Numbers of the whole globe, one a year, beside fields that are dated otherwise: a year's emissions hold for every
// state of that year.
import type { Part } from "./join.ts";
import { type CfTime, timeParts } from "./time.ts";

/**
 * The fields with those that have no grid and a time in each of several years dated as the fields on a grid are, each
 * taking the number of its year; years that have no number are left out. Where all dates are the same, or nothing is on
 * a grid, all stays as it is.
 *
 * @returns the fields in their order, and the names of the variables that were dated anew
 */
export function spreadOverYears(fields: readonly Part[]): { fields: Part[]; spread: Part[] } {
  const spread: Part[] = [];
  if (!fields.some(({ grid, times }) => !grid && times && yearly(times)))
    return { fields: [...fields], spread };
  // An axis that fields share is counted once.
  const axes = new Set(fields.flatMap(({ grid, times }) => (grid && times ? [times] : [])));
  const bySeconds = new Map<number, CfTime>();
  for (const times of axes) for (const time of times) bySeconds.set(time.seconds, time);
  const instants = [...bySeconds.values()];
  const made = fields.map((field): Part => {
    const { grid, times: own } = field;
    if (grid || !own || instants.length === 0 || !yearly(own)) return field;
    const known = new Set(own.map(({ seconds }) => seconds));
    if (instants.every(({ seconds }) => known.has(seconds))) return field;
    const stepOf = new Map(own.map((time, step) => [timeParts(time).year, step]));
    const dated = instants.filter((time) => stepOf.has(timeParts(time).year));
    if (dated.length === 0) return field; // that nothing is in common is said where times are joined
    spread.push(field);
    return { ...field, times: dated, read: (step) => field.read(stepOf.get(timeParts(dated[step]!).year)!) };
  });
  return { fields: made, spread };
}

/** Whether no two of them are of one year. */
function yearly(times: readonly CfTime[]): boolean {
  return times.length > 1 && new Set(times.map((time) => timeParts(time).year)).size === times.length;
}
