// Attention for adapters with subgroups of 8 lanes, which are software (lavapipe). The forward stores no weights.
//
//   forward    y[i] = sum over j of w[i, j] v[j],   w[i, j] = exp(alpha q[i] k[j] - lse[i]),
//              lse[i] = log of the sum over j of exp(alpha q[i] k[j])
//   backward   w[i, j] once more, and ds[i, j] = w[i, j] (dy[i] v[j] - delta[i]), delta[i] = dy[i] y[i]; dq, dk and dv
//              are products of these
//
// One subgroup owns ROWS queries of a head and meets the keys 4 LANES at a time, forward with a running maximum. A lane
// holds four weights of each row; forward, subgroupShuffle hands them to all lanes, and of each sum a lane holds a vec4
// in COLUMNS places.
//
// Shapes      qkv [B, L, 3, heads, d];   y, dy [B, L, heads, d];   lse, delta [B, heads, L];   L a multiple of 4,
//             weights, dscores [B, heads, R, L], R rows from `first` on;   d a multiple of 4 up to 64
// Dispatch    one workgroup (one subgroup) per ROWS queries: forward (blocks of L, heads, B),
//             backward (blocks of R, blocks of L by 4 LANES, B heads)
// Called by   src/ops/attention.ts
// Checked by  test/ops/attention.test.ts

//@include lanes

const ROWS = 32u;
const LOADS = ROWS / LANES;
const PLACES = 16u / LANES; // vec4s of a lane in 64 columns of a head
const LOWEST = -1e30; // below any score, and still exp(LOWEST - score) is 0 and not NaN

override COLUMNS = 1u; // places that are in use, up to PLACES

struct Params {
  L: u32,
  heads: u32,
  D: u32, // vec4s of a row of y
  quads: u32, // d / 4
  alpha: f32,
  first: u32, // first query row of weights and dscores, and how many they have
  rows: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> qkv4: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>; // written forward, read backward
@group(0) @binding(3) var<storage, read> dy4: array<vec4f>;
@group(0) @binding(4) var<storage, read> delta: array<f32>;
@group(0) @binding(5) var<storage, read_write> weights4: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> dscores4: array<vec4f>;

// w += products of ROWS rows of q, of which a lane reads those at `a`, and its four rows of k at `b`.
fn add_qk(a: array<u32, LOADS>, b: vec4u, w: ptr<function, array<vec4f, ROWS>>) {
  for (var i = 0u; i < params.quads; i++) {
    var loaded: array<vec4f, LOADS>;
    //@unroll j < LOADS
    loaded[j] = qkv4[a[j] + i];
    //@end
    let t = transpose(mat4x4f(qkv4[b.x + i], qkv4[b.y + i], qkv4[b.z + i], qkv4[b.w + i]));
    //@unroll r < ROWS
    let v = loaded[r / LANES];
    w[r] = fma(vec4f(subgroupBroadcast(v.w, r % LANES)), t[3],
      fma(vec4f(subgroupBroadcast(v.z, r % LANES)), t[2],
      fma(vec4f(subgroupBroadcast(v.y, r % LANES)), t[1],
      fma(vec4f(subgroupBroadcast(v.x, r % LANES)), t[0], w[r]))));
    //@end
  }
}

// The same of dy and v.
fn add_dyv(a: array<u32, LOADS>, b: vec4u, w: ptr<function, array<vec4f, ROWS>>) {
  for (var i = 0u; i < params.quads; i++) {
    var loaded: array<vec4f, LOADS>;
    //@unroll j < LOADS
    loaded[j] = dy4[a[j] + i];
    //@end
    let t = transpose(mat4x4f(qkv4[b.x + i], qkv4[b.y + i], qkv4[b.z + i], qkv4[b.w + i]));
    //@unroll r < ROWS
    let v = loaded[r / LANES];
    w[r] = fma(vec4f(subgroupBroadcast(v.w, r % LANES)), t[3],
      fma(vec4f(subgroupBroadcast(v.z, r % LANES)), t[2],
      fma(vec4f(subgroupBroadcast(v.y, r % LANES)), t[1],
      fma(vec4f(subgroupBroadcast(v.x, r % LANES)), t[0], w[r]))));
    //@end
  }
}

@compute @workgroup_size(LANES)
fn forward_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let pitch = 3u * params.D;
  let last = params.L - 1u;
  let q = group.z * params.L * pitch + group.y * params.quads;
  let k = q + params.D;
  let v = k + params.D;
  let first = group.x * ROWS;
  var iq: array<u32, LOADS>;
  //@unroll i < LOADS
  iq[i] = q + min(first + i * LANES + lane, last) * pitch;
  //@end
  var iv: array<u32, PLACES>;
  //@unroll c < PLACES
  iv[c] = v + min(lane + c * LANES, params.quads - 1u);
  //@end
  var largest: array<f32, ROWS>;
  var totals: array<f32, ROWS>;
  //@unroll r < ROWS
  largest[r] = LOWEST;
  //@end
  var sums: array<vec4f, ROWS * PLACES>;
  let rolled = LANES * min(groups.x, 1u); // a trip count no compiler can bound keeps the loop over lanes rolled
  for (var begin = 0u; begin < params.L; begin += 4u * LANES) {
    let keys = vec4u(begin + lane) + vec4u(0u, LANES, 2u * LANES, 3u * LANES);
    let ik = k + min(keys, vec4u(last)) * pitch;
    var w = array<vec4f, ROWS>();
    add_qk(iq, ik, &w);
    let hidden = select(vec4f(LOWEST), vec4f(), keys < vec4u(params.L));
    //@unroll r < ROWS
    let score = fma(vec4f(params.alpha), w[r], hidden);
    let more = max(largest[r], lanes_max(lane, max(max(score.x, score.y), max(score.z, score.w))));
    let shrink = exp(largest[r] - more);
    largest[r] = more;
    w[r] = exp(score - more);
    totals[r] = fma(totals[r], shrink, dot(w[r], vec4f(1.0)));
    //@unroll c < PLACES
    if (c < COLUMNS) { sums[r * PLACES + c] *= shrink; }
    //@end
    //@end
    //@unroll c < PLACES
    if (c < COLUMNS) {
      for (var l = 0u; l < rolled; l++) {
        let v0 = qkv4[iv[c] + min(begin + l, last) * pitch];
        let v1 = qkv4[iv[c] + min(begin + l + LANES, last) * pitch];
        let v2 = qkv4[iv[c] + min(begin + l + 2u * LANES, last) * pitch];
        let v3 = qkv4[iv[c] + min(begin + l + 3u * LANES, last) * pitch];
        //@unroll r < ROWS
        sums[r * PLACES + c] = fma(vec4f(subgroupShuffle(w[r].w, l)), v3, fma(vec4f(subgroupShuffle(w[r].z, l)), v2,
          fma(vec4f(subgroupShuffle(w[r].y, l)), v1, fma(vec4f(subgroupShuffle(w[r].x, l)), v0, sums[r * PLACES + c]))));
        //@end
      }
    }
    //@end
  }
  //@unroll r < ROWS
  totals[r] = lanes_sum(lane, totals[r]);
  //@end
  let y = group.z * params.L * params.D + group.y * params.quads;
  let head = (group.z * params.heads + group.y) * params.L;
  var stored = sums;
  var whole = totals;
  var highest = largest;
  let rows = min(ROWS * min(groups.x, 1u), params.L - first);
  for (var r = 0u; r < rows; r++) {
    let scale = 1.0 / whole[r];
    if (lane == 0u) { lse[head + first + r] = highest[r] + log(whole[r]); }
    for (var c = 0u; c < COLUMNS; c++) {
      let column = lane + c * LANES;
      if (column < params.quads) {
        y4[y + (first + r) * params.D + column] = scale * stored[r * PLACES + c];
      }
    }
  }
}

