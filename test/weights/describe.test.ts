import { expect, test } from "vitest";
import { z } from "zod";
import { flagsOf, fromText, jsonSchema } from "../../src/cli/flags.ts";
import {
  brief,
  sayings,
  shortened,
  sourceFields,
  together,
  withSpelling,
} from "../../src/weights/describe.ts";

const flags = flagsOf(jsonSchema(z.strictObject({ source: sourceFields.prefault({}) })));
const parsed = (name: string, text: string) => {
  const flag = flags.find((one) => one.name === name)!;
  return sourceFields.parse({ [flag.path[1]!]: fromText(flag, name, [text]) });
};

test("each field is a flag with a word of help, and none is required", () => {
  expect(flags.map(({ name }) => name)).toEqual([
    ...[
      "source.variables",
      "source.heads",
      "source.grid-shape",
      "source.region",
      "source.inputs",
      "source.outputs",
    ],
    ...["source.leads", "source.leads.min", "source.leads.max", "source.leads.step"],
    ...["source.history", "source.residual"],
  ]);
  for (const { schema, required } of flags) {
    expect(schema.description).toMatch(/\w/);
    expect(required).toBe(false);
  }
});

test("text becomes what the fields want", () => {
  expect(parsed("source.variables", "t2m,z_500")).toEqual({ variables: ["t2m", "z_500"] });
  expect(parsed("source.grid-shape", "32,64")).toEqual({ gridShape: [32, 64] });
  expect(parsed("source.leads", "72")).toEqual({ leads: [72] });
  expect(parsed("source.leads", "6,24")).toEqual({ leads: [6, 24] });
  expect(parsed("source.region", "15..65,220..300")).toEqual({ region: "15..65,220..300" });
  expect(() => parsed("source.grid-shape", "32")).toThrow();
  expect(() => parsed("source.heads", "0")).toThrow();
});

test("names are spelled as the variables table does, those it does not know stay", () => {
  expect(withSpelling({ variables: ["t2m", "latitude", "dust"], outputs: ["tas"] })).toEqual({
    variables: ["2m_temperature", "lattitude", "dust"],
    outputs: ["2m_temperature"],
  });
});

test("the first who says something is believed; another who says otherwise is told", () => {
  const { said, from, notes } = together([
    { from: "--source", said: { heads: 4 }, notes: [] },
    { from: "a.yaml", said: { heads: 8, leads: [6] }, notes: ["from a.yaml"] },
    { from: "b.yaml", said: { leads: [6], region: undefined }, notes: [] },
  ]);
  expect(said).toEqual({ heads: 4, leads: [6] });
  expect([...from]).toEqual([
    ["heads", "--source"],
    ["leads", "a.yaml"],
  ]);
  expect(notes).toEqual(["from a.yaml", "heads of --source was taken, 4, not that of a.yaml, 8"]);
});

test("values in messages are short, however large and deep they are", () => {
  let deep: unknown = "core";
  for (let i = 0; i < 100_000; i++) deep = [deep];
  expect(brief([1, deep])).toBe("1, {...}");
  expect(brief({ a: deep, b: 2 })).toBe("a {...}, b 2");
  expect(brief(Array(9).fill("x"))).toBe("9 of them");
  expect(brief("x".repeat(1000))).toHaveLength(123);
  expect(brief(["a\nb", "\x1b[31m"])).toBe("a\\u{a}b, \\u{1b}[31m");
  expect(shortened(["a\u202eb"])).toBe("a\\u{202e}b");
  expect(brief(null)).toBe("null");
  expect(sayings("a.yaml", {})).toEqual([]);
  expect(shortened(Array.from({ length: 22 }, (_, i) => `n${i}`))).toMatch(/^n0, .*n19 and 2 more$/);
});
