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

var<workgroup> parts: array<f32, 2u * OWN>; // of delta, two to a row

// dy y of half a row, WIDTH / 2 columns of it.
fn half_of_delta(start: u32, row: u32, which: u32) -> f32 {
  let at = start + min(row, params.L - 1u) * params.D + which * (QUADS / 2u);
  var sum = vec4f();
  for (var c = 0u; c < QUADS / 2u; c++) { sum = fma(vec4f(dy4[at + c]), vec4f(y4[at + c]), sum); }
  return dot(sum, vec4f(1.0));
}

// Stores a matrix of a subgroup's sums, which is in scratch, in dqkv; q, k or v of the first of its rows is at `start`.
fn store_gradient(start: u32, row: u32, square: u32, lane: u32, factor: f32) {
  if (row + lane / 2u < params.L) {
    let at = square + lane / 2u * SQUARE_PITCH + lane % 2u * 8u;
    let to = start + (row + lane / 2u) * 3u * params.D + lane % 2u * 2u;
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
  let own = HEIGHT * subgroup_of(place);
  let square = own * SQUARE_PITCH;
  let weights = FIRST_WEIGHTS + square;
  //@names r < 2
  //@names c < MOST_ACROSS
  var q_$r$c: Left;
  var dy_$r$c: Left;
  var sum_$r$c: Sum;
  //@end
  //@end
  //@names r < 2
  var below_$r: Sum;
  var minus_delta_$r: Sum;
  //@end
  //@names i < MOST_LOADS
  var next_k_$i: vec4<f16>;
  var next_v_$i: vec4<f16>;
  //@end
  keep_own_qkv(head.q, first, place.thread);
  workgroupBarrier();
  //@unroll c < MOST_ACROSS
  //@unroll r < 2
  if (c < ACROSS && r < TALL) { q_$r$c = left_rows((own + 16u * r) * PITCH + 16u * c, PITCH, lane); }
  //@end
  //@end
  workgroupBarrier();
  keep_own_dy(head.y, first, place.thread);
  workgroupBarrier();
  //@unroll c < MOST_ACROSS
  //@unroll r < 2
  if (c < ACROSS && r < TALL) { dy_$r$c = left_rows((own + 16u * r) * PITCH + 16u * c, PITCH, lane); }
  //@end
  //@end
  workgroupBarrier();

  // Scores and dy v begin at what is taken off every one of a row: lse, as scores are, and delta.
  for (var e = thread; e < 2u * OWN; e += THREADS) { parts[e] = half_of_delta(head.y, first + e / 2u, e % 2u); }
  workgroupBarrier();
  for (var row = thread; row < min(OWN, params.L - first); row += THREADS) {
    delta[head.row + first + row] = parts[2u * row] + parts[2u * row + 1u];
  }
  for (var e = lane; e < 256u * TALL; e += 32u) {
    let row = own + e / 16u;
    let at = row * SQUARE_PITCH + e % 16u;
    scratch[at] = -lse[head.row + min(first + row, params.L - 1u)] / params.binary;
    scratch[SQUARE + at] = -parts[2u * row] - parts[2u * row + 1u];
  }
  workgroupBarrier();
  //@unroll r < 2
  if (r < TALL) {
    below_$r = taken(square + 16u * r * SQUARE_PITCH, SQUARE_PITCH, lane);
    minus_delta_$r = taken(SQUARE + square + 16u * r * SQUARE_PITCH, SQUARE_PITCH, lane);
  }
  //@end

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
    //@names r < 2
    var scores_$r: Sum;
    //@end
    //@unroll r < 2
    if (r < TALL) { scores_$r = below_$r; }
    //@end
    //@unroll c < MOST_ACROSS
    if (c < ACROSS) {
      let right = across_of(0u, n, c);
      //@unroll r < 2
      if (r < TALL) { scores_$r = multiplied(q_$r$c, right, scores_$r, lane); }
      //@end
    }
    //@end
    //@unroll r < 2
    if (r < TALL) { put(square + 16u * r * SQUARE_PITCH + n, SQUARE_PITCH, scores_$r, lane); }
    //@end
  }
  for (var n = 0u; n < SPAN; n += 16u) {
    //@names r < 2
    var scores_$r: Sum;
    //@end
    //@unroll r < 2
    if (r < TALL) { scores_$r = minus_delta_$r; }
    //@end
    //@unroll c < MOST_ACROSS
    if (c < ACROSS) {
      let right = across_of(2u, n, c);
      //@unroll r < 2
      if (r < TALL) { scores_$r = multiplied(dy_$r$c, right, scores_$r, lane); }
      //@end
    }
    //@end
    //@unroll r < 2
    if (r < TALL) { put(SQUARE + square + 16u * r * SQUARE_PITCH + n, SQUARE_PITCH, scores_$r, lane); }
    //@end
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
      //@names r < 2
      var left_$r: Left;
      //@end
      //@unroll r < 2
      if (r < TALL) { left_$r = left_rows(weights + 16u * r * SQUARE_PITCH + k, SQUARE_PITCH, lane); }
      //@end
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) {
        let right = down_of(now, k, c);
        //@unroll r < 2
        if (r < TALL) { sum_$r$c = multiplied(left_$r, right, sum_$r$c, lane); }
        //@end
      }
      //@end
    }
    now = 1u - now;
    for (var n = 0u; n < SPAN; n += 16u) {
      //@names r < 2
      var scores_$r: Sum;
      //@end
      //@unroll r < 2
      if (r < TALL) { scores_$r = below_$r; }
      //@end
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) {
        let right = across_of(now, n, c);
        //@unroll r < 2
        if (r < TALL) { scores_$r = multiplied(q_$r$c, right, scores_$r, lane); }
        //@end
      }
      //@end
      //@unroll r < 2
      if (r < TALL) { put(square + 16u * r * SQUARE_PITCH + n, SQUARE_PITCH, scores_$r, lane); }
      //@end
    }
    for (var n = 0u; n < SPAN; n += 16u) {
      //@names r < 2
      var scores_$r: Sum;
      //@end
      //@unroll r < 2
      if (r < TALL) { scores_$r = minus_delta_$r; }
      //@end
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) {
        let right = across_of(2u, n, c);
        //@unroll r < 2
        if (r < TALL) { scores_$r = multiplied(dy_$r$c, right, scores_$r, lane); }
        //@end
      }
      //@end
      //@unroll r < 2
      if (r < TALL) { put(SQUARE + square + 16u * r * SQUARE_PITCH + n, SQUARE_PITCH, scores_$r, lane); }
      //@end
    }
    workgroupBarrier();
  }
  for (var each = 0u; each < TALL * params.across; each++) {
    //@unroll r < 2
    //@unroll c < MOST_ACROSS
    if (r < TALL && c < ACROSS && r * ACROSS + c == each) { put(square, SQUARE_PITCH, sum_$r$c, lane); }
    //@end
    //@end
    workgroupBarrier();
    store_gradient(head.q + 4u * (each % ACROSS), first + own + each / ACROSS * 16u, square, lane, params.alpha);
    workgroupBarrier();
  }
}

