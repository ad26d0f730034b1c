// Whether a prepared set is still what was written: every file against its checksum.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ClimaxError } from "../errors.ts";
import { damagedHint, readManifest } from "./manifest.ts";

/**
 * Reads every file of a set and compares its SHA-256 with set.json; one piece of a file in memory.
 *
 * @param onProgress  told now and then: bytes read, bytes of all files, the file that is being read
 * @throws ClimaxError (data) naming the first file that is missing or differs
 */
export async function verifySet(
  dir: string,
  onProgress?: (done: number, total: number, file: string) => void,
): Promise<{ files: number; bytes: number }> {
  const { checksums } = await readManifest(dir);
  const files = Object.entries(checksums);
  let bytes = 0;
  for (const [file] of files) {
    const { size } = await stat(join(dir, file)).catch((error: Error) => {
      throw new ClimaxError("data", `${join(dir, file)} is not there`, damagedHint, { cause: error });
    });
    bytes += size;
  }
  let done = 0;
  for (const [file, wanted] of files) {
    const hash = createHash("sha256");
    for await (const piece of createReadStream(join(dir, file), { highWaterMark: 1 << 20 })) {
      hash.update(piece as Buffer);
      done += (piece as Buffer).length;
      onProgress?.(done, bytes, file);
    }
    const found = hash.digest("hex");
    if (found !== wanted)
      throw new ClimaxError(
        "data",
        `${join(dir, file)}: SHA-256 ${found}, set.json says ${wanted}`,
        damagedHint,
      );
  }
  return { files: files.length, bytes };
}
