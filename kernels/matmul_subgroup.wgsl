// Matrix product for adapters with subgroups of 4 to 16 lanes, which are software: C = alpha op(A) op(B), then an epilogue.
//
//   forward    C[m, n] = alpha * sum over k of A[m, k] B[k, n]  (+ bias[n])  (gelu)  (+ residual[m, n])  (+ C[m, n])
//   backward   made of the same products: dA = dC B^T, dB = A^T dC
//
// One subgroup owns 4 LANES x 4 LANES of C in registers. In each step of four k's a lane loads a vec4 of A once, and
// every lane gets it by subgroupBroadcast with a constant lane, the one cheap way to make a scalar of a loaded value
// on a CPU. No workgroup memory, no barrier, no branch in the loop.
//
// Shapes      A [batch, M, K] or transposed, B [batch, K, N] or transposed, C and residual [batch, M, N], bias [N];
//             each with its own row length in floats and two strides over the batch (outer, inner).
//             nn, nt, tn: vec4 loads, so row lengths and strides in multiples of 4, and N and K, or M, N and K.
//             strided: any shape.
// Dispatch    one workgroup (one subgroup) per 4 LANES x 4 LANES block: (blocks of M, blocks of N, batch); M runs fastest
//             to keep a panel of B in cache
// Called by   src/ops/product.ts
// Checked by  test/ops/matmul.test.ts, test/ops/product.test.ts

//@include broadcast

const A_LOADS = 4; // vec4s of A per lane and step

struct Block {
  row: u32,
  column: u32,
  a: u32, // where this batch begins
  b: u32,
  c: u32,
}

fn block_of(group: vec3u, rows: u32) -> Block {
  let starts = starts_of(group.z);
  return Block(group.x * rows, group.y * 4u * LANES, starts.a, starts.b, starts.c);
}

// sums[r] += sum over four k of A[r, k] b[k], of vec4s of A that run along k: lane l's va[i] is of row i LANES + l.
fn add_along(sums: ptr<function, array<vec4f, ROWS>>, va: array<vec4f, A_LOADS>, b: mat4x4f) {
  //@unroll r < ROWS
  let v = va[r / LANES];
  sums[r] = fma(vec4f(subgroupBroadcast(v.w, r % LANES)), b[3],
    fma(vec4f(subgroupBroadcast(v.z, r % LANES)), b[2],
    fma(vec4f(subgroupBroadcast(v.y, r % LANES)), b[1],
    fma(vec4f(subgroupBroadcast(v.x, r % LANES)), b[0], sums[r]))));
  //@end
}

// A as stored [M, K], B as stored [K, N].
@compute @workgroup_size(LANES)
fn nn_block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let block = block_of(group, ROWS);
  let n = block.column + 4u * lane;
  let b_row = params.b_row / 4u;
  var ib = (block.b + min(n, params.N - 4u)) / 4u;
  var ia: array<u32, A_LOADS>;
  //@unroll i < A_LOADS
  ia[i] = (block.a + min(block.row + i * LANES + lane, params.M - 1u) * params.a_row) / 4u;
  //@end
  var sums: array<vec4f, ROWS>;
  let steps = params.K / 4u;
  for (var k = 0u; k < steps; k++) {
    var va: array<vec4f, A_LOADS>;
    //@unroll i < A_LOADS
    va[i] = widened(a_quad(ia[i]));
    ia[i] += 1u;
    //@end
    let b0 = widened(b_quad(ib));
    let b1 = widened(b_quad(ib + b_row));
    let b2 = widened(b_quad(ib + 2u * b_row));
    let b3 = widened(b_quad(ib + 3u * b_row));
    ib += 4u * b_row;
    add_along(&sums, va, mat4x4f(b0, b1, b2, b3));
  }
  store_rows(block.c, block.row, n, groups.x, &sums);
}

// A as stored [M, K], B as stored [N, K]: y = x W^T. A lane's loads of B run along k and are turned in its registers.
@compute @workgroup_size(LANES)
fn nt_block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let block = block_of(group, ROWS);
  let n = block.column + 4u * lane;
  let b_row = params.b_row / 4u;
  let i0 = block.b / 4u + min(n, params.N - 4u) * b_row;
  var ia: array<u32, A_LOADS>;
  //@unroll i < A_LOADS
  ia[i] = (block.a + min(block.row + i * LANES + lane, params.M - 1u) * params.a_row) / 4u;
  //@end
  var sums: array<vec4f, ROWS>;
  let steps = params.K / 4u;
  for (var k = 0u; k < steps; k++) {
    var va: array<vec4f, A_LOADS>;
    //@unroll i < A_LOADS
    va[i] = widened(a_quad(ia[i]));
    ia[i] += 1u;
    //@end
    let t0 = widened(b_quad(i0 + k));
    let t1 = widened(b_quad(i0 + b_row + k));
    let t2 = widened(b_quad(i0 + 2u * b_row + k));
    let t3 = widened(b_quad(i0 + 3u * b_row + k));
    add_along(&sums, va, transpose(mat4x4f(t0, t1, t2, t3)));
  }
  store_rows(block.c, block.row, n, groups.x, &sums);
}

