import { expect, test } from "vitest";
import { printable } from "../../src/cli/printable.ts";
import { climax } from "../support/climax.ts";

test("what steers a terminal stands as its escape, all else as it is", () => {
  expect(printable("a\x1b[31mb\x07\x7f\x9b\r")).toBe("a\\u001b[31mb\\u0007\\u007f\\u009b\\u000d");
  expect(printable("abc\u202edef\u2066")).toBe("abc\\u202edef\\u2066");
  const text = "two lines\n\tand a tab: 5.625°, µ, é, 天气, 🌍";
  expect(printable(text)).toBe(text);
});

test("JSON stays the same JSON", () => {
  const value = { name: "\u202e\x7f\x9b\x1b" };
  expect(JSON.parse(printable(JSON.stringify(value)))).toEqual(value);
});

test("errors of the command line are printable", async () => {
  const { code, err } = await climax("inspect", "no\x1b[31msuch");
  expect(code).toBe(2);
  expect(err).not.toContain("\x1b[31m");
  expect(err).toContain("no\\u001b[31msuch");
});
