// f32 to f16 and back: half the memory, and 11 bits of 24.
//
//   forward    y = x rounded to the nearest f16
//   backward   wide = halves, exactly
//
// Shapes      x, wide [count] f32;  y, halves [count] f16, four to an entry
// Dispatch    one thread per 4 elements, folded into two dimensions
// Called by   src/ops/cast.ts
// Checked by  test/ops/cast.test.ts

struct Params {
  count: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec2u>;
@group(0) @binding(2) var<storage, read> halves: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> wide: array<vec4f>;

@compute @workgroup_size(64)
fn forward_quads(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64u + id.x;
  if (4u * i >= params.count) { return; }
  y[i] = vec2u(pack2x16float(x[i].xy), pack2x16float(x[i].zw));
}

@compute @workgroup_size(64)
fn backward_quads(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64u + id.x;
  if (4u * i >= params.count) { return; }
  wide[i] = vec4f(unpack2x16float(halves[i].x), unpack2x16float(halves[i].y));
}
