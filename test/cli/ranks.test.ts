/** What ranks say of a mistake: of one that all meet with, rank 0 tells; what one alone meets with is heard. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { evaluateCommand } from "../../src/cli/evaluate.ts";
import { forecastCommand } from "../../src/cli/forecast.ts";
import { pretrainCommand } from "../../src/cli/pretrain.ts";
import { studyCommand } from "../../src/cli/study.ts";
import { isOfAllRanks } from "../../src/train/together.ts";
import { climax } from "../support/climax.ts";
import { onRanks } from "../support/commandranks.ts";
import { writeToyStates } from "../support/toycheckpoint.ts";

const root = mkdtempSync(join(tmpdir(), "climax-told-"));
const at = (name: string) => join(root, name);
const persisting = (input: string, ...more: string[]) => [
  ...["--model", "persistence", "--input", at(input), "--time", "2001-01-01", "--lead", "6h"],
  ...["-o", at("f.nc"), ...more],
];
beforeAll(() => writeToyStates(at("states.nc")));
afterAll(() => rmSync(root, { recursive: true }));

/** What all ranks end with. */
async function failures(
  command: Parameters<typeof onRanks>[1],
  argvOf: (rank: number) => readonly string[],
): Promise<string[]> {
  const said = await onRanks(3, command, [], argvOf);
  return said.map(({ outcome }) => {
    const { reason } = outcome as PromiseRejectedResult;
    expect(isOfAllRanks(reason)).toBe(true); // which rank 0 tells, and no other
    return (reason as Error).message;
  });
}

describe("before ranks work, a mistake is everybody's,", () => {
  test.for<[string, Parameters<typeof onRanks>[1], (rank: number) => readonly string[], string]>([
    ["a typo of all", forecastCommand, () => ["--typo"], "unknown option '--typo'"],
    [
      "a typo of one",
      forecastCommand,
      (rank) => persisting("states.nc", ...(rank === 2 ? ["--typo"] : [])),
      "rank 2: unknown option '--typo'",
    ],
    [
      "a config file that one does not have",
      pretrainCommand,
      (rank) => (rank === 1 ? ["--config", at("no.yaml")] : ["--data.sources", at("no"), "-o", at("run")]),
      `${at("no")}: there is no such prepared set`, // of rank 0, whose own is told
    ],
    [
      "an input that only rank 0 has",
      forecastCommand,
      (rank) => persisting(rank === 0 ? "states.nc" : "none.nc"),
      "rank 1: cannot open none.nc: there is no such file",
    ],
    ["flags that exclude each other", evaluateCommand, () => ["--part", "x"], "no forecast file was given"],
    [
      "a set that is not there",
      studyCommand,
      () => ["scaling", "--data.set", at("no"), "-o", at("study")],
      `${at("no")}: there is no such prepared set`,
    ],
    [
      "--shard of one",
      forecastCommand,
      (rank) => persisting("states.nc", ...(rank === 1 ? ["--shard", "2/3"] : [])),
      "rank 1: found --shard 2/3 under a launcher, whose 3 ranks share the work already",
    ],
  ])("%s", async ([, command, argvOf, message]) => {
    const plain = (text: string) => text.replace(at("none.nc"), "none.nc");
    expect((await failures(command, argvOf)).map(plain)).toEqual([message, message, message]);
  });
});

describe("without MPI", () => {
  beforeAll(() => void vi.useFakeTimers({ toFake: ["setTimeout", "performance"] }));
  afterAll(() => void vi.useRealTimers());
  afterEach(() => vi.unstubAllEnvs());
  const onRank = async (rank: number, ...argv: string[]) => {
    vi.stubEnv("OMPI_COMM_WORLD_RANK", String(rank));
    vi.stubEnv("OMPI_COMM_WORLD_SIZE", "80");
    return await climax(...argv);
  };

  test.for([["regrid", "--typo"], ["nonesuch"], ["forecast", "--merge", "-o", "x.nc"]])(
    "of %s rank 0 tells all, at once; another in a line, when most launchers have ended it",
    async (argv) => {
      const first = await onRank(0, ...argv);
      expect(first).toMatchObject({ code: 2, out: "" });
      const [, message, hint] = /^error: (.*)\nhint: {2}(.*)\n$/.exec(first.err)!;
      const started = performance.now();
      const other = onRank(5, ...argv);
      while (vi.getTimerCount() === 0) await new Promise(setImmediate);
      await vi.runAllTimersAsync();
      expect(performance.now() - started).toBe(2000);
      expect(await other).toEqual({ code: 2, out: "", err: `rank 5 of 80: error: ${message} (${hint})\n` });
    },
  );
});
