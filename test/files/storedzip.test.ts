import { expect, test } from "vitest";
import { fromBufferPromise } from "yauzl";
import { storedZip } from "../../src/files/storedzip.ts";

const text = (content: string) => new TextEncoder().encode(content);

async function zipOf(members: readonly (readonly [string, Uint8Array])[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const zip = storedZip(async (bytes) => void pieces.push(Uint8Array.from(bytes)));
  for (const [name, bytes] of members) await zip.add(name, bytes);
  await zip.end();
  return Buffer.concat(pieces);
}

const members = [
  ["a/first", text("one")],
  ["a/empty", new Uint8Array()],
  ["a/a name of another length", new Uint8Array(1000).map((_, i) => i)],
  ...Array.from({ length: 70 }, (_, i) => [`a/${"x".repeat(i)}`, text("y".repeat(i))] as const),
] as const;

test("a zip library reads back what was added: stored, whole, in order, each member at a multiple of 64", async () => {
  const file = await zipOf(members.slice(0, -1));
  const zip = await fromBufferPromise(file);
  const found: [string, Uint8Array][] = [];
  for await (const entry of zip.eachEntry()) {
    expect(entry.compressionMethod).toBe(0);
    const { fileDataStart: start, fileName } = await zip.readLocalFileHeaderPromise(entry);
    expect(start % 64).toBe(0);
    expect(fileName.toString()).toBe(entry.fileName);
    const content = file.subarray(start, start + entry.uncompressedSize);
    expect(entry.compressedSize).toBe(content.length);
    const parts: Buffer[] = [];
    for await (const part of await zip.openReadStreamPromise(entry)) parts.push(part as Buffer); // checks the CRC
    expect(Buffer.concat(parts)).toEqual(Buffer.from(content));
    found.push([entry.fileName, Uint8Array.from(content)]);
  }
  expect(found).toEqual(members.slice(0, -1).map(([name, bytes]) => [name, Uint8Array.from(bytes)]));
});

test("the same members make the same file, whatever the hour or the place", async () => {
  const zone = process.env.TZ;
  process.env.TZ = "Pacific/Auckland";
  const there = await zipOf(members);
  process.env.TZ = "America/Lima";
  expect(await zipOf(members)).toEqual(there);
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

test("no member at all is an empty zip", async () => {
  expect((await fromBufferPromise(await zipOf([]))).entryCount).toBe(0);
});

test("more members than two bytes can count are counted in the 64-bit form", async () => {
  const zip = await fromBufferPromise(
    await zipOf(Array.from({ length: 65_536 }, (_, i) => [String(i), new Uint8Array()])),
  );
  expect(zip.entryCount).toBe(65_536);
});

test("a name that every zip reader takes alike is wanted", async () => {
  await expect(zipOf([["Grüße", new Uint8Array()]])).rejects.toThrow(
    'the zip member "Grüße" is not named in ASCII',
  );
});
