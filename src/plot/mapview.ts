/** The globe, or a part of it, on paper: where each place lies, which place is under a pixel, coasts and meridians. */
import { type GeoProjection, geoEquirectangular, geoPath, geoProjection, geoStereographic } from "d3-geo";
import { geoRobinson } from "d3-geo-projection";
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid, latitudeEdges, longitudeEdges, longitudeSeam } from "../grid/grid.ts";
import { coastOf, latitudeWords, linesOf, longitudeWords, multiples, niceStep } from "./maplines.ts";

export type Projection = "robinson" | "plate-carree" | "north-polar" | "south-polar" | "regional";

export const projectionNames = [
  "robinson",
  "plate-carree",
  "north-polar",
  "south-polar",
  "regional",
] as const satisfies readonly Projection[];

/** Degrees: south <= north; west in [-180, 360), east > west. */
export interface Extent {
  readonly south: number;
  readonly north: number;
  readonly west: number;
  readonly east: number;
}

/** Degrees at a parallel or meridian. */
export interface Label {
  readonly words: string;
  readonly x: number;
  readonly y: number;
  /** Which way from there the words stand, a vector of length 1; undefined: on the spot, over the field. */
  readonly away?: readonly [right: number, down: number];
}

/** Lengths are px from the left and upper edge of the map. */
export interface MapView {
  readonly width: number;
  readonly height: number;
  /** Edge of what is shown, coasts, meridians and parallels, as SVG paths. */
  readonly outline: string;
  readonly coast: string;
  readonly graticule: string;
  /** Beside the edge. */
  readonly labels: readonly Label[];
  /** Where a place lies; undefined: not shown. */
  project(longitude: number, latitude: number): readonly [x: number, y: number] | undefined;
  /** The place at (x, y) as `into` [longitude, latitude], degrees; false: outside the map. Quickest row by row. */
  placeAt(x: number, y: number, into: Float64Array): boolean;
}

/** Edges of a grid's cells: what a regional map shows. */
export function extentOf(grid: Grid): Extent {
  const rows = latitudeEdges(grid);
  const columns = longitudeEdges(grid);
  const { start, periodic } = longitudeSeam(grid);
  const n = grid.lon.length;
  const west = periodic ? 0 : columns[2 * start]!;
  const last = (start + n - 1) % n;
  const east = periodic ? 360 : columns[2 * last + 1]! + (last < start ? 360 : 0);
  if (rows.at(-1)! <= rows[0]! || east <= west) {
    throw new ClimaxError(
      "grid",
      `a map of ${describeGrid(grid)} has no area: it is one point or one line`,
      "give fields of at least 2 x 2 points",
    );
  }
  return { south: rows[0]!, north: rows.at(-1)!, west, east };
}

/** The projection that suits a grid: the globe as a whole, a cap as a disc, else its box. */
export function projectionFor(grid: Grid): Projection {
  const { south, north, west, east } = extentOf(grid);
  const round = east - west === 360;
  if (round && south <= -60 && north >= 60) return "robinson";
  if (round && grid.lat[0]! >= 20) return "north-polar";
  if (round && grid.lat.at(-1)! <= -20) return "south-polar";
  return "regional";
}

const rad = Math.PI / 180;

/**
 * A map so many px wide.
 *
 * @param centre  longitude at the middle; of a polar map, where it points down (north) or up (south)
 * @param extent  what a regional or polar map shows of the globe
 */
export function makeMapView(kind: Projection, centre: number, extent: Extent, width: number): MapView {
  if (kind === "north-polar" || kind === "south-polar")
    return polar(kind === "north-polar", centre, extent, width);
  if (kind === "regional") return regional(extent, width);
  return global(kind, centre, width);
}

