/** Edges of polygons on the sphere, as latitude over longitude. Radians. */

const turn = 2 * Math.PI;

/** The shorter great circle between two points that are not on one meridian; or a stretch of a pole, which is a point. */
export interface Edge {
  /** Longitude where it begins, and how far eastward it goes from there: less than half round. */
  from: number;
  turn: number;
  /** Latitudes it reaches, in the midst of it perhaps. */
  lowest: number;
  highest: number;
  /** Longitude where its great circle is northernmost, and the tangent of the latitude there. */
  summit: number;
  slope: number;
  /** Whether it stands at a pole. */
  pole: -1 | 0 | 1;
}

/** The edge from one place to another; undefined when it spans no longitude, and so no area. */
export function edgeOf(
  [y, x]: readonly [lat: number, lon: number],
  [v, u]: readonly [lat: number, lon: number],
): Edge | undefined {
  const eastward = u - x - turn * Math.round((u - x) / turn);
  if (Math.abs(eastward) < 1e-14) return undefined;
  const near = Math.PI / 2 - 1e-9;
  if (Math.abs(y) > near && Math.abs(v) > near) {
    return { from: x, turn: eastward, lowest: y, highest: y, summit: x, slope: 0, pole: y > 0 ? 1 : -1 };
  }
  // tan(lat) = a cos(lon) + b sin(lon) through both; by differences of longitude from the first, which are small.
  const [p, q] = [Math.tan(y), Math.tan(v)];
  const b = (q - p * Math.cos(eastward)) / Math.sin(eastward);
  const [slope, summit] = [Math.hypot(p, b), x + Math.atan2(b, p)];
  const edge: Edge = {
    from: x,
    turn: eastward,
    lowest: Math.min(y, v),
    highest: Math.max(y, v),
    summit,
    slope,
    pole: 0,
  };
  const [west, east] = eastward > 0 ? [x, x + eastward] : [x + eastward, x];
  if (lies(summit, west, east)) edge.highest = Math.atan(slope);
  if (lies(summit + Math.PI, west, east)) edge.lowest = -Math.atan(slope);
  return edge;
}

/** The latitude of an edge at a longitude. */
export function latitudeOn({ pole, slope, summit }: Edge, lon: number): number {
  return pole !== 0 ? (pole * Math.PI) / 2 : Math.atan(slope * Math.cos(lon - summit));
}

/** Latitudes that an edge reaches between two of its longitudes. */
export function latitudeRange(edge: Edge, west: number, east: number): [low: number, high: number] {
  const [a, b] = [latitudeOn(edge, west), latitudeOn(edge, east)];
  if (edge.pole !== 0) return [a, a];
  const steepest = Math.atan(edge.slope);
  return [
    lies(edge.summit + Math.PI, west, east) ? -steepest : Math.min(a, b),
    lies(edge.summit, west, east) ? steepest : Math.max(a, b),
  ];
}

/** Longitudes between two of an edge's where it crosses a parallel: up to two. */
export function crossings({ slope, summit, pole }: Edge, lat: number, west: number, east: number): number[] {
  const cosine = Math.tan(lat) / slope;
  if (pole !== 0 || !(Math.abs(cosine) < 1)) return [];
  const half = Math.acos(cosine);
  return [summit - half, summit + half]
    .map((lon) => lon + turn * Math.ceil((west - lon) / turn))
    .filter((lon) => lon > west && lon < east);
}

/** Whether a longitude, or one whole turns away, lies between two others. */
function lies(lon: number, west: number, east: number): boolean {
  return lon + turn * Math.ceil((west - lon) / turn) < east;
}
