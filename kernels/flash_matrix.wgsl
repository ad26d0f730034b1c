// Attention on subgroup matrices, forward: the weights only ever exist in workgroup memory, as f16; sums are f32 and
// have a fixed order.
//
//   forward    y[i] = sum over j of w[i, j] v[j],   w[i, j] = exp(alpha q[i] k[j]) / sum over j of exp(alpha q[i] k[j]),
//              lse[i] = log2 of the sum over j of exp(alpha q[i] k[j]), for kernels/flash_matrix_backward.wgsl
//
// f16 reaches from 2^-24 to 2^16, so weights are made relative to a reference of each row, 2^LIFT below its largest
// score. Sums stand in registers that only a matrix product can reach: where a row outgrows its reference by more than
// 2^LIMIT, which after the first tile is rare, they pass through scratch and are scaled down there.
//
// A tile of keys takes two steps with a barrier after each. In one, a subgroup adds weights times values to its sums
// and puts the next scores in scratch; in the other it makes weights of them, while the next keys and values arrive.
//
// Shapes      qkv, y, lse as in kernels/flash_tiles.wgsl
// Dispatch    one workgroup of THREADS per OWN queries: (blocks of L, heads, B); TILES 2, SQUARES 1, WEIGHTS 1
// Called by   src/ops/attentionmatrix.ts
// Checked by  test/ops/attentionmatrix.test.ts

//@include flash_tiles

const LIFT = 8.0; // so that weights down to 2^-22 of a row's largest keep f16's 11 bits
const LIMIT = 15.0;
const MOST_PASSES = 16;

var<workgroup> references: array<f32, OWN>; // base 2
var<workgroup> shifts: array<f32, OWN>; // what the references grew by; at last, 1 / sum of weights
// One is used: subgroup matrices want to begin at multiples of 16 bytes, and so must what comes after this.
var<workgroup> outgrown: array<atomic<u32>, 4>;

//@names i < MOST_PASSES
var<private> total_$i: f32; // a thread's part of the sums of weights
var<private> fresh_$i: f32; // that of the tile at hand
//@end

// Makes weights of the scores, and a thread's part of their sums; notes it if one is beyond LIMIT.
fn weigh(square: u32, weights: u32, begin: u32, lane: u32) {
  var most = 0.0;
  //@unroll i < MOST_PASSES
  if (i < PASSES) {
    fresh_$i = 0.0;
    //@unroll j < 2
    if (j < SPLIT) {
      let score = params.binary * scratch[part_of(square, i, lane) + 32u * j];
      let known = select(-1e30, score, begin + lane % LINE + 32u * j < params.L);
      let weight = exp2(known);
      most = max(most, known);
      fresh_$i += weight;
      tile[part_of(weights, i, lane) + 32u * j] = f16(weight);
    }
    //@end
  }
  //@end
  if (most > LIMIT) { atomicStore(&outgrown[0], 1u); }
}

// Raises the references to the scores of this tile, and lowers the scores and a thread's totals accordingly.
fn raise(square: u32, own: u32, begin: u32, lane: u32) {
  if (lane < 16u) {
    var most = -1e30;
    for (var j = 0u; j < min(SPAN, params.L - begin); j++) {
      most = max(most, scratch[square + lane * SQUARE_PITCH + j]);
    }
    let shift = params.binary * most - LIFT;
    if (begin == 0u) {
      shifts[own + lane] = shift;
      references[own + lane] = shift;
    } else {
      shifts[own + lane] = max(shift, 0.0);
      references[own + lane] += max(shift, 0.0);
    }
  }
  workgroupBarrier();
  //@unroll i < MOST_PASSES
  if (i < PASSES) {
    let shift = shifts[own + (i * 32u + lane) / LINE];
    if (begin > 0u) { total_$i *= exp2(-shift); }
    //@unroll j < 2
    if (j < SPLIT) { scratch[part_of(square, i, lane) + 32u * j] -= shift / params.binary; }
    //@end
  }
  //@end
}

