// Latitude-weighted mean squared error (ClimaX, arXiv:2301.10343, section 3.2).
//
//   forward    loss[v] = sum over b, h, w of weight[h] mask[b, h, w] (pred - y)^2 / count,   loss = mean over v
//              count = B H W, or the sum of the mask
//   backward   dpred = dloss 2 weight[h] mask (pred - y) / (V count)
//
// Shapes      pred, y, dpred [B, V, H, W]; weight [H]; mask [B, H, W]; rows, mask_rows [B, V, H];
//             losses [V]; loss [1]; count [1]
// Dispatch    forward_rows: one workgroup of LANES threads per row of W;  forward_total: one workgroup;
//             backward_elements: one thread per element
// Called by   src/ops/loss.ts
// Checked by  test/ops/loss.test.ts

//@include lanes

const WORKGROUP = 64u;

override MASKED = false;

struct Params {
  B: u32,
  V: u32,
  H: u32,
  W: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> pred: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> rows: array<f32>;
@group(0) @binding(5) var<storage, read_write> mask_rows: array<f32>;
@group(0) @binding(6) var<storage, read_write> losses: array<f32>;
@group(0) @binding(7) var<storage, read_write> loss: array<f32>;
@group(0) @binding(8) var<storage, read_write> count: array<f32>;
@group(0) @binding(9) var<storage, read> dloss: array<f32>;
@group(0) @binding(10) var<storage, read_write> dpred: array<f32>;

@compute @workgroup_size(LANES)
fn forward_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x; // (b V + v) H + h
  if (row >= params.B * params.V * params.H) { return; }
  let h = row % params.H;
  let mask_start = (row / (params.V * params.H) * params.H + h) * params.W;
  var total = 0.0;
  var seen = 0.0;
  for (var w = lane; w < params.W; w += LANES) {
    let error = pred[row * params.W + w] - y[row * params.W + w];
    if (MASKED) {
      // A masked cell may hold NaN, which no factor turns into nothing.
      let m = mask[mask_start + w];
      if (m != 0.0) { total += m * error * error; }
      seen += m;
    } else {
      total += error * error;
    }
  }
  total = lanes_sum(lane, total);
  seen = lanes_sum(lane, seen);
  if (lane == 0u) {
    rows[row] = weight[h] * total;
    mask_rows[row] = select(f32(params.W), seen, MASKED);
  }
}

@compute @workgroup_size(LANES)
fn forward_total(@builtin(local_invocation_index) lane: u32) {
  // The mask is the same for every variable: count it under the first.
  var seen = 0.0;
  for (var i = lane; i < params.B * params.H; i += LANES) {
    seen += mask_rows[i / params.H * params.V * params.H + i % params.H];
  }
  seen = lanes_sum(lane, seen);
  var total = 0.0;
  for (var v = 0u; v < params.V; v++) {
    var part = 0.0;
    for (var i = lane; i < params.B * params.H; i += LANES) {
      part += rows[(i / params.H * params.V + v) * params.H + i % params.H];
    }
    part = lanes_sum(lane, part) / seen;
    if (lane == 0u) { losses[v] = part; }
    total += part;
  }
  if (lane == 0u) {
    loss[0] = total / f32(params.V);
    count[0] = seen;
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_elements(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (i >= params.B * params.V * params.H * params.W) { return; }
  let h = i / params.W % params.H;
  let slope = 2.0 * dloss[0] * weight[h] / (f32(params.V) * count[0]);
  var value = slope * (pred[i] - y[i]);
  if (MASKED) {
    let b = i / (params.V * params.H * params.W);
    let m = mask[(b * params.H + h) * params.W + i % params.W];
    if (m != 0.0) { value *= m; } else { value = 0.0; }
  }
  dpred[i] = value;
}
