// Batch normalisation of fields (Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1).
//
//   forward     y = n * weight + bias,   n = (x - mean) * rstd,   rstd = 1 / sqrt(var + eps)
//   training    mean, var: of the channel's values in the batch;  running += momentum * (mean, or var with N - 1, - running)
//   evaluation  mean, var: the running ones
//   backward    dx = rstd * weight * (dy - avg(dy) - n * avg(dy * n)),   evaluation: rstd * weight * dy
//               dweight = sum of dy * n,                                 dbias = sum of dy
//
// Moments and sums are taken plane by plane (a channel of a sample) and then put together: Chan et al. 1983.
//
// Shapes      x, y, dy, dx [B, C, P];   plane_mean, plane_squares (of deviations), plane_dy, plane_dyn [B, C];
//             all others [C];   mean_dy, mean_dyn: averages over the N = B P values of a channel
// Dispatch    *_planes: one workgroup of LANES threads per plane;  *_channels: one thread per channel;
//             forward, backward: one thread per four elements
// Called by   src/ops/batchnorm.ts
// Checked by  test/ops/batchnorm.test.ts

//@include lanes

const WORKGROUP = 64u;

override TRAINING = true;
override UPDATE = true; // moments_channels: the running moments
override ADD_WEIGHT = false; // sums_channels: to what is there
override ADD_BIAS = false;

struct Params {
  samples: u32, // B
  channels: u32, // C
  plane: u32, // P
  momentum: f32,
  eps: f32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x4: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>; // written forward, read backward
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(6) var<storage, read_write> plane_mean: array<f32>;
@group(0) @binding(7) var<storage, read_write> plane_squares: array<f32>;
@group(0) @binding(8) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(9) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(10) var<storage, read> dy4: array<vec4f>;
@group(0) @binding(11) var<storage, read_write> plane_dy: array<f32>;
@group(0) @binding(12) var<storage, read_write> plane_dyn: array<f32>;
@group(0) @binding(13) var<storage, read_write> mean_dy: array<f32>;
@group(0) @binding(14) var<storage, read_write> mean_dyn: array<f32>;
@group(0) @binding(15) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(16) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(17) var<storage, read_write> dx4: array<vec4f>;

// Planes need not begin or end with a quad: which elements of quad q lie in start .. end - 1.
fn inside(q: u32, start: u32, end: u32) -> vec4<bool> {
  let at = 4u * q + vec4u(0u, 1u, 2u, 3u);
  return (at >= vec4u(start)) & (at < vec4u(end));
}

fn total(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }

@compute @workgroup_size(LANES)
fn moments_planes(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let plane = group.y * groups.x + group.x;
  if (plane >= params.samples * params.channels) { return; }
  let start = plane * params.plane;
  let end = start + params.plane;
  var sum = vec4f();
  for (var q = start / 4u + lane; 4u * q < end; q += LANES) { sum += select(vec4f(), x4[q], inside(q, start, end)); }
  let m = lanes_sum(lane, total(sum)) / f32(params.plane);
  // A second pass, not E[x^2] - E[x]^2: that difference cancels when the mean is large.
  var squares = vec4f();
  for (var q = start / 4u + lane; 4u * q < end; q += LANES) {
    let d = select(vec4f(), x4[q] - m, inside(q, start, end));
    squares += d * d;
  }
  let s = lanes_sum(lane, total(squares));
  if (lane == 0u) {
    plane_mean[plane] = m;
    plane_squares[plane] = s;
  }
}

@compute @workgroup_size(WORKGROUP)
fn moments_channels(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if (c >= params.channels) { return; }
  var m = 0.0;
  for (var b = 0u; b < params.samples; b++) { m += plane_mean[b * params.channels + c]; }
  m /= f32(params.samples);
  var squares = 0.0;
  for (var b = 0u; b < params.samples; b++) {
    let d = plane_mean[b * params.channels + c] - m;
    squares += plane_squares[b * params.channels + c] + f32(params.plane) * d * d;
  }
  let N = f32(params.samples) * f32(params.plane);
  mean[c] = m;
  rstd[c] = inverseSqrt(squares / N + params.eps);
  if (UPDATE) {
    running_mean[c] += params.momentum * (m - running_mean[c]);
    running_var[c] += params.momentum * (squares / (N - 1.0) - running_var[c]);
  }
}

@compute @workgroup_size(WORKGROUP)
fn running_channels(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if (c >= params.channels) { return; }
  mean[c] = running_mean[c];
  rstd[c] = inverseSqrt(running_var[c] + params.eps);
}

// The channels of the four elements of a quad.
fn channels_of(i: u32) -> vec4u {
  if (params.plane % 4u == 0u) { return vec4u(4u * i / params.plane % params.channels); }
  return (4u * i + vec4u(0u, 1u, 2u, 3u)) / params.plane % params.channels;
}

fn normed(i: u32, c: vec4u) -> vec4f {
  let m = vec4f(mean[c.x], mean[c.y], mean[c.z], mean[c.w]);
  return (x4[i] - m) * vec4f(rstd[c.x], rstd[c.y], rstd[c.z], rstd[c.w]);
}

fn length() -> u32 { return params.samples * params.channels * params.plane; }

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (4u * i >= length()) { return; }
  let c = channels_of(i);
  let w = vec4f(weight[c.x], weight[c.y], weight[c.z], weight[c.w]);
  let value = normed(i, c) * w + vec4f(bias[c.x], bias[c.y], bias[c.z], bias[c.w]);
  if (4u * i + 4u <= length()) {
    y4[i] = value;
    return;
  }
  for (var k = 0u; 4u * i + k < length(); k++) { y4[i][k] = value[k]; }
}

