// AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with clipping by the global norm, as PyTorch computes them.
//
//   squares      partial[first + g] = sum of the g-th share of gradient^2
//   norm         state = [norm, factor, correction1, correction2, 1]: norm = sqrt(sum of partial),
//                factor = min(1, clip / (norm + 1e-6)), or 0 when the norm is not finite: then the step is skipped
//   scaled_norm  the same for gradients times a scale: state = [norm / scale, factor / scale, corrections, scale].
//                A norm that is not finite halves the scale, 2000 finite ones in a row double it, within [1, 2^24];
//                the corrections count steps that were made
//   step         p = p (1 - rate decay);  m = m + (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2;
//                p = p - rate / correction1 * m / (sqrt(v) / sqrt(correction2) + eps),   g = factor * gradient;
//                gradient = 0
//   step_halves  the same, and halves = p rounded to f16
//   step_sound   step whatever the norm is, unclipped: gradients that are not finite leave their own elements as they
//                were, and none is cleared
//   step_alone   the same, and squares at once
//
// Choices     of step_sound and step_alone: SCALED: gradients times the scale;  HALVES: as step_halves
// Shapes      value, gradient, m, v, halves [N], whole vec4s; partial [shares of all tensors]; state [5];
//             scaler [4]
// Dispatch    squares: `shares` workgroups of LANES threads;  norm, scaled_norm: one;  step*: one thread per four elements;
//             step_alone as squares, and all its writes
// Called by   src/ops/adamw.ts
// Checked by  test/ops/adamw.test.ts

//@include lanes

const WORKGROUP = 128u;

override CLEAR = false; // leave zeros where the gradient was, also when the step is skipped

