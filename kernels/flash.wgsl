// Attention for GPUs that never stores the weights: tiles of them pass through workgroup memory, and the backward
// makes them again (Dao et al. 2022, arXiv:2205.14135; Dao 2023, arXiv:2307.08691). Sums have a fixed order.
//
//   forward    y[i] = sum over j of w[i, j] v[j],   w[i, j] = exp(alpha q[i] k[j] - lse[i]),
//              lse[i] = log of the sum over j of exp(alpha q[i] k[j]), gathered tile by tile with a running maximum
//   backward   dv[j] = sum over i of w[i, j] dy[i],      ds[i, j] = w[i, j] (dy[i] v[j] - delta[i]),
//              dq[i] = alpha * sum over j of ds[i, j] k[j],   dk[j] = alpha * sum over i of ds[i, j] q[i],
//              delta[i] = dy[i] y[i]
//
// A workgroup owns OWN rows (queries; keys in backward_keys) and meets the others SPAN at a time. Its threads stand
// HEIGHT down and 16 across; each holds 8 x 4 of a tile of weights and 8 x d / 16 of the sums in registers.
//
// Shapes      qkv, dqkv [B, L, 3, heads, d];   y, dy [B, L, heads, d];   lse, delta [B, heads, L];
//             any L, d a multiple of 4 up to 128
// Dispatch    one workgroup of THREADS per OWN rows: (blocks of L, heads, B);
//             backward_delta: one thread per row of a head
// Called by   src/ops/attention.ts
// Checked by  test/ops/attention.test.ts

// These fit the least workgroup memory that WebGPU promises, 16 KiB; 128 threads and a depth of 4 want 28 KiB.
override THREADS = 64u; // a multiple of 16
override DEPTH = 2u; // vec4s of the head's width that are staged at a time; even, so that PITCH is odd
override QUADS = 16u; // d / 4

const SPAN = 64u;
override OWN = THREADS / 2u;
override HEIGHT = THREADS / 16u;
override PITCH = DEPTH + 1u; // odd pitches keep threads that read a column in different banks
const SQUARE_PITCH = 17u; // SPAN / 4 + 1
const WORKGROUP = 64u;
const LOWEST = -1e30; // below any score, and still exp(LOWEST - score) is 0 and not NaN

