/** The fraction of land in each cell, for scores over land or sea. */
import { openArchive } from "../data/archive.ts";
import { expandFolders } from "../data/folderfiles.ts";
import { ClimaxError } from "../errors.ts";
import type { Field } from "../scores/metric.ts";
import { openSet } from "../sets/prepared.ts";
import type { Aligned } from "./align.ts";
import { isPreparedSet, type LandMask, landOfArchive, landOfSet, type Truth } from "./truth.ts";

/**
 * The fraction of land [H * W] on the grid that is scored: from the truth, which may have none (undefined), or from the
 * files or the prepared set at a path.
 *
 * @param say takes a sentence when the mask had to be regridded
 * @throws ClimaxError "data" for a path without a land mask; "grid" where it does not cover what is scored
 */
export async function landFraction(
  source: Pick<Truth, "path" | "land"> | string,
  alignmentOf: Aligned["alignmentOf"],
  say?: (note: string) => void,
): Promise<Field | undefined> {
  if (typeof source !== "string") {
    return source.land && alignedLand(source.land, `the land mask of ${source.path}`, alignmentOf, say);
  }
  const what = `the land mask ${source}`;
  if (isPreparedSet(source)) {
    const set = await openSet(source);
    try {
      const land = landOfSet(set);
      if (land) return await alignedLand(land, what, alignmentOf, say);
      throw new ClimaxError(
        "data",
        `${source} has no land_sea_mask; it has ${set.variables.map(({ name }) => name).join(", ")}`,
        "give a file that holds the mask (lsm, sftlf): --land FILE",
      );
    } finally {
      await set.close();
    }
  }
  const archive = await openArchive(await expandFolders([source]), { variables: ["land_sea_mask"] });
  try {
    return await alignedLand(landOfArchive(archive)!, what, alignmentOf, say);
  } finally {
    await archive.close();
  }
}

async function alignedLand(
  land: LandMask,
  what: string,
  alignmentOf: Aligned["alignmentOf"],
  say: ((note: string) => void) | undefined,
): Promise<Field> {
  const alignment = alignmentOf(land.grid, what);
  if (alignment.note !== undefined) say?.(alignment.note);
  return alignment.apply("land_sea_mask", await land.read());
}