struct Params {
  length: u32, // N / 4 of this tensor; norm: number of partial sums / 4
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

const LARGEST_SCALE = 16777216.0; // 2^24
const STEPS_TO_DOUBLE = 2000.0;

@group(0) @binding(0) var<storage, read_write> gradient: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;
@group(0) @binding(2) var<storage, read> partial4: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> value: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> scaler: array<f32>; // scale, finite norms in a row, beta1^t, beta2^t
@group(0) @binding(8) var<storage, read> known: array<f32>; // the state, once it is complete
@group(0) @binding(9) var<storage, read_write> halves: array<vec2u>; // four to an entry

@compute @workgroup_size(LANES)
fn squares(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let stride = groups.x * LANES;
  var i = group.x * LANES + lane;
  // Eight loads on their way at a time.
  var sum = vec4f();
  for (; i + 7u * stride < params.length; i += 8u * stride) {
    let a = gradient[i];
    let b = gradient[i + stride];
    let c = gradient[i + 2u * stride];
    let d = gradient[i + 3u * stride];
    let e = gradient[i + 4u * stride];
    let f = gradient[i + 5u * stride];
    let g = gradient[i + 6u * stride];
    let h = gradient[i + 7u * stride];
    sum += ((a * a + b * b) + (c * c + d * d)) + ((e * e + f * f) + (g * g + h * h));
  }
  for (; i < params.length; i += stride) {
    let a = gradient[i];
    sum += a * a;
  }
  let total = lanes_sum(lane, dot(sum, vec4f(1.0)));
  if (lane == 0u) { partial[params.first + group.x] = total; }
}

fn norm_of_all(lane: u32) -> f32 {
  // One workgroup alone: what it waits for must be on its way together.
  var sum = vec4f();
  var i = lane;
  for (; i + 7u * LANES < params.length; i += 8u * LANES) {
    sum += ((partial4[i] + partial4[i + LANES]) + (partial4[i + 2u * LANES] + partial4[i + 3u * LANES])) +
      ((partial4[i + 4u * LANES] + partial4[i + 5u * LANES]) + (partial4[i + 6u * LANES] + partial4[i + 7u * LANES]));
  }
  for (; i < params.length; i += LANES) { sum += partial4[i]; }
  return sqrt(lanes_sum(lane, dot(sum, vec4f(1.0))));
}

// By its bits: a compiler may assume that NaN never occurs and drop `value != value`.
fn is_finite(value: f32) -> bool { return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u; }

fn factor_of(total: f32) -> f32 {
  if (!is_finite(total)) { return 0.0; }
  if (params.clip > 0.0) { return min(1.0, params.clip / (total + 1e-6)); }
  return 1.0;
}

@compute @workgroup_size(LANES)
fn norm(@builtin(local_invocation_index) lane: u32) {
  let total = norm_of_all(lane);
  if (lane > 0u) { return; }
  state[0] = total;
  state[1] = factor_of(total);
  state[2] = params.correction1;
  state[3] = params.correction2;
  state[4] = 1.0;
}

@compute @workgroup_size(LANES)
fn scaled_norm(@builtin(local_invocation_index) lane: u32) {
  let scaled = norm_of_all(lane);
  if (lane > 0u) { return; }
  let scale = scaler[0];
  let total = scaled / scale;
  var power1 = scaler[2];
  var power2 = scaler[3];
  if (is_finite(scaled)) {
    power1 *= params.beta1;
    power2 *= params.beta2;
    let full = scaler[1] + 1.0 >= STEPS_TO_DOUBLE;
    scaler[0] = select(scale, min(2.0 * scale, LARGEST_SCALE), full);
    scaler[1] = select(scaler[1] + 1.0, 0.0, full);
    scaler[2] = power1;
    scaler[3] = power2;
  } else {
    scaler[0] = max(0.5 * scale, 1.0);
    scaler[1] = 0.0;
  }
  state[0] = total;
  state[1] = factor_of(total) / scale;
  state[2] = 1.0 - power1;
  state[3] = 1.0 - power2;
  state[4] = scale;
}

struct Element4 {
  p: vec4f,
  m: vec4f,
  v: vec4f,
}

// Everything is read before anything is written: buffers may overlap for all that a compiler knows, so it would wait for
// memory once for each store between two loads.
fn element4(i: u32) -> Element4 { return Element4(value[i], m[i], v[i]); }

fn advanced(old: Element4, g: vec4f, correction1: f32, correction2: f32) -> Element4 {
  let m = old.m + (1.0 - params.beta1) * (g - old.m);
  let v = params.beta2 * old.v + (1.0 - params.beta2) * g * g;
  let root = sqrt(v) / sqrt(correction2) + params.eps;
  return Element4(old.p * (1.0 - params.rate * params.decay) - params.rate / correction1 * m / root, m, v);
}

fn put(i: u32, now: Element4) {
  m[i] = now.m;
  v[i] = now.v;
  value[i] = now.p;
}

// One vec4 of everything; returns the new values.
fn stepped(i: u32) -> vec4f {
  let factor = known[1];
  let g = factor * gradient[i];
  let old = element4(i);
  if (CLEAR) { gradient[i] = vec4f(); }
  if (factor == 0.0) { return old.p; }
  let now = advanced(old, g, known[2], known[3]);
  put(i, now);
  return now.p;
}

@compute @workgroup_size(WORKGROUP)
fn step(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (i < params.length) { _ = stepped(i); }
}

@compute @workgroup_size(WORKGROUP)
fn step_halves(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (i >= params.length) { return; }
  let p = stepped(i);
  halves[i] = vec2u(pack2x16float(p.xy), pack2x16float(p.zw));
}

//@if SCALED
fn scale_now() -> f32 { return scaler[0]; }
fn corrections() -> vec2f { return 1.0 - vec2f(scaler[2], scaler[3]) * vec2f(params.beta1, params.beta2); }
//@else
fn scale_now() -> f32 { return 1.0; }
fn corrections() -> vec2f { return vec2f(params.correction1, params.correction2); }
//@end

//@if HALVES
fn keep_halves(i: u32, p: vec4f) { halves[i] = vec2u(pack2x16float(p.xy), pack2x16float(p.zw)); }
//@else
fn keep_halves(i: u32, p: vec4f) {}
//@end

// What is not finite leaves its own element as it was.
fn put_sound(i: u32, scaled: vec4f, old: Element4, factor: f32, c: vec2f) {
  let now = advanced(old, factor * scaled, c.x, c.y);
  let sound = vec4<bool>(is_finite(scaled.x), is_finite(scaled.y), is_finite(scaled.z), is_finite(scaled.w));
  let p = select(old.p, now.p, sound);
  put(i, Element4(p, select(old.m, now.m, sound), select(old.v, now.v, sound)));
  keep_halves(i, p);
}

@compute @workgroup_size(WORKGROUP)
fn step_sound(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (i < params.length) { put_sound(i, gradient[i], element4(i), 1.0 / scale_now(), corrections()); }
}

@compute @workgroup_size(LANES)
fn step_alone(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let stride = groups.x * LANES;
  let factor = 1.0 / scale_now();
  let c = corrections();
  var sum = vec4f();
  var i = group.x * LANES + lane;
  // Two of everything are on their way at a time.
  for (; i + stride < params.length; i += 2u * stride) {
    let g = gradient[i];
    let h = gradient[i + stride];
    let old_g = element4(i);
    let old_h = element4(i + stride);
    sum += g * g + h * h;
    put_sound(i, g, old_g, factor, c);
    put_sound(i + stride, h, old_h, factor, c);
  }
  if (i < params.length) {
    let g = gradient[i];
    sum += g * g;
    put_sound(i, g, element4(i), factor, c);
  }
  let total = lanes_sum(lane, dot(sum, vec4f(1.0)));
  if (lane == 0u) { partial[params.first + group.x] = total; }
}
