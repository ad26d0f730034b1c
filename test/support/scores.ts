/** Scores as a run makes them, with made-up numbers that behave like weather: errors grow with the lead and level off. */
import { regularGrid } from "../../src/grid/grid.ts";
import type {
  DifferenceRow,
  Profile,
  ReportRow,
  ScoreDocument,
  ScoreMap,
  Scores,
} from "../../src/scores/scoredocument.ts";

export interface Wanted {
  /** Names of systems with forecasts, and how large their errors are beside those of "ours". */
  readonly systems?: Readonly<Record<string, number>>;
  readonly baselines?: readonly ("persistence" | "climatology")[];
  readonly versus?: string | null;
  readonly metrics?: readonly string[];
  readonly variables?: readonly string[];
  readonly leads?: readonly number[];
  readonly regions?: readonly string[];
  readonly seasons?: readonly string[];
  readonly intervals?: boolean;
  readonly members?: number;
  readonly published?: boolean;
  readonly synthetic?: boolean;
  readonly maps?: boolean;
  readonly profiles?: boolean;
  readonly notes?: readonly string[];
  readonly files?: readonly string[];
}

/** Standard deviation of each variable, about that of nature. */
const spreads: Readonly<Record<string, readonly [number, string]>> = {
  geopotential_500: [800, "m2 s-2"],
  temperature_850: [3.5, "K"],
  "2m_temperature": [2.8, "K"],
  "10m_u_component_of_wind": [4.2, "m s-1"],
};

/** A number in [-1, 1] that belongs to the text. */
function chance(text: string): number {
  let state = 2166136261;
  for (const char of text) state = Math.imul(state ^ char.codePointAt(0)!, 16777619);
  state = Math.imul(state ^ (state >>> 15), 2246822507);
  return ((state ^ (state >>> 13)) >>> 0) / 2 ** 31 - 1;
}

/** Error over the standard deviation of the climate. */
function errorOf(system: string, factor: number, lead: number, variable: string): number {
  const wobble = 1 + 0.03 * chance(`${system} ${variable} ${lead}`);
  if (system === "climatology") return 0.99 * wobble;
  if (system === "persistence") return 1.38 * (1 - Math.exp(-lead / 60)) * wobble;
  return Math.min(1.2, 0.08 + 1.02 * factor * (1 - Math.exp(-lead / 130))) * wobble;
}

