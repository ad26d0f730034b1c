/** Fits of power laws against exact laws and NumPy's answers. */
import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { fitPowerLaw, powerLawAt } from "../../src/scores/powerlaw.ts";

const sizes = [1e5, 3e5, 1e6, 3e6, 1e7, 1e8];
const along = (law: { a: number; b: number; c: number }, of: readonly number[] = sizes) =>
  of.map((size) => ({ size, error: powerLawAt(law, size) }));

/** The paper's RMSE of geopotential at 500 hPa after three days, pretrained on five sets (figure 11). */
const paper = [
  { size: 1.81e6, error: 334.4 },
  { size: 6.97e6, error: 279.5 },
  { size: 27.31e6, error: 256.2 },
  { size: 108.09e6, error: 244.1 },
];

test("an exact law is found, with no error left", () => {
  const law = fitPowerLaw(along({ a: 40, b: 0.25, c: 0 }));
  expect(law.a).toBeCloseTo(40, 8);
  expect(law.b).toBeCloseTo(0.25, 10);
  expect(law).toMatchObject({ c: 0, points: 6 });
  expect(law.residual).toBeLessThan(1e-12);
  expect(law.standardError).toBeLessThan(1e-12);
});

test("an exact law with an offset is found", () => {
  const law = fitPowerLaw(along({ a: 50, b: 0.3, c: 2 }), true);
  expect(law.a).toBeCloseTo(50, 3);
  expect(law.b).toBeCloseTo(0.3, 5);
  expect(law.c).toBeCloseTo(2, 5);
});

test("where there is no offset, none is found", () => {
  const law = fitPowerLaw(along({ a: 50, b: 0.3, c: 0 }), true);
  expect(law.c).toBeLessThan(1e-6);
  expect(law.b).toBeCloseTo(0.3, 6);
});

// numpy.linalg.lstsq of the logarithms, and a damped Gauss-Newton of all three coefficients with numpy.linalg.solve.
test("coefficients and standard errors are NumPy's", () => {
  const plain = fitPowerLaw(paper);
  expect(plain.a).toBeCloseTo(957.7761652755983, 6);
  expect(plain.b).toBeCloseTo(0.07554022303229137, 11);
  expect(plain.standardError).toBeCloseTo(0.01568031274452345, 11);
  expect(plain.residual).toBeCloseTo(0.0338041470042643, 11);

  const offset = fitPowerLaw(paper, true);
  expect(offset.a / 507747.7435).toBeCloseTo(1, 4);
  expect(offset.b).toBeCloseTo(0.59322156575, 5);
  expect(offset.c).toBeCloseTo(235.756173151, 4);
  expect(offset.standardError).toBeCloseTo(0.032958614255, 5);
  expect(offset.residual).toBeCloseTo(0.0019077199149979, 11);

  const errors = [3.6535, 3.0445, 2.8205, 2.6482, 2.3497, 2.2212];
  const noisy = fitPowerLaw(
    sizes.map((size, i) => ({ size, error: errors[i]! })),
    true,
  );
  expect(noisy.a / 62.29387903835521).toBeCloseTo(1, 5);
  expect(noisy.b).toBeCloseTo(0.3202826435565981, 6);
  expect(noisy.c).toBeCloseTo(2.046381451585795, 6);
  expect(noisy.standardError).toBeCloseTo(0.08051477686910775, 6);
});

test("two sizes make a law without an error of its exponent, however often each was run", () => {
  const two = fitPowerLaw(along({ a: 3, b: 0.5, c: 0 }, [10, 1000]));
  expect(two.b).toBeCloseTo(0.5, 12);
  expect(two.standardError).toBeNull();
});

test("errors that do not fall have the exponent 0", () => {
  const flat = fitPowerLaw(
    sizes.map((size) => ({ size, error: 7 })),
    true,
  );
  expect(flat.b).toBeCloseTo(0, 12);
  expect(powerLawAt(flat, 1e4)).toBeCloseTo(7, 10);
});

describe("what is refused", () => {
  const refused = (work: () => unknown) => {
    try {
      work();
    } catch (error) {
      if (error instanceof ClimaxError) return `${error.message} / ${error.hint}`;
    }
    return undefined;
  };
  test.each<[string, () => unknown, string]>([
    [
      "one size",
      () => fitPowerLaw(along({ a: 1, b: 1, c: 0 }, [5, 5, 5])),
      "found 1 sizes, wanted at least 2 for a power law / add sizes",
    ],
    [
      "an offset from three sizes",
      () => fitPowerLaw(along({ a: 1, b: 1, c: 1 }, [5, 50, 500]), true),
      "found 3 sizes, wanted at least 4 for a power law with an offset / add sizes, or fit without an offset",
    ],
    [
      "an error of 0",
      () => fitPowerLaw([...paper, { size: 1e9, error: 0 }]),
      "found the error 0 at size 1000000000; a power law has positive numbers only / leave this point out",
    ],
    [
      "an error that is not a number",
      () => fitPowerLaw([...paper, { size: 1e9, error: Number.NaN }]),
      "found the error NaN at size 1000000000; a power law has positive numbers only / leave this point out",
    ],
  ])("%s", (_, work, message) => expect(refused(work)).toBe(message));
});
