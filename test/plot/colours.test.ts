/** Colours of fields: which ramp, where it begins and ends, and that eyes and printers can tell its parts apart. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { barUnits, colourBar } from "../../src/plot/colourbar.ts";
import { type Colours, coloursFor, type Shown } from "../../src/plot/colours.ts";

const of = (what: Shown, variable: string, ...values: number[]) => coloursFor(what, variable, [values]);
const limits = ({ low, high, extend }: Colours) => [low, high, extend];

/** Relative luminance of sRGB, 0 to 1. */
function luminance([r, g, b]: readonly [number, number, number]): number {
  const linear = (c: number) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}
const along = (colours: Colours, parts = 32) =>
  Array.from({ length: parts + 1 }, (_, i) =>
    colours.at(colours.low + ((colours.high - colours.low) * i) / parts),
  );

describe("limits", () => {
  test("are round numbers that hold all values", () => {
    expect(limits(of("state", "2m_temperature", 221.3, 305.9))).toEqual([220, 310, "neither"]);
    expect(limits(of("state", "geopotential_500", 47_312, 58_120))).toEqual([47_000, 59_000, "neither"]);
  });

  test("begin at zero where a quantity does", () => {
    expect(limits(of("state", "total_precipitation", 0.0002, 0.0123))).toEqual([0, 0.014, "neither"]);
    // But not where that would take the colours from all there is to see.
    expect(of("state", "specific_humidity_50", 1.9e-6, 2.2e-6).low).toBe(1.9e-6);
    expect(limits(of("state", "10m_wind_speed", 3, 17))).toEqual([0, 18, "neither"]);
    expect(limits(of("score", "2m_temperature", 0.8, 2.2))).toEqual([0, 2.2, "neither"]);
  });

  test("lie about zero for what has either sign", () => {
    expect(limits(of("state", "u_component_of_wind_500", -12, 43))).toEqual([-50, 50, "neither"]);
    expect(limits(of("error", "2m_temperature", -7.1, 2))).toEqual([-8, 8, "neither"]);
    expect(of("error", "2m_temperature", -7.1, 2).diverging).toBe(true);
    expect(of("state", "2m_temperature", 1, 2).diverging).toBe(false);
  });

  test("leave a few values that lie far off outside, and say on which side", () => {
    const values = Float32Array.from({ length: 2000 }, (_, i) => 250 + (i % 50));
    values[7] = 900;
    expect(limits(coloursFor("state", "2m_temperature", [values]))).toEqual([250, 300, "max"]);
    values[9] = -400;
    expect(limits(coloursFor("state", "2m_temperature", [values]))).toEqual([250, 300, "both"]);
  });

  test("that are asked for hold, and arrows say what lies beyond", () => {
    const colours = coloursFor("state", "2m_temperature", [[240, 280]], [250, 300]);
    expect(limits(colours)).toEqual([250, 300, "min"]);
    expect(colours.at(100)).toEqual(colours.at(250));
  });

  test("that are not about zero leave it the middle of colours with two sides", () => {
    const colours = coloursFor("error", "2m_temperature", [[-3, 9]], [-5, 10]);
    expect(limits(colours)).toEqual([-5, 10, "neither"]);
    expect(luminance(colours.at(0))).toBeGreaterThan(luminance(colours.at(2)));
    expect(luminance(colours.at(0))).toBeGreaterThan(luminance(colours.at(-2)));
    expect(colours.at(-8)).toEqual(colours.at(-5));
  });

  test("are there for a field of one value, of zeros, and of gaps", () => {
    for (const values of [[273.15], [0, 0], [Number.NaN], []]) {
      for (const what of ["state", "error", "score"] as const) {
        const { low, high, extend } = of(what, "2m_temperature", ...values);
        expect(high).toBeGreaterThan(low);
        expect(extend).toBe("neither");
      }
    }
  });

  test("hold for several fields together, and a gap counts for nothing", () => {
    const colours = coloursFor("state", "2m_temperature", [
      [250, Number.NaN],
      [299, Infinity],
    ]);
    expect(limits(colours)).toEqual([250, 300, "neither"]);
  });

  test("of any values are wider than they, or say so", () => {
    const value = fc.double({ min: -1e6, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 40 }), fc.boolean(), (values, signed) => {
        const { low, high, extend } = of(signed ? "error" : "state", "2m_temperature", ...values);
        const slack = 1e-6 * (high - low);
        expect(high).toBeGreaterThan(low);
        if (extend === "neither" || extend === "max")
          expect(Math.min(...values)).toBeGreaterThanOrEqual(low - slack);
        if (extend === "neither" || extend === "min")
          expect(Math.max(...values)).toBeLessThanOrEqual(high + slack);
        if (signed) expect(low).toBe(-high);
      }),
    );
  });
});

