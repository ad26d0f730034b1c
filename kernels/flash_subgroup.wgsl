// Attention for lavapipe, whose queries, keys and values were copied to a texture. No weights are stored.
//
//   forward    y[i] = sum over j of w[i, j] v[j],   w[i, j] = exp(alpha q[i] k[j] - lse[i]),
//              lse[i] = log of the sum over j of exp(alpha q[i] k[j])
//   backward   w[i, j] once more, and ds[i, j] = w[i, j] (dy[i] v[j] - delta[i]), delta[i] = dy[i] y[i];
//              dq[i] = alpha sum over j of ds[i, j] k[j],   dk[j] = alpha sum over i of ds[i, j] q[i],
//              dv[j] = sum over i of w[i, j] dy[i]
//
// One subgroup owns ROWS queries or keys of a head and meets the others 4 LANES at a time, forward with a running
// maximum. A lane holds the weights of each row with four of them; subgroupShuffle hands these to all lanes, and of each
// sum a lane holds a vec4 in COLUMNS places.
//
// Shapes      tokens: qkv [B L, 3, heads, d] and in the backward, beside it, dy [B L, heads, d], in panels of 32 columns
//             (src/engine/texels.ts);   y [B, L, heads, d], dqkv like qkv;   lse, delta [B, heads, L];
//             L a multiple of 4, d a multiple of 4 up to 64
// Dispatch    one workgroup (one subgroup) per ROWS queries or keys: (blocks of L, heads, B)
// Called by   src/ops/attention.ts
// Checked by  test/ops/attention.test.ts

//@include lanes
//@include panels

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
  panels: u32, // of all columns of the tokens
  alpha: f32,
}

var<immediate> params: Params;

@group(0) @binding(0) var tokens: texture_2d_array<f32>;
@group(0) @binding(1) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;
@group(0) @binding(3) var<storage, read> lse4: array<vec4f>;
@group(0) @binding(4) var<storage, read> delta4: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dqkv4: array<vec4f>;

// A head: the first of its quads of columns among the tokens' q, k, v and dy, and its first row there.
struct Head {
  q: u32,
  k: u32,
  v: u32,
  dy: u32,
  token: u32,
  row: u32, // in lse and delta
}

fn head_of(group: vec3u) -> Head {
  let q = group.y * params.quads;
  let token = group.z * params.L;
  let row = (group.z * params.heads + group.y) * params.L;
  return Head(q, q + params.D, q + 2u * params.D, q + 3u * params.D, token, row);
}

// Four columns of a token.
fn quad_of(quad: u32, token: u32) -> vec4f {
  let layer = token / HEIGHT * params.panels + quad / WIDTH;
  return textureLoad(tokens, vec2u(quad % WIDTH, token % HEIGHT), layer, 0);
}

// The tokens of a lane, of a head's rows from `first` on; beyond the last one that one again.
fn own_tokens(head: Head, first: u32, lane: u32) -> array<u32, LOADS> {
  var own: array<u32, LOADS>;
  //@unroll i < LOADS
  own[i] = head.token + min(first + i * LANES + lane, params.L - 1u);
  //@end
  return own;
}

// Four tokens of a head from its row `first` on; beyond the last one that one again.
fn met_tokens(head: Head, first: u32) -> vec4u {
  return head.token + min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(params.L - 1u));
}

// w += products of ROWS rows of the columns from quad `a` on, of which a lane has those of tokens `own`, and of four
// rows of those from quad `b` on, of tokens `met`.
fn add_products(
  a: u32,
  own: array<u32, LOADS>,
  b: u32,
  met: vec4u,
  w: ptr<function, array<vec4f, ROWS>>,
) {
  for (var i = 0u; i < params.quads; i++) {
    var loaded: array<vec4f, LOADS>;
    //@unroll j < LOADS
    loaded[j] = quad_of(a + i, own[j]);
    //@end
    let t = transpose(
      mat4x4f(quad_of(b + i, met.x), quad_of(b + i, met.y), quad_of(b + i, met.z), quad_of(b + i, met.w)),
    );
    //@unroll r < ROWS
    let v = loaded[r / LANES];
    w[r] = fma(vec4f(subgroupBroadcast(v.w, r % LANES)), t[3],
      fma(vec4f(subgroupBroadcast(v.z, r % LANES)), t[2],
      fma(vec4f(subgroupBroadcast(v.y, r % LANES)), t[1],
      fma(vec4f(subgroupBroadcast(v.x, r % LANES)), t[0], w[r]))));
    //@end
  }
}

