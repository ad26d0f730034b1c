/** Forecasts made in shares: put together they are the file of one process, byte for byte; what does not fit is refused. */
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Share } from "../../src/data/share.ts";
import { stretchOf } from "../../src/data/share.ts";
import { type ForecastJob, forecast } from "../../src/infer/forecast.ts";
import { noEnsemble } from "../../src/infer/members.ts";
import { mergeShares } from "../../src/infer/mergeshares.ts";
import { Predictor } from "../../src/infer/predictor.ts";
import { shareFileOf } from "../../src/infer/sharefile.ts";
import { openStates, type States } from "../../src/infer/states.ts";
import { persistenceField, writeUntrained } from "../../src/infer/untrained.ts";
import type { Checkpoint } from "../../src/model/checkpoint.ts";
import { gpu } from "../support/gpu.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { toyNames } from "../support/toyset.ts";

let root: string;
let checkpoint: Checkpoint;
let predictor: Predictor;
let states: States;
const at = (name: string) => join(root, name);
const all = ["orography", ...toyNames];
beforeAll(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2001, 0, 1) }); // which HDF5 writes into its objects
  root = mkdtempSync(join(tmpdir(), "climax-shares-"));
  checkpoint = await writeToyCheckpoint(at("checkpoint.safetensors"));
  predictor = await Predictor.load(gpu, checkpoint);
  states = await openStates([await writeToyStates(at("states.nc"))], all);
});
afterAll(async () => {
  vi.useRealTimers();
  await states.close();
  await checkpoint.close();
  rmSync(root, { recursive: true });
});

const signal = new AbortController().signal;
const attributes = { Conventions: "CF-1.11", history: "made", climax_adapter: gpu.name };
const job = (changes: Partial<ForecastJob>): ForecastJob => ({
  models: [{ info: checkpoint.info, inputs: all, use: (work) => work(predictor) }],
  ...{ states, steps: [1, 2, 3, 4], leads: [24, 72], outputs: toyNames, missing: "error", batchSize: 3 },
  ...{ output: at("whole.nc"), attributes, signal },
  ...changes,
});
const settings = { "--batch-size": "3" };
const share = (index: number, count: number) => ({ index, count, settings });
const files = (output: string, count: number) =>
  Array.from({ length: count }, (_, i) => shareFileOf(output, { index: i + 1, count }));
const merge = (output: string, paths: readonly string[]) =>
  mergeShares({ paths, output, history: (first) => first, signal });
const refused = (output: string, paths: readonly string[]) =>
  merge(output, paths).then(
    () => undefined,
    (error: Error & { hint: string }) => error,
  );

describe("put together in any order, they are the file of one process, byte for byte:", () => {
  const ensemble = { ...noEnsemble, members: 2, noise: 0.1, dropout: true, seed: 3 };
  test.for<[string, Partial<ForecastJob>, number]>([
    ["direct forecasts", {}, 3],
    ["an ensemble with dropout, noise and lagged starts", { ensemble: { ...ensemble, lag: [6] } }, 3],
    ["roll-outs", { rollout: { intervals: [12, 24], separately: true }, ensemble }, 2],
    ["more shares than batches", { steps: [1] }, 4],
  ])("%s", async ([, changes, count]) => {
    await forecast(job(changes));
    const output = at("together.nc");
    const indices = Array.from({ length: count }, (_, i) => i + 1);
    for (const index of [...indices.toReversed(), 1]) // the first one twice
      await forecast(job({ ...changes, output, share: share(index, count) }));
    const paths = files(output, count);
    await merge(output, [...paths.slice(1), paths[0]!]);
    expect(readFileSync(output).equals(readFileSync(at("whole.nc")))).toBe(true);
    for (const path of [...paths, output]) rmSync(path);
  });

  test("what needs no network", async () => {
    const plain = (output: string, own?: ReturnType<typeof share>) =>
      writeUntrained({
        ...{ grid: states.grid, initial: [1, 2, 3, 4].map((step) => states.times[step]!), leads: [6, 12] },
        ...{ outputs: toyNames, field: persistenceField(states, [1, 2, 3, 4]) },
        ...{ output, share: own, attributes, signal },
      });
    await plain(at("plain.nc"));
    const output = at("plain-together.nc");
    for (const index of [2, 3, 1]) await plain(output, share(index, 3));
    await merge(output, files(output, 3));
    expect(readFileSync(output).equals(readFileSync(at("plain.nc")))).toBe(true);
  });
});