struct Params {
  L: u32,
  heads: u32,
  D: u32, // heads * d / 4: vec4s of a row of y
  rows: u32, // B L heads
  quads: u32, // QUADS, for the bounds of loops: those the compiler knows it unrolls, for a minute on lavapipe
  alpha: f32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> qkv4: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>; // written forward, read backward
@group(0) @binding(3) var<storage, read> dy4: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> delta: array<f32>;
@group(0) @binding(5) var<storage, read_write> dqkv4: array<vec4f>;

// Either DEPTH columns of OWN rows, then of SPAN rows in the order of `span_row`; or 4 DEPTH whole rows.
var<workgroup> staged: array<vec4f, (OWN + SPAN) * PITCH>;
var<workgroup> square: array<vec4f, OWN * SQUARE_PITCH>; // [OWN, SPAN]: scores, weights or their gradients
var<workgroup> halves: array<f32, THREADS>; // two numbers for each of the OWN rows
var<workgroup> scales: array<f32, OWN>;

// Where a head begins, in vec4s of qkv and of y, and in floats of lse.
struct Head {
  q: u32,
  k: u32,
  v: u32,
  y: u32,
  row: u32,
}

fn head_of(group: vec3u) -> Head {
  let q = group.z * params.L * 3u * params.D + group.y * QUADS;
  let y = group.z * params.L * params.D + group.y * QUADS;
  return Head(q, q + params.D, q + 2u * params.D, y, (group.z * params.heads + group.y) * params.L);
}

// A vec4 of a row of q, k or v, or of dy; zero beyond the last row and column.
fn load_qkv(start: u32, row: u32, column: u32) -> vec4f {
  if (row >= params.L || column >= QUADS) { return vec4f(); }
  return qkv4[start + row * 3u * params.D + column];
}

fn load_dy(start: u32, row: u32, column: u32) -> vec4f {
  if (row >= params.L || column >= QUADS) { return vec4f(); }
  return dy4[start + row * params.D + column];
}

// A thread's four of SPAN rows are neighbours, but are staged 16 apart, where the threads beside it read elsewhere.
fn span_row(slot: u32) -> u32 { return 4u * (slot % 16u) + slot / 16u; }

fn stage_own_qkv(start: u32, first: u32, column: u32, thread: u32) {
  for (var e = thread; e < OWN * DEPTH; e += THREADS) {
    staged[e / DEPTH * PITCH + e % DEPTH] = load_qkv(start, first + e / DEPTH, column + e % DEPTH);
  }
}

fn stage_own_dy(start: u32, first: u32, column: u32, thread: u32) {
  for (var e = thread; e < OWN * DEPTH; e += THREADS) {
    staged[e / DEPTH * PITCH + e % DEPTH] = load_dy(start, first + e / DEPTH, column + e % DEPTH);
  }
}

fn stage_span_qkv(start: u32, first: u32, column: u32, thread: u32) {
  for (var e = thread; e < SPAN * DEPTH; e += THREADS) {
    let at = (OWN + e / DEPTH) * PITCH + e % DEPTH;
    staged[at] = load_qkv(start, first + span_row(e / DEPTH), column + e % DEPTH);
  }
}

fn stage_span_dy(start: u32, first: u32, column: u32, thread: u32) {
  for (var e = thread; e < SPAN * DEPTH; e += THREADS) {
    let at = (OWN + e / DEPTH) * PITCH + e % DEPTH;
    staged[at] = load_dy(start, first + span_row(e / DEPTH), column + e % DEPTH);
  }
}

// Adds, for a thread's 8 x 4 of the tile, the products of the up to DEPTH columns that are staged.
fn add_dots(thread: u32, column: u32, tile: ptr<function, array<vec4f, 8>>) {
  let own = thread / 16u * PITCH;
  let span = (OWN + thread % 16u) * PITCH;
  let columns = min(DEPTH, params.quads - column);
  for (var k = 0u; k < columns; k++) {
    let t0 = staged[span + k];
    let t1 = staged[span + 16u * PITCH + k];
    let t2 = staged[span + 32u * PITCH + k];
    let t3 = staged[span + 48u * PITCH + k];
    let b0 = vec4f(t0.x, t1.x, t2.x, t3.x);
    let b1 = vec4f(t0.y, t1.y, t2.y, t3.y);
    let b2 = vec4f(t0.z, t1.z, t2.z, t3.z);
    let b3 = vec4f(t0.w, t1.w, t2.w, t3.w);
    //@unroll i < 8
    let a = staged[own + i * HEIGHT * PITCH + k];
    tile[i] = fma(vec4f(a.w), b3, fma(vec4f(a.z), b2, fma(vec4f(a.y), b1, fma(vec4f(a.x), b0, tile[i]))));
    //@end
  }
}

// tile = own rows times span rows: q k in either order, dy v, v dy.
fn multiply_qkv(own: u32, first: u32, span: u32, begin: u32, thread: u32, tile: ptr<function, array<vec4f, 8>>) {
  for (var column = 0u; column < params.quads; column += DEPTH) {
    workgroupBarrier();
    stage_own_qkv(own, first, column, thread);
    stage_span_qkv(span, begin, column, thread);
    workgroupBarrier();
    add_dots(thread, column, tile);
  }
}

fn multiply_dy_qkv(own: u32, first: u32, span: u32, begin: u32, thread: u32, tile: ptr<function, array<vec4f, 8>>) {
  for (var column = 0u; column < params.quads; column += DEPTH) {
    workgroupBarrier();
    stage_own_dy(own, first, column, thread);
    stage_span_qkv(span, begin, column, thread);
    workgroupBarrier();
    add_dots(thread, column, tile);
  }
}

fn multiply_qkv_dy(own: u32, first: u32, span: u32, begin: u32, thread: u32, tile: ptr<function, array<vec4f, 8>>) {
  for (var column = 0u; column < params.quads; column += DEPTH) {
    workgroupBarrier();
    stage_own_qkv(own, first, column, thread);
    stage_span_dy(span, begin, column, thread);
    workgroupBarrier();
    add_dots(thread, column, tile);
  }
}

// Adds to a thread's sums, 8 rows by one or two vec4s, the up to 4 DEPTH rows that are staged, weighted by the square.
// Of the SPAN rows only the first `rows` exist; the square is zero for the others.
fn add_weighted(thread: u32, first: u32, rows: u32, sums: ptr<function, array<vec4f, 16>>) {
  let tx = thread % 16u;
  let weights = thread / 16u * SQUARE_PITCH + first / 4u;
  for (var k = 0u; 4u * k < min(4u * DEPTH, rows - first); k++) {
    //@unroll c < 2
    if (16u * c < QUADS && tx + 16u * c < QUADS) {
      let at = 4u * k * QUADS + tx + 16u * c;
      let b0 = staged[at];
      let b1 = staged[at + QUADS];
      let b2 = staged[at + 2u * QUADS];
      let b3 = staged[at + 3u * QUADS];
      //@unroll i < 8
      let a = square[weights + i * HEIGHT * SQUARE_PITCH + k];
      sums[8u * c + i] = fma(vec4f(a.w), b3,
        fma(vec4f(a.z), b2, fma(vec4f(a.y), b1, fma(vec4f(a.x), b0, sums[8u * c + i]))));
      //@end
    }
    //@end
  }
}

// sums += square times the SPAN rows of q, k or v, or of dy, that begin at `begin`.
fn weigh_qkv(start: u32, begin: u32, thread: u32, sums: ptr<function, array<vec4f, 16>>) {
  let rows = min(SPAN, params.L - begin);
  for (var first = 0u; first < rows; first += 4u * DEPTH) {
    workgroupBarrier();
    for (var e = thread; e < 4u * DEPTH * QUADS; e += THREADS) {
      staged[e] = load_qkv(start, begin + first + e / QUADS, e % QUADS);
    }
    workgroupBarrier();
    add_weighted(thread, first, rows, sums);
  }
}

fn weigh_dy(start: u32, begin: u32, thread: u32, sums: ptr<function, array<vec4f, 16>>) {
  let rows = min(SPAN, params.L - begin);
  for (var first = 0u; first < rows; first += 4u * DEPTH) {
    workgroupBarrier();
    for (var e = thread; e < 4u * DEPTH * QUADS; e += THREADS) {
      staged[e] = load_dy(start, begin + first + e / QUADS, e % QUADS);
    }
    workgroupBarrier();
    add_weighted(thread, first, rows, sums);
  }
}

// Which of four neighbouring rows exist.
fn exist(row: u32) -> vec4<bool> { return vec4u(row, row + 1u, row + 2u, row + 3u) < vec4u(params.L); }

// Stores a thread's sums in dqkv, where the q, k or v of the own rows begins at `start`.
fn store_gradient(start: u32, first: u32, thread: u32, factor: f32, sums: ptr<function, array<vec4f, 16>>) {
  let tx = thread % 16u;
  //@unroll i < 8
  let row = first + thread / 16u + i * HEIGHT;
  //@unroll c < 2
  if (row < params.L && tx + 16u * c < QUADS) {
    dqkv4[start + row * 3u * params.D + tx + 16u * c] = factor * sums[8u * c + i];
  }
  //@end
  //@end
}

@compute @workgroup_size(THREADS)
fn forward_queries(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = head_of(group);
  let first = group.x * OWN;
  let tx = thread % 16u;
  let ty = thread / 16u;
  // Two threads look after the maximum and the sum of a row, each over half of a tile's columns.
  let row = thread % OWN;
  let half = row * SQUARE_PITCH + thread / OWN * (SPAN / 8u);
  var largest = LOWEST;
  var total = 0.0;
  var sums: array<vec4f, 16>;
  for (var begin = 0u; begin < params.L; begin += SPAN) {
    var scores = array<vec4f, 8>(); // with no value given, lavapipe keeps that of the last round
    multiply_qkv(head.q, first, head.k, begin, thread, &scores);
    let real = exist(begin + 4u * tx);
    //@unroll i < 8
    square[(ty + i * HEIGHT) * SQUARE_PITCH + tx] = select(vec4f(LOWEST), params.alpha * scores[i], real);
    //@end
    workgroupBarrier();
    var most = square[half];
    for (var j = 1u; j < SPAN / 8u; j++) { most = max(most, square[half + j]); }
    halves[thread] = max(max(most.x, most.y), max(most.z, most.w));
    workgroupBarrier();
    let before = largest;
    largest = max(before, max(halves[row], halves[row + OWN]));
    var weights = vec4f();
    for (var j = 0u; j < SPAN / 8u; j++) {
      let weight = exp(square[half + j] - largest);
      square[half + j] = weight;
      weights += weight;
    }
    let shrink = exp(before - largest);
    total = fma(total, shrink, dot(weights, vec4f(1.0)));
    if (thread < OWN) { scales[row] = shrink; }
    workgroupBarrier();
    //@unroll i < 8
    let factor = scales[ty + i * HEIGHT];
    sums[i] *= factor;
    sums[8u + i] *= factor;
    //@end
    weigh_qkv(head.v, begin, thread, &sums);
  }

  halves[thread] = total;
  workgroupBarrier();
  if (thread < OWN) {
    let whole = halves[row] + halves[row + OWN];
    scales[row] = 1.0 / whole;
    if (first + row < params.L) { lse[head.row + first + row] = largest + log(whole); }
  }
  workgroupBarrier();
  //@unroll i < 8
  let own = ty + i * HEIGHT;
  //@unroll c < 2
  if (first + own < params.L && tx + 16u * c < QUADS) {
    y4[head.y + (first + own) * params.D + tx + 16u * c] = scales[own] * sums[8u * c + i];
  }
  //@end
  //@end
}

@compute @workgroup_size(WORKGROUP)
fn backward_delta(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread; // of [B, L, heads]
  if (i >= params.rows) { return; }
  var sum = vec4f();
  for (var column = 0u; column < params.quads; column++) {
    sum = fma(dy4[i * params.quads + column], y4[i * params.quads + column], sum);
  }
  let b = i / (params.L * params.heads);
  let row = i / params.heads % params.L;
  delta[(b * params.heads + i % params.heads) * params.L + row] = dot(sum, vec4f(1.0));
}

@compute @workgroup_size(THREADS)
fn backward_queries(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = head_of(group);
  let first = group.x * OWN;
  let tx = thread % 16u;
  let ty = thread / 16u;
  if (thread < OWN) {
    let at = head.row + min(first + thread, params.L - 1u);
    halves[thread] = lse[at];
    halves[thread + OWN] = delta[at];
  }
  var sums: array<vec4f, 16>;
  for (var begin = 0u; begin < params.L; begin += SPAN) {
    var scores = array<vec4f, 8>();
    multiply_qkv(head.q, first, head.k, begin, thread, &scores);
    var dweights = array<vec4f, 8>();
    multiply_dy_qkv(head.y, first, head.v, begin, thread, &dweights);
    let real = exist(begin + 4u * tx);
    //@unroll i < 8
    let own = ty + i * HEIGHT;
    let weights = select(vec4f(), exp(params.alpha * scores[i] - halves[own]), real);
    square[own * SQUARE_PITCH + tx] = weights * (dweights[i] - halves[own + OWN]);
    //@end
    weigh_qkv(head.k, begin, thread, &sums);
  }
  store_gradient(head.q, first, thread, params.alpha, &sums);
}

@compute @workgroup_size(THREADS)
fn backward_keys(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = head_of(group);
  let first = group.x * OWN;
  let tx = thread % 16u;
  let ty = thread / 16u;
  var dk: array<vec4f, 16>;
  var dv: array<vec4f, 16>;
  for (var begin = 0u; begin < params.L; begin += SPAN) {
    var scores = array<vec4f, 8>();
    multiply_qkv(head.k, first, head.q, begin, thread, &scores);
    var dweights = array<vec4f, 8>();
    multiply_qkv_dy(head.v, first, head.y, begin, thread, &dweights);
    var sizes: vec4f; // lse of the four queries, delta of them
    var deltas: vec4f;
    //@unroll j < 4
    let at = head.row + min(begin + 4u * tx + j, params.L - 1u);
    sizes[j] = lse[at];
    deltas[j] = delta[at];
    //@end
    let real = exist(begin + 4u * tx);
    //@unroll i < 8
    let weights = select(vec4f(), exp(params.alpha * scores[i] - sizes), real);
    square[(ty + i * HEIGHT) * SQUARE_PITCH + tx] = weights;
    dweights[i] = weights * (dweights[i] - deltas);
    //@end
    weigh_dy(head.y, begin, thread, &dv);
    workgroupBarrier();
    //@unroll i < 8
    square[(ty + i * HEIGHT) * SQUARE_PITCH + tx] = dweights[i];
    //@end
    weigh_qkv(head.q, begin, thread, &dk);
  }
  store_gradient(head.v, first, thread, 1.0, &dv);
  store_gradient(head.k, first, thread, params.alpha, &dk);
}
