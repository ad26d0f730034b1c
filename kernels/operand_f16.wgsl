// What matrix products take their operands in: f16, rounded to nearest as they are loaded, or stored so by whoever made
// them. Of an f32's 24 bits 11 are left, and what exceeds 65 504 becomes infinite. How products read A and B, and write
// C and what gelu was applied to: element i, or 4 i .. 4 i + 3.
//
// Shapes      scalars, and vec4s of four neighbours
// Dispatch    included by kernels/product.wgsl
// Called by   src/engine/shader.ts
// Checked by  test/ops/product.test.ts

enable f16;

alias Operand = f16;
alias Operand4 = vec4<f16>;

fn packed(v: vec4f) -> vec2u { return vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }

fn unpacked(halves: vec2u) -> Operand4 { return bitcast<vec4<f16>>(halves); }

//@if A_HALF
@group(0) @binding(4) var<storage, read> a4: array<vec4<f16>>;
fn a_quad(i: u32) -> Operand4 { return a4[i]; }
fn a_at(i: u32) -> Operand { return a4[i / 4u][i % 4u]; }
//@else
@group(0) @binding(4) var<storage, read> a4: array<vec4f>;
fn a_quad(i: u32) -> Operand4 { return Operand4(a4[i]); }
fn a_at(i: u32) -> Operand { return Operand(a4[i / 4u][i % 4u]); }
//@end

//@if B_HALF
@group(0) @binding(5) var<storage, read> b4: array<vec4<f16>>;
fn b_quad(i: u32) -> Operand4 { return b4[i]; }
fn b_at(i: u32) -> Operand { return b4[i / 4u][i % 4u]; }
//@else
@group(0) @binding(5) var<storage, read> b4: array<vec4f>;
fn b_quad(i: u32) -> Operand4 { return Operand4(b4[i]); }
fn b_at(i: u32) -> Operand { return Operand(b4[i / 4u][i % 4u]); }
//@end

// As f32, for kernels that multiply what they have just loaded. Compilers may take f32 to f16 and back for nothing, so
// the bits pass through a zero that they do not know.
fn widened(v: Operand4) -> vec4f {
  let bits = bitcast<vec2u>(v) ^ vec2u(min(params.M, 1u) - 1u);
  return vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y));
}

//@if C_HALF
@group(0) @binding(0) var<storage, read_write> c: array<f16>;
@group(0) @binding(6) var<storage, read_write> c4: array<vec2u>;
fn c_quad(i: u32) -> vec4f { return vec4f(unpacked(c4[i])); }
fn c_one(i: u32) -> f32 { return f32(c[i]); }
fn put_quad(i: u32, value: vec4f) { c4[i] = packed(value); }
fn put_one(i: u32, value: f32) { c[i] = f16(value); }
//@else
@group(0) @binding(0) var<storage, read_write> c: array<f32>;
@group(0) @binding(6) var<storage, read_write> c4: array<vec4f>;
fn c_quad(i: u32) -> vec4f { return c4[i]; }
fn c_one(i: u32) -> f32 { return c[i]; }
fn put_quad(i: u32, value: vec4f) { c4[i] = value; }
fn put_one(i: u32, value: f32) { c[i] = value; }
//@end

//@if BEFORE_HALF
@group(0) @binding(3) var<storage, read_write> before: array<f16>;
@group(0) @binding(9) var<storage, read_write> before4: array<vec2u>;
fn before_quad(i: u32) -> vec4f { return vec4f(unpacked(before4[i])); }
fn before_one(i: u32) -> f32 { return f32(before[i]); }
fn keep_quad(i: u32, value: vec4f) { before4[i] = packed(value); }
fn keep_one(i: u32, value: f32) { before[i] = f16(value); }
//@else
@group(0) @binding(3) var<storage, read_write> before: array<f32>;
@group(0) @binding(9) var<storage, read_write> before4: array<vec4f>;
fn before_quad(i: u32) -> vec4f { return before4[i]; }
fn before_one(i: u32) -> f32 { return before[i]; }
fn keep_quad(i: u32, value: vec4f) { before4[i] = value; }
fn keep_one(i: u32, value: f32) { before[i] = value; }
//@end
