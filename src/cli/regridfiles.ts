// Which file `climax regrid` writes where, which of them this call does, and several of them at once.
import { existsSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { dealt, type Share } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { type Progress, progress } from "./progress.ts";

export type Pair = readonly [input: string, output: string];

const endings = /\.(nc4?|cdf|h5|hdf5|he5|zarr|grib2?|grb2?|npz|zip)$/i;

/** Which file goes where, and the folder when there is one. */
export function outputsOf(
  inputs: readonly string[],
  output: string,
): { pairs: Pair[]; folder: string | undefined } {
  const isFolder = existsSync(output) ? statSync(output).isDirectory() : !/\.(nc4?|cdf)$/i.test(output);
  if (!isFolder) {
    if (inputs.length > 1) {
      throw new ClimaxError(
        "config",
        `found ${inputs.length} input files for the one output file ${output}`,
        `name a folder, and each gets a file of its own name there: -o ${join(dirname(output), "regridded")}`,
      );
    }
    return { pairs: [[inputs[0]!, output]], folder: undefined };
  }
  const pairs = inputs.map((input): Pair => {
    const name = basename(input.replace(/[?#].*$/, "")).replace(endings, "");
    return [input, join(output, `${name}.nc`)];
  });
  const seen = new Set<string>();
  for (const [, path] of pairs) {
    if (seen.has(path)) {
      throw new ClimaxError(
        "config",
        `two input files would both be written to ${path}`,
        "rename one of them, or regrid them into different folders",
      );
    }
    seen.add(path);
  }
  return { pairs, folder: output };
}

/**
 * Every N-th pair from the I-th on. All shares see all pairs, so no two of them write one file. One output file is the
 * first share's of ranks, the others have nothing to do; as jobs of an array (`asked`) that is taken for a mistake.
 */
export function pairsOf(
  pairs: readonly Pair[],
  share: Share,
  folder: string | undefined,
  asked: string | undefined,
): Pair[] {
  if (folder === undefined && asked !== undefined) {
    throw new ClimaxError(
      "config",
      `found --shard ${asked} with one output file`,
      "name a folder for the outputs; shards share out whole files",
    );
  }
  return dealt(pairs, share);
}

/** Sizes of inputs, bytes; undefined for what is no file of this machine. */
export async function sizesOf(pairs: readonly Pair[]): Promise<(number | undefined)[]> {
  const size = async ([input]: Pair) => {
    const info = await stat(input).catch(() => undefined);
    return info?.isFile() ? info.size : undefined;
  };
  return Promise.all(pairs.map(size));
}

/** Runs `work` on each, at most `most` at once; after a failure no more are begun, and the first one is thrown. */
export async function severalAtOnce<T>(
  items: readonly T[],
  most: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const one = async () => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      await work(items[index]!, index).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, one));
  if (failures.length > 0) throw failures[0];
}

/** How far a call is, over all its files. */
export interface FilesProgress {
  /** Sets how much of a file is done, 0 to 1, and how many of its fields. */
  update(file: number, share: number, fields: number): void;
  /** Prints a line above the bar, or after it. */
  print(text: string, write: (text: string) => void): void;
  stop(): void;
}

/** Small calls are done before a bar could be read, seconds. */
const patience = 1;

export function filesProgress(
  pairs: readonly Pair[],
  sizes: readonly (number | undefined)[],
  quiet: boolean,
): FilesProgress {
  const many = pairs.length > 1;
  const known = sizes.every((size) => size !== undefined);
  // By size where it is known; files of unknown size count alike.
  const weights = sizes.map((size) => (known ? size! / 1e6 : 1000));
  const total = Math.max(1, Math.round(weights.reduce((sum, weight) => sum + weight, 0)));
  const shares = pairs.map(() => 0);
  const fields = pairs.map(() => 0);
  const started = performance.now();
  let bar: Progress | undefined;
  return {
    update(file, share, count) {
      [shares[file], fields[file]] = [share, count];
      const elapsed = (performance.now() - started) / 1000;
      const done = weights.reduce((sum, weight, i) => sum + weight * shares[i]!, 0);
      if (!bar && (elapsed < patience || done >= total)) return;
      bar ??= progress({
        label: many ? "regrid" : basename(pairs[0]![0]),
        total: known ? total : total / 1000,
        quiet,
      });
      const rate = fields.reduce((sum, n) => sum + n, 0) / elapsed;
      const notes = [
        ...(many ? [`${shares.filter((x) => x >= 1).length}/${pairs.length} files`] : []),
        ...(known ? [`${(done / elapsed).toFixed(0)} MB/s`] : []),
        `${rate < 10 ? rate.toFixed(1) : rate.toFixed(0)} fields/s`,
      ];
      bar.update(known ? Math.floor(done) : Math.floor(done / 1000), notes.join("  "));
    },
    print(text, write) {
      if (bar && process.stderr.isTTY) bar.log(text);
      else write(text);
    },
    stop: () => bar?.stop(),
  };
}
