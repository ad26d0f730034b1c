// Attention on subgroup matrices, backward: makes the weights of kernels/flash_matrix.wgsl again.
//
//   backward   dv[j] = sum over i of w[i, j] dy[i],      ds[i, j] = w[i, j] (dy[i] v[j] - delta[i]),
//              dq[i] = alpha * sum over j of ds[i, j] k[j],   dk[j] = alpha * sum over i of ds[i, j] q[i],
//              w[i, j] = exp(alpha q[i] k[j]) / 2^lse[i],     delta[i] = dy[i] y[i]
//
// As in the forward, a tile of the rows that are not owned takes two steps with a barrier after each: products in one,
// weights and their gradients made of them in the other. backward_queries also makes delta, for backward_keys.
//
// Shapes      qkv, dqkv, y, dy, lse, delta as in kernels/flash_tiles.wgsl
// Dispatch    one workgroup of THREADS per OWN queries, or keys: (blocks of L, heads, B); SQUARES 2;
//             backward_queries TILES 3, WEIGHTS 1; backward_keys TILES 4, WEIGHTS 2
// Called by   src/ops/attentionmatrix.ts
// Checked by  test/ops/attentionmatrix.test.ts

//@include flash_tiles

const MOST_PASSES = 16;

var<workgroup> parts: array<f32, THREADS>; // of delta, two to a row

// dy y of half a row, WIDTH / 2 columns of it.
fn half_of_delta(start: u32, row: u32, which: u32) -> f32 {
  let at = start + min(row, params.L - 1u) * params.D + which * (QUADS / 2u);
  var sum = vec4f();
  for (var c = 0u; c < QUADS / 2u; c++) { sum = fma(vec4f(dy4[at + c]), vec4f(y4[at + c]), sum); }
  return dot(sum, vec4f(1.0));
}

// Stores the matrix of a subgroup's sums that is in scratch, as columns from `quad` on of dqkv, where the q, k or v of
// the head begins at `start`.
fn store_gradient(start: u32, first: u32, quad: u32, own: u32, lane: u32, factor: f32) {
  let row = own + lane / 2u;
  if (first + row < params.L) {
    let at = row * SQUARE_PITCH + lane % 2u * 8u;
    let to = start + (first + row) * 3u * params.D + quad + lane % 2u * 2u;
    dqkv4[to] = four(at, factor);
    dqkv4[to + 1u] = four(at + 4u, factor);
  }
}

