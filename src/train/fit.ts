// Linear pattern scaling, which is fitted at once and not trained by steps: all samples in, a checkpoint out.

import { ClimaxError } from "../errors.ts";
import { type Grid, latitudeWeights } from "../grid/grid.ts";
import { writeCheckpoint } from "../model/checkpoint.ts";
import {
  applyPatternScaling,
  fitPatternScaling,
  type PatternScaling,
  type PatternScalingConfig,
  patternScalingParameters,
} from "../model/patternscaling.ts";
import type { Batch, BatchSource } from "../sets/samples.ts";
import type { Objective } from "./objective.ts";
import { bestCheckpoint } from "./resume.ts";

/** Which output's global mean stands between the forcing and the fields. */
const TEMPERATURE = "2m_temperature";

/**
 * Fits on all training samples and writes the checkpoint.
 *
 * @param objective  of a network of type "pattern-scaling", with batches of any size
 * @returns          mean squared error of the normalised fields, weighted by area, of the validation samples
 * @throws           ClimaxError "config" without a temperature among the outputs, "data" when there is nothing to fit
 */
export async function fitScaling(
  config: PatternScalingConfig,
  { train, validation, grid, info }: Pick<Objective, "train" | "validation" | "grid" | "info">,
  out: string,
): Promise<{ samples: number; loss: number | undefined }> {
  const temperature = config.outputs.indexOf(TEMPERATURE);
  if (temperature < 0) {
    throw new ClimaxError(
      "config",
      `pattern scaling goes by the global mean of ${TEMPERATURE}, which is not among ${config.outputs.join(", ")}`,
      `add ${TEMPERATURE} to --data.outputs`,
    );
  }
  const weights = cellWeights(grid);
  const forcing: number[] = [];
  const fields = config.outputs.map((): number[] => []);
  for await (const batch of allOf(train)) {
    forcing.push(...forcingOf(batch, config.predictor, weights));
    for (const [o, field] of fields.entries()) {
      for (let b = 0; b < batch.size; b++) for (const value of fieldOf(batch, b, o)) field.push(value);
    }
  }
  const fit = fitPatternScaling({ forcing, fields, temperature, weights });
  const loss = validation ? await errorOf(fit, validation, config, weights) : undefined;
  const values = patternScalingParameters(fit, weights);
  const provenance = { ...info.provenance, samples: forcing.length, best_validation_loss: loss ?? null };
  await writeCheckpoint(bestCheckpoint(out), { ...info, provenance }, (name) => values.get(name)!);
  return { samples: forcing.length, loss };
}

/** [H W], cos(latitude), with mean 1. */
function cellWeights(grid: Grid): Float64Array {
  const rows = latitudeWeights(grid);
  const W = grid.lon.length;
  return Float64Array.from({ length: rows.length * W }, (_, i) => rows[Math.floor(i / W)]!);
}

async function* allOf(source: BatchSource): AsyncGenerator<Batch> {
  for (let index = 0; index < source.batches; index++) yield await source.batchAt(0, index);
}

/** The global mean of the predictor in the last step of each sample. */
function forcingOf(
  { x, size, variables, history = 1 }: Batch,
  predictor: string,
  weights: Float64Array,
): number[] {
  const cells = weights.length;
  const V = variables.length;
  const place = variables.indexOf(predictor);
  return Array.from({ length: size }, (_, b) => {
    const start = ((b * history + history - 1) * V + place) * cells;
    return weights.reduce((sum, weight, i) => sum + weight * x[start + i]!, 0) / cells;
  });
}

function fieldOf({ y, size, outputs }: Batch, b: number, o: number): Float32Array {
  const cells = y.length / (size * outputs.length);
  return y.subarray((b * outputs.length + o) * cells, (b * outputs.length + o + 1) * cells);
}

async function errorOf(
  fit: PatternScaling,
  source: BatchSource,
  { predictor }: PatternScalingConfig,
  weights: Float64Array,
): Promise<number> {
  let [total, count] = [0, 0];
  for await (const batch of allOf(source)) {
    const projected = applyPatternScaling(fit, forcingOf(batch, predictor, weights));
    for (const [i, value] of projected.entries()) {
      total += weights[i % weights.length]! * (value - batch.y[i]!) ** 2;
    }
    count += projected.length;
  }
  return total / count;
}
