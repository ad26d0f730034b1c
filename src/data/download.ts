// Fetches the files of a plan: several at once, each from the first of its servers that gives it whole, checked and
// resumed by httpdownload.ts; what is there already stays.

import { stat, statfs } from "node:fs/promises";
import { basename, join } from "node:path";
import { ClimaxError } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import { type Downloaded, download } from "../files/httpdownload.ts";
import type { HttpOptions } from "../files/httprequest.ts";
import type { RemoteFile } from "./downloadplan.ts";
import { makeFolder } from "./folder.ts";

import { parsePeriod, timeParts } from "./time.ts";

export interface FetchOptions {
  /** Files fetched at the same time. */
  parallel: number;
  http?: HttpOptions;
  signal?: AbortSignal;
  /** Bytes done and known in all, files done, and the file that the news is of. */
  onProgress?: (progress: { bytes: number; total: number; files: number; name: string }) => void;
  /** A server that failed where another may not. */
  onFailure?: (said: string) => void;
}

export interface Fetched {
  name: string;
  path: string;
  bytes: number;
  how: Downloaded["how"];
}

/**
 * Fetches all files into `dir`, which is made.
 * @throws ClimaxError "data" when the disk is too small for what is announced, before anything is fetched; or, after
 *   all others are there, when some could not be had
 */
export async function fetchFiles(
  files: readonly RemoteFile[],
  dir: string,
  options: FetchOptions,
): Promise<Fetched[]> {
  await makeFolder(dir).catch((error: Error) => {
    throw new ClimaxError(
      "data",
      `cannot make the folder ${dir}: ${error.message}`,
      "choose another place: -o DIR",
      {
        cause: error,
      },
    );
  });
  await mustFit(files, dir);
  const done = new Map<string, number>();
  const announced = new Map(files.map(({ name, bytes = 0 }) => [name, bytes]));
  const sum = (of: Map<string, number>) => [...of.values()].reduce((total, bytes) => total + bytes, 0);
  let finished = 0;
  const report = (name: string) =>
    options.onProgress?.({
      bytes: sum(done),
      total: Math.max(sum(announced), sum(done)),
      files: finished,
      name,
    });
  const fetched: Fetched[] = [];
  const failed: { name: string; error: ClimaxError }[] = [];
  const waiting = [...files];
  const work = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      const { name } = file;
      options.signal?.throwIfAborted();
      try {
        const result = await fetchOne(file, join(dir, name), options, (bytes, total) => {
          done.set(name, bytes);
          if (total !== undefined) announced.set(name, total);
          report(name);
        });
        done.set(name, result.bytes);
        announced.set(name, result.bytes);
        finished++;
        report(name);
        fetched.push({ name, ...result });
      } catch (error) {
        if (!(error instanceof ClimaxError)) throw error;
        failed.push({ name, error });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, options.parallel) }, work));
  if (failed.length === 0) return fetched;
  const [{ name, error }] = failed as [(typeof failed)[number]];
  throw new ClimaxError(
    "data",
    failed.length === 1 && files.length === 1
      ? error.message
      : `${failed.length} of ${files.length} files could not be fetched; ${name}: ${error.message}`,
    files.length === 1
      ? error.hint
      : `run the same command again, it goes on where it stopped; of ${name}: ${error.hint}`,
    { cause: error },
  );
}

async function fetchOne(
  { name, urls, bytes, sha256, md5 }: RemoteFile,
  path: string,
  { http, signal, onFailure }: FetchOptions,
  onProgress: (done: number, total: number | undefined) => void,
): Promise<Downloaded> {
  const failures: ClimaxError[] = [];
  for (const url of urls) {
    try {
      return await download(url, path, {
        tries: urls.length > 1 ? 3 : 5,
        ...http,
        signal,
        sha256,
        md5,
        size: bytes,
        onProgress,
      });
    } catch (error) {
      if (!(error instanceof ClimaxError)) throw error;
      failures.push(error);
      if (urls.length > failures.length) onFailure?.(`${name}: ${error.message}; trying another server`);
    }
  }
  if (failures.length === 1) throw failures[0]!;
  throw new ClimaxError(
    "data",
    `none of ${urls.length} servers gave ${name}: ${failures.map(({ message }) => message).join("; ")}`,
    failures.at(-1)!.hint,
  );
}

/** What is announced, less what is there, must fit on the disk. */
async function mustFit(files: readonly RemoteFile[], dir: string): Promise<void> {
  let wanted = 0;
  for (const { name, bytes } of files) {
    const sizes = [join(dir, name), join(dir, `${name}.partial`)].map((path) =>
      stat(path).catch(() => undefined),
    );
    const there = (await Promise.all(sizes)).map((info) => info?.size ?? 0);
    wanted += Math.max(0, (bytes ?? 0) - Math.max(...there));
  }
  const { bavail, bsize } = await statfs(dir);
  if (wanted > bavail * bsize)
    throw new ClimaxError(
      "data",
      `${bytesText(wanted)} are to be fetched into ${dir}, whose disk has ${bytesText(Math.max(bavail * bsize, 1))} free`,
      "free some space, choose another disk by -o, or fetch less: --variables, --period",
    );
}

/**
 * Those of a CMIP6 archive that a period needs, by the dates at the end of their names, as in
 * tas_day_..._20000101-20041231.nc; those without dates hold what does not change.
 */
export function withinPeriod(files: readonly RemoteFile[], period: string | null): RemoteFile[] {
  if (period === null) return [...files];
  const { start, end } = parsePeriod(period, "standard");
  const [from, to] = [timeParts(start).year, timeParts(end).year];
  return files.filter(({ name }) => {
    const [, first, last] = /_(\d{4})\d*-(\d{4})\d*\.nc$/.exec(name) ?? [];
    return first === undefined || (Number(first) <= to && Number(last) >= from);
  });
}

/** The name that an address gives a file. */
export function nameOfUrl(address: string): string {
  const { pathname, searchParams } = new URL(address);
  const name = basename(decodeURIComponent(searchParams.get("files") ?? pathname));
  // Nothing that a server says may leave the folder or hide in it.
  return /^[\w@%+=,()-][\w@%+=,. ()-]*$/.test(name) ? name : "download";
}
