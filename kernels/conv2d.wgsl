// Convolutions as matrix products: the neighbourhoods of a block of output points as the columns of a matrix, and back.
//
//   unfold     columns[(c, i, j), n] = x[b, c, s h + i - p, s w + j - p],   n = (b, h, w) of the block
//   fold       x[b, c, y, x] = sum of columns[(c, i, j), n] over all i, j, n with s h + i - p = y, s w + j - p = x
//   gather     z[o, n] = y[b, o, h, w]
//   turn       turned[c, o, i, j] = weight[o, c, k - 1 - i, k - 1 - j]
//   finish     y[b, o, h, w] = f(y[b, o, h, w] + bias[o]),   f(v) = v for v >= 0, slope * v below; in place
//
// so that y = W columns with W [O, C k k] is the convolution, dcolumns = W^T dy its backward by x and
// dW = dy columns^T that by the weight. Beyond the first and the last row there are zeros; beyond the first and the last
// column too, or, PERIODIC, the columns of the other side.
//
// Shapes       x [B, C, H, W];   columns [C k k, N], N = samples * rows * out_columns;   z [O, N];
//              y [B, O, out_rows, out_columns];   bias [O];   weight [O, C, k, k];   turned [C, O, k, k];   *4: s = 1, out_columns = W, p <= 3, W a multiple of 4
// Dispatch     unfold, gather, turn: one thread per element written;  fold: one per element of x_rows rows of the block's
//              samples;  fold4: one per four of them;  unfold4: one per c, i and four n;  finish: one per four elements
// Called by    src/ops/conv2d.ts
// Checked by   test/ops/conv2d.test.ts, test/ops/convtranspose2d.test.ts

const WORKGROUP = 64u;
const MOST = 7u; // side of the largest kernel of *4

override SIDE = 3u; // k
override PADDING = 1u; // p
override PERIODIC = true;
override ADD = false; // fold, turn: to what is there

struct Params {
  channels: u32, // C; gather, finish, turn: O
  height: u32, // H
  width: u32, // W
  out_rows: u32,
  out_columns: u32,
  stride: u32, // s
  first: u32, // the block: its first sample,
  samples: u32, // how many,
  row: u32, // its first row of the output,
  rows: u32, // and how many
  x_row: u32, // fold: the first row of x that it reaches,
  x_rows: u32, // and how many
  length: u32, // finish: elements of y;  turn: of the weight
  slope: f32, // finish
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> columns: array<f32>;
@group(0) @binding(2) var<storage, read> x4: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> columns4: array<vec4f>;
@group(0) @binding(4) var<storage, read> dcolumns: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read> dcolumns4: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dx4: array<vec4f>;
@group(0) @binding(8) var<storage, read> y: array<f32>;
@group(0) @binding(9) var<storage, read_write> z: array<f32>;
@group(0) @binding(10) var<storage, read> bias: array<f32>;
@group(0) @binding(11) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(12) var<storage, read> weight: array<f32>;
@group(0) @binding(13) var<storage, read_write> turned: array<f32>;

fn index(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return (group.y * groups.x + group.x) * WORKGROUP + thread;
}

// Points of the block.
fn points() -> u32 { return params.samples * params.rows * params.out_columns; }

@compute @workgroup_size(WORKGROUP)
fn unfold(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = index(group, groups, thread);
  let N = points();
  if (at >= params.channels * SIDE * SIDE * N) { return; }
  let n = at % N;
  let tap = at / N;
  let sample = params.first + n / (params.rows * params.out_columns);
  // Unsigned: what lies before the first row or column is a huge number.
  let h = (params.row + n / params.out_columns % params.rows) * params.stride + tap / SIDE % SIDE - PADDING;
  var w = n % params.out_columns * params.stride + tap % SIDE - PADDING;
  if (PERIODIC) { w = (w + params.width) % params.width; }
  var value = 0.0;
  if (h < params.height && w < params.width) {
    value = x[((sample * params.channels + tap / (SIDE * SIDE)) * params.height + h) * params.width + w];
  }
  columns[at] = value;
}

// Four values from place j of the twelve in a, b, c.
fn window(a: vec4f, b: vec4f, c: vec4f, j: u32) -> vec4f {
  switch j {
    case 0u: { return a; }
    case 1u: { return vec4f(a.yzw, b.x); }
    case 2u: { return vec4f(a.zw, b.xy); }
    case 3u: { return vec4f(a.w, b.xyz); }
    case 4u: { return b; }
    case 5u: { return vec4f(b.yzw, c.x); }
    case 6u: { return vec4f(b.zw, c.xy); }
    case 7u: { return vec4f(b.w, c.xyz); }
    default: { return c; }
  }
}

// The quad before quad q of a row of `quads`, which is there unless it is beyond the edge, and the one after.
struct Neighbours {
  before: u32,
  after: u32,
  has_before: bool,
  has_after: bool,
}

fn neighbours(q: u32, quads: u32) -> Neighbours {
  return Neighbours(
    select(q - 1u, quads - 1u, q == 0u),
    select(q + 1u, 0u, q + 1u == quads),
    PERIODIC || q > 0u,
    PERIODIC || q + 1u < quads,
  );
}

@compute @workgroup_size(WORKGROUP)
fn unfold4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = index(group, groups, thread);
  let N4 = points() / 4u;
  if (at >= params.channels * SIDE * N4) { return; }
  let quads = params.width / 4u;
  let n4 = at % N4;
  let q = n4 % quads;
  let c = at / N4 / SIDE;
  let h = params.row + n4 / quads % params.rows + at / N4 % SIDE - PADDING;
  var a = vec4f();
  var b = vec4f();
  var d = vec4f();
  if (h < params.height) {
    let sample = params.first + n4 / (quads * params.rows);
    let start = ((sample * params.channels + c) * params.height + h) * quads;
    let near = neighbours(q, quads);
    b = x4[start + q];
    if (PADDING > 0u) {
      if (near.has_before) { a = x4[start + near.before]; }
      if (near.has_after) { d = x4[start + near.after]; }
    }
  }
  let first = at / N4 * SIDE * N4 + n4;
  //@unroll j < MOST
  if (j < SIDE) { columns4[first + j * N4] = window(a, b, d, 4u + j - PADDING); }
  //@end
}

