// Grids to patches and back, and the matrix that embeds a patch.
//
//   patchify    P[n, v K + k] = x[b, v, p i + k / p, p j + k % p] for k < p p, and 1 for k = p p      n = (b, i, j)
//               (K = p p + 1; without ones K = p p)
//   pack        E[v K + k, d] = weight_v[d, k] for k < p p, and bias_v[d] + embed_v[d] for k = p p
//   unpatchify  y[b, v, p i + k / p, p j + k % p] = tokens[n, k V + v]
//
// so that P E, variable by variable, is the patch embedding of ClimaX with its bias and variable embedding
// (Nguyen et al. 2023, arXiv:2301.10343, section 3.1). The backwards move gradients the other way; those of pack
// (unpack_values for weights, unpack_rows for biases and embeddings) are added to what is there. A dispatch of these
// takes all variables whose tensors lie in one buffer, and finds them by a table.
//
// Shapes      x, dx [B, V, H, W];  patches, dpatches [N, C], N = B H W / p^2, C = V K rounded up to a multiple of 4,
//             K = p p + 1, zero beyond V K;  basis, dbasis [C, D];  weight [.., D, p, p], bias [.., D], embed [.., D];
//             tokens [N, p p V], grid [B, V, H, W];  parts, targets [entries], a variable each
// Dispatch    one thread per element of patches or x; pack, unpack_*: one per d, [ceil(D / 64), entries, 1]
// Called by   src/ops/patchembed.ts
// Checked by  test/ops/patchembed.test.ts

const WORKGROUP = 64u;

// Which of the V variables, and where what is its begins, in floats.
struct Part { slot: u32, weight: u32, bias: u32, embed: u32 }
struct Target { slot: u32, start: u32 }

struct Params {
  B: u32,
  V: u32,
  H: u32,
  W: u32,
  p: u32, // side of a patch
  C: u32, // columns of patches
  D: u32,
  ones: u32, // patchify: 1 if each patch of a variable ends with a 1, else 0
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> patches: array<f32>;
@group(0) @binding(2) var<storage, read> dpatches: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read> embed: array<f32>;
@group(0) @binding(7) var<storage, read_write> basis: array<f32>;
@group(0) @binding(8) var<storage, read> dbasis: array<f32>;
@group(0) @binding(9) var<storage, read> parts: array<Part>;
@group(0) @binding(10) var<storage, read> targets: array<Target>;
@group(0) @binding(11) var<storage, read_write> dtarget: array<f32>;
@group(0) @binding(12) var<storage, read> tokens: array<f32>;
@group(0) @binding(13) var<storage, read_write> grid: array<f32>;
@group(0) @binding(14) var<storage, read> dgrid: array<f32>;
@group(0) @binding(15) var<storage, read_write> dtokens: array<f32>;

fn index(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return (group.y * groups.x + group.x) * WORKGROUP + thread;
}

// Where value k of variable v in patch n lies in a [B, V, H, W] array.
fn point(n: u32, v: u32, k: u32) -> u32 {
  let columns = params.W / params.p;
  let L = columns * (params.H / params.p);
  let row = params.p * ((n % L) / columns) + k / params.p;
  let column = params.p * (n % columns) + k % params.p;
  return (((n / L) * params.V + v) * params.H + row) * params.W + column;
}

// Patch n, variable v and value k of element i of a [B, V, H, W] array.
fn place(i: u32) -> vec3u {
  let column = i % params.W;
  let row = (i / params.W) % params.H;
  let v = (i / (params.W * params.H)) % params.V;
  let b = i / (params.W * params.H * params.V);
  let n = (b * (params.H / params.p) + row / params.p) * (params.W / params.p) + column / params.p;
  return vec3u(n, v, (row % params.p) * params.p + column % params.p);
}

@compute @workgroup_size(WORKGROUP)
fn patchify(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  let count = params.B * params.H * params.W / (params.p * params.p) * params.C;
  if (i >= count) { return; }
  let K = params.p * params.p + params.ones;
  let n = i / params.C;
  let v = (i % params.C) / K;
  let k = (i % params.C) % K;
  if (v >= params.V) {
    patches[i] = 0.0;
  } else if (k == params.p * params.p) {
    patches[i] = 1.0;
  } else {
    patches[i] = x[point(n, v, k)];
  }
}

@compute @workgroup_size(WORKGROUP)
fn patchify_backward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.B * params.V * params.H * params.W) { return; }
  let at = place(i);
  dx[i] = dpatches[at.x * params.C + at.y * (params.p * params.p + params.ones) + at.z];
}

@compute @workgroup_size(WORKGROUP)
fn pack(@builtin(global_invocation_id) id: vec3u) {
  let d = id.x;
  if (d >= params.D) { return; }
  let part = parts[id.y];
  let values = params.p * params.p;
  let start = part.slot * (values + 1u);
  for (var k = 0u; k < values; k++) { basis[(start + k) * params.D + d] = weight[part.weight + d * values + k]; }
  basis[(start + values) * params.D + d] = bias[part.bias + d] + embed[part.embed + d];
}

@compute @workgroup_size(WORKGROUP)
fn unpack_values(@builtin(global_invocation_id) id: vec3u) {
  let d = id.x;
  if (d >= params.D) { return; }
  let to = targets[id.y];
  let values = params.p * params.p;
  let first = to.slot * (values + 1u);
  for (var k = 0u; k < values; k++) { dtarget[to.start + d * values + k] += dbasis[(first + k) * params.D + d]; }
}

@compute @workgroup_size(WORKGROUP)
fn unpack_rows(@builtin(global_invocation_id) id: vec3u) {
  let d = id.x;
  if (d >= params.D) { return; }
  let to = targets[id.y];
  let values = params.p * params.p;
  dtarget[to.start + d] += dbasis[(to.slot * (values + 1u) + values) * params.D + d];
}

@compute @workgroup_size(WORKGROUP)
fn unpatchify(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.B * params.V * params.H * params.W) { return; }
  let at = place(i);
  grid[i] = tokens[(at.x * params.p * params.p + at.z) * params.V + at.y];
}

@compute @workgroup_size(WORKGROUP)
fn unpatchify_backward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.B * params.V * params.H * params.W) { return; }
  let at = place(i);
  dtokens[(at.x * params.p * params.p + at.z) * params.V + at.y] = dgrid[i];
}
