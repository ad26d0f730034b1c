import { expect, test } from "vitest";
import { table } from "../../src/cli/table.ts";

const scores = [
  ["variable", "24 h", "72 h"],
  ["geopotential_500", "101.5", "9.5"],
  ["t2m", "1", "22.25"],
];

test("columns are as wide as their widest cell, numbers to the right", () => {
  expect(table(scores, { align: ["left", "right", "right"] })).toBe(
    [
      "variable           24 h   72 h",
      "----------------  -----  -----",
      "geopotential_500  101.5    9.5",
      "t2m                   1  22.25",
    ].join("\n"),
  );
});

test("without a header there is no line", () => {
  expect(
    table(
      [
        ["a", "1"],
        ["bcd", "2"],
      ],
      { header: false },
    ),
  ).toBe("a    1\nbcd  2");
});

test("long text wraps within the width, and only text gives way", () => {
  const text = table(
    [
      ["name", "what it is"],
      ["orography", "the height of the ground above the geoid in metres"],
    ],
    { width: 36 },
  );
  expect(text.split("\n")).toEqual([
    "name       what it is",
    "---------  -------------------------",
    "orography  the height of the ground",
    "           above the geoid in metres",
  ]);
});

test("numbers are never cut, even if the line is then too long", () => {
  const row = ["123456789012345678", "123456789012345678"];
  expect(table([row], { align: ["right", "right"], header: false, width: 20 })).toBe(row.join("  "));
});

test("cells may have lines of their own, and rows may be short", () => {
  expect(table([["a\nb", "c"], ["d"]], { header: false })).toBe("a  c\nb\nd");
  expect(table([])).toBe("");
});

test("a word longer than its column is cut", () => {
  expect(table([["abcdefghijklmnopqrstuvwxyz"]], { header: false, width: 13 })).toBe(
    "abcdefghijklm\nnopqrstuvwxyz",
  );
});
