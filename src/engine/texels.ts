// Copies of matrices in textures, which lavapipe's kernels read faster than buffers.
//
// A vec4 of a buffer takes its 8 lanes 32 loads, each behind a branch that checks its bounds: 1.5 KB of code wherever a
// kernel reads. Four floats of a texture are a texel, which it reads by a function of 160 instructions without a branch,
// 16 bytes of a lane at a time. What a kernel reads together lies together, and not in rows that are a power of two
// apart, which push each other out of a cache:
//
//   panels   of 32 columns: row after row of 8 texels, 512 of them in a layer.
//            Layers: all panels of rows 0 to 511, then those of rows 512 to 1023, ...
//   tiles    of 32 rows and columns: row after row of 8 texels, 16 tiles of the same rows in a layer, from left to right.
//            Layers: all rows of tiles of columns 0 to 511, then those of columns 512 to 1023, ...
//
// A product reads A [M, K] in tiles and B [K, N] in panels, from front to back; what is stored as a transpose is turned on
// its way to the texture.
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
  /** Panels side by side, or rows of tiles: layers for every 512 rows or columns. */
  readonly breadth: number;
}

/** As kernels/panels.wgsl has them: texels in a row, rows in a layer, and rows and columns of a tile. */
const WIDTH = 8;
const HEIGHT = 512;
const SIDE = 4 * WIDTH;
/** Bytes of which the distance of rows that are copied to a texture must be a multiple (WebGPU). */
const ROW_BYTES = 256;

/** Each has a texture of its own, as large as the largest so far. */
type Layout = "panels" | "tiles";

const textures = new WeakMap<Gpu, Map<Layout, TextureStorage>>();

const turnToPanels = kernel("texels.wgsl", "turn_tiles", { TILES: 0 });
const turnToTiles = kernel("texels.wgsl", "turn_tiles", { TILES: 1 });

/**
 * Whether there can be panels of matrices side by side, turned or not: f32, in whole panels where they are not turned,
 * and no more than there is room for.
 */
export function fitsPanels(...matrices: readonly StoredMatrix[]): boolean {
  return matrices.every(canBeCopied) && fits(matrices[0]!, extentOfPanels(matrices));
}

/** The same of tiles. */
export function fitsTiles(matrix: StoredMatrix): boolean {
  return canBeCopied(matrix) && fits(matrix, extentOfTiles(matrix));
}

function fits({ tensor }: StoredMatrix, extent: Extent): boolean {
  return layersOf(extent) <= limitsOf(tensor.gpu).maxTextureArrayLayers;
}

function canBeCopied({ tensor, base, row, rows, columns, turned }: StoredMatrix): boolean {
  const quads = [rows, columns, row, base, tensor.offset / 4].every((n) => n % 4 === 0);
  const copied = (4 * row) % ROW_BYTES === 0 && (tensor.offset + 4 * base) % 16 === 0 && columns % SIDE === 0;
  return tensor.type !== "f16" && (turned ? quads : copied);
}

/** Rows and columns of what is copied. */
function shapeOf({ rows, columns, turned }: StoredMatrix): readonly [number, number] {
  return turned ? [columns, rows] : [rows, columns];
}

/** What goes down the layers, and breadth. */
type Extent = readonly [number, number];

function extentOfPanels(matrices: readonly StoredMatrix[]): Extent {
  return [shapeOf(matrices[0]!)[0], panelsOf(matrices)];
}

function panelsOf(matrices: readonly StoredMatrix[]): number {
  return matrices.reduce((sum, matrix) => sum + Math.ceil(shapeOf(matrix)[1] / SIDE), 0);
}

function extentOfTiles(matrix: StoredMatrix): Extent {
  const [height, width] = shapeOf(matrix);
  return [width, Math.ceil(height / SIDE)];
}

function layersOf([down, breadth]: Extent): number {
  return Math.ceil(down / HEIGHT) * breadth;
}

/**
 * Copies a matrix or its transpose to panels, as it is at this point of the recorded commands; good until the next copy
 * to panels.
 *
 * @param beside  further matrices of as many rows; where there are any, none is turned
 */
export function asPanels(matrix: StoredMatrix, ...beside: readonly StoredMatrix[]): Texels {
  const matrices = [matrix, ...beside];
  const texels = room("panels", matrix, extentOfPanels(matrices));
  if (matrix.turned) turn(turnToPanels, matrix, texels);
  else {
    let first = 0;
    for (const one of matrices) {
      copyPanels(one, texels, first);
      first += panelsOf([one]);
    }
  }
  return texels;
}

/** The same to tiles. */
export function asTiles(matrix: StoredMatrix): Texels {
  const texels = room("tiles", matrix, extentOfTiles(matrix));
  if (matrix.turned) turn(turnToTiles, matrix, texels);
  else copyTiles(matrix, texels);
  return texels;
}

function turn(how: typeof turnToPanels, { tensor, base, row, rows, columns }: StoredMatrix, texels: Texels) {
  run(how, { x: tensor, texels }, { rows, columns, row, base }, threads((rows * columns) / 16));
}

/** @param first  the first of a matrix's panels among all that are side by side */
function copyPanels({ tensor, base, row, rows, columns }: StoredMatrix, to: Texels, first: number) {
  const { gpu, storage, offset } = tensor;
  const { encoder } = gpu.commands;
  for (let above = 0; above < rows; above += HEIGHT) {
    for (let panel = 0; panel < columns / SIDE; panel++) {
      const start = offset + 4 * (base + above * row + panel * SIDE);
      encoder.copyBufferToTexture(
        { buffer: storage.buffer, offset: start, bytesPerRow: 4 * row },
        { texture: to.storage.texture, origin: [0, 0, (above / HEIGHT) * to.breadth + first + panel] },
        [WIDTH, Math.min(HEIGHT, rows - above)],
      );
    }
  }
}

function copyTiles({ tensor, base, row, rows, columns }: StoredMatrix, to: Texels) {
  const { gpu, storage, offset } = tensor;
  const { encoder } = gpu.commands;
  const whole = Math.floor(rows / SIDE);
  /** So many rows of a column of tiles, as many of each row of tiles. */
  const copy = (left: number, tile: number, height: number, tiles: number) => {
    const start = offset + 4 * (base + tile * SIDE * row + left);
    const layer = Math.floor(left / HEIGHT) * to.breadth + tile;
    encoder.copyBufferToTexture(
      { buffer: storage.buffer, offset: start, bytesPerRow: 4 * row, rowsPerImage: SIDE },
      { texture: to.storage.texture, origin: [0, left % HEIGHT, layer] },
      [WIDTH, height, tiles],
    );
  };
  for (let left = 0; left < columns; left += SIDE) {
    if (whole > 0) copy(left, 0, SIDE, whole);
    if (rows % SIDE > 0) copy(left, whole, rows % SIDE, 1);
  }
}

function room(layout: Layout, matrix: StoredMatrix, extent: Extent): Texels {
  const layers = layersOf(extent);
  const { gpu } = matrix.tensor;
  const known = textures.get(gpu) ?? new Map<Layout, TextureStorage>();
  textures.set(gpu, known);
  let storage = known.get(layout);
  if (!storage || storage.layers < layers) {
    if (storage) {
      gpu.commands.flush(); // what is recorded reads it
      gpu.pool.dropTexture(storage);
    }
    storage = gpu.pool.keepTexture([WIDTH, HEIGHT, layers]);
    known.set(layout, storage);
  }
  return { gpu, shape: shapeOf(matrix), storage, offset: 0, breadth: extent[1] };
}
