/** A process that prepares a set of many large states out of nothing, DIR STATES, and prints its peak memory, bytes. */
import type { ArchiveVariable } from "../../src/data/archive.ts";
import { addHours, formatTime, parseTime } from "../../src/data/time.ts";
import { default48, parseName } from "../../src/data/variables.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { verifySet } from "../../src/sets/verifyset.ts";
import { peakMemory } from "./peakmemory.ts";

const [dir, states] = process.argv.slice(2) as [string, string];
const grid = regularGrid(5.625);
const first = parseTime("2001-01-01", "noleap");
const times = Array.from({ length: Number(states) }, (_, hour) => addHours(first, hour));
const cells = grid.lat.length * grid.lon.length;
const variables = default48.slice(3).map((name, v): [string, ArchiveVariable] => {
  const { info } = parseName(name);
  const read = async (step: number) => {
    const field = new Float32Array(cells).fill(280 + v + (step % 24));
    field[step % cells] = Number.NaN; // a gap in every state, so that every shard is filled afterwards
    return field;
  };
  return [name, { name, info, units: info.units, constant: false, attributes: new Map(), read }];
});
await prepare(
  {
    paths: [],
    grid,
    times,
    variables: new Map(variables),
    unrecognised: [],
    notes: [],
    attributes: new Map(),
    synthetic: true,
    close: async () => undefined,
  },
  dir,
  {
    train: `2001-01-01..${formatTime(times.at(-1)!)}`,
    nanFill: "mean",
    climatology: ["weekly"],
    provenance: { command: "climax prepare", version: "0.0.0", files: [] },
  },
);
await verifySet(dir);
const set = await openSet(dir);
const train = set.split("train");
for (let step = 0; step < times.length; step += 7) await train.read(step, default48.slice(3));
await set.close();
process.stdout.write(`${peakMemory()}\n`);
