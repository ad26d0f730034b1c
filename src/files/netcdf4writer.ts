// Writes NetCDF-4 files through the HDF5 library, so that NetCDF-C, xarray and CDO read them as their own.
import { ChunkAppender } from "./hdf5append.ts";
import { type Hdf5Library, hdf5Library } from "./hdf5library.ts";
import {
  bytesOf,
  chunkFor,
  createText,
  createVariable,
  type OpenFile,
  resize,
  stored,
  type WrittenArray,
  type WrittenAttributes,
  type WrittenDtype,
  writeAttributes,
  writeBox,
} from "./hdf5write.ts";
import { elements, indices } from "./hyperslab.ts";
import { OutputFile } from "./outputfile.ts";
import { defaultFill } from "./packing.ts";

export type { WrittenAttributes, WrittenDtype } from "./hdf5write.ts";

export interface WrittenVariable {
  name: string;
  /** Names from `dimensions`, slowest first. A variable with the name of its one dimension is its coordinate. */
  dimensions: readonly string[];
  dtype: WrittenDtype;
  attributes?: WrittenAttributes;
  /** Chunk lengths; by default one time step (all but the last two axes cut to 1). */
  chunk?: readonly number[];
  /** gzip level 0 to 9; by default 1 for fields of more than 1 kB, 0 for coordinates and small things. */
  deflate?: number;
  /** All values, to be written at once. */
  data?: ArrayLike<number>;
  /** float32 only, with `chunk`: its lengths, when all its values come by writePacked as packChunk makes them. */
  packed?: readonly number[];
}

/** A variable of texts, NetCDF-4's `string`: names along a dimension. xarray reads them as they are, CDO and ncview do not. */
export interface WrittenText {
  name: string;
  /** None of them unlimited. */
  dimensions: readonly string[];
  /** All of them, row-major. */
  text: readonly string[];
  attributes?: WrittenAttributes;
}

export interface NetcdfContents {
  /** Lengths; null is unlimited. Dimensions without a variable of their name are allowed. */
  dimensions: Record<string, number | null>;
  attributes?: WrittenAttributes;
  variables: readonly WrittenVariable[];
  texts?: readonly WrittenText[];
}

export interface NetcdfWriter {
  /** Where the data are until close(). */
  readonly temporaryPath: string;
  /**
   * Writes a box of a variable. Unlimited dimensions grow as needed. If `count` is left out, the data fill the
   * trailing dimensions from `start` to their ends first. What is never written is fill: `_FillValue`, else NaN
   * for floats and NetCDF's default for integers.
   */
  write(
    name: string,
    start: readonly number[],
    data: ArrayLike<number>,
    count?: readonly number[],
  ): Promise<void>;
  /**
   * Adds whole chunks of a variable declared as packed, each beginning at its element of `starts`. Every chunk comes
   * once; after the first of the file nothing is written by write() any more.
   */
  writePacked(
    name: string,
    starts: readonly (readonly number[])[],
    chunks: readonly Uint8Array[],
  ): Promise<void>;
  /** Completes the file and gives it its name; replaces a file that was there. */
  close(): Promise<void>;
  /** Removes what was written. Does nothing after close(). */
  abort(): Promise<void>;
}

/**
 * Starts a NetCDF-4 file at `path`.
 * @throws ClimaxError "data" if the folder is missing, cannot be written, or is full; nothing is left behind.
 */
export async function createNetcdf(path: string, contents: NetcdfContents): Promise<NetcdfWriter> {
  const writer = new Writer(path, await hdf5Library());
  writer.begin(contents);
  return writer;
}

/** What is known of a variable while the file is open. */
interface Track {
  name: string;
  dtype: WrittenDtype;
  dimensions: readonly string[];
  /** Present extent. */
  shape: number[];
  growing: boolean[];
  fill: number;
  /** The first `outer` axes count slices; the axes behind them never grow. */
  outer: number;
  /** Set for a packed variable. */
  packed: { chunk: readonly number[]; level: number } | undefined;
  /** Outer indices ("3,0") of the slices that hold values everywhere; undefined when all do from the start. */
  written: Set<string> | undefined;
}

/** Values and where they go, checked. */
interface Box {
  track: Track;
  start: readonly number[];
  count: readonly number[];
  values: WrittenArray;
}

class Writer implements NetcdfWriter {
  readonly temporaryPath: string;
  readonly #output: OutputFile;
  readonly #file: OpenFile;
  readonly #tracks: Track[] = [];
  #appender: ChunkAppender | undefined;
  #state: "new" | "open" | "closed" | "aborted" = "new";

  constructor(path: string, library: Hdf5Library) {
    this.#output = new OutputFile(path);
    this.temporaryPath = this.#output.temporaryPath;
    this.#file = { library, id: -1n };
  }

