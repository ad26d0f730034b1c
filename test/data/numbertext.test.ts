import { expect, test } from "vitest";
import { numberText } from "../../src/data/numbertext.ts";

test.for([
  [0, "0"],
  [-0, "0"],
  [278.151_49, "278.15"],
  [0.001, "0.001"],
  [0.000_123_456, "1.2346e-4"],
  [1e-10, "1e-10"],
  [99_999.96, "100000"],
  [-101_616.4, "-101616"],
  [12_345_678, "1.2346e+7"],
  [20_000_000, "2e+7"],
  [Number.NaN, "NaN"],
] as const)("%f is written %s", ([value, text]) => {
  expect(numberText(value)).toBe(text);
});
