// Softmax over the last axis, in place.
//
//   forward    y[c] = exp(y[c] - max y) / sum of exp(y - max y)
//   backward   dy[c] becomes dx[c] = y[c] (dy[c] - sum of dy y)
//
// Shapes      y, dy [R, C];   *_rows4: C a multiple of 4
// Dispatch    one workgroup of LANES threads per row
// Called by   src/ops/softmax.ts
// Checked by  test/ops/softmax.test.ts

//@include lanes

struct Params {
  rows: u32, // R
  columns: u32, // C
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

// Gathers maximum and sum in one pass: the exponentials are taken twice, but a row is written once.
@compute @workgroup_size(LANES)
fn forward_rows4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let quads = params.columns / 4u;
  let start = row * quads;
  var most = -3.4e38;
  var totals = vec4f();
  for (var c = lane; c < quads; c += LANES) {
    let v = y4[start + c];
    let more = max(most, max(max(v.x, v.y), max(v.z, v.w)));
    totals = fma(totals, vec4f(exp(most - more)), exp(v - more));
    most = more;
  }
  let largest = lanes_max(lane, most);
  let scale = 1.0 / lanes_sum(lane, exp(most - largest) * dot(totals, vec4f(1.0)));
  for (var c = lane; c < quads; c += LANES) { y4[start + c] = scale * exp(y4[start + c] - largest); }
}

@compute @workgroup_size(LANES)
fn backward_rows4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let quads = params.columns / 4u;
  let start = row * quads;
  var totals = vec4f();
  for (var c = lane; c < quads; c += LANES) { totals = fma(dy4[start + c], y4[start + c], totals); }
  let total = lanes_sum(lane, dot(totals, vec4f(1.0)));
  for (var c = lane; c < quads; c += LANES) {
    dy4[start + c] = y4[start + c] * (dy4[start + c] - total);
  }
}
