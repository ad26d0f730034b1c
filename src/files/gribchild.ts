// The process in which ecCodes runs: messages in, keys and arrays out. It may die of a damaged message without
// taking the program along; its parent is gribprocess.ts.
import { createRequire } from "node:module";
import { type Eccodes, EccodesMissing, type GribKeys, loadEccodes } from "./eccodes.ts";

export type GribQuestion =
  | { ask: "keys"; messages: Uint8Array[] }
  | { ask: "coordinates"; message: Uint8Array; points: number }
  | { ask: "values"; message: Uint8Array; points: number; double: boolean };

export type GribAnswer =
  | { keys: (GribKeys | { failure: string })[] }
  | { latitude: Float64Array; longitude: Float64Array }
  | { values: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> }
  /** The library is not there. */
  | { missing: string }
  /** It refuses the message. */
  | { failure: string; version: string };

/** Memory for data of this process, bytes: several times what the largest field takes. */
const mostMemory = 4n * 2n ** 30n;

let library: Eccodes | undefined;

function answer(question: GribQuestion): GribAnswer {
  try {
    if (!library) {
      library = loadEccodes();
      limitMemory();
    }
    const eccodes = library;
    if (question.ask === "keys")
      return { keys: question.messages.map((message) => keysOf(eccodes, message)) };
    if (question.ask === "coordinates") return eccodes.coordinates(question.message, question.points);
    const values = eccodes.values(question.message, question.points);
    return { values: question.double ? values : new Float32Array(values) };
  } catch (error) {
    if (error instanceof EccodesMissing) return { missing: error.message };
    return {
      failure: error instanceof Error ? error.message : String(error),
      version: library?.version ?? "",
    };
  }
}

function keysOf(eccodes: Eccodes, message: Uint8Array): GribKeys | { failure: string } {
  try {
    return eccodes.keys(message);
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

/** On Linux, so that a length that slipped through our checks fails to allocate instead of filling the machine. */
function limitMemory(): void {
  if (process.platform !== "linux") return;
  const koffi = createRequire(import.meta.url)("koffi") as {
    load(path: null): {
      func(name: string, result: string, parameters: string[]): (...args: unknown[]) => unknown;
    };
  };
  const RLIMIT_DATA = 2;
  koffi.load(null).func("setrlimit", "int", ["int", "void *"])(
    RLIMIT_DATA,
    BigUint64Array.of(mostMemory, mostMemory),
  );
}

process.on("message", (question: GribQuestion) => {
  process.send!(answer(question));
});
// Ctrl-C reaches every process of a terminal; the parent decides when this one ends.
process.on("SIGINT", () => {});
