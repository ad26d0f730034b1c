/** Whether forecasts are for other times than they say. */
import type { Field } from "../scores/metric.ts";
import { compare, counted, Likeness, type Resemblance } from "./likeness.ts";
import { type Sample, usualStep } from "./samples.ts";
import type { Truth } from "./truth.ts";
import type { Doubt } from "./unitdoubts.ts";

/** What so many forecasts of one lead have in common is no chance. */
const several = 4;

type Timed = Pick<Truth, "times" | "read">;

/** Forecasts held against the truth at other times than the valid one. */
export class TimeShifts {
  readonly #truth: Timed;
  readonly #variable: string;
  readonly #step: number;
  readonly #at: ReadonlyMap<number, number>;
  readonly #leads = new Map<number, Likeness<number>>();
  readonly #otherwise: ReadonlyMap<number, readonly number[]>;

  /** @param leads all that are scored, hours */
  constructor(truth: Timed, variable: string, leads: readonly number[]) {
    this.#truth = truth;
    this.#otherwise = otherwise(leads);
    this.#variable = variable;
    this.#step = usualStep(truth.times);
    this.#at = new Map(truth.times.map(({ seconds }, step) => [seconds, step]));
  }

  async look({ leadHours, validSteps }: Sample, forecast: Field, happened: Field): Promise<void> {
    const steps = [1, 2, 4].map((n) => n * this.#step).filter(Number.isFinite);
    const shifts = [...steps, 24 * 3600].flatMap((seconds) => [-seconds, seconds]);
    const likeness = this.#leads.get(leadHours) ?? new Likeness<number>();
    this.#leads.set(leadHours, likeness);
    const valid = this.#truth.times[validSteps[0]!]!;
    const mistaken = (this.#otherwise.get(leadHours) ?? []).map((hours) => (hours - leadHours) * 3600);
    for (const shift of new Set([...shifts, -leadHours * 3600, ...mistaken])) {
      const step = this.#at.get(valid.seconds + shift);
      if (shift === 0 || step === undefined) continue;
      likeness.add(shift, compare(forecast, happened, await this.#truth.read(this.#variable, step)));
    }
  }

  /**
   * The shortest leads, up to the first that raises no doubt, speak for one another; later ones, which resemble little, do
   * only by several forecasts. A weak forecast lags behind: it resembles the state that it began from, and may those on
   * the way more still. One that is at other times by mistake is as far from its beginning as from its end.
   */
  judge(): Doubt | undefined {
    const [found, initial]: [Shifted[], Shifted[]] = [[], []];
    let fromTheFirst = true;
    for (const [leadHours, likeness] of [...this.#leads].toSorted(([a], [b]) => a - b)) {
      const best = likeness.best();
      fromTheFirst &&= best !== undefined;
      if (!best || (!fromTheFirst && best.forecasts < several)) continue;
      found.push({ ...best, leadHours });
      const start = likeness.to(-leadHours * 3600);
      if (start) initial.push({ ...start, leadHours });
    }
    if (found.length === 0) return undefined;
    if (initial.length === found.length) {
      return {
        text: `resembles the truth at its initial time more than at its valid time, as persistence does: ${ratios(initial)}`,
        hint: "check that the file holds the forecast, not the state it began from",
        harmless: true,
      };
    }
    const shifts = [...new Set(found.map(({ key }) => key))];
    return {
      text: `resembles the truth ${shifts.length === 1 ? inHours(shifts[0]!) : "at other times"} more than at its valid time: ${ratios(found)}`,
      hint: "check the times of the file: initial time plus lead must be the time that a field is for, and the lead in its units",
    };
  }
}

/** For each lead what it may be by mistake, hours: its neighbours, hours taken for days, days for hours. */
function otherwise(leads: readonly number[]): ReadonlyMap<number, readonly number[]> {
  const sorted = [...new Set(leads)].toSorted((a, b) => a - b);
  return new Map(
    sorted.map((lead, i) => [
      lead,
      [sorted[i - 1], sorted[i + 1], lead / 24, lead * 24].filter((other) => other !== undefined),
    ]),
  );
}

interface Shifted extends Resemblance<number> {
  readonly leadHours: number;
}

const inHours = (seconds: number) => `${Math.abs(seconds) / 3600} h ${seconds > 0 ? "later" : "earlier"}`;

/** So many leads are enough for the eye. */
const shownLeads = 4;

function ratios(found: readonly Shifted[]): string {
  const each = found
    .slice(0, shownLeads)
    .map(({ key, ratio, leadHours }) => `${ratio.toFixed(2)} at a lead of ${leadHours} h (${inHours(key)})`);
  const more = found.length > shownLeads ? [`and so on for ${found.length - shownLeads} more`] : [];
  return `its RMSE against that is a part of that against the valid time, ${[...each, ...more].join(", ")}, ${counted(found[0]!.forecasts)}`;
}
