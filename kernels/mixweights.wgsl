// The weights by which a learned query mixes the V variables of each patch, and their backward
// (Nguyen et al. 2023, arXiv:2301.10343, section 3.1; src/ops/aggregate.ts has the algebra).
//
//   forward_weights       s[h, v, n] = sum over k of P[n, v, k] S[v, k, h],   a = softmax over v
//   backward_weights      ds = a (da - sum over v of a da), in the place of da
//   backward_score_basis  dS[v, k, h] = sum over n of P[n, v, k] ds[h, v, n]
//   backward_points       dP[n, v, k] = sum over h of a[h, v, n] dw[h, n, v, k] + ds[h, v, n] S[v, k, h],
//                         dw[h, n, v, k] = do[n, h] . M[v, k, h], for `share` patches from `first` on
//
// A thread owns four patches, so that neighbours read neighbours: patches are first turned over, and N is rounded up to
// whole vec4s with patches of zeros.
//
// Shapes      patches [N, C], C >= V K, zero beyond;  turned [C, Q], Q = ceil(N / 4) vec4s;  attention, dscores [H, V, Q];
//             score_basis, dscore_basis [C, ceil(H / 4)] vec4s of four heads;  dpatches [N, C], dvalues [H, share, C];
//             weights, dweights, score_values: attention, dscores and score_basis by single numbers
// Dispatch    turn: one thread per vec4;  forward_weights: one thread per four patches and four heads;
//             backward_weights: one per four patches and head;
//             backward_score_basis: one workgroup of LANES threads per vec4 of dscore_basis;
//             backward_points: one thread per element of `share` rows of dpatches
// Called by   src/ops/mix.ts
// Checked by  test/ops/aggregate.test.ts

//@include lanes

const WORKGROUP = 64u;

struct Params {
  N: u32,
  Q: u32,
  V: u32,
  K: u32, // numbers in a patch of one variable
  C: u32,
  H: u32,
  share: u32,
  first: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> patches: array<f32>;
@group(0) @binding(1) var<storage, read_write> turned: array<vec4f>;
@group(0) @binding(2) var<storage, read> score_basis: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> attention: array<vec4f>; // written forward, read backward
@group(0) @binding(4) var<storage, read_write> dscores: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dscore_basis: array<vec4f>;
@group(0) @binding(6) var<storage, read> weights: array<f32>;
@group(0) @binding(7) var<storage, read> dweights: array<f32>;
@group(0) @binding(8) var<storage, read> score_values: array<f32>;
@group(0) @binding(9) var<storage, read> dvalues: array<f32>;
@group(0) @binding(10) var<storage, read_write> dpatches: array<f32>;

fn index(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return (group.y * groups.x + group.x) * WORKGROUP + thread;
}

@compute @workgroup_size(WORKGROUP)
fn turn(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.C * params.Q) { return; }
  let c = i / params.Q;
  let n = 4u * (i % params.Q);
  var value = vec4f();
  for (var j = 0u; j < min(4u, params.N - n); j++) { value[j] = patches[(n + j) * params.C + c]; }
  turned[i] = value;
}

@compute @workgroup_size(WORKGROUP)
fn forward_weights(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let fours = (params.H + 3u) / 4u;
  let i = index(group, groups, thread);
  if (i >= fours * params.Q) { return; }
  let q = i % params.Q;
  let four = i / params.Q;
  let head_step = params.V * params.Q;
  let first = 4u * four * head_step + q;
  let heads = min(4u, params.H - 4u * four);
  // Rows are heads, columns patches. Sums of exp are kept relative to the largest score so far.
  var largest = mat4x4f(vec4f(-3.4e38), vec4f(-3.4e38), vec4f(-3.4e38), vec4f(-3.4e38));
  var total = mat4x4f();
  for (var v = 0u; v < params.V; v++) {
    var s = mat4x4f();
    for (var c = v * params.K; c < (v + 1u) * params.K; c++) {
      let p = turned[c * params.Q + q];
      let b = score_basis[c * fours + four];
      s[0] += b.x * p;
      s[1] += b.y * p;
      s[2] += b.z * p;
      s[3] += b.w * p;
    }
    for (var h = 0u; h < heads; h++) {
      let larger = max(largest[h], s[h]);
      total[h] = total[h] * exp(largest[h] - larger) + exp(s[h] - larger);
      largest[h] = larger;
      attention[first + h * head_step + v * params.Q] = s[h];
    }
  }
  for (var h = 0u; h < heads; h++) {
    let scale = 1.0 / total[h];
    for (var v = 0u; v < params.V; v++) {
      let at = first + h * head_step + v * params.Q;
      attention[at] = exp(attention[at] - largest[h]) * scale;
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_weights(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.H * params.Q) { return; }
  let first = i / params.Q * params.V * params.Q + i % params.Q;
  var total = vec4f();
  for (var v = 0u; v < params.V; v++) { total += attention[first + v * params.Q] * dscores[first + v * params.Q]; }
  for (var v = 0u; v < params.V; v++) {
    let at = first + v * params.Q;
    dscores[at] = attention[at] * (dscores[at] - total);
  }
}

@compute @workgroup_size(LANES)
fn backward_score_basis(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let fours = (params.H + 3u) / 4u;
  let i = group.y * groups.x + group.x;
  if (i >= params.C * fours) { return; }
  let c = i / fours;
  let v = c / params.K;
  if (v >= params.V) { // the padding of C
    if (lane == 0u) { dscore_basis[i] = vec4f(); }
    return;
  }
  let h = min(vec4u(4u * (i % fours)) + vec4u(0u, 1u, 2u, 3u), vec4u(params.H - 1u));
  let first = (h * params.V + v) * params.Q;
  var sum = vec4f();
  for (var q = lane; q < params.Q; q += LANES) {
    let p = turned[c * params.Q + q];
    sum += vec4f(
      dot(p, dscores[first.x + q]),
      dot(p, dscores[first.y + q]),
      dot(p, dscores[first.z + q]),
      dot(p, dscores[first.w + q]),
    );
  }
  let total = vec4f(lanes_sum(lane, sum.x), lanes_sum(lane, sum.y), lanes_sum(lane, sum.z), lanes_sum(lane, sum.w));
  if (lane == 0u) { dscore_basis[i] = total; }
}

@compute @workgroup_size(WORKGROUP)
fn backward_points(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.share * params.C) { return; }
  let n = params.first + i / params.C;
  let c = i % params.C;
  let v = c / params.K;
  var total = 0.0;
  if (v < params.V) { // not the padding of C
    let heads = 4u * ((params.H + 3u) / 4u);
    for (var h = 0u; h < params.H; h++) {
      let at = (h * params.V + v) * 4u * params.Q + n;
      total += weights[at] * dvalues[h * params.share * params.C + i] + dweights[at] * score_values[c * heads + h];
    }
  }
  dpatches[n * params.C + c] = total;
}
