// Times every dispatch of a piece of work with the device's own clock.
import type { Dispatch } from "../../src/engine/commands.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { size } from "../../src/engine/tensor.ts";
import { wait } from "../../src/engine/wait.ts";

/** What one entry point did in all its dispatches. */
export interface KernelTotal {
  /** `matmul.wgsl forward_tile` */
  readonly name: string;
  readonly dispatches: number;
  readonly ms: number;
  /** Multiplications and additions; 0 where they are not counted. */
  readonly flop: number;
  /** Of the tensors bound, each counted once per dispatch: what it must move at the least, if it uses all of each. */
  readonly bytes: number;
}

/** Queries of a set; WebGPU allows no more. */
const QUERIES = 4096;

export function canProfile({ device }: Gpu): boolean {
  return device.features.has("timestamp-query");
}

/**
 * Runs `work` with a compute pass for each dispatch.
 *
 * @returns  totals by entry point, the longest first
 * @throws   Error beyond 2048 dispatches
 */
export async function profile(gpu: Gpu, work: () => void): Promise<KernelTotal[]> {
  const { device, commands } = gpu;
  const querySet = device.createQuerySet({ type: "timestamp", count: QUERIES });
  const dispatches: Dispatch[] = [];
  commands.profiler = (dispatch) => {
    const first = 2 * dispatches.length;
    if (first === QUERIES) throw new Error(`a profile holds ${QUERIES / 2} dispatches, and there are more`);
    dispatches.push(dispatch);
    return { querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
  };
  try {
    work();
  } finally {
    commands.profiler = undefined;
  }
  const nanoseconds = await readQueries(gpu, querySet, 2 * dispatches.length);
  querySet.destroy();

  const totals = new Map<string, KernelTotal>();
  for (const [i, dispatch] of dispatches.entries()) {
    const { file, entry } = dispatch.kernel;
    const name = `${file} ${entry}`;
    const sofar = totals.get(name) ?? { name, dispatches: 0, ms: 0, flop: 0, bytes: 0 };
    totals.set(name, {
      name,
      dispatches: sofar.dispatches + 1,
      ms: sofar.ms + Number(nanoseconds[2 * i + 1]! - nanoseconds[2 * i]!) / 1e6,
      flop: sofar.flop + flopOf(dispatch),
      bytes: sofar.bytes + bytesOf(dispatch),
    });
  }
  return [...totals.values()].toSorted((a, b) => b.ms - a.ms);
}

async function readQueries({ device, commands }: Gpu, querySet: GPUQuerySet, count: number) {
  const bytes = 8 * count;
  const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const resolved = device.createBuffer({ size: bytes, usage: QUERY_RESOLVE | COPY_SRC });
  const staging = device.createBuffer({ size: bytes, usage: MAP_READ | COPY_DST });
  commands.encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
  commands.encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
  commands.flush();
  await wait(staging.mapAsync(GPUMapMode.READ));
  const values = new BigUint64Array(staging.getMappedRange().slice(0));
  for (const buffer of [resolved, staging]) buffer.destroy();
  return values;
}

/**
 * Products of L x d x L that attention makes for each head, by entry point of flash.wgsl, flash_subgroup.wgsl and those
 * on subgroup matrices; the backward makes weights again.
 */
const FLASH: Readonly<Record<string, number>> = { forward_queries: 2, backward_queries: 3, backward_keys: 4 };

/** Products say their sizes in their parameters, and their batch in the grid. The rest is bound by memory. */
function flopOf({ kernel: { file, entry }, params, workgroups }: Dispatch): number {
  const { M = 0, N = 0, K = 0, L = 0, D = 0 } = params;
  if (file.startsWith("matmul")) return 2 * M * N * K * workgroups[2];
  // D is a row's width in vec4s, all heads together.
  return file.startsWith("flash") ? (FLASH[entry] ?? 0) * 2 * workgroups[2] * L * L * 4 * D : 0;
}

function bytesOf({ tensors }: Dispatch): number {
  const parts = new Map(
    Object.values(tensors).map(({ storage, offset, shape, type }) => [
      `${storage.id} ${offset}`,
      (type === "f16" ? 2 : 4) * size(shape),
    ]),
  );
  return [...parts.values()].reduce((sum, bytes) => sum + bytes, 0);
}
