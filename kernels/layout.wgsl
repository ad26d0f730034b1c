// Moves rows: picks some of a table, puts tensors side by side, adds what is shared along an axis.
//
//   gather      y[i, :] = x[ids[i], :]                      dx[r, :] = sum of dy[i, :] over ids[i] = r
//   copy_run    y[y_first + i] = x[x_first + i]             and the same back
//   embed       y[b, l, :] = x[b, l, :] + position[l, :] + lead[b, :]
//   add_picked  y[b, o, :] = change[b, o, :] + x[b, ids[o], :], or change alone where ids[o] is 2^32 - 1
//
// Shapes      gather: x [R, C], ids [I], y [I, C];   copy_run: [length];   embed: x, y [B, L, D];
//             add_picked: x [B, V, C], change, y [B, I, C], ids [I]
// Dispatch    one thread per element written
// Called by   src/ops/layout.ts
// Checked by  test/ops/layout.test.ts

const WORKGROUP = 64u;

override ACCUMULATE = false;

struct Params {
  length: u32, // elements written
  rows: u32, // gather: I;  embed: L;  add_picked: I
  columns: u32, // gather: C;  embed: D;  add_picked: C
  x_first: u32,
  y_first: u32,
  variables: u32, // add_picked: V
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> position: array<f32>;
@group(0) @binding(4) var<storage, read> lead: array<f32>;
@group(0) @binding(5) var<storage, read> change: array<f32>;

fn index(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return (group.y * groups.x + group.x) * WORKGROUP + thread;
}

@compute @workgroup_size(WORKGROUP)
fn gather(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i < params.length) { y[i] = x[ids[i / params.columns] * params.columns + i % params.columns]; }
}

// The backward of gather: x is dy [I, C], y the gradient [R, C] of the table. A row may have been picked twice.
@compute @workgroup_size(WORKGROUP)
fn scatter(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.length) { return; }
  var total = 0.0;
  for (var k = 0u; k < params.rows; k++) {
    if (ids[k] == i / params.columns) { total += x[k * params.columns + i % params.columns]; }
  }
  if (ACCUMULATE) { y[i] += total; } else { y[i] = total; }
}

@compute @workgroup_size(WORKGROUP)
fn copy_run(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.length) { return; }
  let value = x[params.x_first + i];
  if (ACCUMULATE) { y[params.y_first + i] += value; } else { y[params.y_first + i] = value; }
}

@compute @workgroup_size(WORKGROUP)
fn embed(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.length) { return; }
  let sample = params.rows * params.columns;
  y[i] = x[i] + position[i % sample] + lead[i / sample * params.columns + i % params.columns];
}

@compute @workgroup_size(WORKGROUP)
fn add_picked(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.length) { return; }
  let row = i / params.columns; // b I + o
  let id = ids[row % params.rows];
  var value = change[i];
  if (id < params.variables) {
    value += x[(row / params.rows * params.variables + id) * params.columns + i % params.columns];
  }
  y[i] = value;
}
