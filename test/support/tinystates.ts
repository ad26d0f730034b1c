/** A NetCDF file of temperatures (tas, K) in 2 x 4 cells, whose states a test writes itself. */
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";

/**
 * @param time  attributes of the time axis, units among them
 * @param more  variables beside tas, of time, lat and lon
 */
export function createTinyStates(path: string, time: Record<string, string>, more: WrittenVariable[] = []) {
  const axis = (name: string, units: string, data: number[]): WrittenVariable => ({
    ...{ name, dimensions: [name], dtype: "float64", attributes: { units }, data },
  });
  const field = ["time", "lat", "lon"];
  return createNetcdf(path, {
    dimensions: { time: null, lat: 2, lon: 4 },
    attributes: { Conventions: "CF-1.11" },
    variables: [
      { name: "time", dimensions: ["time"], dtype: "float64", attributes: time },
      axis("lat", "degrees_north", [-45, 45]),
      axis("lon", "degrees_east", [0, 90, 180, 270]),
      { name: "tas", dimensions: field, dtype: "float32", attributes: { units: "K" } },
      ...more,
    ],
  });
}
