/** Sources without rows and columns of their own: the points of a curvilinear or an unstructured grid. */

/** N points of the sphere in the file's order. Fields on them are [N], shaped as `shape`. */
export interface Points {
  /** [N] degrees north. */
  readonly lat: Float64Array;
  /** [N] degrees east in [0, 360). */
  readonly lon: Float64Array;
  /** [rows, columns] of a curvilinear grid, [N] of an unstructured one. */
  readonly shape: readonly number[];
}
