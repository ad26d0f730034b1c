// climax prepare by itself: `npx tsx test/bench/prepare.ts [STATES]`. States of the paper's 45 variables at 5.625
// degrees out of memory, so that what is timed is tallying, packing, hashing, writing and reading, not the archive.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ArchiveVariable } from "../../src/data/archive.ts";
import { addHours, formatTime, parseTime } from "../../src/data/time.ts";
import { default48, parseName } from "../../src/data/variables.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { makeClimatology } from "../../src/sets/climatology.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { verifySet } from "../../src/sets/verifyset.ts";
import { peakMemory } from "../support/peakmemory.ts";

const states = Number(process.argv[2] ?? 1460);
const grid = regularGrid(5.625);
const names = default48.slice(3);
const cells = grid.lat.length * grid.lon.length;
const times = Array.from({ length: states }, (_, i) => addHours(parseTime("2001-01-01", "noleap"), 6 * i));
const noise = Float32Array.from({ length: cells + 997 }, (_, i) => 280 + 20 * Math.sin(i * 12.9898));
const variables = names.map((name): [string, ArchiveVariable] => {
  const { info } = parseName(name);
  const read = async (step: number) => noise.slice(step % 997, (step % 997) + cells);
  return [name, { name, info, units: info.units, constant: false, attributes: new Map(), read }];
});
const root = mkdtempSync(join(tmpdir(), "climax-bench-"));
const megabytes = (states * names.length * cells * 4) / 1e6;

/** Runs and says how many MB of float32 a second that was. */
async function timed(what: string, work: () => Promise<unknown>, size = megabytes): Promise<void> {
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${what.padEnd(44)} ${seconds.toFixed(2).padStart(8)} s ${(size / seconds).toFixed(0).padStart(7)} MB/s`,
  );
}

try {
  console.log(`${states} states of ${names.length} variables, ${megabytes.toFixed(0)} MB as float32`);
  for (const dtype of ["float32", "float16"] as const) {
    const dir = join(root, dtype);
    const archive = {
      paths: [],
      grid,
      times,
      variables: new Map(variables),
      unrecognised: [],
      notes: [],
      attributes: new Map(),
      synthetic: true,
      close: async () => undefined,
    };
    const train = `2001-01-01..${formatTime(times.at(-1)!)}`;
    const provenance = { command: "bench", version: "0.0.0", files: [] };
    await timed(`${dtype}: prepare`, () => prepare(archive, dir, { train, dtype, provenance }));
    await timed(`${dtype}: verify`, () => verifySet(dir), dtype === "float16" ? megabytes / 2 : megabytes);
    const set = await openSet(dir);
    const { read } = set.split("train");
    const order = times.map((_, i) => (i * 7919) % states);
    await timed(`${dtype}: read whole states, shuffled`, async () => {
      for (const step of order) await read(step, names);
    });
    await timed(
      `${dtype}: weekly climatology of one variable`,
      () => makeClimatology(set, "weekly", names[0]!),
      megabytes / names.length,
    );
    await set.close();
  }
  console.log(`peak memory of the process ${(peakMemory() / 2 ** 20).toFixed(0)} MiB`);
} finally {
  rmSync(root, { recursive: true });
}
