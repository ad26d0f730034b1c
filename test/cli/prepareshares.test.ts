/** climax prepare on ranks and as jobs of an array, as typed. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { prepareCommand } from "../../src/cli/prepare.ts";
import { climax } from "../support/climax.ts";
import { onRanks } from "../support/commandranks.ts";
import { setContents } from "../support/setcontents.ts";
import { createTinyStates } from "../support/tinystates.ts";
import { wholeShards } from "../support/wholeshards.ts";

let root: string;
const at = (name: string) => join(root, name);
const periods = ["--train", "2001..2003", "--val", "2004", "--test", "2005", "--climatology", "weekly"];
let one: Record<string, string>;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-prepare-shares-"));
  const writer = await createTinyStates(at("states.nc"), {
    units: "days since 2001-01-01",
    calendar: "noleap",
  });
  // One value is missing, in the second year.
  for (let step = 0; step < 5 * 18; step++) {
    const field = Array.from({ length: 8 }, (_, i) =>
      step === 25 && i === 3 ? Number.NaN : 280 + 30 * Math.sin(step * (i + 1)),
    );
    await writer.write("time", [step], [20 * step]);
    await writer.write("tas", [step, 0, 0], field);
  }
  await writer.close();
  const { code } = await climax("prepare", ...argv("one"));
  expect(code).toBe(0);
  one = contents("one");
});
afterAll(() => rmSync(root, { recursive: true }));

const argv = (name: string, ...more: string[]) => [
  ...[at("states.nc"), ...periods, "--nan-fill", "mean", "-o", at(name)],
  ...more,
];

/** Of a set, but for the command that made it. */
function contents(name: string): Record<string, string> {
  const found = setContents(at(name));
  return { ...found, "set.json": found["set.json"]!.replace(/"command": .*/, "") };
}

test.for([2, 4])("%i ranks make one process's set, and rank 0 says so", async (n) => {
  const said = await onRanks(n, prepareCommand, argv(`ranks${n}`));
  for (const { outcome } of said) expect(outcome).toEqual({ status: "fulfilled", value: 0 });
  expect(contents(`ranks${n}`)).toEqual(one);
  expect(said[0]!.printed[0]).toMatch(/ranks\d: 1 variable on 2 x 4/);
  for (const { printed, warned } of said.slice(1)) expect([printed, warned]).toEqual([[], []]);
  expect(existsSync(at(`ranks${n}.lock`))).toBe(false);
});

test("what one rank meets with ends all; what is whole stays, and is gone on with", async () => {
  const refused = [at("states.nc"), ...periods, "-o", at("refused")];
  const said = await onRanks(3, prepareCommand, refused);
  for (const { outcome } of said) {
    expect(outcome.status).toBe("rejected");
    expect(String((outcome as PromiseRejectedResult).reason)).toContain(
      "values are missing (NaN or infinite) at 2002-05-16T00:00:00: 2m_temperature (1 of 8 cells)",
    );
  }
  expect(wholeShards(`${at("refused")}.partial`)).toBeLessThan(5);
  const { code } = await climax("prepare", ...argv("refused"));
  expect(code).toBe(0);
  expect(contents("refused")).toEqual(one);
});

test("what is wrong before the work is told alike on all", async () => {
  const said = await onRanks(3, prepareCommand, argv("one"));
  for (const { outcome } of said)
    expect(String((outcome as PromiseRejectedResult).reason)).toContain("is a prepared set already");
});

test("jobs say what is missing; the last one finishes the set, and those that come late find it done", async () => {
  const job = (shard: string) => climax("prepare", ...argv("jobs", "--shard", shard));
  const second = await job("2/2");
  expect(second).toMatchObject({ code: 0 });
  expect(second.out).toBe(
    `${at("jobs")}: share 2/2, 2 of 5 files, is done; 3 are missing in ${at("jobs")}.partial (train/2001.npy, ` +
      "train/2003.npy, test/2005.npy): the last of the other shares finishes the set, or the same command without --shard does\n",
  );
  expect((await job("2/2")).err).toContain("partial: 2 of 5 files are whole");
  const first = await job("1/2");
  expect(first.out).toContain("1 variable on 2 x 4");
  expect(contents("jobs")).toEqual(one);
  expect(await job("2/2")).toMatchObject({
    code: 0,
    out: `${at("jobs")}: share 2/2 has nothing to do, the set is finished\n`,
  });
  expect((await climax("prepare", ...argv("jobs"))).err).toContain("is a prepared set already");
  expect((await climax("prepare", ...argv("jobs", "--shard", "3/2"))).err).toContain("found --shard 3/2");
});

test("by default one command after the other goes on: a job, then one process without --shard", async () => {
  await climax("prepare", ...argv("then", "--shard", "1/3"));
  const { out, err } = await climax("prepare", ...argv("then"));
  expect(err).toContain("going on with");
  expect(out).toContain("note: 2m_temperature: 1 missing values (first: 2002-05-16T00:00:00)");
  expect(contents("then")).toEqual(one);
  const { provenance } = JSON.parse(readFileSync(join(at("then"), "set.json"), "utf8"));
  expect(provenance.command).not.toContain("--shard");
});
