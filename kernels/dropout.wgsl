// Dropout and drop path, with a mask that is computed again instead of kept.
//
//   forward    y[i] = x[i] / (1 - rate) where draw(i / share) >= rate, else 0
//   backward   the same of dy
//
// Shapes      x, y [N]; `share` neighbours stand or fall together: 1 for dropout, a whole sample for drop path
// Dispatch    one thread per four elements
// Called by   src/ops/dropout.ts
// Checked by  test/ops/dropout.test.ts

const WORKGROUP = 64u;

struct Params {
  length: u32, // N
  share: u32,
  threshold: u32, // rate * 2^32
  factor: f32, // 1 / (1 - rate)
  seed: u32,
  stream: u32, // which op of the step
  step: u32,
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

// Four random words from four counters (pcg4d of Jarzynski and Olano 2020, JCGT 9(3), Hash Functions for GPU Rendering).
fn pcg4d(counters: vec4u) -> vec4u {
  var v = counters * 1664525u + 1013904223u;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  v = v ^ (v >> vec4u(16u));
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v;
}

@compute @workgroup_size(WORKGROUP)
fn mask(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = 4u * ((group.y * groups.x + group.x) * WORKGROUP + thread);
  if (first >= params.length) { return; }
  let words = pcg4d(vec4u(first / 4u, params.stream, params.step, params.seed));
  let last = min(first + 4u, params.length);
  for (var i = first; i < last; i++) {
    var draw = words[i - first];
    if (params.share > 1u) { draw = pcg4d(vec4u(i / params.share, params.stream, params.step, params.seed)).x; }
    y[i] = select(0.0, params.factor * x[i], draw >= params.threshold);
  }
}