/** Scores of `ours`, another system and two baselines; every part can be chosen. */
export function makeScores(wanted: Wanted = {}): Scores {
  const {
    systems = { ours: 1, theirs: 1.08 },
    baselines = ["persistence", "climatology"],
    versus = "persistence",
    metrics = ["rmse", "acc", "bias"],
    variables = Object.keys(spreads),
    leads = [6, 24, 72, 120, 168],
    regions = ["global", "tropics", "europe"],
    seasons = ["all"],
    intervals = true,
    members = 1,
    published = false,
    synthetic = false,
    maps = false,
    profiles = false,
    notes = [],
    files = ["ours/forecast_2018.nc"],
  } = wanted;
  const names = [...Object.keys(systems), ...baselines];
  const rows: ReportRow[] = [];
  const differences: DifferenceRow[] = [];
  for (const season of seasons) {
    for (const region of regions) {
      for (const metric of metrics) {
        for (const variable of variables) {
          for (const lead of leads) {
            const scored = new Map<string, number>();
            for (const system of names) {
              const value = scoreOf(system, systems[system] ?? 1, { metric, variable, lead, region, season });
              if (value === null) continue;
              scored.set(system, value);
              const half =
                metric === "acc" ? 0.006 : 0.012 * Math.abs(value) + (metric === "bias" ? 0.01 : 0);
              rows.push({
                system,
                definition: "weatherbench2",
                metric,
                variable,
                lead_hours: lead,
                region,
                season,
                value,
                low: intervals ? value - half : null,
                high: intervals ? value + half : null,
                samples: season === "all" ? 730 : 182,
                units: metric === "acc" ? "1" : spreads[variable]![1],
                source: "measured",
                synthetic,
              });
            }
            if (versus === null || !scored.has(versus)) continue;
            for (const system of names) {
              const [own, other] = [scored.get(system), scored.get(versus)!];
              if (system === versus || own === undefined) continue;
              const difference = own - other;
              const half = metric === "acc" ? 0.008 : 0.02 * Math.abs(other);
              const sign =
                metric === "acc"
                  ? -difference
                  : metric === "bias"
                    ? Math.abs(own) - Math.abs(other)
                    : difference;
              differences.push({
                system,
                versus,
                metric,
                variable,
                lead_hours: lead,
                region,
                season,
                difference,
                low: intervals ? difference - half : null,
                high: intervals ? difference + half : null,
                p: intervals
                  ? Number(Math.max(0.001, Math.exp(-Math.abs(difference) / half / 0.35)).toPrecision(3))
                  : null,
                better: !intervals
                  ? null
                  : Math.abs(difference) <= half
                    ? "tie"
                    : sign < 0
                      ? "system"
                      : "versus",
                samples: 730,
              });
            }
          }
        }
      }
    }
  }
  if (published) rows.push(...publishedRows(variables, leads, spreads));
  const document: ScoreDocument = {
    format: "climax-scores",
    version: 2,
    bench: "weatherbench2",
    definition: {
      name: "weatherbench2",
      description:
        "cell-area weights; RMSE: root of the mean over all forecasts; ACC: per forecast, then the mean, no mean removed",
      source: "WeatherBench 2, Rasp et al. 2024, and google-research/weatherbench2 metrics.py",
    },
    anomalies: "day-of-year climatology of 1990-2019",
    climatology: baselines.includes("climatology") ? "day-of-year climatology of 1990-2019" : null,
    average_hours: null,
    initial_times: ["2018-01-01T00:00:00", "2018-12-31T12:00:00"],
    valid_times: ["2018-01-01T06:00:00", "2019-01-07T12:00:00"],
    grid: "32 x 64, global, 5.625 degrees",
    systems: [
      ...Object.keys(systems).map((name, i) => ({
        name,
        files: i === 0 ? files : [`${name}.zarr`],
        members,
        made: i === 0 ? ["climax 0.1.0, checkpoint best.safetensors, on llvmpipe"] : [],
      })),
      ...baselines.map((name) => ({ name, files: [], members: 1, made: [] })),
    ],
    truth: ["era5_2018.nc"],
    versus,
    intervals: intervals
      ? {
          method: "moving blocks of initial times drawn with replacement, percentile limits",
          level: 0.95,
          resamples: 1000,
          seed: 0,
          block: null,
        }
      : null,
    synthetic,
    notes,
    provenance: {
      command:
        "climax evaluate --forecast ours/forecast_2018.nc,theirs.zarr --truth era5_2018.nc --report report",
      version: "0.1.0",
      created: "2026-11-26T16:00:00Z",
      machine: "linux x64, Node 20.20.2",
      files: [
        ...files.map((path) => ({
          path,
          bytes: 183_500_800,
          sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        })),
        { path: "theirs.zarr", bytes: null, sha256: null },
      ],
    },
    rows,
    differences,
    profiles: profiles ? makeProfiles(Object.keys(systems), variables, leads, members) : [],
  };
  return { document, maps: maps ? makeMaps(names, systems, variables, leads) : [] };

  function scoreOf(
    system: string,
    factor: number,
    {
      metric,
      variable,
      lead,
      region,
      season,
    }: { metric: string; variable: string; lead: number; region: string; season: string },
  ): number | null {
    const [deviation] = spreads[variable]!;
    const where = 1 + 0.25 * chance(`${region}${variable}`) + (season === "all" ? 0 : 0.1 * chance(season));
    const error = errorOf(system, factor, lead, variable);
    switch (metric) {
      case "acc":
        return system === "climatology" ? null : Math.max(-0.2, 1 - (error * error) / 1.9);
      case "bias":
        return 0.06 * deviation * error * chance(`${system} ${variable} ${lead} ${region}`);
      case "crps":
        return 0.56 * deviation * error * where;
      case "spread":
        return system in systems ? 0.8 * deviation * error * where : null;
      default:
        return deviation * error * where;
    }
  }
}

