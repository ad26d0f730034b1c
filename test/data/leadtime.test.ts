/** Lead times as people write them. */
import { describe, expect, test } from "vitest";
import { formatLead, parseLead } from "../../src/data/leadtime.ts";
import { ClimaxError } from "../../src/errors.ts";

describe("parseLead", () => {
  test.each<[string | number, number]>([
    ["72h", 72],
    ["3d", 72],
    ["2w", 336],
    ["1mo", 720],
    ["6", 6],
    [6, 6],
    [0.5, 0.5],
    ["1.5d", 36],
    [" 6 h ", 6],
  ])("%s is %d hours", (text, hours) => expect(parseLead(text)).toBe(hours));

  test.each(["soon", "", "0h", "-6h", "h", "3m", "3 days", "6h12", "1e3", "Infinity", Number.NaN, -6, 0])(
    "%s is refused",
    (text) => {
      let error: unknown;
      try {
        parseLead(text);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(ClimaxError);
      expect(error).toMatchObject({
        kind: "config",
        message: `"${text}" is not a lead time`,
        hint: "write 6h, 3d, 2w or 1mo",
      });
    },
  );
});

test("formatLead is short, and read back is the same", () => {
  const hours = [0.5, 6, 24, 48, 54, 72, 78, 120, 168, 720];
  expect(hours.map(formatLead)).toEqual(["0.5h", "6h", "24h", "48h", "54h", "3d", "78h", "5d", "7d", "30d"]);
  expect(hours.map((lead) => parseLead(formatLead(lead)))).toEqual(hours);
});
