// Matrix product for GPUs with subgroup matrices (tensor cores): C = alpha op(A) op(B), then an epilogue.
//
//   forward    C[m, n] = alpha * sum over k of A[m, k] B[k, n]  (+ bias[n])  (gelu)  (+ residual[m, n])  (+ C[m, n])
//   backward   made of the same products: dA = dC B^T, dB = A^T dC
//
// A workgroup owns a HEIGHT x WIDTH block of C, each of its subgroups a part of SIDE x SIDE matrices of 16 x 16 in
// registers. DEPTH k's of A and B at a time pass through workgroup memory as f16, in whichever direction they are
// contiguous; those of the two next turns are on their way while these are multiplied. Sums are f32; they leave through
// workgroup memory, a matrix at a time, for the epilogue.
//
// Shapes      A [batch, M, K] or transposed, B [batch, K, N] or transposed, C and residual [batch, M, N], bias [N];
//             each with its own row length in elements and two strides over the batch (outer, inner). All of these in
//             multiples of 4, as well as N, and K or M if A's or B's quads lie along it.
//             WHOLE: M is a multiple of HEIGHT, N of WIDTH and K of 2 DEPTH, so that nothing lies outside.
// Dispatch    one workgroup of THREADS per block: (blocks of M, blocks of N, batch)
// Called by   src/ops/product.ts
// Checked by  test/ops/product.test.ts

//@include quads
//@include matrix

override HEIGHT = 128u;
override WIDTH = 128u;
override SIDE = 4u; // 4 or 2
override WHOLE = false;
override PARTS = HEIGHT / (16u * SIDE); // subgroups above each other
override THREADS = 32u * PARTS * (WIDTH / (16u * SIDE));
override A_LOADS = HEIGHT * 8u / THREADS; // quads of A that a thread brings
override B_LOADS = WIDTH * 8u / THREADS;

const MOST_LOADS = 8;
const DEPTH = 32u;
// Of a tile [row][k]. Pitches are multiples of 8, as subgroup matrices want, but not of 32, so that rows begin in
// different banks.
const K_PITCH = 40u;
override A_PITCH = select(K_PITCH, HEIGHT + 8u, A_TRANSPOSED); // a tile of A^T is [k][row]
override B_PITCH = select(WIDTH + 8u, K_PITCH, B_TRANSPOSED);
// Blocks of M that are met for one block of N after the other: neighbours in time read the same A and B, which the
// GPU's cache then holds.
override BAND = 2048u / HEIGHT;

var<workgroup> a_tile: array<f16, K_PITCH * HEIGHT>;
var<workgroup> b_tile: array<f16, K_PITCH * WIDTH>;
var<workgroup> scratch: array<f32, THREADS * 16u>; // two matrices of each subgroup, in turn

// Quad e of a tile: its first row (of A; column of B) and k within the block, and its place in the tile.
struct Quad {
  row: u32,
  k: u32,
  at: u32,
}

fn quad_of(e: u32, rows: u32, along_k: bool, pitch: u32) -> Quad {
  if (along_k) {
    // Of eight rows the threads of a subgroup take 0, 4, 1, 5 or 2, 6, 3, 7: pairs that lie in different banks.
    let line = e / (DEPTH / 4u);
    let row = line / 8u * 8u + line % 2u * 4u + line / 2u % 4u;
    let k = e % (DEPTH / 4u) * 4u;
    return Quad(row, k, row * pitch + k);
  }
  let row = e % (rows / 4u) * 4u;
  let k = e / (rows / 4u);
  return Quad(row, k, k * pitch + row);
}

fn quad_of_a(i: u32, thread: u32) -> Quad { return quad_of(i * THREADS + thread, HEIGHT, !A_TRANSPOSED, A_PITCH); }

fn quad_of_b(i: u32, thread: u32) -> Quad { return quad_of(i * THREADS + thread, WIDTH, B_TRANSPOSED, B_PITCH); }

// A[m, k] and the three after it; B[k, n] likewise.
fn next_a(start: u32, m: u32, k: u32) -> Operand4 {
  if (WHOLE) { return a_quad((start + select(m * params.a_row + k, k * params.a_row + m, A_TRANSPOSED)) / 4u); }
  return a_loaded(start, m, k);
}

fn next_b(start: u32, n: u32, k: u32) -> Operand4 {
  if (WHOLE) { return b_quad((start + select(k * params.b_row + n, n * params.b_row + k, B_TRANSPOSED)) / 4u); }
  return b_loaded(start, n, k);
}

// The matrix of A whose first row within the block and first k are these.
fn left_of(row: u32, k: u32) -> Left {
  if (A_TRANSPOSED) { return left_columns(k * A_PITCH + row, A_PITCH); }
  return left_rows(row * A_PITCH + k, A_PITCH);
}

