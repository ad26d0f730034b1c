/** Where climatologies come from: training periods of prepared sets, and files of climatologies or of states. */
import { openArchive } from "../data/archive.ts";
import { expandFolders } from "../data/folderfiles.ts";
import type { ClimatologyKind } from "../sets/climatology.ts";
import { openSet } from "../sets/prepared.ts";
import { type Aligned, alignField } from "./align.ts";
import { openClimatologyFile } from "./climatologyfile.ts";
import { seasonalFields } from "./seasonalfields.ts";
import { type FieldAt, isPreparedSet, timeMean } from "./truth.ts";

/** What `--climatology` takes besides paths. */
export const climatologyWords = ["evaluation", "train", "weekly", "dayofyear"] as const;

/** A usual state for each valid time. */
export interface Climatology {
  /** Whose it is, in words for the reader of a score. */
  readonly label: string;
  /** [H * W] for each valid time, in the units that are scored; undefined for a variable it does not have. */
  field(name: string): Promise<FieldAt | undefined>;
}

/** A source of climatologies by kind. */
export interface Training {
  readonly path: string;
  readonly make: (kind: ClimatologyKind, name: string) => Promise<FieldAt | undefined>;
}

const kindWords: Record<ClimatologyKind, string> = {
  mean: "the mean",
  weekly: "the weekly means",
  dayofyear: "the smoothed means by day of the year and hour (61-day triangular window)",
};

export const fromTraining = ({ path, make }: Training, kind: ClimatologyKind): Climatology => ({
  label: `${kindWords[kind]} of the training period of ${path}`,
  field: (name) => make(kind, name),
});

/** A climatology that the user gave. */
export interface OwnClimatology {
  readonly climatology: Climatology;
  /** undefined: of months. */
  readonly kind: ClimatologyKind | undefined;
  /** Of a prepared set. */
  readonly training: Training | undefined;
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/**
 * Opens a prepared set, of whose training period the mean is taken; a file by the time of the year; or files of
 * states, whose mean is taken (of one state: that state).
 *
 * @throws ClimaxError "grid" where it does not cover what is scored; "data" for what cannot be read
 */
export async function openClimatology(
  path: string,
  alignmentOf: Aligned["alignmentOf"],
): Promise<OwnClimatology> {
  const what = `the climatology ${path}`;
  if (isPreparedSet(path)) {
    const set = await openSet(path);
    const close = () => set.close();
    const alignment = await orClose(close, () => alignmentOf(set.grid, what));
    const seasonal = seasonalFields(set);
    const names = new Set(set.variables.map(({ name }) => name));
    const training: Training = {
      path,
      make: async (kind, name) => {
        if (!names.has(name)) return undefined;
        return alignField(seasonal(kind, name), alignment, name);
      },
    };
    const notes = alignment.note ? [alignment.note] : [];
    return { climatology: fromTraining(training, "mean"), kind: "mean", training, notes, close };
  }
  const paths = await expandFolders([path]);
  const file = paths.length === 1 ? await openClimatologyFile(paths[0]!) : undefined;
  if (file) {
    const { axes, close } = file;
    const alignment = await orClose(close, () => alignmentOf(file.grid, what));
    const climatology: Climatology = {
      label: `the climatology of ${path} ${axes.words}`,
      field: async (name) => {
        const at = file.field(name);
        return at && alignField(at, alignment, name);
      },
    };
    const kind = axes.kind === "month" ? undefined : "dayofyear";
    const notes = [...file.notes, ...(alignment.note ? [alignment.note] : [])];
    return { climatology, kind, training: undefined, notes, close };
  }
  const archive = await openArchive(paths);
  const close = () => archive.close();
  const alignment = await orClose(close, () => alignmentOf(archive.grid, what));
  const steps = Array.from({ length: Math.max(1, archive.times.length) }, (_, step) => step);
  const climatology: Climatology = {
    label: `the mean of ${path} (${steps.length} ${steps.length === 1 ? "state" : "states"})`,
    field: async (name) => {
      const variable = archive.variables.get(name);
      if (!variable) return undefined;
      const read = async (_: string, step: number) => alignment.apply(name, await variable.read(step));
      const field = await timeMean({ grid: alignment.grid, read }, name, variable.constant ? [0] : steps);
      return () => field;
    },
  };
  const notes = [...archive.notes, ...(alignment.note ? [alignment.note] : [])];
  return { climatology, kind: "mean", training: undefined, notes, close };
}

async function orClose<T>(close: () => Promise<void>, work: () => T): Promise<T> {
  try {
    return work();
  } catch (error) {
    await close();
    throw error;
  }
}
