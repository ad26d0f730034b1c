// Mixes the V variables of each patch by given weights, without the tensor of weighted patches, for GPUs
// (Nguyen et al. 2023, arXiv:2301.10343, section 3.1; src/ops/aggregate.ts has the algebra).
//
//   forward_patches   o[n, h, j] = sum over v, k of a[h, v, n] P[n, v, k] M[v, k, h, j]
//   backward_patches  da[h, v, n] = sum over k of P[n, v, k] sum over j of do[n, h, j] M[v, k, h, j]
//   backward_basis    dM[v, k, h, j] = sum over n of a[h, v, n] P[n, v, k] do[n, h, j], by shares of n
//
// Threads of *_patches own four patches, neighbours in n, and read M at one address; those of backward_basis own four
// columns of ROWS rows of dM, and read weights and patches at one address. No barriers, no workgroup memory.
//
// Shapes      turned [C, Q], Q = ceil(N / 4) vec4s, zero beyond V K and N;  attention, dscores [H, V, Q];
//             basis [C, D / 4], o, do_ [N, D / 4], D = H d, d a multiple of 4;  dbasis [shares, C, D / 4]
// Dispatch    forward_patches: (WORKGROUPs of Q, 4 QUADS columns of d, H);  backward_patches: (WORKGROUPs of Q,
//             `share` variables, H);  backward_basis: (WORKGROUPs of D / 4, ROWS of C, `share` vec4s of Q)
// Called by   src/ops/mix.ts
// Checked by  test/ops/aggregate.test.ts

const WORKGROUP = 64u;
const QUADS = 4u; // vec4s of columns that a thread of *_patches holds
const ROWS = 8u;

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

@compute @workgroup_size(WORKGROUP)
fn forward_patches(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let q = group.x * WORKGROUP + thread;
  if (q >= params.Q) { return; }
  let width = params.d / 4u;
  let row = params.H * width; // vec4s of a row of M, and of o
  let column = group.y * QUADS;
  let here = group.z * width;
  var sums: array<vec4f, 16>;
  for (var v = 0u; v < params.V; v++) {
    let a = attention[(group.z * params.V + v) * params.Q + q];
    for (var c = v * params.K; c < (v + 1u) * params.K; c++) {
      let w = a * turned[c * params.Q + q];
      //@unroll j < QUADS
      let m = basis[c * row + here + min(column + j, width - 1u)];
      sums[4u * j] += w * m.x;
      sums[4u * j + 1u] += w * m.y;
      sums[4u * j + 2u] += w * m.z;
      sums[4u * j + 3u] += w * m.w;
      //@end
    }
  }
  //@unroll i < 4
  if (4u * q + i < params.N) {
    //@unroll j < QUADS
    if (column + j < width) {
      o[(4u * q + i) * row + here + column + j] =
        vec4f(sums[4u * j][i], sums[4u * j + 1u][i], sums[4u * j + 2u][i], sums[4u * j + 3u][i]);
    }
    //@end
  }
  //@end
}

@compute @workgroup_size(WORKGROUP)
fn backward_patches(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let q = group.x * WORKGROUP + thread;
  if (q >= params.Q) { return; }
  let width = params.d / 4u;
  let row = params.H * width;
  let here = group.z * width;
  let first = group.y * params.share;
  let end = min(first + params.share, params.V);
  for (var column = 0u; column < width; column += QUADS) {
    // Of each column, four patches. The zeros are said: Tint does not start a loop's variable afresh.
    var g = array<vec4f, 16>();
    //@unroll j < QUADS
    if (column + j < width) {
      let at = here + column + j;
      let last = params.N - 1u;
      let turned_back = transpose(mat4x4f(
        do_[4u * q * row + at],
        do_[min(4u * q + 1u, last) * row + at],
        do_[min(4u * q + 2u, last) * row + at],
        do_[min(4u * q + 3u, last) * row + at],
      ));
      g[4u * j] = turned_back[0];
      g[4u * j + 1u] = turned_back[1];
      g[4u * j + 2u] = turned_back[2];
      g[4u * j + 3u] = turned_back[3];
    }
    //@end
    for (var v = first; v < end; v++) {
      let at = (group.z * params.V + v) * params.Q + q;
      var da = vec4f();
      if (column > 0u) { da = dscores[at]; }
      for (var c = v * params.K; c < (v + 1u) * params.K; c++) {
        var dw = vec4f();
        //@unroll j < QUADS
        let m = basis[c * row + here + min(column + j, width - 1u)];
        dw += (g[4u * j] * m.x + g[4u * j + 1u] * m.y) + (g[4u * j + 2u] * m.z + g[4u * j + 3u] * m.w);
        //@end
        da += turned[c * params.Q + q] * dw;
      }
      dscores[at] = da;
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_basis(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let width = params.d / 4u;
  let row = params.H * width;
  let j = group.x * WORKGROUP + thread;
  if (j >= row) { return; }
  let head = j / width * params.V;
  let first = group.y * ROWS;
  var weights: array<u32, ROWS>; // where the weights and the patches of each row begin
  var places: array<u32, ROWS>;
  //@unroll r < ROWS
  let c = min(first + r, params.C - 1u);
  weights[r] = (head + min(c / params.K, params.V - 1u)) * params.Q;
  places[r] = c * params.Q;
  //@end
  var sums: array<vec4f, ROWS>;
  let last = params.N - 1u;
  let end = min((group.z + 1u) * params.share, params.Q);
  for (var q = group.z * params.share; q < end; q++) {
    let g0 = do_[4u * q * row + j];
    let g1 = do_[min(4u * q + 1u, last) * row + j];
    let g2 = do_[min(4u * q + 2u, last) * row + j];
    let g3 = do_[min(4u * q + 3u, last) * row + j];
    //@unroll r < ROWS
    let w = attention[weights[r] + q] * turned[places[r] + q];
    sums[r] += (g0 * w.x + g1 * w.y) + (g2 * w.z + g3 * w.w);
    //@end
  }
  //@unroll r < ROWS
  if (first + r < params.C) { dbasis[(group.z * params.C + first + r) * row + j] = sums[r]; }
  //@end
}
