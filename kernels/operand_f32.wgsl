// What matrix products take their operands in: f32.
//
// Shapes      scalars, and vec4s of four neighbours
// Dispatch    included by kernels/product.wgsl
// Called by   src/engine/shader.ts
// Checked by  test/ops/product.test.ts

alias Operand = f32;
alias Operand4 = vec4f;

// Four operands stored as f16.
fn unpacked(halves: vec2u) -> Operand4 { return vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y)); }

fn widened(v: Operand4) -> vec4f { return v; }
