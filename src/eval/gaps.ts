/** Gaps of forecasts: cells whose truth is known and whose forecast is missing, or no finite number. */
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { Field } from "../scores/metric.ts";
import type { Sample } from "./samples.ts";

/** Refuse them, leave those cells out for all systems, or leave the whole forecast out for all systems. */
export type GapPolicy = "error" | "mask" | "skip";

/** What one pass over a forecast and its truth finds, over the cells whose truth is known. */
export interface Overview {
  readonly known: number;
  /** Cells whose forecast is missing or not finite. */
  readonly gaps: number;
  /** Sums over the cells; those of a forecast with gaps are of no use. */
  readonly forecast: number;
  readonly truth: number;
}

/** @param truth NaN where nothing is scored */
export function overview(forecast: Field, truth: Field): Overview {
  let known = 0;
  let [f, y] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    const happened = truth[i]!;
    if (Number.isNaN(happened)) continue;
    known++;
    f += forecast[i]!;
    y += happened;
  }
  let gaps = 0;
  // A sum of f32 numbers in f64 is finite exactly when all of them are.
  for (let i = 0; i < truth.length && !Number.isFinite(f); i++) {
    if (!Number.isNaN(truth[i]!) && !Number.isFinite(forecast[i]!)) gaps++;
  }
  return { known, gaps, forecast: f, truth: y };
}

/** The truth, unknown wherever the forecast has a gap. */
export function maskGaps(truth: Field, forecast: Field): Field {
  return truth.map((y, i) => (Number.isFinite(forecast[i]!) ? y : Number.NaN));
}

/** What of which system is at fault, and how much of it. */
export interface Gap {
  readonly system: string;
  readonly variable: string;
  readonly sample: Sample;
  readonly gaps: number;
  readonly known: number;
}

/** The error of `--gaps error`. */
export function refuseGap({ system, variable, sample, gaps, known }: Gap): never {
  const where = `(initial time ${formatTime(sample.initial)}, lead ${sample.leadHours} h)`;
  throw new ClimaxError(
    "data",
    gaps === known
      ? `${variable} of ${system} has no value in any of the ${known} cells where the truth is known ${where}: a lead that is missing?`
      : `${variable} of ${system} is missing or not finite in ${gaps} of ${known} cells where the truth is known ${where}`,
    "a forecast must be whole wherever it is scored: repair the file, leave this variable or lead out with --variables or " +
      "--leads, or leave out for all systems those cells with --gaps mask, those forecasts with --gaps skip",
  );
}

interface Tally {
  cells: number;
  known: number;
  forecasts: number;
  wholly: number;
  readonly first: Sample;
}

/** Counts gaps, so that what was left out is said in the end. */
export class GapLedger {
  readonly #tallies = new Map<string, Tally>();

  add({ system, variable, sample, gaps, known }: Gap): void {
    const key = `${variable} of ${system}`;
    let tally = this.#tallies.get(key);
    if (!tally)
      this.#tallies.set(key, (tally = { cells: 0, known: 0, forecasts: 0, wholly: 0, first: sample }));
    tally.cells += gaps;
    tally.known += known;
    tally.forecasts++;
    if (gaps === known) tally.wholly++;
  }

  /** One sentence for each variable of a system. */
  sentences(policy: "mask" | "skip"): string[] {
    return [...this.#tallies].map(([what, { cells, known, forecasts, wholly, first }]) => {
      const lost = wholly > 0 ? ` (${wholly} of them wholly: leads that are missing?)` : "";
      const from = `the first from ${formatTime(first.initial)} for ${first.leadHours} h`;
      return (
        `${what} has gaps in ${cells} of the ${known} cells of ${forecasts} ${forecasts === 1 ? "forecast" : "forecasts"}${lost}, ${from}: ` +
        (policy === "mask"
          ? "these cells are left out for all systems"
          : "these forecasts are left out for all systems")
      );
    });
  }
}
