// Sums over the threads that share a row, for adapters without subgroups of one fixed size: a tree in workgroup memory.
//
// Shapes      a value per thread
// Dispatch    included by kernels that give a workgroup of LANES threads to each row
// Called by   src/engine/shader.ts
// Checked by  test/ops/layernorm.test.ts

var<workgroup> lanes_partial: array<f32, LANES>;

// The sum, and the largest, of `value` over the threads of a row, returned to each of them.
fn lanes_sum(lane: u32, value: f32) -> f32 {
  lanes_partial[lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { lanes_partial[lane] += lanes_partial[lane + half]; }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&lanes_partial[0]);
}

fn lanes_max(lane: u32, value: f32) -> f32 {
  lanes_partial[lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { lanes_partial[lane] = max(lanes_partial[lane], lanes_partial[lane + half]); }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&lanes_partial[0]);
}
