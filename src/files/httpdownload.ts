// Downloads a file to disk: goes on where an earlier try stopped, checks what came, and gives the file its name
// only when it is whole. Beside PATH lie, until then, PATH.partial and PATH.partial.json, which says of which version.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, readFile, rename, rm, stat, statfs, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { ClimaxError } from "../errors.ts";
import { partOf, refusePage, type Validators, validatorsOf } from "./http.ts";
import { HttpFailure, shown } from "./httpfailure.ts";
import { type Answer, type HttpOptions, publicUrl, request } from "./httprequest.ts";
import { retrying } from "./httpretry.ts";

export interface DownloadOptions extends HttpOptions {
  /** What the file must be: hexadecimal digests, and bytes. Those given are checked. */
  sha256?: string | undefined;
  md5?: string | undefined;
  size?: number | undefined;
  /** Bytes on disk of all; the whole is undefined where the server does not say. */
  onProgress?: (done: number, total: number | undefined) => void;
  /** Of a file whose size nobody announces; 2^40. */
  maxBytes?: number;
}

export interface Downloaded {
  path: string;
  bytes: number;
  /** "there": the file was there already and is what was wanted; "resumed": a part of it was. */
  how: "there" | "resumed" | "fetched";
}

/** An attempt that brought this much further, bytes, was no vain one. */
const leastGain = 2 ** 16;

/** The version a partial file belongs to. */
interface Sidecar extends Validators {
  url: string;
  size: number | null;
}

/** What one attempt needs to know. */
interface Job {
  url: URL;
  path: string;
  partial: string;
  options: DownloadOptions;
  /** How far any attempt got, bytes. */
  furthest: number;
  resumed: boolean;
}

/**
 * Downloads `address` (http, https, gs, s3) into `path`. A file that is there and has the digest or size wanted, or
 * with nothing wanted the size the server announces, stays as it is.
 * @throws ClimaxError "data" when the server fails for good, the disk is too small, or what came is not what was wanted.
 */
export async function download(
  address: string,
  path: string,
  options: DownloadOptions = {},
): Promise<Downloaded> {
  const url = publicUrl(address);
  const { sha256, md5, size } = options;
  const there = await stat(path).catch(() => undefined);
  if (there?.isDirectory()) {
    throw new ClimaxError(
      "data",
      `${path} is a folder; wanted the name of a file`,
      `name a file in it: ${path}/...`,
    );
  }
  const wanted = sha256 !== undefined || md5 !== undefined || size !== undefined;
  if (there && wanted && (await fault(path, options)) === undefined) {
    return { path, bytes: there.size, how: "there" };
  }
  const job: Job = { url, path, partial: `${path}.partial`, options, furthest: 0, resumed: false };
  for (let again = false; ; again = true) {
    const bytes = await retrying(url, options, (progressed) =>
      attempt(job, wanted ? undefined : there?.size, progressed),
    );
    if (bytes === "there") return { path, bytes: there!.size, how: "there" };
    const wrong = await fault(job.partial, options);
    if (wrong === undefined) {
      await rename(job.partial, path);
      await rm(sidecarPath(job), { force: true });
      return { path, bytes, how: job.resumed ? "resumed" : "fetched" };
    }
    await drop(job);
    // Two halves of two versions are mended by fetching all anew; a whole that is wrong is not.
    if (!job.resumed || again) {
      throw new ClimaxError(
        "data",
        `${shown(url)} ${wrong}`,
        "the file has changed on the server or is damaged there: look for its present checksum, or another mirror",
      );
    }
    job.resumed = false;
    job.furthest = 0;
  }
}

/** What is wrong with a file, by what is wanted of it; undefined when nothing is. */
async function fault(path: string, { sha256, md5, size }: DownloadOptions): Promise<string | undefined> {
  const bytes = (await stat(path)).size;
  if (size !== undefined && bytes !== size) return `has ${bytes} bytes; wanted ${size}`;
  for (const [algorithm, digest] of [
    ["sha256", sha256],
    ["md5", md5],
  ] as const) {
    if (digest === undefined) continue;
    const hash = createHash(algorithm);
    for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 }))
      hash.update(piece as Buffer);
    const found = hash.digest("hex");
    if (found !== digest.toLowerCase()) return `has ${algorithm} ${found}; wanted ${digest.toLowerCase()}`;
  }
  return undefined;
}

const sidecarPath = ({ partial }: Job) => `${partial}.json`;

async function drop(job: Job): Promise<void> {
  await rm(job.partial, { force: true });
  await rm(sidecarPath(job), { force: true });
}

