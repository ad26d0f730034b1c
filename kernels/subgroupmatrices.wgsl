// Matrices of 16 x 16 that the 32 threads of a subgroup hold and multiply together: tensor cores.
//
// Shapes      left and right factors of f16, sums of f32
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
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
}

fn subgroup_of(place: Place) -> u32 { return place.subgroup; }
fn lane_of(place: Place) -> u32 { return place.lane; }

// left right + sum
fn multiplied(left: Left, right: Right, sum: Sum, lane: u32) -> Sum {
  return subgroupMatrixMultiplyAccumulate(left, right, sum);
}
