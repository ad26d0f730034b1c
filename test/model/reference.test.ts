import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeRanks, isRight, runReference } from "../../src/cli/doctorreference.ts";
import { checkCase, errorOf } from "../../src/cli/referencecase.ts";
import { read, type Tensor } from "../../src/engine/tensor.ts";
import { readNpz } from "../../src/files/npy.ts";
import { fakeWorlds } from "../support/fakeworld.ts";
import { gpu } from "../support/gpu.ts";

const FIXTURES = "test/fixtures/reference";

test.for<[string, "factored" | "plain"]>([
  ["global", "factored"],
  ["global-all-variables", "factored"],
  ["patch4", "factored"],
  ["parallel-patch-embed", "factored"],
  ["regional-NorthAmerica", "factored"],
  ["regional-Australia", "factored"],
  ["projection", "factored"],
  ["projection-frozen", "factored"],
  ["global", "plain"],
  ["patch4", "plain"],
])("%s agrees with the reference, aggregation %s", async ([name, aggregation]) => {
  const result = await checkCase(gpu, FIXTURES, name, { aggregation });
  // One digit above what float32 itself does in the reference: 5e-7, 3e-6 and 6e-6.
  expect(result.predictions).toBeLessThan(1e-5);
  expect(result.loss).toBeLessThan(1e-5);
  expect(result.gradient!.error, result.gradient!.name).toBeLessThan(1e-4);
  expect(result.steps!.map(({ after }) => after)).toEqual([3]);
  expect(result.steps![0]!.error, result.steps![0]!.name).toBeLessThan(1e-4);
  expect(isRight(result)).toBe(true);
});

