/** Scores as programs read them: the document that JSON holds, and the maps and curves that go with it. */
import type { Grid } from "../grid/grid.ts";

/** A score: measured here, or published elsewhere. Keys of a JSON row and columns of the CSV, in this order. */
export interface ReportRow {
  readonly system: string;
  readonly definition: string;
  readonly metric: string;
  readonly variable: string;
  readonly lead_hours: number;
  readonly region: string;
  /** "all", or the season (DJF, MAM, JJA, SON) that the valid times lie in. */
  readonly season: string;
  /** null where the score has no value. */
  readonly value: number | null;
  /** Confidence limits; null: none. */
  readonly low: number | null;
  readonly high: number | null;
  /** Forecasts that entered; null: not stated. */
  readonly samples: number | null;
  readonly units: string;
  /** "measured", or "published: " and where. */
  readonly source: string;
  /** Whether forecast or truth is simulated weather. */
  readonly synthetic: boolean;
}

/** Columns of the CSV, and the keys of a JSON row. */
export const reportColumns = [
  "system",
  "definition",
  "metric",
  "variable",
  "lead_hours",
  "region",
  "season",
  "value",
  "low",
  "high",
  "samples",
  "units",
  "source",
  "synthetic",
] as const satisfies readonly (keyof ReportRow)[];

/** The score of one system minus that of another on the same forecasts, resampled together. */
export interface DifferenceRow {
  readonly system: string;
  readonly versus: string;
  readonly metric: string;
  readonly variable: string;
  readonly lead_hours: number;
  readonly region: string;
  readonly season: string;
  /** system - versus, in the units of the score. */
  readonly difference: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** Two-sided, of no difference; null: none computed. */
  readonly p: number | null;
  /** "system", "versus", or "tie" where the interval holds zero, or neither is better. */
  readonly better: "system" | "versus" | "tie" | null;
  readonly samples: number;
}

/** How confidence limits were made. */
export interface Intervals {
  /** In words, for the reader of a table. */
  readonly method: string;
  /** 0.95 */
  readonly level: number;
  readonly resamples: number;
  readonly seed: number;
  /** Initial times in a block, where the user chose them; null: chosen from the statistics of each lead. */
  readonly block: number | null;
}

/** A spectrum or a rank histogram: mean over all forecasts. */
export interface Profile {
  readonly system: string;
  readonly metric: string;
  readonly variable: string;
  readonly lead_hours: number;
  readonly region: string;
  readonly axis: { readonly name: string; readonly values: readonly number[] };
  readonly values: readonly number[];
  readonly truth: readonly number[];
  readonly units: string;
  readonly samples: number;
}

/** A field of scores [H * W]; NaN where none. Not in the JSON. */
export interface ScoreMap {
  readonly system: string;
  /** Root of the mean squared error at each point, or mean error, over all forecasts. */
  readonly what: "rmse" | "bias";
  readonly variable: string;
  readonly lead_hours: number;
  readonly units: string;
  readonly grid: Grid;
  readonly values: Float32Array;
}

/** What was scored, how, and from which files: everything but the numbers. */
export interface Provenance {
  readonly command: string;
  readonly version: string;
  readonly created: string;
  /** The machine and the runtime: "linux x64, Node 20.20.2". */
  readonly machine: string;
  /** null: no file, such as a Zarr store; or not read twice for its checksum. */
  readonly files: readonly { path: string; bytes: number | null; sha256: string | null }[];
}

export interface ScoreDocument {
  readonly format: "climax-scores";
  readonly version: 2;
  readonly bench: string;
  readonly definition: { readonly name: string; readonly description: string; readonly source: string };
  /** What anomalies of `acc` are taken from. */
  readonly anomalies: string | null;
  /** What the climatology baseline is; several, one after the other. */
  readonly climatology: string | null;
  /** Hours that forecasts and truth are means over; null: they are states at one time. */
  readonly average_hours: number | null;
  readonly initial_times: readonly [string, string];
  readonly valid_times: readonly [string, string];
  readonly grid: string;
  /** In the order of the tables: systems with their files, then baselines without. */
  readonly systems: readonly {
    readonly name: string;
    readonly files: readonly string[];
    readonly members: number;
    /** What made the files, as they say: model, program, adapter. */
    readonly made: readonly string[];
  }[];
  readonly truth: readonly string[];
  /** The system or baseline that score cards and `differences` stand against. */
  readonly versus: string | null;
  readonly intervals: Intervals | null;
  readonly synthetic: boolean;
  readonly notes: readonly string[];
  readonly provenance: Provenance;
  readonly rows: readonly ReportRow[];
  readonly differences: readonly DifferenceRow[];
  readonly profiles: readonly Profile[];
}

/** All that a run found. */
export interface Scores {
  readonly document: ScoreDocument;
  readonly maps: readonly ScoreMap[];
}
