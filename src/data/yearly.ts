// Numbers of the whole globe, one a year, beside fields that are dated otherwise: a year's emissions hold for every
// state of that year.
import type { Field } from "./fields.ts";
import { timeParts } from "./time.ts";

/**
 * The fields with those that have no grid and a time in each of several years dated as the fields on a grid are, each
 * taking the number of its year; years that have no number are left out. Where all dates are the same, or nothing is on
 * a grid, all stays as it is.
 *
 * @returns the fields in their order, and the names of the variables that were dated anew
 */
export function spreadOverYears(fields: readonly Field[]): { fields: Field[]; spread: Field[] } {
  const times = fields.filter(({ grid }) => grid).flatMap((field) => field.times ?? []);
  const instants = [...new Map(times.map((time) => [time.seconds, time])).values()];
  const spread: Field[] = [];
  const made = fields.map((field): Field => {
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
function yearly(times: NonNullable<Field["times"]>): boolean {
  return times.length > 1 && new Set(times.map((time) => timeParts(time).year)).size === times.length;
}
