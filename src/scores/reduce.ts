/** From statistics to scores: rows with confidence limits, paired differences, curves and maps. */
import { type CfTime, timeParts } from "../data/time.ts";
import { isBaseline } from "./baselinenames.ts";
import { type Additive, scoreOf } from "./bootstrap.ts";
import { type BootstrapOptions, Confidence, finite, plainDifference } from "./confidence.ts";
import { profilesOf, scoreMapsOf } from "./curvesandmaps.ts";
import type { Definition } from "./definitions.ts";
import type { Cells, Metric, MetricInfo } from "./metric.ts";
import { metricInfo } from "./metrics.ts";
import type { DifferenceRow, Intervals, Profile, ReportRow, ScoreMap } from "./scoredocument.ts";
import {
  additive,
  countingSteps,
  type Place,
  type ScoreSource,
  type SeriesSource,
  scoreSource,
} from "./scoresource.ts";
import { scoreUnits } from "./scoreunits.ts";
import type { LeadStatistics, Statistics } from "./statistics.ts";

/** "all", or by the valid time: December to February, March to May, June to August, September to November. */
export const seasonNames = ["all", "DJF", "MAM", "JJA", "SON"] as const;
export type Season = (typeof seasonNames)[number];

export interface ReduceOptions {
  readonly definition: Definition;
  /** Members of each system; one that is not here has one. */
  readonly members: ReadonlyMap<string, number>;
  /** By variable; of a wind vector, the unit of its u. */
  readonly units: ReadonlyMap<string, string>;
  /** Those of the statistics. */
  readonly regions: readonly { readonly name: string; readonly cells: Cells }[];
  readonly seasons: readonly Season[];
  /** The system or baseline that differences are taken from. */
  readonly versus: string | undefined;
  /** undefined: no confidence limits. */
  readonly bootstrap: BootstrapOptions | undefined;
  readonly synthetic: boolean;
}

export interface Reduced {
  /** By metric, variable, system, lead, region and season. */
  readonly rows: readonly ReportRow[];
  /** Each system and baseline against `versus`, and each forecast against the systems and baselines after it; as the rows. */
  readonly differences: readonly DifferenceRow[];
  /** Of all forecasts, whatever the seasons. */
  readonly profiles: readonly Profile[];
  readonly maps: readonly ScoreMap[];
  readonly intervals: Intervals | null;
  /** What has no limits or no score, and why. */
  readonly notes: readonly string[];
}

/** A score of one system, of the forecasts of one season. */
interface Scored {
  readonly system: string;
  readonly value: number;
  readonly samples: number;
  /** Of a score that is made of numbers for each forecast. */
  readonly made?: {
    readonly source: SeriesSource;
    readonly steps: readonly number[];
    readonly sums: Additive;
  };
}

/** Makes the scores. The same for whatever order of systems or seasons, and for a season as for a run of it alone. */
export function reduce(statistics: Statistics, options: ReduceOptions): Reduced {
  const { metrics, systems } = statistics;
  const confidence = options.bootstrap && new Confidence(options.bootstrap);
  const pairs = pairsOf(systems, options.versus);
  const infos = new Map(metrics.map((name) => [name, metricInfo(name)]));
  const rows: Ordered<ReportRow>[] = [];
  const differences: Ordered<DifferenceRow>[] = [];
  const ofAll = new Set<string>();
  const covered = new Set<Season>();
  const order = orderOf(statistics, options.seasons);
  for (const lead of statistics.leads) {
    const make = metricMaker(statistics, options, lead.variable);
    const steps = new Map(
      options.seasons
        .map((season) => [season, stepsOf(lead, season)] as const)
        .filter(([, { length }]) => length > 0),
    );
    for (const season of steps.keys()) covered.add(season);
    for (const { name: region, cells } of options.regions) {
      for (const [metric, info] of infos) {
        const common = {
          metric,
          variable: info.rowVariable?.(lead.variable) ?? lead.variable,
          lead_hours: lead.leadHours,
          region,
        };
        const sources = systems.flatMap((system) => {
          const place: Place = { lead, system, region, cells, metric: (name) => make(name, system) };
          const source = scoreSource(metric, place);
          return source ? [{ system, source }] : [];
        });
        for (const [season, inSeason] of steps) {
          const scored = sources.flatMap(({ system, source }) => score(system, source, season, inSeason));
          if (scored.length < sources.length && season !== "all") ofAll.add(metric);
          for (const { system, value, samples, made } of scored) {
            const limits = made && confidence?.limits(made.sums);
            rows.push({
              key: order(metric, lead, system, region, season),
              row: {
                system,
                definition: options.definition.name,
                ...common,
                season,
                value: finite(value),
                low: limits?.low ?? null,
                high: limits?.high ?? null,
                samples,
                units: scoreUnits(info.unit, options.units.get(lead.variable)),
                source: "measured",
                synthetic: options.synthetic,
              },
            });
          }
          for (const [system, versus] of pairs) {
            const own = scored.find((one) => one.system === system);
            const other = scored.find((one) => one.system === versus);
            if (!own || !other) continue;
            differences.push({
              key: [...order(metric, lead, system, region, season), systems.indexOf(versus)],
              row: { system, versus, ...common, season, ...differ(own, other, info, confidence) },
            });
          }
        }
      }
    }
  }
  const info = (name: string) => infos.get(name)!;
  const units = (name: string, variable: string) => scoreUnits(info(name).unit, options.units.get(variable));
  return {
    rows: inOrder(rows),
    differences: inOrder(differences),
    profiles: profilesOf(statistics, {
      info,
      units,
      metric: (name, system, variable) => metricMaker(statistics, options, variable)(name, system),
    }),
    maps: scoreMapsOf(statistics, (variable) => options.units.get(variable) ?? ""),
    intervals: confidence?.describe() ?? null,
    notes: [
      ...options.seasons
        .filter((season) => !covered.has(season))
        .map((season) => `no forecast is valid in ${season}: there are no scores of it`),
      ...[...ofAll].map((metric) => `${metric} is one score of all forecasts: none for a season`),
      ...(confidence?.notes() ?? []),
    ],
  };
}