fn right_of(column: u32, k: u32) -> Right {
  if (B_TRANSPOSED) { return right_columns(column * B_PITCH + k, B_PITCH); }
  return right_rows(k * B_PITCH + column, B_PITCH);
}

// Where a workgroup's block, or a subgroup's part of it, begins.
struct Corner {
  m: u32,
  n: u32,
}

fn block_of(group: vec3u, groups: vec3u) -> Corner {
  let turn = group.y * groups.x + group.x;
  let band = BAND * groups.y;
  let first = turn / band * BAND;
  let height = min(groups.x - first, BAND);
  return Corner((first + turn % band % height) * HEIGHT, turn % band / height * WIDTH);
}

fn part_of(subgroup: u32) -> Corner { return Corner(subgroup % PARTS * 16u * SIDE, subgroup / PARTS * 16u * SIDE); }

// Each sum and each quad on its way has a variable of its own: compilers keep arrays of matrices in memory.
@compute @workgroup_size(THREADS)
fn aligned_block(place: Place) {
  let starts = starts_of(place.group.z);
  let block = block_of(place.group, place.groups);
  let subgroup = subgroup_of(place);
  let part = part_of(subgroup);
  let lane = lane_of(place);
  let last = select(0xffffff00u, params.K - DEPTH, WHOLE); // where the last k's begin; what lies outside is zero

  //@names i < MOST_LOADS
  var a0_$i: Operand4;
  var a1_$i: Operand4;
  var b0_$i: Operand4;
  var b1_$i: Operand4;
  //@end
  //@unroll s < 2
  //@unroll i < MOST_LOADS
  if (i < A_LOADS) {
    let quad = quad_of_a(i, place.thread);
    a$s_$i = next_a(starts.a, block.m + quad.row, min(s * DEPTH, last) + quad.k);
  }
  if (i < B_LOADS) {
    let quad = quad_of_b(i, place.thread);
    b$s_$i = next_b(starts.b, block.n + quad.row, min(s * DEPTH, last) + quad.k);
  }
  //@end
  //@end
  //@names i < 4
  //@names j < 4
  var sum_$i_$j: Sum;
  //@end
  //@end

  // Two turns at a time and none of them skipped: around a branch the compiler does not move loads.
  for (var k0 = 0u; k0 < params.K; k0 += 2u * DEPTH) {
    //@unroll s < 2
    //@unroll i < MOST_LOADS
    if (i < A_LOADS) {
      let at = quad_of_a(i, place.thread).at;
      //@unroll e < 4
      a_tile[at + e] = a$s_$i[e];
      //@end
    }
    if (i < B_LOADS) {
      let at = quad_of_b(i, place.thread).at;
      //@unroll e < 4
      b_tile[at + e] = b$s_$i[e];
      //@end
    }
    //@end
    workgroupBarrier();
    let next = min(k0 + (s + 2u) * DEPTH, last); // beyond the last they are not used
    //@unroll i < MOST_LOADS
    if (i < A_LOADS) {
      let quad = quad_of_a(i, place.thread);
      a$s_$i = next_a(starts.a, block.m + quad.row, next + quad.k);
    }
    if (i < B_LOADS) {
      let quad = quad_of_b(i, place.thread);
      b$s_$i = next_b(starts.b, block.n + quad.row, next + quad.k);
    }
    //@end
    //@unroll t < 2
    //@names j < 4
    var right_$j: Right;
    if ($ju < SIDE) { right_$j = right_of(part.n + 16u * $ju, 16u * t); }
    //@end
    //@unroll i < 4
    if (i < SIDE) {
      let left = left_of(part.m + 16u * i, 16u * t);
      //@unroll j < 4
      if (j < SIDE) { sum_$i_$j = multiplied(left, right_$j, sum_$i_$j, lane); }
      //@end
    }
    //@end
    //@end
    workgroupBarrier();
    //@end
  }

  //@unroll i < 4
  if (i < SIDE) {
    // The epilogue is long: a copy for each row of matrices, and not for each of them.
    for (var column = 0u; column < rolled(SIDE); column++) {
      let own = 512u * subgroup + column % 2u * 256u;
      //@unroll j < 4
      if (j < SIDE && column == j) { put(own, sum_$i_$j, lane); }
      //@end
      workgroupBarrier();
      for (var e = 4u * lane; e < 256u; e += 128u) {
        let m = block.m + part.m + 16u * i + e / 16u;
        let n = block.n + part.n + 16u * column + e % 16u;
        let at = own + e;
        let sum = vec4f(scratch[at], scratch[at + 1u], scratch[at + 2u], scratch[at + 3u]);
        if (WHOLE || (m < params.M && n < params.N)) { store4(starts.c + m * params.c_row + n, n, sum); }
      }
    }
  }
  //@end
}
