// Layer normalisation over the last axis (Ba et al. 2016, arXiv:1607.06450, section 3).
//
//   forward    y  = n * weight + bias,   n = (x - mean) * rstd,   rstd = 1 / sqrt(var + eps)
//   backward   dx = rstd * (g - avg(g) - n * avg(g * n)) (+ past),   g = dy * weight
//              dweight = sum of dy * n over rows,                    dbias = sum of dy over rows
//
// Choices      KEEP: forward_*4 writes n, too;  NORMED: the backward reads that n, and no x;  HALF: dy is f16;
//              PAST: past is added to dx;  AGAIN, AGAIN_HALF: *_blocks4, *_columns4 and again_quads make y again, as f32
//              or f16;  all but PAST of *4 and again_quads alone
// Shapes       x, y, n, dx, dy, past [R, C];   mean, rstd [R];   weight, bias [C];   dweight, dbias [ceil(R / block), C], sums
//              over `block` rows each;   dboth [2, ceil(R / TALL), C], both sums over TALL rows;   *4: C a multiple of 4
// Dispatch     *_rows, *_rows4: one workgroup of LANES threads per row;
//              *_columns, *_columns4: one thread per element of dweight, or per four;
//              again_quads: one thread per four elements;  backward_blocks4: one workgroup of TALL x TEAM threads per TALL rows
// Called by    src/ops/layernorm.ts
// Checked by   test/ops/layernorm.test.ts

//@include lanes

const WORKGROUP = 64u;
const TALL = 16u; // rows that a workgroup of backward_blocks4 owns
const TEAM = 16u; // threads of it that share the averages of a row

struct Params {
  rows: u32, // R, the product of all axes but the last
  columns: u32, // C
  eps: f32,
  block: u32, // rows that one thread of *_columns adds up
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>; // written forward, read backward
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;
@group(0) @binding(8) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(9) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(10) var<storage, read> x4: array<vec4f>;
@group(0) @binding(11) var<storage, read> weight4: array<vec4f>;
@group(0) @binding(12) var<storage, read> bias4: array<vec4f>;
@group(0) @binding(13) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(15) var<storage, read_write> dx4: array<vec4f>;
@group(0) @binding(16) var<storage, read_write> dweight4: array<vec4f>;
@group(0) @binding(17) var<storage, read_write> dbias4: array<vec4f>;
@group(0) @binding(20) var<storage, read_write> dboth4: array<vec4f>;
@group(0) @binding(21) var<storage, read_write> y_half4: array<vec2u>; // y as f16, four to an entry
@group(0) @binding(22) var<storage, read_write> n_half4: array<vec2u>; // n likewise

// Mean and 1 / standard deviation of the row that begins at vec4 `start`; its threads keep them.
fn statistics_of(row: u32, lane: u32) -> vec2f {
  let quads = params.columns / 4u;
  let start = row * quads;
  // One pass, not one for the mean and one for the variance: E[(x - s)^2] - E[x - s]^2 cancels only where the mean
  // lies far from s, in units of the deviation. With s the mean of the first n columns that is at most sqrt(C / n).
  var near = 0.0;
  if (lane < quads) { near = dot(x4[start + lane], vec4f(0.25)); }
  let s = lanes_sum(lane, near) / f32(min(LANES, quads));
  var total = vec4f();
  var squares = vec4f();
  for (var q = lane; q < quads; q += LANES) {
    let d = x4[start + q] - s;
    total += d;
    squares += d * d;
  }
  let shift = lanes_sum(lane, dot(total, vec4f(1.0))) / f32(params.columns);
  let square = lanes_sum(lane, dot(squares, vec4f(1.0))) / f32(params.columns);
  let m = s + shift;
  let r = inverseSqrt(max(square - shift * shift, 0.0) + params.eps);
  if (lane == 0u) {
    mean[row] = m;
    rstd[row] = r;
  }
  return vec2f(m, r);
}

fn halves_of(quad: vec4f) -> vec2u { return vec2u(pack2x16float(quad.xy), pack2x16float(quad.zw)); }

fn quad_of(halves: vec2u) -> vec4f { return vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y)); }

//@if KEEP
fn keep(i: u32, n: vec4f) { n_half4[i] = halves_of(n); }
//@else
fn keep(i: u32, n: vec4f) {}
//@end

// Elements 4 i .. 4 i + 3 of n, in the backward.
//@if NORMED
fn mean_of(row: u32) -> f32 { return 0.0; } // nobody asks
fn n_quad(i: u32, mean: f32, rstd: f32) -> vec4f { return quad_of(n_half4[i]); }
//@else
fn mean_of(row: u32) -> f32 { return mean[row]; }
fn n_quad(i: u32, mean: f32, rstd: f32) -> vec4f { return (x4[i] - mean) * rstd; }
//@end

// Elements 4 i .. 4 i + 3 of dy.
//@if HALF
@group(0) @binding(14) var<storage, read> dy4: array<vec2u>;
fn dy_quad(i: u32) -> vec4f { return quad_of(dy4[i]); }
//@else
@group(0) @binding(14) var<storage, read> dy4: array<vec4f>;
fn dy_quad(i: u32) -> vec4f { return dy4[i]; }
//@end

