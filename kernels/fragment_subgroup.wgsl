// Matrices of 16 x 16 that the 32 threads of a subgroup hold and multiply together (tensor cores), from `tile` (f16)
// and to and from `scratch` (f32), both in workgroup memory.
//
// Shapes      places and pitches in elements, pitches in multiples of 8
// Dispatch    included by a kernel of workgroups of whole subgroups of 32 threads
// Called by   src/engine/shader.ts
// Checked by  test/kernels.test.ts

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
requires subgroup_id;
// Every call stands where all threads of the subgroup come by; overrides hide that from the compiler.
diagnostic(off, chromium.subgroup_matrix_uniformity);

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sum = subgroup_matrix_result<f32, 16, 16>;

struct Place {
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
}

fn subgroup_of(place: Place) -> u32 { return place.subgroup; }
fn lane_of(place: Place) -> u32 { return place.lane; }

fn left_rows(at: u32, pitch: u32, lane: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&tile, at, pitch); }
fn right_rows(at: u32, pitch: u32) -> Right { return subgroupMatrixLoad<Right, row_major>(&tile, at, pitch); }
fn right_columns(at: u32, pitch: u32) -> Right { return subgroupMatrixLoad<Right, col_major>(&tile, at, pitch); }

// left right + sum
fn multiplied(left: Left, right: Right, sum: Sum, lane: u32) -> Sum {
  return subgroupMatrixMultiplyAccumulate(left, right, sum);
}

fn put(at: u32, pitch: u32, sum: Sum, lane: u32) { subgroupMatrixStore<row_major>(&scratch, at, sum, pitch); }
fn taken(at: u32, pitch: u32, lane: u32) -> Sum { return subgroupMatrixLoad<Sum, row_major>(&scratch, at, pitch); }
