// Channels of two tensors side by side, and apart again.
//
//   copy_rows   y[r, y_first + i] = x[r, x_first + i]   for i < columns
//
// Shapes      x [R, x_row], y [R, y_row]: a row is all channels of one sample
// Dispatch    one thread per element copied
// Called by   src/ops/channels.ts
// Checked by  test/ops/channels.test.ts

const WORKGROUP = 64u;

struct Params {
  rows: u32, // R
  columns: u32,
  x_row: u32,
  x_first: u32,
  y_row: u32,
  y_first: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn copy_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (at >= params.rows * params.columns) { return; }
  let row = at / params.columns;
  let i = at % params.columns;
  y[row * params.y_row + params.y_first + i] = x[row * params.x_row + params.x_first + i];
}