@compute @workgroup_size(LANES)
fn sums_planes(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let plane = group.y * groups.x + group.x;
  if (plane >= params.samples * params.channels) { return; }
  let start = plane * params.plane;
  let end = start + params.plane;
  let m = mean[plane % params.channels];
  var g = vec4f();
  var gn = vec4f();
  for (var q = start / 4u + lane; 4u * q < end; q += LANES) {
    let v = select(vec4f(), dy4[q], inside(q, start, end));
    g += v;
    gn += v * select(vec4f(), x4[q] - m, inside(q, start, end));
  }
  let g_sum = lanes_sum(lane, total(g));
  let gn_sum = lanes_sum(lane, total(gn)) * rstd[plane % params.channels];
  if (lane == 0u) {
    plane_dy[plane] = g_sum;
    plane_dyn[plane] = gn_sum;
  }
}

@compute @workgroup_size(WORKGROUP)
fn sums_channels(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if (c >= params.channels) { return; }
  var g = 0.0;
  var gn = 0.0;
  for (var b = 0u; b < params.samples; b++) {
    g += plane_dy[b * params.channels + c];
    gn += plane_dyn[b * params.channels + c];
  }
  let N = f32(params.samples) * f32(params.plane);
  mean_dy[c] = g / N;
  mean_dyn[c] = gn / N;
  if (ADD_WEIGHT) { dweight[c] += gn; } else { dweight[c] = gn; }
  if (ADD_BIAS) { dbias[c] += g; } else { dbias[c] = g; }
}

@compute @workgroup_size(WORKGROUP)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (4u * i >= length()) { return; }
  let c = channels_of(i);
  var g = dy4[i];
  if (TRAINING) {
    let g_avg = vec4f(mean_dy[c.x], mean_dy[c.y], mean_dy[c.z], mean_dy[c.w]);
    let gn_avg = vec4f(mean_dyn[c.x], mean_dyn[c.y], mean_dyn[c.z], mean_dyn[c.w]);
    g -= g_avg + normed(i, c) * gn_avg;
  }
  let w = vec4f(weight[c.x], weight[c.y], weight[c.z], weight[c.w]);
  let value = g * w * vec4f(rstd[c.x], rstd[c.y], rstd[c.z], rstd[c.w]);
  if (4u * i + 4u <= length()) {
    dx4[i] = value;
    return;
  }
  for (var k = 0u; 4u * i + k < length(); k++) { dx4[i][k] = value[k]; }
}