@compute @workgroup_size(THREADS)
fn backward_keys(place: Place) {
  let head = head_of(place.group);
  let first = place.group.x * OWN;
  let thread = place.thread;
  let lane = lane_of(place);
  let own = HEIGHT * subgroup_of(place);
  let square = own * SQUARE_PITCH;
  let weights = FIRST_WEIGHTS + square;
  let gradients = weights + SQUARE;
  //@names r < 2
  //@names c < MOST_ACROSS
  var k_$r$c: Left;
  var v_$r$c: Left;
  var dk_$r$c: Sum;
  var dv_$r$c: Sum;
  //@end
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
  //@unroll r < 2
  if (c < ACROSS && r < TALL) { k_$r$c = left_rows((own + 16u * r) * PITCH + 16u * c, PITCH, lane); }
  //@end
  //@end
  workgroupBarrier();
  keep_own_qkv(head.v, first, place.thread);
  workgroupBarrier();
  //@unroll c < MOST_ACROSS
  //@unroll r < 2
  if (c < ACROSS && r < TALL) { v_$r$c = left_rows((own + 16u * r) * PITCH + 16u * c, PITCH, lane); }
  //@end
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
    //@names r < 2
    var scores_$r: Sum;
    //@end
    //@unroll r < 2
    if (r < TALL) { scores_$r = Sum(); }
    //@end
    //@unroll c < MOST_ACROSS
    if (c < ACROSS) {
      let right = across_of(0u, n, c);
      //@unroll r < 2
      if (r < TALL) { scores_$r = multiplied(k_$r$c, right, scores_$r, lane); }
      //@end
    }
    //@end
    //@unroll r < 2
    if (r < TALL) { put(square + 16u * r * SQUARE_PITCH + n, SQUARE_PITCH, scores_$r, lane); }
    //@end
  }
  for (var n = 0u; n < SPAN; n += 16u) {
    //@names r < 2
    var scores_$r: Sum;
    //@end
    //@unroll r < 2
    if (r < TALL) { scores_$r = Sum(); }
    //@end
    //@unroll c < MOST_ACROSS
    if (c < ACROSS) {
      let right = across_of(2u, n, c);
      //@unroll r < 2
      if (r < TALL) { scores_$r = multiplied(v_$r$c, right, scores_$r, lane); }
      //@end
    }
    //@end
    //@unroll r < 2
    if (r < TALL) { put(SQUARE + square + 16u * r * SQUARE_PITCH + n, SQUARE_PITCH, scores_$r, lane); }
    //@end
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
      //@names r < 2
      var left_$r: Left;
      //@end
      //@unroll r < 2
      if (r < TALL) { left_$r = left_rows(weights + 16u * r * SQUARE_PITCH + k, SQUARE_PITCH, lane); }
      //@end
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) {
        let right = down_of(2u + now, k, c);
        //@unroll r < 2
        if (r < TALL) { dv_$r$c = multiplied(left_$r, right, dv_$r$c, lane); }
        //@end
      }
      //@end
    }
    for (var k = 0u; k < SPAN; k += 16u) {
      //@names r < 2
      var left_$r: Left;
      //@end
      //@unroll r < 2
      if (r < TALL) { left_$r = left_rows(gradients + 16u * r * SQUARE_PITCH + k, SQUARE_PITCH, lane); }
      //@end
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) {
        let right = down_of(now, k, c);
        //@unroll r < 2
        if (r < TALL) { dk_$r$c = multiplied(left_$r, right, dk_$r$c, lane); }
        //@end
      }
      //@end
    }
    now = 1u - now;
    for (var n = 0u; n < SPAN; n += 16u) {
      //@names r < 2
      var scores_$r: Sum;
      //@end
      //@unroll r < 2
      if (r < TALL) { scores_$r = Sum(); }
      //@end
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) {
        let right = across_of(now, n, c);
        //@unroll r < 2
        if (r < TALL) { scores_$r = multiplied(k_$r$c, right, scores_$r, lane); }
        //@end
      }
      //@end
      //@unroll r < 2
      if (r < TALL) { put(square + 16u * r * SQUARE_PITCH + n, SQUARE_PITCH, scores_$r, lane); }
      //@end
    }
    for (var n = 0u; n < SPAN; n += 16u) {
      //@names r < 2
      var scores_$r: Sum;
      //@end
      //@unroll r < 2
      if (r < TALL) { scores_$r = Sum(); }
      //@end
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) {
        let right = across_of(2u + now, n, c);
        //@unroll r < 2
        if (r < TALL) { scores_$r = multiplied(v_$r$c, right, scores_$r, lane); }
        //@end
      }
      //@end
      //@unroll r < 2
      if (r < TALL) { put(SQUARE + square + 16u * r * SQUARE_PITCH + n, SQUARE_PITCH, scores_$r, lane); }
      //@end
    }
    workgroupBarrier();
  }
  for (var each = 0u; each < TALL * params.across; each++) {
    //@unroll r < 2
    //@unroll c < MOST_ACROSS
    if (r < TALL && c < ACROSS && r * ACROSS + c == each) { put(square, SQUARE_PITCH, dv_$r$c, lane); }
    //@end
    //@end
    workgroupBarrier();
    store_gradient(head.v + 4u * (each % ACROSS), first + own + each / ACROSS * 16u, square, lane, 1.0);
    workgroupBarrier();
  }
  for (var each = 0u; each < TALL * params.across; each++) {
    //@unroll r < 2
    //@unroll c < MOST_ACROSS
    if (r < TALL && c < ACROSS && r * ACROSS + c == each) { put(square, SQUARE_PITCH, dk_$r$c, lane); }
    //@end
    //@end
    workgroupBarrier();
    store_gradient(head.k + 4u * (each % ACROSS), first + own + each / ACROSS * 16u, square, lane, params.alpha);
    workgroupBarrier();
  }
}
