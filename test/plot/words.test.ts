/** Names, numbers and units as pictures write them. */
import { expect, test } from "vitest";
import { fieldTitle, numberText, quantityTitle, withUnits } from "../../src/plot/words.ts";

test("fields as papers write them", () => {
  expect(["geopotential_500", "2m_temperature", "lattitude", "mine"].map(fieldTitle)).toEqual([
    "500 hPa geopotential",
    "2 m temperature",
    "latitude",
    "mine",
  ]);
  expect(["geopotential_500", "2m_temperature"].map(quantityTitle)).toEqual([
    "geopotential",
    "2 m temperature",
  ]);
});

test("numbers have five digits, and all of their whole ones", () => {
  expect([101616.4, 9999998.4, -0.000123456, 273.15678, 0.00001, Number.NaN].map(numberText)).toEqual([
    "101616",
    "9999998",
    "−0.00012346",
    "273.16",
    "1×10⁻⁵",
    "none",
  ]);
  expect(withUnits(101616.4, "m2 s-2")).toBe("101616 m² s⁻²");
});
