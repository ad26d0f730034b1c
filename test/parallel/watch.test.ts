import { spawnSync } from "node:child_process";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { hasEnded, ownAddresses } from "../../src/parallel/place.ts";
import { type Hub, openHub, type Station } from "../../src/parallel/watchhub.ts";
import type { Limits, Member, Verdict } from "../../src/parallel/watchmessages.ts";
import { openSpoke, type Rendezvous } from "../../src/parallel/watchspoke.ts";
import { lastWords } from "../../src/parallel/watchwords.ts";

// A thirtieth of the usual times. All watches here share one thread, so a busy machine slows down all alike.
const limits: Limits = { beat: 30, silence: 600, reconnect: 150, join: 500 };

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** The id of a process that has ended. */
const deadPid = (): number => spawnSync("true").pid;

/** `n` ranks on this host, or with other process ids, on hosts of their own. */
const ranks = (n: number, pids: Record<number, number> = {}, hosts = "here"): Member[] =>
  Array.from({ length: n }, (_, rank) => ({
    ...{ rank, host: `node${rank}`, pid: pids[rank] ?? process.pid },
    processes: hosts === "here" ? "here" : `of node${rank}`,
  }));

interface Watches {
  readonly hub: Hub;
  readonly spokes: readonly Station[];
  readonly at: Rendezvous;
  /** By rank, as far as there is one. */
  readonly verdicts: (Verdict | undefined)[];
}

/** Opens all watches; `through` may lead the connections of a rank elsewhere. */
async function watches(
  members: readonly Member[],
  through: (rank: number, at: Rendezvous) => Rendezvous | Promise<Rendezvous> = (_, at) => at,
): Promise<Watches> {
  const verdicts: (Verdict | undefined)[] = members.map(() => undefined);
  const note = (rank: number) => (verdict: Verdict) => {
    verdicts[rank] = verdict;
  };
  const hub = await openHub(members, true, limits, note(0));
  closing.push(hub.close);
  const at = { addresses: ["127.0.0.1"], port: hub.port, token: hub.token };
  const spokes = await Promise.all(
    members
      .slice(1)
      .map(async ({ rank }) => openSpoke(members, rank, await through(rank, at), limits, note(rank))),
  );
  for (const { close } of spokes) closing.push(close);
  return { hub, spokes, at, verdicts };
}

/** Waits until it is so, for longer than any watch here needs. */
async function until(isSo: () => boolean): Promise<void> {
  const last = performance.now() + 5000;
  while (!isSo() && performance.now() < last) await sleep(5);
  expect(isSo()).toBe(true);
}

