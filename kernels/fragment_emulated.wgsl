// kernels/fragment_subgroup.wgsl in plain loops, for adapters without subgroup matrices: what surrounds the
// multiplications is the same there and can be tested. A thread holds half a row of a sum and the whole row of the left
// factor that it needs; of the right factor it notes where it lies.
//
// Shapes      places and pitches in elements
// Dispatch    included by a kernel of workgroups of whole subgroups of 32 threads
// Called by   src/engine/shader.ts
// Checked by  test/ops/attentionmatrix.test.ts

enable f16;

// Where a matrix begins in a tile, and how far apart its neighbours are.
struct Right {
  at: u32,
  row: u32,
  column: u32,
}

alias Left = array<f32, 16>;
alias Sum = array<f32, 8>;

struct Place {
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
}

fn subgroup_of(place: Place) -> u32 { return place.thread / 32u; }
fn lane_of(place: Place) -> u32 { return place.thread % 32u; }

// A trip count that no compiler can bound: a CPU's compiler would take minutes to unroll these. Nor are they unrolled
// in the text of the kernel, for the same reason.
//@rolled
fn rolled(count: u32) -> u32 { return count * min(params.L, 1u); }

fn left_rows(at: u32, pitch: u32, lane: u32) -> Left {
  var row = Left();
  for (var k = 0u; k < rolled(16u); k++) { row[k] = f32(tile[at + lane / 2u * pitch + k]); }
  return row;
}

fn right_rows(at: u32, pitch: u32) -> Right { return Right(at, pitch, 1u); }
fn right_columns(at: u32, pitch: u32) -> Right { return Right(at, 1u, pitch); }

// left right + sum
fn multiplied(left: Left, right: Right, sum: Sum, lane: u32) -> Sum {
  var row = left;
  var more = sum;
  for (var k = 0u; k < rolled(16u); k++) {
    for (var j = 0u; j < rolled(8u); j++) {
      more[j] += row[k] * f32(tile[right.at + k * right.row + (lane % 2u * 8u + j) * right.column]);
    }
  }
  return more;
}

fn put(at: u32, pitch: u32, sum: Sum, lane: u32) {
  var values = sum;
  for (var j = 0u; j < rolled(8u); j++) { scratch[at + lane / 2u * pitch + lane % 2u * 8u + j] = values[j]; }
}

fn taken(at: u32, pitch: u32, lane: u32) -> Sum {
  var values = Sum();
  for (var j = 0u; j < rolled(8u); j++) { values[j] = scratch[at + lane / 2u * pitch + lane % 2u * 8u + j]; }
  return values;
}
