// Latitude-weighted mean squared error (ClimaX, arXiv:2301.10343, section 3.2).
//
//   forward    loss[v] = sum over b, h, w of weight[h] mask[b, h, w] (pred - y)^2 / count
//              loss = mean over v of share[v] loss[v]
//              count = B H W, or the sum of the mask
//              dpred = 2 share[v] weight[h] (pred - y) / (V count), or without count 2 share[v] weight[h] mask (pred - y) / V
//   backward   dpred times dloss, or with a mask times dloss / count
//
// Shapes      pred, y, dpred [B, V, H, W]; weight [H]; share [V]; mask [B, H, W]; sums, counts [B, V, ceil(H W / BLOCK)];
//             losses [V]; loss [1]; count [1]
// Dispatch    forward_blocks: one workgroup of LANES threads per entry of sums;  forward_total: one workgroup;
//             backward_elements: one thread per four elements
// Called by   src/ops/loss.ts
// Checked by  test/ops/loss.test.ts

//@include lanes

const WORKGROUP = 64u;
const BLOCK = 2048u; // elements of a field that one workgroup adds up

override MASKED = false;
override GRADIENT = false; // leave dpred
override SHARED = false; // variables count by share, not alike

struct Params {
  B: u32,
  V: u32,
  H: u32,
  W: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> pred: array<vec4f>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<storage, read_write> counts: array<f32>;
@group(0) @binding(6) var<storage, read_write> losses: array<f32>;
@group(0) @binding(7) var<storage, read_write> loss: array<f32>;
@group(0) @binding(8) var<storage, read_write> count: array<f32>;
@group(0) @binding(9) var<storage, read> dloss: array<f32>;
@group(0) @binding(10) var<storage, read_write> dpred: array<vec4f>;
@group(0) @binding(11) var<storage, read> share: array<f32>;

// The weights of elements e to e + 3, e a multiple of 4.
fn weights_at(e: u32) -> vec4f {
  if (params.W % 4u == 0u) { return vec4f(weight[e / params.W % params.H]); }
  let h = (vec4u(e) + vec4u(0u, 1u, 2u, 3u)) / params.W % params.H;
  return vec4f(weight[h.x], weight[h.y], weight[h.z], weight[h.w]);
}

fn shares_at(e: u32) -> vec4f {
  let v = (vec4u(e) + vec4u(0u, 1u, 2u, 3u)) / (params.H * params.W) % params.V;
  return vec4f(share[v.x], share[v.y], share[v.z], share[v.w]);
}

fn masks_at(e: u32) -> vec4f {
  let field = params.H * params.W;
  let each = vec4u(e) + vec4u(0u, 1u, 2u, 3u);
  let at = each / (params.V * field) * field + each % field;
  return vec4f(mask[at.x], mask[at.y], mask[at.z], mask[at.w]);
}

@compute @workgroup_size(LANES)
fn forward_blocks(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let field = params.H * params.W;
  let blocks = (field + BLOCK - 1u) / BLOCK;
  let block = group.y * groups.x + group.x; // (b V + v) blocks + which
  if (block >= params.B * params.V * blocks) { return; }
  let start = block / blocks * field;
  let first = start + block % blocks * BLOCK;
  let end = min(first + BLOCK, start + field);
  var slope = 2.0 / f32(params.V);
  if (!MASKED) { slope /= f32(params.B * field); }
  var total = vec4f();
  var seen = vec4f();
  for (var q = first / 4u + lane; 4u * q < end; q += LANES) {
    let error = pred[q] - y[q];
    let w = weights_at(4u * q);
    var square = w * error * error;
    var gradient = slope * w * error;
    if (SHARED) { gradient *= shares_at(4u * q); }
    // Where fields are no whole vec4s, two blocks share one: both add up their part, and the first writes dpred.
    let each = vec4u(4u * q) + vec4u(0u, 1u, 2u, 3u);
    let own = (each >= vec4u(first)) & (each < vec4u(end));
    if (MASKED) {
      // A masked cell may hold NaN, which no factor turns into nothing.
      let m = masks_at(4u * q);
      square = select(vec4f(), m * square, m != vec4f());
      gradient = select(vec4f(), m * gradient, m != vec4f());
      seen += select(vec4f(), m, own);
    }
    total += select(vec4f(), square, own);
    if (GRADIENT) {
      if (own.x) { dpred[q] = gradient; }
    }
  }
  let sum = lanes_sum(lane, dot(total, vec4f(1.0)));
  let cells = lanes_sum(lane, dot(seen, vec4f(1.0)));
  if (lane == 0u) {
    sums[block] = sum;
    counts[block] = cells;
  }
}

@compute @workgroup_size(LANES)
fn forward_total(@builtin(local_invocation_index) lane: u32) {
  let blocks = (params.H * params.W + BLOCK - 1u) / BLOCK;
  var seen = f32(params.B * params.H * params.W);
  if (MASKED) {
    // The mask is the same for every variable: count it under the first.
    var part = 0.0;
    for (var i = lane; i < params.B * blocks; i += LANES) { part += counts[i / blocks * params.V * blocks + i % blocks]; }
    seen = lanes_sum(lane, part);
  }
  var total = 0.0;
  for (var v = lane; v < params.V; v += LANES) {
    var part = 0.0;
    for (var b = 0u; b < params.B; b++) {
      for (var i = 0u; i < blocks; i++) { part += sums[(b * params.V + v) * blocks + i]; }
    }
    losses[v] = part / seen;
    total += select(1.0, share[v], SHARED) * part / seen;
  }
  total = lanes_sum(lane, total);
  if (lane == 0u) {
    loss[0] = total / f32(params.V);
    count[0] = seen;
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_elements(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  var factor = dloss[0];
  if (MASKED) { factor /= count[0]; }
  let q = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (factor == 1.0 || 4u * q >= params.B * params.V * params.H * params.W) { return; }
  dpred[q] *= factor;
}