/** What stands between a rank and rank 0, and can fail. */
async function proxy(
  port: number,
): Promise<{ port: number; cut: (open: boolean) => void; breakAll: () => void }> {
  const pairs = new Set<[Socket, Socket]>();
  let forwards = true;
  const server: Server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on("data", (data) => forwards && to.write(data));
      from.on("error", () => undefined);
      from.on("close", () => {
        pairs.delete(pair);
        if (forwards) to.destroy(); // nor is the end of a connection heard beyond a cut
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  return {
    port: (server.address() as { port: number }).port,
    cut: (open) => (forwards = !open),
    breakAll: () => {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
    },
  };
}

test("a checkpoint that one rank tells of is known to all; the newest counts", async () => {
  const { hub, spokes } = await watches(ranks(3));
  hub.keep({ path: "a", at: 1 });
  await until(() => spokes.every(({ kept }) => kept?.path === "a"));
  spokes[1]!.keep({ path: "b", at: 2 });
  await until(() => hub.kept?.path === "b" && spokes[0]!.kept?.path === "b");
  await sleep(3 * limits.beat); // they go on telling one another
  expect([hub, ...spokes].map(({ kept }) => kept)).toEqual(Array(3).fill({ path: "b", at: 2 }));
});

test("a rank whose process is gone is lost at once, on all ranks", async () => {
  const { spokes, verdicts } = await watches(ranks(3, { 1: deadPid() }));
  const start = performance.now();
  spokes[0]!.close();
  await until(() => verdicts[0] !== undefined && verdicts[2] !== undefined);
  expect(performance.now() - start).toBeLessThan(limits.reconnect);
  expect(verdicts[0]).toEqual({ losses: [{ rank: 1, end: { kind: "gone" } }], code: 75 });
  expect(verdicts).toEqual([verdicts[0], undefined, verdicts[0]]);
});

test("two ranks that die together are both named", async () => {
  const { spokes, verdicts } = await watches(ranks(4, { 1: deadPid(), 3: deadPid() }));
  spokes[0]!.close();
  spokes[2]!.close();
  await until(() => verdicts[2] !== undefined);
  expect(verdicts[2]!.losses.map(({ rank }) => rank).sort()).toEqual([1, 3]);
});

test("a rank on another host that closes its connection may come back, for a while", async () => {
  const { spokes, verdicts } = await watches(ranks(3, {}, "elsewhere"));
  spokes[0]!.close();
  await sleep(limits.reconnect / 2);
  expect(verdicts).toEqual([undefined, undefined, undefined]);
  await until(() => verdicts[2] !== undefined);
  expect(verdicts[2]).toMatchObject({ losses: [{ rank: 1, end: { kind: "broke" } }], code: 75 });
});

test("asked to end, a watch takes a closed connection for a loss: launchers end all ranks when one dies", async () => {
  const { hub, spokes, verdicts } = await watches(ranks(3, {}, "elsewhere"));
  hub.hasten();
  expect(verdicts[0]).toBeUndefined();
  spokes[0]!.close();
  await until(() => {
    hub.hasten();
    return verdicts[2] !== undefined;
  });
  const [loss] = verdicts[2]!.losses;
  expect(loss).toMatchObject({ rank: 1, end: { kind: "broke" } });
  expect((loss!.end as { seconds: number }).seconds).toBeLessThan(limits.reconnect / 1000);
});

// Again, where a busy machine alone makes it as long as an unhastened loss takes.
test("asked to end, it takes half the usual silence for a loss: launchers notice a lost host too", {
  retry: 3,
}, async () => {
  let between: Awaited<ReturnType<typeof proxy>>;
  const { hub, spokes, verdicts } = await watches(ranks(2, {}, "elsewhere"), async (_, at) => {
    between = await proxy(at.port);
    return { ...at, port: between.port };
  });
  between!.cut(true);
  await until(() => {
    hub.hasten();
    return verdicts[0] !== undefined;
  });
  await until(() => {
    spokes[0]!.hasten();
    return verdicts[1] !== undefined;
  });
  for (const [rank, lost] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const { rank: who, end } = verdicts[rank]!.losses[0]!;
    expect({ who, end }).toMatchObject({ who: lost, end: { kind: "silent" } });
    expect((end as { seconds: number }).seconds).toBeGreaterThanOrEqual(limits.silence / 2000);
    expect((end as { seconds: number }).seconds).toBeLessThan(limits.silence / 1000);
  }
});

test("a connection that breaks while both live is made again", async () => {
  const broken: { breakAll: () => void }[] = [];
  const { hub, spokes, verdicts } = await watches(ranks(2, {}, "elsewhere"), async (_, at) => {
    const between = await proxy(at.port);
    broken.push(between);
    return { ...at, port: between.port };
  });
  for (let i = 0; i < 3; i++) {
    broken[0]!.breakAll();
    hub.keep({ path: `kept ${i}`, at: i + 1 });
    await until(() => spokes[0]!.kept?.path === `kept ${i}`);
  }
  await sleep(2 * limits.reconnect);
  expect(verdicts).toEqual([undefined, undefined]);
});

test("where the network is cut, each side misses the other", async () => {
  let between: Awaited<ReturnType<typeof proxy>>;
  const { verdicts } = await watches(ranks(3, {}, "elsewhere"), async (rank, at) => {
    if (rank === 1) return at;
    between = await proxy(at.port);
    return { ...at, port: between.port };
  });
  await sleep(limits.silence);
  expect(verdicts).toEqual([undefined, undefined, undefined]);
  between!.cut(true);
  await until(() => verdicts.every((verdict) => verdict !== undefined));
  for (const rank of [0, 1])
    expect(verdicts[rank]).toMatchObject({ losses: [{ rank: 2, end: { kind: "silent" } }], code: 75 });
  expect(verdicts[2]).toMatchObject({ losses: [{ rank: 0, end: { kind: "silent" } }], code: 75 });
});

test("a cut that is mended in time is no loss", async () => {
  let between: Awaited<ReturnType<typeof proxy>>;
  const { hub, spokes, verdicts } = await watches(ranks(2, {}, "elsewhere"), async (_, at) => {
    between = await proxy(at.port);
    return { ...at, port: between.port };
  });
  between!.cut(true);
  await sleep(limits.silence / 3);
  between!.cut(false);
  await sleep(2 * limits.silence);
  hub.keep({ path: "after", at: 1 });
  await until(() => spokes[0]!.kept?.path === "after");
  expect(verdicts).toEqual([undefined, undefined]);
});

test("watches that all stood still, as those of a suspended job, do not miss one another", async () => {
  const { hub, spokes, verdicts } = await watches(ranks(3));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * limits.silence);
  await sleep(3 * limits.beat);
  hub.keep({ path: "after", at: 1 });
  await until(() => spokes.every(({ kept }) => kept?.path === "after"));
  expect(verdicts).toEqual([undefined, undefined, undefined]);
});

test("rank 0 itself is missed where its host refuses, long before silence would tell", async () => {
  const { hub, verdicts } = await watches(ranks(3, {}, "elsewhere"));
  const start = performance.now();
  hub.close();
  await until(() => verdicts[1] !== undefined && verdicts[2] !== undefined);
  expect(performance.now() - start).toBeLessThan(limits.silence);
  expect(verdicts[1]).toEqual({ losses: [{ rank: 0, end: { kind: "gone" } }], code: 75 });
  expect(verdicts[2]).toEqual(verdicts[1]);
});

test.for([0, 1])("the last words of rank %i reach the others, with its exit code", async (rank) => {
  const { hub, spokes, verdicts } = await watches(ranks(3));
  await [hub, ...spokes][rank]!.end({ kind: "failed", message: "no space left on /scratch", code: 2 });
  expect(verdicts[2]).toEqual({
    losses: [{ rank, end: { kind: "failed", message: "no space left on /scratch", code: 2 } }],
    code: 2,
  });
  await until(() => verdicts[0] !== undefined);
});

test("ranks that have left are not missed, whatever the others still do", async () => {
  const { hub, spokes, verdicts } = await watches(ranks(3, { 1: deadPid(), 2: deadPid() }));
  await spokes[0]!.leave();
  spokes[0]!.close();
  await sleep(2 * limits.silence);
  const left: string[] = [];
  const first = hub.leave().then(() => left.push("rank 0"));
  await sleep(3 * limits.beat);
  expect(left).toEqual([]); // its watch stays for those who are not done
  await spokes[1]!.leave();
  await first;
  expect(left).toEqual(["rank 0"]);
  hub.close();
  await sleep(limits.silence);
  expect(verdicts).toEqual([undefined, undefined, undefined]);
});

test("whoever connects without the token is shut out and changes nothing", async () => {
  const { hub, spokes, at, verdicts } = await watches(ranks(2));
  const stranger = (said: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(at.port, "127.0.0.1", () => socket.write(said));
      let heard = "";
      socket.on("data", (data) => (heard += data.toString()));
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(heard));
    });
  const end = { kind: "failed", message: "gotcha", code: 0 };
  const answers = await Promise.all([
    stranger("GET / HTTP/1.1\r\n\r\n"),
    stranger(`${JSON.stringify({ token: "0".repeat(64), rank: 1 })}\n${JSON.stringify({ end })}\n`),
    stranger(`${JSON.stringify({ token: at.token, rank: 0 })}\n`),
    stranger(`${JSON.stringify({ token: at.token, rank: 2 })}\n`),
    stranger(`${JSON.stringify({ token: [at.token], rank: 1 })}\n`),
    stranger("null\n"),
    stranger("x".repeat(100_000)),
  ]);
  expect(answers).toEqual(Array(7).fill(""));
  const silent = Array.from({ length: 100 }, () =>
    connect(at.port, "127.0.0.1").on("error", () => undefined),
  );
  for (const socket of silent) closing.push(() => socket.destroy());
  await sleep(2 * limits.beat);
  hub.keep({ path: "still", at: 1 });
  await until(() => spokes[0]!.kept?.path === "still");
  expect(verdicts).toEqual([undefined, undefined]);
});