describe("ramps", () => {
  const sequential = [
    "2m_temperature",
    "geopotential_500",
    "relative_humidity_850",
    "total_precipitation",
    "wind_speed_850",
    "total_cloud_cover",
    "land_sea_mask",
  ];
  test.each(sequential)(
    "of %s go one way from dark to light, or back: grey print and all eyes see the order",
    (name) => {
      const steps = along(of("state", name, 0, 1)).map(luminance);
      const signs = new Set(steps.slice(1).map((value, i) => Math.sign(value - steps[i]!)));
      expect(signs.size).toBe(1);
      expect(Math.abs(steps.at(-1)! - steps[0]!)).toBeGreaterThan(0.4);
    },
  );

  test.each([
    ["error", "2m_temperature"],
    ["anomaly", "specific_humidity_850"],
    ["skill", "2m_temperature"],
    ["state", "v_component_of_wind_500"],
  ] as const)(
    "of %s, %s are light in the middle and dark at both ends, which differ without red or green",
    (what, name) => {
      const colours = of(what, name, -1, 1);
      const steps = along(colours).map(luminance);
      expect(steps[16]).toBeGreaterThan(0.85);
      expect(steps.slice(0, 17)).toEqual(steps.slice(0, 17).toSorted((a, b) => a - b));
      expect(steps.slice(16)).toEqual(steps.slice(16).toSorted((a, b) => b - a));
      // Blue minus the mean of red and green is what eyes blind to red or green have left.
      const blueness = ([r, g, b]: readonly [number, number, number]) => b - (r + g) / 2;
      expect(Math.abs(blueness(colours.at(0.8)) - blueness(colours.at(-0.8)))).toBeGreaterThan(40);
    },
  );

  test("too warm is red, too wet is green-blue, and better is blue", () => {
    const [r, , b] = of("error", "2m_temperature", -1, 1).at(1);
    expect(r).toBeGreaterThan(b);
    expect(of("error", "specific_humidity_850", -1, 1).name).toBe("BrBG");
    const [red, , blue] = of("skill", "2m_temperature", -1, 1).at(1);
    expect(blue).toBeGreaterThan(red);
  });
});

test.each([
  [47_000, 59_000, "m2 s-2", 1000, "10³ m² s⁻²"],
  [-300, 300, "m2 s-2", 1, "m² s⁻²"],
  [0, 0.02, "kg kg-1", 0.001, "10⁻³ kg kg⁻¹"],
  [98_000, 104_000, "Pa", 100, "hPa"],
  [-5, 5, "Pa s-1", 1, "Pa s⁻¹"],
  [0, 0.014, "m", 0.001, "mm"],
  [220, 310, "K", 1, "K"],
  [0, 1, "1", 1, ""],
])("%d to %d %s is labelled in %d of them: %s", (low, high, units, divisor, words) => {
  const found = barUnits(low, high, units);
  expect(found.divisor).toBeCloseTo(divisor, 12);
  expect(found.words).toBe(words);
});

test.each([240, 320, 480, 900])("a bar of %d px has at least three numbers on it", (width) => {
  for (const high of [4, 30, 47, 400, 0.7]) {
    const colours = coloursFor("error", "2m_temperature", [[0]], [-high, high]);
    const { items } = colourBar(colours, "K", width, 0.8, false);
    const numbers = items.flatMap((item) => (item.kind === "text" && item.words !== "K" ? [item.words] : []));
    expect(numbers.length).toBeGreaterThanOrEqual(3);
    expect(numbers.some((words) => /^0(\.0+)?$/.test(words))).toBe(true);
  }
});
