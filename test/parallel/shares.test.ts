/** Commands that share their work, on ranks of a real mpirun. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { climax } from "../support/climax.ts";
import { mpiInstalled, mpiKinds, runRanks } from "../support/mpirun.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { makeWeatherFile } from "../support/weatherfile.ts";

let root: string;
const at = (name: string) => join(root, name);
const forecasting = (output: string) => [
  ...["forecast", "--checkpoint", at("toy.safetensors"), "--input", at("states.nc")],
  ...["--time", "2001-01-01..2001-01-02", "--lead", "24h", "--batch-size", "2", "-o", output],
];
const scoring = (...more: string[]) => [
  ...["evaluate", "--forecast", at("alone.nc"), "--truth", at("truth.nc"), "--metrics", "rmse", "-q"],
  ...["--variables", "2m_temperature", ...more],
];
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-mpi-shares-"));
  await (await writeToyCheckpoint(at("toy.safetensors"))).close();
  await writeToyStates(at("states.nc"));
  await writeToyStates(at("truth.nc"), { hours: [0, 6, 12, 18, 24, 30, 36, 42, 48] });
  mkdirSync(at("in"));
  for (const name of ["a", "b", "c"]) await makeWeatherFile(at(`in/${name}.nc`));
  expect((await climax(...forecasting(at("alone.nc")))).code).toBe(0);
  expect((await climax(...scoring("--json", at("alone.json")))).code).toBe(0);
});
afterAll(() => rmSync(root, { recursive: true }));

/** All numbers of a file. */
async function numbers(path: string) {
  const dataset = await openDataset(path);
  try {
    const all: [string, unknown][] = [];
    for (const [name, variable] of dataset.variables) all.push([name, await variable.read()]);
    return all;
  } finally {
    await dataset.close();
  }
}

// One library is enough: that both do what is asked of them is shown by mpi.test.ts and test/train/mpi.test.ts.
describe.for([mpiKinds.find(mpiInstalled) ?? "openmpi"])("%s (skipped where it is not installed)", (kind) => {
  const ranks = test.skipIf(!mpiInstalled(kind));

  ranks("three ranks make one process's forecasts; the first speaks", async () => {
    const output = at(`${kind}.nc`);
    const { code, out, err } = await runRanks(3, forecasting(output), { kind, timeout: 150_000 });
    expect(code, err.join("\n")).toBe(0);
    expect(out[0]).toContain(`${output}: 2 variables, 5 initial times, leads 24h, SYNTHETIC, 3 ranks, in `);
    expect(out.slice(1)).toEqual(["", ""]);
    expect(await numbers(output)).toEqual(await numbers(at("alone.nc")));
    expect(readdirSync(root).filter((name) => name.startsWith(`${kind}.nc`))).toEqual([`${kind}.nc`]);
  });

  ranks("what all ranks meet with is told once", async () => {
    const argv = ["evaluate", "--forecast", at("none.nc"), "--truth", at("none.nc")];
    const { code, err } = await runRanks(3, argv, { kind, timeout: 150_000 });
    expect(code).toBe(2);
    expect(err[0]).toMatch(/^error: cannot open \S+none\.nc: there is no such file\nhint: .*\n$/);
    expect(err.slice(1)).toEqual(["", ""]);
  });

  ranks("a rank that cannot write ends all with its name, and there is no output", async () => {
    const output = at(`${kind}-fails.nc`);
    mkdirSync(`${output}.share-2-of-2`);
    const { code, err } = await runRanks(2, forecasting(output), { kind, timeout: 150_000 });
    expect(code).not.toBe(0);
    expect(err.join("")).toContain("rank 1 of 2");
    expect(err.join("")).toContain(`cannot write ${output}.share-2-of-2: it is a folder`);
    expect(readdirSync(root)).not.toContain(`${kind}-fails.nc`);
  });
});

describe("whatever the MPI,", () => {
  const kind = mpiKinds.find(mpiInstalled) ?? "openmpi";
  const ranks = test.skipIf(!mpiInstalled(kind));

  ranks("two ranks score as one process does", async () => {
    const json = at(`${kind}.json`);
    const { code, out, err } = await runRanks(2, scoring("--json", json), { kind, timeout: 150_000 });
    expect(code, err.join("\n")).toBe(0);
    expect(out[1]).toBe("");
    const plain = (path: string) => {
      const { provenance, ...rest } = JSON.parse(readFileSync(path, "utf8")) as { provenance: object };
      return { ...rest, provenance: { ...provenance, command: "", created: "" } };
    };
    expect(plain(json)).toEqual(plain(at("alone.json")));
  });

  ranks("two ranks regrid three files", async () => {
    const folder = at(`${kind}-regridded`);
    const argv = ["regrid", at("in/*.nc"), "--res", "45", "--jobs", "1", "-o", folder];
    const { code, out, err } = await runRanks(2, argv, { kind, timeout: 150_000 });
    expect(code, err.join("\n")).toBe(0);
    expect(readdirSync(folder)).toEqual(["a.nc", "b.nc", "c.nc"]);
    expect(out[0]!.trim().split("\n")).toHaveLength(2);
    expect(out[1]).toBe("");
  });
});
