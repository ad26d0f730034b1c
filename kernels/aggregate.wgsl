// One learned query attends over the tokens of the V variables of each patch (Nguyen et al. 2023, arXiv:2301.10343,
// section 3.1), as torch.nn.MultiheadAttention does it; mix.wgsl does it without tokens.
//
//   forward    s[n, h, v] = q_h . keys[n, v, h] / sqrt(d),   a = softmax over v,   o[n, h] = sum over v of a[n, h, v] values[n, v, h]
//   backward   da[n, h, v] = do_h . values[n, v, h],   ds = a (da - sum over v of a da),   dkeys = ds q_h / sqrt(d),
//              dvalues = a do_h
//
// Shapes      q [D], D = H d;  keys, values, dkeys, dvalues [N, V, D];  attention [N, H, V];  dscores [N, V, H];  o, do_ [N, D]
// Dispatch    one thread per patch n and head h
// Called by   src/ops/aggregate.ts
// Checked by  test/ops/aggregate.test.ts

const WORKGROUP = 64u;

struct Params {
  N: u32,
  V: u32,
  H: u32,
  d: u32, // width of a head
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read_write> attention: array<f32>; // written forward, read backward
@group(0) @binding(1) var<storage, read_write> dscores: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(3) var<storage, read> keys: array<f32>;
@group(0) @binding(4) var<storage, read> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> o: array<f32>;
@group(0) @binding(6) var<storage, read> do_: array<f32>; // `do` is reserved in WGSL
@group(0) @binding(7) var<storage, read_write> dkeys: array<f32>;
@group(0) @binding(8) var<storage, read_write> dvalues: array<f32>;

fn index(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return (group.y * groups.x + group.x) * WORKGROUP + thread;
}

// Turns the V scores at `start` of attention into weights; `largest` is the largest of them.
fn softmax(start: u32, largest: f32) {
  var total = 0.0;
  for (var v = 0u; v < params.V; v++) {
    let e = exp(attention[start + v] - largest);
    attention[start + v] = e;
    total += e;
  }
  for (var v = 0u; v < params.V; v++) { attention[start + v] /= total; }
}

@compute @workgroup_size(WORKGROUP)
fn forward_heads(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.N * params.H) { return; }
  let D = params.H * params.d;
  let column = (i % params.H) * params.d;
  let first = (i / params.H) * params.V * D + column;
  var largest = -3.4e38;
  for (var v = 0u; v < params.V; v++) {
    var s = 0.0;
    for (var j = 0u; j < params.d; j++) { s += q[column + j] * keys[first + v * D + j]; }
    s *= inverseSqrt(f32(params.d));
    attention[i * params.V + v] = s;
    largest = max(largest, s);
  }
  softmax(i * params.V, largest);
  for (var j = 0u; j < params.d; j++) {
    var sum = 0.0;
    for (var v = 0u; v < params.V; v++) { sum += attention[i * params.V + v] * values[first + v * D + j]; }
    o[i * params.d + j] = sum;
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_heads(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = index(group, groups, thread);
  if (i >= params.N * params.H) { return; }
  let D = params.H * params.d;
  let column = (i % params.H) * params.d;
  let n = i / params.H;
  let first = n * params.V * D + column;
  let first_score = n * params.V * params.H + i % params.H;
  var total = 0.0;
  for (var v = 0u; v < params.V; v++) {
    let a = attention[i * params.V + v];
    var da = 0.0;
    for (var j = 0u; j < params.d; j++) {
      let at = first + v * D + j;
      da += do_[i * params.d + j] * values[at];
      dvalues[at] = a * do_[i * params.d + j];
    }
    dscores[first_score + v * params.H] = da;
    total += a * da;
  }
  let scale = inverseSqrt(f32(params.d));
  for (var v = 0u; v < params.V; v++) {
    let at = first_score + v * params.H;
    let ds = attention[i * params.V + v] * (dscores[at] - total);
    dscores[at] = ds;
    for (var j = 0u; j < params.d; j++) { dkeys[first + v * D + j] = ds * q[column + j] * scale; }
  }
}
