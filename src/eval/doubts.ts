/**
 * What makes a score doubtful though it can be computed: a forecast in other units than the truth, shifted in time, or
 * turned round. Each forecast system is held against the truth on its first forecasts.
 */
import { ClimaxError } from "../errors.ts";
import type { Field } from "../scores/metric.ts";
import type { Overview } from "./gaps.ts";
import { compare, counted, Likeness, type Resemblance } from "./likeness.ts";
import { type Mirror, mirrors } from "./mirrors.ts";
import type { Sample } from "./samples.ts";
import { TimeShifts } from "./timeshifts.ts";
import type { Truth } from "./truth.ts";
import { type Doubt, Levels } from "./unitdoubts.ts";

/** Refuse a doubtful forecast, or say so. */
export type DoubtPolicy = "error" | "warn";

export interface WatchOptions {
  /** ClimaX name. */
  readonly variable: string;
  readonly system: string;
  readonly truth: Pick<Truth, "grid" | "times" | "read" | "units">;
  /** Of this variable, in order of initial time. */
  readonly samples: readonly Sample[];
  /** Whether fields are means over time, whose times cannot be told from one another. */
  readonly means: boolean;
  readonly policy: DoubtPolicy;
  readonly warn: (text: string) => void;
}

/** Forecasts of so many initial times are looked at. */
const initialTimes = 8;

/** Watches one variable of one system. */
export class Watch {
  readonly #options: WatchOptions;
  readonly #lastLooked: number;
  readonly #levels: Levels;
  readonly #times: TimeShifts | undefined;
  readonly #turned: Likeness<string>;
  readonly #shortest: number;
  readonly #mirrors: readonly Mirror[];
  #judged = false;

  constructor(options: WatchOptions) {
    const { samples, truth, variable } = options;
    this.#options = options;
    const times = [...new Set(samples.map(({ initial }) => initial.seconds))];
    this.#lastLooked = times[Math.min(initialTimes, times.length) - 1] ?? -Infinity;
    this.#shortest = Math.min(...samples.map(({ leadHours }) => leadHours));
    this.#levels = new Levels(truth.units.get(variable) ?? "");
    const leads = samples.map(({ leadHours }) => leadHours);
    this.#times = options.means ? undefined : new TimeShifts(truth, variable, leads);
    this.#turned = new Likeness();
    this.#mirrors = mirrors(truth.grid);
  }

  /**
   * Takes in a forecast, in order of initial time.
   *
   * @param happened the truth at its valid time, NaN where nothing is scored
   * @param seen     of the two
   * @throws ClimaxError "data" where the forecasts are doubtful and the policy is "error"
   */
  async observe(sample: Sample, forecast: Field, happened: Field, seen: Overview): Promise<void> {
    if (sample.initial.seconds <= this.#lastLooked) {
      this.#levels.look(forecast, happened);
      if (sample.leadHours === this.#shortest) {
        for (const { name, source } of this.#mirrors) {
          this.#turned.add(name, compare(forecast, happened, happened, source));
        }
      }
      await this.#times?.look(sample, forecast, happened);
      return;
    }
    this.finish();
    const doubt = this.#levels.after(seen, forecast, happened);
    if (doubt) this.#raise(doubt);
  }

  /** Judges what was taken in, once. Throws as `observe`. */
  finish(): void {
    if (this.#judged) return;
    this.#judged = true;
    const units = this.#levels.judge();
    if (units) this.#raise(units);
    const turned = this.#turned.best();
    if (turned) this.#raise(turnedDoubt(turned));
    const shifted = this.#times?.judge();
    if (shifted) this.#raise(shifted);
    // Last: a field that is turned round may look like its opposite.
    const opposite = turned || shifted ? undefined : this.#levels.opposite();
    if (opposite) this.#raise(opposite);
  }

  #raise({ text, hint, harmless }: Doubt): void {
    const { variable, system, policy, warn } = this.#options;
    const said = `${variable} of ${system} ${text}`;
    if (policy === "warn" || harmless) warn(said);
    else throw new ClimaxError("data", said, `${hint}; --doubts warn scores it as it is`);
  }
}

function turnedDoubt({ key, ratio, forecasts }: Resemblance<string>): Doubt {
  return {
    text: `resembles the truth ${key}: its RMSE against that is ${ratio.toFixed(2)} of that as it is, ${counted(forecasts)}`,
    hint: "the data do not lie as the coordinates of the file say: turn the data, or mend latitude and longitude",
  };
}
