// Brings the axes of a file to this program's order: south to north, and eastward from Greenwich.
import { ClimaxError } from "../errors.ts";

/**
 * Latitudes of a file in ascending order, and the file's row of each.
 * @throws ClimaxError "grid" when they neither rise nor fall throughout.
 */
export function orderLatitudes(
  raw: ArrayLike<number>,
  path: string,
): { lat: Float64Array; rows: Int32Array } {
  const n = raw.length;
  const down = n > 1 && raw[0]! > raw[n - 1]!;
  const rows = Int32Array.from({ length: n }, (_, i) => (down ? n - 1 - i : i));
  // float32 poles may read 90.00000001.
  const lat = Float64Array.from(rows, (row) => (Math.abs(raw[row]!) < 90.001 ? clamp(raw[row]!) : raw[row]!));
  if (lat.some((value, i) => i > 0 && !(value > lat[i - 1]!))) {
    throw new ClimaxError(
      "grid",
      `the latitudes of ${path} neither rise nor fall throughout`,
      "put its rows in order: cdo -f nc4 remapnn,r360x180 in.nc out.nc",
    );
  }
  return { lat, rows };
}

const clamp = (latitude: number) => Math.min(90, Math.max(-90, latitude));

/**
 * Longitudes of a file in [0, 360), ascending, and the file's column of each. A column that comes again after a
 * whole turn is dropped, with a note.
 * @throws ClimaxError "grid" for a longitude given twice.
 */
export function orderLongitudes(raw: ArrayLike<number>, path: string, notes: Set<string>) {
  const circle = Array.from(raw, (value, column) => {
    const east = value - 360 * Math.floor(value / 360);
    return { east: east > 360 - 1e-5 ? 0 : east, value, column };
  }).sort((a, b) => a.east - b.east || a.column - b.column);
  const kept = circle.filter(({ east, value }, i) => {
    const before = circle[i - 1];
    if (i === 0 || east - before!.east > 1e-5) return true;
    if (Math.abs(Math.abs(value - before!.value) - 360) > 1e-4) {
      throw new ClimaxError(
        "grid",
        `${path} has the longitude ${value} twice`,
        "leave out one of the two columns: cdo selindexbox",
      );
    }
    notes.add(
      `longitude ${Math.max(value, before!.value)} repeats ${Math.min(value, before!.value)}; dropped`,
    );
    return false;
  });
  return { lon: kept.map(({ east }) => east), columns: Int32Array.from(kept, ({ column }) => column) };
}