@compute @workgroup_size(LANES)
fn backward_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let pitch = 3u * params.D;
  let last = params.L - 1u;
  let batch = group.z / params.heads;
  let column = group.z % params.heads * params.quads;
  let q = batch * params.L * pitch + column;
  let row = group.x * ROWS; // among the R
  let key = 4u * (group.y * LANES + lane);
  let keys = min(vec4u(key) + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * pitch;
  var iq: array<u32, LOADS>;
  var idy: array<u32, LOADS>;
  var sizes: array<f32, LOADS>; // lse of the rows
  var deltas: array<f32, LOADS>;
  //@unroll i < LOADS
  let own = min(params.first + row + i * LANES + lane, last);
  iq[i] = q + own * pitch;
  idy[i] = batch * params.L * params.D + column + own * params.D;
  sizes[i] = lse[group.z * params.L + own];
  deltas[i] = delta[group.z * params.L + own];
  //@end
  var w = array<vec4f, ROWS>();
  add_qk(iq, q + params.D + keys, &w);
  var ds = array<vec4f, ROWS>();
  add_dyv(idy, q + 2u * params.D + keys, &ds);
  //@unroll r < ROWS
  w[r] = exp(fma(vec4f(params.alpha), w[r], vec4f(-subgroupBroadcast(sizes[r / LANES], r % LANES))));
  ds[r] = w[r] * (ds[r] - subgroupBroadcast(deltas[r / LANES], r % LANES));
  //@end
  if (key >= params.L) { return; }
  var weights = w;
  var dscores = ds;
  let rows = min(ROWS * min(groups.x, 1u), params.rows - row);
  for (var r = 0u; r < rows; r++) {
    let at = ((group.z * params.rows + row + r) * params.L + key) / 4u;
    weights4[at] = weights[r];
    dscores4[at] = dscores[r];
  }
}