/** None for a season where the score is one of all forecasts, or where nothing is in the season. */
function score(
  system: string,
  source: ScoreSource,
  season: Season,
  inSeason: readonly number[],
): Scored | [] {
  if (source.kind === "whole") {
    return season === "all" ? { system, value: source.value, samples: source.samples } : [];
  }
  const steps = countingSteps(source, inSeason);
  const sums = additive(source, steps);
  return { system, value: scoreOf(sums), samples: steps.length, made: { source, steps, sums } };
}

/** On the forecasts that count for both. */
function differ(own: Scored, other: Scored, { better }: MetricInfo, confidence: Confidence | undefined) {
  if (!own.made || !other.made) {
    return plainDifference(own.value, other.value, Math.min(own.samples, other.samples));
  }
  const counting = new Set(other.made.steps);
  const steps = own.made.steps.filter((step) => counting.has(step));
  const of = ({ source, steps: all, sums }: NonNullable<Scored["made"]>) =>
    all.length === steps.length ? sums : additive(source, steps);
  const [a, b] = [of(own.made), of(other.made)];
  return confidence?.difference(a, b, better) ?? plainDifference(scoreOf(a), scoreOf(b), steps.length);
}

/** [system, versus]: all against `versus`, then each forecast against the forecasts and baselines after it. */
function pairsOf(systems: readonly string[], versus: string | undefined): [string, string][] {
  const others = systems.filter((name) => name !== versus);
  return [
    ...(systems.includes(versus!) ? others.map((name): [string, string] => [name, versus!]) : []),
    ...others.flatMap((name, i) =>
      isBaseline(name) ? [] : others.slice(i + 1).map((other): [string, string] => [name, other]),
    ),
  ];
}

/** Which forecasts have their valid time in a season. */
function stepsOf({ valid }: LeadStatistics, season: Season): number[] {
  return valid.flatMap((time, step) => (season === "all" || seasonOf(time) === season ? [step] : []));
}

/** The season of a time, by the month of its own calendar. */
export function seasonOf(time: CfTime): Season {
  return seasonNames[1 + Math.floor((timeParts(time).month % 12) / 3)]!;
}

/** Makes each metric of a system and variable once. */
function metricMaker(statistics: Statistics, options: ReduceOptions, variable: string) {
  const made = new Map<string, Metric>();
  return (name: string, system: string): Metric => {
    const members = options.members.get(system) ?? 1;
    const key = `${name} ${members}`;
    const metric =
      made.get(key) ??
      metricInfo(name).make({ definition: options.definition, grid: statistics.grid, members, variable });
    made.set(key, metric);
    return metric;
  };
}

interface Ordered<T> {
  readonly key: readonly number[];
  readonly row: T;
}

/** Place of a row: metric, variable, system, lead, region, season. */
function orderOf(statistics: Statistics, seasons: readonly Season[]) {
  const variables = [...new Set(statistics.leads.map(({ variable }) => variable))];
  return (metric: string, lead: LeadStatistics, system: string, region: string, season: Season) => [
    statistics.metrics.indexOf(metric),
    variables.indexOf(lead.variable),
    statistics.systems.indexOf(system),
    lead.leadHours,
    statistics.regions.indexOf(region),
    seasons.indexOf(season),
  ];
}

function inOrder<T>(rows: Ordered<T>[]): T[] {
  const compare = (a: readonly number[], b: readonly number[]) => {
    const place = a.findIndex((value, i) => value !== b[i]);
    return place < 0 ? 0 : a[place]! - b[place]!;
  };
  return rows.toSorted((a, b) => compare(a.key, b.key)).map(({ row }) => row);
}
