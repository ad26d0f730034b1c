// Softmax over the last axis, in place.
//
//   forward    y[c] = exp(y[c] - max y) / sum of exp(y - max y)
//   backward   dy[c] becomes dx[c] = y[c] (dy[c] - sum of dy y)
//
// Shapes      y, dy [R, C]; *_quads: rows of C vec4s
// Dispatch    one workgroup of LANES threads per row
// Called by   src/ops/softmax.ts
// Checked by  test/ops/softmax.test.ts

//@include lanes

struct Params {
  rows: u32, // R
  columns: u32, // C, floats in *_rows, vec4s in *_quads
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read_write> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dy4: array<vec4f>;

@compute @workgroup_size(LANES)
fn forward_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  var largest = -3.4e38;
  for (var c = lane; c < params.columns; c += LANES) { largest = max(largest, y[start + c]); }
  largest = lanes_max(lane, largest);
  var total = 0.0;
  for (var c = lane; c < params.columns; c += LANES) {
    let e = exp(y[start + c] - largest);
    y[start + c] = e;
    total += e;
  }
  let scale = 1.0 / lanes_sum(lane, total);
  for (var c = lane; c < params.columns; c += LANES) { y[start + c] *= scale; }
}

@compute @workgroup_size(LANES)
fn backward_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  var total = 0.0;
  for (var c = lane; c < params.columns; c += LANES) { total += dy[start + c] * y[start + c]; }
  total = lanes_sum(lane, total);
  for (var c = lane; c < params.columns; c += LANES) {
    dy[start + c] = y[start + c] * (dy[start + c] - total);
  }
}

@compute @workgroup_size(LANES)
fn forward_quads(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  var most = vec4f(-3.4e38);
  for (var c = lane; c < params.columns; c += LANES) { most = max(most, y4[start + c]); }
  let largest = lanes_max(lane, max(max(most.x, most.y), max(most.z, most.w)));
  var totals = vec4f();
  for (var c = lane; c < params.columns; c += LANES) {
    let e = exp(y4[start + c] - largest);
    y4[start + c] = e;
    totals += e;
  }
  let scale = 1.0 / lanes_sum(lane, dot(totals, vec4f(1.0)));
  for (var c = lane; c < params.columns; c += LANES) { y4[start + c] *= scale; }
}

@compute @workgroup_size(LANES)
fn backward_quads(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  var totals = vec4f();
  for (var c = lane; c < params.columns; c += LANES) { totals = fma(dy4[start + c], y4[start + c], totals); }
  let total = lanes_sum(lane, dot(totals, vec4f(1.0)));
  for (var c = lane; c < params.columns; c += LANES) {
    dy4[start + c] = y4[start + c] * (dy4[start + c] - total);
  }
}
