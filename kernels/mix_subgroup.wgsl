// Mixes the V variables of each patch by given weights, as mix.wgsl, for adapters with subgroups of 4 to 16 lanes, which
// are software.
//
//   forward_patches   o[n, h, j] = sum over v, k of a[h, v, n] P[n, v, k] M[v, k, h, j]
//   backward_patches  da[h, v, n] = sum over k of P[n, v, k] sum over j of do[n, h, j] M[v, k, h, j]
//   backward_basis    dM[v, k, h, j] = sum over n of a[h, v, n] P[n, v, k] do[n, h, j], by shares of n
//
// A subgroup loads a row of M, or a column of weights, once, and every lane gets it by subgroupBroadcast with a
// constant lane. No barriers, no workgroup memory.
//
// Shapes      turned [C, Q], Q = ceil(N / 4) vec4s, zero beyond V K and N;  attention, dscores [H, V, Q];
//             basis [C, D / 4], o, do_ [N, D / 4], D = H d, d a multiple of 4;  dbasis [shares, C, D / 4]
// Dispatch    one workgroup (one subgroup) each;  forward_patches: (LANES of Q, 4 QUADS columns of d, H);
//             backward_patches: (LANES of Q, `share` variables, H);
//             backward_basis: (ROWS of C, LANES vec4s of d, H times `share` vec4s of Q)
// Called by   src/ops/mix.ts
// Checked by  test/ops/aggregate.test.ts

//@include lanes

const QUADS = 8u; // vec4s of columns that *_patches hold
const COLUMNS = 32u;
const LOADS = QUADS / LANES; // rounded up where it counts unrolled loads
const ROWS = 32u;
const ROW_LOADS = ROWS / LANES;

