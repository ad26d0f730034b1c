// A globe cut into triangles, to stand for the meshes of ICON and FESOM in tests.
import { makePoints, type Points } from "../../src/grid/points.ts";

type Vector = [x: number, y: number, z: number];

const unit = (v: Vector): Vector => {
  const length = Math.hypot(...v);
  return [v[0] / length, v[1] / length, v[2] / length];
};

const middle = (a: Vector, b: Vector) => unit([a[0] + b[0], a[1] + b[1], a[2] + b[2]]);

const corners: Record<"x" | "y" | "z", [Vector, Vector]> = {
  x: [
    [1, 0, 0],
    [-1, 0, 0],
  ],
  y: [
    [0, 1, 0],
    [0, -1, 0],
  ],
  z: [
    [0, 0, 1],
    [0, 0, -1],
  ],
};

export interface Mesh {
  points: Points;
  /** [N] square radians. */
  areas: Float64Array;
}

/**
 * The octahedron, each face cut in four `levels` times, turned by Euler angles in radians. Without turning its corners
 * lie at the poles and its edges on meridians and the equator.
 */
export function triangles(levels: number, [first, tilt, last] = [0, 0, 0]): Mesh {
  let faces: [Vector, Vector, Vector][] = corners.x.flatMap((x) =>
    corners.y.flatMap((y) => corners.z.map((z): [Vector, Vector, Vector] => [x, y, z])),
  );
  for (let level = 0; level < levels; level++) {
    faces = faces.flatMap(([a, b, c]): [Vector, Vector, Vector][] => {
      const [ab, bc, ca] = [middle(a, b), middle(b, c), middle(c, a)];
      return [
        [a, ab, ca],
        [ab, b, bc],
        [ca, bc, c],
        [ab, bc, ca],
      ];
    });
  }
  const about = (v: Vector, angle: number, i: number, j: number): Vector => {
    const out: Vector = [...v];
    out[i] = Math.cos(angle) * v[i]! - Math.sin(angle) * v[j]!;
    out[j] = Math.sin(angle) * v[i]! + Math.cos(angle) * v[j]!;
    return out;
  };
  const turned = (v: Vector) => about(about(about(v, first!, 0, 1), tilt!, 1, 2), last!, 0, 1);
  const degrees = (v: Vector) => {
    const [lat, lon] = [Math.atan2(v[2], Math.hypot(v[0], v[1])), Math.atan2(v[1], v[0])];
    return { lat: (lat * 180) / Math.PI, lon: (lon * 180) / Math.PI };
  };
  const cells = faces.map((face) => face.map(turned) as [Vector, Vector, Vector]);
  const centres = cells.map(([a, b, c]) =>
    degrees(unit([a[0] + b[0] + c[0], a[1] + b[1] + c[1], a[2] + b[2] + c[2]])),
  );
  const flat = cells.flat().map(degrees);
  const dot = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  // Eriksson (1990): the spherical excess without angles.
  const excess = ([a, b, c]: [Vector, Vector, Vector]) => {
    const volume =
      a[0] * (b[1] * c[2] - b[2] * c[1]) +
      a[1] * (b[2] * c[0] - b[0] * c[2]) +
      a[2] * (b[0] * c[1] - b[1] * c[0]);
    return 2 * Math.atan2(Math.abs(volume), 1 + dot(a, b) + dot(b, c) + dot(c, a));
  };
  return {
    points: makePoints(
      centres.map(({ lat }) => lat),
      centres.map(({ lon }) => lon),
      [cells.length],
      {
        perCell: 3,
        lat: Float64Array.from(flat, ({ lat }) => lat),
        lon: Float64Array.from(flat, ({ lon }) => lon),
      },
    ),
    areas: Float64Array.from(cells, excess),
  };
}
