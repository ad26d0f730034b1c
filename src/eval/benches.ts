/** Benches: what a named benchmark fixes. */
import { parseName } from "../data/variables.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import type { BaselineName } from "../scores/baselinenames.ts";
import { ensembleMetrics, metricInfo } from "../scores/metrics.ts";
import { northward } from "../scores/windvector.ts";
import type { BenchUnits } from "./align.ts";
import type { ForecastSystem } from "./systems.ts";
import type { Truth } from "./truth.ts";

export interface Bench {
  readonly name: string;
  /** ClimaX names that are scored unless others are asked for. */
  readonly variables: readonly string[];
  /** The definition unless another is asked for, and why that one. */
  readonly definition: "climax" | "weatherbench1" | "weatherbench2";
  readonly reason: string;
  /** The test period of the published rows, "2017..2018" or "2020"; a run scores the dates of its files, whichever. */
  readonly period: string;
  /** Leads of the published rows, hours; undefined: there are none, or any. A run scores the leads of its files. */
  readonly leads: readonly number[] | undefined;
  /** Hours of the day that its forecasts begin at; undefined: any. */
  readonly initialHours: readonly number[] | undefined;
  /** Unless others are asked for; ensembles get theirs as well. */
  readonly metrics: readonly string[];
  /** Of ensembles, where terciles are given. */
  readonly tercileMetrics: readonly string[];
  /** Unless others are asked for. */
  readonly baselines: readonly BaselineName[];
  /** Whether a forecast may be of its own initial time: the answer to a state or a year, not to a later one. */
  readonly leadZero: boolean;
  /** Hours that every forecast must be the mean of; undefined: what the files say. */
  readonly averageHours: number | undefined;
  /** Units that are scored in where they are not ClimaX's. */
  readonly units: ReadonlyMap<string, BenchUnits>;
  /** Which published rows are shown unasked: those of the same grid, or all if the valid times are those of the period. */
  readonly published: "same grid" | "same period";
}

const weather = {
  definition: "climax",
  reason: "the published ClimaX rows were made with it",
  period: "2017..2018",
  leads: undefined,
  initialHours: undefined,
  tercileMetrics: [],
  leadZero: false,
  averageHours: undefined,
  units: new Map<string, BenchUnits>(),
  published: "same grid",
} as const;

/** ClimateBench counts precipitation in mm a day. */
const daily: BenchUnits = { units: "kg m-2 day-1", scale: 86400 };

/** Every 6 h to 15 days, the longest forecasts of WeatherBench 2. */
const sixHourly = Array.from({ length: 60 }, (_, i) => 6 * (i + 1));

/** In the order of the help. */
export const benches: readonly Bench[] = [
  {
    ...weather,
    name: "weatherbench",
    variables: ["geopotential_500", "temperature_850", "2m_temperature", "10m_u_component_of_wind"],
    leads: [6, 24, 72, 120, 168, 336, 720],
    metrics: ["rmse", "mae", "bias", "acc"],
    baselines: ["persistence", "climatology"],
  },
  {
    ...weather,
    name: "weatherbench2",
    // Its headline scores, and the components of its winds.
    variables: [
      "geopotential_500",
      "temperature_850",
      "specific_humidity_700",
      "u_component_of_wind_850",
      "v_component_of_wind_850",
      "2m_temperature",
      "10m_u_component_of_wind",
      "10m_v_component_of_wind",
      "10m_wind_speed",
      "mean_sea_level_pressure",
      "total_precipitation_24hr",
    ],
    definition: "weatherbench2",
    reason: "it is that benchmark's own",
    period: "2020",
    leads: sixHourly,
    initialHours: [0, 12],
    metrics: ["rmse", "bias", "acc", "wind_vector_rmse", "seeps"],
    baselines: ["persistence", "climatology-dayofyear"],
  },
  {
    ...weather,
    name: "s2s",
    variables: ["temperature_850", "2m_temperature", "10m_u_component_of_wind", "10m_v_component_of_wind"],
    leads: [336, 672],
    metrics: ["rmse"],
    tercileMetrics: ["rpss"],
    baselines: ["persistence", "climatology"],
    averageHours: 336,
  },
  {
    ...weather,
    name: "downscaling",
    variables: [
      "geopotential_500",
      "temperature_850",
      "2m_temperature",
      "10m_u_component_of_wind",
      "10m_v_component_of_wind",
    ],
    metrics: ["rmse", "pearson", "mean_bias"],
    baselines: [],
    leadZero: true,
  },
  {
    ...weather,
    name: "climatebench",
    variables: ["2m_temperature", "diurnal_temperature_range", "mean_total_precipitation_rate", "pr90"],
    reason: "cos(latitude) weights are those of ClimateBench",
    period: "2080..2100",
    metrics: ["nrmse_s", "nrmse_g", "nrmse_total", "rmse"],
    baselines: [],
    leadZero: true,
    units: new Map([
      ["mean_total_precipitation_rate", daily],
      ["pr90", daily],
    ]),
    published: "same period",
  },
];

