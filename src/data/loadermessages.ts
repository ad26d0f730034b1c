// What the main thread and its loading threads say to each other.
import { ClimaxError, type ErrorKind } from "../errors.ts";
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

/** An error as plain data: clones of errors lose what they are. */
export interface Failure {
  readonly message: string;
  readonly stack: string | undefined;
  /** Of a ClimaxError. */
  readonly mend?: { readonly kind: ErrorKind; readonly hint: string };
}

export function failureOf(error: unknown): Failure {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const mend = error instanceof ClimaxError ? { mend: { kind: error.kind, hint: error.hint } } : {};
  return { message, stack, ...mend };
}

export function errorOf({ message, stack, mend }: Failure): Error {
  const error = mend ? new ClimaxError(mend.kind, message, mend.hint) : new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
