// The HTTP client against servers that stall, cut off, lie, redirect for ever and change their minds. All are ours.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { get, getIfChanged, getIfThere } from "../../src/files/http.ts";
import { cacheFolder, openCache } from "../../src/files/httpcache.ts";
import { download } from "../../src/files/httpdownload.ts";
import { unreachable } from "../../src/files/httpfailure.ts";
import { publicUrl } from "../../src/files/httprequest.ts";
import { serve, type WebServer } from "../support/webserver.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-http-"));
const body = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251));
const sha256 = createHash("sha256").update(body).digest("hex");

type Respond = (response: ServerResponse, nth: number, request: IncomingMessage) => void;

/** The part of `body` asked for, as an honest server gives it. */
function honest(
  response: ServerResponse,
  request: IncomingMessage,
  headers: Record<string, string> = {},
): void {
  const [, from, to = ""] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const whole = from === undefined || (request.headers["if-range"] ?? headers.etag) !== headers.etag;
  if (whole) {
    response.writeHead(200, { "content-length": body.length, ...headers }).end(body);
    return;
  }
  const end = to === "" ? body.length : Math.min(body.length, Number(to) + 1);
  const range = `bytes ${from}-${end - 1}/${body.length}`;
  response.writeHead(206, { "content-range": range, ...headers }).end(body.subarray(Number(from), end));
}

/** Announces all, sends the first `bytes` and cuts the line. */
function cut(response: ServerResponse, bytes: number, headers: Record<string, string> = {}): void {
  response.writeHead(200, { "content-length": body.length, ...headers });
  response.write(body.subarray(0, bytes), () => response.socket?.end()); // after what was sent, not instead of it
}

const pages: Record<string, Respond> = {
  fine: (response, _, request) => honest(response, request),
  twice500: (response, nth, request) =>
    nth < 2 ? response.writeHead(500).end("oops") : honest(response, request),
  always503: (response) => response.writeHead(503, { "retry-after": "7" }).end(),
  hourly: (response) => response.writeHead(503, { "retry-after": "3600" }).end(),
  busy: (response, nth, request) =>
    nth === 0 ? response.writeHead(429, { "retry-after": "3" }).end() : honest(response, request),
  absent: (response) => response.writeHead(404).end(),
  login: (response) => response.writeHead(401).end(),
  secret: (response) => response.writeHead(403).end(),
  silent: () => undefined,
  stalls: (response) => {
    response.writeHead(200, { "content-length": body.length });
    response.write(body.subarray(0, 5000));
  },
  cutOnce: (response, nth, request) => (nth === 0 ? cut(response, 1000) : honest(response, request)),
  cuts: (response) => cut(response, 1000),
  short: (response) => {
    response.writeHead(206, { "content-range": "bytes 0-99/1000" }).end(body.subarray(0, 60));
  },
  long: (response) => {
    response.socket!.end(`HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n${"x".repeat(50)}`);
  },
  wrongPart: (response) => {
    response.writeHead(206, { "content-range": "bytes 500-599/1000" }).end(body.subarray(0, 100));
  },
  nonsense: (response) => response.writeHead(206, { "content-range": "all of it" }).end("x"),
  ignoresRange: (response) => response.writeHead(200, { "content-length": body.length }).end(body),
  shortened: (response) => response.writeHead(416, { "content-range": "bytes */10" }).end(),
  page: (response) =>
    response.writeHead(200, { "content-type": "text/html" }).end("\n<!DOCTYPE html><title>Log in"),
  loop: (response, nth) => response.writeHead(302, { location: `/loop?${nth}` }).end(),
  moved: (response) => response.writeHead(301, { location: "/fine" }).end(),
  elsewhere: (response) => response.writeHead(302, { location: "file:///etc/passwd" }).end(),
  endless: (response) => {
    const more = () => {
      while (!response.destroyed && response.write(body));
    };
    response.writeHead(200).on("drain", more);
    more();
  },
  huge: (response) => response.writeHead(200, { "content-length": 2 ** 50 }).write("x"),
  known: (response, _, request) =>
    request.headers["if-none-match"] === '"v1"'
      ? response.writeHead(304).end()
      : honest(response, request, { etag: '"v1"' }),
  whoami: (response, _, request) => response.end(request.headers.authorization ?? "nobody"),
};