// The same of vec4s that span rows: lane l's a[k] is of rows 4 l to 4 l + 3.
fn add_across(sums: ptr<function, array<vec4f, ROWS>>, a: mat4x4f, b: mat4x4f) {
  //@unroll r < LANES
  //@unroll q < 4
  sums[4u * r + q] = fma(vec4f(subgroupBroadcast(a[3][q], r)), b[3],
    fma(vec4f(subgroupBroadcast(a[2][q], r)), b[2],
    fma(vec4f(subgroupBroadcast(a[1][q], r)), b[1],
    fma(vec4f(subgroupBroadcast(a[0][q], r)), b[0], sums[4u * r + q]))));
  //@end
  //@end
}

// A as stored [K, M], B as stored [K, N]: dW = x^T dy. A lane's vec4 of A spans four rows.
@compute @workgroup_size(LANES)
fn tn_block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let block = block_of(group, ROWS);
  let n = block.column + 4u * lane;
  let a_row = params.a_row / 4u;
  let b_row = params.b_row / 4u;
  var ia = (block.a + min(block.row + 4u * lane, params.M - 4u)) / 4u;
  var ib = (block.b + min(n, params.N - 4u)) / 4u;
  var sums: array<vec4f, ROWS>;
  let steps = params.K / 4u;
  for (var k = 0u; k < steps; k++) {
    let a0 = widened(a_quad(ia));
    let a1 = widened(a_quad(ia + a_row));
    let a2 = widened(a_quad(ia + 2u * a_row));
    let a3 = widened(a_quad(ia + 3u * a_row));
    let b0 = widened(b_quad(ib));
    let b1 = widened(b_quad(ib + b_row));
    let b2 = widened(b_quad(ib + 2u * b_row));
    let b3 = widened(b_quad(ib + 3u * b_row));
    ia += 4u * a_row;
    ib += 4u * b_row;
    add_across(&sums, mat4x4f(a0, a1, a2, a3), mat4x4f(b0, b1, b2, b3));
  }
  store_rows(block.c, block.row, n, groups.x, &sums);
}

// Stores rows whose four columns are LANES apart.
fn store_apart(block: Block, groups: u32, n: u32, sums: ptr<function, array<vec4f, ROWS>>) {
  var rolled = *sums;
  let rows = min(ROWS * min(groups, 1u), params.M - block.row);
  for (var r = 0u; r < rows; r++) {
    let at = block.c + (block.row + r) * params.c_row;
    for (var j = 0u; j < 4u; j++) {
      let column = n + j * LANES;
      if (column < params.N) { store(at + column, column, rolled[r][j]); }
    }
  }
}

// Any shape and layout.
@compute @workgroup_size(LANES)
fn strided_block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let block = block_of(group, ROWS);
  let n = block.column + lane;
  let last = params.N - 1u;
  let a_m = select(params.a_row, 1u, A_TRANSPOSED);
  let a_k = select(1u, params.a_row, A_TRANSPOSED);
  let b_n = select(1u, params.b_row, B_TRANSPOSED);
  let b_k = select(params.b_row, 1u, B_TRANSPOSED);
  var i0 = block.b + min(n, last) * b_n;
  var i1 = block.b + min(n + LANES, last) * b_n;
  var i2 = block.b + min(n + 2u * LANES, last) * b_n;
  var i3 = block.b + min(n + 3u * LANES, last) * b_n;
  var ia: array<u32, A_LOADS>;
  //@unroll i < A_LOADS
  ia[i] = block.a + min(block.row + i * LANES + lane, params.M - 1u) * a_m;
  //@end
  var sums: array<vec4f, ROWS>;
  for (var k = 0u; k < params.K; k++) {
    var va: array<f32, A_LOADS>;
    //@unroll i < A_LOADS
    va[i] = widened(Operand4(a_at(ia[i]), 0, 0, 0)).x;
    ia[i] += a_k;
    //@end
    let vb = widened(Operand4(b_at(i0), b_at(i1), b_at(i2), b_at(i3)));
    i0 += b_k;
    i1 += b_k;
    i2 += b_k;
    i3 += b_k;
    //@unroll r < ROWS
    sums[r] = fma(vec4f(subgroupBroadcast(va[r / LANES], r % LANES)), vb, sums[r]);
    //@end
  }
  store_apart(block, groups.x, n, &sums);
}
