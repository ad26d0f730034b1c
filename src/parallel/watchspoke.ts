// The watch of every rank but 0: keeps a connection to rank 0's, comes back when it breaks, and finds out whether rank 0
// is lost.
import { connect, type Socket } from "node:net";
import { hasEnded } from "./place.ts";
import { hearing, type Station } from "./watchhub.ts";
import {
  codeOf,
  type End,
  isObject,
  type Kept,
  type Limits,
  listen,
  type Member,
  type Report,
  type Status,
  send,
  type Verdict,
} from "./watchmessages.ts";

/** Where rank 0 listens. */
export interface Rendezvous {
  /** Any of these may be the one that can be reached from a host. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly token: string;
}

/** Between the attempts at one address and the next, and between rounds, ms. */
const pace = { next: 100, round: 100 };

/** Rounds in which every address of rank 0 refuses: its host lives, and nobody listens there any more. */
const refusals = 3;

/**
 * Connects to rank 0, and stays connected.
 *
 * @param members  all ranks
 * @throws Error that says what happened at each address, where none could be reached in time
 */
export async function openSpoke(
  members: readonly Member[],
  rank: number,
  { addresses, port, token }: Rendezvous,
  limits: Limits,
  onVerdict: (verdict: Verdict) => void,
): Promise<Station> {
  const [hub, here] = [members[0]!, members[rank]!];
  const report: { -readonly [K in keyof Report]: Report[K] } = {};
  let kept: Kept | undefined;
  let verdict: Verdict | undefined;
  let socket: Socket | undefined;
  let quiet = 0;
  let closed = false;
  let released = false;
  const waiting: (() => void)[] = [];
  const settle = (): void => {
    if (verdict || released) for (const resolve of waiting.splice(0)) resolve();
  };

  const decide = (given: Verdict): void => {
    if (verdict || released) return;
    verdict = given;
    onVerdict(given);
    report.heard = true;
    send(socket, report);
    settle();
  };
  const lose = (end: End): void => {
    const losses = [{ rank: 0, end }];
    decide({ losses, code: codeOf(losses) });
  };
  const hear = (status: Status): void => {
    quiet = 0;
    if (status.kept && status.kept.at > (kept?.at ?? 0)) kept = status.kept;
    if (status.released === true) released = true;
    if (status.verdict) decide(status.verdict);
    settle();
  };

  /** Tries all addresses, one soon after the other; the first that answers is taken. */
  const round = (): Promise<Socket | string[]> =>
    new Promise((resolve) => {
      const failures: string[] = [];
      const attempts: Socket[] = [];
      const timers = addresses.map((address, i) => setTimeout(() => attempt(address), i * pace.next));
      const attempt = (address: string): void => {
        const mine = connect({ host: address, port });
        attempts.push(mine);
        let why = "closed without an answer";
        mine.setTimeout(limits.reconnect, () => mine.destroy(new Error("no answer")));
        mine.setNoDelay(true);
        mine.once("connect", () => send(mine, { token, rank }));
        mine.on("error", (error: NodeJS.ErrnoException) => (why = error.code ?? error.message));
        mine.once("close", () => {
          failures.push(`${address} ${why}`);
          if (failures.length === addresses.length) resolve(failures);
        });
        listen(mine, (message) => {
          if (!isObject(message)) return;
          if (closed) mine.destroy();
          else if (socket === undefined) {
            socket = mine;
            mine.setTimeout(0);
            timers.forEach(clearTimeout);
            for (const other of attempts) if (other !== mine) other.destroy();
            resolve(mine);
          }
          if (socket === mine) hear(message);
        });
      };
    });

  /** Tries until there is a connection, or until this time (of performance.now()); says what went wrong. */
  const reach = async (until = Number.POSITIVE_INFINITY): Promise<string[]> => {
    const again = until === Number.POSITIVE_INFINITY;
    for (let refused = 1; ; refused++) {
      if (again && hub.processes === here.processes && hasEnded(hub.pid)) lose({ kind: "gone" });
      if (closed || verdict) return [];
      const reached = await round();
      if (!Array.isArray(reached)) {
        reached.once("close", () => {
          socket = undefined;
          if (!closed && !released && !verdict) void reach();
        });
        send(reached, report);
        return [];
      }
      if (performance.now() > until) return reached;
      if (!reached.every((why) => why.endsWith("ECONNREFUSED"))) refused = 0;
      // At the start a refusal may also come from a firewall: the caller reports it.
      if (again && refused >= refusals) lose({ kind: "gone" });
      await new Promise((resolve) => setTimeout(resolve, pace.round));
    }
  };

  let last = performance.now();
  const beat = setInterval(() => {
    const now = performance.now();
    const elapsed = Math.min(now - last, 2 * limits.beat); // as in the hub
    last = now;
    quiet += elapsed;
    send(socket, report);
    setImmediate(() => {
      if (quiet >= limits.silence) lose({ kind: "silent", seconds: quiet / 1000 });
      // Every `reconnect` of silence: a firewall may have forgotten the connection, and a new one would go through.
      else if (quiet >= limits.reconnect && quiet % limits.reconnect < elapsed) socket?.destroy();
    });
  }, limits.beat);
  const close = (): void => {
    closed = true;
    clearInterval(beat);
    socket?.destroy();
  };

  const failures = await reach(performance.now() + limits.join);
  if (failures.length > 0) {
    close();
    throw new Error(failures.join(", "));
  }
  return {
    get kept() {
      return kept;
    },
    get verdict() {
      return verdict;
    },
    keep: (news) => {
      kept = report.kept = news;
      send(socket, report);
    },
    end: (end) =>
      new Promise((resolve) => {
        report.end = end;
        send(socket, report);
        waiting.push(resolve);
        setTimeout(resolve, 2 * hearing); // for the others first
        settle();
      }),
    hasten: () => {
      const kind = quiet >= limits.silence / 2 ? "silent" : "broke"; // silence makes it close a connection itself
      if (!socket) lose({ kind, seconds: quiet / 1000 });
    },
    leave: () =>
      new Promise((resolve) => {
        report.done = true;
        send(socket, report);
        waiting.push(resolve);
        settle();
      }),
    close,
  };
}
