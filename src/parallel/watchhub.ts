// The watch of rank 0: every other rank keeps a connection to it. It finds out who is lost and tells the rest.
import { randomBytes, timingSafeEqual } from "node:crypto";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { hasEnded } from "./place.ts";
import {
  codeOf,
  type End,
  type Hello,
  isObject,
  type Kept,
  type Limits,
  type Loss,
  listen,
  type Member,
  type Report,
  send,
  type Verdict,
} from "./watchmessages.ts";

/** What a watch does for its rank, whichever it is. */
export interface Station {
  readonly kept: Kept | undefined;
  readonly verdict: Verdict | undefined;
  /** Its rank tells of a checkpoint. */
  keep(kept: Kept): void;
  /** Its rank ends, and the run with it; fulfilled when all others that can hear it have. */
  end(end: End): Promise<void>;
  /** Its rank was asked to end: who has closed a connection, or was long silent, will hardly come back. */
  hasten(): void;
  /** Its rank leaves in good order; fulfilled when nobody waits for it any more. */
  leave(): Promise<void>;
  close(): void;
}

export interface Hub extends Station {
  /** Where it listens: "127.0.0.1" or "::1", or "::" or "0.0.0.0", which stand for all addresses. */
  readonly address: string;
  readonly port: number;
  /** What ranks show when they connect: 32 bytes, hexadecimal. */
  readonly token: string;
}

interface Watched extends Member {
  socket: Socket | undefined;
  /** Since its last word, ms. */
  quiet: number;
  /** Since its connection was closed, ms; undefined while there is one, and before the first. */
  broken: number | undefined;
  done: boolean;
  heard: boolean;
}

/** Time for all to hear why the run ends, ms: whoever has not by then is lost too. */
export const hearing = 1500;

/** Who connects and says nothing to the point: so long, so many bytes, so many at a time. */
const stranger = { time: 5000, bytes: 512, most: 64 };

/**
 * Listens, on all interfaces or on loopback alone. `onVerdict` is called once, when the others are being told.
 *
 * @param members  all ranks
 */
