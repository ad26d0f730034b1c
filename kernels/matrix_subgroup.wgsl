// Where kernels/matmul_matrix.wgsl has its matrices from, and puts them, on tensor cores.
//
// Shapes      a_tile and b_tile as kernels/matmul_matrix.wgsl keeps them, scratch [subgroups, 2, 16, 16]
// Dispatch    included by a kernel of workgroups of whole subgroups
// Called by   src/engine/shader.ts
// Checked by  test/kernels.test.ts

//@include subgroupmatrices

fn left_rows(at: u32, pitch: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&a_tile, at, pitch); }
fn left_columns(at: u32, pitch: u32) -> Left { return subgroupMatrixLoad<Left, col_major>(&a_tile, at, pitch); }
fn right_rows(at: u32, pitch: u32) -> Right { return subgroupMatrixLoad<Right, row_major>(&b_tile, at, pitch); }
fn right_columns(at: u32, pitch: u32) -> Right { return subgroupMatrixLoad<Right, col_major>(&b_tile, at, pitch); }

// A trip count that no compiler can bound.
fn rolled(count: u32) -> u32 { return count * min(params.M, 1u); }

fn put(at: u32, sum: Sum, lane: u32) { subgroupMatrixStore<row_major>(&scratch, at, sum, 16u); }