// Adds to dx what x had as its gradient before.
//@if PAST
@group(0) @binding(18) var<storage, read> past: array<f32>;
@group(0) @binding(19) var<storage, read> past4: array<vec4f>;
fn with_past(i: u32, d: f32) -> f32 { return d + past[i]; }
fn with_past4(i: u32, d: vec4f) -> vec4f { return d + past4[i]; }
//@else
fn with_past(i: u32, d: f32) -> f32 { return d; }
fn with_past4(i: u32, d: vec4f) -> vec4f { return d; }
//@end

// Makes vec4 i of y again; q of its row. Where it is not wanted, neither are weight and bias read.
//@if AGAIN
fn again(i: u32, n: vec4f, q: u32) { y4[i] = n * weight4[q] + bias4[q]; }
//@else
fn again(i: u32, n: vec4f, q: u32) {}
//@end

//@if AGAIN_HALF
fn again_half(i: u32, n: vec4f, q: u32) { y_half4[i] = halves_of(n * weight4[q] + bias4[q]); }
//@else
fn again_half(i: u32, n: vec4f, q: u32) {}
//@end

fn make_again(i: u32, n: vec4f, q: u32) {
  again(i, n, q);
  again_half(i, n, q);
}

@compute @workgroup_size(LANES)
fn forward_rows4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let quads = params.columns / 4u;
  let start = row * quads;
  let s = statistics_of(row, lane);
  for (var q = lane; q < quads; q += LANES) {
    let n = (x4[start + q] - s.x) * s.y;
    y4[start + q] = n * weight4[q] + bias4[q];
    keep(start + q, n);
  }
}

@compute @workgroup_size(LANES)
fn forward_half_rows4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let quads = params.columns / 4u;
  let start = row * quads;
  let s = statistics_of(row, lane);
  for (var q = lane; q < quads; q += LANES) {
    let n = (x4[start + q] - s.x) * s.y;
    y_half4[start + q] = halves_of(n * weight4[q] + bias4[q]);
    keep(start + q, n);
  }
}

@compute @workgroup_size(LANES)
fn backward_rows4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let quads = params.columns / 4u;
  let start = row * quads;
  let m = mean_of(row);
  let r = rstd[row];

  var g_total = vec4f();
  var gn_total = vec4f();
  for (var q = lane; q < quads; q += LANES) {
    let g = dy_quad(start + q) * weight4[q];
    g_total += g;
    gn_total += g * n_quad(start + q, m, r);
  }
  let g_avg = lanes_sum(lane, dot(g_total, vec4f(1.0))) / f32(params.columns);
  let gn_avg = lanes_sum(lane, dot(gn_total, vec4f(1.0))) / f32(params.columns);

  for (var q = lane; q < quads; q += LANES) {
    let n = n_quad(start + q, m, r);
    dx4[start + q] = with_past4(start + q, r * (dy_quad(start + q) * weight4[q] - g_avg - n * gn_avg));
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_columns4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = (group.y * groups.x + group.x) * WORKGROUP + thread;
  let quads = params.columns / 4u;
  let first = at / quads * params.block;
  if (first >= params.rows) { return; }
  let end = min(first + params.block, params.rows);
  let q = at % quads;
  var w = vec4f();
  var b = vec4f();
  for (var row = first; row < end; row++) {
    let i = row * quads + q;
    let g = dy_quad(i);
    let n = n_quad(i, mean_of(row), rstd[row]);
    w += g * n;
    b += g;
    make_again(i, n, q);
  }
  dweight4[at] = w;
  dbias4[at] = b;
}

// y again by itself, from what the backward knows.
@compute @workgroup_size(WORKGROUP)
fn again_quads(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + thread;
  let quads = params.columns / 4u;
  if (i >= params.rows * quads) { return; }
  let row = i / quads;
  make_again(i, n_quad(i, mean_of(row), rstd[row]), i % quads);
}

// On GPUs all at once: a block of rows comes from memory once, for their averages, and from the cache a second time, for
// dx, the sums over its rows, and y again where it is wanted.

var<workgroup> team_sums: array<vec2f, TALL * TEAM>; // of g, and of g n
var<workgroup> statistics: array<vec4f, TALL>; // of a row: mean, rstd, avg(g), avg(g n)

fn n_in(row: u32, i: u32) -> vec4f {
  let s = statistics[row];
  return n_quad(i, s.x, s.y);
}

// One vec4 of dx; adds to the sums over the rows.
fn dx_of(row: u32, dy: vec4f, n: vec4f, w: vec4f, dw: ptr<function, vec4f>, db: ptr<function, vec4f>) -> vec4f {
  let s = statistics[row];
  *dw += dy * n;
  *db += dy;
  return s.y * (dy * w - s.z - n * s.w);
}

