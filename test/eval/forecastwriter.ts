/** Writes forecast files of any layout whose values tell their place. */
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";

export const axis = (name: string, data: number[], attributes: Record<string, string>): WrittenVariable => ({
  name,
  dimensions: [name],
  dtype: "float64",
  attributes,
  data,
});
export const scalar = (name: string, value: number, attributes: Record<string, string>): WrittenVariable => ({
  name,
  dimensions: [],
  dtype: "float64",
  attributes,
  data: [value],
});
/** Another coordinate along an axis. */
export const along = (
  dimension: string,
  name: string,
  data: number[],
  attributes: Record<string, string>,
): WrittenVariable => ({ name, dimensions: [dimension], dtype: "float64", attributes, data });
export const since = { units: "hours since 2018-01-01", calendar: "standard" };

/** Writes variables whose values count up from 0 in the file's own order. */
export async function writeCounting(
  path: string,
  coordinates: WrittenVariable[],
  fields: {
    name: string;
    dimensions: string[];
    units?: string;
    attributes?: Record<string, string>;
    shift?: number;
    data?: number[];
  }[],
  attributes: Record<string, string> = {},
): Promise<string> {
  const lengths = new Map(
    coordinates
      .filter(({ dimensions }) => dimensions.length === 1)
      .map(({ dimensions: [dimension], data }) => [dimension!, data!.length]),
  );
  const file = await createNetcdf(path, {
    dimensions: Object.fromEntries(lengths),
    attributes,
    variables: [
      ...coordinates,
      ...fields.map(
        ({ name, dimensions, units = "K", attributes = {}, shift = 0, data }): WrittenVariable => {
          const size = dimensions.reduce((product, dimension) => product * lengths.get(dimension)!, 1);
          return {
            ...{
              name,
              dimensions,
              dtype: "float32",
              attributes: { ...(units === "" ? {} : { units }), ...attributes },
            },
            data: Float32Array.from(data ?? Array.from({ length: size }, (_, i) => i + shift)),
          };
        },
      ),
    ],
  });
  await file.close();
  return path;
}
