// A process that trains a model, for `npm run bench`: how long a step takes and how much memory. Reads an OwnTask.
import { json } from "node:stream/consumers";
import { openGpu, type Precision } from "../../src/engine/device.ts";
import { clock } from "./clock.ts";
import { trainingStep, type Way } from "./model.ts";
import type { ModelSpec } from "./twin.ts";

export interface OwnTask extends ModelSpec, Way {
  readonly adapter: string | undefined;
  readonly precision: Precision;
  readonly rounds: number;
}

export interface OwnAnswer {
  /** Of each round. */
  readonly ms: readonly number[];
  /** Largest resident set, bytes. On a software adapter its buffers are part of it. */
  readonly peak_bytes: number;
  /** The most that tensors took on the device at once, and what the pool made for them, bytes. */
  readonly pool_bytes: number;
  readonly made_bytes: number;
}

const { adapter, precision, recompute, early, rounds, ...spec } = (await json(process.stdin)) as OwnTask;
const gpu = await openGpu({ adapter, precision });
const step = await trainingStep(gpu, spec, { recompute, early });
const ms = await clock(step.call, step.done, rounds);
const { peak, made } = gpu.pool.bytes;
const answer: OwnAnswer = {
  ms,
  peak_bytes: 1024 * process.resourceUsage().maxRSS,
  pool_bytes: peak,
  made_bytes: made,
};
console.log(JSON.stringify(answer));
gpu.device.destroy();
