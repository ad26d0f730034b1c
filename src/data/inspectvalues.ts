// Ranges and gaps of fields, from a bounded sample of their steps and levels: a handful of reads, whatever the
// file's size.
import { cellAreaWeights } from "../grid/grid.ts";
import type { Field } from "./fields.ts";
import type { SampledValues } from "./inspectschema.ts";

/** Steps looked at unless they cost too much: the first, one in the middle, the last. */
const stepsWanted = 3;

/** Numbers that may be read of one file, 256 MiB of float32. */
export const elementsPerFile = 2 ** 26;

/**
 * @param fields  of one variable, level by level
 * @param budget  numbers that may be read
 * @returns undefined when a single field costs more than that
 */
export async function sampleValues(
  fields: readonly Field[],
  budget: number,
): Promise<SampledValues | undefined> {
  const affordable = Math.floor(budget / fieldCost(fields[0]!));
  if (affordable < 1) return undefined;
  const levels = spread(fields.length, Math.min(fields.length, affordable));
  const steps = fields[0]!.times?.length ?? 1;
  const wanted = Math.max(1, Math.min(stepsWanted, Math.floor(affordable / levels.length)));
  const values = new Values(fields[0]!);
  const chosen = spread(steps, Math.min(steps, wanted));
  // Levels within a step: readers keep the chunk that holds them all.
  for (const step of chosen) for (const level of levels) values.add(await fields[level]!.read(step));
  return values.result(chosen.length, levels.length);
}

/** Numbers read for one field: the chunks it lies in come whole. */
export function fieldCost({ variable, grid, times, info }: Field): number {
  const cells = grid ? grid.lat.length * grid.lon.length : 1;
  const { chunks, shape } = variable;
  if (!chunks || (!times && info.role === "constant")) return cells;
  const whole = shape.reduce((product, n, axis) => product * (n > 1 ? Math.min(n, chunks[axis]!) : 1), 1);
  return Math.max(cells, whole);
}

/** `count` of 0 .. n - 1, evenly, the first and the last among them. */
function spread(n: number, count: number): number[] {
  if (count === 1) return [0];
  return Array.from({ length: count }, (_, i) => Math.round((i * (n - 1)) / (count - 1)));
}

/** Sums up fields of one variable. */
class Values {
  private readonly bounds: readonly [number, number];
  private readonly weights: Float64Array;
  private readonly columns: number;
  private least = Infinity;
  private most = -Infinity;
  private sum = 0;
  private weight = 0;
  private missing = 0;
  private outside = 0;
  private count = 0;

  constructor({ grid, info }: Field) {
    this.bounds = info.bounds;
    this.weights = grid && grid.lat.length > 1 ? cellAreaWeights(grid) : new Float64Array([1]);
    this.columns = grid ? grid.lon.length : 1;
  }

  /** @param field  [H, W] */
  add(field: Float32Array): void {
    const [low, high] = this.bounds;
    this.count += field.length;
    for (let row = 0, i = 0; i < field.length; row++) {
      let [sum, valid] = [0, 0];
      for (const end = Math.min(i + this.columns, field.length); i < end; i++) {
        const value = field[i]!;
        if (Number.isNaN(value)) {
          this.missing++;
          continue;
        }
        if (value < this.least) this.least = value;
        if (value > this.most) this.most = value;
        if (value < low || value > high) this.outside++;
        sum += value;
        valid++;
      }
      const weight = this.weights[row] ?? 1;
      this.sum += sum * weight;
      this.weight += valid * weight;
    }
  }

  result(steps: number, levels: number): SampledValues {
    const some = this.missing < this.count;
    return {
      min: some ? this.least : null,
      mean: some ? this.sum / this.weight : null,
      max: some ? this.most : null,
      missing: this.missing,
      of: this.count,
      outOfBounds: this.outside,
      bounds: [...this.bounds],
      steps,
      levels,
    };
  }
}
