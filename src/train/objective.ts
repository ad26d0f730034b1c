// What a run is to learn: from which samples, with which network, and what its checkpoints say of themselves.

import { parseName } from "../data/variables.ts";
import type { Grid } from "../grid/grid.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import type { NetworkConfig } from "../model/network.ts";
import { type LoaderOptions, openLoader } from "../sets/loader.ts";
import { openSet, type PreparedSet, type SplitName } from "../sets/prepared.ts";
import type { Recipe } from "../sets/recipe.ts";
import type { BatchSource } from "../sets/samples.ts";
import type { LossSettings } from "./config.ts";
import type { LearnerOptions, ReadParameter } from "./learner.ts";
import type { BatchVariables } from "./plan.ts";

export interface Objective {
  readonly model: NetworkConfig;
  readonly train: BatchSource;
  readonly validation: BatchSource | undefined;
  readonly info: CheckpointInfo;
  readonly sets: readonly PreparedSet[];
  /** Of the fields of a sample; its latitudes weigh the loss. */
  readonly grid: Grid;
  /** What is particular to how this is learnt. */
  readonly learner: Pick<LearnerOptions, "frozen" | "shares" | "byLatitude">;
  /** Starting values. One at a time: all of a large model's at once would take as much memory again as the model. */
  readonly start: ReadParameter;
  /** The kinds of batches there are: one of each source. */
  readonly batches: readonly BatchVariables[];
  /** What the user should know before it starts. */
  readonly notes?: readonly string[];
  /** Ends what makes batches, and closes the sets. */
  close(): Promise<void>;
}

/** The samples of a run, `val` where there are any, and what ends it all. */
export function openSamples(
  sets: readonly PreparedSet[],
  { train, val }: { train: Recipe; val?: Recipe | undefined },
  { workers, prefetch, processes }: LoaderOptions,
): Pick<Objective, "train" | "validation" | "close"> {
  const recipes: Partial<Record<SplitName, Recipe>> = val ? { train, val } : { train };
  const loader = openLoader(sets, recipes as Record<SplitName, Recipe>, { workers, prefetch, processes });
  return {
    train: loader.sources.train,
    validation: val && loader.sources.val,
    close: async () => {
      await loader.close();
      for (const set of sets) await set.close();
    },
  };
}

/** How much each output counts in the loss; undefined: alike. */
export function sharesOf(
  outputs: readonly string[],
  { pressureWeighted }: LossSettings,
): Record<string, number> | undefined {
  if (!pressureWeighted) return undefined;
  return Object.fromEntries(outputs.map((name) => [name, (parseName(name).level ?? 1000) / 1000]));
}

/** Opens all sets, or closes those that opened and throws. */
export async function openSets(dirs: readonly string[]): Promise<PreparedSet[]> {
  const opened: PreparedSet[] = [];
  try {
    for (const dir of dirs) opened.push(await openSet(dir));
    return opened;
  } catch (error) {
    for (const set of opened) await set.close();
    throw error;
  }
}

/** Names of the variables that change in time. */
export function changing(set: PreparedSet): string[] {
  return set.variables.filter(({ constant }) => !constant).map(({ name }) => name);
}

/** Names of the variables that a model may be asked for unless told otherwise: what drives from outside is given, not predicted. */
export function predictable(set: PreparedSet): string[] {
  return changing(set).filter((name) => parseName(name).info.role !== "forcing");
}

/** What a checkpoint records of the data it learnt from. */
export function describeSet({ dir, manifest }: PreparedSet): Record<string, unknown> {
  const { source, synthetic, splits, checksums } = manifest;
  const train = { start: splits.train.start, end: splits.train.end, steps: splits.train.steps };
  const first = splits.train.shards[0]!.file;
  return { dir, source, synthetic, train, sha256: { [first]: checksums[first] ?? null } };
}
