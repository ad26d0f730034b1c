/** What `climax view` shows: the forecasts of one system, the truth beside them, read one field at a time. */
import { addHours, type CfTime, formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { alignAll } from "../eval/align.ts";
import { checkCalendars, statesInside } from "../eval/samples.ts";
import { type ForecastSystem, openSystems } from "../eval/systems.ts";
import { openTruth, type Truth, timeMean } from "../eval/truth.ts";
import { type Definition, definition } from "../scores/definitions.ts";
import { byteCache } from "./bytecache.ts";
import { turns } from "./turns.ts";

/** Which field: of an ensemble a member from 0 on, or the mean of all. */
export interface Choice {
  readonly variable: string;
  /** Index into the system's initial times. */
  readonly initial: number;
  readonly leadHours: number;
  readonly member: number | "mean";
}

/** A forecast and what happened, [H * W] each, in the variable's units; NaN where missing. */
export interface Frame {
  readonly choice: Choice;
  readonly units: string;
  readonly initial: CfTime;
  /** Of a mean over time, where it begins. */
  readonly valid: CfTime;
  readonly forecast: Float32Array;
  readonly truth: Float32Array | undefined;
  /** Forecast less truth. */
  readonly difference: Float32Array | undefined;
  /** Why there is no truth, where one was asked for. */
  readonly lacking: string | undefined;
}

export interface ViewSource {
  readonly system: ForecastSystem;
  readonly truth: Truth | undefined;
  readonly definition: Definition;
  /** ClimaX names, as the files have them. */
  readonly variables: readonly string[];
  readonly synthetic: boolean;
  /** Conversions, cuts, what is missing. */
  readonly notes: readonly string[];
  /** Leads that there are from an initial time, hours, ascending. */
  leadsOf(variable: string, initial: number): readonly number[];
  /**
   * Reads a frame, or gives the one that was read lately.
   *
   * @throws ClimaxError "data" for a forecast that is not there or cannot be read
   */
  frame(choice: Choice): Promise<Frame>;
  close(): Promise<void>;
}

export interface ViewSourceOptions {
  readonly truth?: readonly string[] | undefined;
  /** Joins files that do not say that they are of one system. */
  readonly name?: string | undefined;
  /** Whose weights the numbers are made with; "climax" unless given. */
  readonly definition?: string | undefined;
}

/** Frames that are kept, bytes: going back and forth reads nothing anew. */
const frameBytes = 64e6;

/**
 * Opens the forecast files of one system, and the truth if there is one; only coordinates are read.
 *
 * @throws ClimaxError "config" for files of several systems, "data" for a truth of other times or another calendar,
 *         and what the readers throw
 */
export async function openViewSource(
  paths: readonly string[],
  options: ViewSourceOptions = {},
): Promise<ViewSource> {
  const scores = definition(options.definition ?? "climax");
  const opened = await openSystems(paths, options.name === undefined ? undefined : [options.name], true);
  let truth: Truth | undefined;
  const close = async () => {
    await opened.close();
    await truth?.close();
  };
  try {
    let [system] = opened.systems as [ForecastSystem];
    if (opened.systems.length > 1) {
      throw new ClimaxError(
        "config",
        `the files are of ${opened.systems.length} systems: ${opened.systems.map(({ name }) => name).join(", ")}; ` +
          "wanted the files of one",
        "give --name NAME if they are one, else view them one by one",
      );
    }
    const notes = [...opened.notes];
    if (options.truth && options.truth.length > 0) {
      truth = await openTruth(options.truth);
      checkCalendars([system], truth);
      checkTimes(system, truth);
      const aligned = alignAll(truth, [system], new Map());
      ({ truth } = aligned);
      [system] = aligned.systems as [ForecastSystem];
      notes.push(...truth.notes, ...aligned.notes);
    }
    return makeSource(system, truth, scores, notes, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function makeSource(
  system: ForecastSystem,
  truth: Truth | undefined,
  scores: Definition,
  notes: readonly string[],
  close: () => Promise<void>,
): ViewSource {
  const steps = new Map(truth?.times.map(({ seconds }, step) => [seconds, step]));
  const statesOf = truth && statesInside(truth, system.averageHours ?? 0);
  const oneByOne = turns(1);
  const kept = byteCache<Frame>(
    frameBytes,
    ({ forecast, truth, difference }) =>
      forecast.byteLength + (truth?.byteLength ?? 0) + (difference?.byteLength ?? 0),
  );

  async function readForecast({ variable, initial, leadHours, member }: Choice): Promise<Float32Array> {
    const time = system.initialTimes[initial]!;
    if (member !== "mean") return oneByOne.run(() => system.read(variable, time, leadHours, member));
    const sum = new Float64Array(system.grid.lat.length * system.grid.lon.length);
    for (let k = 0; k < system.members; k++) {
      const field = await oneByOne.run(() => system.read(variable, time, leadHours, k));
      for (let i = 0; i < sum.length; i++) sum[i]! += field[i]!;
    }
    return Float32Array.from(sum, (value) => value / system.members);
  }

  /** The truth of a valid time: a state, or the mean of those inside as many hours as the forecast is the mean of. */
  async function readTruth(variable: string, valid: CfTime): Promise<Float32Array | string> {
    if (!truth!.units.has(variable)) return `the truth holds no ${variable}`;
    const first = steps.get(valid.seconds);
    if (first === undefined) return `the truth has no state at ${formatTime(valid)}`;
    const { inside, missing } = statesOf!(first);
    if (missing)
      return `the truth lacks ${formatTime(missing)}, which the mean from ${formatTime(valid)} on wants`;
    if (inside.length === 1) return oneByOne.run(() => truth!.read(variable, first));
    return Float32Array.from(await oneByOne.run(() => timeMean(truth!, variable, inside)));
  }

  async function readFrame(choice: Choice): Promise<Frame> {
    const { variable, leadHours } = choice;
    const initial = system.initialTimes[choice.initial]!;
    if (!system.has(variable, initial, leadHours)) {
      throw new ClimaxError(
        "data",
        `there is no ${variable} from ${formatTime(initial)} for ${leadHours} h in ${system.name}`,
        "choose another lead or initial time",
      );
    }
    const valid = addHours(initial, leadHours);
    const forecast = await readForecast(choice);
    const found = truth ? await readTruth(variable, valid) : undefined;
    const known = typeof found === "string" ? undefined : found;
    return {
      choice,
      units: system.units.get(variable)!,
      initial,
      valid,
      forecast,
      truth: known,
      difference: known?.map((value, i) => forecast[i]! - value),
      lacking: typeof found === "string" ? found : undefined,
    };
  }

  return {
    system,
    truth,
    definition: scores,
    variables: [...system.units.keys()],
    synthetic: system.synthetic || truth?.synthetic === true,
    notes,
    leadsOf: (variable, initial) => {
      const time = system.initialTimes[initial]!;
      return system.leads.filter((lead) => system.has(variable, time, lead));
    },
    frame: (choice) => kept.get(JSON.stringify(choice), () => readFrame(choice)),
    close,
  };
}

/** Refuses a truth that can judge none of the forecasts: its difference would never be seen, and nobody told why. */
function checkTimes({ name, initialTimes, leads }: ForecastSystem, truth: Truth): void {
  const known = new Set(truth.times.map(({ seconds }) => seconds));
  if (initialTimes.some((initial) => leads.some((lead) => known.has(addHours(initial, lead).seconds))))
    return;
  const span = (first: CfTime, last: CfTime) => `${formatTime(first)} to ${formatTime(last)}`;
  throw new ClimaxError(
    "data",
    `the truth ${truth.path} (${span(truth.times[0]!, truth.times.at(-1)!)}) has none of the valid times of ${name} ` +
      `(${span(addHours(initialTimes[0]!, leads[0]!), addHours(initialTimes.at(-1)!, leads.at(-1)!))})`,
    "give the truth of the same dates, or leave --truth out",
  );
}
