// Mean and standard deviation of ERA5 over all cells and times, float32: what the authors of Stormer published of the
// data that they, the authors of ClimaX among them, prepared with ClimaX's scripts (github.com/tung-nd/stormer,
// normalization_constants/normalize_{mean,std}.npz, MIT licence). Their lake_depth is left out: with a mean of 2273 m it
// counts the depth of the sea. Relative humidity and the sunlight at the top of the atmosphere are not in the files.
import { gravity } from "./variables.ts";

/** Pressure levels of the table, hPa. */
const levels = [50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000];

/** Mean and standard deviation, in the units of variables.ts. */
const single: Readonly<Record<string, readonly [mean: number, std: number]>> = {
  orography: [3708.431 / gravity, 8242.097 / gravity], // geopotential_at_surface of the files
  angle_of_sub_gridscale_orography: [0.5174968, 0.42876422],
  high_vegetation_cover: [0.08310211, 0.23009413],
  lake_cover: [0.006685161, 0.036820274],
  land_sea_mask: [0.33566034, 0.45064798],
  low_vegetation_cover: [0.111016825, 0.2625943],
  slope_of_sub_gridscale_orography: [0.0034657354, 0.008908913],
  soil_type: [0.6714964, 1.066492],
  standard_deviation_of_filtered_subgrid_orography: [14.164704, 38.18737],
  standard_deviation_of_orography: [20.480274, 52.92736],
  type_of_high_vegetation: [1.8286572, 4.5210357],
  type_of_low_vegetation: [1.4094608, 3.1243718],
  "2m_temperature": [278.5063, 21.211138],
  "10m_u_component_of_wind": [-0.05103407, 5.463574],
  "10m_v_component_of_wind": [0.19089237, 4.685416],
  "10m_wind_speed": [6.311785, 3.6098948],
  mean_sea_level_pressure: [100956.625, 1330.791],
};

/** The same by level. */
// biome-ignore format: a table, two rows for each variable
const aloft: Readonly<Record<string, { readonly mean: readonly number[]; readonly std: readonly number[] }>> = {
  geopotential: {
    mean: [199370.66, 157642.58, 133142.84, 115331.95, 101225.07, 89415.836, 69981.484, 54116, 40648.645, 28928.865, 13749.328, 7014.2383, 737.03357],
    std: [5883.3555, 5516.1865, 5826.8228, 5821.7617, 5537.741, 5092.7363, 4151.727, 3354.0876, 2696.7747, 2137.2554, 1470.7413, 1229.0327, 1071.646],
  },
  specific_humidity: {
    mean: [2.6788418e-6, 2.6347232e-6, 5.259701e-6, 1.94257e-5, 5.779301e-5, 0.0001275265, 0.00038615544, 0.0008540096, 0.0015427442, 0.0024342467, 0.0045769056, 0.0060348148, 0.0070316023],
    std: [3.5814904e-7, 5.67948e-7, 3.7558011e-6, 2.234025e-5, 7.311152e-5, 0.00016573067, 0.00050035387, 0.0010643834, 0.0017476736, 0.0025197829, 0.004073336, 0.005047449, 0.0058968444],
  },
  temperature: {
    mean: [212.46904, 208.39278, 213.31348, 218.05826, 222.77426, 228.87564, 242.14445, 252.95572, 261.1403, 267.40295, 274.56662, 277.3657, 281.02542],
    std: [10.270789, 12.522227, 8.922046, 7.185217, 8.526126, 10.713583, 12.685515, 13.057787, 13.415217, 14.76522, 15.581419, 16.071112, 17.113413],
  },
  u_component_of_wind: {
    mean: [5.6205482, 10.282466, 13.5410795, 14.208273, 13.345026, 11.800298, 8.817476, 6.563136, 4.813061, 3.3425775, 1.4179757, 0.6194869, -0.032548152],
    std: [15.316097, 13.505442, 16.005453, 17.62606, 17.893421, 17.02554, 14.248306, 11.910549, 10.270894, 9.097813, 8.09096, 7.8315277, 6.0502853],
  },
  v_component_of_wind: {
    mean: [0.0033811717, 0.012909442, -0.037957262, -0.0463831, -0.031233579, -0.024455091, -0.019135654, -0.024604397, -0.027493661, 0.022025427, 0.14378756, 0.2056828, 0.1883615],
    std: [7.046622, 7.4525213, 9.532084, 11.833061, 13.318846, 13.267184, 11.155038, 9.1213045, 7.749183, 6.8084655, 6.175772, 6.3750243, 5.22019],
  },
  vertical_velocity: {
    mean: [-5.5029966e-5, -1.6441358e-5, 3.0446827e-5, 2.9573155e-5, 3.855562e-5, 0.000120190656, 0.00030247384, 0.00037639303, 0.0005070737, 0.0027881344, 0.011919691, 0.017678093, 0.021125162],
    std: [0.010546228, 0.020647286, 0.03982137, 0.06374323, 0.09081677, 0.11734007, 0.15597111, 0.17178428, 0.17514902, 0.17665629, 0.16866273, 0.1442375, 0.11257503],
  },
  wind_speed: {
    mean: [12.919458, 15.202906, 19.14542, 20.847816, 21.150122, 20.061483, 16.422832, 13.390592, 11.330309, 9.885666, 8.668377, 8.54656, 6.932344],
    std: [12.216357, 10.632165, 12.833139, 14.80617, 15.169783, 14.3090315, 11.718931, 9.496362, 7.83971, 6.611602, 5.6457644, 5.556571, 4.123183],
  },
};

/** By variable of the table, with its level. */
export const era5Statistics: ReadonlyMap<string, { readonly mean: number; readonly std: number }> = new Map([
  ...Object.entries(single).map(([name, [mean, std]]) => [name, { mean, std }] as const),
  ...Object.entries(aloft).flatMap(([name, { mean, std }]) =>
    levels.map((level, i) => [`${name}_${level}`, { mean: mean[i]!, std: std[i]! }] as const),
  ),
]);
