/** Forecasts and states as maps: what stands on each panel, in which colours, under which words. */
import { addHours, type CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { cellWeights, type Definition } from "../eval/definitions.ts";
import type { Cells, Field, FieldPair } from "../eval/metric.ts";
import { metricInfo } from "../eval/metrics.ts";
import type { FieldAt } from "../eval/truth.ts";
import type { Grid } from "../grid/grid.ts";
import { describeRegion, type Region } from "../grid/regions.ts";
import { byteCache } from "./bytecache.ts";
import { sampleOf } from "./colourlimits.ts";
import { type Colours, coloursFor } from "./colours.ts";
import type { MapPanel } from "./map.ts";
import type { Instant, PlotSource } from "./plotsource.ts";
import { fieldTitle, momentTitle, whenTitle } from "./plotwords.ts";
import { cutTo } from "./viewcut.ts";
import { withUnits } from "./viewwords.ts";

export interface CardChoice {
  readonly variables: readonly string[];
  readonly what: "state" | "anomaly" | "error";
  /** Of an ensemble. */
  readonly member: number | "mean";
  readonly region: Region | undefined;
  /** What anomalies are taken from, [H * W] at each time. */
  readonly usual: ((variable: string) => Promise<FieldAt>) | undefined;
  readonly definition: Definition;
  /** Limits of the colours of what is drawn first. */
  readonly range: readonly [low: number, high: number] | undefined;
}

/** Of fields that are kept until they are drawn, bytes. */
const keptBytes = 256e6;

type Role = "forecast" | "truth" | "error";

/** One map. */
interface Card {
  readonly variable: string;
  readonly at: Instant;
  readonly role: Role;
  /** Of the part that is shown. */
  readonly values: Field;
  /** Of an error, under the definition. */
  readonly rmse?: number;
}

export interface Cards {
  readonly grid: Grid;
  /** Colours that hold for all of these moments, so that panels and frames compare. Reads every field once. */
  prepare(instants: readonly Instant[]): Promise<Painted>;
}

export interface Painted {
  /** Panels of these moments and what all of them share, for the title. */
  draw(instants: readonly Instant[]): Promise<{ title: string; subtitle: string; panels: MapPanel[] }>;
}

/** @throws ClimaxError "grid" for a region without a point of the grid */
export function makeCards(source: PlotSource, choice: CardChoice): Cards {
  const { region, what } = choice;
  const { grid, cut } = cutRegion(source.grid, region);
  const weights = cut(cellWeights(source.grid, choice.definition));
  const cells: Cells = { grid, weights, inside: Int32Array.from(weights.keys()) };

  /** Fields are wanted twice, for their colours and to be drawn. */
  const kept = byteCache<Card[]>(keptBytes, (cards) =>
    cards.reduce((sum, { values }) => sum + values.byteLength, 0),
  );
  const read = (variable: string, at: Instant) =>
    kept.get(JSON.stringify([variable, at.time, at.leadHours]), () => readAnew(variable, at));

  async function readAnew(variable: string, at: Instant): Promise<Card[]> {
    const forecast = cut(await source.read(variable, at, choice.member));
    const truth = await source.truth?.(variable, at);
    if (typeof truth === "string") throw noTruth(truth, variable, momentOf(source, at));
    const shown = truth && cut(truth);
    const usual = what === "anomaly" && choice.usual ? cut(await usualAt(variable, at)) : undefined;
    const card = (role: Role, values: Field, rmse?: number): Card => {
      return { variable, at, role, values, ...(rmse === undefined ? {} : { rmse }) };
    };
    const cards = what === "error" ? [] : [card("forecast", less(forecast, usual))];
    if (shown) {
      if (what !== "error") cards.push(card("truth", less(shown, usual)));
      cards.push(card("error", less(forecast, shown), rmseOf({ forecast, truth: shown }, variable)));
    }
    return cards;
  }

  /** As a table of scores has it for this forecast alone; NaN where no truth is known. */
  function rmseOf(pair: FieldPair, variable: string): number {
    const metric = metricInfo("rmse").make({ definition: choice.definition, grid, members: 1, variable });
    const sums = metric.kind === "series" ? metric.measure(pair, cells) : undefined;
    return metric.kind === "series" && sums ? metric.score(sums) : Number.NaN;
  }

  const usualOf = new Map<string, Promise<FieldAt>>(); // a mean over states is made once

  async function usualAt(variable: string, at: Instant): Promise<Field> {
    const known = usualOf.get(variable) ?? choice.usual!(variable);
    usualOf.set(variable, known);
    return (await known)(momentOf(source, at));
  }

  const keyOf = ({ variable, role }: Card) => `${variable} ${role === "error" ? "error" : what}`;

  return {
    grid,
    async prepare(instants) {
      const samples = new Map<string, Float64Array[]>();
      for (const variable of choice.variables) {
        for (const at of instants) {
          for (const card of await read(variable, at)) {
            const known = samples.get(keyOf(card)) ?? [];
            samples.set(keyOf(card), [...known, sampleOf(card.values)]);
          }
        }
      }
      const colours = new Map<string, Colours>();
      for (const [key, values] of samples) {
        const [variable, shown] = key.split(" ") as [string, "state" | "anomaly" | "error"];
        colours.set(key, coloursFor(shown, variable, values, shown === what ? choice.range : undefined));
      }
      return {
        async draw(some) {
          const cards: Card[] = [];
          for (const variable of choice.variables) {
            for (const at of some) cards.push(...(await read(variable, at)));
          }
          const words = titlesOf(cards, source, choice);
          const panels = cards.map((card, i): MapPanel => {
            return {
              title: words.panels[i]!,
              field: { grid, values: card.values },
              units: source.units.get(card.variable)!,
              colours: colours.get(keyOf(card))!,
            };
          });
          return { title: words.title, subtitle: subtitleOf(some, source, choice), panels };
        },
      };
    },
  };
}

function cutRegion(grid: Grid, region: Region | undefined) {
  try {
    return cutTo(grid, region);
  } catch (error) {
    if (!(error instanceof ClimaxError) || !region) throw error;
    throw new ClimaxError(
      "grid",
      `no point of the file's grid lies in the region ${region.name} (${describeRegion(region)})`,
      "choose a region within the data",
    );
  }
}

const less = (field: Field, other: Field | undefined): Field =>
  other === undefined ? field : Float32Array.from(field, (value, i) => value - other[i]!);

function noTruth(why: string, variable: string, moment: CfTime): ClimaxError {
  return new ClimaxError(
    "data",
    `${fieldTitle(variable)} of ${momentTitle(moment)} has no truth: ${why}`,
    "choose a time that the truth has, or leave --truth out",
  );
}

const momentOf = ({ times }: PlotSource, { time, leadHours }: Instant): CfTime =>
  addHours(times[time]!, leadHours);

/** What all cards share, and of each what it has for itself. */
function titlesOf(cards: readonly Card[], source: PlotSource, choice: CardChoice) {
  const several = new Set(cards.map(({ role }) => role)).size > 1;
  const parts = cards.map(({ variable, at, role, rmse }) => {
    const anomaly = choice.what === "anomaly" && role !== "error" ? " anomaly" : "";
    const error = role === "error" && !several ? " error" : "";
    const still = source.times.length === 0 || source.isConstant(variable);
    const score = rmse === undefined ? "" : `RMSE ${score3(rmse, source.units.get(variable)!)}`;
    return {
      what: `${fieldTitle(variable)}${several ? "" : anomaly}${error}`,
      when: still ? "" : whenTitle(momentOf(source, at), at.leadHours, source.averageHours),
      role: several ? roleWords(role, choice.what === "anomaly") : "",
      score,
    };
  });
  const [first] = parts as [(typeof parts)[number]];
  const same = (key: "what" | "when") => parts.every((part) => part[key] === first[key]);
  const join = (words: readonly string[]) => words.filter((word) => word !== "").join(", ");
  const title = join([same("what") ? first.what : "", same("when") ? first.when : ""]);
  return {
    title: title === "" ? (source.system ?? fileNames(source.paths)) : capital(title),
    panels: parts.map(({ what, when, role, score }) =>
      capital(join([same("what") ? "" : what, same("when") ? "" : when, role, score])),
    ),
  };
}

const capital = (words: string) => words.replace(/^./, (first) => first.toUpperCase());

const roleWords = (role: Role, anomaly: boolean): string =>
  ({
    forecast: anomaly ? "forecast anomaly" : "forecast",
    truth: anomaly ? "true anomaly" : "truth",
    error: "error",
  })[role];

const score3 = (value: number, units: string) => withUnits(Number(value.toPrecision(3)), units);

/** Where it is from. */
function subtitleOf(instants: readonly Instant[], source: PlotSource, choice: CardChoice): string {
  const { system, times, members, paths, synthetic } = source;
  const initial = new Set(instants.map(({ time }) => time));
  const from = initial.size === 1 && times[instants[0]!.time];
  const ensemble =
    members === 1
      ? ""
      : choice.member === "mean"
        ? `mean of ${members} members`
        : `member ${choice.member} of ${members}`;
  return [
    synthetic ? "SYNTHETIC weather, simulated" : "",
    // A system without a name of its own goes by that of its file.
    system === undefined || fileNames(paths).startsWith(`${system}.`) ? "" : system,
    source.kind === "forecast" && from ? `from ${momentTitle(from)}` : "",
    ensemble,
    choice.region ? regionTitle(choice.region) : "",
    source.truth ? `RMSE as ${choice.definition.name} defines it` : "",
    fileNames(paths),
  ]
    .filter((part) => part !== "")
    .join("; ");
}

/** "wb2-europe (35..75N 347.5..42.5E)"; a box has no other name. */
const regionTitle = (region: Region) =>
  region.name.includes("..") ? describeRegion(region) : `${region.name} (${describeRegion(region)})`;

const fileNames = (paths: readonly string[]): string => {
  const [first] = paths.map((path) => path.replace(/\/+$/, "").split("/").at(-1)!);
  return paths.length === 1 ? first! : `${first} and ${paths.length - 1} more`;
};
