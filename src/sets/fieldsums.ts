// Sums of many states, cell by cell, from which their mean is made: exact enough to go on from, and to extend.
//
// What a sum in f64 is to the last bit depends on the order of addition, so there is one order, whoever adds: within a
// calendar year state by state, from zero; then the years, in their order. A year can thus be added up by any process,
// and a set that grows goes on within its last year.
import { openNpy, readNpy, streamNpy } from "../files/npy.ts";

export interface FieldSums {
  /** [V, H, W] */
  shape: readonly number[];
  sums: Float64Array;
  /** Of the values that entered each sum. */
  counts: Uint32Array;
}

/** Where the sums of a year lie: one file float64 [2, V, H, W], or, as sets once had it, sums and counts in two. */
export type SumsPath = string | readonly [sums: string, counts: string];

export function noSums(shape: readonly number[]): FieldSums {
  const length = shape.reduce((product, n) => product * n, 1);
  return { shape, sums: new Float64Array(length), counts: new Uint32Array(length) };
}

/** Adds a state [V, H, W]; NaN enters nothing. */
export function addState({ sums, counts }: FieldSums, state: Float32Array): void {
  for (let i = 0; i < sums.length; i++) {
    const value = state[i]!;
    if (Number.isNaN(value)) continue;
    sums[i]! += value;
    counts[i]!++;
  }
}

/** @returns SHA-256 */
export function writeSums(path: string, { shape, sums, counts }: FieldSums): Promise<string> {
  const cells = shape[1]! * shape[2]!;
  return streamNpy(path, [2, ...shape], "float64", async (append) => {
    await append(sums);
    for (let i = 0; i < counts.length; i += cells)
      await append(Float64Array.from(counts.subarray(i, i + cells)));
  });
}

export async function readSums(path: SumsPath): Promise<FieldSums> {
  if (typeof path === "string") {
    const { shape, data } = await readNpy(path);
    const half = data.length / 2;
    const sums = data.subarray(0, half) as Float64Array;
    return { shape: shape.slice(1), sums, counts: Uint32Array.from(data.subarray(half)) };
  }
  const [sums, counts] = [await readNpy(path[0]), await readNpy(path[1])];
  return { shape: sums.shape, sums: sums.data as Float64Array, counts: counts.data as Uint32Array };
}

/**
 * The mean over years, [V, H, W]; NaN where no state has a value. Two fields of each year are in memory at a time.
 *
 * @param years  in their order
 * @param shape  [V, H, W]
 * @throws       ClimaxError "data" for a file that is not there, or is none of numbers
 */
export async function meanState(years: readonly SumsPath[], shape: readonly number[]): Promise<Float32Array> {
  const cells = shape[1]! * shape[2]!;
  const mean = new Float32Array(shape[0]! * cells);
  const opened: { close(): Promise<void> }[] = [];
  const open = async (path: string) => {
    const file = await openNpy(path);
    opened.push(file);
    return file;
  };
  try {
    const files = [];
    for (const path of years) {
      const halves = typeof path !== "string";
      const sums = await open(halves ? path[0] : path);
      files.push(
        halves ? { sums, counts: await open(path[1]), from: 0 } : { sums, counts: sums, from: mean.length },
      );
    }
    for (let start = 0; start < mean.length; start += cells) {
      const sum = new Float64Array(cells);
      const count = new Float64Array(cells);
      for (const { sums, counts, from } of files) {
        const [more, of] = [await sums.read(start, cells), await counts.read(from + start, cells)];
        for (let i = 0; i < cells; i++) {
          sum[i]! += more[i]!;
          count[i]! += of[i]!;
        }
      }
      for (let i = 0; i < cells; i++) mean[start + i] = sum[i]! / count[i]!;
    }
  } finally {
    for (const file of opened) await file.close();
  }
  return mean;
}
