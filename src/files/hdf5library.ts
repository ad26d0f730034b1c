// One instance of the HDF5 C library (h5wasm's WebAssembly build), shared by the reader and the writer.
//
// h5wasm's own classes return garbage when a read fails, unless its throwing error handler is on; that handler
// throws through the C library, which leaves open handles and a broken library behind. So we call the layer below:
// HDF5 prints its diagnostics and returns a status, we catch the print and raise after the call has come back,
// with every handle closed. Only a trap (memory out of bounds, abort) kills the instance; then the next file
// gets a new one.
import { closeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Module } from "h5wasm/node";
import { ClimaxError } from "../errors.ts";

/** The functions of h5wasm's module, by its own types. */
export type H5Functions = Omit<typeof Module, "FS">;

/** A failure inside the HDF5 library; callers turn it into a ClimaxError that names the file. */
export class Hdf5Failure extends Error {}

export interface Hdf5Library {
  /** Runs one call; throws Hdf5Failure with HDF5's diagnostics if it printed any or returned a negative status. */
  call<T>(run: (h5: H5Functions) => T): T;
  /** Allocates `bytes` in the library's memory for the time of `run`. */
  withMemory<T>(bytes: number, run: (pointer: number) => T): T;
  /** Makes filters beyond those built in (blosc, zstd, lz4, bzip2...) available. */
  installPlugins(): void;
  /** False after a trap: every file open in this instance is lost. */
  readonly alive: boolean;
  /** Gives the instance up and closes the files it holds. */
  discard(): void;
}

const restarted = "the HDF5 library had to be restarted after another file damaged it";

/** HDF5 makes collections of 4 kB, or of the size of one long object, bytes. */
const largestHeap = 2 ** 28;

let current: Promise<Hdf5Library> | undefined;

/** The living instance of the library; starting one takes about 0.1 s. */
export async function hdf5Library(): Promise<Hdf5Library> {
  for (;;) {
    const starting = (current ??= start());
    const library = await starting;
    if (library.alive) return library;
    if (current === starting) current = undefined;
  }
}

interface Stream {
  nfd?: number;
  position: number;
}

/** The file functions of Emscripten that we need to see; `buffer` is the library's whole memory. */
interface FileSystem {
  streams: (Stream | null)[];
  read(
    stream: Stream,
    buffer: Int8Array | Uint8Array,
    offset: number,
    length: number,
    position?: number,
  ): number;
}

async function start(): Promise<Hdf5Library> {
  // The package exports only its high-level face; the factory lies beside it.
  const factory = new URL("./hdf5_util.js", import.meta.resolve("h5wasm/node")).href;
  const { default: create } = (await import(factory)) as {
    default(options: object): Promise<H5Functions & { FS: FileSystem }>;
  };
  let printed = "";
  const h5 = await create({
    noInitialRun: true,
    print: () => {},
    printErr: (text: string) => (printed += text),
  });
  const decoder = new TextDecoder();
  const capture = (_: Stream, buffer: Int8Array, offset: number, length: number): number => {
    if (printed.length < 100_000) printed += decoder.decode(buffer.subarray(offset, offset + length));
    return length;
  };
  const read = h5.FS.read;
  h5.FS.read = (stream, buffer, offset, length, position) => {
    const at = position ?? stream.position;
    const got = read(stream, buffer, offset, length, position);
    const block = Buffer.from(buffer.buffer, buffer.byteOffset + offset, got);
    // Spoiling the signature makes HDF5 refuse the block.
    if (endlessHeap(block, (whole) => read(stream, whole, 0, whole.length, at))) block[0] = 0;
    return got;
  };
  for (const descriptor of [1, 2])
    Object.assign(h5.FS.streams[descriptor]!, { node: { mode: 0 }, stream_ops: { write: capture } });

  let alive = true;
  let plugins = false;
  let leaks = 0;
  const discard = (): void => {
    alive = false;
    for (const [descriptor, stream] of h5.FS.streams.entries()) {
      if (descriptor <= 2 || stream?.nfd === undefined) continue;
      try {
        closeSync(stream.nfd);
      } catch {
        // It was closed already.
      }
      h5.FS.streams[descriptor] = null;
    }
  };
  const call = <T>(run: (h5: H5Functions) => T): T => {
    if (!alive) throw new Hdf5Failure(restarted);
    printed = "";
    let result: T;
    try {
      // Sets HDF5's printing handler. Some damaged links make HDF5 leave it switched off.
      h5.deactivate_throwing_error_handler();
      result = run(h5);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // h5wasm's glue raises this one after HDF5 has returned. It leaks a little of the C stack, nothing else.
      // Any other exception crossed HDF5 itself, whose stack and handles are no longer sound.
      const harmless = reason === "error - name not defined!" && ++leaks < 1000;
      if (!harmless) discard();
      throw new Hdf5Failure(summary(printed) || reason, { cause: error });
    }
    const negative = (typeof result === "number" || typeof result === "bigint") && result < 0;
    if (!negative && !printed.includes("HDF5-DIAG")) return result;
    // A damaged length made it claim most of its memory, which never shrinks.
    if (h5.HEAPU8.length > h5.MAXIMUM_MEMORY / 2) discard();
    throw new Hdf5Failure(summary(printed) || "the HDF5 library gave no reason");
  };
  return {
    call,
    withMemory(bytes, run) {
      const pointer = bytes <= h5.MAXIMUM_MEMORY ? h5._malloc(Math.max(bytes, 8)) : 0;
      if (pointer === 0) {
        throw new Hdf5Failure(
          `${bytes} bytes do not fit into the HDF5 library's memory of ${h5.MAXIMUM_MEMORY}`,
        );
      }
      try {
        return run(pointer);
      } finally {
        if (alive) h5._free(pointer);
      }
    },
    installPlugins() {
      if (plugins) return;
      plugins = true;
      const folder = fileURLToPath(new URL("./plugins", import.meta.resolve("h5wasm-plugins")));
      call((functions) => functions.insert_plugin_search_path(folder, 0));
    },
    get alive() {
      return alive;
    },
    discard,
  };
}

