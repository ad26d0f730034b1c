// Matrix product for GPUs with subgroup matrices (tensor cores): C = alpha op(A) op(B), then an epilogue.
//
//   forward    C[m, n] = alpha * sum over k of A[m, k] B[k, n]  (+ bias[n])  (gelu)  (+ residual[m, n])  (+ C[m, n])
//   backward   made of the same products: dA = dC B^T, dB = A^T dC
//
// A workgroup of four subgroups owns a BLOCK x BLOCK block of C, a subgroup a quarter of it in SIDE x SIDE matrices of
// 16 x 16 in registers. DEPTH k's of A and B at a time pass through workgroup memory as f16, in whichever direction
// they are contiguous; the next ones are on their way while these are multiplied. Sums are f32; they leave through
// workgroup memory, a matrix at a time, for the epilogue.
//
// Shapes      A [batch, M, K] or transposed, B [batch, K, N] or transposed, C and residual [batch, M, N], bias [N];
//             each with its own row length in floats and two strides over the batch (outer, inner).
//             aligned: all of these in multiples of 4, as well as N, and K or M if A's or B's quads lie along it.
//             strided: any sizes, ALIGNED = false.
// Dispatch    one workgroup of 128 threads per block: (blocks of M, blocks of N, batch)
// Called by   src/ops/product.ts
// Checked by  test/ops/product.test.ts

//@include quads
//@include matrix

override BLOCK = 128u; // 128 or 64
override SIDE = BLOCK / 32u; // matrices of a subgroup in each direction
override ROW_PITCH = BLOCK + 8u; // of a tile [k][row]

const THREADS = 128u;
const DEPTH = 32u;
const LOADS = 8; // quads of A that a thread brings to the large block, and of B
// Of a tile [row][k]. Pitches are multiples of 8, as subgroup matrices want, but not of 32, so that rows begin in
// different banks.
const K_PITCH = 40u;

var<workgroup> a_tile: array<f16, K_PITCH * BLOCK>;
var<workgroup> b_tile: array<f16, K_PITCH * BLOCK>;
var<workgroup> scratch: array<f32, 1024>; // a matrix of each subgroup

// Quad e of a tile: its first row (of A; column of B) and k within the block, and its place in the tile.
struct Quad {
  row: u32,
  k: u32,
  at: u32,
}

fn quad_of(e: u32, along_k: bool) -> Quad {
  if (along_k) {
    let row = e / (DEPTH / 4u);
    let k = e % (DEPTH / 4u) * 4u;
    return Quad(row, k, row * K_PITCH + k);
  }
  let row = e % (BLOCK / 4u) * 4u;
  let k = e / (BLOCK / 4u);
  return Quad(row, k, k * ROW_PITCH + row);
}

// The matrix of A whose first row within the block and first k are these.
fn left_of(row: u32, k: u32) -> Left {
  if (A_TRANSPOSED) { return left_columns(k * ROW_PITCH + row, ROW_PITCH); }
  return left_rows(row * K_PITCH + k, K_PITCH);
}

fn right_of(column: u32, k: u32) -> Right {
  if (B_TRANSPOSED) { return right_columns(column * K_PITCH + k, K_PITCH); }
  return right_rows(k * ROW_PITCH + column, ROW_PITCH);
}

// The matrices of a subgroup, row by row, and where its part of the block begins.
struct Part {
  row: u32,
  column: u32,
}

fn part_of(subgroup: u32) -> Part {
  return Part(subgroup % 2u * (BLOCK / 2u), subgroup / 2u * (BLOCK / 2u));
}