test("a share counts its own states, and those of all shares are the whole", async () => {
  const totals: number[] = [];
  for (const index of [1, 2]) {
    let latest: [number, number] = [0, 0];
    const onProgress = (...now: [number, number]) => (latest = now);
    await forecast(job({ output: at("counted.nc"), share: share(index, 2), onProgress }));
    expect(latest[0]).toBe(latest[1]);
    totals.push(latest[1]);
  }
  expect(totals).toEqual([3, 5]); // of batches of 3, 3 and 2
});

describe("refused, and nothing is written:", () => {
  const output = () => at("refused.nc");
  let paths: string[];
  beforeAll(async () => {
    paths = files(output(), 3);
    for (const index of [1, 2, 3]) await forecast(job({ output: output(), share: share(index, 3) }));
  });
  const expectNothing = () =>
    expect(readdirSync(root).filter((name) => /^refused\.nc($|\.partial)/.test(name))).toEqual([]);

  test("one that is lacking, by its name", async () => {
    expect(await refused(output(), [paths[0]!, paths[2]!])).toMatchObject({
      message: `of 3 shares 2 are there; ${paths[1]} is lacking`,
      hint: "make it with the same command line and --shard 2/3",
    });
    expectNothing();
  });

  test("one that is there twice", async () => {
    copyFileSync(paths[1]!, at("copy"));
    expect((await refused(output(), [...paths, at("copy")]))?.message).toBe(
      `${paths[1]} and ${at("copy")} are both share 2/3`,
    );
  });

  test.for<[string, Partial<ForecastJob>, number, string]>([
    ["leads", { leads: [24, 48] }, 3, "leads: 24, 72 and 24, 48"],
    ["times", { steps: [0, 2, 3, 4] }, 3, "initial times: 4 ("],
    ["attributes", { attributes: { ...attributes, title: "others" } }, 3, "title: not given and others"],
    [
      "settings",
      { share: { index: 2, count: 3, settings: { "--batch-size": "4" } } },
      3,
      "--batch-size: 3 and 4",
    ],
    ["number", { share: share(2, 4) }, 4, "is share 2/4"],
  ])("one of other %s", async ([, changes, count, words]) => {
    const other = at("other.nc");
    await forecast(job({ output: other, share: share(2, count), ...changes }));
    const path = shareFileOf(other, { index: 2, count });
    expect((await refused(output(), [paths[0]!, path, paths[2]!]))?.message).toContain(words);
    expectNothing();
  });

  test("one that was damaged, or is none", async () => {
    const bytes = readFileSync(paths[1]!);
    const path = at("damaged");
    const others = [paths[0]!, path, paths[2]!];
    bytes[bytes.length - 100]! ^= 1;
    writeFileSync(path, bytes);
    expect(await refused(output(), others)).toMatchObject({
      message: `${path} is not as it was written: the checksum at its end is not that of its bytes`,
      hint: "copy it again, or make this share again",
    });
    writeFileSync(path, bytes.subarray(0, -7));
    expect((await refused(output(), others))?.message).toContain("it ends within a field");
    writeFileSync(path, "something else\n");
    expect((await refused(output(), others))?.message).toBe(
      `${path} is no share of forecasts: its first line is no JSON`,
    );
    appendFileSync(path, "more");
    expectNothing();
  });
});

test("stretches are as even as may be, and make up the whole", () => {
  for (const [total, count] of [
    [10, 3],
    [2, 5],
    [0, 2],
    [7, 7],
  ] as const) {
    const shares = Array.from({ length: count }, (_, i): Share => ({ index: i + 1, count }));
    const ends = shares.map((one) => stretchOf(total, one));
    expect(ends[0]![0]).toBe(0);
    expect(ends.at(-1)![1]).toBe(total);
    for (const [i, [from, to]] of ends.entries()) {
      expect(from).toBe(i === 0 ? 0 : ends[i - 1]![1]);
      expect([Math.floor(total / count), Math.ceil(total / count)]).toContain(to - from);
    }
  }
});