// Each matrix and each quad on its way has a variable of its own: compilers keep arrays of them in memory.
@compute @workgroup_size(THREADS)
fn backward_queries(place: Place) {
  let head = head_of(place.group);
  let first = place.group.x * OWN;
  let thread = place.thread;
  let lane = lane_of(place);
  let own = 16u * subgroup_of(place);
  let square = own * SQUARE_PITCH;
  let weights = FIRST_WEIGHTS + square;
  //@names c < MOST_ACROSS
  var q_$c: Left;
  var dy_$c: Left;
  var sum_$c: Sum;
  //@end
  //@names i < MOST_LOADS
  var next_k_$i: vec4<f16>;
  var next_v_$i: vec4<f16>;
  //@end
  keep_own_qkv(head.q, first, place.thread);
  workgroupBarrier();
  //@unroll c < MOST_ACROSS
  if (c < ACROSS) { q_$c = left_rows(own * PITCH + 16u * c, PITCH, lane); }
  //@end
  workgroupBarrier();
  keep_own_dy(head.y, first, place.thread);
  workgroupBarrier();
  //@unroll c < MOST_ACROSS
  if (c < ACROSS) { dy_$c = left_rows(own * PITCH + 16u * c, PITCH, lane); }
  //@end
  workgroupBarrier();

  // Scores and dy v begin at what is taken off every one of a row: lse, as scores are, and delta.
  parts[thread] = half_of_delta(head.y, first + thread / 2u, thread % 2u);
  workgroupBarrier();
  if (thread < OWN && first + thread < params.L) {
    delta[head.row + first + thread] = parts[2u * thread] + parts[2u * thread + 1u];
  }
  for (var e = lane; e < 256u; e += 32u) {
    let row = own + e / 16u;
    let at = row * SQUARE_PITCH + e % 16u;
    scratch[at] = -lse[head.row + min(first + row, params.L - 1u)] / params.binary;
    scratch[SQUARE + at] = -parts[2u * row] - parts[2u * row + 1u];
  }
  workgroupBarrier();
  let below = taken(square, SQUARE_PITCH, lane);
  let minus_delta = taken(SQUARE + square, SQUARE_PITCH, lane);

  //@unroll i < MOST_LOADS
  if (i < LOADS) {
    next_k_$i = qkv_at(head.k, row_of(i, thread), quad_of(i, thread));
    next_v_$i = qkv_at(head.v, row_of(i, thread), quad_of(i, thread));
  }
  //@end
  //@unroll i < MOST_LOADS
  if (i < LOADS && (EVEN || row_of(i, thread) < SPAN)) {
    keep(row_of(i, thread), quad_of(i, thread), next_k_$i);
    keep(2u * SPAN + row_of(i, thread), quad_of(i, thread), next_v_$i);
  }
  //@end
  //@unroll i < MOST_LOADS
  if (i < LOADS) {
    next_k_$i = qkv_at(head.k, SPAN + row_of(i, thread), quad_of(i, thread));
    next_v_$i = qkv_at(head.v, SPAN + row_of(i, thread), quad_of(i, thread));
  }
  //@end
  workgroupBarrier();
  for (var n = 0u; n < SPAN; n += 16u) {
    var scores = below;
    //@unroll c < MOST_ACROSS
    if (c < ACROSS) { scores = multiplied(q_$c, across_of(0u, n, c), scores, lane); }
    //@end
    put(square + n, SQUARE_PITCH, scores, lane);
  }
  for (var n = 0u; n < SPAN; n += 16u) {
    var scores = minus_delta;
    //@unroll c < MOST_ACROSS
    if (c < ACROSS) { scores = multiplied(dy_$c, across_of(2u, n, c), scores, lane); }
    //@end
    put(SQUARE + square + n, SQUARE_PITCH, scores, lane);
  }
  workgroupBarrier();

  var now = 0u; // which of two tiles holds the keys
  for (var begin = 0u; begin < params.L; begin += SPAN) {
    //@unroll i < MOST_LOADS
    if (i < LOADS && (EVEN || row_of(i, thread) < SPAN)) {
      keep((1u - now) * SPAN + row_of(i, thread), quad_of(i, thread), next_k_$i);
      keep(2u * SPAN + row_of(i, thread), quad_of(i, thread), next_v_$i);
    }
    //@end
    //@unroll i < MOST_PASSES
    if (i < PASSES) {
      //@unroll j < 2
      if (j < SPLIT) {
        let at = part_of(square, i, lane) + 32u * j;
        let weight = exp2(params.binary * scratch[at]);
        let gradient = weight * scratch[SQUARE + at];
        let real = begin + lane % LINE + 32u * j < params.L;
        tile[part_of(weights, i, lane) + 32u * j] = f16(select(0.0, gradient, real));
      }
      //@end
    }
    //@end
    workgroupBarrier();
    //@unroll i < MOST_LOADS
    if (i < LOADS) {
      next_k_$i = qkv_at(head.k, begin + 2u * SPAN + row_of(i, thread), quad_of(i, thread));
      next_v_$i = qkv_at(head.v, begin + 2u * SPAN + row_of(i, thread), quad_of(i, thread));
    }
    //@end
    for (var k = 0u; k < SPAN; k += 16u) {
      let left = left_rows(weights + k, SQUARE_PITCH, lane);
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) { sum_$c = multiplied(left, down_of(now, k, c), sum_$c, lane); }
      //@end
    }
    now = 1u - now;
    for (var n = 0u; n < SPAN; n += 16u) {
      var scores = below;
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) { scores = multiplied(q_$c, across_of(now, n, c), scores, lane); }
      //@end
      put(square + n, SQUARE_PITCH, scores, lane);
    }
    for (var n = 0u; n < SPAN; n += 16u) {
      var scores = minus_delta;
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) { scores = multiplied(dy_$c, across_of(2u, n, c), scores, lane); }
      //@end
      put(SQUARE + square + n, SQUARE_PITCH, scores, lane);
    }
    workgroupBarrier();
  }
  for (var each = 0u; each < params.across; each++) {
    //@unroll c < MOST_ACROSS
    if (c < ACROSS && c == each) { put(square, SQUARE_PITCH, sum_$c, lane); }
    //@end
    workgroupBarrier();
    store_gradient(head.q, first, 4u * each, own, lane, params.alpha);
    workgroupBarrier();
  }
}