@compute @workgroup_size(WORKGROUP)
fn fold(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = index(group, groups, thread);
  let band = params.x_rows * params.width;
  if (at >= params.samples * params.channels * band) { return; }
  let N = points();
  let h = params.x_row + at / params.width % params.x_rows;
  let w = at % params.width;
  let c = at / band % params.channels;
  let sample = at / (band * params.channels);
  var total = 0.0;
  for (var i = 0u; i < SIDE * min(groups.x, 1u); i++) {
    let down = h + PADDING - i; // s times the row of the output
    let row = down / params.stride - params.row;
    if (down % params.stride != 0u || row >= params.rows) { continue; }
    for (var j = 0u; j < SIDE; j++) {
      // Seen from the output this column may lie a turn further west or east.
      var across = w + PADDING - j;
      var turns = 1u;
      if (PERIODIC) {
        across -= params.width;
        turns = 3u;
      }
      for (var turn = 0u; turn < turns; turn++) {
        let column = across / params.stride;
        if (across % params.stride == 0u && column < params.out_columns) {
          let n = (sample * params.rows + row) * params.out_columns + column;
          total += dcolumns[((c * SIDE + i) * SIDE + j) * N + n];
        }
        across += params.width;
      }
    }
  }
  let to = (((params.first + sample) * params.channels + c) * params.height + h) * params.width + w;
  if (ADD) { dx[to] += total; } else { dx[to] = total; }
}

@compute @workgroup_size(WORKGROUP)
fn fold4(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = index(group, groups, thread);
  let quads = params.width / 4u;
  let band = params.x_rows * quads;
  if (at >= params.samples * params.channels * band) { return; }
  let N4 = points() / 4u;
  let h = params.x_row + at / quads % params.x_rows;
  let q = at % quads;
  let c = at / band % params.channels;
  let sample = at / (band * params.channels);
  let near = neighbours(q, quads);
  var total = vec4f();
  // A trip count no compiler can bound keeps this loop rolled, which compiles ten times faster.
  for (var i = 0u; i < SIDE * min(groups.x, 1u); i++) {
    let row = h + PADDING - i - params.row;
    if (row >= params.rows) { continue; }
    let start = (c * SIDE + i) * SIDE * N4 + (sample * params.rows + row) * quads;
    //@unroll j < MOST
    if (j < SIDE) {
      let line = start + j * N4;
      var a = vec4f();
      var b = vec4f();
      var d = vec4f();
      // The neighbour at offset j - p sees this quad from p - j further on.
      if (j > PADDING && near.has_before) { a = dcolumns4[line + near.before]; }
      b = dcolumns4[line + q];
      if (j < PADDING && near.has_after) { d = dcolumns4[line + near.after]; }
      total += window(a, b, d, 4u + PADDING - min(j, 4u + PADDING));
    }
    //@end
  }
  let to = (((params.first + sample) * params.channels + c) * params.height + h) * quads + q;
  if (ADD) { dx4[to] += total; } else { dx4[to] = total; }
}

@compute @workgroup_size(WORKGROUP)
fn gather(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = index(group, groups, thread);
  let N = points();
  if (at >= params.channels * N) { return; }
  let run = params.rows * params.out_columns;
  let sample = params.first + at % N / run;
  let plane = params.out_rows * params.out_columns;
  z[at] = y[(sample * params.channels + at / N) * plane + params.row * params.out_columns + at % run];
}

// Its own inverse, with O and C changed about.
@compute @workgroup_size(WORKGROUP)
fn turn(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = index(group, groups, thread);
  if (at >= params.length) { return; }
  let taps = SIDE * SIDE;
  let o = at / taps % params.channels;
  let c = at / (taps * params.channels);
  let inputs = params.length / (taps * params.channels); // C
  let value = weight[(o * inputs + c) * taps + taps - 1u - at % taps];
  if (ADD) { turned[at] += value; } else { turned[at] = value; }
}

@compute @workgroup_size(WORKGROUP)
fn finish(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (4u * i >= params.length) { return; }
  let plane = params.out_rows * params.out_columns;
  var shift = vec4f(bias[4u * i / plane % params.channels]);
  if (plane % 4u != 0u) {
    for (var k = 1u; k < 4u; k++) { shift[k] = bias[(4u * i + k) / plane % params.channels]; }
  }
  let sum = y4[i] + shift;
  let value = select(params.slope * sum, sum, sum >= vec4f());
  if (4u * i + 4u <= params.length) {
    y4[i] = value;
    return;
  }
  for (var k = 0u; 4u * i + k < params.length; k++) { y4[i][k] = value[k]; }
}
