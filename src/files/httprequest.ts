// One HTTP(S) request: addresses, redirects, time limits, and whether what came is what was announced.
// Everything that may pass by itself is an HttpFailure, which httpretry.ts tries again.
import { ClimaxError } from "../errors.ts";
import { readBody } from "./httpbody.ts";
import { HttpFailure, networkFailure, shown, unreachable } from "./httpfailure.ts";

/** Times are milliseconds. */
export interface HttpOptions {
  signal?: AbortSignal | undefined;
  /** How often a request is made in all before its failure is final; 5. */
  tries?: number;
  /** From the start of a request to the first byte of its answer, connecting included; 30 000. */
  firstByteTime?: number;
  /** A body that brings less than 1 kB in this time has stalled; 30 000. */
  stallTime?: number;
  /** The wait before the second try; doubles for each further one, up to 60 s; 500. */
  backOff?: number;
  /** In [0, 1): each wait is between half of itself and itself by this. */
  random?: () => number;
  /** Waits; rejects when the signal fires. */
  wait?: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
}

/** What a request without a fault gave: its status line and headers, its body still to be read. */
export interface Answer {
  /** 200, 206, 304 or 416, or one of those that mean absence to the caller. */
  status: number;
  headers: Headers;
  /** Bytes of the body that are announced; undefined when nothing is, or when it was compressed on the way. */
  length: number | undefined;
  /** Pieces of the body. @throws HttpFailure when it stalls, or ends before or after `length`. */
  body: AsyncIterable<Uint8Array>;
}

/** What a server's words mean to the person in front of the screen. */
const refusals: Record<number, [string, string]> = {
  400: ["the server does not understand the request", "check the address"],
  401: ["it wants a login", "fetch it by hand with your account, or choose a public mirror"],
  403: ["you may not read it, or it does not exist", "check the address, and whether the data are public"],
  404: ["there is no such thing there", "check the address"],
  407: ["the proxy wants a login", "check the settings of the proxy, or use another network"],
  410: ["it was removed for good", "look for a newer version"],
  451: ["it is withheld for legal reasons", "choose another source"],
};
const passing = new Set([408, 425, 429, 500, 502, 503, 504]);
const redirects = new Set([301, 302, 303, 307, 308]);
const mostRedirects = 5;

/**
 * The address to fetch from: gs:// and s3:// buckets are read over their public HTTPS faces.
 * @throws ClimaxError "config" for what is no such address.
 */
export function publicUrl(address: string): URL {
  const [, letters = "", bucket = "", rest = ""] = /^(gs|s3):\/\/([^/]+)(.*)$/i.exec(address) ?? [];
  const scheme = letters.toLowerCase();
  // A certificate for *.s3.amazonaws.com does not cover names with dots.
  const virtual = scheme === "s3" && !bucket.includes(".");
  const text =
    scheme === "gs"
      ? `https://storage.googleapis.com/${bucket}${rest}`
      : scheme === "s3"
        ? virtual
          ? `https://${bucket}.s3.amazonaws.com${rest}`
          : `https://s3.amazonaws.com/${bucket}${rest}`
        : address;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && (url.protocol === "http:" || url.protocol === "https:")) return url;
  throw new ClimaxError(
    "config",
    `"${address}" is no address to fetch from; wanted https://, http://, gs:// or s3://`,
    "check its spelling",
  );
}

/** Whether an address names something to fetch rather than a file on disk. */
export function isUrl(path: string): boolean {
  return /^(https?|gs|s3):\/\//i.test(path);
}

/**
 * Makes one request and hands its answer to `use`, whose body must be read there: the connection ends with it.
 * @param absent statuses that are answers to the caller, not errors.
 * @throws HttpFailure for what may pass; ClimaxError "data" for what will not.
 */
