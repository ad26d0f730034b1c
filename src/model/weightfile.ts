// A file of weights, opened without waiting and read by position. Shared by the readers of every format.
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";

/** Node refuses single reads of 2 GiB and more. */
const CHUNK = 1 << 30;

export interface WeightFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Bytes `start` to `end` of the file; both have been compared with `size` by the caller, or the call fails. */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/**
 * Opens a regular file; a pipe must not keep us waiting, nor a folder be taken for an empty file.
 *
 * @throws ClimaxError "checkpoint" if there is none, it cannot be opened, or it is no regular file
 */
export async function openWeightFile(path: string): Promise<WeightFile> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) =>
    cannotOpen(path, error),
  );
  try {
    const about = await handle.stat();
    if (!about.isFile()) {
      const [what, mend] = about.isDirectory()
        ? ["it is a folder", "name the file of weights in it"]
        : [
            "it is not a regular file",
            "save it as a file first: weights are read by position, not as a stream",
          ];
      throw new ClimaxError("checkpoint", `cannot read ${path}: ${what}`, mend!);
    }
    const read = (start: number, end: number) => readRange(handle, path, about.size, start, end);
    return { path, size: about.size, read, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function cannotOpen(path: string, error: unknown): never {
  const known: Record<string, [string, string]> = {
    ENOENT: ["there is no such file", "check the path"],
    ENOTDIR: ["a part of the path is a file, not a folder", "check the path"],
    EACCES: ["permission denied", "make it readable, or copy it to where you may read"],
    EPERM: ["permission denied", "make it readable, or copy it to where you may read"],
    EISDIR: ["it is a folder", "name the file of weights in it"],
    ELOOP: ["its links lead in a circle", "check the path"],
    ENXIO: ["it is not a regular file", "save it as a file first: weights are read by position"],
  };
  const [reason, mend] = known[(error as NodeJS.ErrnoException).code ?? ""] ?? [
    (error as Error).message,
    "check the path",
  ];
  throw new ClimaxError("checkpoint", `cannot open ${path}: ${reason}`, mend, { cause: error });
}

async function readRange(handle: FileHandle, path: string, size: number, start: number, end: number) {
  if (
    !(Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= size)
  ) {
    throw new ClimaxError(
      "checkpoint",
      `${path}: bytes ${start} to ${end} were wanted; the file has ${size}`,
      "copy or download it again",
    );
  }
  const bytes = allocated(path, end - start);
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(CHUNK, bytes.length - done);
    const { bytesRead } = await handle.read(bytes, done, length, start + done).catch((error: Error) => {
      throw new ClimaxError(
        "checkpoint",
        `cannot read ${path}: ${error.message}`,
        "copy it to a sound disk",
        {
          cause: error,
        },
      );
    });
    if (bytesRead === 0) {
      throw new ClimaxError(
        "checkpoint",
        `${path} ends at byte ${start + done}; ${end} were there a moment ago`,
        "wait until it is written whole, or copy it again",
      );
    }
    done += bytesRead;
  }
  return bytes;
}

/** A file may be sparse and claim more than there is memory. */
function allocated(path: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (error) {
    throw new ClimaxError(
      "checkpoint",
      `${path}: a tensor has ${length} bytes, more than there is memory for`,
      "use a machine with more memory, or smaller weights",
      { cause: error },
    );
  }
}
