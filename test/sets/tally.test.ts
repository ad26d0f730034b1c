import { expect, test } from "vitest";
import { mergeTallies, startTally } from "../../src/sets/tally.ts";

test("two tallies together have the range of both, the first gap and the largest loss, whichever had it", () => {
  const a = { ...startTally(), min: -1, max: 5, missing: 2, firstMissing: "2001", error: 0.25 };
  const b = { ...startTally(), min: 0, max: 9, missing: 3, firstMissing: "2002", error: 0.125 };
  const both = { min: -1, max: 9, missing: 5, error: 0.25 };
  expect(mergeTallies(a, b)).toMatchObject({ ...both, firstMissing: "2001" });
  expect(mergeTallies(b, a)).toMatchObject({ ...both, firstMissing: "2002" });
  expect(mergeTallies(startTally(), b)).toEqual(b);
});
