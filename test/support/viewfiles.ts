/** Small forecasts and their truth as files, with a hot spot that can be found again in pictures. */
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";
import { regularGrid } from "../../src/grid/grid.ts";

export const viewGrid = regularGrid(11.25); // 16 x 32
export const viewLeads = [6, 12, 18, 24];

/** Where it is hot in a forecast, degrees east: a quarter of the globe farther with each lead. */
export const hotLongitude = (leadHours: number) => (45 + 90 * (leadHours / 6 - 1)) % 360;
/** Half widths of the hot box about 39.375 N, degrees; the truth has none. */
const hot = { north: 39.375, high: 17, wide: 17, kelvin: 60 };

/** K, of the truth; colder by 10 K from level to level, and warmer by a kelvin each hour. */
export function trueKelvin(latitude: number, validHours: number, level: number): number {
  return 250 + 40 * Math.cos((latitude * Math.PI) / 180) - 10 * level + validHours / 24;
}

/** K, of the forecast: 0.5 K too warm everywhere, and hot in a box. */
export function forecastKelvin(
  { latitude, longitude }: { latitude: number; longitude: number },
  initialHours: number,
  leadHours: number,
  { level = 0, member = 0 } = {},
): number {
  const away = Math.abs(((longitude - hotLongitude(leadHours) + 540) % 360) - 180);
  const isHot = Math.abs(latitude - hot.north) <= hot.high && away <= hot.wide;
  return trueKelvin(latitude, initialHours + leadHours, level) + 0.5 + member + (isHot ? hot.kelvin : 0);
}

const axis = (
  name: string,
  data: ArrayLike<number>,
  attributes: Record<string, string>,
): WrittenVariable => ({
  name,
  dimensions: [name],
  dtype: "float64",
  attributes,
  data,
});
const places = [
  axis("latitude", viewGrid.lat, { units: "degrees_north" }),
  axis("longitude", viewGrid.lon, { units: "degrees_east" }),
];
const since = { units: "hours since 2020-01-01", calendar: "standard" };
const levels = axis("level", [500, 850], { units: "hPa" });

/** Values of every cell, for each combination of what stands before latitude and longitude. */
function everywhere(
  outer: readonly (readonly number[])[],
  value: (at: number[], latitude: number, longitude: number) => number,
) {
  const combinations = outer.reduce<number[][]>(
    (all, list) => all.flatMap((before) => list.map((item) => [...before, item])),
    [[]],
  );
  return Float32Array.from(
    combinations.flatMap((at) =>
      [...viewGrid.lat].flatMap((latitude) =>
        [...viewGrid.lon].map((longitude) => value(at, latitude, longitude)),
      ),
    ),
  );
}

export interface ViewFileOptions {
  /** Hours since 2020. */
  readonly initial?: readonly number[];
  readonly leads?: readonly number[];
  readonly members?: number;
  readonly attributes?: Record<string, string | number>;
}

/** Forecasts of 2m_temperature and of temperature at 500 and 850 hPa. */
export async function writeViewForecast(path: string, options: ViewFileOptions = {}): Promise<string> {
  const { initial = [0, 12], leads = viewLeads, members = 1, attributes = {} } = options;
  const numbers = Array.from({ length: members }, (_, k) => k);
  const ensemble = members > 1 ? ["number"] : [];
  const outer = ["time", "lead_time", ...ensemble];
  const variable = (name: string, dimensions: string[], data: Float32Array): WrittenVariable => ({
    ...{ name, dimensions: [...dimensions, "latitude", "longitude"], dtype: "float32", data },
    attributes: { units: "K" },
  });
  const file = await createNetcdf(path, {
    dimensions: {
      ...{ time: initial.length, lead_time: leads.length, level: 2, latitude: 16, longitude: 32 },
      ...(members > 1 ? { number: members } : {}),
    },
    attributes: { system: "toy", ...attributes },
    variables: [
      axis("time", initial, since),
      axis("lead_time", leads, { units: "hours" }),
      levels,
      ...(members > 1 ? [axis("number", numbers, {})] : []),
      ...places,
      variable(
        "2m_temperature",
        outer,
        everywhere([initial, leads, numbers], ([from = 0, lead = 0, member = 0], latitude, longitude) =>
          forecastKelvin({ latitude, longitude }, from, lead, { member }),
        ),
      ),
      variable(
        "temperature",
        [...outer, "level"],
        everywhere(
          [initial, leads, numbers, [0, 1]],
          ([from = 0, lead = 0, member = 0, level = 0], latitude, longitude) =>
            forecastKelvin({ latitude, longitude }, from, lead, { member, level }),
        ),
      ),
    ],
  });
  await file.close();
  return path;
}

/** What happened from 2020-01-01 00:00 on, every 6 hours. */
export async function writeViewTruth(
  path: string,
  hours: readonly number[] = [0, 6, 12, 18, 24, 30],
): Promise<string> {
  const file = await createNetcdf(path, {
    dimensions: { time: hours.length, level: 2, latitude: 16, longitude: 32 },
    variables: [
      axis("time", hours, since),
      levels,
      ...places,
      {
        name: "2m_temperature",
        dimensions: ["time", "latitude", "longitude"],
        dtype: "float32",
        attributes: { units: "K" },
        data: everywhere([hours], ([at = 0], latitude) => trueKelvin(latitude, at, 0)),
      },
      {
        name: "temperature",
        dimensions: ["time", "level", "latitude", "longitude"],
        dtype: "float32",
        attributes: { units: "K" },
        data: everywhere([hours, [0, 1]], ([at = 0, level = 0], latitude) => trueKelvin(latitude, at, level)),
      },
    ],
  });
  await file.close();
  return path;
}
