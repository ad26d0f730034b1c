// The shards of a set to come: their names, and which states go into them.
import type { SplitName } from "./manifest.ts";
import type { Plan } from "./plan.ts";

export interface ShardFiles {
  split: SplitName;
  file: string;
  times: string;
  /** Of train: sums and counts of its year up to its end, from which the mean state is made. */
  sums?: string;
  /** Indices into the archive's times. */
  steps: number[];
}

/** Where the shards of a plan go: SPLIT/YEAR.npy, or SPLIT/YEAR_2.npy and so on where that is `taken`. */
export function nameShards({ shards }: Plan, taken: ReadonlySet<string> = new Set()): ShardFiles[] {
  return shards.map(({ split, year, steps }) => {
    let name = `${split}/${year}`;
    for (let n = 2; taken.has(`${name}.npy`); n++) name = `${split}/${year}_${n}`;
    const sums = split === "train" ? { sums: `${name}.sums.npy` } : {};
    return { split, file: `${name}.npy`, times: `${name}.time.npy`, ...sums, steps };
  });
}

/** All its files. */
export const filesOf = ({ file, times, sums }: ShardFiles): string[] => [
  file,
  times,
  ...(sums ? [sums] : []),
];
