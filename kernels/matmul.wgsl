// Matrix product for GPUs: C = alpha op(A) op(B), then an epilogue.
//
//   forward    C[m, n] = alpha * sum over k of A[m, k] B[k, n]  (+ bias[n])  (gelu)  (+ residual[m, n])  (+ C[m, n])
//   backward   made of the same products: dA = dC B^T, dB = A^T dC
//
// A workgroup owns a BLOCK x BLOCK block of C. DEPTH k's of A and B at a time pass through workgroup memory, two vec4s
// of each per thread; the next ones are on their way while these are multiplied. A thread owns 8 rows and 8 columns (4
// of the small block) in registers: for a k it reads 4 vec4s and does 64 multiplications. Operands lie there as f32 or
// f16; products and sums are f32.
//
// Shapes      A [batch, M, K] or transposed, B [batch, K, N] or transposed, C and residual [batch, M, N], bias [N];
//             each with its own row length in elements and two strides over the batch (outer, inner).
//             aligned: all of these in multiples of 4, as well as N, and K or M if A's or B's quads lie along it.
//             WHOLE: besides, M and N are multiples of BLOCK and K of DEPTH, so that nothing lies outside.
//             strided: any sizes, ALIGNED = false.
// Dispatch    one workgroup of 2 BLOCK threads per block: (blocks of M, blocks of N, batch)
// Called by   src/ops/product.ts
// Checked by  test/ops/matmul.test.ts, test/ops/product.test.ts

//@include quads

override BLOCK = 128u; // 128 or 64
override THREADS = 2u * BLOCK;
override WIDE = BLOCK == 128u; // a thread owns 8 columns, not 4
override WHOLE = false;

const DEPTH = 16u;
const LOADS = 2; // quads of A that a thread brings, and of B

var<workgroup> a_tile: array<Operand, DEPTH * BLOCK>;
var<workgroup> b_tile: array<Operand, DEPTH * BLOCK>;

// The quad that a thread brings: its first row (of A; column of B) and k within the block.
struct Quad {
  row: u32,
  k: u32,
}

fn quad_of(e: u32, along_k: bool) -> Quad {
  if (along_k) { return Quad(e / (DEPTH / 4u), e % (DEPTH / 4u) * 4u); }
  return Quad(e % (BLOCK / 4u) * 4u, e / (BLOCK / 4u));
}

// Where element `e` of a quad lies in a tile.
fn slot(quad: Quad, e: u32, along_k: bool) -> u32 {
  if (along_k) { return (quad.k + e) * BLOCK + quad.row; }
  return quad.k * BLOCK + quad.row + e;
}

// A[m, k] and the three after it; B[k, n] likewise.
fn next_a(start: u32, m: u32, k: u32) -> Operand4 {
  if (WHOLE) { return a_quad((start + select(m * params.a_row + k, k * params.a_row + m, A_TRANSPOSED)) / 4u); }
  return a_loaded(start, m, k);
}

fn next_b(start: u32, n: u32, k: u32) -> Operand4 {
  if (WHOLE) { return b_quad((start + select(k * params.b_row + n, n * params.b_row + k, B_TRANSPOSED)) / 4u); }
  return b_loaded(start, n, k);
}

fn a_four(at: u32) -> vec4f {
  return vec4f(f32(a_tile[at]), f32(a_tile[at + 1u]), f32(a_tile[at + 2u]), f32(a_tile[at + 3u]));
}

fn b_four(at: u32) -> vec4f {
  return vec4f(f32(b_tile[at]), f32(b_tile[at + 1u]), f32(b_tile[at + 2u]), f32(b_tile[at + 3u]));
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
  let m = group.x * BLOCK;
  let n = group.y * BLOCK;
  var a: array<Operand4, LOADS>;
  var b: array<Operand4, LOADS>;
  //@unroll i < LOADS
  let quad_a = quad_of(i * THREADS + thread, !A_TRANSPOSED);
  let quad_b = quad_of(i * THREADS + thread, B_TRANSPOSED);
  a[i] = next_a(starts.a, m + quad_a.row, quad_a.k);
  b[i] = next_b(starts.b, n + quad_b.row, quad_b.k);
  //@end
  let last = select(0xffffff00u, params.K - DEPTH, WHOLE); // where the last k's begin; what lies outside is zero
  for (var k0 = 0u; k0 < params.K; k0 += DEPTH) {
    //@unroll i < LOADS
    let quad_a = quad_of(i * THREADS + thread, !A_TRANSPOSED);
    let quad_b = quad_of(i * THREADS + thread, B_TRANSPOSED);
    //@unroll e < 4
    a_tile[slot(quad_a, e, !A_TRANSPOSED)] = a[i][e];
    b_tile[slot(quad_b, e, B_TRANSPOSED)] = b[i][e];
    //@end
    //@end
    workgroupBarrier();
    let next = min(k0 + DEPTH, last); // those of the last turn are not used
    //@unroll i < LOADS
    let quad_a = quad_of(i * THREADS + thread, !A_TRANSPOSED);
    let quad_b = quad_of(i * THREADS + thread, B_TRANSPOSED);
    a[i] = next_a(starts.a, m + quad_a.row, next + quad_a.k);
    b[i] = next_b(starts.b, n + quad_b.row, next + quad_b.k);
    //@end
    for (var k = 0u; k < DEPTH; k++) {
      let b0 = b_four(k * BLOCK + 4u * mine.n);
      var b1 = vec4f();
      if (WIDE) { b1 = b_four(k * BLOCK + 4u * mine.n + BLOCK / 2u); }
      //@unroll i < 2
      let rows = a_four(k * BLOCK + 4u * mine.m + i * (BLOCK / 2u));
      //@unroll r < 4
      sums[8u * i + 2u * r] = fma(vec4f(rows[r]), b0, sums[8u * i + 2u * r]);
      if (WIDE) { sums[8u * i + 2u * r + 1u] = fma(vec4f(rows[r]), b1, sums[8u * i + 2u * r + 1u]); }
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
    if (WHOLE || (m < params.M && n < params.N)) { store4(starts.c + m * params.c_row + n, n, rolled[e]); }
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
