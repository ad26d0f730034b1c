// How much of a batch goes through the model at once, so that a run fits its adapter.
import type { Gpu } from "../engine/device.ts";
import { ClimaxError } from "../errors.ts";
import { type MemoryPlan, planMemory, type Rehearsal } from "../train/plan.ts";
import { bytes, freeMemory } from "./machine.ts";

const GiB = 2 ** 30;

/** What an adapter can hold, bytes. */
export interface Room {
  /** In one buffer, and in one that a kernel sees. */
  readonly buffer: number;
  readonly binding: number;
  /** In all. */
  readonly memory: number;
  /** Whether that is the host's own, so that what the host keeps counts, too. */
  readonly ofHost: boolean;
}

/**
 * @param memory     what the user allows, GiB
 * @param processes  that share the memory of this machine, each with a run of its own to plan
 */
export function roomOf({ device, name, kind }: Gpu, memory?: number, processes = 1): Room {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  // Both below what the adapters say: Dawn cannot map 2 GiB, and SwiftShader cannot allocate its own limit of 1 GiB.
  const sound = /swiftshader/i.test(name) ? GiB - 4 : 2 * GiB - 4;
  // WebGPU does not tell how much memory a GPU has; 8 GiB is what most that one would train on have at least.
  const free = kind === "software" ? freeMemory() / 2 / processes : 8 * GiB;
  return {
    buffer: Math.min(maxBufferSize, sound),
    binding: maxStorageBufferBindingSize,
    memory: memory === undefined ? free : memory * GiB,
    ofHost: kind === "software",
  };
}

/**
 * Plans the run with the largest micro-batches that fit: divisors of the batch size, and of one that updates early the
 * whole batch alone.
 *
 * @param wanted  the size of a micro-batch that the user asks for; then only the adapter's limits may refuse it
 * @throws ClimaxError "device" when nothing fits
 */
export function planRun(gpu: Gpu, rehearsal: Rehearsal, room: Room, wanted?: number): MemoryPlan {
  const { batchSize, ranks, options } = rehearsal;
  const { early = false, recompute = false } = options;
  const divisors = Array.from({ length: batchSize }, (_, i) => batchSize - i).filter(
    (n) => batchSize % n === 0,
  );
  const sizes = wanted === undefined ? divisors : [Math.min(wanted, batchSize)];
  const allowed = allowedOf(room, wanted);
  let refusal = "";
  let short = false; // of memory, not of what one buffer holds
  for (const size of early ? sizes.slice(0, 1) : sizes) {
    const plan = planMemory(gpu, rehearsal, size);
    refusal = refusalOf(plan, allowed);
    if (refusal === "") return plan;
    short = memoryOf(plan, allowed) > allowed.memory;
  }
  const mends = [
    ...(short && ranks && !ranks.shares ? ["--shard-optimiser"] : []),
    ...(recompute === true ? [] : ["--recompute"]),
    ...(early ? ["no --update-early, which keeps batches whole"] : []),
    ...(wanted !== undefined && wanted > 1 ? ["a smaller --training.micro-batch"] : []),
    "a smaller model (--model.embed-dim, --model.depth) or larger patches (--model.patch-size)",
    ...(wanted === undefined ? ["--memory, if the adapter has more"] : []),
  ];
  throw new ClimaxError("device", refusal, `use ${mends.join("; ")}; or another --adapter`);
}

/** The plan of a run that updates early, if whole batches fit then and the user asks for no smaller micro-batches. */
export function planEarly(
  gpu: Gpu,
  rehearsal: Rehearsal,
  room: Room,
  wanted?: number,
): MemoryPlan | undefined {
  const { batchSize, options } = rehearsal;
  if (wanted !== undefined && wanted < batchSize) return undefined;
  const plan = planMemory(gpu, { ...rehearsal, options: { ...options, early: true } }, batchSize);
  return refusalOf(plan, allowedOf(room, wanted)) === "" ? plan : undefined;
}

function allowedOf(room: Room, wanted: number | undefined): Room {
  return wanted === undefined ? room : { ...room, memory: Number.POSITIVE_INFINITY };
}

function memoryOf({ peak, host }: MemoryPlan, { ofHost }: Room): number {
  return peak + (ofHost ? host : 0);
}

function refusalOf(plan: MemoryPlan, room: Room): string {
  const { microBatch, largestBuffer, largestBinding } = plan;
  const memory = memoryOf(plan, room);
  const samples = microBatch === 1 ? "1 sample" : `${microBatch} samples`;
  const needs = `a micro-batch of ${samples} needs`;
  if (largestBinding > room.binding)
    return `${needs} a tensor of ${bytes(largestBinding)}, and the adapter's kernels take ${bytes(room.binding)} at most`;
  if (largestBuffer > room.buffer)
    return `${needs} a buffer of ${bytes(largestBuffer)}, and the adapter's are ${bytes(room.buffer)} at most`;
  if (memory > room.memory)
    return `${needs} ${bytes(memory)} of memory, and ${bytes(room.memory)} may be planned for`;
  return "";
}

/** `parameters 1.2 GiB, optimiser 1.2 GiB, activations 3 GiB, peak 5.4 GiB ...` */
export function describePlan(plan: MemoryPlan, room: Room, ranks = 1): string {
  const { microBatch, early, parameters, optimiser, optimiserOfAll, activations, peak, host } = plan;
  const part =
    optimiser < optimiserOfAll ? ` of ${bytes(optimiserOfAll)} (1/${ranks}, --shard-optimiser)` : "";
  return (
    `parameters ${bytes(parameters)}${early ? " (large ones updated as their gradients come)" : ""}, ` +
    `optimiser ${bytes(optimiser)}${part}, activations ${bytes(activations)}, ` +
    `peak ${bytes(peak)} of micro-batches of ${microBatch} sample${microBatch === 1 ? "" : "s"}` +
    `${host > 0 ? `, for the ranks' gradients ${bytes(host)} of the host's` : ""} ` +
    `(adapter: buffers up to ${bytes(room.buffer)}, bindings up to ${bytes(room.binding)})`
  );
}
