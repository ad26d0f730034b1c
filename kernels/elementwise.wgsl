// Arithmetic element by element, four at a time.
//
//   add          y = a + b                      da = db = dy
//   accumulate   y = y + a                      (gradients of parameters)
//   approach     y = y + factor (a - y)         (running means of weights)
//   scale        y = factor a                   da = factor dy
//   gelu_slopes  y = a gelu'(b)                 the backward of gelu: a = dy, b = what it was applied to
//   gelus        y = gelu(a)                    Hendrycks and Gimpel 2016, arXiv:1606.08415, exact form
//   half_gelu_slopes   the same of f16
//
// Shapes       all [N]; a storage is padded to whole vec4s, of which only the elements below N are written; half_*: N a
//              multiple of 4
// Dispatch     one thread per four elements
// Called by    src/ops/elementwise.ts, src/ops/gelu.ts, src/engine/autograd.ts
// Checked by   test/ops/elementwise.test.ts, test/ops/gelu.test.ts, test/ops/halves.test.ts

//@include erf

const WORKGROUP = 64u;

struct Params {
  length: u32, // N
  factor: f32, // scale, approach
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read> a_half: array<vec2u>; // four to an entry
@group(0) @binding(4) var<storage, read> b_half: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> y_half: array<vec2u>;

fn index(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return (group.y * groups.x + group.x) * WORKGROUP + thread;
}

fn store(i: u32, value: vec4f) {
  if (4u * i + 4u <= params.length) {
    y[i] = value;
    return;
  }
  for (var k = 0u; 4u * i + k < params.length; k++) { y[i][k] = value[k]; }
}

@compute @workgroup_size(WORKGROUP)
fn add(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (4u * i < params.length) { store(i, a[i] + b[i]); }
}

@compute @workgroup_size(WORKGROUP)
fn accumulate(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (4u * i < params.length) { store(i, y[i] + a[i]); }
}

@compute @workgroup_size(WORKGROUP)
fn approach(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (4u * i < params.length) { store(i, y[i] + params.factor * (a[i] - y[i])); }
}

@compute @workgroup_size(WORKGROUP)
fn scale(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (4u * i < params.length) { store(i, params.factor * a[i]); }
}

@compute @workgroup_size(WORKGROUP)
fn gelus(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (4u * i >= params.length) { return; }
  let x = a[i];
  store(i, vec4f(gelu(x.x), gelu(x.y), gelu(x.z), gelu(x.w)));
}

@compute @workgroup_size(WORKGROUP)
fn gelu_slopes(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (4u * i >= params.length) { return; }
  let x = b[i];
  store(i, a[i] * vec4f(gelu_slope(x.x), gelu_slope(x.y), gelu_slope(x.z), gelu_slope(x.w)));
}

fn quad_of(halves: vec2u) -> vec4f { return vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y)); }

@compute @workgroup_size(WORKGROUP)
fn half_gelu_slopes(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (4u * i >= params.length) { return; }
  let x = quad_of(b_half[i]);
  let dx = quad_of(a_half[i]) * vec4f(gelu_slope(x.x), gelu_slope(x.y), gelu_slope(x.z), gelu_slope(x.w));
  y_half[i] = vec2u(pack2x16float(dx.xy), pack2x16float(dx.zw));
}
