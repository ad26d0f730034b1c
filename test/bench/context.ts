// What every section of the bench is given.
import type { Gpu, Precision } from "../../src/engine/device.ts";
import type { Row } from "./rows.ts";
import type { Twin } from "./twin.ts";

export interface Context {
  /** The chosen adapter's name, as it stands in every row. */
  readonly adapter: string;
  /** As the user gave it, for child processes. */
  readonly adapterOption: string | undefined;
  readonly kind: "hardware" | "software";
  /** Timed rounds of each side of a comparison. */
  readonly rounds: number;
  /** Whether models are reduced to a size that shows only that all of it runs. */
  readonly tiny: boolean;
  /** Of the section gpu. */
  readonly batches: readonly number[];
  readonly precisions: readonly Precision[];
  /** Of the section regrid: time steps of its files, and a part of the names of those wanted. */
  readonly steps: number;
  readonly files: string | undefined;
  /** Opens the chosen adapter, with timestamps where it has them. */
  open(precision?: Precision): Promise<Gpu>;
  /** Ways to run the PyTorch twin, or why there is none. */
  twins(): Promise<Twin[] | string>;
  /** What is being done, on stderr. */
  say(text: string): void;
}

/** Measures, and gives rows as they come. */
export type Section = (context: Context) => AsyncIterable<Row>;