/** The bench of that name; a `config` error names the known ones. */
export function bench(name: string): Bench {
  const names = benches.map((bench) => bench.name);
  return benches.find((bench) => bench.name === name) ?? unknownName("bench", name, names);
}

export interface MetricChoice {
  /** ClimaX names of what is scored; metrics that apply to none of them, or lack a component of a wind, are left out. */
  readonly variables: readonly string[];
  /** Whether `--terciles` was given. */
  readonly terciles: boolean;
  /** Whether the climate of precipitation is to be had; undefined: not looked for yet. */
  readonly seeps?: boolean;
}

/**
 * The metrics to score by: those asked for, or those of the bench that its variables have, with those of ensembles where
 * there are members.
 */
export function chooseMetrics(
  asked: readonly string[] | undefined,
  { metrics, tercileMetrics }: Bench,
  systems: readonly Pick<ForecastSystem, "members">[],
  choice: MetricChoice,
): readonly string[] {
  if (asked) return asked;
  const ensemble = systems.some(({ members }) => members > 1);
  const more = ensemble ? [...ensembleMetrics, ...(choice.terciles ? tercileMetrics : [])] : [];
  return [...metrics, ...more].filter((name) => {
    const { applies, needs } = metricInfo(name);
    if (choice.seeps === false && needs.includes("seeps")) return false;
    if (applies === undefined) return true;
    const scored = choice.variables.filter(applies);
    const whole = !needs.includes("other") || scored.every((u) => choice.variables.includes(northward(u)));
    return scored.length > 0 && whole;
  });
}

/** Where the S2S AI challenge scores: land north of 60 S. */
export const challengeRegion = "-60..90/0..360-land";

/** The regions to score in: those asked for, or all that the forecasts cover; for rpss, where land is known, the challenge's too. */
export function chooseRegions(
  asked: readonly string[] | undefined,
  metrics: readonly string[],
  landIsKnown: boolean,
): readonly string[] {
  if (asked) return asked;
  return metrics.includes("rpss") && landIsKnown ? ["global", challengeRegion] : ["global"];
}

/**
 * Holds systems and baselines to what the bench is about.
 *
 * @throws ClimaxError "data" for forecasts that are not the means that the bench scores; "config" for persistence
 *         where forecasts have no lead
 */
export function checkBench(
  bench: Bench,
  systems: readonly ForecastSystem[],
  baselines: readonly BaselineName[],
): void {
  const wanted = bench.averageHours;
  for (const { name, paths, averageHours } of systems) {
    if (wanted === undefined || averageHours === wanted) continue;
    const has = averageHours === undefined ? "states at single times" : `means over ${averageHours} h`;
    throw new ClimaxError(
      "data",
      `bench ${bench.name} scores means over ${wanted} h from the valid time on; ${name} holds ${has}`,
      "make such a forecast with a model of that task, score this one with --bench weatherbench, or, if the file does " +
        `hold these means, say so in it: ncatted -a climax_average_hours,global,o,d,${wanted} ${paths[0]}`,
    );
  }
  if (bench.leadZero && baselines.includes("persistence")) {
    throw new ClimaxError(
      "config",
      `bench ${bench.name} has forecasts without a lead; persistence would be the truth itself`,
      "leave persistence out of --baselines",
    );
  }
}

/**
 * The variables to score: those asked for, or those of the bench that the truth and all systems have.
 *
 * @returns ClimaX names, and what of the bench is left out and why
 * @throws ClimaxError "data" when a variable that was asked for is missing, or none is left
 */
export function chooseVariables(
  asked: readonly string[] | undefined,
  { variables }: Bench,
  systems: readonly Pick<ForecastSystem, "name" | "units">[],
  truth: Pick<Truth, "units">,
): { variables: string[]; left: string[] } {
  const wanted = asked?.map((text) => parseName(text).name) ?? variables;
  const lacking = new Map<string, string>();
  for (const variable of wanted) {
    const where = systems.filter(({ units }) => !units.has(variable)).map(({ name }) => name);
    if (!truth.units.has(variable)) where.push("the truth");
    if (where.length > 0) lacking.set(variable, `${variable} (not in ${where.join(", ")})`);
  }
  const left = [...lacking.values()];
  const found = wanted.filter((variable) => !lacking.has(variable));
  if (left.length === 0 || (!asked && found.length > 0)) return { variables: [...new Set(found)], left };
  const shared = systems
    .map(({ units }) => [...units.keys()])
    .reduce((a, b) => a.filter((variable) => b.includes(variable)))
    .filter((variable) => truth.units.has(variable));
  const own = [...(systems[0]?.units.keys() ?? [])].join(", ");
  throw new ClimaxError(
    "data",
    `cannot score ${left.join(", ")}`,
    shared.length > 0
      ? `forecast and truth share ${shared.join(", ")}: choose among these with --variables`
      : `forecast and truth share no variable; the forecast has ${own}, the truth ${[...truth.units.keys()].join(", ")}`,
  );
}
