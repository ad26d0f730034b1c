// A matrix into a texture, turned: as rows of panels that are columns of the matrix (src/engine/texels.ts).
//
//   turn_tiles   panel row c of panel p, texel x = X[32 p + 4 x .. 32 p + 4 x + 3, c]
//
// Shapes      X [rows, columns] in f32, with its own row length, all in multiples of 4; texels in layers of HEIGHT rows
// Dispatch    one thread per 4 x 4 of X, those of a row of tiles next to one another
// Called by   src/engine/texels.ts
// Checked by  test/ops/texels.test.ts

//@include panels

const WORKGROUP = 64u;

struct Params {
  rows: u32,
  columns: u32,
  row: u32, // elements from one row to the next
  base: u32, // where the first one begins
}

var<immediate> params: Params;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var texels: texture_storage_2d_array<rgba32float, write>;

@compute @workgroup_size(WORKGROUP)
fn turn_tiles(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = (group.y * groups.x + group.x) * WORKGROUP + thread;
  let across = params.columns / 4u;
  if (tile >= across * params.rows / 4u) { return; }
  let down = tile / across;
  let step = params.row / 4u;
  let at = params.base / 4u + 4u * down * step + tile % across;
  let turned = transpose(mat4x4f(x[at], x[at + step], x[at + 2u * step], x[at + 3u * step]));
  let first = down / WIDTH * params.columns + 4u * (tile % across);
  for (var j = 0u; j < 4u; j++) {
    let y = first + j;
    textureStore(texels, vec2u(down % WIDTH, y % HEIGHT), y / HEIGHT, turned[j]);
  }
}
