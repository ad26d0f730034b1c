// How matrices lie in textures (src/engine/texels.ts): in panels of 4 WIDTH columns and tiles of as many rows, HEIGHT of
// their rows to a layer.
//
// Shapes      WIDTH texels in a row, HEIGHT rows in a layer, SIDE rows and columns of a tile
// Dispatch    included by the kernels that read and write such textures
// Called by   kernels/matmul_texels_subgroup.wgsl, kernels/flash_subgroup.wgsl, kernels/texels.wgsl
// Checked by  test/ops/texels.test.ts, test/ops/attention.test.ts

const WIDTH = 8u;
const HEIGHT = 512u;
const SIDE = 4u * WIDTH;