function publishedRows(
  variables: readonly string[],
  leads: readonly number[],
  table: typeof spreads,
): ReportRow[] {
  return variables.flatMap((variable) =>
    leads.map((lead) => ({
      system: "GraphCast (published)",
      definition: "as published",
      metric: "rmse",
      variable,
      lead_hours: lead,
      region: "global",
      season: "all",
      value: Number((table[variable]![0] * 0.7 * errorOf("graphcast", 0.8, lead, variable)).toPrecision(4)),
      low: null,
      high: null,
      samples: null,
      units: table[variable]![1],
      source: "published: ClimaX (arXiv 2301.10343), tables 11 to 15",
      synthetic: false,
    })),
  );
}

function makeProfiles(
  systems: readonly string[],
  variables: readonly string[],
  leads: readonly number[],
  members: number,
): Profile[] {
  const spectra = systems.flatMap((system) =>
    variables.flatMap((variable) =>
      leads.map((lead) => {
        const waves = Array.from({ length: 33 }, (_, k) => k);
        const truth = waves.map((k) => 1e7 * (k === 0 ? 20 : 1 / (1 + (k / 6) ** 3)));
        return {
          system,
          metric: "spectrum",
          variable,
          lead_hours: lead,
          region: "global",
          axis: { name: "zonal wavenumber", values: waves },
          values: truth.map(
            (value, k) => value * Math.exp(-(k / 32) * (lead / 90) * (system === "ours" ? 0.6 : 1)),
          ),
          truth,
          units: "m5 s-4",
          samples: 730,
        };
      }),
    ),
  );
  if (members === 1) return spectra;
  const ranks = systems.flatMap((system) =>
    variables.flatMap((variable) =>
      leads.map((lead) => {
        const raw = Array.from(
          { length: members + 1 },
          (_, r) => 1 + 2 * (Math.abs(r - members / 2) / members) ** 2,
        );
        const sum = raw.reduce((a, b) => a + b, 0);
        return {
          system,
          metric: "rank_histogram",
          variable,
          lead_hours: lead,
          region: "global",
          axis: { name: "rank", values: raw.map((_, r) => r) },
          values: raw.map((value) => value / sum),
          truth: raw.map(() => 1 / raw.length),
          units: "1",
          samples: 730,
        };
      }),
    ),
  );
  return [...spectra, ...ranks];
}

function makeMaps(
  names: readonly string[],
  systems: Readonly<Record<string, number>>,
  variables: readonly string[],
  leads: readonly number[],
): ScoreMap[] {
  const grid = regularGrid(5.625);
  const W = grid.lon.length;
  return names.flatMap((system) =>
    variables.flatMap((variable) =>
      leads.flatMap((lead) =>
        (["rmse", "bias"] as const).map((what): ScoreMap => {
          const [deviation, units] = spreads[variable]!;
          const size = deviation * errorOf(system, systems[system] ?? 1, lead, variable);
          const values = Float32Array.from({ length: grid.lat.length * W }, (_, i) => {
            const [lat, lon] = [grid.lat[Math.floor(i / W)]!, grid.lon[i % W]!];
            const storm = Math.sin((2 * lat * Math.PI) / 180) ** 2;
            const wave = Math.cos((3 * lon * Math.PI) / 180 + system.length);
            return what === "rmse" ? size * (0.35 + storm * (1 + 0.3 * wave)) : 0.15 * size * wave * storm;
          });
          return { system, what, variable, lead_hours: lead, units, grid, values };
        }),
      ),
    ),
  );
}