test("of several addresses of rank 0 the one that answers is taken", async () => {
  const { spokes } = await watches(ranks(2), (_, at) => ({
    ...at,
    addresses: ["127.0.0.3", "not an address", "127.0.0.1", "127.0.0.4"],
  }));
  expect(spokes).toHaveLength(1);
});

test("a rank that cannot reach rank 0 says what happened at each address", async () => {
  const { at } = await watches(ranks(1));
  const nowhere = { ...at, addresses: ["127.0.0.2", "127.0.0.3"] };
  await expect(openSpoke(ranks(2), 1, nowhere, limits, () => undefined)).rejects.toThrow(
    "127.0.0.2 ECONNREFUSED, 127.0.0.3 ECONNREFUSED",
  );
});

test("addresses for others: of all interfaces, without loopback and link-local ones", () => {
  const of = (address: string, family: "IPv4" | "IPv6", internal = false) =>
    ({ ...{ address, family, internal, netmask: "", mac: "", cidr: null }, scopeid: 0 }) as never;
  const both = {
    lo: [of("127.0.0.1", "IPv4", true), of("::1", "IPv6", true)],
    ib0: [of("fe80::1", "IPv6"), of("2001:db8::7", "IPv6"), of("10.1.0.7", "IPv4")],
    eth0: [of("192.168.0.7", "IPv4"), of("169.254.3.4", "IPv4")],
  };
  expect(ownAddresses(both)).toEqual(["10.1.0.7", "192.168.0.7", "2001:db8::7"]);
  expect(ownAddresses({ eth0: [of("fe80::1", "IPv6"), of("2001:db8::7", "IPv6")] })).toEqual(["2001:db8::7"]);
});