test("activations agree with the reference where it names them", async () => {
  const seen = new Map<string, Tensor>();
  const values = new Map<string, Promise<Float32Array>>();
  await checkCase(gpu, FIXTURES, "global-all-variables", {
    observe: (name, activation) => {
      if (seen.has(name)) return; // the first pass, before any step
      seen.set(name, activation);
      values.set(name, read(activation));
    },
  });
  const wanted = await readNpz(`${FIXTURES}/global-all-variables.npz`);
  expect([...seen.keys()]).toEqual(["blocks_in", "block0_out", "block1_out", "block2_out", "encoder_out"]);
  for (const [name, value] of values) {
    const error = errorOf(await value, wanted.get(`act/${name}`)!.data as Float32Array);
    expect(error, name).toBeLessThan(1e-5);
  }
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "climax-reference-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A copy of the case "global" whose json says something else. */
async function altered(name: string, change: (info: Record<string, Record<string, unknown>>) => void) {
  await copyFile(`${FIXTURES}/global.npz`, join(folder, `${name}.npz`));
  const info = JSON.parse(await readFile(`${FIXTURES}/global.json`, "utf8"));
  change(info);
  await writeFile(join(folder, `${name}.json`), JSON.stringify(info));
}

function listener() {
  const printed: string[] = [];
  const print = (text: string) => void printed.push(text);
  const quiet = () => {};
  return { printed, context: { print, info: quiet, warn: quiet, quiet: true, commandLine: "climax doctor" } };
}

test("another model than the reference's is told from it", async () => {
  await altered("heads", ({ config }) => (config!.num_heads = 2));
  const result = await checkCase(gpu, folder, "heads");
  expect(result.predictions).toBeGreaterThan(1e-4);
  expect(isRight(result)).toBe(false);
});

test("another region than the reference's is told from it, and one without its patches is not computed", async () => {
  for (const [name, change] of [
    ["elsewhere", (id: number) => id + 1],
    ["scattered", (id: number) => (id === 233 ? 232 : id)],
  ] as const) {
    await copyFile(`${FIXTURES}/regional-Australia.npz`, join(folder, `${name}.npz`));
    const info = JSON.parse(await readFile(`${FIXTURES}/regional-Australia.json`, "utf8"));
    info.region_info.patch_ids = info.region_info.patch_ids.map(change);
    await writeFile(join(folder, `${name}.json`), JSON.stringify(info));
  }
  expect((await checkCase(gpu, folder, "elsewhere")).predictions).toBeGreaterThan(1e-4);
  await expect(checkCase(gpu, folder, "scattered")).rejects.toThrow(
    "patch_ids fill no rectangle, row by row",
  );
});

test("a frozen parameter that is trained all the same is told from the reference", async () => {
  await copyFile(`${FIXTURES}/projection-frozen.npz`, join(folder, "thawed.npz"));
  const info = JSON.parse(await readFile(`${FIXTURES}/projection-frozen.json`, "utf8"));
  info.trainable = info.trainable.filter((name: string) => name !== "time_query");
  await writeFile(join(folder, "thawed.json"), JSON.stringify(info));
  const { steps } = await checkCase(gpu, folder, "thawed");
  expect(steps![0]!.name).toBe("time_query");
  expect(steps![0]!.error).toBeGreaterThan(1e-4);
});

test("another optimiser than the reference's is told from it by its parameters", async () => {
  await altered("betas", ({ optimizer }) => (optimizer!.betas = [0.9, 0.9]));
  const result = await checkCase(gpu, folder, "betas");
  expect(result.gradient!.error).toBeLessThan(1e-4);
  expect(result.steps![0]!.error).toBeGreaterThan(1e-4);
  expect(isRight(result)).toBe(false);
});

test("doctor prints a table, lists what is not covered, and ends with 1 when a case is wrong", async () => {
  await altered("right", () => {});
  await altered("wrong", ({ config }) => (config!.num_heads = 8));
  await altered("region", (info) => Object.assign(info, { region: "Europe" }));
  await altered("loss", (info) => Object.assign(info, { loss: "MAE" }));
  for (const name of ["heads", "betas", "elsewhere", "scattered", "thawed"])
    await rm(join(folder, `${name}.npz`), { force: true });
  const { printed, context } = listener();
  expect(await runReference(folder, context, { adapter: gpu.name })).toBe(1);
  const text = printed.join("\n");
  expect(text).toMatch(/^right +\d\.\de-\d+ +\d\.\de-\d+ +\d\.\de-\d+ {2}\S+ +3: \d\.\de-\d+ {2}\S+$/m);
  expect(text).toMatch(/^wrong .*WRONG/m);
  expect(text).toContain("region, not covered: region Europe without its region_info");
  expect(text).toContain("loss, not covered: loss MAE");
  expect(text).toContain("1 of 2 computed cases are right.");
});

test("of ranks each tries all cases, and rank 0 says on which they are right", async () => {
  const uncovered = join(folder, "uncovered"); // pipelines of a device for each rank would take long
  await mkdir(uncovered);
  await copyFile(`${FIXTURES}/lr-schedule.npz`, join(uncovered, "lr-schedule.npz"));
  const voices = fakeWorlds(2).map((world) => ({ world, ...listener() }));
  const codes = voices.map(({ world, context }) =>
    runReference(uncovered, { ...context, world }, { adapter: gpu.name }),
  );
  expect(await Promise.all(codes)).toEqual([1, 1]);
  expect(voices[0]!.printed.join("\n")).toMatch(
    /\n\n0 of 0 computed cases are right\.\n\nranks 0-1, .*: 0 of 0 right on each$/,
  );
  expect(voices[1]!.printed).toEqual([]);

  const verdicts = [0, 1, 2, 3].map((rank) => {
    const wrong = rank === 2 ? ["global", "patch4"] : [];
    return { name: `rank ${rank} of 4 on node`, adapter: "GPU", right: 8 - wrong.length, of: 8, wrong };
  });
  expect(describeRanks(verdicts).split("\n")).toEqual([
    "ranks 0-1, 3, GPU: 8 of 8 right on each",
    "rank 2 of 4 on node, GPU: 6 of 8 right; WRONG: global, patch4",
  ]);
  expect(describeRanks(verdicts.slice(2, 3))).toBe(
    "rank 2 of 4 on node, GPU: 6 of 8 right; WRONG: global, patch4",
  );
});

test("a folder without cases and a case that is no json are refused in plain words", async () => {
  const { context } = listener();
  const absent = join(folder, "absent");
  await expect(runReference(absent, context)).rejects.toThrow(`cannot read the folder ${absent}`);
  await expect(runReference("test/model", context)).rejects.toThrow("test/model has no reference case");
  await copyFile(`${FIXTURES}/global.npz`, join(folder, "broken.npz"));
  await writeFile(join(folder, "broken.json"), "{");
  await expect(checkCase(gpu, folder, "broken")).rejects.toThrow("broken.json does not describe a case");
});
