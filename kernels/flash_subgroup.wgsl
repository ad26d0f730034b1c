// Attention without stored weights for adapters with subgroups of 8 lanes, which are software (lavapipe).
//
//   forward    y[i] = sum over j of w[i, j] v[j] / sum over j of w[i, j],   w[i, j] = exp(alpha q[i] k[j] - maximum)
//
// One subgroup owns ROWS queries of a head and meets the keys 4 LANES at a time, with a running maximum. A lane holds
// four weights of each row, which subgroupShuffle hands to all lanes, and of each sum a vec4 in COLUMNS places. The
// backward needs the products of kernels/matmul_subgroup.wgsl: to make weights twice costs more than to store them.
//
// Shapes      qkv [B, L, 3, heads, d];   y [B, L, heads, d];   any L, d a multiple of 4 up to 64
// Dispatch    one workgroup (one subgroup) per ROWS queries: (blocks of L, heads, B)
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
  D: u32, // vec4s of a row of y
  quads: u32, // d / 4
  alpha: f32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> qkv4: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y4: array<vec4f>;

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
    for (var i = 0u; i < params.quads; i++) {
      var vq: array<vec4f, LOADS>;
      //@unroll j < LOADS
      vq[j] = qkv4[iq[j] + i];
      //@end
      let t0 = qkv4[ik.x + i];
      let t1 = qkv4[ik.y + i];
      let t2 = qkv4[ik.z + i];
      let t3 = qkv4[ik.w + i];
      let b0 = vec4f(t0.x, t1.x, t2.x, t3.x);
      let b1 = vec4f(t0.y, t1.y, t2.y, t3.y);
      let b2 = vec4f(t0.z, t1.z, t2.z, t3.z);
      let b3 = vec4f(t0.w, t1.w, t2.w, t3.w);
      //@unroll r < ROWS
      let a = vq[r / LANES];
      w[r] = fma(vec4f(subgroupBroadcast(a.w, r % LANES)), b3,
        fma(vec4f(subgroupBroadcast(a.z, r % LANES)), b2,
        fma(vec4f(subgroupBroadcast(a.y, r % LANES)), b1,
        fma(vec4f(subgroupBroadcast(a.x, r % LANES)), b0, w[r]))));
      //@end
    }
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
  totals[r] = 1.0 / lanes_sum(lane, totals[r]);
  //@end
  let y = group.z * params.L * params.D + group.y * params.quads;
  var stored = sums;
  var scales = totals;
  let rows = min(ROWS * min(groups.x, 1u), params.L - first);
  for (var r = 0u; r < rows; r++) {
    for (var c = 0u; c < COLUMNS; c++) {
      let column = lane + c * LANES;
      if (column < params.quads) {
        y4[y + (first + r) * params.D + column] = scales[r] * stored[r * PLACES + c];
      }
    }
  }
}
