// Whether a disk has room for what is to be written.
import { statfs } from "node:fs/promises";
import type { Archive } from "../data/archive.ts";
import { ClimaxError } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import { bytesEach } from "./journal.ts";
import type { SetDtype } from "./manifest.ts";
import type { ShardFiles } from "./shardfiles.ts";

/** Bytes of the files to come. @param variables  how many vary in time */
export function bytesNeeded(
  { grid }: Pick<Archive, "grid">,
  variables: number,
  shards: readonly ShardFiles[],
  dtype: SetDtype,
): number {
  const steps = shards.reduce((sum, shard) => sum + shard.steps.length, 0);
  const years = shards.filter(({ sums }) => sums !== undefined).length;
  const values = variables * grid.lat.length * grid.lon.length;
  // The mean state, and of each year of train sums and counts.
  return values * (steps * bytesEach(dtype) + 4 + 16 * years);
}

/** Says before hours of work that they would be in vain. @param folder  exists */
export async function refuseFullDisk(folder: string, bytes: number, dir: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes > free)
    throw new ClimaxError(
      "data",
      `${dir}: the set needs ${bytesText(bytes)}, its disk has ${bytesText(free)} left`,
      "free some space, choose another disk, or fewer variables",
    );
}
