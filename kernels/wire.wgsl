// Numbers as they travel between ranks: blocks of BLOCK halves with a unit each, half the bytes of f32.
//
//   encode     words of a block = [unit, halves two by two], half = x / unit rounded to the nearest,
//              unit = the power of two that puts the block's largest |x| into [2^14, 2^15), 2^-126 at least
//   decode     y = unit * half
//
// A block that holds what is not finite has NaN for its unit, and all its numbers become NaN.
//
// Shapes      x, y [count] f32, whole vec4s;   words [blocks, 1 + BLOCK / 2] u32, from block `first` on
// Dispatch    encode_blocks: one workgroup of LANES threads per block;  decode_quads: one thread per 4 numbers
// Called by   src/ops/wire.ts
// Checked by  test/ops/wire.test.ts

//@include lanes

const WORKGROUP = 64u;
const BLOCK = 512u; // as src/ops/wire.ts has it
const QUADS = BLOCK / 4u;
const WORDS = 1u + BLOCK / 2u;

struct Params {
  count: u32,
  first: u32,
}

var<immediate> params: Params;

// Floats by their bits: a compiler may assume that there is no NaN, and an adapter may flush what is small.
@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@group(0) @binding(2) var<storage, read> sent: array<u32>; // words, where they are only read
@group(0) @binding(3) var<storage, read_write> y: array<vec4u>;

const NAN = 0x7fc00000u;

// Zeros for those of four numbers that lie beyond the last.
fn masked(bits: vec4u, quad: u32) -> vec4u {
  return select(vec4u(), bits, 4u * quad + vec4u(0u, 1u, 2u, 3u) < vec4u(params.count));
}

// Four of the numbers, zeros beyond the last.
fn quad_of_x(quad: u32) -> vec4u {
  if (4u * quad >= params.count) { return vec4u(); }
  return masked(x[quad], quad);
}

// To the 11 bits of a half, ties to even: pack2x16float may round to either neighbour, and then has nothing to round.
fn rounded(value: vec4f) -> vec4f {
  let bits = bitcast<vec4u>(value);
  return bitcast<vec4f>((bits + 0xfffu + ((bits >> vec4u(13u)) & vec4u(1u))) & vec4u(0xffffe000u));
}

@compute @workgroup_size(LANES)
fn encode_blocks(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * groups.x + group.x;
  if (block * BLOCK >= params.count) { return; }
  let start = block * QUADS;

  var largest = vec4u();
  for (var q = lane; q < QUADS; q += LANES) { largest = max(largest, quad_of_x(start + q) & vec4u(0x7fffffffu)); }
  let mine = max(max(largest.x, largest.y), max(largest.z, largest.w)) >> 23u;
  let exponent = u32(lanes_max(lane, f32(mine))); // biased by 127; 255 where not finite

  let unit = max(exponent, 15u) - 14u; // biased; of 1 / unit it is 254 - unit, neither ever subnormal
  let scale = bitcast<f32>((254u - unit) << 23u);
  let at = (params.first + block) * WORDS;
  if (lane == 0u) { words[at] = select(unit << 23u, NAN, exponent == 255u); }
  for (var q = lane; q < QUADS; q += LANES) {
    let value = rounded(bitcast<vec4f>(quad_of_x(start + q)) * scale);
    words[at + 1u + 2u * q] = pack2x16float(value.xy);
    words[at + 2u + 2u * q] = pack2x16float(value.zw);
  }
}

@compute @workgroup_size(WORKGROUP)
fn decode_quads(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let quad = (group.y * groups.x + group.x) * WORKGROUP + thread;
  if (4u * quad >= params.count) { return; }
  let at = (params.first + quad / QUADS) * WORDS;
  let half = at + 1u + 2u * (quad % QUADS);
  let unit = sent[at];
  let value = vec4f(unpack2x16float(sent[half]), unpack2x16float(sent[half + 1u])) * bitcast<f32>(unit);
  let finite = (unit & 0x7f800000u) != 0x7f800000u;
  y[quad] = masked(select(vec4u(NAN), bitcast<vec4u>(value), finite), quad);
}
