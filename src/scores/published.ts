/**
 * Scores that others have published, as data with their source, to be shown beside measured rows and marked as
 * published. All are about real weather (ERA5; the test years are 2017 and 2018 unless a row says otherwise):
 * nothing that is measured on simulated weather compares with them.
 */
import { downscalingRows, projectionRows, regionalRows, subseasonalRows } from "./publishedtasks.ts";

export interface PublishedRow {
  readonly system: string;
  /** Name of the definition; "as published" where a paper quotes numbers of another group, made its own way. */
  readonly definition: "climax" | "weatherbench1" | "as published";
  /** A name of the table of metrics. */
  readonly metric: string;
  /** ClimaX name. */
  readonly variable: string;
  /** Hours; undefined: of every lead, as a climatology is. */
  readonly leadHours: number | undefined;
  readonly value: number;
  /** Degrees of the grid it was scored on. */
  readonly resolution: number;
  /** Name of the region; without one, the globe. */
  readonly region?: string;
  readonly source: string;
}

const Z500 = "geopotential_500";
const T850 = "temperature_850";
const T2M = "2m_temperature";
const U10 = "10m_u_component_of_wind";
const V10 = "10m_v_component_of_wind";

/** Columns of the paper's tables: system, degrees, definition. */
const columns = [
  ["ClimaX 5.625", 5.625, "climax"],
  ["ClimaX 1.40625", 1.40625, "climax"],
  ["FourCastNet", 0.25, "as published"],
  ["Pangu-Weather", 0.25, "as published"],
  ["GraphCast", 0.25, "as published"],
  ["HRES", 0.1, "as published"],
  ["IFS 5.625 (2018)", 5.625, "climax"],
  ["IFS 1.40625 (2018)", 1.40625, "climax"],
  ["ResNet 5.625", 5.625, "climax"],
  ["UNet 5.625", 5.625, "climax"],
] as const;

/** Hours, then one number for each column; x is a gap in the table. */
type Line = readonly (number | undefined)[];
const x = undefined;

const paperRmse: Record<string, readonly Line[]> = {
  [Z500]: [
    [6, 62.73, 49.67, 37.52, 15.4, 16.46, 24.66, 26.93, 26.96, 47.0, 53.66],
    [24, 96.19, 72.76, 81.31, 42.23, 38.77, 45.9, 51.01, 50.96, 86.6, 132.65],
    [72, 244.08, 201.0, 251.96, 133.12, 125.78, 146.37, 152.15, 152.2, 305.22, 458.84],
    [120, 440.4, 392.0, 483.44, 295.63, 271.65, 316.79, 331.45, 331.38, 614.2, 721.83],
    [168, 599.43, 566.0, 680.0, 504.9, 466.53, 535.93, 549.01, 548.96, 806.59, 819.39],
    [336, 790.26, 788.43, x, x, x, x, 1011.72, 1011.56, 835.55, 866.4],
    [720, 815.25, 817.52, x, x, x, x, x, x, 858.98, 880.34],
  ],
  [T2M]: [
    [6, 0.95, 1.11, 0.72, 0.59, 0.5, 0.35, 0.97, 0.97, 0.76, 0.77],
    [24, 1.1, 1.19, 0.95, 0.72, 0.62, 0.66, 1.02, 1.02, 0.91, 1.11],
    [72, 1.43, 1.47, 1.38, 1.05, 0.94, 1.06, 1.3, 1.3, 1.7, 1.91],
    [120, 1.83, 1.83, 1.99, 1.53, 1.36, 1.52, 1.72, 1.71, 2.22, 2.49],
    [168, 2.18, 2.17, 2.54, 2.06, 1.88, 2.06, 2.24, 2.23, 2.66, 2.66],
    [336, 2.61, 2.67, x, x, x, x, 3.31, 3.3, 2.86, 2.79],
    [720, 2.67, 2.74, x, x, x, x, x, x, 2.86, 2.81],
  ],
  [T850]: [
    [6, 0.88, 0.84, 0.52, 0.42, 0.28, 0.33, 0.69, 0.69, 0.7, 0.8],
    [24, 1.11, 1.02, 0.81, 0.72, 0.58, 0.7, 0.87, 0.87, 1.26, 1.25],
    [72, 1.59, 1.46, 1.55, 1.13, 1.02, 1.27, 1.34, 1.34, 1.9, 2.39],
    [120, 2.23, 2.08, 2.47, 1.78, 1.63, 1.96, 2.01, 2.01, 2.86, 3.23],
    [168, 2.77, 2.66, 3.3, 2.6, 2.41, 2.78, 2.82, 2.82, 3.51, 3.5],
    [336, 3.4, 3.41, x, x, x, x, 4.43, 4.43, 3.65, 3.65],
    [720, 3.47, 3.49, x, x, x, x, x, x, 3.69, 3.73],
  ],
  [U10]: [
    [6, 1.08, 1.04, 0.55, 0.46, 0.37, 0.58, 0.8, 0.79, 0.86, 1.02],
    [24, 1.41, 1.31, 0.99, 0.9, 0.8, 1.15, 1.11, 1.11, 1.27, 1.68],
    [72, 2.18, 2.02, 2.24, 1.6, 1.47, 1.98, 1.92, 1.92, 2.78, 3.17],
    [120, 2.94, 2.79, 3.41, 2.52, 2.36, 2.95, 2.89, 2.89, 3.63, 3.93],
    [168, 3.43, 3.35, 4.18, 3.46, 3.25, 3.87, 3.81, 3.81, 4.15, 4.08],
    [336, 3.91, 3.92, x, x, x, x, 5.24, 5.23, 4.23, 4.16],
    [720, 3.96, 3.97, x, x, x, x, x, x, 4.29, 4.22],
  ],
};

