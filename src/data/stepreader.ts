// One step of a variable as a field on its grid, read in blocks of steps and levels that suit the file: its chunks
// where it has them, and read ahead where steps are asked for one after the other.
import type { DatasetVariable } from "../files/dataset.ts";
import type { Horizontal } from "./coordinates.ts";
import type { UnitsConverter } from "./units.ts";

type Slab = Awaited<ReturnType<DatasetVariable["readUnpacked"]>>;

/** Runs `work` with the variable of an open file; the file may have been closed in between. */
export type UseVariable = <T>(work: (variable: DatasetVariable) => Promise<T>) => Promise<T>;

/** What was read and may be asked for again, over all variables of an archive; the least recently used goes first. */
export interface SlabCache {
  get(key: object, level: number): Block | undefined;
  set(key: object, level: number, block: Block): void;
  drop(key: object, level: number): void;
}

/** Steps [firstStep, firstStep + steps) of levels [firstLevel, firstLevel + depth). */
interface Block {
  firstStep: number;
  steps: number;
  firstLevel: number;
  depth: number;
  elements: number;
  slab: Promise<Slab>;
}

/** Elements that a cache holds: 128 MiB of float32. One block may be larger, and is then the only one. */
const cacheSize = 2 ** 25;
/** All levels of a step are read together up to this size, elements: 64 MiB of float32. */
const largestState = 2 ** 24;
/** Steps are read ahead up to this size: 1 MiB of float32, so that 128 variables in turn find theirs in the cache. */
const largestAhead = 2 ** 18;
/** The steps of one chunk are read together up to this size, 16 MiB: to inflate it again would cost more. */
const largestChunk = 2 ** 22;

export function slabCache(size = cacheSize): SlabCache {
  const ids = new WeakMap<object, number>();
  const blocks = new Map<string, Block>();
  let [nextId, held] = [0, 0];
  const name = (key: object, level: number) => {
    if (!ids.has(key)) ids.set(key, nextId++);
    return `${ids.get(key)} ${level}`;
  };
  const remove = (at: string) => {
    held -= blocks.get(at)?.elements ?? 0;
    blocks.delete(at);
  };
  return {
    get(key, level) {
      const at = name(key, level);
      const block = blocks.get(at);
      if (block) {
        blocks.delete(at);
        blocks.set(at, block);
      }
      return block;
    },
    set(key, level, block) {
      const at = name(key, level);
      remove(at);
      for (const oldest of blocks.keys()) {
        if (held + block.elements <= size) break;
        remove(oldest);
      }
      blocks.set(at, block);
      held += block.elements;
    },
    drop: (key, level) => remove(name(key, level)),
  };
}

export interface StepReaderOptions {
  shape: readonly number[];
  chunks: readonly number[] | undefined;
  /** undefined for one number for the whole globe. */
  place: Horizontal | undefined;
  /** Positions among the variable's dimensions. */
  axes: { time: number | undefined; level: number | undefined };
  /** Indices that may be asked for; 0 without a level axis. */
  levels: readonly number[];
  converter: UnitsConverter;
  use: UseVariable;
  cache: SlabCache;
}

/**
 * A reader of [H, W] of one step and one level index, south to north and eastward, converted; [1] without a place. The
 * second level that is asked for of a step brings the others along, for files whose compressed chunks hold all levels.
 * It keeps nothing of the dataset.
 */
