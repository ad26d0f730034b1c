// The years of train: of each what is learnt of its states, moments and sums. Statistics and mean state of the whole are
// those of the years put together in their order, so that they are the same to the last bit whichever processes made
// the years, and however often the set has grown at its end.
import { join } from "node:path";
import { parseTime } from "../data/time.ts";
import type { SumsPath } from "./fieldsums.ts";
import { dynamicNames, type Manifest } from "./manifest.ts";
import type { Part } from "./setparts.ts";
import type { ShardFiles } from "./shardfiles.ts";
import { mergeTallies, startTally, type Tally } from "./tally.ts";

/** A calendar year; all of train where a state stands for a month or more. */
export interface TrainYear {
  /** The shard that it ends with. */
  file: string;
  /** Of that shard's first state, seconds since 1970. */
  start: number;
  /** By variable. */
  tallies: readonly Pick<Tally, "moments" | "years">[];
  /** Full paths. */
  sums: SumsPath;
}

/**
 * Those of a set, in order; undefined for one that did not keep them. Of a set that kept only totals, all of train is
 * as one year.
 */
export function yearsOf(manifest: Manifest, dir: string): TrainYear[] | undefined {
  const { splits, statistics, climatology, calendar } = manifest;
  const names = dynamicNames(manifest);
  const years = splits.train.shards.flatMap(({ file, firstTime, sums }) => {
    if (!sums || !names.every((name) => sums.moments[name])) return [];
    const tallies = names.map((name) => ({
      moments: sums.moments[name]!,
      years: sums.years?.[name] ?? [],
    }));
    return [{ file, start: parseTime(firstTime, calendar).seconds, tallies, sums: join(dir, sums.file) }];
  });
  if (years.length > 0) return years;
  if (!climatology.sums || !statistics || !names.every((name) => statistics.moments[name])) return undefined;
  const { file, firstTime } = splits.train.shards.at(-1)!;
  const tallies = names.map((name) => ({
    moments: statistics.moments[name]!,
    years: statistics.years?.[name] ?? [],
  }));
  const sums = [join(dir, climatology.base, "sum.npy"), join(dir, climatology.base, "count.npy")] as const;
  return [{ file, start: parseTime(firstTime, calendar).seconds, tallies, sums }];
}

/** Those of new shards. */
export function yearsMade(
  dir: string,
  shards: readonly ShardFiles[],
  parts: ReadonlyMap<string, Part>,
  seconds: (step: number) => number,
): TrainYear[] {
  return shards.flatMap(({ file, sums, steps }) =>
    sums === undefined
      ? []
      : [{ file, start: seconds(steps[0]!), tallies: parts.get(file)!.tallies, sums: join(dir, sums) }],
  );
}

/**
 * What the tallies say of train as a whole, and of all states that were read.
 *
 * @param years  in their order
 * @param parts  of what was read, in its order
 */
export function tallyAll(count: number, years: readonly TrainYear[], parts: readonly Part[]): Tally[] {
  return Array.from({ length: count }, (_, v) => {
    const read = parts.map(({ tallies }) => tallies[v]!).reduce(mergeTallies, startTally());
    const train = years.map(({ tallies }) => goOnFrom(tallies[v]!)).reduce(mergeTallies, startTally());
    return { ...read, moments: train.moments, years: train.years };
  });
}

/** A tally that has seen nothing yet but what came before in its year. */
export const goOnFrom = ({ moments, years }: Pick<Tally, "moments" | "years">): Tally => ({
  ...startTally(),
  moments,
  years: years.map((year) => ({ ...year })),
});
