/**
 * A rank's process with a watch and nothing else: told by its parent where rank 0 listens, then what to do. RANK, LIMITS
 * (JSON).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { startWatch } from "../../src/parallel/watch.ts";
import type { Limits, Member } from "../../src/parallel/watchmessages.ts";
import type { Rendezvous } from "../../src/parallel/watchspoke.ts";

export type ToChild =
  | { readonly members: readonly Member[]; readonly rendezvous?: Rendezvous }
  | { readonly act: Act };
/** What a rank does, once all have joined. */
export type Act = "wait" | "spin" | "hang" | "keep" | "throw" | "exit" | "fail" | "leave" | "finish";

const rank = Number(process.argv[2]);
const watch = startWatch(rank, JSON.parse(process.argv[3]!) as Limits);
await watch.prepare(undefined);
const tell = (word: object): void => void process.send!(word);

const acts: Record<Act, () => unknown> = {
  wait: () => undefined,
  /** Computes for a minute without a pause. */
  spin: () => {
    for (const end = Date.now() + 60_000; Date.now() < end; ) Math.sqrt(2);
  },
  /** Waits for ever, as in a call of MPI on this thread. */
  hang: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  keep: () => watch.keep("runs/toy/last.safetensors"),
  throw: () => {
    setTimeout(() => {
      throw new Error("a bug of ours");
    });
  },
  exit: () => process.exit(3),
  fail: async () => {
    await watch.end({ kind: "failed", message: "no space left", code: 2 }, 2);
    process.stderr.write("my own error\n");
    process.exit(2);
  },
  leave: async () => {
    await watch.leave();
    process.disconnect();
  },
  /** Is busy for longer than silence would be borne, then leaves in good order. */
  finish: async () => {
    for (const end = Date.now() + 2000; Date.now() < end; ) Math.sqrt(2);
    await sleep(100);
    await watch.leave();
    process.disconnect();
  },
};

process.on("message", (message: ToChild) => {
  if ("act" in message) {
    // Only what is meant to be unhandled is.
    void acts[message.act]();
    return;
  }
  const { members, rendezvous } = message;
  if (rendezvous) void watch.join(members, rendezvous).then(() => tell({ joined: true }));
  else void watch.open(members, true).then((at) => tell({ at: { ...at, addresses: ["127.0.0.1"] } }));
});
tell({ pid: process.pid });
