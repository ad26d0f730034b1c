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
  const ofRow = goesRound(grid) ? rowEnergies(grid) : undefined;
  return {
    kind: "profile",
    size: 2 * waves + 1, // of the forecast, of the truth, and 1
    measure: (pair, cells) => ofRow && meanEnergy(pair, cells, waves, ofRow),
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

/** S_k of the truth and of a forecast, [H, waves] each, row by row as they are asked for; NaN: not yet. */
interface Energies {
  readonly forecast: Float64Array;
  readonly truth: Float64Array;
}

/** Those of a row, of the mean of the members' and of the truth, where that row begins. */
type RowEnergies = (pair: FieldPair, row: number) => Energies & { readonly at: number };

function rowEnergies({ lat, lon }: Grid): RowEnergies {
  const W = lon.length;
  const transform = realTransform(W);
  const waves = Math.floor(W / 2) + 1;
  const [real, imaginary] = [new Float64Array(waves), new Float64Array(waves)];
  // Regions share them. By the pair: its fields may lie in memory that the next one's will lie in.
  const known = new WeakMap<FieldPair, Energies>();
  const nothing = () => new Float64Array(lat.length * waves).fill(Number.NaN);
  const add = (field: Field, row: number, times: number, into: Float64Array) => {
    transform(field, row * W, real, imaginary);
    const scale = (times * equator * Math.cos((lat[row]! * Math.PI) / 180)) / W ** 2;
    for (let k = 0; k < waves; k++) {
      into[row * waves + k]! += (k === 0 ? scale : 2 * scale) * (real[k]! ** 2 + imaginary[k]! ** 2);
    }
  };
  return (pair, row) => {
    let energies = known.get(pair);
    if (!energies) known.set(pair, (energies = { forecast: nothing(), truth: nothing() }));
    const at = row * waves;
    if (Number.isNaN(energies.truth[at]!)) {
      const { forecast, truth, members = [forecast] } = pair;
      for (const of of [energies.forecast, energies.truth]) of.fill(0, at, at + waves);
      for (const member of members) add(member, row, 1 / members.length, energies.forecast);
      add(truth, row, 1, energies.truth);
    }
    return { ...energies, at };
  };
}

function meanEnergy(
  pair: FieldPair,
  { grid, weights, inside }: Cells,
  waves: number,
  ofRow: RowEnergies,
): Float64Array | undefined {
  const W = grid.lon.length;
  const energies = new Float64Array(2 * waves + 1);
  let total = 0;
  // Cells inside are in the order of rows: a whole row inside is W of them that end W - 1 cells after the first.
  for (let k = 0; k + W <= inside.length; k++) {
    const first = inside[k]!;
    if (first % W !== 0 || inside[k + W - 1] !== first + W - 1) continue;
    let weight = 0;
    for (let i = first; i < first + W; i++) weight += Number.isNaN(pair.truth[i]!) ? Number.NaN : weights[i]!;
    if (Number.isNaN(weight)) continue;
    const { forecast, truth, at } = ofRow(pair, first / W);
    for (let k = 0; k < waves; k++) {
      energies[k]! += weight * forecast[at + k]!;
      energies[waves + k]! += weight * truth[at + k]!;
    }
    total += weight;
  }
  if (total === 0) return undefined;
  for (let k = 0; k < 2 * waves; k++) energies[k]! /= total;
  energies[2 * waves] = 1;
  return energies;
}
