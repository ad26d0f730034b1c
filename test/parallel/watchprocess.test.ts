import { type ChildProcess, fork } from "node:child_process";
import { afterEach, expect, test } from "vitest";
import type { Limits, Member } from "../../src/parallel/watchmessages.ts";
import type { Rendezvous } from "../../src/parallel/watchspoke.ts";
import { builtScript } from "../support/builtclimax.ts";
import type { Act, ToChild } from "../support/watchchild.ts";

// Silence of 1.5 s instead of 20 s; threads of several processes may wait for a core in that time.
const limits: Limits = { beat: 100, silence: 1500, reconnect: 700, join: 20_000 };

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly err: string;
}
interface Rank {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly ended: Promise<Ended>;
  act(act: Act): void;
}

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

/** `n` processes that watch over one another. */
async function startRanks(n: number): Promise<Rank[]> {
  /** The next message; one that ends instead says so, not the test's limit of time. */
  const heard = <T>(child: ChildProcess): Promise<T> =>
    new Promise((resolve, reject) => {
      const end = (code: number | null): void =>
        reject(new Error(`a rank ended (${code}) instead of answering`));
      child.once("exit", end);
      child.once("message", (message) => {
        child.off("exit", end);
        resolve(message as T);
      });
    });
  const ranks = await Promise.all(
    Array.from({ length: n }, async (_, rank): Promise<Rank> => {
      const child = fork(builtScript("watchchild"), [String(rank), JSON.stringify(limits)], {
        ...{ execArgv: [], stdio: ["ignore", "ignore", "pipe", "ipc"] },
      });
      started.push(child);
      let err = "";
      child.stderr!.on("data", (data: Buffer) => (err += data.toString()));
      const ended = new Promise<Ended>((resolve) =>
        child.once("close", (code, signal) => resolve({ code, signal, err })),
      );
      const { pid } = await heard<{ pid: number }>(child);
      return { child, pid, ended, act: (act) => child.send({ act } satisfies ToChild) };
    }),
  );
  const members = ranks.map(({ pid }, rank): Member => ({ rank, host: "here", pid, processes: "here" }));
  const say = <T>({ child }: Rank, message: ToChild): Promise<T> => {
    const answer = heard<T>(child);
    child.send(message);
    return answer;
  };
  const { at } = await say<{ at: Rendezvous }>(ranks[0]!, { members });
  await Promise.all(ranks.slice(1).map((rank) => say(rank, { members, rendezvous: at })));
  ranks[0]!.act("keep");
  await new Promise((resolve) => setTimeout(resolve, 2 * limits.beat));
  return ranks;
}

const whole =
  /^climax: .*\. Rank \d on here therefore ends too, with exit code \d+\. The last good checkpoint is runs\/toy\/last\.safetensors: the same command with --resume goes on from it\.\n$/;

test("a rank that is killed ends the others, whose main threads compute or hang", async () => {
  const [zero, one, two] = await startRanks(3);
  zero!.act("spin");
  two!.act("hang");
  await new Promise((resolve) => setTimeout(resolve, limits.silence)); // to be busy is no loss
  expect([zero!.child.exitCode, two!.child.exitCode]).toEqual([null, null]);
  one!.child.kill("SIGKILL");
  for (const { ended } of [zero!, two!]) {
    const { code, err } = await ended;
    expect(code).toBe(75);
    expect(err).toMatch(whole);
    expect(err).toContain(
      `rank 1 of 3 on here (pid ${one!.pid}) is lost: the process ended without a last word`,
    );
  }
});

test("rank 0, stopped, is missed; awake again, it ends too", async () => {
  const [zero, one, two] = await startRanks(3);
  zero!.child.kill("SIGSTOP");
  const others = await Promise.all([one!.ended, two!.ended]);
  zero!.child.kill("SIGCONT");
  for (const { code, err } of others) {
    expect(code).toBe(75);
    expect(err).toMatch(whole);
    expect(err).toMatch(/^climax: rank 0 of 3 .* is lost: no word for 1\.\d s/);
  }
  expect((await zero!.ended).code).toBe(75);
});

test.for([
  ["throw", 1, 1, "cannot go on: a bug of ours. "],
  ["exit", 3, 3, "ended with exit code 3 while the run was not over. "],
  ["fail", 2, 2, "cannot go on: no space left. "],
] as const)("a rank's last words reach the other: %s", async ([act, own, code, words]) => {
  const [zero, one] = await startRanks(2);
  zero!.act("hang");
  one!.act(act);
  const [other, self] = await Promise.all([zero!.ended, one!.ended]);
  expect(other).toMatchObject({ code, err: expect.stringMatching(whole) as string });
  expect(other.err).toContain(`climax: rank 1 of 2 on here (pid ${one!.pid}) ${words}Rank 0`);
  expect(self.code).toBe(own);
  expect(self.err).not.toContain("therefore");
});

test("SIGTERM, which nobody handles, ends the run; to a rank that hears of a loss it is none of its own", async () => {
  const [zero, one] = await startRanks(2);
  one!.child.kill("SIGTERM");
  const [other, self] = await Promise.all([zero!.ended, one!.ended]);
  expect(self).toEqual({ code: 143, signal: null, err: "" });
  expect(other).toMatchObject({ code: 143, err: expect.stringMatching(whole) as string });
  expect(other.err).toContain("was asked to end (SIGTERM). ");
});

test("ranks leave in good order, whatever the others still do", async () => {
  const [zero, one, two] = await startRanks(3);
  one!.act("leave");
  zero!.act("leave");
  two!.act("finish");
  const ends = await Promise.all([zero!, one!, two!].map(({ ended }) => ended));
  expect(ends).toEqual(Array(3).fill({ code: 0, signal: null, err: "" }));
});
