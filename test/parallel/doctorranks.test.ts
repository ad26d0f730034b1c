// climax doctor on several ranks, and with a library by itself.
import { describe, expect, test } from "vitest";
import { softwareMissing } from "../../src/engine/software.ts";
import { climaxProcess } from "../support/climax.ts";
import { mpiInstalled, mpiKinds, runRanks } from "../support/mpirun.ts";

const missing = softwareMissing();

describe.each(mpiKinds)("%s (skipped where it is not installed)", (kind) => {
  const it = test.skipIf(!mpiInstalled(kind) || missing !== undefined);
  const family = kind === "openmpi" ? "Open MPI" : "MPICH";

  it("names library, ranks, hosts and adapters", async () => {
    const argv = ["doctor", "--adapter", "swiftshader"];
    const { code, out } = await runRanks(2, argv, { kind });
    expect(code).toBe(0);
    expect(out[1]).toBe("");
    expect(out[0]).toContain("A run would use: SwiftShader driver 5.0.0 (software)");
    expect(out[0]).toMatch(new RegExp(`^MPI +${family}`, "m"));
    expect(out[0]).toMatch(new RegExp(`^library +lib\\S+ \\(binary interface of ${family}\\)$`, "m"));
    expect(out[0]).toMatch(/^threads +(single|funneled|serialized|multiple)$/m);
    expect(out[0]).toMatch(/^ranks +2 ranks on 1 host$/m);
    for (const rank of [0, 1])
      expect(out[0]).toMatch(
        new RegExp(
          `^ +${rank}  \\S+ +${rank} +\\d+  SwiftShader driver 5\\.0\\.0 +software +right, \\d+ ms$`,
          "m",
        ),
      );
  });

  it("tells what is wrong on which rank, and every rank ends so", async () => {
    const { code, out } = await runRanks(2, ["doctor", "--adapter", "nonesuch", "--json"], { kind });
    expect(code).toBe(1);
    const { mpi } = JSON.parse(out[0]!);
    expect(mpi).toMatchObject({ kind: family, ranks: [{ rank: 0 }, { rank: 1, localRank: 1, alike: 0 }] });
    expect(mpi.ranks[1].problems).toEqual([
      {
        what: expect.stringMatching(/^no adapter matches "nonesuch"/),
        mend: expect.any(String),
        fatal: true,
      },
    ]);
  });
});

test("a library that is named and not there", async () => {
  const { code, err } = await climaxProcess("doctor", "--mpi", "/nowhere/libmpi.so").done;
  expect(code).toBe(2);
  expect(err).toContain("cannot load the MPI library /nowhere/libmpi.so");
});