@compute @workgroup_size(TALL * TEAM)
fn backward_blocks4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let block = group.y * groups.x + group.x;
  let first = block * TALL;
  if (first >= params.rows) { return; }
  let quads = params.columns / 4u;
  let rows = min(TALL, params.rows - first);

  let own = thread / TEAM;
  var g_total = vec4f();
  var gn_total = vec4f();
  if (own < rows) {
    let start = (first + own) * quads;
    let m = mean_of(first + own);
    let r = rstd[first + own];
    for (var q = thread % TEAM; q < quads; q += TEAM) {
      let g = dy_quad(start + q) * weight4[q];
      g_total += g;
      gn_total += g * n_quad(start + q, m, r);
    }
  }
  team_sums[thread] = vec2f(dot(g_total, vec4f(1.0)), dot(gn_total, vec4f(1.0)));
  workgroupBarrier();
  if (thread < rows) {
    var total = vec2f();
    for (var k = 0u; k < TEAM; k++) { total += team_sums[thread * TEAM + k]; }
    statistics[thread] = vec4f(mean_of(first + thread), rstd[first + thread], total / f32(params.columns));
  }
  workgroupBarrier();

  for (var q = thread; q < quads; q += TALL * TEAM) {
    let w = weight4[q];
    var dw = vec4f();
    var db = vec4f();
    var i = first * quads + q;
    // Four rows are on their way before the first is written.
    var row = 0u;
    for (; row + 3u < rows; row += 4u) {
      let g0 = dy_quad(i);
      let g1 = dy_quad(i + quads);
      let g2 = dy_quad(i + 2u * quads);
      let g3 = dy_quad(i + 3u * quads);
      let n0 = n_in(row, i);
      let n1 = n_in(row + 1u, i + quads);
      let n2 = n_in(row + 2u, i + 2u * quads);
      let n3 = n_in(row + 3u, i + 3u * quads);
      let d0 = with_past4(i, dx_of(row, g0, n0, w, &dw, &db));
      let d1 = with_past4(i + quads, dx_of(row + 1u, g1, n1, w, &dw, &db));
      let d2 = with_past4(i + 2u * quads, dx_of(row + 2u, g2, n2, w, &dw, &db));
      let d3 = with_past4(i + 3u * quads, dx_of(row + 3u, g3, n3, w, &dw, &db));
      dx4[i] = d0;
      dx4[i + quads] = d1;
      dx4[i + 2u * quads] = d2;
      dx4[i + 3u * quads] = d3;
      make_again(i, n0, q);
      make_again(i + quads, n1, q);
      make_again(i + 2u * quads, n2, q);
      make_again(i + 3u * quads, n3, q);
      i += 4u * quads;
    }
    for (; row < rows; row++) {
      let n = n_in(row, i);
      dx4[i] = with_past4(i, dx_of(row, dy_quad(i), n, w, &dw, &db));
      make_again(i, n, q);
      i += quads;
    }
    let blocks = (params.rows + TALL - 1u) / TALL;
    dboth4[block * quads + q] = dw;
    dboth4[(blocks + block) * quads + q] = db;
  }
}

// The same for any number of columns.
@compute @workgroup_size(LANES)
fn forward_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;

  var total = 0.0;
  for (var c = lane; c < params.columns; c += LANES) { total += x[start + c]; }
  let m = lanes_sum(lane, total) / f32(params.columns);

  // A second pass, not E[x^2] - E[x]^2: that difference cancels when the mean is large.
  var squares = 0.0;
  for (var c = lane; c < params.columns; c += LANES) {
    let d = x[start + c] - m;
    squares += d * d;
  }
  let r = inverseSqrt(lanes_sum(lane, squares) / f32(params.columns) + params.eps);

  for (var c = lane; c < params.columns; c += LANES) {
    y[start + c] = (x[start + c] - m) * r * weight[c] + bias[c];
  }
  if (lane == 0u) {
    mean[row] = m;
    rstd[row] = r;
  }
}

@compute @workgroup_size(LANES)
fn backward_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  let m = mean[row];
  let r = rstd[row];

  var g_total = 0.0;
  var gn_total = 0.0;
  for (var c = lane; c < params.columns; c += LANES) {
    let g = dy[start + c] * weight[c];
    g_total += g;
    gn_total += g * (x[start + c] - m) * r;
  }
  let g_avg = lanes_sum(lane, g_total) / f32(params.columns);
  let gn_avg = lanes_sum(lane, gn_total) / f32(params.columns);

  for (var c = lane; c < params.columns; c += LANES) {
    let n = (x[start + c] - m) * r;
    dx[start + c] = with_past(start + c, r * (dy[start + c] * weight[c] - g_avg - n * gn_avg));
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_columns(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = (group.y * groups.x + group.x) * WORKGROUP + thread;
  let first = at / params.columns * params.block;
  if (first >= params.rows) { return; }
  let end = min(first + params.block, params.rows);
  var w = 0.0;
  var b = 0.0;
  for (var row = first; row < end; row++) {
    let i = row * params.columns + at % params.columns;
    w += dy[i] * (x[i] - mean[row]) * rstd[row];
    b += dy[i];
  }
  dweight[at] = w;
  dbias[at] = b;
}
