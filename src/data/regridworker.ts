// A regridding thread: keeps the files of its jobs open, and answers slabs with fields whose memory it hands over.

import { parentPort } from "node:worker_threads";
import { failureOf } from "../errors.ts";

import type { PoolAnswer, PoolRequest } from "./regridpool.ts";
import { type SlabRunner, slabRunner } from "./regridslab.ts";

const port = parentPort!;
const runners = new Map<number, SlabRunner>();

port.on("message", (request: PoolRequest) => void answer(request));

async function answer(request: PoolRequest): Promise<void> {
  if ("done" in request) {
    await runners.get(request.done)?.close();
    runners.delete(request.done);
    return;
  }
  const { id, number, job, task } = request;
  try {
    if (job)
      runners.set(
        number,
        slabRunner(job, () => openVariable(job.source.path, job.source.variable)),
      );
    const result = await runners.get(number)!.run(task);
    const buffers = "values" in result ? [result.values.buffer] : result.chunks.map((chunk) => chunk.buffer);
    port.postMessage({ id, result } satisfies PoolAnswer, [...new Set(buffers)]);
  } catch (error) {
    port.postMessage({ id, failure: failureOf(error) } satisfies PoolAnswer);
  }
}

/** The readers of all formats are loaded only where one is needed. */
async function openVariable(path: string, name: string) {
  const { openDataset } = await import("./open.ts");
  const dataset = await openDataset(path);
  return { variable: dataset.variables.get(name)!, close: () => dataset.close() };
}
