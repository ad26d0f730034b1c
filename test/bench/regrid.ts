// `climax regrid`, the whole process, against CDO on the same files: time, memory, and whether they agree.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDataset } from "../../src/data/open.ts";
import { latitudes, makeSource, type SourceFile, sources } from "./regridfiles.ts";
import { absent, best, type Row, timed } from "./rows.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../bin/climax.js", import.meta.url));
const methods = [
  ["bilinear", "remapbil"],
  ["conservative", "remapcon"],
] as const;

/**
 * Kelvin. Both sum in f64 (CDO's bilinear in part in f32) and round to float32: a few steps of it at 300 K. Rows
 * poleward of a Gaussian source's last row are left out, where CDO takes the nearest points by distance.
 */
const tolerance = 2e-4;

/** A run that takes longer is done once. */
const slow = 30_000;

export interface RegridBench {
  steps: number;
  rounds: number;
  /** Part of the names of files; all without. */
  only?: string | undefined;
  say(text: string): void;
}

export async function* regrid({ steps, rounds, only, say }: RegridBench): AsyncGenerator<Row> {
  const machine = `${availableParallelism()} cores, ${cpus()[0]?.model.trim() ?? "unknown processor"}`;
  const cdo = spawnSync("cdo", ["--version"], { encoding: "utf8" });
  if (cdo.status !== 0) {
    yield absent("regrid", machine, "cdo is not installed: apt install cdo", "cdo");
    return;
  }
  const version = /version ([\d.]+)/.exec(`${cdo.stdout}${cdo.stderr}`)?.[1] ?? "?";
  const built = spawnSync("npm", ["run", "build"], { cwd: ROOT, stdio: "ignore", shell: true });
  if (built.status !== 0) {
    yield absent("regrid", machine, "npm run build fails", "cdo");
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "climax-bench-"));
  try {
    for (const file of sources) {
      if (only !== undefined && !file.name.includes(only)) continue;
      const input = join(folder, `${file.name}.nc`);
      say(`regrid: making ${file.name}, ${steps} steps`);
      await makeSource(file, input, steps);
      for (const [method, operator] of methods)
        yield* compare({ file, input, folder, method, operator, steps, rounds, machine, version, say });
      rmSync(input);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Comparison extends RegridBench {
  file: SourceFile;
  input: string;
  folder: string;
  method: string;
  operator: string;
  machine: string;
  version: string;
}

async function* compare(c: Comparison): AsyncGenerator<Row> {
  const { file, input, folder, method, operator, steps, machine, version, say } = c;
  say(`regrid: ${file.name}, ${method}`);
  const target = file.gaussian ? 1.40625 : 5.625;
  const [ours, theirs, grid] = ["ours.nc", "cdo.nc", "grid.txt"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const rows = 180 / target;
  const middle = -90 + target / 2;
  writeFileSync(
    grid,
    `gridtype=lonlat\nxsize=${2 * rows}\nysize=${rows}\nxfirst=0\nxinc=${target}\nyfirst=${middle}\nyinc=${target}\n`,
  );
  const argv = [PROGRAM, "regrid", input, "--res", String(target), "--method", method, "--force", "-q"];
  const climax = (level: number) =>
    run(process.execPath, [...reporting, ...argv, "--compress", String(level), "-o", ours]);
  const cdo = (...flags: string[]) =>
    run("cdo", ["-s", "-O", "-P", "2", "-f", "nc4", ...flags, `${operator},${grid}`, input, theirs]);
  const sides = [
    ["both write uncompressed", () => climax(0), () => cdo()],
    ["both as they do by default: gzip 1 against none", () => climax(1), () => cdo()],
    ["both write gzip 1", () => climax(1), () => cdo("-z", "zip_1")],
  ] as const;
  for (const [words, one, other] of sides) {
    const times: { ours: number[]; cdo: number[] } = { ours: [], cdo: [] };
    let memory = 0;
    for (let round = 0; round < c.rounds; round++) {
      if (round > 0 && best(times.cdo) > slow) break;
      const made = await one();
      memory = Math.max(memory, made.megabytes);
      times.ours.push(made.ms);
      times.cdo.push((await other()).ms);
    }
    const apart = await difference(file, ours, theirs, steps);
    const agree = apart < tolerance ? "agree" : "DIFFER";
    yield timed({
      what: `${file.what}, ${method} to ${rows} x ${2 * rows}, ${steps} steps; ${words}`,
      adapter: machine,
      ours: times.ours,
      peer: { name: `cdo ${version} -P 2`, ms: times.cdo },
      note: `${agree} to ${apart.toExponential(1)} K; peak ${Math.round(memory)} MB`,
    });
  }
}

/** Makes a Node process tell its peak memory when it ends: its own mark, which cdo's platform, Linux, has. */
const reporting = [
  "--import",
  `data:text/javascript,${encodeURIComponent(
    'import { readFileSync } from "node:fs";' +
      'process.on("exit", () => console.error(readFileSync("/proc/self/status", "utf8")))',
  )}`,
];

async function run(program: string, argv: readonly string[]): Promise<{ ms: number; megabytes: number }> {
  const started = performance.now();
  const child = spawn(program, argv, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise((resolve) => child.on("close", resolve));
  const ms = performance.now() - started;
  if (code !== 0) throw new Error(`${program} ${argv.join(" ")} ended with ${String(code)}: ${said}`);
  return { ms, megabytes: Number(/VmHWM:\s+(\d+) kB/.exec(said)?.[1] ?? 0) / 1000 };
}

/** The largest difference of the two outputs over the first, a middle and the last step. */
async function difference(file: SourceFile, ours: string, theirs: string, steps: number): Promise<number> {
  const [a, b] = [await openDataset(ours), await openDataset(theirs)];
  try {
    const [x, y] = [a.variables.get("t")!, b.variables.get("t")!];
    const lat = await a.variables.get("lat")!.readUnpacked();
    const last = latitudes(file)[0]!;
    const [h, w] = x.shape.slice(-2) as [number, number];
    let largest = 0;
    for (const step of new Set([0, steps >> 1, steps - 1])) {
      const [one, other] = [
        await x.readUnpacked([step, 0, 0], [1, h, w]),
        await y.readUnpacked([step, 0, 0], [1, h, w]),
      ];
      for (let i = 0; i < h * w; i++) {
        if (Math.abs(lat[Math.floor(i / w)]!) > last) continue;
        const apart = Math.abs(one[i]! - other[i]!);
        largest = Number.isNaN(apart) ? Number.POSITIVE_INFINITY : Math.max(largest, apart);
      }
    }
    return largest;
  } finally {
    await a.close();
    await b.close();
  }
}
