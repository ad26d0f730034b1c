// Matrix product for lavapipe, of large matrices that were copied to textures: as kernels/matmul_subgroup.wgsl computes
// it, in the same order, so to the same bits.
//
//   forward    C[m, n] = alpha * sum over k of A[m, k] B[k, n]  (+ bias[n])  (gelu)  (+ residual[m, n])  (+ C[m, n])
//   backward   made of the same products: dA = dC B^T, dB = A^T dC
//
// A texel is read by one function without a branch where a vec4 of a buffer takes 32 loads that are each checked, and
// panels keep what a block reads together (src/engine/texels.ts).
//
// Shapes      A as [K, M] and B as [K, N], in panels of 32 columns, however they are stored; C and residual [M, N],
//             bias [N]; M, N and K in multiples of 4
// Dispatch    one workgroup (one subgroup) per 4 LANES x 4 LANES block: (blocks of M, blocks of N)
// Called by   src/ops/product.ts
// Checked by  test/ops/texels.test.ts

//@include broadcast
//@include panels

@group(0) @binding(4) var a_texels: texture_2d_array<f32>;
@group(0) @binding(5) var b_texels: texture_2d_array<f32>;

// Texel x of a panel's row `at`, counted from the first panel's first.
fn a_texel(x: u32, at: u32) -> vec4f { return textureLoad(a_texels, vec2u(x, at % HEIGHT), at / HEIGHT, 0); }
fn b_texel(x: u32, at: u32) -> vec4f { return textureLoad(b_texels, vec2u(x, at % HEIGHT), at / HEIGHT, 0); }

// A lane's vec4 of A spans four rows.
@compute @workgroup_size(LANES)
fn block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row = group.x * ROWS;
  let n = 4u * (group.y * LANES + lane);
  let column = min(n, params.N - 4u) / 4u;
  let quad = min(row + 4u * lane, params.M - 4u) / 4u;
  let a_x = quad % WIDTH;
  let b_x = column % WIDTH;
  var a_at = quad / WIDTH * params.K;
  var b_at = column / WIDTH * params.K;
  var sums: array<vec4f, ROWS>;
  let steps = params.K / 4u;
  for (var k = 0u; k < steps; k++) {
    let a0 = a_texel(a_x, a_at);
    let a1 = a_texel(a_x, a_at + 1u);
    let a2 = a_texel(a_x, a_at + 2u);
    let a3 = a_texel(a_x, a_at + 3u);
    let b0 = b_texel(b_x, b_at);
    let b1 = b_texel(b_x, b_at + 1u);
    let b2 = b_texel(b_x, b_at + 2u);
    let b3 = b_texel(b_x, b_at + 3u);
    a_at += 4u;
    b_at += 4u;
    add_across(&sums, mat4x4f(a0, a1, a2, a3), mat4x4f(b0, b1, b2, b3));
  }
  store_rows(starts_of(0u).c, row, n, groups.x, &sums);
}
