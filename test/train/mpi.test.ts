/** Training under a real mpirun: the run of one process, a stop of one rank, and the run taken up by one process; shares. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lastCheckpoint } from "../../src/train/resume.ts";
import { climax } from "../support/climax.ts";
import { climaxCommand, mpiInstalled, mpiKinds, startRanks } from "../support/mpirun.ts";
import { farthest } from "../support/ranks.ts";
import { readLog } from "../support/toyrun.ts";
import { writeToySet } from "../support/toyset.ts";

const some = mpiKinds.some(mpiInstalled);
let root: string;
let settings: string;
let whole: string;
beforeAll(async () => {
  if (!some) return;
  root = mkdtempSync(join(tmpdir(), "climax-train-mpi-"));
  const set = await writeToySet(join(root, "set"));
  settings = join(root, "tiny.yaml");
  writeFileSync(
    settings,
    `data: { sources: [${set}], leads: { min: 6, max: 24, step: 6 } }
model: { patchSize: 4, embedDim: 16, depth: 1, decoderDepth: 1, heads: 2 }
optimiser: { lr: 0.01, warmup: 3, clip: 1 }
training: { batchSize: 4, maxSteps: 60, logEvery: 1, validateEvery: 10, validationBatches: 3 }
`,
  );
  whole = join(root, "whole");
  expect(await climax(...flags(whole, 2))).toMatchObject({ code: 0 });
});
afterAll(() => {
  if (some) rmSync(root, { recursive: true });
});

/** Ranks that wait for one another take their time where other work fills the cores; milliseconds. */
const PATIENCE = 150_000;

const flags = (output: string, accumulate: number): string[] => [
  ...["pretrain", "--config", settings, "--training.accumulate", String(accumulate)],
  ...["--resume", "auto", "-o", output],
];

const numbersOf = (out: string, what: string) =>
  readLog(out).flatMap(({ event, loss }) => (event === what ? [loss as number] : []));

describe.for(mpiKinds)("%s (skipped where it is not installed)", (kind) => {
  test.skipIf(!mpiInstalled(kind))(
    "two ranks, stopped, are gone on with by one",
    { timeout: 2 * PATIENCE },
    async () => {
      const output = join(root, kind);
      const ranks = startRanks(2, climaxCommand(...flags(output, 1)), { kind, timeout: PATIENCE });
      const rank1 = await ranks.pid(1);
      let over = false;
      void ranks.done.finally(() => (over = true));
      while (!over && !existsSync(lastCheckpoint(output))) await sleep(20);
      if (!over) process.kill(rank1, "SIGUSR1");
      const { code, out, err } = await ranks.done;
      expect(code, err.join()).toBe(75);
      expect(out).toEqual(["", ""]);
      expect(err[0]).toMatch(/^ranks {7}2: .* \(2\)$/m);
      expect(err[0]).toMatch(/interrupted by SIGUSR1\n$/);
      expect(err[1]!.replaceAll(/^Warning: max.*\n/gm, "")).toBe(""); // lavapipe's own words
      const stopped = readLog(output).at(-1)!;
      expect(stopped.event).toBe("interrupted");
      expect(stopped.step).toBeGreaterThanOrEqual(10);
      expect(stopped.step).toBeLessThan(60);

      expect(await climax(...flags(output, 2))).toMatchObject({ code: 0 });
      for (const what of ["step", "validation"]) {
        expect(farthest(numbersOf(output, what), numbersOf(whole, what))).toBeLessThan(1e-5);
      }
    },
  );
});

// Starting takes most of the time, so with one of the MPIs.
test.skipIf(!some)(
  "two ranks with shares of the optimiser's state and halves on the wire (skipped without an MPI)",
  { timeout: PATIENCE },
  async () => {
    const kind = mpiKinds.find(mpiInstalled)!;
    const output = join(root, "shares");
    const short = ["--training.max-steps", "5", "--shard-optimiser", "--allreduce", "f16"];
    const command = climaxCommand(...flags(output, 1), ...short);
    const { code, err } = await startRanks(2, command, { kind, timeout: PATIENCE }).done;
    expect(code, err.join()).toBe(0);
    expect(err[0]).toContain("(1/2, --shard-optimiser)");
    const found = numbersOf(output, "step");
    expect(found).toHaveLength(5);
    // A cosine over fewer steps: it is the warm-up alone that goes as in the other run.
    expect(farthest(found.slice(0, 4), numbersOf(whole, "step").slice(0, 4))).toBeLessThan(5e-5);
  },
);
