// HEALPix centres by properties that fix them: those of nside 1 known by heart, equal areas, symmetry, and the two
// orders related by the subdivision of pixels.
import { expect, test } from "vitest";
import { healpixCentres } from "../../src/files/gribhealpix.ts";

const degrees = 180 / Math.PI;

test("nside 1: four pixels round either pole, four on the equator, in both orders", () => {
  for (const nested of [false, true]) {
    const { latitude, longitude } = healpixCentres(1, nested);
    const third = Math.asin(2 / 3) * degrees;
    expect(Array.from(latitude, (x) => x.toFixed(9))).toEqual(
      [third, third, third, third, 0, 0, 0, 0, -third, -third, -third, -third].map((x) => x.toFixed(9)),
    );
    expect(Array.from(longitude)).toEqual([45, 135, 225, 315, 0, 90, 180, 270, 45, 135, 225, 315]);
  }
});

test("nside 2: the first pixels along rings, by the published example of ring lengths 4, 8, 8, ...", () => {
  const { latitude, longitude } = healpixCentres(2, false);
  // z = 1 - 1/12, then 2/3, 1/3, 0.
  expect([0, 4, 12, 20].map((i) => Math.sin(latitude[i]! / degrees).toFixed(12))).toEqual(
    [11 / 12, 2 / 3, 1 / 3, 0].map((z) => z.toFixed(12)),
  );
  expect(Array.from(longitude.subarray(0, 6))).toEqual([45, 135, 225, 315, 22.5, 67.5]);
  expect([longitude[12], longitude[20]]).toEqual([0, 22.5]);
});

test.each([2, 4, 8, 64])("nside %i: both orders hold the same centres, evenly spread", (nside) => {
  const ring = healpixCentres(nside, false);
  const nested = healpixCentres(nside, true);
  const key = ({ latitude, longitude }: typeof ring, i: number) =>
    `${latitude[i]!.toFixed(9)} ${longitude[i]!.toFixed(9)}`;
  const keys = (grid: typeof ring) =>
    Array.from({ length: 12 * nside * nside }, (_, i) => key(grid, i)).sort();
  expect(new Set(keys(ring)).size).toBe(12 * nside * nside);
  expect(keys(nested)).toEqual(keys(ring));
  // Pixels are of equal area: the mean of z^2 tends to 1/3 as 1/nside^2.
  const mean = ring.latitude.reduce((sum, x) => sum + Math.sin(x / degrees) ** 2, 0) / ring.latitude.length;
  expect(Math.abs(mean - 1 / 3)).toBeLessThan(0.1 / nside ** 2);
  expect(Math.abs(ring.latitude.reduce((sum, x) => sum + x, 0))).toBeLessThan(1e-6);
});

test("a nested pixel lies amid the four it is divided into", () => {
  const [coarse, fine] = [healpixCentres(8, true), healpixCentres(16, true)];
  for (let pixel = 0; pixel < 768; pixel++) {
    for (let child = 4 * pixel; child < 4 * pixel + 4; child++) {
      const [a, b] = [coarse.latitude[pixel]! / degrees, fine.latitude[child]! / degrees];
      const turn = (coarse.longitude[pixel]! - fine.longitude[child]!) / degrees;
      const distance = Math.acos(
        Math.min(1, Math.sin(a) * Math.sin(b) + Math.cos(a) * Math.cos(b) * Math.cos(turn)),
      );
      // The side of a pixel of nside 8 is about 7.3 degrees; children lie within it.
      expect(distance * degrees).toBeLessThan(5.5);
    }
  }
});
