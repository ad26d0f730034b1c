/** Published scores of the paper's other tasks: regional, sub-seasonal, downscaling, projection. */
import type { PublishedRow } from "./published.ts";

const Z500 = "geopotential_500";
const T850 = "temperature_850";
const T2M = "2m_temperature";
const U10 = "10m_u_component_of_wind";
const V10 = "10m_v_component_of_wind";
const TAS = T2M;
const DTR = "diurnal_temperature_range";
const PR = "mean_total_precipitation_rate";
const PR90 = "pr90";

/** Three leads for each of Z500, T850, T2m. */
const northAmerica: Record<string, readonly (readonly number[])[]> = {
  ResNet: [
    [874, 967, 990],
    [3.1, 3.49, 3.59],
    [1.48, 1.71, 1.75],
  ],
  UNet: [
    [826, 987, 1008],
    [3.1, 3.57, 3.6],
    [1.78, 1.84, 1.85],
  ],
  "Cli-ViT": [
    [838, 961, 991],
    [3.11, 3.51, 3.59],
    [1.55, 1.78, 1.77],
  ],
  "ClimaX, pretrained at 5.625": [
    [762, 940, 980],
    [2.77, 3.39, 3.55],
    [1.54, 1.7, 1.74],
  ],
  "ClimaX, pretrained at 1.40625": [
    [731, 904, 950],
    [2.71, 3.31, 3.48],
    [1.35, 1.54, 1.58],
  ],
};

/** Weeks 3 to 4 and weeks 5 to 6 for each of T850, T2m, U10, V10. */
const twoWeekMeans: Record<string, readonly (readonly number[])[]> = {
  ResNet: [
    [2.12, 2.13],
    [1.88, 2.16],
    [1.91, 1.94],
    [1.52, 1.59],
  ],
  UNet: [
    [1.91, 1.95],
    [1.67, 1.79],
    [1.85, 1.9],
    [1.52, 1.57],
  ],
  "Cli-ViT": [
    [1.96, 1.96],
    [1.79, 1.9],
    [1.83, 1.92],
    [1.51, 1.56],
  ],
  ClimaX: [
    [1.89, 1.92],
    [1.66, 1.7],
    [1.81, 1.86],
    [1.5, 1.54],
  ],
};

/** RMSE, Pearson correlation and mean bias for each of Z500, T850, T2m, U10, V10. */
const downscaling: Record<string, readonly (readonly number[])[]> = {
  ResNet: [
    [825.75, 0.96, -108.54],
    [3.6, 0.96, 0.19],
    [2.89, 0.98, 0.14],
    [4.05, 0.65, 0.06],
    [4.11, 0.45, 0.09],
  ],
  UNet: [
    [858.35, 0.95, 35.1],
    [3.66, 0.96, -0.34],
    [2.95, 0.98, 0.16],
    [4.09, 0.64, -0.06],
    [4.13, 0.44, 0.08],
  ],
  "Cli-ViT": [
    [811.61, 0.96, -54.32],
    [3.58, 0.97, -0.29],
    [2.8, 0.99, -0.06],
    [4.01, 0.66, -0.08],
    [4.07, 0.47, 0.01],
  ],
  ClimaX: [
    [807.43, 0.96, 2.7],
    [3.49, 0.97, -0.11],
    [2.79, 0.99, -0.06],
    [3.99, 0.66, 0.04],
    [4.06, 0.47, -0.02],
  ],
};

/** NRMSEs, NRMSEg, Total and RMSE for each of tas, dtr, pr, pr90. */
const projection: Record<string, readonly (readonly number[])[]> = {
  "ClimateBench-NN (reproduced)": [
    [0.123, 0.08, 0.524, 0.404],
    [7.465, 1.233, 13.632, 0.15],
    [2.349, 0.151, 3.104, 0.553],
    [3.108, 0.282, 4.517, 1.594],
  ],
  "Cli-ViT": [
    [0.086, 0.044, 0.305, 0.362],
    [6.997, 1.759, 15.792, 0.146],
    [2.224, 0.241, 3.43, 0.55],
    [2.8, 0.329, 4.447, 1.579],
  ],
  ClimaX: [
    [0.086, 0.043, 0.3, 0.362],
    [7.148, 0.961, 11.952, 0.147],
    [2.36, 0.206, 3.39, 0.554],
    [2.739, 0.332, 4.397, 1.575],
  ],
  "ClimaX-frozen": [
    [0.085, 0.043, 0.297, 0.36],
    [6.688, 0.81, 10.739, 0.144],
    [2.193, 0.183, 3.11, 0.549],
    [2.681, 0.342, 4.389, 1.572],
  ],
};

