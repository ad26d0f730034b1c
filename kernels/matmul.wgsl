// Matrix product for GPUs: C = alpha op(A) op(B), then an epilogue.
//
//   forward    C[m, n] = alpha * sum over k of A[m, k] B[k, n]  (+ bias[n])  (gelu)  (+ residual[m, n])  (+ C[m, n])
//   backward   made of the same products: dA = dC B^T, dB = A^T dC
//
// A workgroup owns a TILE x TILE block of C, a thread 4 x 4 of it in registers. DEPTH k's of A and B at a time pass
// through workgroup memory, read from A and B in whichever direction is contiguous.
//
// Shapes      A [batch, M, K] or transposed, B [batch, K, N] or transposed, C and residual [batch, M, N], bias [N];
//             each with its own row length in floats and two strides over the batch (outer, inner); any sizes
// Dispatch    one workgroup of 256 threads per block: (blocks of M, blocks of N, batch)
// Called by   src/ops/product.ts
// Checked by  test/ops/matmul.test.ts

//@include product

const TILE = 64u;
const DEPTH = 16u;
const THREADS = 256u;
const PITCH = 65u; // TILE + 1: threads that write a column hit different banks


var<workgroup> a_tile: array<f32, 1040>; // [DEPTH, PITCH]
var<workgroup> b_tile: array<f32, 1040>;

@compute @workgroup_size(THREADS)
fn forward_tile(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let starts = starts_of(group.z);
  let first_m = group.x * TILE;
  let first_n = group.y * TILE;
  let a_m = select(params.a_row, 1u, A_TRANSPOSED);
  let a_k = select(1u, params.a_row, A_TRANSPOSED);
  let b_n = select(1u, params.b_row, B_TRANSPOSED);
  let b_k = select(params.b_row, 1u, B_TRANSPOSED);
  let tm = 4u * (thread / 16u);
  let tn = 4u * (thread % 16u);

  var sums: array<vec4f, 4>;
  for (var k0 = 0u; k0 < params.K; k0 += DEPTH) {
    for (var e = thread; e < TILE * DEPTH; e += THREADS) {
      var m = e / DEPTH;
      var k = e % DEPTH;
      if (A_TRANSPOSED) { m = e % TILE; k = e / TILE; }
      let inside = first_m + m < params.M && k0 + k < params.K;
      a_tile[k * PITCH + m] = select(0.0, a[select(0u, starts.a + (first_m + m) * a_m + (k0 + k) * a_k, inside)], inside);
    }
    for (var e = thread; e < TILE * DEPTH; e += THREADS) {
      var n = e % TILE;
      var k = e / TILE;
      if (B_TRANSPOSED) { n = e / DEPTH; k = e % DEPTH; }
      let inside = first_n + n < params.N && k0 + k < params.K;
      b_tile[k * PITCH + n] = select(0.0, b[select(0u, starts.b + (first_n + n) * b_n + (k0 + k) * b_k, inside)], inside);
    }
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k++) {
      let at_a = k * PITCH + tm;
      let at_b = k * PITCH + tn;
      let row = vec4f(b_tile[at_b], b_tile[at_b + 1u], b_tile[at_b + 2u], b_tile[at_b + 3u]);
      sums[0] = fma(vec4f(a_tile[at_a]), row, sums[0]);
      sums[1] = fma(vec4f(a_tile[at_a + 1u]), row, sums[1]);
      sums[2] = fma(vec4f(a_tile[at_a + 2u]), row, sums[2]);
      sums[3] = fma(vec4f(a_tile[at_a + 3u]), row, sums[3]);
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < 4u; i++) {
    let m = first_m + tm + i;
    for (var j = 0u; j < 4u; j++) {
      let n = first_n + tn + j;
      if (m >= params.M || n >= params.N) { continue; }
      let at = starts.c + m * params.c_row + n;
      store(at, n, sums[i][j]);
    }
  }
}
