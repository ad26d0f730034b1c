/** Energy by zonal wavenumber: a blurred forecast lacks it where the waves are short. */

import type { Grid } from "../grid/grid.ts";
import { realTransform } from "./fft.ts";
import type { Cells, Field, FieldPair, MetricInfo, ProfileMetric } from "./metric.ts";

/** The Earth's circumference at the equator as WeatherBench 2 has it, m: its radius is the mean of 6357 and 6378 km. */
const equator = 2 * Math.PI * 6.3675e6;

/**
 * Zonal energy spectrum, as WeatherBench 2 has it: on a circle of latitude of circumference C,
 *
 *   S_0 = C |F_0|^2,   S_k = 2 C |F_k|^2,   F_k = 1/W sum_l f_l exp(-2 pi i k l / W),   k = 0 .. W/2
 *
 * in metres times the squared unit, then the mean over the circles, each with the weight of its cells. Only circles all of
 * whose cells are inside, with a known truth, enter; the grid's columns must go round the globe at even steps. Of an
 * ensemble it is the mean of its members' spectra: their mean is smooth by nature.
 */
export const spectrum: MetricInfo = {
  title: "Zonal energy spectrum",
  unit: "energy",
  better: undefined,
  needs: ["members"],
  make: ({ grid }) => zonalSpectrum(grid),
};

function zonalSpectrum(grid: Grid): ProfileMetric {
  const waves = Math.floor(grid.lon.length / 2) + 1;
  const energiesOf = goesRound(grid) ? rowEnergies(grid) : undefined;
  return {
    kind: "profile",
    size: 2 * waves + 1, // of the forecast, of the truth, and 1
    measure: (pair, cells) => energiesOf && meanEnergy(pair, cells, waves, energiesOf),
    curves(sums) {
      const forecasts = sums[2 * waves]!;
      const curve = (from: number) => Array.from({ length: waves }, (_, k) => sums[from + k]! / forecasts);
      return {
        axis: { name: "zonal wavenumber", values: Array.from({ length: waves }, (_, k) => k) },
        values: curve(0),
        truth: curve(waves),
      };
    },
  };
}

/** Whether the columns stand at even steps on the whole circle, but for the rounding of float32. */
function goesRound({ lon }: Grid): boolean {
  const W = lon.length;
  return W > 1 && lon.every((x, i) => Math.abs(x - lon[0]! - (i * 360) / W) < 1e-3);
}

/** S_k of the rows of the truth and of the mean of the members' spectra, [H, waves]; NaN in a row whose truth has gaps. */
interface Energies {
  readonly forecast: Float64Array;
  readonly truth: Float64Array;
}

/** Those of a pair, with the given rows filled in. */
type RowEnergies = (pair: FieldPair, rows: readonly WholeRow[]) => Energies;

function rowEnergies({ lat, lon }: Grid): RowEnergies {
  const W = lon.length;
  const transform = realTransform(W);
  const waves = Math.floor(W / 2) + 1;
  const [real, imaginary] = [new Float64Array(waves), new Float64Array(waves)];
  // Of one pair at a time, whose regions come one after the other.
  let of: FieldPair | undefined;
  const done = new Uint8Array(lat.length);
  const energies = {
    forecast: new Float64Array(lat.length * waves),
    truth: new Float64Array(lat.length * waves),
  };
  const add = (field: Field, row: number, times: number, into: Float64Array) => {
    transform(field, row * W, real, imaginary);
    const scale = (times * equator * Math.cos((lat[row]! * Math.PI) / 180)) / W ** 2;
    for (let k = 0; k < waves; k++) {
      into[row * waves + k]! += (k === 0 ? scale : 2 * scale) * (real[k]! ** 2 + imaginary[k]! ** 2);
    }
  };
  return (pair, rows) => {
    if (pair !== of) {
      of = pair;
      for (const all of [energies.forecast, energies.truth, done]) all.fill(0);
    }
    const { forecast, truth, members = [forecast] } = pair;
    for (const { row } of rows) {
      if (done[row] === 1) continue;
      done[row] = 1;
      for (const member of members) add(member, row, 1 / members.length, energies.forecast);
      add(truth, row, 1, energies.truth);
    }
    return energies;
  };
}

/** A circle of latitude all of whose cells are inside, with the sum of their weights. */
interface WholeRow {
  readonly row: number;
  readonly weight: number;
}

const wholeRows = new WeakMap<Cells, readonly WholeRow[]>();

function wholeRowsOf(cells: Cells): readonly WholeRow[] {
  const known = wholeRows.get(cells);
  if (known) return known;
  const { grid, weights, inside } = cells;
  const W = grid.lon.length;
  const [counts, sums] = [new Uint32Array(grid.lat.length), new Float64Array(grid.lat.length)];
  for (const i of inside) {
    counts[Math.floor(i / W)]!++;
    sums[Math.floor(i / W)]! += weights[i]!;
  }
  const rows = Array.from(sums, (weight, row) => ({ row, weight })).filter(({ row }) => counts[row] === W);
  wholeRows.set(cells, rows);
  return rows;
}

function meanEnergy(
  pair: FieldPair,
  cells: Cells,
  waves: number,
  energiesOf: RowEnergies,
): Float64Array | undefined {
  const rows = wholeRowsOf(cells);
  const { forecast, truth } = energiesOf(pair, rows);
  const means = new Float64Array(2 * waves + 1);
  let total = 0;
  for (const { row, weight } of rows) {
    const at = row * waves;
    if (Number.isNaN(truth[at]!)) continue;
    for (let k = 0; k < waves; k++) {
      means[k]! += weight * forecast[at + k]!;
      means[waves + k]! += weight * truth[at + k]!;
    }
    total += weight;
  }
  if (total === 0) return undefined;
  for (let k = 0; k < 2 * waves; k++) means[k]! /= total;
  means[2 * waves] = 1;
  return means;
}