/** NRMSEs, NRMSEg and Total on 96 x 144 points, for each of tas, dtr, pr, pr90 as far as there are numbers. */
const leaderboard: Record<string, readonly (readonly number[])[]> = {
  "CNN-LSTM, 96 x 144": [
    [0.107294, 0.0440271, 0.327429],
    [9.91735, 1.37219, 16.7783],
    [2.1281, 0.2093, 3.1746],
    [2.61022, 0.345709, 4.33876],
  ],
  "Gaussian process, 96 x 144": [
    [0.109106, 0.0738238, 0.478225],
    [9.20713, 2.67495, 22.5819],
    [2.34092, 0.341453, 4.04818],
    [2.5559, 0.429154, 4.70167],
  ],
  "Random forest, 96 x 144": [
    [0.107574, 0.0584057, 0.399602],
    [9.19503, 2.65241, 22.4571],
    [2.52431, 0.502126, 5.03494],
    [2.68209, 0.543375, 5.39896],
  ],
};

type Common = Pick<PublishedRow, "definition" | "resolution" | "source"> & { readonly region?: string };

/** Rows of tables whose innermost numbers are of several leads, or of several metrics. */
function rows(
  common: Common,
  tables: Record<string, readonly (readonly number[])[]>,
  variables: readonly string[],
  cells: readonly { readonly metric: PublishedRow["metric"]; readonly leadHours: number | undefined }[],
): PublishedRow[] {
  return Object.entries(tables).flatMap(([system, byVariable]) =>
    byVariable.flatMap((values, v) =>
      values.map((value, c) => ({ ...common, ...cells[c]!, system, variable: variables[v]!, value })),
    ),
  );
}

const leadsOf = (...hours: number[]) => hours.map((leadHours) => ({ metric: "rmse" as const, leadHours }));
const metricsOf = (...names: PublishedRow["metric"][]) =>
  names.map((metric) => ({ metric, leadHours: undefined }));

export const regionalRows: readonly PublishedRow[] = rows(
  {
    definition: "climax",
    resolution: 1.40625,
    region: "NorthAmerica",
    source:
      "ClimaX, arXiv 2301.10343, figure 8 (test years 2017-2018; the reference's code cuts the box of the southern " +
      "hemisphere where files run from south to north, and these numbers were probably made on that one)",
  },
  northAmerica,
  [Z500, T850, T2M],
  leadsOf(72, 120, 168),
);

export const subseasonalRows: readonly PublishedRow[] = rows(
  {
    definition: "climax",
    resolution: 5.625,
    source: "ClimaX, arXiv 2301.10343, Table 1 (two-week means, test years 2017-2018)",
  },
  twoWeekMeans,
  [T850, T2M, U10, V10],
  leadsOf(336, 672),
);

export const downscalingRows: readonly PublishedRow[] = rows(
  {
    definition: "climax",
    resolution: 1.40625,
    source:
      "ClimaX, arXiv 2301.10343, Table 3 (MPI-ESM at 5.625 to ERA5 at 1.40625 degrees: two worlds paired by date, so " +
      "that a large RMSE is inherent)",
  },
  downscaling,
  [Z500, T850, T2M, U10, V10],
  metricsOf("rmse", "pearson", "mean_bias"),
);

const projected = metricsOf("nrmse_s", "nrmse_g", "nrmse_total", "rmse");
const targets = [TAS, DTR, PR, PR90];

export const projectionRows: readonly PublishedRow[] = [
  ...rows(
    {
      definition: "climax",
      resolution: 5.625,
      source: "ClimaX, arXiv 2301.10343, Table 2 (SSP2-4.5, 2080-2100)",
    },
    projection,
    targets,
    projected,
  ),
  ...rows(
    {
      definition: "as published",
      resolution: 2.5,
      source: "ClimateBench leaderboard, duncanwp/ClimateBench (SSP2-4.5, 2080-2100)",
    },
    leaderboard,
    targets,
    projected,
  ),
  ...rows(
    {
      definition: "as published",
      resolution: 2.5,
      source: "CMIP6 scores of ClimateBench, duncanwp/ClimateBench (SSP2-4.5, 2080-2100)",
    },
    {
      "CMIP6 models among themselves": [
        [0.258, 0.177, 1.141],
        [1.963, 0.799, 5.958],
        [1.994, 0.389, 3.94],
      ],
    },
    targets,
    projected,
  ),
  ...rows(
    {
      definition: "as published",
      resolution: 2.5,
      source:
        "blutjens/climate-emulator, notebook on linear pattern scaling (SSP2-4.5, 2080-2100); see arXiv 2408.05288",
    },
    { "Linear pattern scaling, 96 x 144": [[0.0786, 0.041, 0.2836]] },
    targets,
    projected,
  ),
];
