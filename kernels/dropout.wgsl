// Dropout and drop path of a tensor, and the hidden layer of an MLP made again from what gelu was applied to.
//
//   mask        y = x * noise                the backward: dx = dy * noise
//   gelu_mask   y = gelu(x) * noise
//
// Shapes      x, y [N];  half_*: y as f16, and x of gelu_mask
// Dispatch    one thread per four elements
// Called by   src/ops/dropout.ts
// Checked by  test/ops/dropout.test.ts, test/ops/mlp.test.ts

//@include erf
//@include noise

const WORKGROUP = 64u;

struct Params {
  length: u32, // N
  threshold: u32, // the words of Noise, in its order
  path_threshold: u32,
  share: u32,
  seed: u32,
  stream: u32,
  step: u32,
  first: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> x_half: array<vec2u>; // four to an entry
@group(0) @binding(3) var<storage, read_write> y_half: array<vec2u>;

fn noise_at(i: u32) -> vec4f {
  let p = params;
  return kept4(Noise(p.threshold, p.path_threshold, p.share, p.seed, p.stream, p.step, p.first), 4u * i);
}

// Storages are padded to whole vec4s, but a view may end where the next begins.
fn store(i: u32, value: vec4f) {
  if (4u * i + 4u <= params.length) {
    y[i] = value;
    return;
  }
  for (var k = 0u; 4u * i + k < params.length; k++) { y[i][k] = value[k]; }
}

@compute @workgroup_size(WORKGROUP)
fn mask(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (4u * i < params.length) { store(i, x[i] * noise_at(i)); }
}

@compute @workgroup_size(WORKGROUP)
fn gelu_mask(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (4u * i < params.length) { store(i, gelu4(x[i]) * noise_at(i)); }
}

fn packed(v: vec4f) -> vec2u { return vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }

@compute @workgroup_size(WORKGROUP)
fn half_mask(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (4u * i < params.length) { y_half[i] = packed(x[i] * noise_at(i)); }
}

@compute @workgroup_size(WORKGROUP)
fn half_gelu_mask(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (4u * i >= params.length) { return; }
  let before = vec4f(unpack2x16float(x_half[i].x), unpack2x16float(x_half[i].y));
  y_half[i] = packed(gelu4(before) * noise_at(i));
}
