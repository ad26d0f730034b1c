/** Web servers on 127.0.0.1 for tests: a folder as it is, or any misbehaviour a handler can think of. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";

export type Handler = (request: IncomingMessage, response: ServerResponse, nth: number) => void;

export interface WebServer {
  /** "http://127.0.0.1:PORT" */
  address: string;
  /** What was asked for, "GET /a" each. */
  requests: string[];
  /** The most requests that were open at one time. */
  busiest: number;
  close(): Promise<void>;
}

/** Serves by `handler`, which is told how many requests for the same path came before, from 0. */
export async function serve(handler: Handler): Promise<WebServer> {
  const counts = new Map<string, number>();
  let open = 0;
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    const nth = counts.get(path) ?? 0;
    counts.set(path, nth + 1);
    result.requests.push(`${request.method} ${path}`);
    result.busiest = Math.max(result.busiest, ++open);
    let counted = true;
    const leave = () => {
      if (counted) open--;
      counted = false;
    };
    response.once("finish", leave).once("close", leave); // sent, or cut off
    handler(request, response, nth);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const result: WebServer = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    busiest: 0,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return result;
}

/** Serves the files of a folder, with ranges and Last-Modified; `before` may answer instead by returning true. */
export async function serveFolder(
  folder: string,
  before: (...call: Parameters<Handler>) => boolean = () => false,
): Promise<WebServer> {
  return serve((request, response, nth) => {
    if (before(request, response, nth)) return;
    const path = join(folder, normalize(decodeURIComponent(new URL(request.url!, "http://x").pathname)));
    if (!existsSync(path) || !statSync(path).isFile()) {
      response.writeHead(404).end("nothing here");
      return;
    }
    const { size, mtime } = statSync(path);
    const modified = mtime.toUTCString();
    if (request.headers["if-modified-since"] === modified) {
      response.writeHead(304, { "last-modified": modified }).end();
      return;
    }
    const [, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    if (from === "" && to === "") {
      response.writeHead(200, { "content-length": size, "last-modified": modified });
      createReadStream(path).pipe(response);
      return;
    }
    const start = from === "" ? Math.max(0, size - Number(to)) : Number(from);
    const end = from === "" || to === "" ? size - 1 : Math.min(size - 1, Number(to));
    response.writeHead(206, {
      "content-length": end - start + 1,
      "content-range": `bytes ${start}-${end}/${size}`,
      "last-modified": modified,
    });
    createReadStream(path, { start, end }).pipe(response);
  });
}
