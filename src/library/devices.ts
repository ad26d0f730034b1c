// Devices that models share: one for each adapter and precision, open for as long as a model is on it. What is compiled
// for one model serves the others, and what they compute waits its turn.
import { type Gpu, openGpu, type Precision } from "../engine/device.ts";
import { done } from "../engine/tensor.ts";

/** A share of an open device. */
export interface Lease {
  readonly gpu: Gpu;
  /** Does `work` when everybody's before it is done. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  /** Gives the share back, after `free` has given back what it used. The last one closes the device. */
  end(free: () => void): Promise<void>;
}

interface Shared {
  readonly gpu: Promise<Gpu>;
  users: number;
  /** Settles when all work so far is done. */
  last: Promise<void>;
}

const open = new Map<string, Shared>();
let opening: Promise<void> = Promise.resolve();

/**
 * @param adapter  part of an adapter's name; CLIMAX_ADAPTER, else the best one at hand, by default
 * @throws         ClimaxError "device" when there is no such adapter, or it lacks the precision
 */
export async function leaseDevice(adapter: string | undefined, precision: Precision): Promise<Lease> {
  const key = JSON.stringify([adapter ?? process.env.CLIMAX_ADAPTER ?? "", precision]);
  const shared = open.get(key) ?? start(key, { adapter, precision });
  shared.users++;
  let gpu: Gpu;
  try {
    gpu = await shared.gpu;
  } catch (error) {
    forget(key, shared);
    throw error;
  }
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = shared.last.then(work);
    shared.last = turn.then(nothing, nothing); // keeps nothing of what it gave
    return turn;
  };
  const end = (free: () => void): Promise<void> =>
    alone(async () => {
      free();
      shared.users--;
      if (shared.users === 0) {
        forget(key, shared);
        gpu.device.destroy(); // drivers hold on to the memory of devices that are only forgotten
        return;
      }
      await done(gpu);
      gpu.pool.trim();
    });
  return { gpu, alone, end };
}

function start(key: string, options: { adapter: string | undefined; precision: Precision }): Shared {
  // One after the other: which drivers are looked at is said to them through the environment of the process.
  const gpu = opening.then(() => openGpu(options));
  opening = gpu.then(nothing, nothing);
  const shared: Shared = { gpu, users: 0, last: Promise.resolve() };
  open.set(key, shared);
  gpu.then(
    ({ device }) => void device.lost.then(() => forget(key, shared)), // the next model opens another
    () => undefined,
  );
  return shared;
}

const nothing = (): void => undefined;

function forget(key: string, shared: Shared): void {
  if (open.get(key) === shared) open.delete(key);
}
