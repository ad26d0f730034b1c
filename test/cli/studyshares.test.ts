/** A study whose runs are shared out: by ranks, and as jobs of an array. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { studyCommand } from "../../src/cli/study.ts";
import type { Cell, Job } from "../../src/cli/studyruns.ts";
import { cellsOf } from "../../src/cli/studyshares.ts";
import { onRanks } from "../support/commandranks.ts";
import { toyNames, writeToySet } from "../support/toyset.ts";

let root: string;
let set: string;
const at = (...names: string[]) => join(root, ...names);
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-study-shares-"));
  const splits = {
    train: "2001-01-01..2001-01-10",
    val: "2001-01-11..2001-01-13",
    test: "2001-01-14..2001-01-16",
  };
  set = await writeToySet(at("set"), { names: ["orography", ...toyNames], steps: 4 * 16, splits });
  const { code } = await study("alone");
  expect(code).toBe(0);
});
afterAll(() => rmSync(root, { recursive: true }));

const argv = (out: string) => [
  ...["scaling", "--no-pretrain", "--data.set", set, "--widths", "8,16", "--leads", "12h", "-o", at(out)],
  ...[
    "--variables",
    toyNames.join(","),
    "--head-width",
    "8",
    "--model.patch-size",
    "4",
    "--model.depth",
    "1",
  ],
  ...["--model.decoder-depth", "1", "--training.max-steps", "2", "--training.batch-size", "4"],
];
async function study(out: string, ...more: string[]) {
  const [printed, info, warned]: string[][] = [[], [], []];
  const code = await studyCommand.run([...argv(out), ...more, "-q"], {
    print: (text) => void printed!.push(text),
    info: (text) => void info!.push(text),
    warn: (text) => void warned!.push(text),
  });
  return { code, info: info!, out: printed!.join("\n") };
}

/** study.json without what is about time and place. */
function found(out: string) {
  const text = readFileSync(at(out, "study.json"), "utf8").replaceAll(at(out), "OUT");
  const { provenance, jobs, cells, ...rest } = JSON.parse(text);
  for (const cell of Object.values<{ seconds?: number }>(cells)) delete cell.seconds;
  return { ...rest, cells: JSON.stringify(cells), jobs: Object.keys(jobs).toSorted() };
}
const same = (out: string) => {
  expect(found(out)).toEqual(found("alone"));
  for (const name of ["study.csv", "scaling-parameters.svg"])
    expect(readFileSync(at(out, name), "utf8")).toBe(readFileSync(at("alone", name), "utf8"));
  expect(readdirSync(at(out)).toSorted()).toEqual(readdirSync(at("alone")).toSorted());
};

test("three ranks make the study of one process; one of them has no run to make", async () => {
  const said = await onRanks(3, studyCommand, argv("ranks"));
  for (const { outcome } of said) expect(outcome).toEqual({ status: "fulfilled", value: 0 });
  same("ranks");
  expect(said[0]!.printed.join()).toContain("Error 12 h ahead on the test period of ");
  for (const { printed } of said.slice(1)) expect(printed).toEqual([]);
});

test("jobs of an array, in any order; the same command without --shard makes what is lacking, and the tables", async () => {
  const second = await study("array", "--shard", "2/2");
  expect(second.out).toMatch(
    /study\.share-2-of-2\.json: share 2\/2, 1 of 1 cells are done; when all 2 are, the same/,
  );
  expect(readdirSync(at("array")).toSorted()).toEqual(["study.share-2-of-2.json", "w16-f1"]);
  const again = await study("array", "--shard", "2/2");
  expect(again.info).toHaveLength(1);
  expect(again.info[0]).toContain("w16-f1: done before");
  const { code, info } = await study("array"); // share 1 was never made
  expect(code).toBe(0);
  expect(info.find((line) => line.includes("w16-f1"))).toContain("done before");
  same("array");
});

test("a share of other settings is refused", async () => {
  await expect(study("array", "--shard", "2/2", "--every", "12h")).rejects.toThrow(
    `${at("array")} holds a study with other settings: every`,
  );
});

test("cells that have a job in common stay together", () => {
  const job = (product: string): Job => ({ command: "finetune", argv: [], product });
  const cell = (name: string, ...products: string[]): Cell => ({ name, jobs: products.map(job) });
  const cells = [cell("a", "1"), cell("b", "2", "3"), cell("c", "4"), cell("d", "3", "1"), cell("e", "5")];
  const names = (index: number, count: number) => cellsOf(cells, { index, count }).map(({ name }) => name);
  expect([names(1, 2), names(2, 2)]).toEqual([["a", "b", "d", "e"], ["c"]]);
  expect([1, 2, 3, 4].map((index) => names(index, 4))).toEqual([["a", "b", "d"], ["c"], ["e"], []]);
});
