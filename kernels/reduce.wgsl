// Sums over an axis, by blocks of it.
//
//   axis, axis4   y[o, b, i] = (y[o, b, i] +) sum over n in block b of x[o, n, i]
//
// Shapes      x [O, N, I], y [O, ceil(N / block), I];  axis4: I a multiple of 4
// Dispatch    axis: one thread per element of y;  axis4: one per four
// Called by   src/ops/reduce.ts
// Checked by  test/ops/reduce.test.ts

const WORKGROUP = 64u;

override ACCUMULATE = false;

struct Params {
  outer: u32, // O
  count: u32, // N
  inner: u32, // I
  block: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x4: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y4: array<vec4f>;

@compute @workgroup_size(WORKGROUP)
fn axis(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = (group.y * groups.x + group.x) * WORKGROUP + thread;
  let inner = params.inner;
  let blocks = (params.count + params.block - 1u) / params.block;
  if (at >= params.outer * blocks * inner) { return; }
  let first = at / inner % blocks * params.block;
  let count = min(params.block, params.count - first);
  let start = (at / (inner * blocks) * params.count + first) * inner + at % inner;
  // Four sums at a time: long columns lose fewer digits and wait less.
  var part = vec4f();
  let whole = count / 4u;
  for (var n = 0u; n < whole; n++) {
    let i = start + 4u * n * inner;
    part += vec4f(x[i], x[i + inner], x[i + 2u * inner], x[i + 3u * inner]);
  }
  for (var n = 4u * whole; n < count; n++) { part.x += x[start + n * inner]; }
  let total = (part.x + part.y) + (part.z + part.w);
  if (ACCUMULATE) { y[at] += total; } else { y[at] = total; }
}

@compute @workgroup_size(WORKGROUP)
fn axis4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = (group.y * groups.x + group.x) * WORKGROUP + thread;
  let inner = params.inner / 4u;
  let blocks = (params.count + params.block - 1u) / params.block;
  if (at >= params.outer * blocks * inner) { return; }
  let first = at / inner % blocks * params.block;
  let count = min(params.block, params.count - first);
  var i = (at / (inner * blocks) * params.count + first) * inner + at % inner;
  // Four loads on their way at a time, and four sums: long columns lose fewer digits.
  var a = vec4f();
  var b = vec4f();
  var c = vec4f();
  var d = vec4f();
  let whole = count / 4u;
  for (var n = 0u; n < whole; n++) {
    a += x4[i];
    b += x4[i + inner];
    c += x4[i + 2u * inner];
    d += x4[i + 3u * inner];
    i += 4u * inner;
  }
  for (var n = 4u * whole; n < count; n++) {
    a += x4[i];
    i += inner;
  }
  let total = (a + b) + (c + d);
  if (ACCUMULATE) { y4[at] += total; } else { y4[at] = total; }
}
