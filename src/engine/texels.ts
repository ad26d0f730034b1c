// Copies of matrices in textures, which lavapipe's kernels read faster than buffers.
//
// A vec4 of a buffer takes its 8 lanes 32 loads, each behind a branch that checks its bounds: 1.5 KB of code wherever a
// kernel reads. Four floats of a texture are a texel, which it reads by a function of 160 instructions without a branch,
// 16 bytes of a lane at a time.
//
// A matrix is stored in panels of 32 columns, one after the other: what a block of a product reads in one step, or in
// the next, lies together, and not in rows that are a power of two apart, which push each other out of a cache. The
// panels' rows fill the layers of the texture:
//
//   panel 0   row 0: 8 texels    \
//             row 1: 16 texels    |  layer 0: 512 rows
//             ...                 |
//             last row           /
//   panel 1   row 0 ...
//
// A product takes A as [K, M] and B as [K, N], and copies of the transposes of what is stored otherwise: so it reads the
// panels of both from front to back, and the next line is in the cache when a lane asks for it.
import type { Gpu } from "./device.ts";
import { kernel, run, threads } from "./kernel.ts";
import { limitsOf } from "./limits.ts";
import type { TextureStorage } from "./pool.ts";
import type { Shape, Tensor } from "./tensor.ts";

/** A matrix as it is stored in a tensor: all lengths in elements. */
export interface StoredMatrix {
  readonly tensor: Tensor;
  /** Where its first row begins, and from one row to the next. */
  readonly base: number;
  readonly row: number;
  readonly rows: number;
  readonly columns: number;
  /** Whether its copy is of its transpose. */
  readonly turned: boolean;
}

/** The copy of a matrix, to be bound as a `texture_2d_array<f32>`. */
export interface Texels {
  readonly gpu: Gpu;
  readonly shape: Shape;
  readonly storage: TextureStorage;
  readonly offset: 0;
  readonly type?: undefined;
}

/** Texels in a row of a panel, and rows of panels in a layer: as kernels/panels.wgsl has them. */
const WIDTH = 8;
const HEIGHT = 512;
/** Columns of a panel: as many as a block of C has. */
const COLUMNS = 4 * WIDTH;
/** Bytes of which the distance of rows that are copied to a texture must be a multiple (WebGPU). */
const ROW_BYTES = 256;

/** Which operand of a product: each has a texture of its own, as large as the largest so far. */
export type TexelSlot = "a" | "b";

const slots = new WeakMap<Gpu, Map<TexelSlot, TextureStorage>>();

const turnTiles = kernel("texels.wgsl", "turn_tiles");

/**
 * Whether there can be a copy of matrices side by side, turned or not: f32, in whole panels where they are not turned,
 * and no more than there is room for.
 */
export function fitsTexels(...matrices: readonly StoredMatrix[]): boolean {
  const { maxTextureArrayLayers } = limitsOf(matrices[0]!.tensor.gpu);
  return matrices.every(canBeCopied) && layersOf(matrices) <= maxTextureArrayLayers;
}

function canBeCopied({ tensor, base, row, rows, columns, turned }: StoredMatrix): boolean {
  const quads = [rows, columns, row, base, tensor.offset / 4].every((n) => n % 4 === 0);
  const copied =
    (4 * row) % ROW_BYTES === 0 && (tensor.offset + 4 * base) % 16 === 0 && columns % COLUMNS === 0;
  return tensor.type !== "f16" && (turned ? quads : copied);
}

function layersOf(matrices: readonly StoredMatrix[]): number {
  return Math.ceil(matrices.reduce((sum, matrix) => sum + panelRows(matrix), 0) / HEIGHT);
}

/** Rows of all of a matrix's panels. */
function panelRows({ rows, columns, turned }: StoredMatrix): number {
  return turned ? Math.ceil(rows / COLUMNS) * columns : Math.ceil(columns / COLUMNS) * rows;
}

/**
 * Copies a matrix or its transpose, as it is at this point of the recorded commands; good until the next copy to the
 * same slot.
 *
 * @param beside  further matrices of as many rows, not turned, whose panels follow
 */
export function asTexels(slot: TexelSlot, matrix: StoredMatrix, ...beside: readonly StoredMatrix[]): Texels {
  const { rows, columns, turned } = matrix;
  const { gpu } = matrix.tensor;
  const storage = room(gpu, slot, layersOf([matrix, ...beside]));
  const texels: Texels = { gpu, shape: turned ? [columns, rows] : [rows, columns], storage, offset: 0 };
  if (turned) turnPanels(matrix, texels);
  else copyPanels(matrix, texels, 0);
  let next = panelRows(matrix);
  for (const other of beside) {
    copyPanels(other, texels, next);
    next += panelRows(other);
  }
  return texels;
}

function turnPanels({ tensor, base, row, rows, columns }: StoredMatrix, texels: Texels): void {
  run(turnTiles, { x: tensor, texels }, { rows, columns, row, base }, threads((rows * columns) / 16));
}

/** @param begin  the texture's row where the first panel begins */
function copyPanels(
  { tensor, base, row, rows, columns }: StoredMatrix,
  { storage: { texture } }: Texels,
  begin: number,
): void {
  const { gpu, storage, offset } = tensor;
  const { encoder } = gpu.commands;
  for (let panel = 0; panel < columns / COLUMNS; panel++) {
    // As many rows as the layer has room for, then whole layers, then the rest.
    for (let first = 0, count = 0; first < rows; first += count) {
      const at = begin + panel * rows + first;
      const y = at % HEIGHT;
      const left = rows - first;
      const layers = y === 0 && left >= HEIGHT ? Math.floor(left / HEIGHT) : 1;
      const height = Math.min(HEIGHT - y, left);
      count = layers * height;
      const start = offset + 4 * (base + first * row + panel * COLUMNS);
      encoder.copyBufferToTexture(
        { buffer: storage.buffer, offset: start, bytesPerRow: 4 * row, rowsPerImage: height },
        { texture, origin: [0, y, Math.floor(at / HEIGHT)] },
        [WIDTH, height, layers],
      );
    }
  }
}

function room(gpu: Gpu, slot: TexelSlot, layers: number): TextureStorage {
  const known = slots.get(gpu) ?? new Map<TexelSlot, TextureStorage>();
  slots.set(gpu, known);
  const before = known.get(slot);
  if (before && before.layers >= layers) return before;
  if (before) {
    gpu.commands.flush(); // what is recorded reads it
    gpu.pool.dropTexture(before);
  }
  const storage = gpu.pool.keepTexture([WIDTH, HEIGHT, layers]);
  known.set(slot, storage);
  return storage;
}
