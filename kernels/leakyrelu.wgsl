// Leaky rectifier (Maas et al. 2013, Rectifier nonlinearities improve neural network acoustic models).
//
//   forward     y = x for x >= 0, slope * x below
//   backward    dx = dy where y >= 0, slope * dy below: the sign of y is that of x
//
// Shapes       x, y, dy, dx [N]; a storage is padded to whole vec4s, of which only the elements below N are written
// Dispatch     one thread per four elements
// Called by    src/ops/leakyrelu.ts
// Checked by   test/ops/leakyrelu.test.ts

const WORKGROUP = 64u;

struct Params {
  length: u32, // N
  slope: f32, // above 0
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read> kept: array<vec4f>; // y, in the backward

fn store(i: u32, value: vec4f) {
  if (4u * i + 4u <= params.length) {
    y[i] = value;
    return;
  }
  for (var k = 0u; 4u * i + k < params.length; k++) { y[i][k] = value[k]; }
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (4u * i < params.length) { store(i, select(params.slope * x[i], x[i], x[i] >= vec4f())); }
}

// y is dx here.
@compute @workgroup_size(WORKGROUP)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (4u * i < params.length) { store(i, select(params.slope * dy[i], dy[i], kept[i] >= vec4f())); }
}