// sums += w times the rows of the columns from `quad` on, of the 4 LANES tokens from `first` on: lane l's four weights
// of a row are those of tokens first + 4 l .. first + 4 l + 3, up to `last`, beyond which they are 0.
// `rolled` is LANES, hidden from the compiler, which keeps the loop a loop.
fn add_weighted(
  quad: u32,
  first: u32,
  last: u32,
  lane: u32,
  rolled: u32,
  w: ptr<function, array<vec4f, ROWS>>,
  sums: ptr<function, array<vec4f, ROWS * PLACES>>,
) {
  //@unroll c < PLACES
  if (c < COLUMNS) {
    let column = quad + min(lane + c * LANES, params.quads - 1u);
    for (var l = 0u; l < rolled; l++) {
      let token = min(first + 4u * l, last - 3u);
      let v0 = quad_of(column, token);
      let v1 = quad_of(column, token + 1u);
      let v2 = quad_of(column, token + 2u);
      let v3 = quad_of(column, token + 3u);
      //@unroll r < ROWS
      sums[r * PLACES + c] = fma(vec4f(subgroupShuffle(w[r].w, l)), v3, fma(vec4f(subgroupShuffle(w[r].z, l)), v2,
        fma(vec4f(subgroupShuffle(w[r].y, l)), v1, fma(vec4f(subgroupShuffle(w[r].x, l)), v0, sums[r * PLACES + c]))));
      //@end
    }
  }
  //@end
}

// The largest of the lanes' values. subgroupMax takes lavapipe a loop over the lanes.
fn largest_of(lane: u32, value: f32) -> f32 {
  var most = value;
  for (var apart = LANES / 2u; apart > 0u; apart /= 2u) { most = max(most, subgroupShuffle(most, lane ^ apart)); }
  return most;
}

@compute @workgroup_size(LANES)
fn forward_queries(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let head = head_of(group);
  let first = group.x * ROWS;
  let own = own_tokens(head, first, lane);
  let last = head.token + params.L - 1u;
  let rolled = LANES * min(groups.x, 1u);
  var largest: array<f32, ROWS>;
  var totals: array<f32, ROWS>;
  //@unroll r < ROWS
  largest[r] = LOWEST;
  //@end
  var sums: array<vec4f, ROWS * PLACES>;
  for (var begin = 0u; begin < params.L; begin += 4u * LANES) {
    let key = begin + 4u * lane;
    let met = met_tokens(head, key);
    var w = array<vec4f, ROWS>();
    add_products(head.q, own, head.k, met, &w);
    let hidden = select(LOWEST, 0.0, key < params.L);
    //@unroll r < ROWS
    let score = fma(vec4f(params.alpha), w[r], vec4f(hidden));
    let more = max(largest[r], largest_of(lane, max(max(score.x, score.y), max(score.z, score.w))));
    let shrink = exp(largest[r] - more);
    largest[r] = more;
    w[r] = exp(score - more);
    totals[r] = fma(totals[r], shrink, dot(w[r], vec4f(1.0)));
    //@unroll c < PLACES
    if (c < COLUMNS) { sums[r * PLACES + c] *= shrink; }
    //@end
    //@end
    add_weighted(head.v, head.token + begin, last, lane, rolled, &w, &sums);
  }
  //@unroll r < ROWS
  totals[r] = lanes_sum(lane, totals[r]);
  //@end
  let y = group.z * params.L * params.D + group.y * params.quads;
  var stored = sums;
  var whole = totals;
  var highest = largest;
  let rows = min(ROWS * min(groups.x, 1u), params.L - first);
  for (var r = 0u; r < rows; r++) {
    let scale = 1.0 / whole[r];
    if (lane == 0u) { lse[head.row + first + r] = highest[r] + log(whole[r]); }
    for (var c = 0u; c < COLUMNS; c++) {
      let column = lane + c * LANES;
      if (column < params.quads) {
        y4[y + (first + r) * params.D + column] = scale * stored[r * PLACES + c];
      }
    }
  }
}

