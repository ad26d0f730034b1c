// How the batches of a run are made, as plain data: what a worker thread is told to make the same ones.
import { type HistoryOptions, historySamples } from "./historysamples.ts";
import type { SplitName } from "./manifest.ts";
import { type PairedOptions, pairedSamples } from "./pairedsamples.ts";
import type { PreparedSet } from "./prepared.ts";
import { type BatchSource, mixSources, type SampleOptions, samples } from "./samples.ts";

/** Sets go by their place in the list that the recipe comes with. Can be cloned to another thread. */
export type Recipe =
  | { kind: "samples"; set: number; split: SplitName; options: SampleOptions }
  | { kind: "history"; sets: readonly number[]; split: SplitName; options: HistoryOptions }
  | {
      kind: "pairs";
      coarse: number | { coarsen: number };
      fine: number;
      split: SplitName;
      options: PairedOptions;
    }
  | { kind: "mixture"; parts: readonly Recipe[]; seed: number; weights?: readonly number[] };

/** The source that a recipe describes, on these sets. @throws ClimaxError as samples, historySamples and the others do */
export function sourceOf(recipe: Recipe, sets: readonly PreparedSet[]): BatchSource {
  switch (recipe.kind) {
    case "samples":
      return samples(sets[recipe.set]!, recipe.split, recipe.options);
    case "history": {
      const chosen = recipe.sets.map((place) => sets[place]!);
      return historySamples(chosen, recipe.split, recipe.options);
    }
    case "pairs": {
      const { coarse, fine, split, options } = recipe;
      return pairedSamples(typeof coarse === "number" ? sets[coarse]! : coarse, sets[fine]!, split, options);
    }
    case "mixture": {
      const { parts, seed, weights } = recipe;
      const sources = parts.map((part) => sourceOf(part, sets));
      return mixSources(sources, { seed, ...(weights ? { weights } : {}) });
    }
  }
}

/** Bytes of the largest batch that a recipe makes. */
export function batchBytes(recipe: Recipe, sets: readonly PreparedSet[]): number {
  if (recipe.kind === "mixture") return Math.max(...recipe.parts.map((part) => batchBytes(part, sets)));
  const { inputs, outputs, batchSize, window } = recipe.options;
  const set =
    recipe.kind === "samples" ? recipe.set : recipe.kind === "history" ? recipe.sets[0]! : recipe.fine;
  const { lat, lon } = sets[set]!.grid;
  const cells = window
    ? window.rows.length * window.columns.length * window.patchSize ** 2
    : lat.length * lon.length;
  const before = recipe.kind === "history" ? (recipe.options.history ?? 10) : 1;
  const after = recipe.kind === "samples" ? (recipe.options.steps ?? 1) : 1;
  return 4 * batchSize * cells * (inputs.length * before + outputs.length * after);
}
