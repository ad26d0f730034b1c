// Matrix product for GPUs: C = alpha op(A) op(B), then an epilogue.
//
//   forward    C[m, n] = alpha * sum over k of A[m, k] B[k, n]  (+ bias[n])  (gelu)  (+ residual[m, n])  (+ C[m, n])
//   backward   made of the same products: dA = dC B^T, dB = A^T dC
//
// A workgroup owns a BLOCK x BLOCK block of C. DEPTH k's of A and B at a time pass through workgroup memory, a vec4 of
// each per thread, in whichever direction they are contiguous; the next ones are on their way while these are
// multiplied. A thread owns 8 rows and 8 columns (4 of the small block) in registers: for 4 k's it reads 16 vec4s and
// does 256 multiplications. Operands lie there as f32 or f16; products and sums are f32.
//
// Shapes      A [batch, M, K] or transposed, B [batch, K, N] or transposed, C and residual [batch, M, N], bias [N];
//             each with its own row length in floats and two strides over the batch (outer, inner).
//             aligned: all of these in multiples of 4, as well as N, and K or M if A's or B's quads lie along it.
//             strided: any sizes, ALIGNED = false.
// Dispatch    one workgroup of 2 BLOCK threads per block: (blocks of M, blocks of N, batch)
// Called by   src/ops/product.ts
// Checked by  test/ops/matmul.test.ts, test/ops/product.test.ts

//@include quads

override BLOCK = 128u; // 128 or 64
override THREADS = 2u * BLOCK;
override QUADS = BLOCK / 4u; // of rows or columns in a block
override WIDE = BLOCK == 128u; // a thread owns 8 columns, not 4

const DEPTH = 8u;
const K_QUADS = 2u; // DEPTH / 4
// Quads along k lie as [row % 4][row / 4][k / 4], so that neighbouring threads, which own neighbouring quads of rows,
// read neighbouring ones; a third one pads, or they would meet in the same banks. Quads along rows lie as [k][row / 4].
const K_PITCH = 3u;
override K_PLANE = K_PITCH * QUADS + 2u; // from row % 4 to the next: two more, for those who write neighbouring rows

var<workgroup> a_tile: array<Operand4, 4u * K_PLANE>;
var<workgroup> b_tile: array<Operand4, 4u * K_PLANE>;

// The quad that a thread brings: its first row (of A; column of B) and k within the block, and its place in the tile.
struct Quad {
  row: u32,
  k: u32,
  slot: u32,
}

fn quad_of(thread: u32, along_k: bool) -> Quad {
  if (along_k) {
    let row = thread / K_QUADS;
    let q = thread % K_QUADS;
    return Quad(row, 4u * q, row % 4u * K_PLANE + row / 4u * K_PITCH + q);
  }
  return Quad(thread % QUADS * 4u, thread / QUADS, thread);
}

// Four k's of four rows of A, one row to a column of the result; and of four columns of B, one k to a column.
fn a_rows(quad: u32, q: u32) -> mat4x4f {
  if (A_TRANSPOSED) {
    let i = 4u * q * QUADS + quad;
    return transpose(mat4x4f(
      vec4f(a_tile[i]), vec4f(a_tile[i + QUADS]), vec4f(a_tile[i + 2u * QUADS]), vec4f(a_tile[i + 3u * QUADS])));
  }
  let i = quad * K_PITCH + q;
  return mat4x4f(
    vec4f(a_tile[i]), vec4f(a_tile[i + K_PLANE]), vec4f(a_tile[i + 2u * K_PLANE]), vec4f(a_tile[i + 3u * K_PLANE]));
}

fn b_steps(quad: u32, q: u32) -> mat4x4f {
  if (B_TRANSPOSED) {
    let i = quad * K_PITCH + q;
    return transpose(mat4x4f(
      vec4f(b_tile[i]), vec4f(b_tile[i + K_PLANE]), vec4f(b_tile[i + 2u * K_PLANE]), vec4f(b_tile[i + 3u * K_PLANE])));
  }
  let i = 4u * q * QUADS + quad;
  return mat4x4f(
    vec4f(b_tile[i]), vec4f(b_tile[i + QUADS]), vec4f(b_tile[i + 2u * QUADS]), vec4f(b_tile[i + 3u * QUADS]));
}

