// One field of a GRIB message, as our own reading of the message's structure has it, and the checks that both
// editions share.
import { ClimaxError } from "../errors.ts";

/** One field of a message. */
export interface GribField {
  /** 1 for the first message of the file. */
  message: number;
  /** Byte of the file at which the message begins. */
  at: number;
  edition: 1 | 2;
  /** Stretches of the file, [byte, length, byte, length, ...], that make a message of this field alone. */
  parts: number[];
  /** A section to be put in place of one of the parts, the grid's: what the library does not handle, it is not told. */
  replaced?: { part: number; section: Buffer };
  /** Whether every other row runs backwards, which not every version of the library minds. */
  alternating: boolean;
  /** Grid points, and numbers stored (fewer where a bitmap leaves points out); 0: spectral. */
  points: number;
  /** Bits of a stored number, or 64 for float64; decides the width of what is returned. */
  bits: number;
  packing: string;
  /**
   * A message of the same product and grid whose data are a constant: what the library is asked about names, levels
   * and coordinates, small and without the risks of unpacking.
   */
  bare: Buffer;
  /** Bytes that describe the grid, as text: equal for equal grids. */
  gridKey: string;
  /** Grids that this program knows better than the library: a HEALPix, or a grid without coordinates. */
  grid: "library" | "spectral" | { healpix: number; nested: boolean } | { unknown: string };
  /** Of the reference time, seconds since 1970-01-01 UTC; NaN for what is no date. */
  reference: number;
  /** Where in `bare` the reference time stands: [start, end, start, end, ...]. */
  dateBytes: number[];
  /** Whether steps have a fixed length, which months have not. */
  fixedSteps: boolean;
}

/** No field has more points: global HEALPix of nside 2048 has 50 million. Guards against absurd allocations. */
export const mostPoints = 2 ** 27;

/** ecCodes 2.28 searches without end for the latitudes of an absurd Gaussian grid. O2560 has 5120 rows. */
export function checkGaussian(rows: number, half: number, fail: (what: string) => never): void {
  if (half === 0 || half > 20_000 || rows > 2 * half) {
    fail(`a Gaussian grid of ${half} latitudes in a hemisphere and ${rows} rows`);
  }
}

/** A message that is not sound: its number from 1, its byte, and what is wrong. */
export function damaged(path: string, message: number, at: number, what: string): ClimaxError {
  return new ClimaxError(
    "data",
    `${path}: GRIB message ${message} at byte ${at} is damaged: ${what}`,
    "fetch or write the file again; what is left of it: grib_copy -f IN OUT (ecCodes) drops bad messages",
  );
}

/** Seconds since 1970-01-01 UTC; NaN when it is no date. Month and day from 1. */
export function gribSeconds(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!exists || hour > 24 || minute > 59 || second > 60) return Number.NaN;
  return date.getTime() / 1000 + hour * 3600 + minute * 60 + second;
}
