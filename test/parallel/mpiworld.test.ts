import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { openWorld } from "../../src/parallel/mpiworld.ts";
import { alone } from "../../src/parallel/world.ts";
import { builtScript, builtSource } from "../support/builtclimax.ts";
import { mpiInstalled, mpiKinds, startRanks } from "../support/mpirun.ts";

const child = (...args: string[]): string[] => [process.execPath, builtScript("worldchild"), ...args];

test("one process is alone, and no library is looked for", async () => {
  expect(await openWorld({ library: "libnothing.so", env: {} })).toBe(alone);
  const one = { OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "1" };
  expect(await openWorld({ library: "libnothing.so", env: one })).toBe(alone);
});

test("without a library nothing stays behind of the watch", () => {
  // In a process of its own: koffi takes no settings once any library is loaded, and other tests load some.
  const program = `
    import { openWorld } from ${JSON.stringify(builtSource("parallel/mpiworld"))};
    const listeners = () => ["exit", "SIGTERM", "uncaughtExceptionMonitor"].map((e) => process.listenerCount(e));
    const before = listeners();
    const env = { OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "2" };
    const message = await openWorld({ library: "libnothing.so", env }).then(() => "", (error) => error.message);
    console.log(JSON.stringify({ message, before, after: listeners() }));`;
  const argv = ["--input-type=module", "-e", program];
  const said = JSON.parse(execFileSync(process.execPath, argv, { encoding: "utf8" }));
  expect(said.message).toMatch(/libnothing\.so/);
  expect(said.after).toEqual(said.before);
});

describe.for(mpiKinds)("%s (skipped where it is not installed)", (kind) => {
  const withMpi = test.skipIf(!mpiInstalled(kind));

  withMpi("every rank gets the same numbers, bit for bit", async () => {
    const { code, out, err, launcher } = await startRanks(3, child("calls"), { kind }).done;
    expect({ code, err, launcher }).toEqual({ code: 0, err: ["", "", ""], launcher: "" });
    const all = out.map((text) => JSON.parse(text) as Record<string, unknown>);
    const [first] = all;
    expect(first).toMatchObject({
      ...{ size: 3, localSize: 3, texts: ["", "ééé", "éééééé"], told: true, large: [4.5, 4.5] },
      largest: ["2", "0", "NaN", "0", "-Infinity"],
      summed: [30, 33, 36, 39, 42, 45],
      taken: [0, 10, 20, 1, 11, 21, 2, 12, 22],
    });
    for (const [rank, said] of all.entries()) {
      const name = expect.stringMatching(`^rank ${rank} of 3 on .`) as string;
      expect(said).toEqual({ ...first, rank, localRank: rank, name });
    }
  });

  withMpi("a rank's last words reach the others, and no later than the launcher's end", async () => {
    const { code, out, err } = await startRanks(3, child("end", "1", "fail"), { kind }).done;
    expect(code).not.toBe(0);
    expect(out).toEqual(["", "", ""]);
    expect(err[1]).toBe("no space left\n");
    for (const rank of [0, 2]) {
      expect(err[rank]).toMatch(/^climax: rank 1 of 3 on \S+ \(pid \d+\) cannot go on: no space left\. /);
      expect(err[rank]).toContain(`Rank ${rank} on `);
      expect(err[rank]).toContain(
        "with exit code 2. The last good checkpoint is runs/toy/last.safetensors: ",
      );
    }
  });

  // MPICH's launcher ends all others with SIGKILL at the very moment in which one dies, often before they have said why.
  const withTime = test.skipIf(!mpiInstalled(kind) || kind === "mpich");
  withTime.for(["0", "2"])(
    "rank %s, killed, is named by all others (not under MPICH: its launcher leaves them no time)",
    async (victim) => {
      const ranks = startRanks(3, child("end", victim, "kill"), { kind });
      const pid = await ranks.pid(Number(victim));
      const { code, err, timedOut } = await ranks.done;
      expect(timedOut).toBe(false);
      expect(code).not.toBe(0);
      for (const [rank, said] of err.entries()) {
        if (rank === Number(victim)) continue;
        expect(said).toContain(`climax: rank ${victim} of 3 on `);
        expect(said).toContain(`(pid ${pid}) is lost: the process ended without a last word`);
        expect(said).toContain("The last good checkpoint is runs/toy/last.safetensors: ");
      }
    },
  );
});
