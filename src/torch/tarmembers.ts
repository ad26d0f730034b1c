// The members of a tar archive (ustar with pax headers, as Python's tarfile writes it): where each lies in the file.
// Nothing is ever extracted to disk.
import { ClimaxError } from "../errors.ts";
import type { WeightFile } from "../model/weightfile.ts";
import { shown } from "./picklereader.ts";

const block = 512;
/** PyTorch writes four members. */
const mostMembers = 64;
/** The longest pax header that is read, bytes. */
const longestPax = 64 * 2 ** 10;

export interface TarMember {
  /** First byte in the file, and the one after the last. */
  readonly start: number;
  readonly end: number;
}

export function damagedTar(path: string, what: string): never {
  throw new ClimaxError(
    "checkpoint",
    `${path} is no sound PyTorch file (a tar archive, as PyTorch 0.1 wrote): ${what}`,
    "copy or download it again",
  );
}

/** Whether the first block of a file is a tar header: its checksum is right. */
export function looksLikeTar(head: Uint8Array): boolean {
  if (head.length < block || head[0] === 0) return false;
  return octal(head.subarray(148, 156)) === checksum(head.subarray(0, block));
}

/**
 * Walks the headers of an archive.
 *
 * @throws ClimaxError "checkpoint" if a header is damaged, a member ends beyond the file or has a name made to mislead
 */
export async function tarMembers(file: WeightFile): Promise<ReadonlyMap<string, TarMember>> {
  const { path, size: fileSize } = file;
  const members = new Map<string, TarMember>();
  /** What a pax header says of the next member. */
  let pax: ReadonlyMap<string, string> = new Map();
  let headers = 0;
  for (let at = 0; at < fileSize; ) {
    if (at + block > fileSize) damagedTar(path, `it ends at byte ${fileSize}, within a header`);
    const header = await file.read(at, at + block);
    if (header.every((byte) => byte === 0)) break; // two such blocks end an archive
    if (++headers > 2 * mostMembers) damagedTar(path, `it has more than ${mostMembers} members`);
    if (octal(header.subarray(148, 156)) !== checksum(header)) {
      damagedTar(path, `the checksum of the header at byte ${at} is wrong`);
    }
    const name = pax.get("path") ?? textOf(header.subarray(0, 100));
    const size = pax.has("size") ? decimal(pax.get("size")!) : sizeOf(header.subarray(124, 136));
    const start = at + block;
    if (size === undefined || start + size > fileSize) {
      damagedTar(path, `its member "${shown(name)}" does not end within the file's ${fileSize} bytes`);
    }
    const type = String.fromCharCode(header[156]!);
    pax = new Map();
    if (type === "x" || type === "g") {
      if (size > longestPax) damagedTar(path, `a pax header has ${size} bytes; ${longestPax} is the limit`);
      const records = paxRecords(path, await file.read(start, start + size));
      if (type === "x") pax = records;
    } else {
      checkName(path, name);
      if (type !== "0" && type !== "\0") damagedTar(path, `its member "${shown(name)}" is no plain file`);
      if (members.has(name)) damagedTar(path, `two members are called "${shown(name)}"`);
      members.set(name, { start, end: start + size });
    }
    at = start + Math.ceil(size / block) * block;
  }
  return members;
}

function checkName(path: string, name: string): void {
  if (!name.startsWith("/") && !name.includes("\\") && !name.split("/").includes("..")) return;
  throw new ClimaxError(
    "checkpoint",
    `${path} has a member called "${shown(name)}", a name made to leave the folder it is unpacked in`,
    "nothing was or is ever unpacked; PyTorch writes no such names, so do not trust this file",
  );
}

/** The sum of a header's bytes, its own field taken as spaces. */
function checksum(header: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < block; i++) if (i < 148 || i >= 156) sum += header[i]!;
  return sum;
}

function textOf(field: Uint8Array): string {
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString("utf8");
}

function octal(field: Uint8Array): number | undefined {
  const text = textOf(field).trim();
  return /^[0-7]{1,12}$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

/** A size in octal, or, where that has too few digits, in binary after a first byte of 0x80. */
function sizeOf(field: Uint8Array): number | undefined {
  if (field[0] !== 0x80) return octal(field);
  const size = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
  return Number.isSafeInteger(size) ? size : undefined;
}

function decimal(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Records of the form "<bytes of the record> <key>=<value>\n". */
function paxRecords(path: string, bytes: Uint8Array): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = decimal(Buffer.from(bytes.subarray(at, Math.max(at, space))).toString("latin1"));
    const record = length === undefined ? undefined : bytes.subarray(space + 1, at + length);
    const text = Buffer.from(record ?? []).toString("utf8");
    const equals = text.indexOf("=");
    if (!length || at + length > bytes.length || equals < 1 || !text.endsWith("\n")) {
      damagedTar(path, "a pax header is not made of records");
    }
    records.set(text.slice(0, equals), text.slice(equals + 1, -1));
    at += length;
  }
  return records;
}