struct Params {
  N: u32,
  Q: u32,
  V: u32,
  K: u32, // numbers in a patch of one variable
  C: u32,
  H: u32,
  d: u32, // width of a head
  share: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> turned: array<vec4f>;
@group(0) @binding(1) var<storage, read> attention: array<vec4f>;
@group(0) @binding(2) var<storage, read> basis: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> o: array<vec4f>;
@group(0) @binding(4) var<storage, read> do_: array<vec4f>; // `do` is reserved in WGSL
@group(0) @binding(5) var<storage, read_write> dscores: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> dbasis: array<vec4f>;

@compute @workgroup_size(LANES)
fn forward_patches(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let own = group.x * LANES + lane;
  let q = min(own, params.Q - 1u);
  let width = params.d / 4u;
  let row = params.H * width; // vec4s of a row of M, and of o
  let column = group.y * QUADS;
  let here = group.z * width;
  var sums: array<vec4f, COLUMNS>;
  for (var v = 0u; v < params.V; v++) {
    let a = attention[(group.z * params.V + v) * params.Q + q];
    for (var c = v * params.K; c < (v + 1u) * params.K; c++) {
      let w = a * turned[c * params.Q + q];
      var m: array<vec4f, QUADS>;
      //@unroll i < LOADS
      m[i] = basis[c * row + here + min(column + i * LANES + lane, width - 1u)];
      //@end
      //@unroll j < QUADS
      //@unroll e < 4
      sums[4u * j + e] = fma(w, vec4f(subgroupBroadcast(m[j / LANES][e], j % LANES)), sums[4u * j + e]);
      //@end
      //@end
    }
  }
  if (own >= params.Q) { return; }
  var rolled = sums;
  // Trip counts no compiler can bound: keeps the stores rolled, which compiles five times faster.
  let fields = min(4u * min(groups.x, 1u), params.N - 4u * q);
  let quads = min(QUADS * min(groups.x, 1u), width - column);
  for (var i = 0u; i < fields; i++) {
    for (var j = 0u; j < quads; j++) {
      o[(4u * q + i) * row + here + column + j] =
        vec4f(rolled[4u * j][i], rolled[4u * j + 1u][i], rolled[4u * j + 2u][i], rolled[4u * j + 3u][i]);
    }
  }
}

@compute @workgroup_size(LANES)
fn backward_patches(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let own = group.x * LANES + lane;
  let q = min(own, params.Q - 1u);
  let width = params.d / 4u;
  let row = params.H * width;
  let here = group.z * width;
  let last = params.N - 1u;
  let first = group.y * params.share;
  let end = min(first + params.share, params.V);
  for (var column = 0u; column < width; column += QUADS) {
    // Of each column, four patches. The zeros are said: Tint does not start a loop's variable afresh.
    var rolled = array<vec4f, COLUMNS>();
    let quads = min(QUADS * min(groups.x, 1u), width - column);
    for (var j = 0u; j < quads; j++) {
      let at = here + column + j;
      let turned_back = transpose(mat4x4f(
        do_[4u * q * row + at],
        do_[min(4u * q + 1u, last) * row + at],
        do_[min(4u * q + 2u, last) * row + at],
        do_[min(4u * q + 3u, last) * row + at],
      ));
      rolled[4u * j] = turned_back[0];
      rolled[4u * j + 1u] = turned_back[1];
      rolled[4u * j + 2u] = turned_back[2];
      rolled[4u * j + 3u] = turned_back[3];
    }
    let g = rolled;
    for (var v = first; v < end; v++) {
      let at = (group.z * params.V + v) * params.Q + q;
      var da = vec4f();
      if (column > 0u) { da = dscores[at]; }
      for (var c = v * params.K; c < (v + 1u) * params.K; c++) {
        var m: array<vec4f, QUADS>;
        //@unroll i < LOADS
        m[i] = basis[c * row + here + min(column + i * LANES + lane, width - 1u)];
        //@end
        var dw = vec4f();
        //@unroll j < QUADS
        //@unroll e < 4
        dw = fma(g[4u * j + e], vec4f(subgroupBroadcast(m[j / LANES][e], j % LANES)), dw);
        //@end
        //@end
        da += turned[c * params.Q + q] * dw;
      }
      if (own < params.Q) { dscores[at] = da; }
    }
  }
}

@compute @workgroup_size(LANES)
fn backward_basis(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let width = params.d / 4u;
  let row = params.H * width;
  let column = group.y * LANES + lane;
  let h = group.z % params.H;
  let z = group.z / params.H;
  let j = h * width + min(column, width - 1u);
  let first = group.x * ROWS;
  var weights: array<u32, ROW_LOADS>; // where the weights and the patches of this lane's rows begin
  var places: array<u32, ROW_LOADS>;
  //@unroll i < ROW_LOADS
  let c = min(first + i * LANES + lane, params.C - 1u);
  weights[i] = (h * params.V + min(c / params.K, params.V - 1u)) * params.Q;
  places[i] = c * params.Q;
  //@end
  var sums: array<vec4f, ROWS>;
  let last = params.N - 1u;
  let end = min((z + 1u) * params.share, params.Q);
  for (var q = z * params.share; q < end; q++) {
    var w: array<vec4f, ROW_LOADS>;
    //@unroll i < ROW_LOADS
    w[i] = attention[weights[i] + q] * turned[places[i] + q];
    //@end
    let g0 = do_[4u * q * row + j];
    let g1 = do_[min(4u * q + 1u, last) * row + j];
    let g2 = do_[min(4u * q + 2u, last) * row + j];
    let g3 = do_[min(4u * q + 3u, last) * row + j];
    //@unroll r < ROWS
    let v = w[r / LANES];
    sums[r] = fma(vec4f(subgroupBroadcast(v.w, r % LANES)), g3,
      fma(vec4f(subgroupBroadcast(v.z, r % LANES)), g2,
      fma(vec4f(subgroupBroadcast(v.y, r % LANES)), g1,
      fma(vec4f(subgroupBroadcast(v.x, r % LANES)), g0, sums[r]))));
    //@end
  }
  if (column >= width) { return; }
  var rolled = sums;
  let rows = min(ROWS * min(groups.x, 1u), params.C - first);
  for (var r = 0u; r < rows; r++) { dbasis[(z * params.C + first + r) * row + j] = rolled[r]; }
}
