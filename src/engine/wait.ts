// Keeps Dawn's wait loop from burning the core that a software adapter computes on.

/** Polls at full speed before the loop slows down: a short wait stays short. */
const EAGER_POLLS = 20;

let polls = 0;
let patched = false;

/**
 * While a buffer map is pending, dawn.node re-arms `globalThis.setImmediate` with a native function for as long as it
 * takes: a million turns a second on one core. It looks the function up each time, so native callers are sent
 * through a 1 ms timer after the first few turns. Callers in JavaScript are not touched.
 */
function slowNativePolls(): void {
  if (patched) return;
  patched = true;
  const eager = globalThis.setImmediate;
  const isNative = (f: unknown): boolean => /\[native code\]\s*\}$/.test(Function.prototype.toString.call(f));
  const patient = (callback: (...args: unknown[]) => void, ...args: unknown[]): unknown =>
    isNative(callback) && ++polls > EAGER_POLLS ? setTimeout(callback, 1, ...args) : eager(callback, ...args);
  globalThis.setImmediate = Object.assign(patient, eager) as unknown as typeof setImmediate;
}

/** Waits for a promise of the device without spinning. */
export async function wait<T>(pending: Promise<T>): Promise<T> {
  slowNativePolls();
  polls = 0;
  return await pending;
}