/** Fetches the rest of the partial file, or all; returns the bytes it then has. */
async function attempt(
  job: Job,
  sizeThere: number | undefined,
  progressed: () => void,
): Promise<number | "there"> {
  const { url, options } = job;
  const have = await partialBytes(job);
  const known = have > 0 ? await readSidecar(job) : undefined;
  const headers: Record<string, string> = {};
  if (known) {
    headers.range = `bytes=${have}-`;
    // A weak ETag may not be used so (RFC 9110, 13.1.5).
    const condition = known.etag && !known.etag.startsWith("W/") ? known.etag : known.lastModified;
    if (condition) headers["if-range"] = condition;
  }
  return request(url, headers, options, async (answer) => {
    if (answer.status === 416) {
      if (have === known?.size) return have; // whole already; only its checks are left
      await drop(job);
      throw new HttpFailure(`${shown(url)} answered 416 to bytes=${have}-`, "try again later");
    }
    const found = validatorsOf(answer.headers);
    const part = answer.status === 206 ? partOf(url, answer.headers) : undefined;
    const total = part ? part.total : answer.length;
    if (sizeThere !== undefined && total === sizeThere) return "there";
    if (part) {
      const changed =
        (known?.etag && found.etag && known.etag !== found.etag) ||
        (known?.size && total && known.size !== total) ||
        (known?.lastModified && found.lastModified && known.lastModified !== found.lastModified);
      if (changed || part.start !== have) {
        await drop(job);
        throw new HttpFailure(
          `${shown(url)}: ${changed ? "the file changed on the server meanwhile" : "another part came than was wanted"}`,
          "try again later",
        );
      }
    }
    const from = part ? have : 0;
    if (from > 0) job.resumed = true;
    mustFit(job, total);
    await mustHaveRoom(job, (total ?? 0) - from);
    const handle = await openPartial(job);
    try {
      if (from === 0) {
        await handle.truncate(0);
        const sidecar: Sidecar = { url: shown(url), ...found, size: total ?? null };
        await writeFile(sidecarPath(job), JSON.stringify(sidecar));
      }
      return await append(job, answer, handle, from, total, progressed);
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === "ENOSPC" ? diskFull(job) : error;
    } finally {
      await handle.close();
    }
  });
}

async function append(
  job: Job,
  answer: Answer,
  handle: FileHandle,
  from: number,
  total: number | undefined,
  progressed: () => void,
): Promise<number> {
  const { url, options } = job;
  const most = total ?? options.size ?? options.maxBytes ?? 2 ** 40;
  const before = job.furthest;
  let at = from;
  for await (const piece of answer.body) {
    if (at === 0) refusePage(url, piece);
    if (at + piece.length > most) {
      const error = `${shown(url)} sends more than the ${most} bytes ${total ? "it announced" : "allowed"}`;
      if (total) throw new HttpFailure(error, "the server is mistaken: try again later");
      await drop(job);
      throw new ClimaxError("data", error, "check that it is the file you mean");
    }
    // Each at its own place: two processes at the same file write the same bytes there.
    await handle.write(piece, 0, piece.length, at);
    at += piece.length;
    job.furthest = Math.max(job.furthest, at);
    if (job.furthest - before >= leastGain) progressed();
    options.onProgress?.(at, total);
  }
  if (total !== undefined && at !== total) {
    throw new HttpFailure(`${shown(url)}: ended after ${at} of ${total} bytes`, "try again later");
  }
  await handle.sync();
  return at;
}

/** Bytes of the partial file, if it is of this address and of a version that can be told from others. */
async function partialBytes(job: Job): Promise<number> {
  const info = await stat(job.partial).catch(() => undefined);
  const known = info && (await readSidecar(job));
  if (!info || !known || known.url !== shown(job.url)) return 0;
  const { sha256, md5 } = job.options;
  const canTell =
    known.etag !== null || known.lastModified !== null || sha256 !== undefined || md5 !== undefined;
  return canTell && info.size <= (known.size ?? Infinity) ? info.size : 0;
}

async function readSidecar(job: Job): Promise<Sidecar | undefined> {
  try {
    const { url, etag, lastModified, size } = JSON.parse(await readFile(sidecarPath(job), "utf8")) as Sidecar;
    const text = (value: unknown) => value === null || typeof value === "string";
    return typeof url === "string" && text(etag) && text(lastModified) && (size === null || size >= 0)
      ? { url, etag, lastModified, size }
      : undefined;
  } catch {
    return undefined; // absent or damaged: then the partial file is of no use
  }
}

function mustFit({ url, options }: Job, total: number | undefined): void {
  const { size, maxBytes = 2 ** 40 } = options;
  if (total === undefined || (size !== undefined ? total === size : total <= maxBytes)) return;
  throw new ClimaxError(
    "data",
    `${shown(url)} announces ${total} bytes; wanted ${size ?? `at most ${maxBytes}`}`,
    "the file has changed on the server: look for its present size and checksum",
  );
}

async function mustHaveRoom(job: Job, bytes: number): Promise<void> {
  const disk = await statfs(dirname(job.path)).catch(() => undefined);
  if (disk && disk.bavail * disk.bsize < bytes) throw diskFull(job, bytes, disk.bavail * disk.bsize);
}

function diskFull({ path }: Job, bytes?: number, free?: number): ClimaxError {
  const found = bytes === undefined ? "" : `: ${bytes} bytes are to come, ${free} are free`;
  return new ClimaxError(
    "data",
    `the disk of ${path} is full${found}`,
    "free some space; the download goes on from there",
  );
}

async function openPartial({ partial, path }: Job): Promise<FileHandle> {
  return open(partial, "r+")
    .catch(() => open(partial, "w+"))
    .catch((error: NodeJS.ErrnoException) => {
      throw new ClimaxError(
        "data",
        `cannot write ${partial}: ${error.code === "ENOENT" ? `there is no folder ${dirname(path)}` : error.message}`,
        "choose a place that exists and that you may write to",
        { cause: error },
      );
    });
}
