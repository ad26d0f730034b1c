// kernels/matrix_subgroup.wgsl in plain loops, for adapters without subgroup matrices: what surrounds the
// multiplications is the same there and can be tested. A thread holds half a row of a sum and the whole rows and
// columns of the factors that it needs.
//
// Shapes      a_tile and b_tile as kernels/matmul_matrix.wgsl keeps them, scratch [subgroups, 2, 16, 16]
// Dispatch    included by a kernel of workgroups of whole subgroups of 32 threads
// Called by   src/engine/shader.ts
// Checked by  test/ops/product.test.ts

enable f16;

// Where a matrix begins in a tile, and how far apart its neighbours are.
struct Left {
  at: u32,
  row: u32,
  column: u32,
}

alias Right = Left;
alias Sum = array<f32, 8>;

struct Place {
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
}

fn subgroup_of(place: Place) -> u32 { return place.thread / 32u; }
fn lane_of(place: Place) -> u32 { return place.thread % 32u; }

fn left_rows(at: u32, pitch: u32) -> Left { return Left(at, pitch, 1u); }
fn left_columns(at: u32, pitch: u32) -> Left { return Left(at, 1u, pitch); }
fn right_rows(at: u32, pitch: u32) -> Right { return Right(at, pitch, 1u); }
fn right_columns(at: u32, pitch: u32) -> Right { return Right(at, 1u, pitch); }

// A trip count that no compiler can bound: a CPU's compiler would take minutes to unroll sixteen of these.
fn rolled(count: u32) -> u32 { return count * min(params.M, 1u); }

// left right + sum
fn multiplied(left: Left, right: Right, sum: Sum, lane: u32) -> Sum {
  var more = sum;
  for (var k = 0u; k < rolled(16u); k++) {
    let a = f32(a_tile[left.at + lane / 2u * left.row + k * left.column]);
    for (var j = 0u; j < rolled(8u); j++) {
      more[j] += a * f32(b_tile[right.at + k * right.row + (lane % 2u * 8u + j) * right.column]);
    }
  }
  return more;
}

fn put(at: u32, sum: Sum, lane: u32) {
  var values = sum;
  for (var j = 0u; j < rolled(8u); j++) { scratch[at + lane * 8u + j] = values[j]; }
}
