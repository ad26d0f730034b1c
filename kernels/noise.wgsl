// The random factor of each element under dropout and drop path: a function of its place, so that it is never kept.
//
//   dropout    0 with the probability threshold / 2^32, else 1 / (1 - that probability)
//   drop path  the same, with one draw for each `share` neighbours (a sample's branch), from the next stream
//
// Shapes      scalars, and vec4s of four neighbours
// Dispatch    included
// Called by   src/engine/shader.ts
// Checked by  test/ops/dropout.test.ts, test/ops/mlp.test.ts

struct Noise {
  threshold: u32, // of dropout, 0 for none
  path_threshold: u32, // of drop path, 0 for none
  share: u32, // elements that drop path keeps or drops together
  seed: u32,
  stream: u32, // which draw of the step: dropout takes this one, drop path the next
  step: u32,
  first: u32, // the place of element 0 among those of the whole batch, a multiple of 4
}

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

// 1 / (1 - threshold / 2^32)
fn compensation(threshold: u32) -> f32 { return 1.0 / (1.0 - f32(threshold) * 2.3283064365386963e-10); }

fn path_factor(n: Noise, i: u32) -> f32 {
  let draw = pcg4d(vec4u((n.first + i) / n.share, n.stream + 1u, n.step, n.seed)).x;
  return select(0.0, compensation(n.path_threshold), draw >= n.path_threshold);
}

// The factors of elements i .. i + 3, i a multiple of 4.
fn kept4(n: Noise, i: u32) -> vec4f {
  var factor = vec4f(1.0);
  if (n.threshold > 0u) {
    let draw = pcg4d(vec4u((n.first + i) / 4u, n.stream, n.step, n.seed));
    factor = select(vec4f(), vec4f(compensation(n.threshold)), draw >= vec4u(n.threshold));
  }
  if (n.path_threshold > 0u) {
    factor *= vec4f(path_factor(n, i), path_factor(n, i + 1u), path_factor(n, i + 2u), path_factor(n, i + 3u));
  }
  return factor;
}

// The factor of element i.
fn kept(n: Noise, i: u32) -> f32 {
  var factor = 1.0;
  if (n.threshold > 0u) {
    let draw = pcg4d(vec4u((n.first + i) / 4u, n.stream, n.step, n.seed))[i % 4u];
    factor = select(0.0, compensation(n.threshold), draw >= n.threshold);
  }
  if (n.path_threshold > 0u) { factor *= path_factor(n, i); }
  return factor;
}
