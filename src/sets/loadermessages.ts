// What the main thread and its loading threads say to each other.
import type { Failure } from "../errors.ts";
import type { Recipe } from "./recipe.ts";
import type { Batch } from "./samples.ts";

/** What a thread is started with. */
export interface LoadingJob {
  /** Folders of the prepared sets. */
  readonly dirs: readonly string[];
  readonly recipes: Readonly<Record<string, Recipe>>;
}

/** A batch to make, or the end. */
export type Request = BatchRequest | "close";

export interface BatchRequest {
  readonly id: number;
  /** Of one of the job's recipes. */
  readonly recipe: string;
  readonly epoch: number;
  readonly index: number;
  /** Nobody needs it any more: its memory comes along, to be used again. */
  readonly spare?: Batch | undefined;
}

/** The memory of a batch, which is handed over and not copied. */
export function buffersOf({ x, y, later = [], leadHours }: Batch): ArrayBuffer[] {
  return [x, y, ...later, leadHours].map(({ buffer }) => buffer as ArrayBuffer);
}

export type Answer = { readonly id: number } & ({ readonly batch: Batch } | { readonly failure: Failure });
