/**
 * A rank of a real training under mpirun, killed at random moments: what is left loads, the other ranks say who was lost,
 * and another number of ranks takes the run up again. test/cluster/kills.sh does so at many more moments.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { networkOf } from "../../src/model/network.ts";
import { climaxCommand, mpiInstalled, mpiKinds, startRanks } from "../support/mpirun.ts";
import { readLog } from "../support/toyrun.ts";
import { writeToySet } from "../support/toyset.ts";

const kind = mpiKinds.find(mpiInstalled);
const seed = Number(process.env.CLIMAX_SEED ?? Date.now() % 1e6);
/** Uniform in 0..1, from the seed: Park and Miller's. */
let state = 1 + (seed % 2147483646);
const random = (): number => (state = (state * 48271) % 2147483647) / 2147483647;

let root: string;
let output: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-kills-"));
  output = join(root, "run");
});
afterAll(() => rmSync(root, { recursive: true }));

const checkpoints = (): string[] =>
  existsSync(output) ? readdirSync(output).filter((name) => name.endsWith(".safetensors")) : [];

/** The last step there is a checkpoint of, having read all of every checkpoint. */
async function loadAll(): Promise<number> {
  let step = 0;
  for (const name of checkpoints()) {
    const checkpoint = await openCheckpoint(join(output, name));
    try {
      for (const parameter of networkOf(checkpoint.info.model).shapes.keys())
        for (const read of [checkpoint.parameter, checkpoint.moments?.expAvg, checkpoint.moments?.expAvgSq])
          await read?.(parameter);
      step = Math.max(step, Number((checkpoint.training as { step?: number } | undefined)?.step ?? 0));
    } finally {
      await checkpoint.close();
    }
  }
  return step;
}

const steps = 100_000; // more than there is time for
/** The command for ranks that make 4 samples a step together, with a checkpoint after every step. */
const command = (ranks: number): string[] =>
  climaxCommand(
    ...["pretrain", "--config", join(root, "toy.yaml"), "--training.accumulate", String(4 / ranks)],
    ...["--training.max-steps", String(steps), "--resume", "auto", "-o", output],
  );

test.skipIf(kind === undefined)(
  "a rank killed while the others train (needs mpirun)",
  { timeout: 240_000 },
  async () => {
    const set = await writeToySet(join(root, "set"));
    writeFileSync(
      join(root, "toy.yaml"),
      `data: { sources: [${set}], leads: { min: 6, max: 6, step: 6 }, workers: 0 }
model: { patchSize: 4, embedDim: 16, depth: 1, decoderDepth: 1, heads: 2 }
training: { batchSize: 1, logEvery: 1, validateEvery: 1, validationBatches: 1 }
`,
    );
    for (const ranks of [2, 1]) {
      const before = await loadAll();
      const victim = Math.floor(ranks * random());
      const pause = 400 * random();
      const what = `seed ${seed}: rank ${victim} of ${ranks}, ${pause.toFixed(0)} ms after the first new checkpoint`;
      const run = startRanks(ranks, command(ranks), { kind: kind!, timeout: 90_000 });
      let running = true;
      void run.done.finally(() => (running = false));
      const pid = await run.pid(victim);
      const logged = (): number => (existsSync(output) ? readLog(output).length : 0);
      const at = logged();
      while (running && !(checkpoints().length > 0 && logged() > at + 3)) await sleep(10);
      await sleep(pause);
      process.kill(pid, "SIGKILL");
      const said = await run.done;
      expect({ what, timedOut: said.timedOut, failed: said.code > 0 }).toEqual({
        what,
        timedOut: false,
        failed: true,
      });
      const after = await loadAll();
      expect(after, what).toBeGreaterThan(before);
      // MPICH's launcher kills the others at once, often before they can say why.
      if (kind === "openmpi")
        for (const [rank, err] of said.err.entries())
          if (rank !== victim) {
            expect(err, what).toMatch(
              new RegExp(`rank ${victim} of ${ranks} on .* \\(pid ${pid}\\) is lost`),
            );
            expect(err, what).toContain(join(basename(output), "last.safetensors"));
          }
    }
  },
);
