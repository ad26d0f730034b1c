// Regrids a variable into the output, slab by slab: which fields each slab takes, and in which order they are written.
import type { NetcdfWriter } from "../files/netcdf4writer.ts";
import type { Pieces } from "../files/pieces.ts";
import type { AxisChanges, AxisRow } from "./regridaxes.ts";
import { planField } from "./regridkernel.ts";
import { placeAxes, type RegridJob } from "./regridplan.ts";
import type { RegridPool } from "./regridpool.ts";
import type { FieldSource, SlabResult, SlabTask } from "./regridslab.ts";

/** Numbers of a slab, of those that are read and kept: 8 MB as float32. */
const slabNumbers = 2e6;
/** The same where chunks hold many fields, which are unpacked together, over all threads and for one of them. */
const chunkNumbers = { all: 48e6, each: 24e6 };

/** Fields smaller than this are gathered to chunks by the library; larger ones than `most` are cut by it. */
const packedBytes = { least: 8192, most: 2 ** 24 };

/** Whether fields of H x W float32 go to the file as one chunk each, packed where they are made. */
export function comesPacked(size: number): boolean {
  return 4 * size >= packedBytes.least && 4 * size <= packedBytes.most;
}

/** Lengths of the output's axes before latitude and longitude. */
export function outerShape({ variable, place }: RegridJob, changes: AxisChanges): number[] {
  const own = placeAxes(place);
  return variable.dimensions.flatMap((name, d) =>
    own.includes(d) ? [] : [changes.get(name)?.rows.length ?? variable.shape[d]!],
  );
}

/** Fields of the source that each field of the output is the sum of. */
interface Sums {
  start: Int32Array;
  field: Int32Array;
  weight: Float64Array;
}

function sumsOf({ variable, place }: RegridJob, changes: AxisChanges): Sums {
  const own = placeAxes(place);
  if (!variable.dimensions.some((name) => changes.has(name))) {
    const n = variable.shape.reduce(
      (product, length, d) => (own.includes(d) ? product : product * length),
      1,
    );
    const start = Int32Array.from({ length: n + 1 }, (_, i) => i);
    return { start, field: start.subarray(0, n), weight: new Float64Array(n).fill(1) };
  }
  let entries: AxisRow[] = [[[0, 1]]];
  for (const [d, name] of variable.dimensions.entries()) {
    if (own.includes(d)) continue;
    const n = variable.shape[d]!;
    const rows = changes.get(name)?.rows ?? Array.from({ length: n }, (_, i): AxisRow => [[i, 1]]);
    entries = entries.flatMap((before) =>
      rows.map((row) =>
        before.flatMap(([field, a]) => row.map(([index, b]): [number, number] => [field * n + index, a * b])),
      ),
    );
  }
  const start = new Int32Array(entries.length + 1);
  entries.forEach((row, r) => {
    start[r + 1] = start[r]! + row.length;
  });
  const flat = entries.flat();
  return {
    start,
    field: Int32Array.from(flat, ([field]) => field),
    weight: Float64Array.from(flat, ([, weight]) => weight),
  };
}

export interface FieldsOptions {
  pool: RegridPool;
  changes: AxisChanges;
  /** The target's column of each column of the output. */
  columns: Int32Array;
  /** Where the pool's threads find the file. */
  path: string;
  /** gzip level */
  level: number;
  /** Awaited after each slab, with the number of its fields. */
  onFields: (count: number) => Promise<void>;
}

/** Regrids a variable, [..., lat, ..., lon, ...] -> [..., H, W]. */
export async function regridVariable(
  job: RegridJob,
  writer: NetcdfWriter,
  { pool, changes, columns, path, level, onFields }: FieldsOptions,
): Promise<void> {
  const { variable, place, regridder } = job;
  const [h, w] = [regridder.target.lat.length, regridder.target.lon.length];
  const size = h * w;
  const plan = planField(place, regridder, columns, variable.shape[placeAxes(place).at(-1)!]!);
  const source = await sourceOf(job, path);
  const packed = comesPacked(size);
  const fieldJob = { source, plan, size, ...(packed && { level }) };
  const runner = pool.runner(fieldJob, async () => ({ variable, close: async () => undefined }));
  const outer = outerShape(job, changes);
  const unravel = (output: number): number[] => {
    const index = outer.map(() => 0);
    let rest = output;
    for (let d = outer.length - 1; d >= 0; d--) {
      index[d] = rest % outer[d]!;
      rest = Math.floor(rest / outer[d]!);
    }
    return index;
  };

  async function write(outputs: Int32Array, result: SlabResult): Promise<void> {
    if ("chunks" in result) {
      const starts = Array.from(outputs, (output) => [...unravel(output), 0, 0]);
      await writer.writePacked(variable.name, starts, result.chunks);
      return;
    }
    const last = outer.at(-1) ?? 1;
    for (let i = 0; i < outputs.length; ) {
      let run = 1;
      while (
        outputs[i + run] === outputs[i]! + run &&
        (outputs[i]! % last) + run < last &&
        i + run < outputs.length
      )
        run++;
      const values = result.values.subarray(i * size, (i + run) * size);
      const count = [...outer.map((_, d) => (d === outer.length - 1 ? run : 1)), h, w];
      await writer.write(variable.name, [...unravel(outputs[i]!), 0, 0], values, count);
      i += run;
    }
  }

  const sums = sumsOf(job, changes);
  // In the order of the file; results wait for their turn, and no more than a few of them.
  const waiting: { outputs: Int32Array; result: Promise<SlabResult> }[] = [];
  const most = pool.threads > 0 ? pool.threads + 2 : 1;
  const settle = async () => {
    const { outputs, result } = waiting.shift()!;
    await write(outputs, await result);
    await onFields(outputs.length);
  };
  try {
    for (const outputs of slabsOf(sums, job, source, plan.rows.length * plan.width, size, pool.threads)) {
      if (waiting.length >= most) await settle();
      const result = runner.run(taskOf(sums, outputs));
      result.catch(() => undefined); // told when its turn comes
      waiting.push({ outputs, result });
    }
    while (waiting.length > 0) await settle();
  } finally {
    await runner.close();
  }
}