// Each matrix and each quad on its way has a variable of its own: compilers keep arrays of them in memory.
@compute @workgroup_size(THREADS)
fn forward_queries(place: Place) {
  let head = head_of(place.group);
  let first = place.group.x * OWN;
  let thread = place.thread;
  let lane = lane_of(place);
  let own = 16u * subgroup_of(place);
  let square = own * SQUARE_PITCH;
  let weights = FIRST_WEIGHTS + square;
  if (thread == 0u) { atomicStore(&outgrown[0], 1u); } // there are no references yet
  //@names c < MOST_ACROSS
  var q_$c: Left;
  var sum_$c: Sum;
  //@end
  //@names i < MOST_LOADS
  var next_k_$i: vec4<f16>; // keys are a tile ahead of values
  var next_v_$i: vec4<f16>;
  //@end
  keep_own_qkv(head.q, first, place.thread);
  workgroupBarrier();
  //@unroll c < MOST_ACROSS
  if (c < ACROSS) { q_$c = left_rows(own * PITCH + 16u * c, PITCH, lane); }
  //@end
  workgroupBarrier();
  //@unroll i < MOST_LOADS
  if (i < LOADS) {
    next_k_$i = qkv_at(head.k, row_of(i, thread), quad_of(i, thread));
  }
  //@end
  //@unroll i < MOST_LOADS
  if (i < LOADS && (EVEN || row_of(i, thread) < SPAN)) {
    keep(row_of(i, thread), quad_of(i, thread), next_k_$i);
  }
  //@end
  //@unroll i < MOST_LOADS
  if (i < LOADS) {
    next_k_$i = qkv_at(head.k, SPAN + row_of(i, thread), quad_of(i, thread));
    next_v_$i = qkv_at(head.v, row_of(i, thread), quad_of(i, thread));
  }
  //@end
  workgroupBarrier();
  var below = Sum(); // minus the references, in every column, as scores are
  for (var n = 0u; n < SPAN; n += 16u) {
    var scores = below;
    //@unroll c < MOST_ACROSS
    if (c < ACROSS) { scores = multiplied(q_$c, across_of(0u, n, c), scores, lane); }
    //@end
    put(square + n, SQUARE_PITCH, scores, lane);
  }
  workgroupBarrier();

  for (var begin = 0u; begin < params.L; begin += SPAN) {
    //@unroll i < MOST_LOADS
    if (i < LOADS && (EVEN || row_of(i, thread) < SPAN)) {
      keep(row_of(i, thread), quad_of(i, thread), next_k_$i);
      keep(1u * SPAN + row_of(i, thread), quad_of(i, thread), next_v_$i);
    }
    //@end
    if (begin > 0u) { weigh(square, weights, begin, lane); }
    if (workgroupUniformLoad(&outgrown[0]) == 1u) {
      raise(square, own, begin, lane);
      weigh(square, weights, begin, lane);
      workgroupBarrier();
      if (begin > 0u) {
        for (var each = 0u; each < params.across; each++) {
          //@unroll c < MOST_ACROSS
          if (c < ACROSS && c == each) { put(square, SQUARE_PITCH, sum_$c, lane); }
          //@end
          workgroupBarrier();
          for (var e = lane; e < 256u; e += 32u) {
            scratch[square + e / 16u * SQUARE_PITCH + e % 16u] *= exp2(-shifts[own + e / 16u]);
          }
          workgroupBarrier();
          //@unroll c < MOST_ACROSS
          if (c < ACROSS && c == each) { sum_$c = taken(square, SQUARE_PITCH, lane); }
          //@end
          workgroupBarrier();
        }
      }
      for (var e = lane; e < 256u; e += 32u) {
        scratch[square + e / 16u * SQUARE_PITCH + e % 16u] = -references[own + e / 16u] / params.binary;
      }
      if (thread == 0u) { atomicStore(&outgrown[0], 0u); }
      workgroupBarrier();
      below = taken(square, SQUARE_PITCH, lane);
      workgroupBarrier();
    }
    //@unroll i < MOST_PASSES
    total_$i += fresh_$i;
    //@end
    //@unroll i < MOST_LOADS
    if (i < LOADS) {
      next_k_$i = qkv_at(head.k, begin + 2u * SPAN + row_of(i, thread), quad_of(i, thread));
      next_v_$i = qkv_at(head.v, begin + SPAN + row_of(i, thread), quad_of(i, thread));
    }
    //@end
    for (var k = 0u; k < SPAN; k += 16u) {
      let left = left_rows(weights + k, SQUARE_PITCH, lane);
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) { sum_$c = multiplied(left, down_of(1u, k, c), sum_$c, lane); }
      //@end
    }
    for (var n = 0u; n < SPAN; n += 16u) {
      var scores = below;
      //@unroll c < MOST_ACROSS
      if (c < ACROSS) { scores = multiplied(q_$c, across_of(0u, n, c), scores, lane); }
      //@end
      put(square + n, SQUARE_PITCH, scores, lane);
    }
    workgroupBarrier();
  }

  //@unroll i < MOST_PASSES
  if (i < PASSES) { scratch[part_of(square, i, lane)] = total_$i; }
  //@end
  workgroupBarrier();
  if (lane < 16u) {
    var total = 0.0;
    for (var j = 0u; j < min(LINE, params.L); j++) { total += scratch[square + lane * SQUARE_PITCH + j]; }
    shifts[own + lane] = 1.0 / total;
    if (first + own + lane < params.L) {
      lse[head.row + first + own + lane] = references[own + lane] + log2(total);
    }
  }
  workgroupBarrier();
  let row = own + lane / 2u;
  for (var each = 0u; each < params.across; each++) {
    //@unroll c < MOST_ACROSS
    if (c < ACROSS && c == each) { put(square, SQUARE_PITCH, sum_$c, lane); }
    //@end
    workgroupBarrier();
    if (first + row < params.L) {
      let at = row * SQUARE_PITCH + lane % 2u * 8u;
      let to = head.y + (first + row) * params.D + 4u * each + lane % 2u * 2u;
      y4[to] = four(at, shifts[row]);
      y4[to + 1u] = four(at + 4u, shifts[row]);
    }
    workgroupBarrier();
  }
}
