// Where the kernels of attention have their matrices from, and put them, on tensor cores: from `tile` (f16) and to and
// from `scratch` (f32), both in workgroup memory.
//
// Shapes      places and pitches in elements, pitches in multiples of 8
// Dispatch    included by a kernel of workgroups of whole subgroups of 32 threads
// Called by   src/engine/shader.ts
// Checked by  test/kernels.test.ts

//@include subgroupmatrices

fn left_rows(at: u32, pitch: u32, lane: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&tile, at, pitch); }
fn right_rows(at: u32, pitch: u32) -> Right { return subgroupMatrixLoad<Right, row_major>(&tile, at, pitch); }
fn right_columns(at: u32, pitch: u32) -> Right { return subgroupMatrixLoad<Right, col_major>(&tile, at, pitch); }

fn put(at: u32, pitch: u32, sum: Sum, lane: u32) { subgroupMatrixStore<row_major>(&scratch, at, sum, pitch); }
fn taken(at: u32, pitch: u32, lane: u32) -> Sum { return subgroupMatrixLoad<Sum, row_major>(&scratch, at, pitch); }
