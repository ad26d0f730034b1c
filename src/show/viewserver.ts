/** The server of `climax view`: the page, and forecasts as pictures and numbers, for this machine alone. */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { ClimaxError } from "../errors.ts";
import { TooBusy, turns } from "./turns.ts";
import { catalogueOf, cellValueOf, frameOf } from "./viewanswers.ts";
import { readWanted, readWantedPicture, sides, type WantedPicture } from "./viewchoice.ts";
import { makePainter } from "./viewpainter.ts";
import type { ViewSource } from "./viewsource.ts";

export interface ViewServer {
  /** "http://127.0.0.1:PORT/" */
  readonly url: string;
  /** Pictures that are kept, bytes. */
  readonly pictureBytes: number;
  /** Ends open connections and stops listening; the source stays open. */
  close(): Promise<void>;
}

export interface ViewServerOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Shown in the page. */
  readonly version: string;
  /** Hears of what is wrong with this program, not with a request. */
  readonly onBug: (error: unknown) => void;
  /** Pictures that are kept, bytes. */
  readonly pictureLimit?: number;
}

interface Answer {
  readonly type: string;
  readonly body: Buffer | string;
}

/** A refusal with its HTTP status. */
interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly hint: string;
}

const page = new URL("../../bin/view/", import.meta.url);
const files: Readonly<Record<string, readonly [file: string, type: string]>> = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/view.css": ["view.css", "text/css; charset=utf-8"],
  "/icon.svg": ["icon.svg", "image/svg+xml"],
  "/view.js": ["view.js", "text/javascript; charset=utf-8"],
};

/** A page elsewhere can neither show nor read what is served here. */
const headers = {
  "Content-Security-Policy":
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cache-Control": "no-store",
};

/**
 * Serves a source on 127.0.0.1.
 *
 * @throws ClimaxError "config" when the port is taken or not allowed
 */
