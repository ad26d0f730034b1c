// Several processes that make one set: which part of the work is this one's, and whether they wait for one another.
import type { Share } from "../data/share.ts";

/**
 *   by itself   no share: does all
 *   a job       a share, and nobody to wait for: makes its shards, and finishes the set when it finds all there
 *   a rank      a share, and `meet`: the first finishes what all have made
 */
export interface Crew {
  readonly share?: Share | undefined;
  /**
   * Waits until every rank has come here, and until this one can see these files.
   *
   * @param files  full paths, of what other ranks may have written
   */
  meet?(files: readonly string[]): Promise<void>;
}

/** A job of an array, which nobody waits for. */
export const isJob = ({ share, meet }: Crew): boolean => share !== undefined && meet === undefined;

/** Whether this one begins and finishes the set. */
export const isFirst = ({ share, meet }: Crew): boolean => meet === undefined || share?.index === 1;
