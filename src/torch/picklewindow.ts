// A pickle somewhere in a file, whose length nothing says: read in growing windows, so that the gigabytes of weights
// that may follow it are left alone.
import { ClimaxError } from "../errors.ts";
import type { WeightFile } from "../model/weightfile.ts";

/** The longest pickle that is read, bytes. It names tensors without holding any: ClimaX's has some 100 kB, with optimiser states. */
export const longestPickle = 64 * 2 ** 20;
/** Bytes of the first window, and how each next one is larger. */
const firstWindow = 4096;
const growth = 8;

/**
 * Reads the pickle that begins at byte `start` of the file.
 *
 * @param limit  where it ends at the latest
 * @param read   unpickles bytes that may be cut off behind, from nothing each time; `end` is the first byte after STOP
 * @returns      what `read` made of it, `end` counted from the file's first byte
 * @throws       ClimaxError as `read` does of the longest window
 */
export async function readPickle<T extends { readonly end: number }>(
  file: WeightFile,
  start: number,
  limit: number,
  read: (bytes: Uint8Array) => T,
): Promise<T> {
  const longest = Math.min(limit - start, longestPickle);
  let before = "";
  for (let length = Math.min(firstWindow, longest); ; length = Math.min(length * growth, longest)) {
    const bytes = await file.read(start, start + length);
    try {
      const result = read(bytes);
      return { ...result, end: start + result.end };
    } catch (error) {
      // What a longer window does not change is not due to the window.
      if (!(error instanceof ClimaxError) || error.message === before) throw error;
      if (length === longest) throw length === longestPickle ? atLimit(error) : error;
      before = error.message;
    }
  }
}

function atLimit({ message, hint }: ClimaxError): ClimaxError {
  const limit = `no more than ${longestPickle} bytes of a pickle are read, which no checkpoint needs`;
  return new ClimaxError("checkpoint", `${message} (${limit})`, hint);
}
