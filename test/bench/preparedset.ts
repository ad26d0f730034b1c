/** Writes a prepared set of made-up fields, with the project's own writer: `tsx test/bench/preparedset.ts DIR 5.625 800`. */

import { addHours, formatTime, parseTime } from "../../src/data/time.ts";
import { parseName } from "../../src/data/variables.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { prepare } from "../../src/sets/prepare.ts";

const levels = [50, 250, 500, 600, 700, 850, 925];
/** 48, as many as the paper's: 3 that do not change, 3 at the surface, 6 on 7 levels. */
const constants = ["land_sea_mask", "orography", "lattitude"];
const names = [
  ...["2m_temperature", "10m_u_component_of_wind", "10m_v_component_of_wind"],
  ...[
    "geopotential",
    "u_component_of_wind",
    "v_component_of_wind",
    "temperature",
    "relative_humidity",
    "specific_humidity",
  ].flatMap((name) => levels.map((level) => `${name}_${level}`)),
];

/** 80 % of the states to train on, the rest to validate. */
async function writeMadeUpSet(dir: string, degrees: number, states: number): Promise<void> {
  const grid = regularGrid(degrees);
  const cells = grid.lat.length * grid.lon.length;
  const start = parseTime("2001-01-01", "noleap");
  const times = Array.from({ length: states }, (_, i) => addHours(start, 6 * i));
  const variable = (name: string, constant: boolean) => {
    const { info } = parseName(name);
    const made = (step: number) =>
      Float32Array.from(
        { length: cells },
        (_, i) => 0.5 + ((i * 31 + step * 17 + name.length) % 1000) / 2500,
      );
    const read = async (step: number) => made(constant ? 0 : step);
    return [name, { name, info, units: info.units, constant, attributes: new Map(), read }] as const;
  };
  const variables = new Map([
    ...constants.map((name) => variable(name, true)),
    ...names.map((name) => variable(name, false)),
  ]);
  const archive = {
    ...{ paths: [], grid, times, variables, unrecognised: [], notes: [], synthetic: true },
    attributes: new Map([["source", "numbers that mean nothing"]]),
    close: async () => undefined,
  };
  const last = Math.floor(0.8 * states);
  const [train, val] = [times.slice(0, last), times.slice(last)].map(
    (part) => `${formatTime(part[0]!)}..${formatTime(part.at(-1)!)}`,
  );
  await prepare(archive, dir, {
    ...{ train: train!, val: val! },
    provenance: { command: "a bench", version: "0", files: ["numbers.nc"] },
  });
}

const [dir, degrees, states] = process.argv.slice(2);
if (!dir) throw new Error("tsx test/bench/preparedset.ts DIR DEGREES STATES");
await writeMadeUpSet(dir, Number(degrees), Number(states));
