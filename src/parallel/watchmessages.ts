// What the watches of the ranks tell one another over TCP: lines of JSON that say how things stand, so that any of them
// may be lost or come twice.
import type { Socket } from "node:net";

/** A rank, as all others know it. */
export interface Member {
  readonly rank: number;
  readonly host: string;
  readonly pid: number;
  /** Equal where its process id means something: `Place.processes`. */
  readonly processes: string;
}

/** How a rank ended before the run did. */
export type End =
  /** It said so itself: `World.fail`, or an exception that nothing caught. */
  | { readonly kind: "failed"; readonly message: string; readonly code: number }
  /** It said that it exits, with this code, and the run was not over. */
  | { readonly kind: "exited"; readonly code: number }
  /** It said that it was asked to end, and nobody there had anything to finish. */
  | { readonly kind: "terminated" }
  /** Its process is not there any more. */
  | { readonly kind: "gone" }
  /** It closed its connection and did not come back for so long, seconds. */
  | { readonly kind: "broke"; readonly seconds: number }
  /** No word from it for so long, seconds. */
  | { readonly kind: "silent"; readonly seconds: number };

export interface Loss {
  readonly rank: number;
  readonly end: End;
}

/** Why the run ends now, on every rank, and with which exit code. */
export interface Verdict {
  readonly losses: readonly Loss[];
  readonly code: number;
}

/** A checkpoint and when it was told of (ms since 1970): the newest counts. */
export interface Kept {
  readonly path: string;
  readonly at: number;
}

/** The first line on a connection, from the rank that makes it. */
export interface Hello {
  readonly token: string;
  readonly rank: number;
}

/** Of a rank to rank 0. */
export interface Report {
  readonly kept?: Kept;
  /** Its last words. */
  readonly end?: End;
  /** It has left in good order. */
  readonly done?: boolean;
  /** It knows of the verdict. */
  readonly heard?: boolean;
}

/** Of rank 0 to a rank. */
export interface Status {
  readonly kept?: Kept;
  readonly verdict?: Verdict;
  /** It is known that the rank has left. */
  readonly released?: boolean;
}

/** Times, milliseconds. */
export interface Limits {
  /** Between two words of a rank. */
  readonly beat: number;
  /** Without any word a rank counts as lost. */
  readonly silence: number;
  /** So long may a rank whose connection was closed take to come back. */
  readonly reconnect: number;
  /** So long may a rank try to reach rank 0 at the start. */
  readonly join: number;
}

/**
 * All ranks are to have ended 30 s after one is lost. 20 s of silence leave 10 s to tell the others and for them to end,
 * and are forty times what a thread that does nothing else waits for a core on a machine with ten times as many busy
 * threads as cores.
 */
export const usualLimits: Limits = { beat: 1000, silence: 20_000, reconnect: 5000, join: 10_000 };

/** EX_TEMPFAIL of sysexits.h: another try may well succeed. What a run ends with that has lost a rank. */
export const lostRankCode = 75;

/** What a run ends with that these losses end. What a rank said of itself counts before what was found out. */
export function codeOf(losses: readonly Loss[]): number {
  for (const { end } of losses) {
    if (end.kind === "failed") return end.code;
    if (end.kind === "exited") return end.code === 0 ? 1 : end.code; // to leave the others alone is a bug
  }
  return losses.every(({ end }) => end.kind === "terminated") ? 143 : lostRankCode;
}

/** Sends a message, where the connection still takes any. */
export function send(socket: Socket | undefined, message: Hello | Report | Status): void {
  if (socket?.writable) socket.write(`${JSON.stringify(message)}\n`);
}

/** Bytes of one line at most, and of last words in it. */
const longestLine = 2 ** 20;
const longestWords = 8192;

/** Last words of a length that fits a line. */
export const shortened = (text: string): string =>
  text.length > longestWords ? `${text.slice(0, longestWords)} ...` : text;

/** Calls `hear` with each message. What is no message, or longer than one may be, destroys the connection. */
export function listen(socket: Socket, hear: (message: unknown) => void): void {
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    try {
      if (rest.length > longestLine) throw new Error("a line without an end");
      for (const line of lines) if (!socket.destroyed) hear(JSON.parse(line));
    } catch {
      socket.destroy(); // whoever speaks here does not belong to the run
    }
  });
}

/** Whether a message is an object: all others have no fields to look at. */
export const isObject = (message: unknown): message is Record<string, unknown> =>
  typeof message === "object" && message !== null;
