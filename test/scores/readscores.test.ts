/** Scores through JSON and back. */
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readScores } from "../../src/scores/readscores.ts";
import { toJson } from "../../src/scores/tables.ts";
import { tinyFolder } from "../eval/tinyfiles.ts";
import { tinyScores } from "./tinyscores.ts";

const { document } = tinyScores();
let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
afterAll(() => rmSync(folder, { recursive: true }));

function written(content: unknown): string {
  const path = join(folder, "scores.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

test("what was written is what is read", async () => {
  expect(await readScores(written(toJson(document)))).toEqual(document);
  const { profiles } = document;
  const gap = { ...document, profiles: [{ ...profiles[0]!, values: [1, Number.NaN] }] };
  expect(await readScores(written(toJson(gap)))).toEqual(gap);
});

test("version 1 is read as version 2 with the season all", async () => {
  const { systems, truth, versus, intervals, differences, profiles, ...rest } = document;
  const { machine, ...provenance } = rest.provenance;
  const rows = rest.rows.filter(({ season }) => season === "all");
  const old = { ...rest, version: 1, provenance, rows: rows.map(({ season, ...row }) => row) };
  expect(await readScores(written(old))).toEqual({
    ...rest,
    rows,
    provenance: { ...provenance, machine: "" },
    systems: ["ours", "theirs", "climatology"].map((name) => ({ name, files: [], members: 1, made: [] })),
    ...{ truth: [], versus: null, intervals: null, differences: [], profiles: [] },
  });
});

test("what holds no scores is refused, with what is wrong", async () => {
  const refusal = (content: unknown) => readScores(written(content)).then(String, (error) => error.message);
  expect(await refusal("scores: 1")).toMatch(/scores\.json holds no scores: it is no JSON \(/);
  expect(await refusal(null)).toMatch('its "format" is missing, wanted "climax-scores"');
  expect(await refusal({ format: "climax-run" })).toMatch('its "format" is "climax-run"');
  expect(await refusal({ ...document, version: 3 })).toMatch(
    "holds scores of version 3; this program reads versions 1 and 2",
  );
  const rows = document.rows.with(2, { ...document.rows[2]!, value: "1.5" as never });
  expect(await refusal({ ...document, rows })).toMatch(
    "holds damaged scores: rows[2].value: Invalid input: expected number, received string",
  );
  const { differences, ...without } = document;
  expect(differences.length).toBeGreaterThan(0);
  expect(await refusal(without)).toMatch("damaged scores: differences: ");
  await expect(readScores(join(folder, "none.json"))).rejects.toMatchObject({
    kind: "data",
    message: expect.stringMatching(/^cannot read the scores .*none\.json: there is no such file$/),
  });
});

test("a pipe keeps nobody waiting, and a device that never ends is not read", async () => {
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  for (const path of [pipe, "/dev/zero"]) {
    await expect(readScores(path)).rejects.toMatchObject({
      kind: "data",
      message: expect.stringMatching(/^cannot read the scores .*: it is a device or a pipe, not a file$/),
    });
  }
});
