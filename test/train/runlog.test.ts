/** log.jsonl: lines that pandas reads, none of them twice after a resumed run. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openLog } from "../../src/train/runlog.ts";
import { readLog } from "../support/toyrun.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-runlog-"));
const path = join(folder, "log.jsonl");
afterAll(() => rmSync(folder, { recursive: true }));

const step = (n: number) => ({ event: "step", step: n, loss: n / 8 });

test("every entry is a line of JSON with the time", () => {
  const log = openLog(path);
  log.write(step(1));
  log.write({ event: "end", note: "über\nzwei Zeilen" });
  const lines = readFileSync(path, "utf8").split("\n");
  expect(lines).toHaveLength(3);
  expect(lines[2]).toBe("");
  expect(JSON.parse(lines[0]!)).toMatchObject({ event: "step", step: 1, loss: 0.125 });
  expect(JSON.parse(lines[0]!).time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(JSON.parse(lines[1]!).note).toBe("über\nzwei Zeilen");
});

test("a fresh run begins a log of its own", () => {
  openLog(path).write(step(1));
  openLog(path).write(step(2));
  expect(readLog(folder)).toEqual([step(2)]);
});

test("a resumed run keeps what happened up to its step", () => {
  const before = openLog(path);
  const kept = [{ event: "start", step: 0 }, step(1), { event: "remark", text: "€, and no step" }, step(2)];
  for (const entry of [...kept, step(3), { event: "validation", step: 3 }]) before.write(entry);
  openLog(path, 2).write({ event: "resume", step: 2 });
  expect(readLog(folder)).toEqual([...kept, { event: "resume", step: 2 }]);
});

test.each([
  ["cut short", '{"event":"st'],
  ["not JSON", "\0\0\0\0\n"],
])("a last line that is %s goes, and with it nothing else", (_, rest) => {
  const before = openLog(path);
  before.write(step(1));
  writeFileSync(path, rest, { flag: "a" });
  openLog(path, 5).write(step(2));
  expect(readLog(folder)).toEqual([step(1), step(2)]);
});

test("a resumed run without a log begins one", () => {
  rmSync(path);
  openLog(path, 5).write(step(6));
  expect(readLog(folder)).toEqual([step(6)]);
});
