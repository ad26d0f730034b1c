/**
 * The nearest of many points on the sphere: a k-d tree of unit vectors, in one array without pointers. Chords grow
 * with great-circle distance, so that the nearest in space is the nearest on the sphere.
 */

const radians = Math.PI / 180;

/** Points in a leaf: below it a scan is quicker than further halving. */
const leafSize = 8;

/**
 * Squares of chords that differ by less are equal: unit vectors are rounded to 1e-16, which is 1e-12 of the chord
 * where points lie 0.01 degrees apart.
 */
const tie = 1e-10;

/** What a search found, nearest first; of points equally near the one of lower index first. */
export interface Neighbours {
  /** How many there are, which is less than wanted only where the tree holds fewer. */
  count: number;
  index: Int32Array;
  /** Squares of chords on the unit sphere. */
  squared: Float64Array;
}

export interface KdTree {
  /** Points in it. */
  readonly size: number;
  /** Every point has its eight nearest others within a chord of this square; 8, beyond any chord, for a few points. */
  readonly crowding: number;
  /** The `wanted` nearest points to a place, degrees. The arrays are used again by the next search. */
  nearest(lat: number, lon: number, wanted: number): Neighbours;
}

/** Unit vector of a place. */
export function unitVector(lat: number, lon: number): [x: number, y: number, z: number] {
  const cosine = Math.cos(lat * radians);
  return [cosine * Math.cos(lon * radians), cosine * Math.sin(lon * radians), Math.sin(lat * radians)];
}

/** A tree of the points [N] of degrees; those with a NaN are left out. */
export function kdTree(lat: ArrayLike<number>, lon: ArrayLike<number>): KdTree {
  const order = Int32Array.from({ length: lat.length }, (_, i) => i).filter(
    (i) => !Number.isNaN(lat[i]! + lon[i]!),
  );
  const n = order.length;
  const place = new Float64Array(3 * n); // in the order of the tree
  const axes = new Uint8Array(n); // of the median at the middle of each branch
  const boxes = new Float64Array(6 * (n >> 2) + 6); // a branch of more than 8 leaves two of at least 4
  const box = new Int32Array(n); // of the median at the middle of each branch, where its box begins
  let crowding: number;
  {
    const all = new Float64Array(3 * lat.length);
    for (const i of order) all.set(unitVector(lat[i]!, lon[i]!), 3 * i);
    const growing = { all, order, axes, boxes, box, next: 0, crowding: n > leafSize ? 0 : 8 };
    divide(growing, 0, n);
    crowding = growing.crowding;
    order.forEach((i, k) => {
      place.set(all.subarray(3 * i, 3 * i + 3), 3 * k);
    });
  }

  let index = new Int32Array(0);
  let squared = new Float64Array(0);
  let [count, wanted] = [0, 0];
  let [x, y, z] = [0, 0, 0];

  /** Whether a point goes before the one found at `at`. */
  function before(d: number, i: number, at: number): boolean {
    const other = squared[at]!;
    return d < other * (1 - tie) || (d <= other * (1 + tie) && i < index[at]!);
  }

  function offer(k: number): void {
    const [dx, dy, dz] = [place[3 * k]! - x, place[3 * k + 1]! - y, place[3 * k + 2]! - z];
    const d = dx * dx + dy * dy + dz * dz;
    const i = order[k]!;
    if (count === wanted) {
      if (!before(d, i, count - 1)) return;
    } else count++;
    let at = count - 1;
    while (at > 0 && before(d, i, at - 1)) {
      squared[at] = squared[at - 1]!;
      index[at] = index[at - 1]!;
      at--;
    }
    squared[at] = d;
    index[at] = i;
  }

  /** Square of the distance to the points of a branch at least. Boxes lie close about them, which planes do not. */
  function apart(at: number): number {
    const dx = Math.max(0, boxes[at]! - x, x - boxes[at + 1]!);
    const dy = Math.max(0, boxes[at + 2]! - y, y - boxes[at + 3]!);
    const dz = Math.max(0, boxes[at + 4]! - z, z - boxes[at + 5]!);
    return dx * dx + dy * dy + dz * dz;
  }

  function search(from: number, to: number): void {
    if (to - from <= leafSize) {
      for (let k = from; k < to; k++) offer(k);
      return;
    }
    const middle = (from + to) >> 1;
    if (count === wanted && apart(box[middle]!) > squared[count - 1]! * (1 + tie)) return;
    const axis = axes[middle]!;
    const ahead = (axis === 0 ? x : axis === 1 ? y : z) - place[3 * middle + axis]!;
    if (ahead < 0) search(from, middle);
    else search(middle + 1, to);
    offer(middle);
    if (count === wanted && ahead * ahead > squared[count - 1]! * (1 + tie)) return;
    if (ahead < 0) search(middle + 1, to);
    else search(from, middle);
  }

  return {
    size: n,
    crowding,
    nearest(lat, lon, k) {
      if (index.length < k) [index, squared] = [new Int32Array(k), new Float64Array(k)];
      [x, y, z] = unitVector(lat, lon);
      [count, wanted] = [0, k];
      search(0, n);
      return { count, index, squared };
    },
  };
}

interface Growing {
  /** [N, 3] in the file's order. */
  all: Float64Array;
  order: Int32Array;
  axes: Uint8Array;
  /** Least and greatest x, y, z of one branch after another. */
  boxes: Float64Array;
  box: Int32Array;
  /** Where the next box begins. */
  next: number;
  /** Square of the diagonal of the widest box whose points lie in no smaller one; each holds nine points or more. */
  crowding: number;
}

/** Orders `order[from .. to)` as a tree: the median of the widest axis in the middle, halves on its sides. */
function divide(tree: Growing, from: number, to: number): void {
  if (to - from <= leafSize) return;
  const { all, order, axes, boxes, box } = tree;
  const middle = (from + to) >> 1;
  const here = tree.next;
  tree.next += 6;
  let [axis, widest, diagonal] = [0, -1, 0];
  for (let a = 0; a < 3; a++) {
    let [low, high] = [2, -2];
    for (let k = from; k < to; k++) {
      const value = all[3 * order[k]! + a]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    boxes[here + 2 * a] = low;
    boxes[here + 2 * a + 1] = high;
    if (high - low > widest) [axis, widest] = [a, high - low];
    diagonal += (high - low) ** 2;
  }
  if (middle - from <= leafSize || to - middle - 1 <= leafSize)
    tree.crowding = Math.max(tree.crowding, diagonal);
  select(all, order, axis, from, to - 1, middle);
  axes[middle] = axis;
  box[middle] = here;
  divide(tree, from, middle);
  divide(tree, middle + 1, to);
}

/** Hoare's quickselect: puts at `middle` what sorting by one coordinate would, smaller ones before it. */
function select(
  all: Float64Array,
  order: Int32Array,
  axis: number,
  from: number,
  to: number,
  middle: number,
): void {
  let [low, high] = [from, to];
  while (low < high) {
    const pivot = all[3 * order[(low + high) >> 1]! + axis]!;
    let [i, j] = [low, high];
    while (i <= j) {
      while (all[3 * order[i]! + axis]! < pivot) i++;
      while (all[3 * order[j]! + axis]! > pivot) j--;
      if (i <= j) {
        const held = order[i]!;
        order[i] = order[j]!;
        order[j] = held;
        i++;
        j--;
      }
    }
    if (middle <= j) high = j;
    else if (middle >= i) low = i;
    else return;
  }
}
