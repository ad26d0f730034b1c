// The launchers of the tests, without climax: ranks, words, exit codes, and that nothing is left running.
import { describe, expect, test } from "vitest";
import {
  climaxCommand,
  mpiInstalled,
  mpiKinds,
  type Ranks,
  runRanks,
  startRanks,
  withoutRanks,
} from "../support/mpirun.ts";

const node = (script: string): string[] => [process.execPath, "-e", script];
const tell = `
  const { OMPI_COMM_WORLD_RANK: a, PMI_RANK: b, OMPI_COMM_WORLD_SIZE: c, PMI_SIZE: d, GIVEN } = process.env;
  console.log((a ?? b) + " of " + (c ?? d) + " " + GIVEN);
  console.error("pid " + process.pid);`;
const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
type ExpectPoll = typeof expect.poll;
const gone = async (poll: ExpectPoll, pids: readonly number[]): Promise<void> => {
  await poll(() => pids.filter(alive), { timeout: 5000 }).toEqual([]);
};
const pids = (ranks: Ranks, n: number) => Promise.all(Array.from({ length: n }, (_, r) => ranks.pid(r)));

test("what a launcher sets is not handed on", () => {
  expect(withoutRanks({ PATH: "/bin", OMPI_COMM_WORLD_RANK: "1", SLURM_PROCID: "0", PMI_RANK: "0" })).toEqual(
    {
      PATH: "/bin",
    },
  );
});

describe.each(mpiKinds)("%s", (kind) => {
  const it = test.skipIf(!mpiInstalled(kind)).concurrent;

  it("gives what each rank says, by rank", async () => {
    const said = await startRanks(4, node(tell), { kind, env: { GIVEN: "yes" } }).done;
    expect(said.out).toEqual([0, 1, 2, 3].map((rank) => `${rank} of 4 yes\n`));
    expect(said.err).toEqual(Array.from({ length: 4 }, () => expect.stringMatching(/^pid \d+\n$/)));
    expect({ ...said, out: 0, err: 0 }).toMatchObject({ code: 0, timedOut: false, launcher: "" });
  });

  it("runs climax", async () => {
    const said = await runRanks(2, ["--version"], { kind });
    expect(said).toMatchObject({ code: 0, out: Array(2).fill(expect.stringMatching(/^\d+\.\d+\.\d+\n$/)) });
  });

  it("gives a rank's exit code, and its process to be killed", async ({ expect }) => {
    const refused = await startRanks(
      2,
      node(`process.exit(process.env.PMI_RANK ?? process.env.OMPI_COMM_WORLD_RANK)`),
      {
        kind,
      },
    ).done;
    expect(refused.code).toBe(1);
    const ranks = startRanks(2, node(`setInterval(() => {}, 1000)`), { kind });
    const [zero, one] = (await pids(ranks, 2)) as [number, number];
    process.kill(one, "SIGKILL");
    const killed = await ranks.done;
    expect(killed).toMatchObject({ timedOut: false });
    expect(killed.code).toBeGreaterThan(0);
    await gone(expect.poll, [zero, one]);
  });

  it("passes a signal on to every rank", async ({ expect }) => {
    const ranks = startRanks(
      2,
      node(`process.on("SIGUSR1", () => { console.log("told"); process.exit(0) });
      console.log("ready"); setInterval(() => {}, 1000)`),
      { kind },
    );
    await expect
      .poll(() => [0, 1].map((r) => ranks.said(r).out), { timeout: 10_000 })
      .toEqual(["ready\n", "ready\n"]);
    process.kill(ranks.launcher, "SIGUSR1");
    expect((await ranks.done).out).toEqual(["ready\ntold\n", "ready\ntold\n"]);
  });

  it("ends all of it when the time is over, deaf ranks too", async ({ expect }) => {
    const ranks = startRanks(
      2,
      node(`for (const s of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(s, () => {});
      setInterval(() => {}, 1000)`),
      { kind, timeout: 1500 },
    );
    const all = await pids(ranks, 2);
    expect(await ranks.done).toMatchObject({ timedOut: true });
    await gone(expect.poll, [...all, ranks.launcher]);
  });
});

test("a command from source is this Node's", () => {
  expect(climaxCommand("doctor")[0]).toBe(process.execPath);
});
