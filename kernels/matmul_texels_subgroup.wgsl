// Matrix product for lavapipe, of large matrices that were copied to textures: as kernels/matmul_subgroup.wgsl computes
// it, in the same order, so to the same bits.
//
//   forward    C[m, n] = alpha * sum over k of A[m, k] B[k, n]  (+ bias[n])  (gelu)  (+ residual[m, n])  (+ C[m, n])
//   backward   made of the same products: dA = dC B^T, dB = A^T dC
//
// A texel is read by one function without a branch where a vec4 of a buffer takes 32 loads that are each checked, and
// textures keep together what a block reads (src/engine/texels.ts). Of A a block takes 4 LANES rows and k's at a time, of
// which a lane holds four k's of each row; subgroupShuffle hands these to all lanes, for two panels of B. Each panel has
// a loop of its own, so that the code of a loop stays small.
//
// With FLIPPED it is C^T = B^T A^T that a block computes, and turns as it stores: where B^T and A^T are what is stored, or
// the smaller of them has to be turned.
//
// Shapes      A as [M, K] in tiles, B as [K, N] in panels, however they are stored, FLIPPED B^T in tiles, A^T in panels;
//             C and residual [M, N], bias [N]; N and K in multiples of 4, M too where A is turned or C^T computed
// Dispatch    one workgroup (one subgroup) per 4 LANES x 8 LANES block: (blocks of M, blocks of N), FLIPPED of N and M
// Called by   src/ops/product.ts
// Checked by  test/ops/texels.test.ts

//@include broadcast
//@include panels

override FLIPPED = false;

@group(0) @binding(4) var tiles: texture_2d_array<f32>;
@group(0) @binding(5) var panels: texture_2d_array<f32>;

fn height() -> u32 { return select(params.M, params.N, FLIPPED); }
fn width() -> u32 { return select(params.N, params.M, FLIPPED); }

// sums += A B for the k's from `k` on, four in each of `steps`: w holds A's, and `quad` is the lane's of B's columns.
fn add_panel(
  quad: u32,
  k: u32,
  steps: u32,
  w: ptr<function, array<vec4f, ROWS>>,
  sums: ptr<function, array<vec4f, ROWS>>,
) {
  let layer = k / HEIGHT * ((width() + SIDE - 1u) / SIDE) + quad / WIDTH;
  for (var l = 0u; l < steps; l++) {
    let at = vec2u(quad % WIDTH, k % HEIGHT + 4u * l);
    let b0 = textureLoad(panels, at, layer, 0);
    let b1 = textureLoad(panels, at + vec2u(0u, 1u), layer, 0);
    let b2 = textureLoad(panels, at + vec2u(0u, 2u), layer, 0);
    let b3 = textureLoad(panels, at + vec2u(0u, 3u), layer, 0);
    //@unroll r < ROWS
    sums[r] = fma(vec4f(subgroupShuffle(w[r].w, l)), b3,
      fma(vec4f(subgroupShuffle(w[r].z, l)), b2,
      fma(vec4f(subgroupShuffle(w[r].y, l)), b1,
      fma(vec4f(subgroupShuffle(w[r].x, l)), b0, sums[r]))));
    //@end
  }
}

fn store_block(row: u32, column: u32, groups: u32, sums: ptr<function, array<vec4f, ROWS>>) {
  if (!FLIPPED) {
    store_rows(starts_of(0u).c, row, column, groups, sums);
    return;
  }
  if (column >= params.M) { return; }
  var whole = *sums;
  let end = min(ROWS * min(groups, 1u), params.N - row); // unknown to the compiler, as in store_rows
  for (var r = 0u; r < end; r += 4u) {
    var turned = transpose(mat4x4f(whole[r], whole[r + 1u], whole[r + 2u], whole[r + 3u]));
    for (var j = 0u; j < 4u * min(groups, 1u); j++) {
      store4(starts_of(0u).c + (column + j) * params.c_row + row + r, row + r, turned[j]);
    }
  }
}

@compute @workgroup_size(LANES)
fn block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row = group.x * ROWS;
  let near = 2u * group.y * LANES + lane; // the lane's quads of columns
  let far = near + LANES;
  let wide = 4u * (2u * group.y + 1u) * LANES < width();
  var left: array<vec4f, ROWS>;
  var right: array<vec4f, ROWS>;
  for (var k = 0u; k < params.K; k += 4u * LANES) {
    let layer = k / HEIGHT * ((height() + SIDE - 1u) / SIDE) + row / SIDE;
    let at = vec2u(k % SIDE / 4u + lane, k % HEIGHT / SIDE * SIDE + row % SIDE);
    var w: array<vec4f, ROWS>;
    //@unroll r < ROWS
    w[r] = textureLoad(tiles, at + vec2u(0u, r), layer, 0);
    //@end
    let steps = min(LANES, (params.K - k) / 4u);
    add_panel(near, k, steps, &w, &left);
    if (wide) { add_panel(far, k, steps, &w, &right); }
  }
  store_block(row, 4u * near, groups.x, &left);
  store_block(row, 4u * far, groups.x, &right);
}