export async function request<T>(
  start: URL,
  headers: Record<string, string>,
  options: HttpOptions & { absent?: readonly number[] },
  use: (answer: Answer) => Promise<T>,
): Promise<T> {
  const control = new AbortController();
  const { signal, firstByteTime = 30_000 } = options;
  const stop = () => control.abort(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", stop);
  try {
    let url = start;
    for (let hop = 0; ; hop++) {
      const response = await send(url, start, headers, control, firstByteTime);
      signal?.throwIfAborted();
      if (!redirects.has(response.status)) {
        return await use(answerOf(url, response, control, options));
      }
      await response.body?.cancel();
      url = redirected(url, response, hop);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    control.abort(); // frees the connection of a body not read to its end
  }
}

async function send(
  url: URL,
  start: URL,
  headers: Record<string, string>,
  control: AbortController,
  firstByteTime: number,
): Promise<Response> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    control.abort();
  }, firstByteTime);
  try {
    const bare = new URL(url);
    bare.username = bare.password = bare.hash = "";
    // A login is for the server it was given for, not for where that sends us.
    const login = url.username && url.origin === start.origin ? basicLogin(url) : {};
    return await fetch(bare, {
      // Compressed on the way, a body's length could not be checked.
      headers: { "accept-encoding": "identity", "user-agent": "climax", ...login, ...headers },
      redirect: "manual",
      signal: control.signal,
    });
  } catch (error) {
    if (late) {
      throw new HttpFailure(
        `${shown(url)}: no answer within ${firstByteTime / 1000} s`,
        unreachable("the server is slow or unreachable: check the network, or try again later"),
      );
    }
    throw networkFailure(url, error);
  } finally {
    clearTimeout(timer);
  }
}

function basicLogin({ username, password }: URL): Record<string, string> {
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(text).toString("base64")}` };
}

function redirected(url: URL, response: Response, hop: number): URL {
  const location = response.headers.get("location") ?? "";
  const next = URL.canParse(location, url.href) ? new URL(location, url.href) : undefined;
  const found = `${shown(url)} answered ${response.status} and sends us on`;
  if (hop >= mostRedirects) {
    throw new ClimaxError(
      "data",
      `${found} for the ${hop + 1}th time; at most ${mostRedirects} redirects are followed`,
      "open the address in a browser and give the one you end up at; a login may be wanted there",
    );
  }
  if (!next || !/^https?:$/.test(next.protocol) || (url.protocol === "https:" && next.protocol === "http:")) {
    throw new ClimaxError(
      "data",
      `${found} to "${location}", which is no ${url.protocol === "https:" ? "https" : "http"} address`,
      "give the final address yourself if you trust it",
    );
  }
  return next;
}

function answerOf(
  url: URL,
  response: Response,
  control: AbortController,
  { absent = [], stallTime = 30_000 }: HttpOptions & { absent?: readonly number[] },
): Answer {
  const { status, headers } = response;
  if (![200, 206, 304, 416, ...absent].includes(status)) refuse(url, response);
  const encoded = !/^(identity)?$/.test(headers.get("content-encoding") ?? "");
  const announced = headers.get("content-length");
  const length = announced === null || encoded || status === 304 ? undefined : Number(announced);
  return { status, headers, length, body: readBody(url, response, control, length, stallTime) };
}

function refuse(url: URL, { status, statusText, headers }: Response): never {
  const found = `${shown(url)} answered ${status}${statusText ? ` ${statusText}` : ""}`;
  if (passing.has(status)) {
    throw new HttpFailure(
      found,
      status === 429 ? "the server has had too many requests: try again later" : "try again later",
      retryAfter(headers.get("retry-after")),
    );
  }
  const [what, hint] = refusals[status] ?? ["wanted 200 OK", "check the address"];
  throw new ClimaxError("data", `${found}: ${what}`, hint);
}

/** Seconds or a date (RFC 9110, 10.2.3), as milliseconds from now. */
function retryAfter(text: string | null): number | undefined {
  if (text === null) return undefined;
  if (/^\d+$/.test(text.trim())) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
