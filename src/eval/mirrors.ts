/** Ways in which a global field may be stored turned round though its coordinates are right. */
import { type Grid, longitudeSeam } from "../grid/grid.ts";

export interface Mirror {
  /** In words: the truth "mirrored north to south". */
  readonly name: string;
  /** [H * W] the cell that each cell's value is taken from. */
  readonly source: Int32Array;
}

/** Degrees: float32 coordinates of files are off by 3e-5 near 360. */
const tolerance = 1e-3;

/** Those that map the grid's points on themselves: rows that lie alike on both sides of the equator, columns half-way round. */
export function mirrors(grid: Grid): Mirror[] {
  const { lat, lon } = grid;
  const [H, W] = [lat.length, lon.length];
  const half = W / 2;
  const rowsMirror = H > 1 && lat.every((y, row) => Math.abs(y + lat[H - 1 - row]!) < tolerance);
  const columnsTurn =
    W > 2 &&
    W % 2 === 0 &&
    longitudeSeam(grid).periodic &&
    lon.subarray(0, half).every((x, column) => Math.abs(lon[column + half]! - x - 180) < tolerance);
  const source = (flip: boolean, turn: boolean) =>
    Int32Array.from({ length: H * W }, (_, i) => {
      const [row, column] = [Math.floor(i / W), i % W];
      return (flip ? H - 1 - row : row) * W + (turn ? (column + half) % W : column);
    });
  return [
    ...(rowsMirror ? [{ name: "mirrored north to south", source: source(true, false) }] : []),
    ...(columnsTurn ? [{ name: "turned by 180 degrees of longitude", source: source(false, true) }] : []),
    ...(rowsMirror && columnsTurn
      ? [
          {
            name: "mirrored north to south and turned by 180 degrees of longitude",
            source: source(true, true),
          },
        ]
      : []),
  ];
}
