// What a matrix product is told: its epilogue when its pipeline is made, its sizes and strides at each call.
//
// Shapes      A [batch, M, K] or transposed, B [batch, K, N] or transposed, C [batch, M, N]
// Dispatch    included by the kernels of matrix products
// Called by   src/ops/matmul.ts
// Checked by  test/ops/matmul.test.ts

override BIAS = false;
override GELU = false; // keeps what it was applied to in `before`
override RESIDUAL = false;
override ACCUMULATE = false;
override A_TRANSPOSED = false; // how A and B are stored, for kernels that take both ways
override B_TRANSPOSED = false;

struct Params {
  M: u32,
  N: u32,
  K: u32,
  a_row: u32, // floats from one row of A as stored to the next
  b_row: u32,
  c_row: u32,
  inner: u32, // batch = outer * inner
  a_outer: u32,
  a_inner: u32,
  b_outer: u32,
  b_inner: u32,
  c_outer: u32,
  c_inner: u32,
  b_base: u32, // where B and C begin, floats: one of q, k, v in their common tensor
  c_base: u32,
  alpha: f32,
}

var<immediate> params: Params;
