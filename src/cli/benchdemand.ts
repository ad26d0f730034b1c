// How many samples a second training asks for: as told, as a run's log says, or as was measured elsewhere, which is named.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";

export interface Demand {
  /** Samples a second. */
  readonly rate: number;
  readonly why: string;
}

// Measured on an NVIDIA H100 (`npm run bench -- --only gpu`): a step of the paper's model, 48 variables at 5.625 degrees,
// 16 samples in f16, takes 46.6 ms.
const assumed = { rate: 344, cells: 32 * 64 };

/** @throws ClimaxError (config) when both are given, (data) for a run whose log has no speed */
export async function demandOf(
  given: { stepSeconds?: number | undefined; batchSize: number; checkpoint?: string | undefined },
  grid: Grid,
): Promise<Demand> {
  const { stepSeconds, batchSize, checkpoint } = given;
  if (stepSeconds !== undefined && checkpoint !== undefined)
    throw new ClimaxError(
      "config",
      "found both --step-seconds and --checkpoint; each says how fast training is",
      "leave out one of them",
    );
  if (stepSeconds !== undefined)
    return { rate: batchSize / stepSeconds, why: `${batchSize} in a step of ${stepSeconds} s` };
  if (checkpoint !== undefined) return ofRun(checkpoint);
  // A model's work grows with its tokens, and attention faster: to scale by cells asks for more than there will be.
  const rate = (assumed.rate * assumed.cells) / (grid.lat.length * grid.lon.length);
  return {
    rate,
    why:
      `assumed: the paper's model in f16 on an H100, ${assumed.rate} at 32 x 64 and in proportion to the points; ` +
      "--step-seconds or --checkpoint tell it better",
  };
}

async function ofRun(checkpoint: string): Promise<Demand> {
  const path = join(dirname(checkpoint), "log.jsonl");
  const text = await readFile(path, "utf8").catch((error: Error) => {
    throw new ClimaxError(
      "data",
      `cannot read ${path}: ${error.message}`,
      "name a checkpoint in the folder of its run, or give --step-seconds",
      { cause: error },
    );
  });
  const rates = text
    .split("\n")
    .map((line) => /"samples_per_second":([\d.e+-]+)/.exec(line)?.[1] ?? "0") // the last line may be cut short
    .map(Number);
  const rate = Math.max(0, ...rates);
  if (rate > 0) return { rate, why: `the most in ${path}` };
  throw new ClimaxError("data", `${path} tells no speed`, "train some steps more, or give --step-seconds");
}
