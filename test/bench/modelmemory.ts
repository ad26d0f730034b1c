// A process that trains a model for three steps and says how much memory it took: `npm run bench` starts it.
import { json } from "node:stream/consumers";
import { openGpu } from "../../src/engine/device.ts";
import { trainingStep } from "./model.ts";
import type { ModelSpec } from "./twin.ts";

export interface Memory {
  /** Largest resident set, bytes. On a software adapter its buffers are part of it. */
  readonly peak_bytes: number;
  /** The most that tensors took on the device at once, bytes. */
  readonly pool_bytes: number;
}

const spec = (await json(process.stdin)) as ModelSpec & { adapter?: string };
const gpu = await openGpu({ adapter: spec.adapter });
const step = await trainingStep(gpu, spec);
for (let i = 0; i < 3; i++) {
  step.call();
  await step.done();
}
const answer: Memory = {
  peak_bytes: 1024 * process.resourceUsage().maxRSS,
  pool_bytes: gpu.pool.bytes.peak,
};
console.log(JSON.stringify(answer));
gpu.device.destroy();
