// The command lines that studies are made of, and what their sets say: training, forecasting the test split, scoring.
import { join } from "node:path";
import { ClimaxError } from "../errors.ts";
import { fileRecords } from "../eval/filerecords.ts";
import { manifestOf } from "../eval/truth.ts";
import { changing, openSets } from "../train/objective.ts";
import { outputsOf } from "../train/presets.ts";
import { flagsFor, type StudyConfig } from "./studyconfig.ts";
import type { Job } from "./studyruns.ts";

/** What a study must know of a prepared set. */
export interface StudySet {
  readonly dir: string;
  readonly variables: readonly string[];
  /** Variables that change in time. */
  readonly changing: readonly string[];
  readonly std: Readonly<Record<string, number>>;
  readonly synthetic: boolean;
  /** States of its training period. */
  readonly states: number;
  /** Of set.json, which has the checksums of all files. */
  readonly sha256: string;
}

/** @throws ClimaxError for sets that are missing, broken, or without a test split to be scored on */
export async function describeSets(dirs: readonly string[], scored: string): Promise<Map<string, StudySet>> {
  const names = [...new Set([...dirs, scored])];
  const sets = await openSets(names);
  try {
    const records = await fileRecords(names.map(manifestOf), true);
    const found = new Map<string, StudySet>();
    for (const [i, set] of sets.entries()) {
      if (names[i] === scored) set.split("test");
      found.set(names[i]!, {
        dir: names[i]!,
        variables: set.variables.map(({ name }) => name),
        changing: changing(set),
        std: set.std,
        synthetic: set.manifest.synthetic,
        states: set.split("train").times.length,
        sha256: records[i]!.sha256!,
      });
    }
    return found;
  } finally {
    for (const set of sets) await set.close();
  }
}

/**
 * The variables to predict and score: those asked for, or those of the paper that the set has.
 *
 * @throws ClimaxError "config" for a variable that the set does not have or that is constant, or when none is left
 */
export function chooseTargets(asked: readonly string[] | undefined, set: StudySet): readonly string[] {
  const strange = asked?.filter((name) => !set.changing.includes(name)) ?? [];
  const chosen = asked ?? outputsOf.global.filter((name) => set.changing.includes(name));
  if (strange.length === 0 && chosen.length > 0) return [...new Set(chosen)];
  throw new ClimaxError(
    "config",
    asked
      ? `${strange.join(", ")}: not among the variables of ${set.dir} that change in time`
      : `${set.dir} has none of ${outputsOf.global.join(", ")}`,
    `choose with --variables among ${set.changing.join(", ")}`,
  );
}

/** Lists the jobs of a study; one that two cells have in common is run once. */
export class Planner {
  readonly #made = new Map<string, Job>();

  /** @param product  folder of a training run, or the file that is written, if the job is new */
  job(command: Job["command"], argv: readonly string[], product: string): Job {
    const key = JSON.stringify([command, argv]);
    const known = this.#made.get(key);
    if (known) return known;
    const flag = command === "evaluate" ? "--json" : "--output";
    const made = { command, argv: [...argv, flag, product], product };
    this.#made.set(key, made);
    return made;
  }
}

export interface Scored {
  readonly checkpoint: string;
  /** Hours, ascending. */
  readonly leads: readonly number[];
  readonly variables: readonly string[];
  /** Hours; without, the leads are forecast directly. */
  readonly rollout?: number;
  /** Whether the error in units of the loss is wanted too: the root of the mean over all forecasts. */
  readonly loss?: boolean;
}

/** Forecasts of the test split, and their scores. */
export function scoreJobs(
  planner: Planner,
  config: StudyConfig,
  set: string,
  folder: string,
  { checkpoint, leads, variables, rollout, loss = false }: Scored,
): Job[] {
  const forecast = planner.job(
    "forecast",
    [
      ...[
        "--checkpoint",
        checkpoint,
        "--input",
        set,
        "--every",
        config.every,
        "--lead",
        `${leads.join("h,")}h`,
      ],
      ...(rollout === undefined ? [] : ["--rollout", `${rollout}h`]),
      ...["--variables", variables.join(",")],
      ...machineFlags(config, ["adapter", "precision"]),
    ],
    join(folder, "forecast.nc"),
  );
  const evaluate = (name: string, baselines: string, definition: string) =>
    planner.job(
      "evaluate",
      [
        ...["--forecast", forecast.product, "--truth", set, "--name", "model", "--metrics", "rmse"],
        // Forecasts of the last states of the test split have no truth.
        ...["--variables", variables.join(","), "--definition", definition, "--missing", "skip"],
        ...["--baselines", baselines, "--no-published"],
      ],
      join(folder, name),
    );
  return [
    forecast,
    evaluate("scores.json", "persistence,climatology", "climax"),
    ...(loss ? [evaluate("loss.json", "none", "weatherbench1")] : []),
  ];
}

/** Flags for the machine that a command takes. */
export function machineFlags(
  config: StudyConfig,
  taken: readonly ("adapter" | "precision" | "memory")[] = ["adapter", "precision", "memory"],
): string[] {
  return flagsFor(Object.fromEntries(taken.map((key) => [key, config[key]])));
}
