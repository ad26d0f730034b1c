// How matrices lie in textures (src/engine/texels.ts): in panels of 4 WIDTH columns, whose rows fill the layers.
//
// Shapes      WIDTH texels in a row of a panel, HEIGHT rows of panels in a layer
// Dispatch    included by the kernels that read and write such textures
// Called by   kernels/matmul_texels_subgroup.wgsl, kernels/texels.wgsl
// Checked by  test/ops/texels.test.ts

const WIDTH = 8u;
const HEIGHT = 512u;
