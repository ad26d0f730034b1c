// Four neighbours of an operand at a time, for kernels that bring blocks of A and B to workgroup memory.
//
// Shapes      A [batch, M, K] or transposed, B [batch, K, N] or transposed
// Dispatch    included by kernels/matmul.wgsl and kernels/matmul_matrix.wgsl
// Called by   src/engine/shader.ts
// Checked by  test/ops/matmul.test.ts, test/ops/product.test.ts

//@include product

// Quads begin at multiples of 4 and lie inside or outside as a whole; else they are put together from single elements.
override ALIGNED = true;

// A[m, k] and the three after it along k, or along m with A transposed; zero where they lie outside.
fn a_loaded(start: u32, m: u32, k: u32) -> Operand4 {
  let inside = m < params.M && k < params.K;
  let at = start + select(m * params.a_row + k, k * params.a_row + m, A_TRANSPOSED);
  if (ALIGNED) { return select(Operand4(), a_quad(select(0u, at / 4u, inside)), inside); }
  if (!inside) { return Operand4(); }
  let more = select(params.K - k, params.M - m, A_TRANSPOSED); // elements of the quad inside
  var v = Operand4(a_at(at), 0, 0, 0);
  if (more > 1u) { v.y = a_at(at + 1u); }
  if (more > 2u) { v.z = a_at(at + 2u); }
  if (more > 3u) { v.w = a_at(at + 3u); }
  return v;
}

// B[k, n] and the three after it along n, or along k with B transposed.
fn b_loaded(start: u32, n: u32, k: u32) -> Operand4 {
  let inside = n < params.N && k < params.K;
  let at = start + select(k * params.b_row + n, n * params.b_row + k, B_TRANSPOSED);
  if (ALIGNED) { return select(Operand4(), b_quad(select(0u, at / 4u, inside)), inside); }
  if (!inside) { return Operand4(); }
  let more = select(params.N - n, params.K - k, B_TRANSPOSED);
  var v = Operand4(b_at(at), 0, 0, 0);
  if (more > 1u) { v.y = b_at(at + 1u); }
  if (more > 2u) { v.z = b_at(at + 2u); }
  if (more > 3u) { v.w = b_at(at + 3u); }
  return v;
}
