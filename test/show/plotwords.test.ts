/** Places as pictures name them. */
import { expect, test } from "vitest";
import { regionNamed } from "../../src/grid/regions.ts";
import { regionTitle } from "../../src/show/plotwords.ts";

test.each([
  ["wb2-europe", "wb2-europe (35–75°N, 12.5°W–42.5°E)"],
  ["NorthAmerica", "NorthAmerica (15–65°N, 140–60°W)"],
  ["wb2-tropics", "wb2-tropics (20°S–20°N)"],
  ["wb2-antarctic", "wb2-antarctic (90–60°S)"],
  ["wb2-extra-tropics", "wb2-extra-tropics (90–20°S and 20–90°N)"],
  ["-20..20,150..-150", "20°S–20°N, 150°E–150°W"],
  ["35..60,-10..20", "35–60°N, 10°W–20°E"],
  ["0..30,0..180", "0°–30°N, 0–180°"],
])("%s is %s", (given, title) => {
  expect(regionTitle(regionNamed(given))).toBe(title);
});
