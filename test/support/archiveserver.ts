/** A server on this machine that plays ESGF's search and file servers, some of them out of order. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Played {
  /** http://127.0.0.1:PORT */
  origin: string;
  /** Addresses asked for, without the origin, in order. */
  asked: string[];
  close(): Promise<void>;
}

/** By path; what is not there is answered by 404. */
export type Roles = Record<
  string,
  (request: IncomingMessage, response: ServerResponse, origin: string) => void
>;

export async function playServer(roles: Roles): Promise<Played> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url!);
    const { pathname } = new URL(request.url!, "http://localhost");
    const role = roles[pathname];
    if (role) role(request, response, origin());
    else response.writeHead(404).end("not here");
  });
  const origin = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: origin(),
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Serves bytes, ranges of them too. */
export const file = (bytes: Uint8Array) => (request: IncomingMessage, response: ServerResponse) => {
  const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? [];
  const start = Number(from ?? 0);
  response.writeHead(from === undefined ? 200 : 206, {
    "content-length": bytes.length - start,
    "accept-ranges": "bytes",
    etag: '"1"',
    ...(from !== undefined && { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
  });
  response.end(bytes.subarray(start));
};

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** A file as a search service lists it. */
export const found = (
  title: string,
  bytes: Uint8Array,
  urls: string[],
  more: Record<string, unknown> = {},
) => ({
  title,
  size: bytes.length,
  checksum: [sha256(bytes)],
  checksum_type: ["SHA256"],
  url: urls.flatMap((url) => [
    `${url}.html|application/opendap-html|OPENDAP`,
    `${url}|application/netcdf|HTTPServer`,
  ]),
  replica: false,
  ...more,
});

/** An answer of a search service, in the pages asked for. */
export const answer =
  (docs: (origin: string) => unknown[]) =>
  (request: IncomingMessage, response: ServerResponse, origin: string) => {
    const { searchParams } = new URL(request.url!, origin);
    const [offset, limit] = ["offset", "limit"].map((name) => Number(searchParams.get(name)));
    const id = searchParams.get("variable_id");
    const all = docs(origin).filter((doc) => (doc as { title: string }).title.startsWith(`${id}_`));
    response.writeHead(200, { "content-type": "application/json" });
    response.end(
      JSON.stringify({ response: { numFound: all.length, docs: all.slice(offset, offset! + limit!) } }),
    );
  };
