// Samples for downscaling: the fields of a coarse set, interpolated to the grid of a fine one, and the fine fields of
// the same time. Or one fine set only, whose block means are the coarse fields.

import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { coarsener } from "../grid/coarsen.ts";
import { describeGrid } from "../grid/grid.ts";
import { cropFields, cropGrid, type PatchWindow } from "../grid/regions.ts";
import { makeRegridder, type RegridMethod } from "../grid/regrid.ts";
import { type BatchingOptions, batched, gather, type Statistics, settled } from "./batching.ts";
import type { SplitName } from "./manifest.ts";
import type { PreparedSet } from "./prepared.ts";
import { type BatchSource, describeSplit, mustHave } from "./samples.ts";

export interface PairedOptions extends BatchingOptions {
  /** Of the coarse set. */
  inputs: readonly string[];
  /** Of the fine set. */
  outputs: readonly string[];
  /** How coarse fields come to the fine grid; bilinear unless told otherwise, as in the paper. */
  method?: RegridMethod;
  /** Of patches of the fine grid. */
  window?: PatchWindow;
  /** What x is normalised by; the coarse set's (of one set only: its own) unless told otherwise. */
  inputStatistics?: Statistics;
  /** What y is normalised by; the fine set's unless told otherwise. */
  outputStatistics?: Statistics;
}

/** Where the coarse fields come from: a set of its own, or means over blocks of the fine set's points. */
export type CoarseSource = PreparedSet | { coarsen: number };

/**
 * Samples of one split of two sets (of the same name, so that nothing of a test year enters training). x are the
 * coarse fields on the fine grid, y the fine ones, leadHours 0. Pairs are the states of one date and time of day: a
 * model without leap years and a reanalysis meet on all days that both calendars have.
 *
 * With `coarsen` x is made of the fine fields, by means over blocks of that many points along each side, and is
 * normalised by the fine set's statistics.
 *
 * @throws ClimaxError (config) for unknown variables, for splits without a common time; (grid) for a coarse grid that
 *         does not reach all of the fine one
 */
export function pairedSamples(
  coarse: CoarseSource,
  fine: PreparedSet,
  splitName: SplitName,
  options: PairedOptions,
): BatchSource {
  const { inputs, outputs, batchSize, seed, window, method = "bilinear" } = options;
  const train = splitName === "train";
  const { shuffle = train, dropLast = train } = options;
  const source = "coarsen" in coarse ? fine : coarse;
  mustHave(source, inputs);
  mustHave(fine, outputs);
  const { inputStatistics = source, outputStatistics = fine } = options;

  const [from, to] = [source.split(splitName), fine.split(splitName)];
  const fromAt = new Map(from.times.map((time, step) => [formatTime(time), step]));
  const pairs = to.times.flatMap((time, step) => {
    const partner = fromAt.get(formatTime(time));
    return partner === undefined ? [] : [{ partner, step }];
  });
  const where = `${describeSplit(source, splitName)} with ${describeSplit(fine, splitName)}`;
  if (pairs.length === 0)
    throw new ClimaxError(
      "config",
      `${where}: no state of the one has the date and time of one of the other`,
      "prepare both sets with periods that overlap, and states at the same times of day",
    );

  const target = window ? cropGrid(fine.grid, window) : fine.grid;
  const cells = target.lat.length * target.lon.length;
  const blocks = "coarsen" in coarse ? coarsener(fine.grid, coarse.coarsen) : undefined;
  const coarseGrid = blocks?.target ?? source.grid;
  const regridder = makeRegridder(coarseGrid, target, method);
  const size = coarseGrid.lat.length * coarseGrid.lon.length;
  const missing = regridder.apply(new Float32Array(size)).filter(Number.isNaN).length;
  if (missing > 0)
    throw new ClimaxError(
      "grid",
      `the coarse grid (${describeGrid(coarseGrid)}) does not reach ${missing} of the ${cells} points of the fine one (${describeGrid(target)})`,
      "choose a region within it, or coarse data that go beyond the fine; the method nearest reaches half a cell farther",
    );

  const fieldsOf = source.grid.lat.length * source.grid.lon.length;
  /** [V, H, W] of the coarse grid to `into`, [V, h, w] of the target. */
  const interpolate = (state: Float32Array, into: Float32Array): Float32Array => {
    for (let v = 0; v < inputs.length; v++) {
      const field = state.subarray(v * fieldsOf, (v + 1) * fieldsOf);
      regridder.apply(blocks ? blocks.apply(field) : field, into.subarray(v * cells, (v + 1) * cells));
    }
    return into;
  };

  return batched(pairs.length, { batchSize, seed, shuffle, dropLast }, where, async (indices, _, spare) => {
    const chosen = indices.map((index) => pairs[index]!);
    const [x, y] = await settled([
      gather(
        chosen.length,
        { names: inputs, statistics: inputStatistics, cells },
        async (b, into) => interpolate(await from.read(chosen[b]!.partner, inputs), into),
        spare?.x,
      ),
      gather(
        chosen.length,
        { names: outputs, statistics: outputStatistics, cells },
        async (b, into) => {
          if (!window) return to.read(chosen[b]!.step, outputs, into);
          return cropFields(await to.read(chosen[b]!.step, outputs), fine.grid, window);
        },
        spare?.y,
      ),
    ]);
    return {
      variables: inputs,
      outputs,
      x: x!,
      y: y!,
      leadHours: new Float32Array(chosen.length),
      times: chosen.map(({ step }) => to.times[step]!),
      size: chosen.length,
    };
  });
}