export async function serveView(source: ViewSource, options: ViewServerOptions): Promise<ViewServer> {
  const painter = makePainter(source, options.pictureLimit);
  const lanes = turns(2, 32);
  let [port, closed] = [0, false];

  async function answer(path: string, query: URLSearchParams): Promise<Answer | undefined> {
    const file = files[path];
    if (file) return { type: file[1], body: await readFile(new URL(file[0], page)) };
    const json = (value: unknown): Answer => ({
      type: "application/json; charset=utf-8",
      body: JSON.stringify(value),
    });
    switch (path) {
      case "/catalogue.json":
        return json(catalogueOf(source, options.version));
      case "/frame.json":
        return json(await frameOf(readWanted(query, source), source));
      case "/value.json":
        return json(await cellValueOf(query, source, painter));
      case "/picture.png":
        return { type: "image/png", body: (await painter.paint(readWantedPicture(query, source))).png };
      default:
        return undefined;
    }
  }

  /** Pictures of the next lead, to be made while their reader looks at this one; the latest last. */
  const ahead: WantedPicture[] = [];

  function lookAhead(wanted: WantedPicture): void {
    const leads = source.leadsOf(wanted.choice.variable, wanted.choice.initial);
    const leadHours = leads[leads.indexOf(wanted.choice.leadHours) + 1];
    if (leadHours === undefined) return;
    ahead.push({ ...wanted, choice: { ...wanted.choice, leadHours } });
    if (ahead.length > sides.length) ahead.shift();
    setTimeout(() => void paintAhead(), 20).unref();
  }

  async function paintAhead(): Promise<void> {
    while (lanes.idle && !closed) {
      const next = ahead.pop();
      if (!next) return;
      // What is wrong with it is told when it is asked for.
      await lanes.run(() => painter.paint(next)).catch(() => undefined);
      await setImmediate(); // who asks for something comes first
    }
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refused = refuse(request, port);
    if (refused) {
      if (refused.status === 405) response.setHeader("Allow", "GET, HEAD");
      return send(request, response, refused.status, refusalAnswer(refused));
    }
    const address = `http://127.0.0.1${request.url}`;
    const url = request.url?.startsWith("/") && URL.canParse(address) ? new URL(address) : undefined;
    try {
      const found =
        url && (await lanes.run(async () => response.closed || answer(url.pathname, url.searchParams)));
      if (found === true) return; // its reader left while it waited
      if (!found) {
        const missing = {
          status: 404,
          error: "there is nothing at this address",
          hint: "open / for the page",
        };
        return send(request, response, 404, refusalAnswer(missing));
      }
      send(request, response, 200, found);
      if (url.pathname === "/picture.png" && request.method === "GET") {
        lookAhead(readWantedPicture(url.searchParams, source));
      }
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal.status === 500) options.onBug(error);
      if (refusal.status === 503) response.setHeader("Retry-After", "1");
      send(request, response, refusal.status, refusalAnswer(refusal));
    }
  }

  const server = createServer((request, response) => void handle(request, response));
  server.maxConnections = 100;
  await listen(server, options.port);
  server.on("error", options.onBug); // a connection that cannot be taken ends no other
  port = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${port}/`,
    get pictureBytes() {
      return painter.bytes;
    },
    close: async () => {
      closed = true;
      const ended = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await ended;
      await lanes.ended(); // what is being read ends before its files are closed
    },
  };
}

function listen(server: ReturnType<typeof createServer>, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "another program has it" : error.message;
      reject(
        new ClimaxError(
          "config",
          `cannot listen on port ${port} of 127.0.0.1: ${why}`,
          "leave --port out for any free one, or choose one above 1023",
          { cause: error },
        ),
      );
    });
    server.listen(port, "127.0.0.1", resolve);
  });
}

/**
 * What is not answered whatever it asks for. The Host header is checked so that a name of somebody else's that
 * resolves to this machine is not served (DNS rebinding).
 */
function refuse({ method, headers, url }: IncomingMessage, port: number): Refusal | undefined {
  const own = port === 80 ? ["127.0.0.1", "localhost"] : [`127.0.0.1:${port}`, `localhost:${port}`];
  if (!own.includes(headers.host?.toLowerCase() ?? "")) {
    return {
      status: 403,
      error: "this server answers only to its own address",
      hint: `open http://127.0.0.1:${port}/ on the machine it runs on`,
    };
  }
  // Browsers say where a request comes from: pages elsewhere may link to the page, and ask for nothing more, be it a
  // picture in a hidden frame, which nobody would see but this machine would draw.
  const from = headers["sec-fetch-site"];
  const isLink = headers["sec-fetch-mode"] === "navigate" && url?.split("?")[0] === "/";
  if ((from === "cross-site" || from === "same-site") && !isLink) {
    return {
      status: 403,
      error: "this server does not answer to other pages",
      hint: `open http://127.0.0.1:${port}/ itself`,
    };
  }
  if (method !== "GET" && method !== "HEAD") {
    return { status: 405, error: `${method} is not answered here`, hint: "only GET and HEAD are" };
  }
  return undefined;
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof TooBusy) {
    return { status: 503, error: "too much is asked for at once", hint: "try again in a second" };
  }
  if (error instanceof ClimaxError) {
    const status = error.kind === "config" ? 400 : 422; // asked wrongly; cannot be read
    return { status, error: error.message, hint: error.hint };
  }
  return {
    status: 500,
    error: "this is a bug in climax",
    hint: "the terminal that climax view runs in says where; the other fields can still be viewed",
  };
}

const refusalAnswer = ({ error, hint }: Refusal): Answer => ({
  type: "application/json; charset=utf-8",
  body: JSON.stringify({ error, hint }),
});

function send(
  { method }: IncomingMessage,
  response: ServerResponse,
  status: number,
  { type, body }: Answer,
): void {
  response.writeHead(status, { ...headers, "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
  response.end(method === "HEAD" ? undefined : body);
}
