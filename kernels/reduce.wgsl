// Sums over an axis, by blocks of it.
//
//   axis, axis4, columns   y[o, b, i] = (y[o, b, i] +) sum over n in block b of x[o, n, i]
//   pair_columns           first[i], second[i] = (the same +) sum over n of x[0, n, i] and x[1, n, i]
//
// Shapes      x [O, N, I], by choice of HALF in f16 for columns;  y [O, ceil(N / block), I];  all but axis: I a multiple of 4
// Dispatch    axis: one thread per element of y;  axis4: one per four;  *columns: one workgroup of WIDE x DEEP threads
//             per WIDE vec4s of a block, as [ceil(I / 4 / WIDE), blocks, O]
// Called by   src/ops/reduce.ts
// Checked by  test/ops/reduce.test.ts

const WORKGROUP = 64u;
const WIDE = 16u; // vec4s of a row that a workgroup of *columns reads: 256 bytes at a time
const DEEP = 16u; // rows that its threads read at a time

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
@group(0) @binding(5) var<storage, read_write> first4: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> second4: array<vec4f>;

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

// GPUs hide the wait for memory only behind many loads: here the rows of a block are shared by DEEP threads a column, of
// which each has eight loads on their way. Software adapters pay more for the barriers than they gain.

var<workgroup> sums: array<vec4f, WIDE * DEEP>;

// The sum over the threads of a column, in a fixed order; for threads below WIDE.
fn sum_of_column(thread: u32, part: vec4f) -> vec4f {
  sums[thread] = part;
  workgroupBarrier();
  for (var half = WIDE * DEEP / 2u; half >= WIDE; half /= 2u) {
    if (thread < half) { sums[thread] += sums[thread + half]; }
    workgroupBarrier();
  }
  return sums[thread];
}

//@if HALF
@group(0) @binding(4) var<storage, read> halves4: array<vec2u>;
fn quad(i: u32) -> vec4f { return vec4f(unpack2x16float(halves4[i].x), unpack2x16float(halves4[i].y)); }
//@else
fn quad(i: u32) -> vec4f { return x4[i]; }
//@end

fn part_of(group: vec3u, column: u32, row: u32) -> vec4f {
  let inner = params.inner / 4u;
  var part = vec4f();
  if (column >= inner) { return part; }
  let end = min((group.y + 1u) * params.block, params.count);
  let step = DEEP * inner;
  var n = group.y * params.block + row;
  var i = (group.z * params.count + n) * inner + column;
  for (; n + 7u * DEEP < end; n += 8u * DEEP) {
    part += ((quad(i) + quad(i + step)) + (quad(i + 2u * step) + quad(i + 3u * step))) +
      ((quad(i + 4u * step) + quad(i + 5u * step)) + (quad(i + 6u * step) + quad(i + 7u * step)));
    i += 8u * step;
  }
  for (; n < end; n += DEEP) {
    part += quad(i);
    i += step;
  }
  return part;
}

fn store(at: u32, total: vec4f) {
  if (ACCUMULATE) { y4[at] += total; } else { y4[at] = total; }
}

@compute @workgroup_size(WIDE * DEEP)
fn columns(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let column = group.x * WIDE + thread % WIDE;
  let total = sum_of_column(thread, part_of(group, column, thread / WIDE));
  let inner = params.inner / 4u;
  if (thread < WIDE && column < inner) { store((group.z * groups.y + group.y) * inner + column, total); }
}

@compute @workgroup_size(WIDE * DEEP)
fn pair_columns(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let column = group.x * WIDE + thread % WIDE;
  let total = sum_of_column(thread, part_of(group, column, thread / WIDE));
  if (thread >= WIDE || column >= params.inner / 4u) { return; }
  if (group.z == 0u) {
    first4[column] = select(total, first4[column] + total, ACCUMULATE);
  } else {
    second4[column] = select(total, second4[column] + total, ACCUMULATE);
  }
}
