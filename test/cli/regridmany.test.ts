import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { outputsOf, pairsOf, severalAtOnce } from "../../src/cli/regridfiles.ts";
import { parseShard } from "../../src/cli/shard.ts";
import { climax, climaxProcess } from "../support/climax.ts";
import { classicFile } from "../support/regridclassic.ts";
import { makeWeatherFile } from "../support/weatherfile.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-regrid-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

mkdirSync(at("in"));
for (const name of ["a", "b", "c"]) await makeWeatherFile(at(`in/${name}.nc`));

const changed = (path: string) => statSync(path, { bigint: true }).mtimeNs;

test("a quoted pattern, in shards that share out the files, of which none is written twice", async () => {
  const argv = ["regrid", at("in/*.nc"), "--res", "45", "-o", at("out")];
  await climax(...argv, "--shard", "1/2");
  expect(readdirSync(at("out"))).toEqual(["a.nc", "c.nc"]);
  const first = changed(at("out/a.nc"));
  await climax(...argv, "--shard", "2/2");
  expect(readdirSync(at("out"))).toEqual(["a.nc", "b.nc", "c.nc"]);
  expect(changed(at("out/a.nc"))).toBe(first);
});

test("what is finished is not done again, unless its input, its settings or --force say so", async () => {
  const argv = ["regrid", at("in/a.nc"), "--res", "45", "-o", at("again.nc")];
  await climax(...argv);
  const first = changed(at("again.nc"));
  const second = await climax(...argv);
  expect(second).toMatchObject({ code: 0, out: "" });
  expect(second.err).toContain(`${at("again.nc")} is finished, not done again (--force does it)`);
  expect(changed(at("again.nc"))).toBe(first);

  const others = await climax(...argv, "--method", "nearest");
  expect(others.err).toContain("was made from another input or by other settings; done again");
  const third = changed(at("again.nc"));
  expect(third).not.toBe(first);

  utimesSync(at("in/a.nc"), new Date(2001, 1, 1), new Date(2001, 1, 1));
  expect((await climax(...argv, "--method", "nearest")).err).toContain("done again");
  const fourth = changed(at("again.nc"));
  await climax(...argv, "--method", "nearest", "--force");
  expect(changed(at("again.nc"))).not.toBe(fourth);
});

test("a file of another making is not written over", async () => {
  writeFileSync(at("notes.nc"), "mine");
  const { code, err } = await climax("regrid", at("in/a.nc"), "-o", at("notes.nc"));
  expect(code).toBe(2);
  expect(err).toContain(`${at("notes.nc")} is there, and is no output of this command`);
  expect(readFileSync(at("notes.nc"), "utf8")).toBe("mine");
});

test("what a killed run left over is removed, if nobody can be writing it", async () => {
  mkdirSync(at("left"));
  for (const id of [1, 2]) writeFileSync(at(`left/a.nc.partial-${id}`), "half");
  utimesSync(at("left/a.nc.partial-1"), new Date(2001, 1, 1), new Date(2001, 1, 1));
  await climax("regrid", at("in/a.nc"), "--res", "45", "-o", at("left"));
  expect(readdirSync(at("left"))).toEqual(["a.nc", "a.nc.partial-2"]);
});

test("Ctrl-C ends threads, keeps what is finished, and leaves nothing half-done", async () => {
  mkdirSync(at("long"));
  classicFile(at("long/b.nc"), { steps: 4000, height: 181, width: 360, sparse: true });
  await makeWeatherFile(at("long/a.nc"));
  const out = at("stopped");
  const { child, done } = climaxProcess("regrid", at("long/*.nc"), "--res", "1", "--jobs", "2", "-o", out);
  const until = Date.now() + 30_000;
  const begun = () => existsSync(out) && existsSync(join(out, "a.nc")) && readdirSync(out).length > 1;
  while (!begun() && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGINT");
  const { code } = await done;
  expect(code).toBe(130);
  expect(readdirSync(out)).toEqual(["a.nc"]);
});

test.each([
  [
    ["x/a.nc", "y/b.grib", "z/c.zarr/", "https://h/d.zarr", "s/e.f.nc4"],
    ["a", "b", "c", "d", "e.f"],
  ],
  [
    ["tas_185501", "https://h/p/store?x=1"],
    ["tas_185501", "store"],
  ],
])("%j are written as %j", (inputs, names) => {
  const { pairs } = outputsOf(inputs, at("no-folder"));
  expect(pairs.map(([, output]) => output)).toEqual(names.map((name) => join(at("no-folder"), `${name}.nc`)));
});

test("shares are I/N, and want a folder", async () => {
  for (const shard of ["0/2", "3/2", "1", "a/b"])
    expect(() => parseShard(shard)).toThrow(`found --shard ${shard}; wanted I/N with I from 1 to N`);
  const pairs = [["a", "one.nc"]] as const;
  const share = { index: 1, count: 2 };
  expect(() => pairsOf(pairs, share, undefined, "1/2")).toThrow("found --shard 1/2 with one output file");
  expect(pairsOf(pairs, share, undefined, undefined)).toEqual(pairs); // of two ranks the first has it
});

test("after a failure no more files are begun, those begun are finished, and it is told", async () => {
  const seen: number[] = [];
  const run = severalAtOnce([0, 1, 2, 3, 4], 2, async (item) => {
    await new Promise((resolve) => setTimeout(resolve, 5 * item));
    if (item === 1) throw new Error("one");
    seen.push(item);
  });
  await expect(run).rejects.toThrow("one");
  expect(seen).toEqual([0, 2]);
});
