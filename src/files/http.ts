// Gets bytes over HTTP(S): whole objects or ranges of them, checked against what the server announced.
// Large files that belong on disk go through httpdownload.ts.
import { ClimaxError } from "../errors.ts";
import { HttpFailure, shown } from "./httpfailure.ts";
import { type Answer, type HttpOptions, publicUrl, request } from "./httprequest.ts";
import { retrying } from "./httpretry.ts";

export type ByteRange = { offset: number; length: number } | { suffixLength: number };

/** What tells one version of an object from another; null where the server does not say. */
export interface Validators {
  etag: string | null;
  lastModified: string | null;
}

export interface Fetched extends Validators {
  /** Fewer than a range asked for only where the object ends. */
  bytes: Uint8Array<ArrayBuffer>;
}

export interface GetOptions extends HttpOptions {
  range?: ByteRange | undefined;
  /** Of the body; 2^30. */
  maxBytes?: number;
}

export interface GetIfThereOptions extends GetOptions {
  /** Statuses that say that nothing is there; 404 and 410. */
  absent?: readonly number[];
}

/**
 * Gets an object of data (never a web page) from http://, https://, gs:// or s3://.
 * @throws ClimaxError "data" that names the address, what the server answered and the mend; after a failure that may
 *   pass (network, time-out, stall, cut-off, wrong length, 408, 425, 429, 5xx), only when it did not.
 */
export async function get(address: string, options: GetOptions = {}): Promise<Fetched> {
  return (await fetchBytes(publicUrl(address), { ...options, absent: [] }, {})) as Fetched;
}

/** The same; undefined where the server says that nothing is there. */
export async function getIfThere(
  address: string,
  options: GetIfThereOptions = {},
): Promise<Fetched | undefined> {
  return (await fetchBytes(publicUrl(address), options, {})) as Fetched | undefined;
}

/** The same; "unchanged" where what is there is still the version with these validators. */
export async function getIfChanged(
  address: string,
  known: Validators,
  options: GetIfThereOptions = {},
): Promise<Fetched | undefined | "unchanged"> {
  const conditions: Record<string, string> = known.etag
    ? { "if-none-match": known.etag }
    : known.lastModified
      ? { "if-modified-since": known.lastModified }
      : {};
  return fetchBytes(publicUrl(address), options, conditions);
}

/** Of the answer's headers. */
export function validatorsOf(headers: Headers): Validators {
  return { etag: headers.get("etag"), lastModified: headers.get("last-modified") };
}

/** Where a part begins and ends in the whole, by Content-Range; `end` is exclusive. */
export interface Part {
  start: number;
  end: number;
  /** Length of the whole; undefined when the server does not know it. */
  total: number | undefined;
}

/** @throws HttpFailure when the header is missing or makes no sense. */
export function partOf(url: URL, headers: Headers): Part {
  const text = headers.get("content-range") ?? "";
  const [, start, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(text.trim()) ?? [];
  const part = {
    start: Number(start),
    end: Number(last) + 1,
    total: total === "*" ? undefined : Number(total),
  };
  if (part.start < part.end && part.end <= (part.total ?? Infinity)) return part;
  throw new HttpFailure(
    `${shown(url)}: the answer is a part of the whole, but its Content-Range "${text}" does not say which`,
    "the server or a proxy is mistaken: try again later",
  );
}

/** @throws ClimaxError for a web page where data were wanted: a login, or a proxy's word. */
export function refusePage(url: URL, head: Uint8Array): void {
  if (!/^\s*<(!doctype html|html)/i.test(Buffer.from(head.subarray(0, 64)).toString("latin1"))) return;
  throw new ClimaxError(
    "data",
    `${shown(url)} gave a web page instead of data, perhaps a login or an error`,
    "open the address in a browser to see what it says",
  );
}

async function fetchBytes(
  url: URL,
  options: GetIfThereOptions,
  conditions: Record<string, string>,
): Promise<Fetched | undefined | "unchanged"> {
  const { range, absent = [404, 410] } = options;
  const headers = range ? { ...conditions, range: rangeHeader(range) } : conditions;
  return retrying(url, options, () =>
    request(url, headers, { ...options, absent }, async (answer) => {
      if (absent.includes(answer.status)) return undefined;
      if (answer.status === 304) return "unchanged";
      if (answer.status === 416) {
        throw new ClimaxError(
          "data",
          `${shown(url)} answered 416: it is shorter than the bytes wanted (${headers.range})`,
          "the object is cut off, or what describes it is of another version",
        );
      }
      const bytes = await collect(url, answer, range, options.maxBytes ?? 2 ** 30);
      return { bytes, ...validatorsOf(answer.headers) };
    }),
  );
}

function rangeHeader(range: ByteRange): string {
  if ("suffixLength" in range) return `bytes=-${range.suffixLength}`;
  return `bytes=${range.offset}-${range.offset + range.length - 1}`;
}

/** The bytes of a range, or of all, whatever part of the object the server sent. */
async function collect(
  url: URL,
  answer: Answer,
  range: ByteRange | undefined,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const part = answer.status === 206 ? partOf(url, answer.headers) : undefined;
  const total = part ? part.total : answer.length;
  let wanted = { start: 0, end: total ?? Infinity };
  if (range && "offset" in range) {
    wanted = { start: range.offset, end: Math.min(total ?? Infinity, range.offset + range.length) };
  } else if (range && total !== undefined) {
    wanted = { start: Math.max(0, total - range.suffixLength), end: total };
  }
  // Without a total, a part of the right length is taken at its word.
  const known = total !== undefined || !range || "offset" in range;
  if (part && known && (part.start !== wanted.start || (total !== undefined && part.end !== wanted.end))) {
    throw new HttpFailure(
      `${shown(url)}: bytes ${wanted.start} to ${wanted.end} were wanted, ${part.start} to ${part.end} came`,
      "the server or a proxy is mistaken: try again later",
    );
  }
  const tooMuch = (found: string) =>
    new ClimaxError(
      "data",
      `${shown(url)} ${found}; at most ${maxBytes} are taken into memory`,
      "check that it is the object you mean",
    );
  const expected = part ? part.end - part.start : wanted.end - wanted.start;
  if (Number.isFinite(expected) && expected > maxBytes) throw tooMuch(`announces ${expected} bytes`);
  // A server that ignores Range sends all from the start: what lies outside is dropped as it comes.
  const skip = part ? 0 : wanted.start;
  const stop = part ? part.end - part.start : wanted.end;
  const pieces: Uint8Array[] = [];
  let at = 0;
  let kept = 0;
  for await (const piece of answer.body) {
    if (at === 0 && (part?.start ?? 0) === 0) refusePage(url, piece);
    const inside = piece.subarray(Math.max(0, skip - at), Math.max(0, stop - at));
    at += piece.length;
    kept += inside.length;
    if (kept > maxBytes) throw tooMuch(`sent ${kept} bytes and more`);
    if (inside.length > 0) pieces.push(inside);
    if (at >= stop && !part && range) break;
  }
  if (part && at !== part.end - part.start) {
    throw new HttpFailure(
      `${shown(url)}: ${part.end - part.start} bytes were announced, ${at} came`,
      "the connection was cut off, or the server is mistaken: try again later",
    );
  }
  const all = new Uint8Array(kept);
  let offset = 0;
  for (const piece of pieces) {
    all.set(piece, offset);
    offset += piece.length;
  }
  return range && "suffixLength" in range && !known ? all.slice(-range.suffixLength) : all;
}
