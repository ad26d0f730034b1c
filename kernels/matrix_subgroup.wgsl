// Matrices of 16 x 16 that the 32 threads of a subgroup hold and multiply together: tensor cores.
//
// Shapes      a_tile and b_tile as kernels/matmul_matrix.wgsl keeps them, scratch [8, 16, 16]
// Dispatch    included by a kernel of workgroups of four subgroups
// Called by   src/engine/shader.ts
// Checked by  test/kernels.test.ts

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
requires subgroup_id;
// Every call stands where all threads of the workgroup come by; overrides hide that from the compiler.
diagnostic(off, chromium.subgroup_matrix_uniformity);

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sum = subgroup_matrix_result<f32, 16, 16>;

struct Place {
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
}

fn subgroup_of(place: Place) -> u32 { return place.subgroup; }
fn lane_of(place: Place) -> u32 { return place.lane; }

fn left_rows(at: u32, pitch: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&a_tile, at, pitch); }
fn left_columns(at: u32, pitch: u32) -> Left { return subgroupMatrixLoad<Left, col_major>(&a_tile, at, pitch); }
fn right_rows(at: u32, pitch: u32) -> Right { return subgroupMatrixLoad<Right, row_major>(&b_tile, at, pitch); }
fn right_columns(at: u32, pitch: u32) -> Right { return subgroupMatrixLoad<Right, col_major>(&b_tile, at, pitch); }

// A trip count that no compiler can bound.
fn rolled(count: u32) -> u32 { return count * min(params.M, 1u); }

// left right + sum
fn multiplied(left: Left, right: Right, sum: Sum, lane: u32) -> Sum {
  return subgroupMatrixMultiplyAccumulate(left, right, sum);
}

fn put(at: u32, sum: Sum, lane: u32) { subgroupMatrixStore<row_major>(&scratch, at, sum, 16u); }