// Stores ROWS rows of a head's gradient among the columns from `quad` on.
fn store_gradient(
  quad: u32,
  head: Head,
  first: u32,
  lane: u32,
  groups: u32,
  scale: f32,
  sums: ptr<function, array<vec4f, ROWS * PLACES>>,
) {
  var stored = *sums;
  let rows = min(ROWS * min(groups, 1u), params.L - first);
  for (var r = 0u; r < rows; r++) {
    let at = (head.token + first + r) * 3u * params.D + quad;
    for (var c = 0u; c < COLUMNS; c++) {
      let column = lane + c * LANES;
      if (column < params.quads) { dqkv4[at + column] = scale * stored[r * PLACES + c]; }
    }
  }
}

// dq of ROWS queries.
@compute @workgroup_size(LANES)
fn backward_queries(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let head = head_of(group);
  let first = group.x * ROWS;
  let own = own_tokens(head, first, lane);
  let last = head.token + params.L - 1u;
  let rolled = LANES * min(groups.x, 1u);
  var sizes: array<f32, LOADS>; // lse of the rows
  var deltas: array<f32, LOADS>;
  //@unroll i < LOADS
  let row = head.row + own[i] - head.token;
  sizes[i] = lse4[row / 4u][row % 4u];
  deltas[i] = delta4[row / 4u][row % 4u];
  //@end
  var dq: array<vec4f, ROWS * PLACES>;
  for (var begin = 0u; begin < params.L; begin += 4u * LANES) {
    let key = begin + 4u * lane;
    let met = met_tokens(head, key);
    var w = array<vec4f, ROWS>();
    add_products(head.q, own, head.k, met, &w);
    var ds = array<vec4f, ROWS>();
    add_products(head.dy, own, head.v, met, &ds);
    let shown = key < params.L;
    //@unroll r < ROWS
    let weight = exp(fma(vec4f(params.alpha), w[r], vec4f(-subgroupBroadcast(sizes[r / LANES], r % LANES))));
    ds[r] = select(vec4f(), weight * (ds[r] - subgroupBroadcast(deltas[r / LANES], r % LANES)), shown);
    //@end
    add_weighted(head.k, head.token + begin, last, lane, rolled, &ds, &dq);
  }
  store_gradient(head.q, head, first, lane, groups.x, params.alpha, &dq);
}

// dk and dv of ROWS keys.
@compute @workgroup_size(LANES)
fn backward_keys(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let head = head_of(group);
  let first = group.x * ROWS;
  let own = own_tokens(head, first, lane);
  let last = head.token + params.L - 1u;
  let rolled = LANES * min(groups.x, 1u);
  var dk: array<vec4f, ROWS * PLACES>;
  var dv: array<vec4f, ROWS * PLACES>;
  for (var begin = 0u; begin < params.L; begin += 4u * LANES) {
    let query = begin + 4u * lane;
    let met = met_tokens(head, query);
    var w = array<vec4f, ROWS>();
    add_products(head.k, own, head.q, met, &w);
    var ds = array<vec4f, ROWS>();
    add_products(head.v, own, head.dy, met, &ds);
    let at = (head.row + min(query, params.L - 4u)) / 4u;
    let size = lse4[at];
    let delta = delta4[at];
    let shown = query < params.L;
    //@unroll r < ROWS
    w[r] = select(vec4f(), exp(fma(vec4f(params.alpha), w[r], -size)), shown);
    ds[r] = w[r] * (ds[r] - delta);
    //@end
    add_weighted(head.dy, head.token + begin, last, lane, rolled, &w, &dv);
    add_weighted(head.q, head.token + begin, last, lane, rolled, &ds, &dk);
  }
  store_gradient(head.k, head, first, lane, groups.x, params.alpha, &dk);
  store_gradient(head.v, head, first, lane, groups.x, 1.0, &dv);
}
