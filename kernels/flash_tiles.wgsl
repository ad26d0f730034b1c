// What the kernels of attention on subgroup matrices share: where a head lies, and how rows of it pass through
// workgroup memory. A workgroup owns OWN rows, a subgroup 16 of them; SPAN others at a time are in each of TILES.
//
// Shapes      qkv, dqkv [B, L, 3, heads, WIDTH] and y, dy [B, L, heads, WIDTH] f16, lse, delta [B, heads, L] f32;
//             any L, WIDTH a multiple of 16 up to 128
// Dispatch    included by kernels of one workgroup of THREADS per OWN rows: (blocks of L, heads, B)
// Called by   src/engine/shader.ts
// Checked by  test/ops/attentionmatrix.test.ts

//@include fragment

// These fit the 16 KiB of workgroup memory that WebGPU promises.
override THREADS = 64u; // a multiple of 32
override SPAN = 16u; // 16, 32 or 64
override WIDTH = 16u; // of a head
override TILES = 2u; // of SPAN rows in workgroup memory
override SQUARES = 1u; // of f32 [OWN, SPAN] in workgroup memory
override WEIGHTS = 1u; // of f16

override OWN = THREADS / 2u;
override QUADS = WIDTH / 4u; // of a row
override ACROSS = WIDTH / 16u; // matrices of a row
override LOADS = (SPAN * QUADS + THREADS - 1u) / THREADS; // quads of a tile that a thread brings
override EVEN = SPAN * QUADS % THREADS == 0u; // whether every thread brings as many
// Pitches are multiples of 8, as subgroup matrices want, that let the rows of a matrix begin in different banks.
override PITCH = WIDTH + 8u;
override TILE = SPAN * PITCH;
override SQUARE_PITCH = SPAN + 8u;
override SQUARE = OWN * SQUARE_PITCH;
override FIRST_WEIGHTS = TILES * TILE;

// A thread's elements of its subgroup's 16 x SPAN square: PASSES rows, each in SPLIT columns.
override LINE = min(SPAN, 32u);
override PASSES = LINE / 2u;
override SPLIT = SPAN / LINE;

const MOST_ACROSS = 8;
const MOST_LOADS = 8;

struct Params {
  L: u32,
  heads: u32,
  D: u32, // heads * WIDTH / 4: quads of a row of y
  alpha: f32,
  binary: f32, // alpha log2(e): exp(alpha x) = exp2(binary x)
  across: u32, // ACROSS, for the bounds of loops with barriers: a CPU's compiler must not unroll them
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> qkv4: array<vec4<f16>>;
@group(0) @binding(1) var<storage, read_write> y4: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>; // written forward, read backward
@group(0) @binding(3) var<storage, read> dy4: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read_write> delta: array<f32>;
@group(0) @binding(5) var<storage, read_write> dqkv4: array<vec4<f16>>;

// First the OWN rows, a moment only; then the tiles and the weights.
var<workgroup> tile: array<f16, max(FIRST_WEIGHTS + WEIGHTS * SQUARE, OWN * PITCH)>;
var<workgroup> scratch: array<f32, SQUARES * SQUARE>;

// Where a head begins, in quads of qkv and of y, and in floats of lse.
struct Head {
  q: u32,
  k: u32,
  v: u32,
  y: u32,
  row: u32,
}

fn head_of(group: vec3u) -> Head {
  let q = group.z * params.L * 3u * params.D + group.y * QUADS;
  let y = group.z * params.L * params.D + group.y * QUADS;
  return Head(q, q + params.D, q + 2u * params.D, y, (group.z * params.heads + group.y) * params.L);
}

// A quad of a row of q, k or v, or of dy. Beyond the last row it is that row's: whose weight is zero, or which nobody
// stores. A branch would keep the compiler from moving loads.
fn qkv_at(start: u32, row: u32, quad: u32) -> vec4<f16> {
  return qkv4[start + min(row, params.L - 1u) * 3u * params.D + quad];
}

fn dy_at(start: u32, row: u32, quad: u32) -> vec4<f16> {
  return dy4[start + min(row, params.L - 1u) * params.D + quad];
}

fn keep(row: u32, quad: u32, halves: vec4<f16>) {
  let at = row * PITCH + 4u * quad;
  //@unroll e < 4
  tile[at + e] = halves[e];
  //@end
}

fn keep_own_qkv(start: u32, first: u32, thread: u32) {
  for (var e = thread; e < OWN * QUADS; e += THREADS) {
    keep(e / QUADS, e % QUADS, qkv_at(start, first + e / QUADS, e % QUADS));
  }
}

fn keep_own_dy(start: u32, first: u32, thread: u32) {
  for (var e = thread; e < OWN * QUADS; e += THREADS) {
    keep(e / QUADS, e % QUADS, dy_at(start, first + e / QUADS, e % QUADS));
  }
}

// Which of a tile's rows, and quad of it, is a thread's i-th.
fn row_of(i: u32, thread: u32) -> u32 { return (i * THREADS + thread) / QUADS; }
fn quad_of(i: u32, thread: u32) -> u32 { return (i * THREADS + thread) % QUADS; }

// A matrix of a tile, transposed: the rows from n on are its columns, and c counts matrices across a row.
fn across_of(which: u32, n: u32, c: u32) -> Right { return right_columns((which * SPAN + n) * PITCH + 16u * c, PITCH); }
fn down_of(which: u32, k: u32, c: u32) -> Right { return right_rows((which * SPAN + k) * PITCH + 16u * c, PITCH); }

// Where a thread's part of pass `i` begins in a square of scratch or weights whose first element is at `square`.
fn part_of(square: u32, i: u32, lane: u32) -> u32 {
  return square + (i * 32u + lane) / LINE * SQUARE_PITCH + lane % LINE;
}

// Four neighbours of scratch as halves.
fn four(at: u32, factor: f32) -> vec4<f16> {
  return vec4<f16>(factor * vec4f(scratch[at], scratch[at + 1u], scratch[at + 2u], scratch[at + 3u]));
}