const global = (kind: "robinson" | "plate-carree", centre: number, width: number): MapView => {
  const projection = (kind === "robinson" ? geoRobinson() : geoEquirectangular())
    .rotate([-centre, 0])
    .precision(0.1)
    .fitWidth(width, { type: "Sphere" });
  const height = Math.ceil(projection([centre, -90])![1]);
  const outline = geoPath(projection)({ type: "Sphere" })!;
  const project = projectWith(projection);
  const parallels = [-60, -30, 0, 30, 60];
  const meridians = Array.from({ length: 12 }, (_, i) => 30 * i - 180);
  const edge = (latitude: number) => project(centre - 179.999, latitude)![0];
  const labels: Label[] = parallels.map((latitude) => ({
    words: latitudeWords(latitude),
    x: edge(latitude),
    y: project(centre, latitude)![1],
    away: [-1, 0],
  }));
  if (kind === "plate-carree") {
    for (let turn = -120; turn <= 120; turn += 60) {
      const longitude = Math.round(centre / 60) * 60 + turn;
      const x = project(longitude, 0)?.[0];
      if (x !== undefined) labels.push({ words: longitudeWords(longitude), x, y: height, away: [0, 1] });
    }
  }
  return {
    ...{ width, height, outline, labels, project },
    coast: coastOf(projection, width / 360),
    graticule: linesOf(projection, parallels, meridians, [-90, 90], [centre - 180, centre + 180]),
    placeAt: rowwise(projection, centre, -90, 90, 180),
  };
};

function regional(extent: Extent, width: number): MapView {
  const { south, north, west, east } = extent;
  const [middle, half] = [(west + east) / 2, (east - west) / 2];
  const squeeze = squeezeOf(extent);
  const raw = Object.assign((x: number, y: number): [number, number] => [x * squeeze, y], {
    invert: (x: number, y: number): [number, number] => [x / squeeze, y],
  });
  const scale = width / (2 * half * squeeze * rad);
  const height = Math.max(1, Math.round((north - south) * rad * scale));
  const projection = geoProjection(raw)
    .rotate([-middle, 0])
    .scale(scale)
    .translate([width / 2, north * rad * scale])
    .precision(0.1)
    .clipExtent([
      [0, 0],
      [width, height],
    ]);
  const step = niceStep(Math.max(east - west, north - south) / 5);
  const parallels = multiples(south, north, niceStep((north - south) / 4.5));
  const meridians = multiples(west, east, step);
  const project = projectWith(projection);
  const inside = (longitude: number, latitude: number) => {
    const place = project(longitude, latitude);
    const [x, y] = place ?? [-1, -1];
    return x >= -0.5 && x <= width + 0.5 && y >= -0.5 && y <= height + 0.5 ? place : undefined;
  };
  return {
    ...{ width, height, project: inside },
    outline: `M0,0H${width}V${height}H0Z`,
    coast: coastOf(projection, scale * rad),
    graticule: linesOf(projection, parallels, meridians, [south, north], [west, east]),
    labels: [
      ...parallels.map((latitude): Label => {
        return { words: latitudeWords(latitude), x: 0, y: (north - latitude) * rad * scale, away: [-1, 0] };
      }),
      ...meridians.map((longitude): Label => {
        const x = ((longitude - west) / (east - west)) * width;
        return { words: longitudeWords(longitude), x, y: height, away: [0, 1] };
      }),
    ],
    placeAt: rowwise(projection, middle, south, north, half),
  };
}

/** Degrees of latitude as wide as one of longitude: true at the middle; near the poles a box would become a thread. */
const squeezeOf = ({ south, north }: Extent) => Math.max(0.25, Math.cos(((south + north) / 2) * rad));

/** The width that a map has where there is so much room: a tall box is narrower, so that its height stays in sight. */
export function fittingWidth(kind: Projection, grid: Grid, room: number): number {
  if (kind !== "regional") return room;
  const extent = extentOf(grid);
  const shape = (squeezeOf(extent) * (extent.east - extent.west)) / (extent.north - extent.south);
  return Math.round(room * Math.min(1, 1.1 * shape));
}

