// Continents and mountains drawn with Gaussian hills: an idealised map that looks like the Earth at T21.
import type { Ground } from "./quasigeostrophic.ts";

/** centre latitude, centre longitude, deviation north-south, deviation east-west (great-circle degrees), height. */
type Hill = readonly [number, number, number, number, number];

const earthLand: readonly Hill[] = [
  [62, -105, 9, 17, 1],
  [45, -100, 9, 13, 1],
  [23, -102, 7, 5, 0.9],
  [73, -41, 7, 7, 1],
  [-6, -60, 12, 10, 1],
  [-30, -65, 13, 5.5, 0.9],
  [20, 8, 10, 18, 1],
  [-10, 25, 15, 9, 1],
  [50, 20, 8, 14, 0.9],
  [58, 55, 10, 16, 1],
  [60, 100, 11, 20, 1],
  [37, 98, 13, 18, 1],
  [21, 78, 7, 6, 0.9],
  [26, 46, 8, 8, 0.9],
  [-25, 134, 7, 11, 1],
];

const earthMountains: readonly Hill[] = [
  [46, -112, 13, 6, 1700],
  [23, -103, 7, 5, 1000],
  [-20, -68, 14, 5, 2100],
  [34, 88, 6, 11, 4200],
  [48, 98, 6, 10, 1200],
  [60, 120, 6, 12, 500],
  [73, -40, 6, 6, 2300],
  [5, 37, 9, 5, 1100],
  [-26, 25, 6, 7, 1000],
  [39, 42, 5, 11, 1200],
  [63, 12, 5, 4, 500],
];

const radians = Math.PI / 180;

function sumOfHills(hills: readonly Hill[], latitude: number, longitude: number): number {
  let sum = 0;
  for (const [centre, middle, northSouth, eastWest, height] of hills) {
    const east = ((((longitude - middle + 180) % 360) + 360) % 360) - 180;
    const x = (east * Math.cos(((latitude + centre) / 2) * radians)) / eastWest;
    const y = (latitude - centre) / northSouth;
    sum += height * Math.exp(-(x * x + y * y) / 2);
  }
  return sum;
}

function step(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** Continents of the Earth. `mountains` scales the heights, `turn` moves the map east, degrees. */
export function earthGround(mountains = 1, turn = 0): Ground {
  const ice = (latitude: number) => step((-70 - latitude) / 2.5);
  return {
    land: (latitude, longitude) =>
      Math.max(ice(latitude), step((sumOfHills(earthLand, latitude, longitude - turn) - 0.42) / 0.08)),
    height: (latitude, longitude) =>
      mountains *
      (sumOfHills(earthMountains, latitude, longitude - turn) + 2600 * step((-74 - latitude) / 4)),
  };
}

/** Sea everywhere. */
export const seaGround: Ground = { land: () => 0, height: () => 0 };