export function stepReader(
  options: StepReaderOptions,
): (step: number, level: number) => Promise<Float32Array> {
  const { shape, chunks, place, axes, levels, use, cache } = options;
  const { scale, offset } = options.converter;
  const load = (step: number, steps: number, level: number, depth: number): Promise<Slab> => {
    const start = shape.map((_, at) => (at === axes.time ? step : at === axes.level ? level : 0));
    const count = shape.map((n, at) => {
      if (at === axes.time) return steps;
      if (at === axes.level) return depth;
      return at === place?.latitudeAxis || at === place?.longitudeAxis ? n : 1;
    });
    return use((variable) => variable.readUnpacked(start, count));
  };
  if (!place) return async (step) => Float32Array.of((await load(step, 1, 0, 1))[0]! * scale + offset);

  const { rows, columns, latitudeAxis, longitudeAxis } = place;
  const lowest = Math.min(...levels);
  const range = Math.max(...levels) - lowest + 1;
  const horizontal = shape[latitudeAxis]! * shape[longitudeAxis]!;
  const stepsInFile = axes.time === undefined ? 1 : shape[axes.time]!;
  const chunkSteps = axes.time === undefined ? 1 : (chunks?.[axes.time] ?? 1);
  const chunkLevels = axes.level === undefined ? 1 : (chunks?.[axes.level] ?? 1);
  const worthwhile = levels.length * 2 >= range || chunkLevels >= range; // a chunk is inflated whole anyway
  const allLevels = range > 1 && worthwhile && range * horizontal <= largestState;

  const orient = (slab: Slab, block: Block, step: number, level: number): Float32Array => {
    const lengths = shape.map((n, at) => {
      if (at === axes.time) return block.steps;
      return at === axes.level ? block.depth : n;
    });
    // Of a slab, only these four axes are longer than 1.
    const stride = (axis: number | undefined) =>
      [latitudeAxis, longitudeAxis, axes.level ?? -1, axes.time ?? -1]
        .filter((other) => axis !== undefined && other > axis)
        .reduce((product, other) => product * lengths[other]!, 1);
    const [rowStride, columnStride] = [stride(latitudeAxis), stride(longitudeAxis)];
    const first =
      (axes.level === undefined ? 0 : (level - block.firstLevel) * stride(axes.level)) +
      (axes.time === undefined ? 0 : (step - block.firstStep) * stride(axes.time));
    const field = new Float32Array(rows.length * columns.length); // [H, W]
    let to = 0;
    for (const row of rows) {
      const from = first + row * rowStride;
      for (const column of columns) field[to++] = slab[from + column * columnStride]! * scale + offset;
    }
    return field;
  };

  /** The steps to read so that `step` is among them; `before` is the block last read, if the cache still has it. */
  const span = (step: number, depth: number, before: Block | undefined) => {
    const stepsWithin = (elements: number) => Math.floor(elements / (depth * horizontal));
    const first = step - (step % chunkSteps);
    const chunk = Math.min(chunkSteps, stepsInFile - first);
    const follows = before !== undefined && step === before.firstStep + before.steps;
    const ahead = follows ? Math.min(2 * before.steps, stepsWithin(largestAhead)) : 1;
    if (chunk > 1 && chunk <= stepsWithin(largestChunk)) {
      // Whole chunks: several when they are small.
      const whole = Math.max(chunkSteps, ahead - (ahead % chunkSteps));
      return { firstStep: first, steps: Math.min(whole, stepsInFile - first) };
    }
    const wanted = chunk > 1 ? Math.min(stepsWithin(largestChunk), first + chunk - step) : ahead;
    return { firstStep: step, steps: Math.max(1, Math.min(wanted, stepsInFile - step)) };
  };

  const key = {};
  let lastStep = -1;
  return async (step, level) => {
    const covers = (block: Block | undefined): block is Block =>
      block !== undefined &&
      step >= block.firstStep &&
      step < block.firstStep + block.steps &&
      level >= block.firstLevel &&
      level < block.firstLevel + block.depth;
    const [together, alone] = [cache.get(key, -1), cache.get(key, level)];
    const known = [together, alone].find(covers);
    if (known) return orient(await known.slab, known, step, level);
    const wide = allLevels && (lastStep === step || together !== undefined || chunkLevels > 1);
    lastStep = step;
    const [firstLevel, depth, slot] = wide ? [lowest, range, -1] : [level, 1, level];
    const { firstStep, steps } = span(step, depth, wide ? together : alone);
    const slab = load(firstStep, steps, firstLevel, depth);
    const elements = steps * depth * horizontal;
    const block: Block = { firstStep, steps, firstLevel, depth, elements, slab };
    cache.set(key, slot, block);
    try {
      return orient(await slab, block, step, level);
    } catch (error) {
      cache.drop(key, slot);
      throw error;
    }
  };
}
