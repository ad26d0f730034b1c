// Sums of states in files, and the mean over years that is made from them.
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeNpy } from "../../src/files/npy.ts";
import { addState, meanState, noSums, readSums, type SumsPath, writeSums } from "../../src/sets/fieldsums.ts";

let root: string;
/** The sums of two years: in one file each, and as sets once had them. */
let whole: SumsPath[];
let halves: SumsPath[];
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-sums-"));
  whole = [await written(0, false), await written(1, false)];
  halves = [await written(0, true), await written(1, true)];
});
afterAll(() => rmSync(root, { recursive: true }));

const shape = [2, 2, 3];
const states = [
  [Float32Array.from({ length: 12 }, (_, i) => i), Float32Array.from({ length: 12 }, (_, i) => i * i)],
  [Float32Array.from({ length: 12 }, (_, i) => (i % 5 === 0 ? Number.NaN : 7 - i))],
].map((year) => year.map((state) => state.fill(Number.NaN, 11)));

async function written(year: number, apart: boolean): Promise<SumsPath> {
  const sums = noSums(shape);
  for (const state of states[year]!) addState(sums, state);
  if (!apart) {
    await writeSums(join(root, `${year}.npy`), sums);
    return join(root, `${year}.npy`);
  }
  const paths = [join(root, `${year}.sums.npy`), join(root, `${year}.counts.npy`)] as const;
  await writeNpy(paths[0], shape, sums.sums);
  await writeNpy(paths[1], shape, sums.counts);
  expect(await readSums(paths)).toEqual(sums);
  return paths;
}

test("the mean over years of either form leaves out what has no value; NaN where none has", async () => {
  const all = states.flat();
  const mean = all[0]!.map((_, i) => {
    const values = all.map((state) => state[i]!).filter((value) => !Number.isNaN(value));
    return values.reduce((a, b) => a + b, 0) / values.length;
  });
  for (const years of [whole, halves, [halves[0]!, whole[1]!]])
    expect(await meanState(years, shape)).toEqual(mean);
});

test.runIf(process.platform === "linux")("no file stays open where another one does not open", async () => {
  const broken = [whole[0]!, [halves[1]![0]!, join(root, "absent.npy")], whole[1]!] as const;
  await expect(meanState(broken, shape)).rejects.toThrow(`cannot open ${join(root, "absent.npy")}`);
  const open = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // the folder itself
    }
  });
  expect(open.filter((path) => path.startsWith(root))).toEqual([]);
});