/**
 * Whether a block just read begins a global heap collection (HDF5 File Format Specification, III.E) whose objects
 * do not fit into it one after another: HDF5 2.0 does not check, and may walk over them in circles for ever.
 * HDF5 reads 4096 bytes and then the rest; `again` reads the whole. Sizes are taken to be 8 bytes long, as in
 * practice they are.
 */
function endlessHeap(block: Buffer, again: (whole: Uint8Array) => number): boolean {
  if (block.length < 16 || block.toString("latin1", 0, 4) !== "GCOL") return false;
  const size = Number(block.readBigUInt64LE(8));
  if (size > largestHeap) return true;
  const whole = Buffer.alloc(size);
  again(whole);
  for (let at = 16; at + 16 <= size; ) {
    const length = Number(whole.readBigUInt64LE(at + 8));
    // Object 0 is the free space; its length includes its header.
    const step = whole.readUInt16LE(at) === 0 ? length : 16 + Math.ceil(length / 8) * 8;
    if (step < 16 || at + step > size) return true;
    at += step;
  }
  return false;
}

/** The innermost and the outermost reason of HDF5's printed error stack: what happened, and in doing what. */
function summary(printed: string): string {
  const reasons = [...printed.matchAll(/#\d+: [^\n]*? in \w+\(\): ([\s\S]*?)\n\s+major:/g)].map((match) =>
    match[1]!.replace(/\s+/g, " ").trim(),
  );
  const [outer, inner] = [reasons[0], reasons.at(-1)];
  if (outer === undefined) return printed.trim().split("\n")[0] ?? "";
  return inner === outer ? outer : `${inner} (${outer})`;
}

/**
 * Turns a failure of the library into one the user can mend; anything else passes through.
 * `size`: bytes of the file; `doing`: "reading variable ...".
 */
export function blame(path: string, size: number, doing: string, error: unknown): never {
  if (!(error instanceof Hdf5Failure)) throw error;
  const options = { cause: error };
  if (error.message === restarted) {
    throw new ClimaxError("data", `${path}: ${doing} failed: ${restarted}`, "mend that file first", options);
  }
  const eof = /eof = (\d+), sblock->base_addr = (\d+), stored_eof = (\d+)/.exec(error.message);
  if (eof) {
    const needed = Number(eof[2]) + Number(eof[3]);
    throw new ClimaxError(
      "data",
      `${path} is truncated: its header promises ${needed} bytes, the file has ${size}; ${needed - size} bytes are missing`,
      "the copy or the run that wrote it was cut off: fetch or write it again",
      options,
    );
  }
  if (
    /filter/i.test(error.message) &&
    /not (registered|available|found)|unable to load/i.test(error.message)
  ) {
    throw new ClimaxError(
      "data",
      `${path}: ${doing} needs a compression filter that is not available: ${error.message}`,
      `rewrite it with a common one: nccopy -F '*,none' ${path} plain.nc`,
      options,
    );
  }
  throw new ClimaxError(
    "data",
    `${path} (${size} bytes) is corrupt: ${doing} failed in the HDF5 library: ${error.message}`,
    "fetch or write it again; ncdump or h5dump shows how far it can be read",
    options,
  );
}
