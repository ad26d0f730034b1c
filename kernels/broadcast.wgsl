// What both matrix products for software adapters do with sums: a subgroup owns ROWS rows of C in registers, four columns a
// lane.
//
//   store_rows   C[row + r] = the epilogue of sums[r]
//
// Shapes      sums of ROWS rows
// Dispatch    called where all lanes of a subgroup go the same way
// Called by   kernels/matmul_subgroup.wgsl, kernels/matmul_texels_subgroup.wgsl
// Checked by  test/ops/product.test.ts, test/ops/texels.test.ts

//@include lanes
//@include product

// As many rows as columns: the fewest loads for a product. Twice as many no longer fit a CPU's vector registers.
const ROWS = 4 * LANES;

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
