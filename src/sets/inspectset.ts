// A prepared set in a few words, from set.json and the sizes of its files.

import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { quoted } from "../data/inspectadvice.ts";
import type { InspectedSet } from "../data/inspectschema.ts";
import { describeStep } from "../data/timestep.ts";
import { describeGrid } from "../grid/grid.ts";

import { openSet } from "./prepared.ts";
import { verifySet } from "./verifyset.ts";

/** Whether a path is a prepared set, finished or not. */
export const looksLikeSet = (path: string) =>
  existsSync(join(path, "set.json")) || /\.partial[/\\]*$/.test(path);

/**
 * @param checksums  read every file again and compare it with its SHA-256
 * @param onProgress  told of that: bytes read and bytes in all
 * @throws ClimaxError (data) when the set is unfinished or damaged
 */
export async function inspectSet(
  dir: string,
  checksums: boolean,
  onProgress?: (done: number, total: number) => void,
): Promise<InspectedSet> {
  const set = await openSet(dir);
  try {
    const { manifest, grid } = set;
    if (checksums) await verifySet(dir, onProgress);
    const sizes = await Promise.all(
      Object.keys(manifest.checksums).map(async (file) => (await stat(join(dir, file))).size),
    );
    return {
      path: dir,
      format: "prepared set",
      bytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
      synthetic: manifest.synthetic,
      dtype: manifest.dtype,
      grid: describeGrid(grid),
      calendar: manifest.calendar,
      step: describeStep(manifest),
      splits: set.splits.map((name) => {
        const { start, end, steps } = manifest.splits[name]!;
        return { name, first: start, last: end, steps };
      }),
      variables: manifest.variables.map(({ name, units, constant }) => ({
        name,
        units,
        constant,
        mean: manifest.mean[name]!,
        std: manifest.std[name]!,
      })),
      notes: manifest.notes,
      checked: checksums,
      next: {
        usable: true,
        why: "train on it",
        commands: [`climax pretrain --data.sources ${quoted(dir)} -o run`],
      },
    };
  } finally {
    await set.close();
  }
}
