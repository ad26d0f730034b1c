// Layer normalisation over the last axis (Ba et al. 2016, arXiv:1607.06450, section 3).
//
//   forward    y  = n * weight + bias,   n = (x - mean) * rstd,   rstd = 1 / sqrt(var + eps)
//   backward   dx = rstd * (g - avg(g) - n * avg(g * n)),         g = dy * weight
//              dweight = sum of dy * n over rows,                 dbias = sum of dy over rows
//
// Shapes       x, y, dx, dy [R, C];   mean, rstd [R];   weight, bias [C];   dweight, dbias [ceil(R / block), C], sums over
//              `block` rows each;   *4: C a multiple of 4
// Dispatch     *_rows, *_rows4: one workgroup of LANES threads per row;
//              *_columns, *_columns4: one thread per element of dweight, or per four
// Called by    src/ops/layernorm.ts
// Checked by   test/ops/layernorm.test.ts

//@include lanes

const WORKGROUP = 64u;

struct Params {
  rows: u32, // R, the product of all axes but the last
  columns: u32, // C
  eps: f32,
  block: u32, // rows that one thread of *_columns adds up
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
@group(0) @binding(10) var<storage, read> x4: array<vec4f>;
@group(0) @binding(11) var<storage, read> weight4: array<vec4f>;
@group(0) @binding(12) var<storage, read> bias4: array<vec4f>;
@group(0) @binding(13) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(14) var<storage, read> dy4: array<vec4f>;
@group(0) @binding(15) var<storage, read_write> dx4: array<vec4f>;
@group(0) @binding(16) var<storage, read_write> dweight4: array<vec4f>;
@group(0) @binding(17) var<storage, read_write> dbias4: array<vec4f>;

@compute @workgroup_size(LANES)
fn forward_rows4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let quads = params.columns / 4u;
  let start = row * quads;

  // One pass, not one for the mean and one for the variance: E[(x - s)^2] - E[x - s]^2 cancels only where the mean
  // lies far from s, in units of the deviation. With s the mean of the first n columns that is at most sqrt(C / n).
  var near = 0.0;
  if (lane < quads) { near = dot(x4[start + lane], vec4f(0.25)); }
  let s = lanes_sum(lane, near) / f32(min(LANES, quads));
  var total = vec4f();
  var squares = vec4f();
  for (var q = lane; q < quads; q += LANES) {
    let d = x4[start + q] - s;
    total += d;
    squares += d * d;
  }
  let shift = lanes_sum(lane, dot(total, vec4f(1.0))) / f32(params.columns);
  let square = lanes_sum(lane, dot(squares, vec4f(1.0))) / f32(params.columns);
  let m = s + shift;
  let r = inverseSqrt(max(square - shift * shift, 0.0) + params.eps);

  for (var q = lane; q < quads; q += LANES) { y4[start + q] = (x4[start + q] - m) * r * weight4[q] + bias4[q]; }
  if (lane == 0u) {
    mean[row] = m;
    rstd[row] = r;
  }
}

@compute @workgroup_size(LANES)
fn backward_rows4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let quads = params.columns / 4u;
  let start = row * quads;
  let m = mean[row];
  let r = rstd[row];

  var g_total = vec4f();
  var gn_total = vec4f();
  for (var q = lane; q < quads; q += LANES) {
    let g = dy4[start + q] * weight4[q];
    g_total += g;
    gn_total += g * (x4[start + q] - m);
  }
  let g_avg = lanes_sum(lane, dot(g_total, vec4f(1.0))) / f32(params.columns);
  let gn_avg = lanes_sum(lane, dot(gn_total, vec4f(1.0))) * r / f32(params.columns);

  for (var q = lane; q < quads; q += LANES) {
    let n = (x4[start + q] - m) * r;
    dx4[start + q] = r * (dy4[start + q] * weight4[q] - g_avg - n * gn_avg);
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_columns4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = (group.y * groups.x + group.x) * WORKGROUP + thread;
  let quads = params.columns / 4u;
  let first = at / quads * params.block;
  if (first >= params.rows) { return; }
  let end = min(first + params.block, params.rows);
  var w = vec4f();
  var b = vec4f();
  for (var row = first; row < end; row++) {
    let i = row * quads + at % quads;
    let g = dy4[i];
    w += g * ((x4[i] - mean[row]) * rstd[row]);
    b += g;
  }
  dweight4[at] = w;
  dbias4[at] = b;
}

// The same for any number of columns.
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
  let at = (group.y * groups.x + group.x) * WORKGROUP + thread;
  let first = at / params.columns * params.block;
  if (first >= params.rows) { return; }
  let end = min(first + params.block, params.rows);
  var w = 0.0;
  var b = 0.0;
  for (var row = first; row < end; row++) {
    let i = row * params.columns + at % params.columns;
    w += dy[i] * (x[i] - mean[row]) * rstd[row];
    b += dy[i];
  }
  dweight[at] = w;
  dbias[at] = b;
}
