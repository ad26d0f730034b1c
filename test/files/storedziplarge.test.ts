/** Zips beyond 4 GiB, whose bytes are neither hashed nor kept: what their headers say, as a zip library reads it. */
import { syncBuiltinESMExports } from "node:module";
import zlib from "node:zlib";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { fromRandomAccessReaderPromise, RandomAccessReader } from "yauzl";
import { storedZip } from "../../src/files/storedzip.ts";

beforeAll(() => {
  vi.spyOn(zlib, "crc32").mockImplementation(() => 7);
  syncBuiltinESMExports();
});
afterAll(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

/** Headers by their place in the file; nothing stands where they are not. */
class Headers extends RandomAccessReader {
  readonly pieces: { readonly start: number; readonly bytes: Uint8Array }[] = [];
  length = 0;

  append(bytes: Uint8Array): void {
    if (bytes.length < 2 ** 20) this.pieces.push({ start: this.length, bytes });
    this.length += bytes.length;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    for (const { start, bytes } of this.pieces) {
      const [from, to] = [Math.max(position, start), Math.min(position + length, start + bytes.length)];
      if (from < to) buffer.set(bytes.subarray(from - start, to - start), offset + from - position);
    }
    callback(null, length);
  }
}

test.for<[string, number[]]>([
  ["one member of 4 GiB among small ones", [10, 2 ** 32, 0, 20]],
  ["members of which the last begin beyond 4 GiB", [2 ** 31, 2 ** 31 - 1, 2 ** 30, 5]],
  ["a member one byte short of what 4 bytes can say", [2 ** 32 - 2, 3]],
])("%s", async ([, sizes]) => {
  const file = new Headers();
  const zip = storedZip(async (bytes) => file.append(bytes));
  for (const [i, size] of sizes.entries()) await zip.add(`x/${i}`, new Uint8Array(size)); // never touched, so never there
  await zip.end();
  const opened = await fromRandomAccessReaderPromise(file, file.length, { validateEntrySizes: true });
  const found: [string, number, number, number][] = [];
  let next = 0;
  for await (const entry of opened.eachEntry()) {
    const { fileDataStart: start, ...local } = await opened.readLocalFileHeaderPromise(entry);
    expect(start % 64).toBe(0);
    expect(start).toBeGreaterThanOrEqual(next);
    expect(start).toBeLessThan(next + 200);
    next = start + entry.uncompressedSize;
    found.push([entry.fileName, entry.compressedSize, entry.uncompressedSize, local.crc32]);
  }
  expect(found).toEqual(sizes.map((size, i) => [`x/${i}`, size, size, size > 0 ? 7 : 0]));
});
