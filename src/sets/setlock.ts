// Who is at work: a file names the process that writes a set, or makes a part of it. A second one would take what the
// first is writing for what a killed one has left.
import { randomBytes } from "node:crypto";
import { link, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { ClimaxError } from "../errors.ts";

/** Seconds between two signs of life: the file's time is set anew. */
const beat = 10;

/** Seconds after which a process of another machine is taken for dead that has given no sign of life. */
const usualPatience = 60;

/** Seconds in which whoever made a lock has written into it. */
const writing = 2;

/** What this process holds. */
export interface Hold {
  /** No other hold has it. */
  readonly token: string;
  release(): Promise<void>;
}

/** Another process that holds it. */
export interface Holder {
  /** "process 12", and of another machine "process 12 on node7". */
  readonly who: string;
  /** Known to be alive: its process is there, or it gave a sign of life while it was watched. */
  readonly alive: boolean;
}

export interface Locks {
  /**
   * Makes the file `path`, which names this process. Where another has made it that lives, or may live, says which;
   * ask again later. The file of a process that is no more, as SIGKILL leaves it, is taken over.
   *
   * @param onDead  told the token of a dead one, before its hold is this one's
   */
  take(path: string, onDead?: OnDead): Promise<Hold | Holder>;
}

type OnDead = (token: string) => Promise<unknown>;

export const isHold = (got: Hold | Holder): got is Hold => "release" in got;

/** @param patience  seconds without a sign of life after which a process of another machine is dead */
export function locks(patience = usualPatience): Locks {
  const watched = new Map<string, { sign: string; since: number; alive: boolean }>();

  /** Whether a lock has stayed as it is for so many seconds while this process looked. */
  const still = (path: string, sign: string, seconds: number): boolean => {
    const before = watched.get(path);
    const now = performance.now();
    if (before?.sign === sign) return now - before.since >= 1000 * seconds;
    watched.set(path, { sign, since: now, alive: before !== undefined });
    return false;
  };

  /** Gives who is removing it already. */
  type Remove = (path: string, text: string, token: string) => Promise<Holder | undefined>;

  async function take(path: string, onDead: OnDead | undefined, remove: Remove): Promise<Hold | Holder> {
    const token = randomBytes(4).toString("hex");
    for (;;) {
      const text = await readFile(path, "utf8").catch(unlessGone);
      const found = text === undefined ? undefined : await stat(path).catch(unlessGone);
      if (text === undefined || !found) {
        const own = await make(path, token);
        if (own) return own;
        continue;
      }
      const { pid, host, token: theirs } = parse(text);
      // One that died while it wrote has left the beginning of a name; node1 is not the beginning of node10.
      const here = theirs === undefined ? hostname().startsWith(host) : hostname() === host;
      const sign = `${text} ${found.mtimeMs}`;
      const dead =
        text === ""
          ? still(path, sign, Math.min(writing, patience))
          : here
            ? pid === process.pid || !isAlive(pid)
            : still(path, sign, patience);
      if (!dead) {
        const alive = text !== "" && (here || watched.get(path)?.alive === true);
        return { who: here ? `process ${pid}` : `process ${pid} on ${host}`, alive };
      }
      if (theirs !== undefined) await onDead?.(theirs);
      const other = await remove(path, text, token);
      if (other) return other;
    }
  }

  /** Of several that find a dead one's lock a second one would remove what the first has made in its place. */
  const inTurn: Remove = async (path, text) => {
    const turn = await take(`${path}.turn`, undefined, takeAway);
    if (!isHold(turn)) return turn;
    try {
      if ((await readFile(path, "utf8").catch(unlessGone)) === text) await rm(path, { force: true });
    } finally {
      await turn.release();
    }
    return undefined;
  };

  return { take: (path, onDead) => take(path, onDead, inTurn) };
}

interface HoldOptions {
  /** Seconds to wait for another process that is at it. */
  wait?: number;
  /** As `locks` has it. */
  patience?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Told once, when it is not known at once whether the other lives, or is to be waited for. */
  onWait?: ((text: string) => void) | undefined;
}

/**
 * Writes TARGET.lock, which names this process, and gives what removes it.
 *
 * @param target  its folder exists
 * @throws ClimaxError (data) when another process is at it
 */
export async function holdSet(
  target: string,
  { wait = 0, patience, signal, onWait }: HoldOptions = {},
): Promise<() => Promise<void>> {
  const { take } = locks(patience);
  const until = performance.now() + 1000 * wait;
  for (let said = false; ; said = true) {
    const got = await take(`${target}.lock`);
    if (isHold(got)) return got.release;
    if (got.alive && performance.now() >= until) refuseHeld(target, got);
    if (!said) onWait?.(`${target} may be being written by ${got.who}; waiting to see whether it is`);
    signal?.throwIfAborted();
    await sleep(200);
  }
}

function refuseHeld(target: string, { who }: Holder): never {
  throw new ClimaxError(
    "data",
    `${target} is being written by ${who}`,
    "wait until it has ended, or choose another folder with --output",
  );
}

/** Makes the lock, of which there is one; undefined where there is one already. */
async function make(path: string, token: string): Promise<Hold | undefined> {
  try {
    const handle = await open(path, "wx");
    await handle.writeFile(`${process.pid} ${hostname()} ${token}\n`).finally(() => handle.close());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return undefined;
    throw error;
  }
  const isOwn = async () => parse((await readFile(path, "utf8").catch(unlessGone)) ?? "").token === token;
  // A disk that stood still between the two: another has taken the empty file for a dead one's.
  if (!(await isOwn())) return undefined;
  const live = async () => {
    const now = new Date();
    if (await isOwn()) await utimes(path, now, now);
    else clearInterval(timer);
  };
  // A sign that fails to be given is followed by others.
  const timer = setInterval(() => void live().catch(() => undefined), 1000 * beat).unref();
  const release = async () => {
    clearInterval(timer);
    if (await isOwn()) await rm(path, { force: true });
  };
  return { token, release };
}

/** Removes the lock `.turn` of one that died while it had it, unless another process has taken it over meanwhile. */
async function takeAway(path: string, text: string, token: string): Promise<undefined> {
  const aside = `${path}.${token}`;
  await rename(path, aside).catch(unlessGone);
  const moved = await readFile(aside, "utf8").catch(unlessGone);
  if (moved !== undefined && moved !== text) await link(aside, path).catch(() => undefined); // it is alive
  await rm(aside, { force: true });
}

function parse(text: string): { pid: number; host: string; token: string | undefined } {
  const [pid = "", host = "", token] = text.trimEnd().split(" ");
  return { pid: Number(pid || Number.NaN), host, token };
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0); // signal 0 is sent to nobody
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // another user's
  }
}

function unlessGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT" && error.code !== "ESTALE") throw error;
}
