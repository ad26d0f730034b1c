// Fields of a batch put together anew: each from one tensor, or from another where the first has none.
//
//   select_fields   y[b, i, :] = x[b, ids[i], :], or where ids[i] is 2^32 - 1 otherwise[b, i, :], or 0
//
// Shapes      x [B, V, C], otherwise, y [B, I, C], ids [I]
// Dispatch    one thread per element of y
// Called by   src/ops/fields.ts
// Checked by  test/ops/fields.test.ts

const WORKGROUP = 64u;

override OTHERWISE = false;

struct Params {
  length: u32, // elements of y
  outputs: u32, // I
  variables: u32, // V
  cells: u32, // C
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> otherwise: array<f32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn select_fields(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (i >= params.length) { return; }
  let field = i / params.cells; // b I + i
  let id = ids[field % params.outputs];
  var value = 0.0;
  if (id < params.variables) {
    value = x[(field / params.outputs * params.variables + id) * params.cells + i % params.cells];
  } else if (OTHERWISE) {
    value = otherwise[i];
  }
  y[i] = value;
}