let server: WebServer;
beforeAll(async () => {
  server = await serve((request, response, nth) => {
    const name = new URL(request.url!, "http://x").pathname.slice(1);
    (pages[name] ?? pages[name.replace(/-\d$/, "")] ?? pages.absent!)(response, nth, request);
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** Only for servers that say nothing: a busy machine may keep honest ones waiting. */
const hasty = { firstByteTime: 300, stallTime: 300 };
/** Pauses that are noted, not waited for. */
const waits: number[] = [];
const quick = {
  tries: 3,
  backOff: 1000,
  random: () => 0.5,
  wait: async (time: number) => {
    waits.push(time);
  },
};
const url = (name: string) => `${server.address}/${name}`;
const asked = (name: string) => server.requests.filter((line) => line === `GET /${name}`).length;

async function refusal(work: Promise<unknown>): Promise<ClimaxError> {
  const caught = await work.catch((error: unknown) => error);
  expect(caught).toBeInstanceOf(ClimaxError);
  return caught as ClimaxError;
}

describe("get", () => {
  test("gives the bytes, whole or a range from either end", async () => {
    expect(Buffer.from((await get(url("fine"))).bytes).equals(body)).toBe(true);
    const part = await get(url("fine"), { range: { offset: 1000, length: 50 } });
    expect(Buffer.from(part.bytes).equals(body.subarray(1000, 1050))).toBe(true);
    const beyond = await get(url("fine"), { range: { offset: body.length - 3, length: 50 } });
    expect(beyond.bytes.length).toBe(3);
  });

  test("cuts ranges out of what a server sends that ignores them", async () => {
    const middle = await get(url("ignoresRange"), { range: { offset: 123_456, length: 9 } });
    expect(Buffer.from(middle.bytes).equals(body.subarray(123_456, 123_465))).toBe(true);
    const end = await get(url("ignoresRange"), { range: { suffixLength: 12 } });
    expect(Buffer.from(end.bytes).equals(body.subarray(-12))).toBe(true);
  });

  test("tries again after 500, 429 and a cut-off, with pauses that double and honour Retry-After", async () => {
    waits.length = 0;
    expect((await get(url("twice500"), quick)).bytes.length).toBe(body.length);
    expect(waits).toEqual([750, 1500]); // between half and all of 1 and 2 s, here in the middle
    waits.length = 0;
    expect((await get(url("busy"), quick)).bytes.length).toBe(body.length);
    expect(waits).toEqual([3000]);
    expect(Buffer.from((await get(url("cutOnce"), quick)).bytes).equals(body)).toBe(true);
    expect(asked("cutOnce")).toBe(2);
  });

  test.each<[string, RegExp, RegExp]>([
    ["always503", /answered 503 Service Unavailable \(tried 3 times\); it asks to come back in 7 s/, /later/],
    ["silent", /no answer within 0.3 s \(tried 3 times\)/, /slow or unreachable/],
    ["stalls", /stalled after 5000 of 300000 bytes, for 0.3 s \(tried 3 times\)/, /too slow or was lost/],
    ["cuts", /the connection was cut off after 1000 of 300000 bytes \(tried 3 times\)/, /network/],
    ["nonsense", /its Content-Range "all of it" does not say which \(tried 3 times\)/, /mistaken/],
  ])("%s: gives up after three tries and says why", async (name, message, hint) => {
    const patience = ["silent", "stalls"].includes(name) ? hasty : {};
    const error = await refusal(get(url(name), { ...quick, ...patience }));
    expect(error.message).toContain(url(name));
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
    expect(asked(name)).toBe(3);
  });

  test("a body that is not as long as announced is no answer, nor is another part", async () => {
    const range = { offset: 0, length: 100 };
    expect((await refusal(get(url("short"), { ...quick, range }))).message).toMatch(
      /(100 bytes were announced, 60 came|not as long as announced|cut off) ?.*\(tried 3 times\)/,
    );
    expect((await refusal(get(url("wrongPart"), { ...quick, range }))).message).toMatch(
      /bytes 0 to 100 were wanted, 500 to 600 came/,
    );
    // Node takes the ten bytes it was promised and then hangs up on the rest: no garbage comes through.
    const long = await get(url("long"), quick).then(({ bytes }) => bytes.length, String);
    expect([10, expect.stringMatching(/tried 3 times/)]).toContainEqual(long);
  });

  test.each<[string, RegExp, RegExp]>([
    ["absent", /answered 404 Not Found: there is no such thing there/, /check the address/],
    ["login", /answered 401 Unauthorized: it wants a login/, /account/],
    ["secret", /answered 403 Forbidden: you may not read it, or it does not exist/, /public/],
    ["page", /gave a web page instead of data, perhaps a login/, /browser/],
    ["hourly", /answered 503 Service Unavailable; it asks to come back in 3600 s/, /later/],
    ["elsewhere", /sends us on to "file:\/\/\/etc\/passwd", which is no http address/, /final address/],
    ["huge", /announces 1125899906842624 bytes; at most 1073741824 are taken/, /object you mean/],
  ])("%s: is final at once", async (name, message, hint) => {
    const error = await refusal(get(url(name), quick));
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
    expect(asked(name)).toBe(1);
  });

  test("a range past the end says so", async () => {
    const wanted = get(url("shortened"), { ...quick, range: { offset: 90, length: 10 } });
    expect((await refusal(wanted)).message).toMatch(/answered 416: it is shorter than .*\(bytes=90-99\)/);
  });

  test("redirects are followed, but not for ever", async () => {
    expect((await get(url("moved"))).bytes.length).toBe(body.length);
    const error = await refusal(get(url("loop"), quick));
    expect(error.message).toMatch(/answered 302 and sends us on for the 6th time; at most 5/);
  });

  test("an endless body is cut at the limit", async () => {
    const error = await refusal(get(url("endless"), { ...quick, maxBytes: 1_000_000 }));
    expect(error.message).toMatch(/sent \d{7} bytes and more; at most 1000000 are taken into memory/);
  });

  test("a host that refuses connections, and one that is not", async () => {
    const gone = await serve(() => undefined);
    await gone.close();
    const error = await refusal(get(`${gone.address}/x`, quick));
    expect(error.message).toMatch(/the host refuses connections \(tried 3 times\)/);
    expect(unreachable("try later", {})).toBe("try later");
    expect(unreachable("try later", { HTTPS_PROXY: "http://proxy:3128" })).toMatch(
      /^HTTPS_PROXY is set, but climax does not use proxies: .*climax download --plan /,
    );
  });

  test("absent and unchanged are answers to those who ask for them", async () => {
    expect(await getIfThere(url("absent"))).toBeUndefined();
    const known = (await getIfThere(url("known")))!;
    expect(known.etag).toBe('"v1"');
    expect(await getIfChanged(url("known"), known)).toBe("unchanged");
    expect(await getIfChanged(url("known"), { etag: '"v0"', lastModified: null })).toMatchObject({
      etag: '"v1"',
    });
  });

  test("at most eight requests bother one host at a time", async () => {
    const slow = await serve((_, response) => setTimeout(() => response.end("x"), 100));
    await Promise.all(Array.from({ length: 40 }, (_, i) => get(`${slow.address}/${i}`)));
    await slow.close();
    expect(slow.requests.length).toBe(40);
    expect(slow.busiest).toBe(8);
  });

  test("stops when told to, between tries, before an answer and within a body", async () => {
    for (const name of ["silent-2", "stalls-2", "twice500-2"]) {
      const control = new AbortController();
      const reason = new Error("enough");
      setTimeout(() => control.abort(reason), 50);
      await expect(get(url(name), { signal: control.signal, backOff: 60_000 })).rejects.toBe(reason);
    }
    await expect(get(url("fine"), { signal: AbortSignal.abort("no") })).rejects.toBe("no");
  });

  test("a login in the address is sent, not shown", async () => {
    const address = url("whoami").replace("//", "//ann:s3cret@");
    const text = Buffer.from((await get(address)).bytes).toString();
    expect(text).toBe(`Basic ${Buffer.from("ann:s3cret").toString("base64")}`);
    const error = await refusal(get(address.replace("whoami", "absent-2")));
    expect(error.message).toContain("//ann:...@");
    expect(error.message).not.toContain("s3cret");
  });

  test("buckets are read over their public faces", () => {
    expect(publicUrl("gs://weatherbench2/a/b.zarr").href).toBe(
      "https://storage.googleapis.com/weatherbench2/a/b.zarr",
    );
    expect(publicUrl("s3://era5-pds/x").href).toBe("https://era5-pds.s3.amazonaws.com/x");
    expect(publicUrl("s3://a.b/x").href).toBe("https://s3.amazonaws.com/a.b/x");
    expect(() => publicUrl("ftp://x/y")).toThrow(/"ftp:\/\/x\/y" is no address to fetch from; wanted https/);
  });
});

describe("download", () => {
  let count = 0;
  const fresh = () => join(folder, `file${count++}.nc`);
  const left = (path: string) => readdirSync(folder).filter((name) => join(folder, name).startsWith(path));

  test("leaves the file, and nothing else, under its name", async () => {
    const path = fresh();
    const seen: (number | undefined)[] = [];
    const result = await download(url("fine"), path, {
      ...quick,
      sha256: sha256.toUpperCase(),
      size: body.length,
      md5: createHash("md5").update(body).digest("hex"),
      onProgress: (done, total) => seen.push(done, total),
    });
    expect(result).toEqual({ path, bytes: body.length, how: "fetched" });
    expect(readFileSync(path).equals(body)).toBe(true);
    expect(left(path)).toHaveLength(1);
    expect(seen.slice(-2)).toEqual([body.length, body.length]);
    // Again: nothing is fetched, by digest; or nothing but the headers, by the size the server announces.
    const before = server.requests.length;
    expect((await download(url("fine"), path, { sha256 })).how).toBe("there");
    expect(server.requests.length).toBe(before);
    expect((await download(url("fine"), path)).how).toBe("there");
    writeFileSync(path, "an older file");
    expect((await download(url("fine"), path)).how).toBe("fetched");
    expect(readFileSync(path).equals(body)).toBe(true);
  });

  test("goes on where it was cut off, try by try and from one run to the next", async () => {
    const path = fresh();
    const offsets: string[] = [];
    const flaky = await serve((request, response) => {
      offsets.push(request.headers.range ?? "all");
      const from = Number(/\d+/.exec(request.headers.range ?? "0")![0]);
      const piece = body.subarray(from, from + 90_000);
      const range = { "content-range": `bytes ${from}-${body.length - 1}/${body.length}` };
      response.writeHead(from > 0 ? 206 : 200, {
        etag: '"v1"',
        "content-length": body.length - from,
        ...(from > 0 ? range : {}),
      });
      const whole = from + piece.length === body.length;
      response.write(piece, () => (whole ? response.end() : response.socket?.end()));
    });
    await refusal(download(`${flaky.address}/x`, path, { ...quick, tries: 1 }));
    expect(existsSync(path)).toBe(false);
    expect(left(path)).toEqual([`${path.slice(folder.length + 1)}.partial`, expect.stringMatching(/json$/)]);
    const result = await download(`${flaky.address}/x`, path, { ...quick, tries: 2, sha256 });
    await flaky.close();
    expect(result.how).toBe("resumed");
    expect(readFileSync(path).equals(body)).toBe(true);
    expect(left(path)).toHaveLength(1);
    expect(offsets).toEqual(["all", "bytes=90000-", "bytes=180000-", "bytes=270000-"]);
  });

  test("a version that changed halfway is fetched anew, whatever the server makes of If-Range", async () => {
    for (const heeds of [true, false]) {
      const path = fresh();
      const changing = await serve((request, response, nth) => {
        const etag = `"v${nth}"`;
        if (nth === 0) cut(response, 100_000, { etag });
        else if (heeds) honest(response, request, { etag });
        else {
          request.headers["if-range"] = etag;
          honest(response, request, { etag });
        }
      });
      const result = await download(`${changing.address}/x`, path, quick);
      expect(result).toMatchObject({ bytes: body.length, how: "fetched" });
      expect(readFileSync(path).equals(body)).toBe(true);
      expect(changing.requests.length).toBe(heeds ? 2 : 3);
      await changing.close();
    }
  });

  test("a server without ranges starts again from the beginning", async () => {
    const path = fresh();
    const old = await serve((_, response, nth) => {
      if (nth === 0) cut(response, 250_000, { etag: '"v"' });
      else response.writeHead(200, { etag: '"v"' }).end(body); // its length is not announced either
    });
    expect((await download(`${old.address}/x`, path, quick)).how).toBe("fetched");
    await old.close();
    expect(readFileSync(path).equals(body)).toBe(true);
  });

  test("a partial file that is not what it seems is found by the digest and fetched anew", async () => {
    const path = fresh();
    writeFileSync(`${path}.partial`, Buffer.alloc(1000, 255));
    writeFileSync(
      `${path}.partial.json`,
      JSON.stringify({ url: url("fine"), etag: null, lastModified: null, size: body.length }),
    );
    expect((await download(url("fine"), path, { sha256 })).how).toBe("fetched");
    expect(readFileSync(path).equals(body)).toBe(true);
    // With a damaged note beside it, it is not even looked at.
    const other = fresh();
    writeFileSync(`${other}.partial`, Buffer.alloc(1000, 255));
    writeFileSync(`${other}.partial.json`, "{");
    expect((await download(url("fine"), other)).how).toBe("fetched");
    expect(readFileSync(other).equals(body)).toBe(true);
  });

  test.each<[string, object, RegExp]>([
    ["fine", { sha256: "00ff" }, /has sha256 [0-9a-f]{64}; wanted 00ff/],
    ["fine", { md5: "00ff" }, /has md5 [0-9a-f]{32}; wanted 00ff/],
    ["fine", { size: 5 }, /announces 300000 bytes; wanted 5/],
    ["page", {}, /gave a web page instead of data/],
    ["huge", {}, /announces 1125899906842624 bytes; wanted at most 1099511627776/],
    [
      "huge",
      { maxBytes: 2 ** 60 },
      /the disk of .* is full: 1125899906842624 bytes are to come, \d+ are free/,
    ],
    ["endless", { maxBytes: 1_000_000 }, /sends more than the 1000000 bytes allowed/],
    ["absent", {}, /answered 404/],
    ["cuts", {}, /after 1000 of 300000 bytes \(tried 3 times\)/],
  ])("%s, %o: no file under the final name", async (name, options, message) => {
    const path = fresh();
    const error = await refusal(download(url(name), path, { ...quick, ...options }));
    expect(error.message).toContain(name === "huge" && "maxBytes" in options ? path : url(name));
    expect(error.message).toMatch(message);
    expect(existsSync(path)).toBe(false);
  });

  test("a folder that is not there, or in the place of the file", async () => {
    const error = await refusal(download(url("fine"), join(folder, "no", "x.nc")));
    expect(error.message).toContain(`there is no folder ${join(folder, "no")}`);
    expect((await refusal(download(url("fine"), folder))).message).toContain("is a folder; wanted");
  });
});

describe("the cache on disk", () => {
  const content = (i: number) => new Uint8Array(1000).fill(i);
  const files = (place: string) =>
    readdirSync(place, { recursive: true, encoding: "utf8" })
      .map((name) => join(place, name))
      .filter((path) => statSync(path).isFile());

  test("gives back what was stored; a damaged entry is none", async () => {
    const place = join(folder, "cache");
    const cache = openCache(place);
    expect(await cache.read("a")).toBeUndefined();
    await cache.write("a", content(1));
    expect(await openCache(place).read("a")).toEqual(content(1));
    const [path] = files(place);
    for (const damage of [(b: Buffer) => (b[500]! ^= 1), (b: Buffer) => b.fill(0, 0, 5), undefined]) {
      await cache.write("a", content(1));
      const bytes = readFileSync(path!);
      damage?.(bytes);
      writeFileSync(path!, damage ? bytes : bytes.subarray(0, 700));
      expect(await cache.read("a")).toBeUndefined();
      expect(files(place)).toEqual([]);
    }
  });

  test("what was not used for longest goes first, and strangers' files stay", async () => {
    const place = join(folder, "small");
    const cache = openCache(place, 10_000);
    for (let i = 0; i < 9; i++) {
      await cache.write(`key${i}`, content(i));
      const old = new Date(Date.now() - 1_000_000 + i * 1000);
      for (const path of files(place)) {
        if (readFileSync(path)[100] === i) utimesSync(path, old, old);
      }
    }
    writeFileSync(join(place, "letter.txt"), "x".repeat(5000));
    expect(await cache.read("key0")).toEqual(content(0)); // used: young again
    for (let i = 9; i < 12; i++) await cache.write(`key${i}`, content(i));
    expect(await cache.read("key1")).toBeUndefined();
    expect(await cache.read("key0")).toEqual(content(0));
    expect(await cache.read("key11")).toEqual(content(11));
    expect(existsSync(join(place, "letter.txt"))).toBe(true);
    expect(files(place).length).toBeLessThanOrEqual(12);
  });

  test("lies where the environment says", () => {
    expect(cacheFolder({ CLIMAX_CACHE: "/a" })).toBe("/a");
    expect(cacheFolder({ XDG_CACHE_HOME: "/b" })).toBe("/b/climax");
    expect(cacheFolder({})).toMatch(/\/\.cache\/climax$/);
    expect(cacheFolder({ CLIMAX_CACHE: "off" })).toBeUndefined();
  });
});
