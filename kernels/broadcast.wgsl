// What the subgroups of both matrix products for software adapters do with what they loaded: they own ROWS x 4 LANES of C
// in registers, four columns a lane.
//
//   add_across   sums[r] += sum over four k of A[r, k] B[k]
//   store_rows   C[row + r] = the epilogue of sums[r]
//
// Shapes      a: vec4s of A that span four rows; b: column k is the lane's four of B[k]; sums of ROWS rows
// Dispatch    called where all lanes of a subgroup go the same way
// Called by   kernels/matmul_subgroup.wgsl, kernels/matmul_texels_subgroup.wgsl
// Checked by  test/ops/product.test.ts, test/ops/texels.test.ts

//@include lanes
//@include product

// As many rows as columns: the fewest loads for a product. Twice as many no longer fit a CPU's vector registers.
const ROWS = 4 * LANES;

// Lane l's a[k] is of rows 4 l to 4 l + 3.
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

// Stores the rows of a block from `row` on, the lane's columns from `n` on. c: where this batch of C begins; groups: how
// many workgroups there are one way.
fn store_rows(c: u32, row: u32, n: u32, groups: u32, sums: ptr<function, array<vec4f, ROWS>>) {
  if (n >= params.N) { return; }
  var rolled = *sums;
  // A trip count no compiler can bound: keeps the stores rolled, which compiles five times faster.
  let rows = min(ROWS * min(groups, 1u), params.M - row);
  let start = c + row * params.c_row + n;
  for (var r = 0u; r < rows; r++) { store4(start + r * params.c_row, n, rolled[r]); }
}
