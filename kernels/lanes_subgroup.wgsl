// Sums over the threads that share a row, where a workgroup is exactly one subgroup of LANES threads: no barrier.
//
// Shapes      a value per thread
// Dispatch    included by kernels that give a workgroup of LANES threads to each row
// Called by   src/engine/shader.ts
// Checked by  test/ops/layernorm.test.ts

enable subgroups;

// The sum, and the largest, of `value` over the threads of a row, returned to each of them.
fn lanes_sum(lane: u32, value: f32) -> f32 { return subgroupAdd(value); }
fn lanes_max(lane: u32, value: f32) -> f32 { return subgroupMax(value); }