function polar(isNorth: boolean, centre: number, extent: Extent, width: number): MapView {
  // The whole cap of the data, but never past 20 degrees, where it would be torn wide.
  const rim = isNorth ? Math.max(20, extent.south) : Math.min(-20, extent.north);
  const colatitude = 90 - Math.abs(rim);
  const radius = width / 2;
  const projection = geoStereographic()
    .rotate([-centre, isNorth ? -90 : 90])
    .clipAngle(colatitude)
    .precision(0.1)
    .scale(radius / Math.tan((colatitude * rad) / 2))
    .translate([radius, radius]);
  const sign = isNorth ? 1 : -1;
  const step = niceStep(colatitude / 4.5);
  const parallels = multiples(Math.min(rim, sign * 89), Math.max(rim, sign * 89), step);
  const meridians = Array.from({ length: 12 }, (_, i) => 30 * i);
  const project = projectWith(projection);
  return {
    ...{ width, height: width, project },
    outline: `M0,${radius}A${radius},${radius},0,1,1,${width},${radius}A${radius},${radius},0,1,1,0,${radius}Z`,
    coast: coastOf(projection, radius / colatitude),
    graticule: linesOf(projection, parallels, meridians, isNorth ? [rim, 90] : [-90, rim], [-180, 180]),
    labels: [
      ...meridians
        .filter((longitude) => longitude % 60 === 0)
        .map((longitude): Label => {
          const angle = (longitude - centre) * rad;
          const away = [Math.sin(angle), sign * Math.cos(angle)] as const;
          const [x, y] = [radius + radius * away[0], radius + radius * away[1]];
          return { words: longitudeWords(longitude), x, y, away };
        }),
      ...parallels
        .filter((latitude) => Math.abs(latitude - rim) > step / 3 && Math.abs(latitude) < 90)
        .map((latitude): Label => {
          const [x, y] = projection([centre + 180, latitude])!;
          return { words: latitudeWords(latitude), x, y };
        }),
    ],
    placeAt: (x, y, into) => {
      const [right, down] = [x - radius, y - radius];
      const distance = Math.hypot(right, down);
      if (distance > radius) return false;
      // The inverse of the stereographic projection from the other pole.
      const angle = 2 * Math.atan((distance / radius) * Math.tan((colatitude * rad) / 2));
      into[0] = centre + Math.atan2(right, sign * down) / rad;
      into[1] = sign * (90 - angle / rad);
      return true;
    },
  };
}

/** d3's projections place what is hidden as well: those points come back from somewhere else. */
function projectWith(projection: GeoProjection): MapView["project"] {
  return (longitude, latitude) => {
    let shown = false;
    const [x, y] = projection([longitude, latitude])!;
    const stream = projection.stream({
      point: () => void (shown = true),
      ...{ lineStart() {}, lineEnd() {}, polygonStart() {}, polygonEnd() {} },
    });
    stream.point(longitude, latitude);
    return shown ? [x, y] : undefined;
  };
}

/** The inverse of a projection whose parallels are level and evenly divided: one inversion for each row. */
function rowwise(
  projection: GeoProjection,
  centre: number,
  south: number,
  north: number,
  halfWidth: number,
): MapView["placeAt"] {
  const middle = projection([centre, 0])![0];
  let row = Number.NaN;
  let latitude = Number.NaN;
  let perPixel = 0; // degrees of longitude
  return (x, y, into) => {
    if (y !== row) {
      row = y;
      latitude = projection.invert!([middle, y])![1];
      // Beyond the poles `invert` goes on: what it gives must be a latitude, and come back to the same row.
      const known = latitude >= south - 1e-9 && latitude <= north + 1e-9;
      if (!known || Math.abs(projection([centre, latitude])![1] - y) > 0.01) latitude = Number.NaN;
      else perPixel = 1 / (projection([centre + 1, latitude])![0] - middle);
    }
    const turn = (x - middle) * perPixel;
    if (!(Math.abs(turn) <= halfWidth + 1e-9) || Number.isNaN(latitude)) return false;
    into[0] = centre + turn;
    into[1] = latitude;
    return true;
  };
}
