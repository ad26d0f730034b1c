import { expect, test } from "vitest";
import { parseSettings } from "../../src/weights/settingsfile.ts";

test("YAML and JSON are read, numbers with exponents too", () => {
  expect(parseSettings("a: 1e-5\nb: [1, {c: x}]")).toEqual({ a: 1e-5, b: [1, { c: "x" }] });
  expect(parseSettings('{"a": {"b": [1]}}')).toEqual({ a: { b: [1] } });
});

test.for([
  ["open brackets", "[".repeat(100_000), "more than 64 brackets"],
  ["lists in lists", "- ".repeat(100_000), "more than 200 columns"],
  ["keys without names", "? ".repeat(100_000), "more than 200 columns"],
  [
    "ever deeper indentation",
    Array.from({ length: 300 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
    "200 columns",
  ],
  ["a key written twice", "a: 1\na: 2", "stands twice"],
  ["a number and a text that are one key", "1: a\n'1': b", "stands twice"],
  ["an end that is missing", "a: [1", "Flow sequence"],
  ["brackets that a quoted one hides", '["]",'.repeat(20_000), "nested too deep"],
] as const)("%s are refused in one line", ([, text, message]) => {
  expect(() => parseSettings(text)).toThrow(message);
  expect(() => parseSettings(text)).toThrow(/^.{0,200}$/);
});

test.for([
  ["keys", Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join("\n")],
  ["mistakes", "!a ".repeat(20_000)],
] as const)("the time for many %s does not grow with their square", ([, text]) => {
  const start = performance.now();
  try {
    parseSettings(text);
  } catch {}
  expect(performance.now() - start).toBeLessThan(4000); // with the square, 6 s and more
});

test("names that stand for ever more of themselves are refused", () => {
  const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
  for (let i = 1; i < 9; i++)
    lines.push(
      `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(", ")}]`,
    );
  expect(() => parseSettings(lines.join("\n"))).toThrow("alias");
});

test("a key __proto__ changes no object", () => {
  const value = parseSettings('{"__proto__": {"heads": 3}}') as Record<string, unknown>;
  expect(value.heads).toBeUndefined();
  expect(({} as Record<string, unknown>).heads).toBeUndefined();
});
