// The members of a zip archive, from its central directory alone: stored ones only, each within the file, none over
// another. They are read by position; nothing is ever extracted to disk.
import { crc32 } from "node:zlib";
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from "yauzl";
import { ClimaxError } from "../errors.ts";
import type { WeightFile } from "../model/weightfile.ts";
import { shown } from "./picklereader.ts";

/** The most members that are believed: a checkpoint has one for each tensor, the largest published ones some 10 000. */
const mostMembers = 100_000;
/** The longest directory that is read, bytes: it is kept while the archive is open. */
const longestDirectory = 64 * 2 ** 20;
/** Bytes whose checksum one call takes. */
const CHUNK = 1 << 30;
/** Bytes that are read at once while the directory is walked, whose records have some 100 bytes each. */
const windowSize = 1 << 16;

export interface ZipMembers {
  /** Bytes of each member by its name, in the directory's order. */
  readonly sizes: ReadonlyMap<string, number>;
  /**
   * Reads bytes `start` to `end` of a member. Where that is the whole member its CRC-32 is checked; of a part of one
   * it cannot be.
   *
   * @throws ClimaxError "checkpoint" if there is no such member or range, or it is damaged
   */
  read(name: string, start?: number, end?: number): Promise<Uint8Array<ArrayBuffer>>;
}

interface Member {
  readonly entry: Entry;
  /** Where the next member's header or the directory begins: this one must end there or before. */
  readonly limit: number;
}

export function damagedZip(path: string, what: string): never {
  throw new ClimaxError(
    "checkpoint",
    `${path} is no sound PyTorch file (a zip archive): ${what}`,
    "copy or download it again; if it was just written, the program that wrote it was cut off",
  );
}

/**
 * Reads the directory of a zip archive and checks all of it.
 *
 * @param judge  is shown the names before anything else of the members is judged, to refuse archives of other kinds
 * @throws ClimaxError "checkpoint" if it is damaged or made to mislead
 */
export async function zipMembers(
  file: WeightFile,
  judge: (names: readonly string[]) => void,
): Promise<ZipMembers> {
  const { path } = file;
  const fail = (error: Error): never => {
    if (error instanceof ClimaxError) throw error;
    const noEnd = /^(End of central directory|Invalid comment length)/.test(error.message);
    const what = "its directory does not stand at its end: it is cut off, or something was appended";
    return damagedZip(path, noEnd ? what : error.message);
  };
  const zip = await fromRandomAccessReaderPromise(new FileReader(file), file.size, {
    decodeStrings: false, // names are judged here, as they are
    autoClose: false,
    validateEntrySizes: false,
  }).catch(fail);
  const members = await listed(zip, file, judge).catch(fail);
  /** Where members' data begin, once their local headers have been read. */
  const begins = new Map<string, number>();

  async function dataStart(name: string, { entry, limit }: Member): Promise<number> {
    const known = begins.get(name);
    if (known !== undefined) return known;
    const local = await zip.readLocalFileHeaderPromise(entry).catch(fail);
    if (!local.fileName.equals(entry.fileNameRaw)) {
      damagedZip(path, `its member "${shown(name)}" has another name where it begins`);
    }
    if (local.compressionMethod !== 0 || local.generalPurposeBitFlag & 1) {
      damagedZip(path, `its member "${shown(name)}" is stored in the directory, but not where it begins`);
    }
    // Sizes of 0 stand in a descriptor behind the data, those of all ones in an extra field.
    if (![0, 0xffff_ffff, entry.compressedSize].includes(local.compressedSize)) {
      damagedZip(path, `its member "${shown(name)}" has another size where it begins`);
    }
    if (local.fileDataStart + entry.compressedSize > limit) {
      damagedZip(path, `its member "${shown(name)}" runs into the next one`);
    }
    begins.set(name, local.fileDataStart);
    return local.fileDataStart;
  }

  return {
    sizes: new Map([...members].map(([name, { entry }]) => [name, entry.compressedSize])),
    async read(name, start = 0, end = members.get(name)?.entry.compressedSize ?? 0) {
      const member = members.get(name) ?? damagedZip(path, `it has no member "${shown(name)}"`);
      const size = member.entry.compressedSize;
      if (!(0 <= start && start <= end && end <= size)) {
        damagedZip(path, `its member "${shown(name)}" has ${size} bytes; ${start} to ${end} were wanted`);
      }
      const base = await dataStart(name, member);
      const bytes = await file.read(base + start, base + end);
      if (bytes.length === size && !checks(bytes, member.entry.crc32)) {
        damagedZip(path, `the checksum (CRC-32) of its member "${shown(name)}" is wrong`);
      }
      return bytes;
    },
  };
}

