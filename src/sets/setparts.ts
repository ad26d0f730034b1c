// What is whole of an unfinished set, a small file for each shard and each seasonal climatology: written when all of its
// bytes are on the disk. Whoever finds all of them can finish the set, whichever processes made them.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { npyHeader } from "../files/npyformat.ts";
import { bytesEach, partsFolder, readNote, replaceFile } from "./journal.ts";
import { momentsSchema, rangeFields, type SetDtype, yearSchema } from "./manifest.ts";
import { filesOf, type ShardFiles } from "./shardfiles.ts";

const tallySchema = z.strictObject({
  moments: momentsSchema,
  years: z.array(yearSchema),
  ...rangeFields,
  missing: z.int().nonnegative(),
  firstMissing: z.string(),
  error: z.number().nonnegative(),
});

const partSchema = z.strictObject({
  /** SHA-256 of the files that are whole. */
  checksums: z.record(z.string(), z.string()),
  /** Of a shard, by variable; of one of train, the moments of its year up to its end. */
  tallies: z.array(tallySchema),
  /** Whether it has gaps that wait for the mean of train. */
  gaps: z.boolean(),
  /** What replaced missing values. */
  nanFill: z.union([z.literal("mean"), z.number()]).nullable(),
});
export type Part = z.output<typeof partSchema>;

/** A shard is called by its file; a climatology too. */
const plain = (file: string): string => file.replaceAll("/", "_").replace(/\.npy$/, "");
export const partPath = (dir: string, file: string): string => join(dir, partsFolder, `${plain(file)}.json`);
export const claimPath = (dir: string, file: string): string =>
  join(dir, partsFolder, `${plain(file)}.claim`);

/** Undefined for a file that is not whole. @throws ClimaxError (data) for a note that is damaged */
export function readPart(dir: string, file: string): Promise<Part | undefined> {
  return readNote(partPath(dir, file), partSchema);
}

/** What is whole of these shards, by its file, in their order. */
export async function readParts(
  dir: string,
  shards: readonly { file: string }[],
): Promise<Map<string, Part>> {
  const parts = new Map<string, Part>();
  for (const { file } of shards) {
    const part = await readPart(dir, file);
    if (part) parts.set(file, part);
  }
  return parts;
}

export async function writePart(dir: string, file: string, part: Part, token?: string): Promise<void> {
  await replaceFile(partPath(dir, file), `${JSON.stringify(part)}\n`, token);
}

/** Of a file that has no states of its own. */
export const wholeFile = (checksums: Record<string, string>): Part => ({
  ...{ checksums, tallies: [], gaps: false, nanFill: null },
});

/** What was written and flushed has its full size, unless the disk lost it or somebody was at it. */
export async function checkSizes(
  dir: string,
  parts: ReadonlyMap<string, Part>,
  { shards, shape, dtype }: { shards: readonly ShardFiles[]; shape: readonly number[]; dtype: SetDtype },
): Promise<void> {
  for (const { file, steps } of shards) {
    if (!parts.has(file)) continue;
    const whole = [steps.length, ...shape];
    const values = whole.reduce((product, n) => product * n, 1);
    const wanted = npyHeader(whole, dtype).length + values * bytesEach(dtype);
    const found = await stat(join(dir, file)).then(
      ({ size }) => size,
      () => 0,
    );
    if (found !== wanted)
      throw new ClimaxError(
        "data",
        `${join(dir, file)} has ${found} bytes, the journal of the unfinished set beside it says ${wanted}`,
        "start anew with --force and --output of another folder, or remove this one",
      );
  }
}

/** Files of shards that have no name yet: those that processes are at, and what killed ones have left. */
export async function unnamedFiles(
  dir: string,
  shards: readonly ShardFiles[],
): Promise<{ shard: ShardFiles; path: string }[]> {
  const planned = new Map(shards.flatMap((shard) => filesOf(shard).map((file) => [file, shard] as const)));
  const found: { shard: ShardFiles; path: string }[] = [];
  for (const folder of new Set(shards.map(({ split }) => split)))
    for (const name of await readdir(join(dir, folder)).catch(() => [])) {
      const shard = planned.get(`${folder}/${name.slice(0, -9)}`);
      if (shard && /\.[0-9a-f]{8}$/.test(name)) found.push({ shard, path: join(dir, folder, name) });
    }
  return found;
}
