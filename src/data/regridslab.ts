// A slab of regridding: reads some fields of a variable, regrids them, and packs them for the output. The same code
// runs in threads and without them.
import { closeSync, openSync } from "node:fs";
import type { DatasetVariable } from "../files/dataset.ts";
import { packChunk } from "../files/hdf5append.ts";
import { unpack } from "../files/packing.ts";
import { liesApart, type Pieces, readFields } from "../files/pieces.ts";
import { type FieldPlan, fieldKernel } from "./regridkernel.ts";

/** Where the fields of a variable are read from; plain data. */
export interface FieldSource {
  path: string;
  variable: string;
  shape: number[];
  /** The variable's axes of rows and columns; rows -1 for points along one axis. */
  rowAxis: number;
  columnAxis: number;
  /** With rows and columns as the last two axes. Without, the file's reader reads. */
  pieces?: Pieces;
}

export interface FieldJob {
  source: FieldSource;
  plan: FieldPlan;
  /** Numbers of a field of the output. */
  size: number;
  /** gzip level of the chunks, when fields are to come packed. */
  level?: number;
}

export interface SlabTask {
  /** Fields of the source, counted row-major over its axes but rows and columns. */
  fields: Int32Array;
  /** What each field of the output is the sum of; the fields themselves, one each, by default. */
  sums?: { start: Int32Array; place: Int32Array; weight: Float64Array };
}

/** Fields of the output as they are, [n, H, W], or packed as chunks. */
export type SlabResult = { values: Float32Array<ArrayBuffer> } | { chunks: Uint8Array<ArrayBuffer>[] };

export interface SlabRunner {
  run(task: SlabTask): Promise<SlabResult>;
  close(): Promise<void>;
}

/** A variable of an open file, and how to let go of it. */
export interface OpenVariable {
  variable: DatasetVariable;
  close(): Promise<void>;
}

/** `open` is called for sources without pieces only, when the first slab is read. */
export function slabRunner(
  { source, plan, size, level }: FieldJob,
  open: () => Promise<OpenVariable>,
): SlabRunner {
  const kernel = fieldKernel(plan);
  const { pieces } = source;
  const descriptor = pieces ? openSync(pieces.path, "r") : undefined;
  let opened: Promise<OpenVariable> | undefined;

  // One field at a time stays in the processor's cache from the file to the output; its memory is used again.
  const apart = pieces !== undefined && liesApart(pieces);
  let memory: Uint8Array<ArrayBuffer> | undefined;
  function readOne(fields: Int32Array, i: number): Float32Array | Float64Array {
    const raw = readFields(pieces!, descriptor!, fields.subarray(i, i + 1), plan.rows, memory);
    memory = new Uint8Array(raw.buffer);
    return unpack(raw, pieces!.packing);
  }

  async function read(fields: Int32Array): Promise<Float32Array | Float64Array> {
    if (pieces) return unpack(readFields(pieces, descriptor!, fields, plan.rows), pieces.packing);
    const { variable } = await (opened ??= open());
    return readByReader(variable, source, fields, plan);
  }

  return {
    async run({ fields, sums }) {
      const single = apart && !sums;
      const values = single ? new Float32Array(0) : await read(fields);
      const n = sums ? sums.start.length - 1 : fields.length;
      const length = plan.rows.length * plan.width;
      const field = (i: number) => values.subarray(i * length, (i + 1) * length);
      const out = new Float32Array(n * size);
      const [part, total] = sums ? [new Float64Array(size), new Float64Array(size)] : [];
      for (let i = 0; i < n; i++) {
        const to = out.subarray(i * size, (i + 1) * size);
        const [from, end] = sums ? [sums.start[i]!, sums.start[i + 1]!] : [i, i + 1];
        if (!sums || (end === from + 1 && sums.weight[from] === 1)) {
          kernel(single ? readOne(fields, i) : field(sums ? sums.place[from]! : i), to);
          continue;
        }
        total!.fill(0);
        for (let k = from; k < end; k++) {
          kernel(field(sums.place[k]!), part!);
          const weight = sums.weight[k]!;
          for (let j = 0; j < size; j++) total![j]! += weight * part![j]!;
        }
        to.set(total!);
      }
      if (level === undefined) return { values: out };
      const chunks = Array.from({ length: n }, (_, i) =>
        packChunk(out.slice(i * size, (i + 1) * size), level),
      );
      return { chunks };
    },
    async close() {
      if (descriptor !== undefined) closeSync(descriptor);
      await (await opened)?.close();
    },
  };
}

/** Fields through the file's reader, [fields.length, rows.length, width]; fields that follow one another in one call. */
async function readByReader(
  variable: DatasetVariable,
  { shape, rowAxis, columnAxis }: FieldSource,
  fields: Int32Array,
  { rows, width }: FieldPlan,
): Promise<Float32Array | Float64Array> {
  const outer = shape.map((_, d) => d).filter((d) => d !== rowAxis && d !== columnAxis);
  const last = outer.at(-1);
  const lastLength = last === undefined ? 1 : shape[last]!;
  const firstRow = rows[0]!;
  const rowCount = rows.at(-1)! - firstRow + 1;
  let out: Float32Array | Float64Array | undefined;
  for (let i = 0; i < fields.length; ) {
    let run = 1;
    while (
      i + run < fields.length &&
      fields[i + run] === fields[i]! + run &&
      (fields[i]! % lastLength) + run < lastLength
    )
      run++;
    const start = shape.map(() => 0);
    const count = shape.map(() => 1);
    let rest = fields[i]!;
    for (const d of outer.toReversed()) {
      start[d] = rest % shape[d]!;
      rest = Math.floor(rest / shape[d]!);
    }
    if (last !== undefined) count[last] = run;
    if (rowAxis >= 0) [start[rowAxis], count[rowAxis]] = [firstRow, rowCount];
    count[columnAxis] = width;
    const values = await variable.readUnpacked(start, count);
    out ??= new (values.constructor as Float32ArrayConstructor)(fields.length * rows.length * width);
    const strides = count.map((_, d) => count.slice(d + 1).reduce((product, n) => product * n, 1));
    const [fieldStride, rowStride] = [last === undefined ? 0 : strides[last]!, strides[rowAxis] ?? 0];
    const columnStride = strides[columnAxis]!;
    for (let f = 0; f < run; f++) {
      for (let r = 0; r < rows.length; r++) {
        const from = f * fieldStride + (rows[r]! - firstRow) * rowStride;
        const to = ((i + f) * rows.length + r) * width;
        if (columnStride === 1) out.set(values.subarray(from, from + width), to);
        else for (let c = 0; c < width; c++) out[to + c] = values[from + c * columnStride]!;
      }
    }
    i += run;
  }
  return out ?? new Float32Array(0);
}
