// What the commands that run a trained model share: their checkpoints, the adapter, and what their files say of both.
import { existsSync, realpathSync } from "node:fs";
import type { Gpu } from "../engine/device.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, makeGrid, sameGrid } from "../grid/grid.ts";
import type { Model } from "../infer/forecast.ts";
import { Predictor } from "../infer/predictor.ts";
import { taskWords } from "../infer/rollout.ts";
import { type Checkpoint, type CheckpointInfo, openCheckpoint } from "../model/checkpoint.ts";
import { version } from "../version.ts";

/** @throws ClimaxError when the output would take the place of what it is made from */
export function refuseToReplace(output: string, sources: readonly string[]): void {
  if (!existsSync(output)) return;
  const source = sources.find((path) => existsSync(path) && realpathSync(path) === realpathSync(output));
  if (source === undefined) return;
  throw new ClimaxError(
    "config",
    `--output ${output} is the file ${source} that is read`,
    "choose another --output",
  );
}

/** @throws ClimaxError "config" without one */
export function needInput(input: string[] | undefined): string[] {
  if (input) return input;
  throw new ClimaxError(
    "config",
    "--input is required",
    "give files that hold states, or a prepared set: --input PATH",
  );
}

/**
 * Opens checkpoints whose predictions are one ensemble, and closes them after `work`.
 *
 * @throws ClimaxError "config" when one is named twice, or they do not agree in outputs, grid and task
 */
export async function withCheckpoints<T>(
  paths: readonly string[],
  work: (checkpoints: readonly Checkpoint[]) => Promise<T>,
): Promise<T> {
  const twice = paths.find((path, i) => paths.indexOf(path) !== i);
  if (twice !== undefined) {
    throw new ClimaxError(
      "config",
      `--checkpoint ${twice} is given twice: two members would be the same`,
      "name each checkpoint once",
    );
  }
  const checkpoints: Checkpoint[] = [];
  try {
    for (const path of paths) checkpoints.push(await openCheckpoint(path));
    for (const other of checkpoints.slice(1)) mustAgree(checkpoints[0]!, other);
    return await work(checkpoints);
  } finally {
    for (const checkpoint of checkpoints) await checkpoint.close();
  }
}

function mustAgree(first: Checkpoint, other: Checkpoint): void {
  const refuse = (says: (info: CheckpointInfo) => string): never => {
    throw new ClimaxError(
      "config",
      `${first.path} is for ${says(first.info)}, ${other.path} for ${says(other.info)}`,
      "members of one ensemble predict the same; forecast with each by itself, into files of their own",
    );
  };
  const grid = ({ info }: Checkpoint) => makeGrid(info.grid.lat, info.grid.lon);
  const [a, b] = [first.info, other.info];
  if (JSON.stringify(a.task) !== JSON.stringify(b.task)) refuse(taskWords);
  if (!sameGrid(grid(first), grid(other)))
    refuse((info) => describeGrid(makeGrid(info.grid.lat, info.grid.lon)));
  if (a.outputs.toSorted().join() !== b.outputs.toSorted().join())
    refuse(({ outputs }) => outputs.join(", "));
}

/** Puts a checkpoint on the device while it is used. */
export function modelOf(gpu: Gpu, checkpoint: Checkpoint, inputs: readonly string[]): Model {
  return {
    info: checkpoint.info,
    inputs,
    use: async (work) => {
      const predictor = await Predictor.load(gpu, checkpoint);
      try {
        await work(predictor);
      } finally {
        predictor.free();
      }
    },
  };
}

export interface Origin {
  /** What the file holds, e.g. `direct forecasts by ClimaX`. */
  readonly title: string;
  readonly checkpoints: readonly Checkpoint[];
  /** As the device calls it, with the precision if that is not f32; undefined where none was used. */
  readonly adapter: string | undefined;
  readonly synthetic: boolean;
  readonly commandLine: string;
}

/** Global attributes of a file. */
export async function originAttributes(origin: Origin): Promise<Record<string, string>> {
  const { title, checkpoints, adapter, synthetic, commandLine } = origin;
  const sums: string[] = [];
  for (const checkpoint of checkpoints) sums.push(await checkpoint.sha256());
  const paths = checkpoints.map(({ path }) => path).join(", ");
  const [type, ...mixed] = new Set(checkpoints.map(({ info }) => info.model.type));
  const baseline = mixed.length === 0 && type !== "climax" && type !== "projection" ? type : undefined;
  return {
    Conventions: "CF-1.11",
    title: `${synthetic ? "SYNTHETIC " : ""}${title}`,
    institution: "made with climax",
    ...(baseline ? { system: baseline } : {}), // what climax evaluate calls it
    source: `climax ${version()}${paths === "" ? "" : `, checkpoint ${paths}`}`,
    history: `${new Date().toISOString().slice(0, 19)}Z ${commandLine}`,
    references: "Nguyen et al. 2023, arXiv:2301.10343",
    climax_version: version(),
    ...(sums.length > 0 ? { climax_checkpoint_sha256: sums.join(", ") } : {}),
    ...(adapter === undefined ? {} : { climax_adapter: adapter }),
    synthetic: String(synthetic),
    ...(synthetic
      ? { comment: "Of a simulated planet, or by a model trained on one: not for use as a forecast." }
      : {}),
  };
}

/** `1 initial time`, `3 initial times`. */
export function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
