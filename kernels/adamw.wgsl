// AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with clipping by the global norm, as PyTorch computes them.
//
//   squares   partial[first + g] = sum of the g-th share of gradient^2
//   norm      state = [norm, factor]: norm = sqrt(sum of partial), factor = min(1, clip / (norm + 1e-6)), or 0 when the
//             norm is not finite: then the step is skipped
//   step      p = p (1 - rate decay);  m = m + (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2;
//             p = p - rate / correction1 * m / (sqrt(v) / sqrt(correction2) + eps),   g = factor * gradient
//
// Shapes      value, gradient, m, v [N], whole vec4s; partial [groups of all tensors]; state [2]
// Dispatch    squares: `groups` workgroups of LANES threads;  norm: one;  step: one thread per four elements
// Called by   src/ops/adamw.ts
// Checked by  test/ops/adamw.test.ts

//@include lanes

const WORKGROUP = 64u;

struct Params {
  length: u32, // N / 4 of this tensor; norm: number of partial sums
  first: u32, // where its partial sums begin
  clip: f32, // largest norm; 0 for none
  rate: f32, // the learning rate
  beta1: f32,
  beta2: f32,
  eps: f32,
  decay: f32,
  correction1: f32, // 1 - beta1^t
  correction2: f32, // 1 - beta2^t
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> value: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> v: array<vec4f>;

@compute @workgroup_size(LANES)
fn squares(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  var sum = vec4f();
  for (var i = group.x * LANES + lane; i < params.length; i += groups.x * LANES) { sum += gradient[i] * gradient[i]; }
  let total = lanes_sum(lane, dot(sum, vec4f(1.0)));
  if (lane == 0u) { partial[params.first + group.x] = total; }
}

@compute @workgroup_size(LANES)
fn norm(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) { sum += partial[i]; }
  let total = sqrt(lanes_sum(lane, sum));
  // By its bits: a compiler may assume that NaN never occurs and drop `total != total`.
  let finite = (bitcast<u32>(total) & 0x7f800000u) != 0x7f800000u;
  var factor = 1.0;
  if (params.clip > 0.0) { factor = min(1.0, params.clip / (total + 1e-6)); }
  if (lane == 0u) {
    state[0] = total;
    state[1] = select(0.0, factor, finite);
  }
}

@compute @workgroup_size(WORKGROUP)
fn step(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  let factor = state[1];
  if (i >= params.length || factor == 0.0) { return; }
  let g = factor * gradient[i];
  let new_m = m[i] + (1.0 - params.beta1) * (g - m[i]);
  let new_v = params.beta2 * v[i] + (1.0 - params.beta2) * g * g;
  m[i] = new_m;
  v[i] = new_v;
  let root = sqrt(new_v) / sqrt(params.correction2) + params.eps;
  value[i] = value[i] * (1.0 - params.rate * params.decay) - params.rate / params.correction1 * new_m / root;
}
