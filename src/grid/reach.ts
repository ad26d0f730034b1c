/** The points of a source as a tree to search, and how far beyond them it may be asked for a value. */
import { type Grid, latitudeEdges, longitudeEdges, longitudeSeam } from "./grid.ts";
import { type KdTree, kdTree } from "./kdtree.ts";
import { isPoints, type Points, sizeOf } from "./points.ts";

/** Degrees; float32 files round their coordinates. */
const tolerance = 1e-4;

/** The neighbour whose distance says how densely points lie. */
const fourth = 4;

export interface Reach {
  tree: KdTree;
  /** Elements of a field on the source. */
  size: number;
  /**
   * Whether a target belongs to the source, whose nearest point to it has this index and square of the chord.
   * Searches the tree, so what an earlier search has found must have been taken.
   */
  within(lat: number, lon: number, index: number, squared: number): boolean;
}

/**
 * A target lies outside a latitude-longitude source when it is in none of its cells. It lies outside a source of
 * points when it is farther from the nearest of them than any of them is from its own fourth neighbour: so a region
 * does not spread over the globe, and a global source has no holes, whatever its cells are like (the points of
 * triangles, the sparsest, leave gaps of 0.6 of that distance).
 */
export function reach(source: Grid | Points): Reach {
  const size = sizeOf(source);
  if (isPoints(source)) {
    const tree = kdTree(source.lat, source.lon);
    return { tree, size, within: withinPoints(source, tree) };
  }
  const { lat, lon } = source;
  const [h, w] = [lat.length, lon.length];
  const tree = kdTree(
    Float64Array.from({ length: size }, (_, i) => lat[Math.floor(i / w)]!),
    Float64Array.from({ length: size }, (_, i) => lon[i % w]!),
  );
  const edges = latitudeEdges(source);
  const column = columnsWithin(source);
  const within = (y: number, x: number) =>
    y >= edges[0]! - tolerance && y <= edges[h]! + tolerance && column(x);
  return { tree, size, within };
}

/** Whether a longitude lies in a column's cell. */
function columnsWithin(source: Grid): (lon: number) => boolean {
  const { periodic, start } = longitudeSeam(source);
  if (periodic) return () => true;
  const edges = longitudeEdges(source);
  const w = source.lon.length;
  const last = (start + w - 1) % w;
  const [west, east] = [edges[2 * start]!, edges[2 * last + 1]! + (last < start ? 360 : 0)];
  return (lon) => {
    const turn = 360 * Math.floor((lon - (west - tolerance)) / 360);
    return lon - turn <= east + tolerance;
  };
}

function withinPoints({ lat, lon }: Points, tree: KdTree): Reach["within"] {
  // Itself and its neighbours; a square of 8 is beyond any chord, for sources of fewer points.
  const spacing = (i: number) => {
    const { count, squared } = tree.nearest(lat[i]!, lon[i]!, fourth + 1);
    return count > 1 ? squared[count - 1]! : 8;
  };
  const known = new Map<number, number>();
  let widest: number | undefined;
  return (_y, _x, index, squared) => {
    // The nearest point's own neighbourhood settles nearly all targets, and only those points are searched for it.
    let own = known.get(index);
    if (own === undefined) known.set(index, (own = spacing(index)));
    if (squared <= own) return true;
    if (squared > tree.crowding) return false; // else all points must be searched for, which takes as long as all targets
    if (widest === undefined) {
      widest = 0;
      for (let i = 0; i < lat.length; i++) if (!Number.isNaN(lat[i]!)) widest = Math.max(widest, spacing(i));
    }
    return squared <= widest;
  };
}