  begin(contents: NetcdfContents): void {
    this.#guard(() => {
      this.#output.claim();
      this.#state = "open";
      const { library } = this.#file;
      // Creation order is what NetCDF-C wants; the version cap keeps HDF5 1.10 able to read.
      this.#file.id = library.call((h5) =>
        h5.open(this.temporaryPath, h5.H5F_ACC_TRUNC, true, h5.H5F_LIBVER_V18, h5.H5F_LIBVER_V110),
      );
      const properties = { _NCProperties: "version=2,h5wasm=0.10.3,hdf5=2.0.0" };
      writeAttributes(this.#file, "/", { ...properties, ...contents.attributes });
      this.#define(contents);
    });
  }

  async write(
    name: string,
    start: readonly number[],
    data: ArrayLike<number>,
    count?: readonly number[],
  ): Promise<void> {
    if (this.#state !== "open" || this.#appender)
      throw new Error(
        `${this.#output.path}: write after ${this.#appender ? "packed chunks" : `the file was ${this.#state}`}`,
      );
    // A box that does not fit is the caller's mistake and spoils nothing.
    const box = this.#box(name, start, data, count);
    this.#guard(() => this.#put(box));
  }

  async writePacked(
    name: string,
    starts: readonly (readonly number[])[],
    chunks: readonly Uint8Array[],
  ): Promise<void> {
    if (this.#state !== "open")
      throw new Error(`${this.#output.path}: write after the file was ${this.#state}`);
    this.#guard(() => {
      this.#appender ??= this.#beginAppending();
      this.#appender.append(name, starts, chunks);
    });
  }

  async close(): Promise<void> {
    if (this.#state !== "open") return;
    this.#guard(() => {
      if (!this.#appender) this.#closeLibrary();
      this.#appender?.finish();
      this.#appender = undefined;
      const { library } = this.#file;
      // The library checks the size against the header when it opens a file: a full disk shows here at the latest.
      const again = library.call((h5) => h5.open(this.temporaryPath, h5.H5F_ACC_RDONLY, false, -1, -1));
      library.call((h5) => h5.close_file(again));
      this.#output.finish();
      this.#state = "closed";
    });
  }

  /** Fills in what was not written, and lets go of the file. */
  #closeLibrary(): void {
    for (const track of this.#tracks) {
      if (track.packed) continue;
      // All variables end where the longest along an unlimited dimension ends.
      this.#grow(
        track,
        track.dimensions.map((dimension) => this.#length(dimension)),
      );
      const slices = elements(track.shape.slice(0, track.outer));
      if (!track.written || track.written.size === slices) continue;
      for (const index of indices(track.shape.slice(0, track.outer))) {
        if (!track.written.has(String(index))) this.#fill(track, index);
      }
    }
    const { library, id } = this.#file;
    library.call((h5) => h5.flush(id));
    library.call((h5) => h5.close_file(id));
    this.#file.id = -1n;
  }

  /** The library's part is over; what comes now goes behind it. */
  #beginAppending(): ChunkAppender {
    const { library, id } = this.#file;
    const empty = this.#tracks.flatMap(({ name, shape, packed }) => {
      if (!packed) return [];
      const reference = library.call((h5) => h5.create_object_reference(id, `/${name}`) as ArrayLike<number>);
      const address = Number(Buffer.from(Uint8Array.from(reference)).readBigUInt64LE(0));
      return [{ name, address, shape, ...packed }];
    });
    this.#closeLibrary();
    return new ChunkAppender(this.temporaryPath, empty);
  }

  async abort(): Promise<void> {
    this.#abandon();
  }

  #define({ dimensions, variables: numbers, texts = [] }: NetcdfContents): void {
    const variables = [...numbers, ...texts];
    for (const [name, length] of Object.entries(dimensions)) {
      const coordinate = variables.find((variable) => variable.name === name);
      if (coordinate && (coordinate.dimensions.length !== 1 || coordinate.dimensions[0] !== name)) {
        throw new RangeError(`variable "${name}" has the name of a dimension but is not its coordinate`);
      }
      if (coordinate) this.#create(coordinate, dimensions);
      else this.#create({ name, dimensions: [name], dtype: "float32" }, dimensions);
      // NetCDF-C knows a dimension without a variable by this very text.
      const bare = `This is a netCDF dimension but not a netCDF variable.${String(length ?? 0).padStart(10)}`;
      const { library, id } = this.#file;
      library.call((h5) => h5.set_scale(id, `/${name}`, coordinate ? name : bare));
    }
    for (const variable of variables) {
      if (variable.name in dimensions) continue;
      this.#create(variable, dimensions);
      const { library, id } = this.#file;
      for (const [axis, dimension] of variable.dimensions.entries()) {
        library.call((h5) => h5.attach_scale(id, `/${variable.name}`, `/${dimension}`, axis));
      }
    }
  }

  #create(variable: WrittenVariable | WrittenText, dimensions: NetcdfContents["dimensions"]): void {
    for (const dimension of variable.dimensions) {
      if (!(dimension in dimensions))
        throw new RangeError(`"${variable.name}": no dimension "${dimension}" is defined`);
    }
    if ("text" in variable) {
      const lengths = variable.dimensions.map((dimension) => dimensions[dimension] ?? 0);
      createText(this.#file, variable.name, lengths, variable.text);
      writeAttributes(this.#file, `/${variable.name}`, variable.attributes ?? {});
      return;
    }
    const { name, dtype, attributes = {}, data } = variable;
    const growing = variable.dimensions.map((dimension) => dimensions[dimension] === null);
    const shape = variable.dimensions.map((dimension) => dimensions[dimension] ?? 0);
    const rank = shape.length;
    const bytes = elements(shape) * bytesOf(dtype);
    const field = rank > 1 && (growing.includes(true) || bytes > 1024);
    const deflate = variable.deflate ?? (field ? 1 : 0);
    const empty = shape.some((n, axis) => n === 0 && !growing[axis]);
    const chunked =
      !empty && rank > 0 && (growing.includes(true) || variable.chunk || deflate > 0 || bytes > 2 ** 24);
    const chunk = chunked ? (variable.chunk ?? chunkFor(shape, growing, bytesOf(dtype))) : undefined;
    const given = attributes._FillValue;
    const fill =
      typeof given === "number" ? given : dtype.startsWith("int") ? (defaultFill[dtype] ?? 0) : Number.NaN;
    const packed = variable.packed && chunk ? { chunk, level: deflate } : undefined;
    if (packed) shape.splice(0, rank, ...variable.packed!);
    createVariable(this.#file, name, { dtype, shape, growing, chunk, deflate, packed: !!packed }, fill);
    writeAttributes(this.#file, `/${name}`, attributes, dtype);
    const outer = rank === 0 ? 0 : Math.max(1, rank - 2, growing.lastIndexOf(true) + 1);
    const written = chunk ? new Set<string>() : undefined;
    this.#tracks.push({
      name,
      dtype,
      dimensions: variable.dimensions,
      shape,
      growing,
      fill,
      outer,
      packed,
      written,
    });
    if (data) {
      this.#put(
        this.#box(
          name,
          shape.map(() => 0),
          data,
        ),
      );
    }
  }

  #box(name: string, start: readonly number[], data: ArrayLike<number>, given?: readonly number[]): Box {
    const track = this.#tracks.find((candidate) => candidate.name === name);
    if (!track) throw new RangeError(`${this.#output.path} has no variable "${name}" to write`);
    const { shape, growing } = track;
    const count = given ?? boxFor(track, start, data.length);
    const fits = shape.every((n, axis) => {
      const [a, c] = [start[axis]!, count[axis]!];
      return a >= 0 && c >= 0 && Number.isInteger(a + c) && (growing[axis] || a + c <= n);
    });
    if (!fits || elements(count) !== data.length || count.length !== shape.length) {
      throw new RangeError(
        `${data.length} values do not fit "${name}" [${shape}] at [${start}] as a box of [${count}]`,
      );
    }
    return { track, start, count, values: stored(track.dtype, data, track.fill) };
  }

  #put({ track, start, count, values }: Box): void {
    this.#grow(
      track,
      track.shape.map((n, axis) => Math.max(n, start[axis]! + count[axis]!)),
    );
    const { written, outer, shape } = track;
    if (written) {
      const whole = shape.every((n, axis) => axis < outer || (start[axis] === 0 && count[axis] === n));
      for (const index of indices(count.slice(0, outer))) {
        const slice = index.map((i, axis) => start[axis]! + i);
        if (!whole && !written.has(String(slice))) this.#fill(track, slice);
        written.add(String(slice));
      }
    }
    writeBox(this.#file, track.name, start, count, values);
  }

  /** Present length of a dimension: that of its longest variable. */
  #length(dimension: string): number {
    return Math.max(
      ...this.#tracks.flatMap((track) =>
        track.dimensions.flatMap((name, axis) => (name === dimension ? [track.shape[axis]!] : [])),
      ),
    );
  }

  #grow(track: Track, shape: number[]): void {
    if (shape.every((n, axis) => n === track.shape[axis])) return;
    resize(this.#file, track.name, shape);
    track.shape = shape;
  }

  #fill(track: Track, slice: readonly number[]): void {
    const count = track.shape.map((n, axis) => (axis < track.outer ? 1 : n));
    const start = count.map((_, axis) => slice[axis] ?? 0);
    const values = stored(track.dtype, new Float64Array(elements(count)).fill(track.fill), track.fill);
    writeBox(this.#file, track.name, start, count, values);
  }

  #abandon(): void {
    if (this.#state !== "open") return;
    this.#state = "aborted";
    const { library, id } = this.#file;
    this.#appender?.close();
    try {
      if (id > 0n) library.call((h5) => h5.close_file(id));
    } catch {
      // The library would keep what it cannot write, and the descriptor: give the instance up.
      library.discard();
    }
    this.#output.remove();
  }

  /** Runs a step. If it fails, the temporary file goes and the user is told why. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#abandon();
      throw this.#output.explain(error);
    }
  }
}

/** The box that `length` values fill from `start` on, last axes first. */
function boxFor(track: Track, start: readonly number[], length: number): number[] {
  const box = track.shape.map(() => 1);
  let rest = length;
  for (let axis = box.length - 1; axis >= 0; axis--) {
    const room = track.growing[axis] ? rest : track.shape[axis]! - start[axis]!;
    box[axis] = Math.min(rest, room);
    rest /= Math.max(1, box[axis]!);
  }
  return box;
}
