/** The record of the files that scores were made from. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";

/** Size, and SHA-256 where wanted, of files; null for what is no file: a folder, a store that is far away. */
export async function fileRecords(
  paths: readonly string[],
  hash: boolean,
): Promise<{ path: string; bytes: number | null; sha256: string | null }[]> {
  const records = [];
  // One after the other: a run may have thousands of them.
  for (const path of paths) {
    const info = await stat(path).catch(() => undefined);
    const isFile = info?.isFile() ?? false;
    records.push({
      path,
      bytes: isFile ? info!.size : null,
      sha256: isFile && hash ? await checksum(path) : null,
    });
  }
  return records;
}

async function checksum(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