@compute @workgroup_size(THREADS)
fn backward_keys(place: Place) {
  let head = head_of(place.group);
  let first = place.group.x * OWN;
  let thread = place.thread;
  let lane = lane_of(place);
  let own = 16u * subgroup_of(place);
  let square = own * SQUARE_PITCH;
  let weights = FIRST_WEIGHTS + square;
  let gradients = weights + SQUARE;
  //@names c < MOST_ACROSS
  var k_$c: Left;
  var v_$c: Left;
  var dk_$c: Sum;
  var dv_$c: Sum;
  //@end
  //@names i < MOST_LOADS
  var next_q_$i: vec4<f16>;
  var next_dy_$i: vec4<f16>;
  //@end
  //@names j < 2
  var lse_$j: f32; // of the queries of a thread's columns
  var delta_$j: f32;
  //@end
  keep_own_qkv(head.k, first, place.thread);
  workgroupBarrier();
  //@unroll c < MOST_ACROSS
  if (c < ACROSS) { k_$c = left_rows(own * PITCH + 16u * c, PITCH, lane); }
  //@end
  workgroupBarrier();
  keep_own_qkv(head.v, first, place.thread);
  workgroupBarrier();
  //@unroll c < MOST_ACROSS
  if (c < ACROSS) { v_$c = left_rows(own * PITCH + 16u * c, PITCH, lane); }
  //@end
  workgroupBarrier();
  //@unroll i < MOST_LOADS
  if (i < LOADS) {
    next_q_$i = qkv_at(head.q, row_of(i, thread), quad_of(i, thread));
    next_dy_$i = dy_at(head.y, row_of(i, thread), quad_of(i, thread));
  }
  //@end
  //@unroll i < MOST_LOADS
  if (i < LOADS && (EVEN || row_of(i, thread) < SPAN)) {
    keep(row_of(i, thread), quad_of(i, thread), next_q_$i);
    keep(2u * SPAN + row_of(i, thread), quad_of(i, thread), next_dy_$i);
  }
  //@end
  //@unroll i < MOST_LOADS
  if (i < LOADS) {
    next_q_$i = qkv_at(head.q, SPAN + row_of(i, thread), quad_of(i, thread));
    next_dy_$i = dy_at(head.y, SPAN + row_of(i, thread), quad_of(i, thread));
  }
  //@end
  //@unroll j < 2
  if (j < SPLIT) {
    let at = head.row + min(lane % LINE + 32u * j, params.L - 1u);
    lse_$j = lse[at];
    delta_$j = delta[at];
  }
  //@end
  workgroupBarrier();
  for (var n = 0u; n < SPAN; n += 16u) {
    var scores = Sum();
    //@unroll c < MOST_ACROSS
    if (c < ACROSS) { scores = multiplied(k_$c, across_of(0u, n, c), scores, lane); }
    //@end
    put(square + n, SQUARE_PITCH, scores, lane);
  }
  for (var n = 0u; n < SPAN; n += 16u) {
    var scores = Sum();
    //@unroll c < MOST_ACROSS
    if (c < ACROSS) { scores = multiplied(v_$c, across_of(2u, n, c), scores, lane); }
    //@end
    put(SQUARE + square + n, SQUARE_PITCH, scores, lane);
  }
  workgroupBarrier();

  var now = 0u; // which of two tiles holds the queries, and of two more their dy
  for (var begin = 0u; begin < params.L; begin += SPAN) {
    //@unroll i < MOST_LOADS
    if (i < LOADS && (EVEN || row_of(i, thread) < SPAN)) {
      keep((1u - now) * SPAN + row_of(i, thread), quad_of(i, thread), next_q_$i);
      keep((3u - now) * SPAN + row_of(i, thread), quad_of(i, thread), next_dy_$i);
    }
    //@end
    //@unroll i < MOST_PASSES
    if (i < PASSES) {
      //@unroll j < 2
      if (j < SPLIT) {
        let at = part_of(square, i, lane) + 32u * j;
        let real = begin + lane % LINE + 32u * j < params.L;
        let weight = select(0.0, exp2(params.binary * scratch[at] - lse_$j), real);
        let to = part_of(weights, i, lane) + 32u * j;
        tile[to] = f16(weight);
        tile[to + SQUARE] = f16(weight * (scratch[SQUARE + at] - delta_$j));
      }
      //@end
    }
    //@end
    workgroupBarrier();
    //@unroll i < MOST_LOADS
    if (i < LOADS) {
      next_q_$i = qkv_at(head.q, begin + 2u * SPAN + row_of(i, thread), quad_of(i, thread));
      next_dy_$i = dy_at(head.y, begin + 2u * SPAN + row_of(i, thread), quad_of(i, thread));
    }
    //@end
    //@unroll j < 2
    if (j < SPLIT) {
      let at = head.row + min(begin + SPAN + lane % LINE + 32u * j, params.L - 1u);
      lse_$j = lse[at];
      delta_$j = delta[at];
    }
    //@end
    for (var k = 0u; k < SPAN; k += 16u) {
      let left = left_rows(weights + k, SQUARE_PITCH, lane);
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) { dv_$c = multiplied(left, down_of(2u + now, k, c), dv_$c, lane); }
      //@end
    }
    for (var k = 0u; k < SPAN; k += 16u) {
      let left = left_rows(gradients + k, SQUARE_PITCH, lane);
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) { dk_$c = multiplied(left, down_of(now, k, c), dk_$c, lane); }
      //@end
    }
    now = 1u - now;
    for (var n = 0u; n < SPAN; n += 16u) {
      var scores = Sum();
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) { scores = multiplied(k_$c, across_of(now, n, c), scores, lane); }
      //@end
      put(square + n, SQUARE_PITCH, scores, lane);
    }
    for (var n = 0u; n < SPAN; n += 16u) {
      var scores = Sum();
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) { scores = multiplied(v_$c, across_of(2u + now, n, c), scores, lane); }
      //@end
      put(SQUARE + square + n, SQUARE_PITCH, scores, lane);
    }
    workgroupBarrier();
  }
  for (var each = 0u; each < params.across; each++) {
    //@unroll c < MOST_ACROSS
    if (c < ACROSS && c == each) { put(square, SQUARE_PITCH, dv_$c, lane); }
    //@end
    workgroupBarrier();
    store_gradient(head.v, first, 4u * each, own, lane, 1.0);
    workgroupBarrier();
  }
  for (var each = 0u; each < params.across; each++) {
    //@unroll c < MOST_ACROSS
    if (c < ACROSS && c == each) { put(square, SQUARE_PITCH, dk_$c, lane); }
    //@end
    workgroupBarrier();
    store_gradient(head.k, first, 4u * each, own, lane, params.alpha);
    workgroupBarrier();
  }
}