fn multiplied(row: vec4f, b: mat4x4f, sum: vec4f) -> vec4f {
  return fma(vec4f(row.w), b[3], fma(vec4f(row.z), b[2], fma(vec4f(row.y), b[1], fma(vec4f(row.x), b[0], sum))));
}

// Which quads of rows and of columns a thread owns: m and n, and those half a block further. A warp of 32 takes 4 x 8.
struct Own {
  m: u32,
  n: u32,
}

fn own(thread: u32) -> Own {
  return Own(thread / 8u % 4u + 4u * (thread / 64u), thread % 8u + 8u * (thread / 32u % 2u));
}

// sums[2 r + h]: row r % 4 of row quad r / 4 of the thread, half h of its columns.
fn accumulate(group: vec3u, thread: u32, starts: Starts, sums: ptr<function, array<vec4f, 16>>) {
  let mine = own(thread);
  let quad_a = quad_of(thread, !A_TRANSPOSED);
  let quad_b = quad_of(thread, B_TRANSPOSED);
  let m = group.x * BLOCK + quad_a.row;
  let n = group.y * BLOCK + quad_b.row;
  var next_a = a_loaded(starts.a, m, quad_a.k);
  var next_b = b_loaded(starts.b, n, quad_b.k);
  for (var k = 0u; k < params.K; k += DEPTH) {
    a_tile[quad_a.slot] = next_a;
    b_tile[quad_b.slot] = next_b;
    workgroupBarrier();
    next_a = a_loaded(starts.a, m, k + DEPTH + quad_a.k);
    next_b = b_loaded(starts.b, n, k + DEPTH + quad_b.k);
    for (var q = 0u; q < K_QUADS; q++) {
      let b0 = b_steps(mine.n, q);
      var b1 = mat4x4f();
      if (WIDE) { b1 = b_steps(mine.n + QUADS / 2u, q); }
      //@unroll i < 2
      let rows = a_rows(mine.m + i * (QUADS / 2u), q);
      //@unroll r < 4
      sums[8u * i + 2u * r] = multiplied(rows[r], b0, sums[8u * i + 2u * r]);
      if (WIDE) { sums[8u * i + 2u * r + 1u] = multiplied(rows[r], b1, sums[8u * i + 2u * r + 1u]); }
      //@end
      //@end
    }
    workgroupBarrier();
  }
}

// One copy of the epilogue for all of a thread's rows compiles ten times faster than a copy for each: a trip count that
// no compiler can bound keeps the loop rolled, and `rolled` takes the place of registers, which no loop can count.
fn rows_of(groups: vec3u) -> u32 { return 8u * min(groups.x, 1u); }

fn row_of(group: vec3u, mine: Own, r: u32) -> u32 {
  return group.x * BLOCK + r / 4u * (BLOCK / 2u) + 4u * mine.m + r % 4u;
}

@compute @workgroup_size(THREADS)
fn aligned_block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let starts = starts_of(group.z);
  var sums: array<vec4f, 16>;
  accumulate(group, thread, starts, &sums);
  let mine = own(thread);
  var rolled = sums;
  for (var e = 0u; e < 2u * rows_of(groups); e += select(2u, 1u, WIDE)) {
    let m = row_of(group, mine, e / 2u);
    let n = group.y * BLOCK + e % 2u * (BLOCK / 2u) + 4u * mine.n;
    if (m < params.M && n < params.N) { store4(starts.c + m * params.c_row + n, n, rolled[e]); }
  }
}

@compute @workgroup_size(THREADS)
fn strided_block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let starts = starts_of(group.z);
  var sums: array<vec4f, 16>;
  accumulate(group, thread, starts, &sums);
  let mine = own(thread);
  var rolled = sums;
  for (var e = 0u; e < 2u * rows_of(groups); e += select(2u, 1u, WIDE)) {
    let m = row_of(group, mine, e / 2u);
    let first = group.y * BLOCK + e % 2u * (BLOCK / 2u) + 4u * mine.n;
    let columns = select(0u, min(4u, params.N - min(first, params.N)), m < params.M);
    for (var j = 0u; j < columns; j++) {
      store(starts.c + m * params.c_row + first + j, first + j, rolled[e][j]);
    }
  }
}
