// What matrix products take their operands in: f32. How they read A and B, and write C and what gelu was applied to:
// element i, or 4 i .. 4 i + 3.
//
// Shapes      scalars, and vec4s of four neighbours
// Dispatch    included by kernels/product.wgsl
// Called by   src/engine/shader.ts
// Checked by  test/ops/product.test.ts

alias Operand = f32;
alias Operand4 = vec4f;

@group(0) @binding(4) var<storage, read> a4: array<vec4f>;
fn a_quad(i: u32) -> Operand4 { return a4[i]; }
fn a_at(i: u32) -> Operand { return a4[i / 4u][i % 4u]; }

//@if B_HALF
@group(0) @binding(5) var<storage, read> b4: array<vec2u>;
fn b_quad(i: u32) -> Operand4 { return vec4f(unpack2x16float(b4[i].x), unpack2x16float(b4[i].y)); }
fn b_at(i: u32) -> Operand { return unpack2x16float(b4[i / 4u][i / 2u % 2u])[i % 2u]; }
//@else
@group(0) @binding(5) var<storage, read> b4: array<vec4f>;
fn b_quad(i: u32) -> Operand4 { return b4[i]; }
fn b_at(i: u32) -> Operand { return b4[i / 4u][i % 4u]; }
//@end

fn widened(v: Operand4) -> vec4f { return v; }

@group(0) @binding(0) var<storage, read_write> c: array<f32>;
@group(0) @binding(6) var<storage, read_write> c4: array<vec4f>;
fn c_quad(i: u32) -> vec4f { return c4[i]; }
fn c_one(i: u32) -> f32 { return c[i]; }
fn put_quad(i: u32, value: vec4f) { c4[i] = value; }
fn put_one(i: u32, value: f32) { c[i] = value; }

@group(0) @binding(3) var<storage, read_write> before: array<f32>;
@group(0) @binding(9) var<storage, read_write> before4: array<vec4f>;
fn before_quad(i: u32) -> vec4f { return before4[i]; }
fn before_one(i: u32) -> f32 { return before[i]; }
fn keep_quad(i: u32, value: vec4f) { before4[i] = value; }
fn keep_one(i: u32, value: f32) { before[i] = value; }