/** PyTorch can be told to leave checksums out (torch.serialization.set_crc32_options); 0 stands for none. */
function checks(bytes: Uint8Array, wanted: number): boolean {
  if (wanted === 0) return true;
  let sum = 0;
  for (let start = 0; start < bytes.length; start += CHUNK)
    sum = crc32(bytes.subarray(start, start + CHUNK), sum);
  return sum === wanted;
}

async function listed(
  zip: ZipFile,
  { path, size: fileSize }: WeightFile,
  judge: (names: readonly string[]) => void,
): Promise<Map<string, Member>> {
  if (zip.entryCount > mostMembers) {
    damagedZip(path, `it claims ${zip.entryCount} members; ${mostMembers} is the limit`);
  }
  const directory = Number(zip.readEntryCursor);
  if (fileSize - directory > longestDirectory) {
    damagedZip(path, `its directory has ${fileSize - directory} bytes; ${longestDirectory} is the limit`);
  }
  const entries = new Map<string, Entry>();
  for await (const entry of zip.eachEntry()) {
    const name = entry.fileNameRaw.toString("utf8");
    checkName(path, name);
    if (entries.has(name)) damagedZip(path, `two members are called "${shown(name)}"`);
    entries.set(name, entry);
  }
  judge([...entries.keys()]);
  for (const [name, entry] of entries) checkStored(path, name, entry);
  const inFile = [...entries].sort(
    ([, a], [, b]) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader,
  );
  const members = new Map<string, Member>();
  for (const [i, [name, entry]] of inFile.entries()) {
    // A local header has 30 bytes, the name, and padding that only it knows.
    const least = entry.relativeOffsetOfLocalHeader + 30 + entry.fileNameLength + entry.compressedSize;
    if (least > Math.min(directory, fileSize)) {
      damagedZip(path, `its member "${shown(name)}" reaches into the directory, or beyond the file`);
    }
    const next = inFile[i + 1];
    const limit = next?.[1].relativeOffsetOfLocalHeader ?? directory;
    if (least > limit) damagedZip(path, `its member "${shown(name)}" overlaps "${shown(next![0])}"`);
    members.set(name, { entry, limit });
  }
  return new Map([...entries.keys()].map((name) => [name, members.get(name)!]));
}

function checkName(path: string, name: string): void {
  if (
    name.includes("\\") ||
    name.startsWith("/") ||
    /^[a-z]:/i.test(name) ||
    name.split("/").includes("..")
  ) {
    throw new ClimaxError(
      "checkpoint",
      `${path} has a member called "${shown(name)}", a name made to leave the folder it is unpacked in`,
      "nothing was or is ever unpacked; PyTorch writes no such names, so do not trust this file",
    );
  }
}

function checkStored(path: string, name: string, entry: Entry): void {
  if (entry.generalPurposeBitFlag & 1) {
    throw new ClimaxError(
      "checkpoint",
      `${path}: its member "${shown(name)}" is encrypted`,
      "decrypt it first (unzip it with its password, then zip it with `zip -0`)",
    );
  }
  if (entry.compressionMethod !== 0) {
    throw new ClimaxError(
      "checkpoint",
      `${path}: its member "${shown(name)}" is compressed; torch.save stores members as they are`,
      "unzip it and zip it again with `zip -0 -r`, or load and save it in PyTorch",
    );
  }
  if (entry.compressedSize !== entry.uncompressedSize) {
    damagedZip(
      path,
      `its member "${shown(name)}" is stored in ${entry.compressedSize} bytes, ${entry.uncompressedSize} were claimed`,
    );
  }
}

/** Gives yauzl the file's bytes: it walks the directory in small steps, so that a window of the file is kept. */
class FileReader extends RandomAccessReader {
  readonly file: WeightFile;
  window: { start: number; bytes: Uint8Array } = { start: 0, bytes: new Uint8Array(0) };

  constructor(file: WeightFile) {
    super();
    this.file = file;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.bytes(length, position)
      .then((bytes) => buffer.set(bytes, offset))
      .then(
        () => callback(null),
        (error: Error) => callback(error),
      );
  }

  async bytes(length: number, position: number): Promise<Uint8Array> {
    if (position + length > this.file.size) {
      throw new Error(
        `a record of it would end at byte ${position + length}; the file has ${this.file.size}`,
      );
    }
    const { start, bytes } = this.window;
    if (position < start || position + length > start + bytes.length) {
      const end = Math.min(position + Math.max(length, windowSize), this.file.size);
      this.window = { start: position, bytes: await this.file.read(position, end) };
    }
    const from = position - this.window.start;
    return this.window.bytes.subarray(from, from + length);
  }
}
