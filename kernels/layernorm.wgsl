// Layer normalisation over the last axis (Ba et al. 2016, arXiv:1607.06450, section 3).
//
//   forward    y  = n * weight + bias,   n = (x - mean) * rstd,   rstd = 1 / sqrt(var + eps)
//   backward   dx = rstd * (g - avg(g) - n * avg(g * n)),         g = dy * weight
//              dweight = sum of dy * n over rows,                 dbias = sum of dy over rows
//
// Shapes       x, y, dx, dy [R, C];   mean, rstd [R];   weight, bias, dweight, dbias [C]
// Dispatch     *_rows: one workgroup of LANES threads per row;  *_columns: one thread per column
// Called by    src/ops/layernorm.ts
// Checked by   test/ops/layernorm.test.ts

//@include lanes

const WORKGROUP = 64u;

override ACCUMULATE_WEIGHT = false;
override ACCUMULATE_BIAS = false;

struct Params {
  rows: u32, // R, the product of all axes but the last
  columns: u32, // C
  eps: f32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>; // written forward, read backward
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;
@group(0) @binding(8) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(9) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(LANES)
fn forward_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;

  var total = 0.0;
  for (var c = lane; c < params.columns; c += LANES) { total += x[start + c]; }
  let m = lanes_sum(lane, total) / f32(params.columns);

  // A second pass, not E[x^2] - E[x]^2: that difference cancels when the mean is large.
  var squares = 0.0;
  for (var c = lane; c < params.columns; c += LANES) {
    let d = x[start + c] - m;
    squares += d * d;
  }
  let r = inverseSqrt(lanes_sum(lane, squares) / f32(params.columns) + params.eps);

  for (var c = lane; c < params.columns; c += LANES) {
    y[start + c] = (x[start + c] - m) * r * weight[c] + bias[c];
  }
  if (lane == 0u) {
    mean[row] = m;
    rstd[row] = r;
  }
}

@compute @workgroup_size(LANES)
fn backward_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  let m = mean[row];
  let r = rstd[row];

  var g_total = 0.0;
  var gn_total = 0.0;
  for (var c = lane; c < params.columns; c += LANES) {
    let g = dy[start + c] * weight[c];
    g_total += g;
    gn_total += g * (x[start + c] - m) * r;
  }
  let g_avg = lanes_sum(lane, g_total) / f32(params.columns);
  let gn_avg = lanes_sum(lane, gn_total) / f32(params.columns);

  for (var c = lane; c < params.columns; c += LANES) {
    let n = (x[start + c] - m) * r;
    dx[start + c] = r * (dy[start + c] * weight[c] - g_avg - n * gn_avg);
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_columns(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let c = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (c >= params.columns) { return; }
  var w = 0.0;
  var b = 0.0;
  for (var row = 0u; row < params.rows; row++) {
    let i = row * params.columns + c;
    w += dy[i] * (x[i] - mean[row]) * rstd[row];
    b += dy[i];
  }
  if (ACCUMULATE_WEIGHT) { w += dweight[c]; }
  if (ACCUMULATE_BIAS) { b += dbias[c]; }
  dweight[c] = w;
  dbias[c] = b;
}
