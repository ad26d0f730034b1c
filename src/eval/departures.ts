/** Where a run departs from its bench, so that scores published for the bench do not compare with those of the run. */
import { type CfTime, formatTime, timeParts } from "../data/time.ts";
import type { Definition } from "../scores/definitions.ts";
import type { Bench } from "./benches.ts";
import type { Samples } from "./samples.ts";

/** A period that is covered to this part counts as the whole: the last forecasts of a year have no truth in it. */
const whole = 0.9;

/** One sentence, or none where the run is as the bench wants it. */
export function departures(bench: Bench, samples: Samples, definition: Definition): string[] {
  const reasons = [
    ...dates(bench, samples),
    ...leads(bench, samples),
    ...initialHours(bench, samples),
    ...(definition.name === bench.definition
      ? []
      : [`definition ${definition.name} in place of ${bench.definition}`]),
  ];
  if (reasons.length === 0) return [];
  return [`numbers published for ${bench.name} do not compare with these: ${reasons.join("; ")}`];
}

function dates({ period, leadZero }: Bench, { initial, valid }: Samples): string[] {
  const [from, to] = leadZero ? valid : initial;
  const [first, last = first] = period.split("..").map(Number);
  const within = timeParts(from).year >= first! && timeParts(to).year <= last!;
  const years = (to.seconds - from.seconds) / (365 * 86400);
  // Of annual fields, the last year's is dated at its beginning or in its middle.
  const wanted = leadZero && last! > first! ? last! - first! : last! - first! + 1;
  if (within && years >= whole * wanted) return [];
  const span = [...new Set([dateOf(from), dateOf(to)])].join(" to ");
  return [`they are of ${period}, these ${leadZero ? "are of" : "begin at"} ${span}`];
}

const dateOf = (time: CfTime) => formatTime(time).replace(/T.*/, "");

function leads({ leads }: Bench, { byVariable }: Samples): string[] {
  if (!leads) return [];
  const found = new Set(byVariable.flatMap(({ leads }) => leads));
  const others = [...found].filter((lead) => !leads.includes(lead)).toSorted((a, b) => a - b);
  if (others.length === 0) return [];
  const shown = others.length > 6 ? [...others.slice(0, 6), "..."] : others;
  return [`there are none for ${shown.join(", ")} h`];
}

function initialHours({ initialHours }: Bench, { byVariable }: Samples): string[] {
  if (!initialHours) return [];
  const hours = new Set(
    byVariable.flatMap(({ samples }) =>
      samples.map(({ initial }) => timeParts(initial).hour + timeParts(initial).minute / 60),
    ),
  );
  const text = (list: readonly number[]) => list.map((hour) => `${hour}`.padStart(2, "0")).join(", ");
  const found = [...hours].toSorted((a, b) => a - b);
  const same = found.length === initialHours.length && found.every((hour) => initialHours.includes(hour));
  return same ? [] : [`they begin at ${text(initialHours)} UTC, these at ${text(found)}`];
}
