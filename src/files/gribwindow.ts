// Bytes of a file by position, through a small window: the headers of GRIB messages lie close together, the data
// between them are jumped over.
import type { FileHandle } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";

export interface GribWindow {
  path: string;
  /** bytes */
  size: number;
  /** `length` bytes from `at`; valid until the next call. Both lie inside the file. */
  bytes(at: number, length: number): Promise<Buffer>;
}

const windowBytes = 16 * 1024;

export function gribWindow(path: string, handle: FileHandle, size: number): GribWindow {
  let cache = Buffer.alloc(0);
  let from = 0;
  return {
    path,
    size,
    async bytes(at, length) {
      if (at < from || at + length > from + cache.length) {
        cache = await readExactly(path, handle, at, Math.min(size - at, Math.max(length, windowBytes)));
        from = at;
      }
      return cache.subarray(at - from, at - from + length);
    },
  };
}

/** @throws ClimaxError "data" when the file ends before, as one does that shrank after it was opened. */
export async function readExactly(
  path: string,
  handle: FileHandle,
  at: number,
  length: number,
): Promise<Buffer<ArrayBuffer>> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) {
      throw new ClimaxError(
        "data",
        `${path} ended at byte ${at + done}, while ${length - done} more bytes were to be read`,
        "another program has cut it off meanwhile: wait until it is written, then start again",
      );
    }
    done += bytesRead;
  }
  return bytes;
}