fn accumulate(place: Place, starts: Starts, sums: ptr<function, array<Sum, 16>>) {
  let part = part_of(subgroup_of(place));
  let lane = lane_of(place);
  var next_a: array<Operand4, LOADS>;
  var next_b: array<Operand4, LOADS>;
  //@unroll i < LOADS
  if (i < BLOCK / 16u) {
    let quad_a = quad_of(i * THREADS + place.thread, !A_TRANSPOSED);
    let quad_b = quad_of(i * THREADS + place.thread, B_TRANSPOSED);
    next_a[i] = a_loaded(starts.a, place.group.x * BLOCK + quad_a.row, quad_a.k);
    next_b[i] = b_loaded(starts.b, place.group.y * BLOCK + quad_b.row, quad_b.k);
  }
  //@end
  for (var k0 = 0u; k0 < params.K; k0 += DEPTH) {
    //@unroll i < LOADS
    if (i < BLOCK / 16u) {
      let at_a = quad_of(i * THREADS + place.thread, !A_TRANSPOSED).at;
      let at_b = quad_of(i * THREADS + place.thread, B_TRANSPOSED).at;
      //@unroll e < 4
      a_tile[at_a + e] = next_a[i][e];
      b_tile[at_b + e] = next_b[i][e];
      //@end
    }
    //@end
    workgroupBarrier();
    //@unroll i < LOADS
    if (i < BLOCK / 16u) {
      let quad_a = quad_of(i * THREADS + place.thread, !A_TRANSPOSED);
      let quad_b = quad_of(i * THREADS + place.thread, B_TRANSPOSED);
      next_a[i] = a_loaded(starts.a, place.group.x * BLOCK + quad_a.row, k0 + DEPTH + quad_a.k);
      next_b[i] = b_loaded(starts.b, place.group.y * BLOCK + quad_b.row, k0 + DEPTH + quad_b.k);
    }
    //@end
    for (var k = 0u; k < DEPTH; k += 16u) {
      var right: array<Right, 4>;
      //@unroll j < 4
      if (j < SIDE) { right[j] = right_of(part.column + 16u * j, k); }
      //@end
      //@unroll i < 4
      if (i < SIDE) {
        let left = left_of(part.row + 16u * i, k);
        //@unroll j < 4
        if (j < SIDE) { sums[4u * i + j] = multiplied(left, right[j], sums[4u * i + j], lane); }
        //@end
      }
      //@end
    }
    workgroupBarrier();
  }
}

@compute @workgroup_size(THREADS)
fn aligned_block(place: Place) {
  let starts = starts_of(place.group.z);
  var sums: array<Sum, 16>;
  accumulate(place, starts, &sums);
  let part = part_of(subgroup_of(place));
  let own = 256u * subgroup_of(place);
  let lane = lane_of(place);
  for (var each = 0u; each < SIDE * SIDE; each++) {
    //@unroll i < 4
    //@unroll j < 4
    if (each == i * SIDE + j && i < SIDE && j < SIDE) { put(own, sums[4u * i + j], lane); }
    //@end
    //@end
    workgroupBarrier();
    for (var e = 4u * lane; e < 256u; e += 128u) {
      let m = place.group.x * BLOCK + part.row + 16u * (each / SIDE) + e / 16u;
      let n = place.group.y * BLOCK + part.column + 16u * (each % SIDE) + e % 16u;
      let i = own + e;
      let sum = vec4f(scratch[i], scratch[i + 1u], scratch[i + 2u], scratch[i + 3u]);
      if (m < params.M && n < params.N) { store4(starts.c + m * params.c_row + n, n, sum); }
    }
    workgroupBarrier();
  }
}

@compute @workgroup_size(THREADS)
fn strided_block(place: Place) {
  let starts = starts_of(place.group.z);
  var sums: array<Sum, 16>;
  accumulate(place, starts, &sums);
  let part = part_of(subgroup_of(place));
  let own = 256u * subgroup_of(place);
  let lane = lane_of(place);
  for (var each = 0u; each < SIDE * SIDE; each++) {
    //@unroll i < 4
    //@unroll j < 4
    if (each == i * SIDE + j && i < SIDE && j < SIDE) { put(own, sums[4u * i + j], lane); }
    //@end
    //@end
    workgroupBarrier();
    for (var e = lane; e < 256u; e += 32u) {
      let m = place.group.x * BLOCK + part.row + 16u * (each / SIDE) + e / 16u;
      let n = place.group.y * BLOCK + part.column + 16u * (each % SIDE) + e % 16u;
      if (m < params.M && n < params.N) { store(starts.c + m * params.c_row + n, n, scratch[own + e]); }
    }
    workgroupBarrier();
  }
}
