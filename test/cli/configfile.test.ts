import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { readConfigFile } from "../../src/cli/configfile.ts";
import { jsonSchema } from "../../src/cli/flags.ts";
import type { ClimaxError } from "../../src/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-configfile-"));
afterAll(() => rmSync(folder, { recursive: true }));

const schema = jsonSchema(
  z.strictObject({
    years: z.string(),
    rate: z.number(),
    sources: z.array(z.strictObject({ trainDir: z.string(), tags: z.array(z.string()).optional() })),
    model: z.strictObject({ embedDim: z.number() }),
  }),
);
const path = join(folder, "run.yaml");
const read = (text: string) => {
  writeFileSync(path, text);
  return readConfigFile(path, schema);
};
const failure = (text: string): ClimaxError => {
  try {
    read(text);
  } catch (error) {
    return error as ClimaxError;
  }
  throw new Error("it was read");
};

test("keys may be spelled three ways, and come out as the schema spells them", () => {
  for (const spelled of ["trainDir", "train-dir", "train_dir"]) {
    expect(read(`sources:\n  - ${spelled}: x\n`).values).toEqual({ sources: [{ trainDir: "x" }] });
  }
});

test("a number where text is wanted is the text as it is written", () => {
  expect(read("years: 2016\n").values).toEqual({ years: "2016" });
  expect(read("years: 012\n").values).toEqual({ years: "012" });
  expect(read("sources: [{train-dir: 1e3, tags: [0x10, a]}]\n").values).toEqual({
    sources: [{ trainDir: "1e3", tags: ["0x10", "a"] }],
  });
});

test("numbers as trainers write them are numbers", () => {
  expect(read("rate: 5e-4\n").values).toEqual({ rate: 5e-4 });
});

test("every value and key has its place", () => {
  const { where } = read("rate: 1\nsources:\n  - trainDir: x\n  - trainDir:   y\nmodel: {embed_dim: 7}\n");
  expect(where(["rate"])).toBe(`${path}:1:7`);
  expect(where(["sources", 1, "trainDir"])).toBe(`${path}:4:17`);
  expect(where(["sources", 1, "trainDir"], "key")).toBe(`${path}:4:5`);
  expect(where(["model", "embedDim"])).toBe(`${path}:5:20`);
  expect(where(["years"])).toBeUndefined();
  expect(where(["sources", 2])).toBeUndefined();
});

test("anchors and merge keys are followed", () => {
  const { values, where } = read("model: &m {embedDim: 3}\nsources:\n  - {<<: {trainDir: x}}\nrate: 2\n");
  expect(values).toMatchObject({ model: { embedDim: 3 }, sources: [{ trainDir: "x" }] });
  expect(where(["rate"])).toBe(`${path}:4:7`);
});

test("an empty file holds no settings; JSON is YAML", () => {
  expect(read("").values).toEqual({});
  expect(read("# nothing\n").values).toEqual({});
  expect(read('{"rate": 3}').values).toEqual({ rate: 3 });
});

test.for<[string, RegExp]>([
  ["rate: 1\nmodel: [1, 2\n", /run\.yaml:3:1: Flow sequence .* must .*end with a \]/],
  ["rate: 1\nrate: 2\n", /run\.yaml:2:1: the same key is written twice$/],
  ["- 1\n- 2\n", /run\.yaml:1:1: wanted settings, one "name: value" a line$/],
  ["just words\n", /run\.yaml:1:1: wanted settings/],
  ["rate: 1\n\tmodel: 2\n", /run\.yaml:2:1: Tabs are not allowed as indentation/],
])("%j is refused with its place", ([text, message]) => {
  const error = failure(text);
  expect(error).toMatchObject({ name: "ClimaxError", kind: "config" });
  expect(error.message).toMatch(message);
});

test("a file that is not there is said to be so", () => {
  expect(() => readConfigFile(join(folder, "none.yaml"), schema)).toThrow(
    /none\.yaml: there is no such file$/,
  );
  expect(() => readConfigFile(folder, schema)).toThrow(/EISDIR$/);
});
