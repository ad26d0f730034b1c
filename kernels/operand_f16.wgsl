// What matrix products take their operands in: f16, rounded to nearest as they are loaded. Of an f32's 24 bits 11 are
// left, and what exceeds 65 504 becomes infinite.
//
// Shapes      scalars, and vec4s of four neighbours
// Dispatch    included by kernels/product.wgsl
// Called by   src/engine/shader.ts
// Checked by  test/ops/product.test.ts

enable f16;

alias Operand = f16;
alias Operand4 = vec4<f16>;

// Four operands stored as f16.
fn unpacked(halves: vec2u) -> Operand4 { return bitcast<vec4<f16>>(halves); }

// As f32, for kernels that multiply what they have just loaded. Compilers may take f32 to f16 and back for nothing, so
// the bits pass through a zero that they do not know.
fn widened(v: Operand4) -> vec4f {
  let bits = bitcast<vec2u>(v) ^ vec2u(min(params.M, 1u) - 1u);
  return vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y));
}
