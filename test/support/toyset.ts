/** A small planet whose waves only travel east: the next states follow from one state, so a model can learn them. */
import type { Archive, ArchiveVariable } from "../../src/data/archive.ts";
import { addHours, type CfTime, parseTime } from "../../src/data/time.ts";
import { parseName } from "../../src/data/variables.ts";
import { type Grid, regularGrid } from "../../src/grid/grid.ts";
import { type PrepareOptions, prepare } from "../../src/sets/prepare.ts";

export interface ToyOptions {
  /** Without `orography` they are the two temperatures. */
  readonly names?: readonly string[];
  readonly steps?: number;
  readonly grid?: Grid;
  readonly synthetic?: boolean;
  /** Added to every value: another climate. */
  readonly offset?: number;
  /** Six-hourly states: 25 days of train, 5 of val, 5 of test unless told otherwise. */
  readonly splits?: Pick<PrepareOptions, "train" | "val" | "test">;
}

export const toyGrid = regularGrid(22.5); // 8 x 16
export const toyStart = parseTime("2001-01-01", "standard");
export const toyNames = ["2m_temperature", "temperature_850"];

const toySplits = {
  train: "2001-01-01..2001-01-25",
  val: "2001-01-26..2001-01-30",
  test: "2001-01-31..2001-02-04",
};

/**
 * The value of a variable at a place and time, in its units: one wave that travels round the planet (wave number 1
 * in a bit over two days, 2 in half that), so 12 h are about a quarter turn. A constant is fixed.
 */
export function toyValue(name: string, time: CfTime, latitude: number, longitude: number): number {
  const radians = Math.PI / 180;
  if (parseName(name).info.role === "constant") return 500 + 400 * Math.sin(2 * radians * longitude);
  const hours = (time.seconds - toyStart.seconds) / 3600;
  const wave = name.startsWith("2m") ? 1 : 2;
  const width = Math.cos(radians * latitude);
  const phase = wave * (radians * longitude - (2 * Math.PI * hours) / 50) + name.length;
  return 270 + name.length + 10 * width + 8 * width * Math.cos(phase);
}

export function toyArchive(options: ToyOptions = {}): Archive {
  const { names = toyNames, steps = 4 * 35, grid = toyGrid, synthetic = true, offset = 0 } = options;
  const times = Array.from({ length: steps }, (_, i) => addHours(toyStart, 6 * i));
  const [H, W] = [grid.lat.length, grid.lon.length];
  const variables = new Map<string, ArchiveVariable>();
  for (const name of names) {
    const { info } = parseName(name);
    variables.set(name, {
      name,
      info,
      units: info.units,
      constant: info.role === "constant",
      attributes: new Map(),
      read: async (step) =>
        Float32Array.from(
          { length: H * W },
          (_, cell) =>
            offset + toyValue(name, times[step]!, grid.lat[Math.floor(cell / W)]!, grid.lon[cell % W]!),
        ),
    });
  }
  return {
    paths: [],
    grid,
    times,
    variables,
    unrecognised: [],
    notes: [],
    attributes: new Map([["source", "waves that travel east"]]),
    synthetic,
    close: async () => undefined,
  };
}

/** Writes a prepared set of the toy planet and gives its folder. */
export async function writeToySet(dir: string, options: ToyOptions = {}): Promise<string> {
  const provenance = { command: "climax prepare", version: "0.0.0", files: ["toy.nc"] };
  await prepare(toyArchive(options), dir, { ...(options.splits ?? toySplits), provenance });
  return dir;
}
