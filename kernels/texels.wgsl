// A matrix into a texture, turned (src/engine/texels.ts): as panels or as tiles of its transpose.
//
//   turn_tiles   texels of X's column c and rows 4 d to 4 d + 3: in panels at row c, in tiles at column 4 d
//
// Shapes      X [rows, columns] in f32, with its own row length, all in multiples of 4
// Dispatch    one thread per 4 x 4 of X, those of a row of tiles next to one another
// Called by   src/engine/texels.ts
// Checked by  test/ops/texels.test.ts

//@include panels

const WORKGROUP = 64u;

override TILES = false;

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
  for (var j = 0u; j < 4u; j++) {
    let column = 4u * (tile % across) + j;
    // Down the layers run the panel's rows, or the tiles' columns; beside one another lie panels, or rows of tiles.
    let along = select(column, 4u * down, TILES);
    let beside = select(4u * down, column, TILES) / SIDE;
    let breadth = (select(params.rows, params.columns, TILES) + SIDE - 1u) / SIDE;
    let y = along % HEIGHT;
    let place = vec2u(down % WIDTH, select(y, y / SIDE * SIDE + column % SIDE, TILES));
    textureStore(texels, place, along / HEIGHT * breadth + beside, turned[j]);
  }
}
