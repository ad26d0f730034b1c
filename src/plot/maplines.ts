/** Lines on maps, coasts and degrees, and how degrees are written beside them. */
import { createRequire } from "node:module";
import { type GeoProjection, geoPath } from "d3-geo";
import { mesh } from "topojson-client";
import type { Topology } from "topojson-specification";

const require = createRequire(import.meta.url);
const coasts = new Map<string, ReturnType<typeof mesh>>();

/** Coasts, as fine as can be seen. @param density px of a degree */
export function coastOf(projection: GeoProjection, density: number): string {
  const scale = density > 4.5 ? "50m" : "110m";
  let lines = coasts.get(scale);
  if (!lines) {
    const land = require(`world-atlas/land-${scale}.json`) as Topology;
    lines = mesh(land, land.objects.land as Parameters<typeof mesh>[1]);
    coasts.set(scale, lines);
  }
  return geoPath(projection).digits(2)(lines) ?? "";
}

/** Parallels and meridians within a box of degrees. */
export function linesOf(
  projection: GeoProjection,
  parallels: readonly number[],
  meridians: readonly number[],
  [south, north]: readonly [number, number],
  [west, east]: readonly [number, number],
): string {
  const steps = (from: number, to: number) =>
    Array.from({ length: 91 }, (_, i) => from + ((to - from) * i) / 90);
  const coordinates = [
    ...parallels.map((latitude) => steps(west + 1e-6, east - 1e-6).map((longitude) => [longitude, latitude])),
    ...meridians.map((longitude) => steps(south, north).map((latitude) => [longitude, latitude])),
  ];
  return geoPath(projection).digits(2)({ type: "MultiLineString", coordinates }) ?? "";
}

const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90] as const;
/** A step in degrees as maps have them, at least as large. */
export const niceStep = (degrees: number) => steps.find((step) => step >= degrees) ?? 90;

/** Multiples of a step from low to high. */
export const multiples = (low: number, high: number, step: number) => {
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, count) }, (_, i) => Number(((first + i) * step).toFixed(6)));
};

const degreeWords = (degrees: number) => String(Number(degrees.toFixed(2)));
/** "60°N" */
export const latitudeWords = (latitude: number) =>
  latitude === 0 ? "0°" : `${degreeWords(Math.abs(latitude))}°${latitude > 0 ? "N" : "S"}`;
/** "150°W", whichever way round it is counted. */
export function longitudeWords(longitude: number): string {
  const east = ((((longitude + 180) % 360) + 360) % 360) - 180;
  if (east === 0 || east === -180) return `${degreeWords(Math.abs(east))}°`;
  return `${degreeWords(Math.abs(east))}°${east > 0 ? "E" : "W"}`;
}