const paperAcc: Record<string, readonly Line[]> = {
  [Z500]: [
    [6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [24, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.99],
    [72, 0.97, 0.98, 0.97, 0.99, 0.99, 0.98, 0.99, 0.99, 0.95, 0.89],
    [120, 0.9, 0.92, 0.89, 0.96, 0.94, 0.92, 0.95, 0.95, 0.79, 0.69],
    [168, 0.8, 0.82, 0.76, 0.87, 0.83, 0.78, 0.87, 0.87, 0.57, 0.57],
    [336, 0.59, 0.59, x, x, x, x, 0.55, 0.55, 0.53, 0.51],
    [720, 0.55, 0.55, x, x, x, x, x, x, 0.49, 0.49],
  ],
  [T2M]: [
    [6, 0.98, 0.98, 0.99, 0.99, 0.98, 0.99, 0.99, 0.99, 0.99, 0.99],
    [24, 0.98, 0.97, 0.98, 0.99, 0.98, 0.98, 0.99, 0.99, 0.98, 0.98],
    [72, 0.96, 0.96, 0.96, 0.98, 0.95, 0.94, 0.98, 0.98, 0.94, 0.93],
    [120, 0.94, 0.94, 0.92, 0.95, 0.9, 0.88, 0.96, 0.96, 0.9, 0.88],
    [168, 0.91, 0.91, 0.87, 0.92, 0.81, 0.77, 0.93, 0.93, 0.86, 0.86],
    [336, 0.86, 0.85, x, x, x, x, 0.85, 0.85, 0.83, 0.84],
    [720, 0.85, 0.84, x, x, x, x, x, x, 0.83, 0.83],
  ],
  [T850]: [
    [6, 0.98, 0.99, 0.99, 1, 1, 0.99, 0.99, 0.99, 0.99, 0.99],
    [24, 0.98, 0.98, 0.98, 0.99, 0.99, 0.98, 0.99, 0.99, 0.97, 0.97],
    [72, 0.95, 0.96, 0.95, 0.98, 0.96, 0.93, 0.97, 0.97, 0.92, 0.88],
    [120, 0.89, 0.91, 0.87, 0.94, 0.89, 0.84, 0.93, 0.94, 0.82, 0.75],
    [168, 0.82, 0.84, 0.77, 0.87, 0.75, 0.68, 0.87, 0.87, 0.68, 0.69],
    [336, 0.71, 0.71, x, x, x, x, 0.68, 0.69, 0.66, 0.66],
    [720, 0.69, 0.68, x, x, x, x, x, x, 0.64, 0.64],
  ],
  [U10]: [
    [6, 0.97, 0.97, 0.99, 0.99, 0.99, 0.99, 0.98, 0.98, 0.98, 0.97],
    [24, 0.94, 0.95, 0.97, 0.97, 0.98, 0.96, 0.97, 0.97, 0.95, 0.91],
    [72, 0.85, 0.87, 0.85, 0.92, 0.93, 0.88, 0.89, 0.89, 0.74, 0.65],
    [120, 0.7, 0.74, 0.64, 0.8, 0.82, 0.74, 0.76, 0.76, 0.52, 0.37],
    [168, 0.56, 0.59, 0.45, 0.63, 0.64, 0.55, 0.58, 0.58, 0.28, 0.28],
    [336, 0.33, 0.32, x, x, x, x, 0.21, 0.21, 0.19, 0.22],
    [720, 0.29, 0.28, x, x, x, x, x, x, 0.17, 0.21],
  ],
};

/** Not in the paper's tables but in the authors' development repository; columns as above. */
const repositoryRmse: Record<string, readonly Line[]> = {
  [V10]: [
    [6, 1.11, 1.05, x, x, x, x, 0.82, 0.82, 0.9, 1.05],
    [24, 1.45, 1.33, x, x, x, x, 1.14, 1.14, 1.3, 1.71],
    [72, 2.24, 2.06, x, x, x, x, 1.96, 1.97, 2.63, 3.25],
    [120, 3.04, 2.88, x, x, x, x, 2.96, 2.96, 3.8, 4.02],
    [168, 3.57, 3.48, x, x, x, x, 3.94, 3.94, 4.26, 4.21],
    [336, 4.02, 4.03, x, x, x, x, 5.4, 5.4, 4.31, 4.25],
    [720, 4.04, 4.05, x, x, x, x, x, x, 4.31, 4.28],
  ],
};

function fromTable(
  metric: "rmse" | "acc",
  source: string,
  tables: Record<string, readonly Line[]>,
): PublishedRow[] {
  return Object.entries(tables).flatMap(([variable, lines]) =>
    lines.flatMap(([leadHours, ...values]) =>
      columns.flatMap(([system, resolution, definition], c) => {
        const value = values[c];
        return value === undefined
          ? []
          : [{ system, definition, metric, variable, leadHours, value, resolution, source }];
      }),
    ),
  );
}

/** At 3 and 5 days: [72 h, 120 h], or one number where the lead does not matter. */
type Days = readonly [number, number] | number;
type Scores = Partial<Record<"rmse" | "acc" | "mae", Readonly<Record<string, Days>>>>;

const weatherbench1: Record<string, Scores> = {
  "WB1 persistence": {
    rmse: { [Z500]: [936, 1033], [T850]: [4.29, 4.56], [T2M]: [3.0, 3.27] },
    acc: { [Z500]: [0.62, 0.53], [T850]: [0.69, 0.65], [T2M]: [0.88, 0.85] },
    mae: { [Z500]: [572, 634], [T850]: [2.91, 3.12] },
  },
  "WB1 climatology": {
    rmse: { [Z500]: 1075, [T850]: 5.51, [T2M]: 6.07 },
    acc: { [Z500]: 0, [T850]: 0, [T2M]: 0 },
    mae: { [Z500]: 708, [T850]: 3.84 },
  },
  "WB1 weekly climatology": {
    rmse: { [Z500]: 816, [T850]: 3.5, [T2M]: 3.19 },
    acc: { [Z500]: 0.65, [T850]: 0.77, [T2M]: 0.85 },
    mae: { [Z500]: 525, [T850]: 2.48 },
  },
  "WB1 linear regression": {
    rmse: { [Z500]: [693, 783], [T850]: [3.19, 3.44], [T2M]: [2.39, 2.6] },
    acc: { [Z500]: [0.76, 0.68], [T850]: [0.81, 0.78], [T2M]: [0.92, 0.9] },
    mae: { [Z500]: [431, 489], [T850]: [2.23, 2.41] },
  },
  "WB1 CNN": {
    rmse: { [Z500]: [626, 757], [T850]: [2.87, 3.37] },
    acc: { [Z500]: [0.81, 0.71], [T850]: [0.85, 0.79] },
    mae: { [Z500]: [403, 476], [T850]: [2.02, 2.38] },
  },
  "WB1 IFS T42": {
    rmse: { [Z500]: [489, 743], [T850]: [3.09, 3.83], [T2M]: [3.21, 3.69] },
    acc: { [Z500]: [0.9, 0.78], [T850]: [0.86, 0.78], [T2M]: [0.87, 0.83] },
    mae: { [Z500]: [295, 449], [T850]: [1.99, 2.53] },
  },
  "WB1 IFS T63": {
    rmse: { [Z500]: [268, 463], [T850]: [1.85, 2.52], [T2M]: [2.04, 2.44] },
    acc: { [Z500]: [0.97, 0.91], [T850]: [0.94, 0.9], [T2M]: [0.94, 0.92] },
    mae: { [Z500]: [188, 307], [T850]: [1.3, 1.73] },
  },
  "WB1 operational IFS": {
    // The first is given as 153 to 154; the larger stands here.
    rmse: { [Z500]: [154, 334], [T850]: [1.36, 2.03], [T2M]: [1.35, 1.77] },
    acc: { [Z500]: [0.99, 0.95], [T850]: [0.97, 0.93], [T2M]: [0.98, 0.96] },
    mae: { [Z500]: [97, 198], [T850]: [0.93, 1.35] },
  },
};

function fromWeatherbench1(): PublishedRow[] {
  const source = "WeatherBench 1 (arXiv 2002.00469 and its repository, test years 2017-2018)";
  const common = { definition: "weatherbench1", resolution: 5.625, source } as const;
  return Object.entries(weatherbench1).flatMap(([system, byMetric]) =>
    (["rmse", "acc", "mae"] as const).flatMap((metric) =>
      Object.entries(byMetric[metric] ?? {}).flatMap(([variable, days]): PublishedRow[] =>
        typeof days === "number"
          ? [{ ...common, system, metric, variable, leadHours: undefined, value: days }]
          : days.map((value, d) => ({
              ...common,
              system,
              metric,
              variable,
              leadHours: [72, 120][d]!,
              value,
            })),
      ),
    ),
  );
}

/** Every published row of global weather forecasts, in the order of the tables they are from. */
export const publishedRows: readonly PublishedRow[] = [
  ...fromTable("rmse", "ClimaX, arXiv 2301.10343, Table 10 (test years 2017-2018)", paperRmse),
  ...fromTable("acc", "ClimaX, arXiv 2301.10343, Table 11 (test years 2017-2018)", paperAcc),
  ...fromTable("rmse", "development repository of the ClimaX authors, not in the paper", repositoryRmse),
  ...fromWeatherbench1(),
];

/** By bench. */
const byBench: Readonly<Record<string, readonly PublishedRow[]>> = {
  weatherbench: [...publishedRows, ...regionalRows],
  s2s: subseasonalRows,
  downscaling: downscalingRows,
  climatebench: projectionRows,
};

/** The published rows of a bench for a region ("global": the whole globe). */
export function publishedOf(bench: string, region: string): PublishedRow[] {
  return (byBench[bench] ?? []).filter((row) => (row.region ?? "global") === region);
}
