/** Forecasts and states as maps: what stands on each panel, in which colours, under which words. */
import type { CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { FieldAt } from "../eval/truth.ts";
import type { Grid } from "../grid/grid.ts";
import { describeRegion, type Region } from "../grid/regions.ts";
import { sampleOf } from "../plot/colourlimits.ts";
import { type Colours, coloursFor } from "../plot/colours.ts";
import type { MapPanel } from "../plot/map.ts";
import { fieldTitle } from "../plot/words.ts";
import { cellWeights, type Definition } from "../scores/definitions.ts";
import type { Cells, Field, FieldPair } from "../scores/metric.ts";
import { metricInfo } from "../scores/metrics.ts";
import { byteCache } from "./bytecache.ts";
import { type Card, momentOf, subtitleOf, titlesOf } from "./cardtitles.ts";
import type { Instant, PlotSource } from "./plotsource.ts";
import { momentTitle } from "./plotwords.ts";
import { cutTo } from "./regioncut.ts";

export interface CardChoice {
  readonly variables: readonly string[];
  readonly what: "state" | "anomaly" | "error";
  /** Of an ensemble. */
  readonly member: number | "mean";
  readonly region: Region | undefined;
  /** What anomalies are taken from, [H * W] at each time. */
  readonly usual: ((variable: string) => Promise<FieldAt>) | undefined;
  /** Which that is. */
  readonly usualLabel: string | undefined;
  /** Whether the map shows less than the grid or region, as that of a pole. */
  readonly cropped: boolean;
  readonly definition: Definition;
  /** Limits of the colours of what is drawn first. */
  readonly range: readonly [low: number, high: number] | undefined;
}

/** Of fields that are kept until they are drawn, bytes. */
const keptBytes = 256e6;

export interface Cards {
  readonly grid: Grid;
  /** Colours that hold for all of these moments, so that panels and frames compare. Reads every field once. */
  prepare(instants: readonly Instant[]): Promise<ColouredCards>;
}

/** Cards whose colours are settled. */
export interface ColouredCards {
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
    const card = (role: Card["role"], values: Field, rmse?: number): Card => {
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
          const words = titlesOf(cards, source, what);
          const panels = cards.map((card, i): MapPanel => {
            return {
              title: words.panels[i]!,
              field: { grid, values: card.values },
              units: source.units.get(card.variable)!,
              colours: colours.get(keyOf(card))!,
            };
          });
          const how = { ...choice, title: words.title, definition: choice.definition.name };
          return { title: words.title, subtitle: subtitleOf(some, source, how), panels };
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
