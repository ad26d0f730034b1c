/** An archive that is computed: every value names its variable, time and cell, so that a misplaced one shows. */
import type { Archive, ArchiveVariable } from "../../src/data/archive.ts";
import { addHours, type Calendar, type CfTime, parseTime } from "../../src/data/time.ts";
import { parseName } from "../../src/data/variables.ts";
import { makeGrid } from "../../src/grid/grid.ts";

export interface FakeArchiveOptions {
  start?: string;
  steps?: number;
  stepHours?: number;
  calendar?: Calendar;
  /** Steps (of those counted from `start`) that are not there. */
  without?: readonly number[];
  names?: readonly string[];
  constants?: readonly string[];
  /** Replaces the value of a cell. */
  value?: (name: string, time: CfTime, cell: number) => number;
}

export const fakeGrid = makeGrid([-60, 0, 60], [0, 90, 180, 270]);
export const fakeCells = 12;

/** Within physical bounds: 200 plus a part for each variable, a part for the hour since 1970 and one for the cell. */
export function fakeValue(name: string, time: CfTime, cell: number): number {
  const letter = name.charCodeAt(0) % 7;
  return Math.fround(200 + 10 * letter + ((time.seconds / 3600) % 997) / 50 + cell / 64);
}

export function fakeArchive(options: FakeArchiveOptions = {}): Archive {
  const { start = "2015-12-25", steps = 40, stepHours = 6, calendar = "standard" } = options;
  const { names = ["2m_temperature", "temperature_850"], constants = [], value = fakeValue } = options;
  const first = parseTime(start, calendar);
  const times = Array.from({ length: steps }, (_, i) => addHours(first, i * stepHours)).filter(
    (_, i) => !options.without?.includes(i),
  );
  const variables = new Map<string, ArchiveVariable>();
  for (const name of [...constants, ...names]) {
    const { info } = parseName(name);
    variables.set(name, {
      name,
      info,
      units: info.units,
      constant: constants.includes(name),
      attributes: new Map(),
      read: async (step) =>
        Float32Array.from({ length: fakeCells }, (_, cell) => value(name, times[step] ?? first, cell)),
    });
  }
  return {
    paths: [],
    grid: fakeGrid,
    times,
    variables,
    unrecognised: [],
    notes: [],
    attributes: new Map([["source", "made up"]]),
    synthetic: true,
    close: async () => undefined,
  };
}

export const provenance = { command: "climax prepare", version: "0.0.0", files: ["fake.nc"] };
