// Keeps Dawn's wait loop from burning the core that a software adapter computes on.

/** Polls at full speed before the loop slows down: a short wait stays short. */
const EAGER_POLLS = 20;

let polls = 0;
let waiting = 0;
/** Puts `setImmediate` back; undefined while it is the program's own. */
let restore: (() => void) | undefined;

/**
 * While a buffer map is pending, dawn.node re-arms `globalThis.setImmediate` with a native function for as long as it
 * takes: a million turns a second on one core. It looks the function up each time, so native callers are sent
 * through a 1 ms timer after the first few turns. Callers in JavaScript are not touched, nor is anybody while nothing
 * is waited for.
 */
function slowNativePolls(): () => void {
  const eager = globalThis.setImmediate;
  const isNative = (f: unknown): boolean =>
    typeof f === "function" &&
    !f.name.startsWith("bound ") && // of a program; its text says native code, too
    /\[native code\]\s*\}$/.test(Function.prototype.toString.call(f));
  const patient = (callback: (...args: unknown[]) => void, ...args: unknown[]): unknown =>
    isNative(callback) && ++polls > EAGER_POLLS ? setTimeout(callback, 1, ...args) : eager(callback, ...args);
  const patched = Object.assign(patient, eager) as unknown as typeof setImmediate;
  globalThis.setImmediate = patched;
  return () => {
    if (globalThis.setImmediate === patched) globalThis.setImmediate = eager;
  };
}

/** Waits for a promise of the device without spinning. */
export async function wait<T>(pending: Promise<T>): Promise<T> {
  waiting++;
  restore ??= slowNativePolls();
  polls = 0;
  try {
    return await pending;
  } finally {
    if (--waiting === 0) {
      restore();
      restore = undefined;
    }
  }
}
