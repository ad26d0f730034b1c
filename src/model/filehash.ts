// The sum that files of weights are known by.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";

/**
 * SHA-256 of a whole file, hexadecimal.
 *
 * @param onProgress  is told the bytes of each piece
 */
export async function fileSha256(path: string, onProgress?: (bytes: number) => void): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(piece as Buffer);
    onProgress?.((piece as Buffer).length);
  }
  return hash.digest("hex");
}
