/** Energy by zonal wavenumber: a blurred forecast lacks it where the waves are short. */
import { realTransform } from "../grid/fft.ts";
import type { Grid } from "../grid/grid.ts";
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
  const addEnergy = goesRound(grid) ? rowEnergy(grid) : undefined;
  return {
    kind: "profile",
    size: 2 * waves + 1, // of the forecast, of the truth, and 1
    measure: (pair, cells) => addEnergy && meanEnergy(pair, cells, waves, addEnergy),
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

/** Adds S_k of a row of a field, so many times, to the numbers that begin at `to`. */
type AddEnergy = (field: Field, row: number, times: number, into: Float64Array, to: number) => void;

function rowEnergy({ lat, lon }: Grid): AddEnergy {
  const W = lon.length;
  const transform = realTransform(W);
  const waves = Math.floor(W / 2) + 1;
  const [real, imaginary] = [new Float64Array(waves), new Float64Array(waves)];
  return (field, row, times, into, to) => {
    transform(field, row * W, real, imaginary);
    const circumference = equator * Math.cos((lat[row]! * Math.PI) / 180);
    const scale = (times * circumference) / W ** 2;
    for (let k = 0; k < waves; k++) {
      into[to + k]! += (k === 0 ? scale : 2 * scale) * (real[k]! ** 2 + imaginary[k]! ** 2);
    }
  };
}

function meanEnergy(
  { forecast, truth, members = [forecast] }: FieldPair,
  { grid, weights, inside }: Cells,
  waves: number,
  addEnergy: AddEnergy,
): Float64Array | undefined {
  const W = grid.lon.length;
  const energies = new Float64Array(2 * waves + 1);
  let total = 0;
  // Cells inside are in the order of rows: a whole row inside is W of them that end W - 1 cells after the first.
  for (let k = 0; k + W <= inside.length; k++) {
    const first = inside[k]!;
    if (first % W !== 0 || inside[k + W - 1] !== first + W - 1) continue;
    let weight = 0;
    for (let i = first; i < first + W; i++) weight += Number.isNaN(truth[i]!) ? Number.NaN : weights[i]!;
    if (Number.isNaN(weight)) continue;
    const row = first / W;
    for (const member of members) addEnergy(member, row, weight / members.length, energies, 0);
    addEnergy(truth, row, weight, energies, waves);
    total += weight;
  }
  if (total === 0) return undefined;
  for (let k = 0; k < 2 * waves; k++) energies[k]! /= total;
  energies[2 * waves] = 1;
  return energies;
}