export async function openHub(
  members: readonly Member[],
  loopback: boolean,
  limits: Limits,
  onVerdict: (verdict: Verdict) => void,
): Promise<Hub> {
  const token = randomBytes(32).toString("hex");
  const here = members[0]!;
  const watched = members.slice(1).map((member): Watched => {
    return { ...member, socket: undefined, quiet: 0, broken: undefined, done: false, heard: false };
  });
  let kept: Kept | undefined;
  let verdict: Verdict | undefined;
  let leaving = false;
  let heard = false;
  const waiting: (() => void)[] = [];

  const isLost = ({ rank }: Member): boolean => verdict?.losses.some((loss) => loss.rank === rank) ?? false;
  const tell = (member: Watched): void => {
    // Whoever ends the run by its last words exits next, and launchers then end all others: these hear of it first.
    const why = verdict && (heard || !isLost(member)) ? { verdict } : {};
    send(member.socket, { ...(kept && { kept }), ...why, ...(member.done && { released: true }) });
  };
  const release = (): void => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  const allHeard = (): void => {
    if (heard) return;
    heard = true;
    for (const member of watched) tell(member);
    release();
  };
  /** Everybody has heard the verdict, or left. */
  const settle = (): void => {
    if (verdict) {
      if (watched.every((member) => member.done || member.heard || isLost(member))) allHeard();
    } else if (leaving && watched.every(({ done }) => done)) release();
  };

  /** What must have become of a rank, now that the run ends in any case. */
  const suspected = ({ rank, done, pid, processes, quiet, broken }: Watched): Loss[] => {
    if (done) return [];
    if (processes === here.processes && hasEnded(pid)) return [{ rank, end: { kind: "gone" } }];
    if (broken !== undefined) return [{ rank, end: { kind: "broke", seconds: broken / 1000 } }];
    return quiet >= limits.silence / 2 ? [{ rank, end: { kind: "silent", seconds: quiet / 1000 } }] : [];
  };

  /** The run ends; who is lost beside the one that was noticed belongs to the same blow. */
  const judge = (first: Loss): void => {
    if (verdict) return;
    const losses = [first, ...watched.filter(({ rank }) => rank !== first.rank).flatMap(suspected)];
    verdict = { losses, code: codeOf(losses) };
    for (const member of watched) tell(member);
    onVerdict(verdict);
    setTimeout(allHeard, hearing);
    settle();
  };

  const look = (member: Watched): void => {
    const { rank, done, pid, processes, quiet, broken } = member;
    if (done || verdict) return;
    if (broken !== undefined && processes === here.processes && hasEnded(pid))
      judge({ rank, end: { kind: "gone" } });
    else if (broken !== undefined && broken >= limits.reconnect)
      judge({ rank, end: { kind: "broke", seconds: broken / 1000 } });
    else if (quiet >= limits.silence) judge({ rank, end: { kind: "silent", seconds: quiet / 1000 } });
  };

  const hear = (member: Watched, report: Report): void => {
    member.quiet = 0;
    const news = report.kept !== undefined && report.kept.at > (kept?.at ?? 0);
    if (news) kept = report.kept;
    if (report.heard === true) member.heard = true;
    if (report.done === true) member.done = true;
    if (report.end) judge({ rank: member.rank, end: report.end });
    if (news) for (const other of watched) tell(other);
    else if (report.done === true) tell(member);
    settle();
  };

  const admit = (member: Watched, socket: Socket): void => {
    const before = member.socket;
    Object.assign(member, { socket, broken: undefined, quiet: 0 });
    before?.destroy(); // it came back before its old connection was seen to break
    tell(member);
    socket.on("close", () => {
      if (member.socket !== socket) return;
      Object.assign(member, { socket: undefined, broken: 0 });
      look(member);
    });
  };

  let strangers = 0;
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => undefined); // "close" follows
    if (strangers >= stranger.most) {
      socket.destroy();
      return;
    }
    strangers++;
    let member: Watched | undefined;
    const known = (): void => {
      strangers--;
      clearTimeout(late);
    };
    const late = setTimeout(() => socket.destroy(), stranger.time);
    const count = (): void => {
      if (member === undefined && socket.bytesRead > stranger.bytes) socket.destroy();
    };
    socket.on("data", count);
    socket.once("close", () => {
      if (member === undefined) known();
    });
    listen(socket, (message) => {
      if (member) {
        if (isObject(message)) hear(member, message);
        return;
      }
      const rank = isHello(message, token) ? message.rank : 0;
      const found = watched[rank - 1];
      if (found === undefined || isLost(found)) {
        socket.destroy();
        return;
      }
      known();
      member = found;
      admit(found, socket);
    });
  });
  await listening(server, loopback);
  const { address, port } = server.address() as AddressInfo;

  let last = performance.now();
  const beat = setInterval(() => {
    const now = performance.now();
    // Of a time in which this thread stood still (a stopped job) it cannot be told who was silent.
    const elapsed = Math.min(now - last, 2 * limits.beat);
    last = now;
    for (const member of watched) {
      tell(member);
      member.quiet += elapsed;
      if (member.broken !== undefined) member.broken += elapsed;
    }
    setImmediate(() => watched.forEach(look)); // after what has arrived meanwhile
  }, limits.beat);

  return {
    ...{ address, port, token },
    get kept() {
      return kept;
    },
    get verdict() {
      return verdict;
    },
    keep: (news) => {
      kept = news;
      for (const member of watched) tell(member);
    },
    end: (end) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        if (heard) release();
        else judge({ rank: 0, end });
      }),
    hasten: () => {
      const first = watched.flatMap(suspected)[0];
      if (first) judge(first);
    },
    leave: () =>
      new Promise((resolve) => {
        leaving = true;
        waiting.push(resolve);
        settle();
      }),
    close: () => {
      clearInterval(beat);
      server.close();
      for (const { socket } of watched) socket?.destroy();
    },
  };
}

function isHello(message: unknown, token: string): message is Hello {
  if (!isObject(message) || typeof message.token !== "string" || !Number.isInteger(message.rank))
    return false;
  const [shown, wanted] = [Buffer.from(message.token), Buffer.from(token)];
  return shown.length === wanted.length && timingSafeEqual(shown, wanted);
}

/** Listens at a port that the system chooses. */
async function listening(server: Server, loopback: boolean): Promise<void> {
  const at = (host: string) =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port: 0 }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  // "::" takes IPv4 too, where the host has IPv6 at all; a host may have only one of the two.
  const [first, second] = loopback ? ["127.0.0.1", "::1"] : ["::", "0.0.0.0"];
  await at(first!).catch(() => at(second!));
}
