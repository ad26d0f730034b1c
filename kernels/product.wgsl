// What all matrix products share: C = alpha op(A) op(B), and an epilogue that is fixed when the pipeline is made.
//
//   epilogue   value = alpha * sum  (+ bias[n])  (before = value)  (gelu)  (* gelu'(before))
//              (* dropout and drop path)  (+ residual[m, n])  (+ C[m, n])
//
// Shapes      A [batch, M, K] or transposed, B [batch, K, N] or transposed, C, residual and before [batch, M, N],
//             bias [N]; each with its own row length in elements and two strides over the batch (outer, inner).
//             All f32; B is f16 by choice of B_HALF, and where operands are f16 (`operand`) A, C and before by theirs
// Dispatch    included by the kernels of matrix products
// Called by   src/ops/product.ts
// Checked by  test/ops/product.test.ts, test/ops/matmul.test.ts, test/ops/mlp.test.ts

//@include erf
//@include noise
//@include operand

override BIAS = false;
override GELU = false;
override KEEP = false; // keeps what gelu was applied to in `before`
override SLOPE = false; // multiplies by the slope of gelu at `before`
override NOISE = false; // dropout and drop path; such a product has no batch
override RESIDUAL = false;
override ACCUMULATE = false;
override A_TRANSPOSED = false; // how A and B are stored, for kernels that take both ways
override B_TRANSPOSED = false;

struct Params {
  M: u32,
  N: u32,
  K: u32,
  a_row: u32, // elements from one row of A as stored to the next
  b_row: u32,
  c_row: u32,
  inner: u32, // batch = outer * inner
  // 64 bytes are all that a dispatch may carry, so seven words have two readings: strides over the batch in elements, or
  // with NOISE, whose C has no batch and begins its storage, the words of `Noise`.
  a_outer: u32, // or threshold of dropout
  a_inner: u32, // or threshold of drop path
  b_outer: u32, // or elements of C that drop path keeps or drops together
  b_inner: u32, // or seed
  c_outer: u32, // or stream
  c_inner: u32, // or step
  b_base: u32, // where B and C begin, elements: one of q, k, v in their common tensor
  c_base: u32, // or first
  alpha: f32,
}

var<immediate> params: Params;

// The others, whose types differ, are bound by `operand`.
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read> residual: array<f32>;
@group(0) @binding(7) var<storage, read> bias4: array<vec4f>;
@group(0) @binding(8) var<storage, read> residual4: array<vec4f>;

// Where one matrix of the batch begins.
struct Starts {
  a: u32,
  b: u32,
  c: u32,
}

fn starts_of(z: u32) -> Starts {
  if (NOISE) { return Starts(0u, params.b_base, 0u); }
  let outer = z / params.inner;
  let inner = z % params.inner;
  return Starts(
    outer * params.a_outer + inner * params.a_inner,
    params.b_base + outer * params.b_outer + inner * params.b_inner,
    params.c_base + outer * params.c_outer + inner * params.c_inner,
  );
}

fn noise() -> Noise {
  let p = params;
  return Noise(p.a_outer, p.a_inner, p.b_outer, p.b_inner, p.c_outer, p.c_inner, p.c_base);
}

// Stores C[m, n] .. C[m, n + 3], which lie at `at`, a multiple of 4.
fn store4(at: u32, n: u32, sum: vec4f) {
  var value = params.alpha * sum;
  if (BIAS) { value += bias4[n / 4u]; }
  if (GELU) {
    if (KEEP) { keep_quad(at / 4u, value); }
    value = gelu4(value);
  }
  if (SLOPE) { value *= gelu_slope4(before_quad(at / 4u)); }
  if (NOISE) { value *= kept4(noise(), at); }
  if (RESIDUAL) { value += residual4[at / 4u]; }
  if (ACCUMULATE) { value += c_quad(at / 4u); }
  put_quad(at / 4u, value);
}

// Stores C[m, n], which lies at `at`.
fn store(at: u32, n: u32, sum: f32) {
  var value = params.alpha * sum;
  if (BIAS) { value += bias[n]; }
  if (GELU) {
    if (KEEP) { keep_one(at, value); }
    value = gelu(value);
  }
  if (SLOPE) { value *= gelu_slope(before_one(at)); }
  if (NOISE) { value *= kept(noise(), at); }
  if (RESIDUAL) { value += residual[at]; }
  if (ACCUMULATE) { value += c_one(at); }
  put_one(at, value);
}
