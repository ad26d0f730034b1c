// Sums over one axis.
//
//   axis     y[o, i] = (y[o, i] +) sum over n of x[o, n, i]       dx[o, n, i] = dy[o, i]
//   spread   the backward of axis: every n gets dy
//
// Shapes      x [O, N, I], y [O, I]
// Dispatch    one thread per element written
// Called by   src/ops/reduce.ts
// Checked by  test/ops/reduce.test.ts

const WORKGROUP = 64u;

override ACCUMULATE = false;

struct Params {
  outer: u32, // O
  count: u32, // N
  inner: u32, // I
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn axis(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (at >= params.outer * params.inner) { return; }
  let start = (at / params.inner) * params.count * params.inner + at % params.inner;
  // Four sums at a time: long columns lose fewer digits and wait less.
  var part = vec4f();
  let whole = params.count / 4u;
  for (var n = 0u; n < whole; n++) {
    let i = start + 4u * n * params.inner;
    part += vec4f(x[i], x[i + params.inner], x[i + 2u * params.inner], x[i + 3u * params.inner]);
  }
  for (var n = 4u * whole; n < params.count; n++) { part.x += x[start + n * params.inner]; }
  let total = (part.x + part.y) + (part.z + part.w);
  if (ACCUMULATE) { y[at] += total; } else { y[at] = total; }
}

@compute @workgroup_size(WORKGROUP)
fn spread(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (at >= params.outer * params.count * params.inner) { return; }
  y[at] = x[(at / (params.count * params.inner)) * params.inner + at % params.inner];
}