/** Where a variable is read from; with rows and columns last when they are in the file. */
async function sourceOf({ variable, place }: RegridJob, path: string): Promise<FieldSource> {
  const axes = placeAxes(place);
  const [rowAxis, columnAxis] = axes.length === 2 ? (axes as [number, number]) : [-1, axes[0]!];
  const { name, shape } = variable;
  const common = { path, variable: name, shape: [...shape], rowAxis, columnAxis };
  const rank = shape.length;
  const last = columnAxis === rank - 1 && (rowAxis < 0 || rowAxis === rank - 2);
  const pieces = last ? await variable.pieces?.() : undefined;
  return { ...common, ...(pieces && { pieces: rowAxis < 0 ? withRow(pieces) : pieces }) };
}

/** Points along one axis as one row. */
function withRow(pieces: Pieces): Pieces {
  const put = (list: readonly number[]) => [...list.slice(0, -1), 1, list.at(-1)!];
  return { ...pieces, shape: put(pieces.shape), piece: put(pieces.piece) };
}

/** Cuts the output's fields into slabs, so that a chunk that holds many fields is read for one slab only. */
function* slabsOf(
  { start, field }: Sums,
  { variable, place }: RegridJob,
  { shape, pieces }: FieldSource,
  kept: number,
  size: number,
  threads: number,
): Generator<Int32Array> {
  const total = start.length - 1;
  const own = placeAxes(place);
  const chunk = variable.chunks ?? pieces?.piece.slice(0, shape.length);
  const outer = shape.map((_, d) => d).filter((d) => !own.includes(d));
  const compressed = pieces ? pieces.packed !== undefined : true;
  const keys = new Float64Array(total);
  if (chunk && compressed) {
    for (let o = 0; o < total; o++) {
      let [rest, stride] = [field[start[o]!]!, 1];
      for (const d of outer.toReversed()) {
        keys[o]! += Math.floor((rest % shape[d]!) / chunk[d]!) * stride;
        rest = Math.floor(rest / shape[d]!);
        stride *= Math.ceil(shape[d]! / chunk[d]!);
      }
    }
  }
  const order = Int32Array.from({ length: total }, (_, o) => o);
  if (keys.some((key, o) => o > 0 && key < keys[o - 1]!)) order.sort((a, b) => keys[a]! - keys[b]! || a - b);
  const numbers = (o: number) => Math.max(kept * (start[o + 1]! - start[o]!), size);
  const most = Math.max(slabNumbers, Math.min(chunkNumbers.each, chunkNumbers.all / Math.max(1, threads)));
  for (let from = 0; from < total; ) {
    let held = numbers(order[from]!);
    let to = from + 1;
    for (; to < total; to++) {
      const next = numbers(order[to]!);
      const together = keys[order[to]!] === keys[order[to - 1]!] && chunk !== undefined && compressed;
      if (held + next > (together ? most : slabNumbers)) break;
      held += next;
    }
    yield order.slice(from, to);
    from = to;
  }
}

/** The fields that some fields of the output need, and their sums where they are not the fields themselves. */
function taskOf({ start, field, weight }: Sums, outputs: Int32Array): SlabTask {
  const plain = outputs.every((o) => start[o + 1]! - start[o]! === 1 && weight[start[o]!] === 1);
  if (plain) return { fields: outputs.map((o) => field[start[o]!]!) };
  const ranges = Array.from(outputs, (o) => [start[o]!, start[o + 1]!] as const);
  const needed = ranges.flatMap(([from, to]) => Array.from(field.subarray(from, to)));
  const fields = Int32Array.from(new Set(needed)).sort();
  const at = new Map(Array.from(fields, (f, i) => [f, i]));
  const own = new Int32Array(outputs.length + 1);
  ranges.forEach(([from, to], i) => {
    own[i + 1] = own[i]! + to - from;
  });
  return {
    fields,
    sums: {
      start: own,
      place: Int32Array.from(needed, (f) => at.get(f)!),
      weight: Float64Array.from(ranges.flatMap(([from, to]) => Array.from(weight.subarray(from, to)))),
    },
  };
}