test("a process has ended, or not", () => {
  expect([process.pid, process.ppid, deadPid()].map(hasEnded)).toEqual([false, false, true]);
});

test("the paragraph says who, what, the last checkpoint and how to go on", () => {
  const members = ranks(4, { 0: 100, 1: 101, 2: 102, 3: 103 });
  const say = (...losses: Verdict["losses"]) =>
    lastWords({ losses, code: 75 }, members, members[0]!, { path: "runs/72h/last.safetensors", at: 1 });
  expect(say({ rank: 2, end: { kind: "gone" } })).toBe(
    "climax: rank 2 of 4 on node2 (pid 102) is lost: the process ended without a last word (it crashed, was killed, or " +
      "the machine had no memory left; the launcher, dmesg or sacct may know more). Rank 0 on node0 therefore ends too, " +
      "with exit code 75. The last good checkpoint is runs/72h/last.safetensors: the same command with --resume goes on " +
      "from it.\n",
  );
  expect(
    say(
      { rank: 1, end: { kind: "silent", seconds: 20.3 } },
      { rank: 2, end: { kind: "silent", seconds: 19.9 } },
      { rank: 3, end: { kind: "broke", seconds: 5 } },
    ),
  ).toMatch(
    /^climax: rank 1 of 4 on node1 \(pid 101\) and rank 2 .* are lost: no word for 20 s \(.*\)\. Rank 3 .* is lost: the connection was closed without a last word 5\.0 s ago/,
  );
  expect(say({ rank: 1, end: { kind: "failed", message: "no space left.", code: 2 } })).toContain(
    "rank 1 of 4 on node1 (pid 101) cannot go on: no space left. Rank 0",
  );
  const bare = lastWords(
    { losses: [{ rank: 1, end: { kind: "exited", code: 3 } }], code: 3 },
    ...([members, members[0]!, undefined] as const),
  );
  expect(bare).toContain("ended with exit code 3 while the run was not over.");
  expect(bare).toContain("No checkpoint is known of: start the same command again.");
});
