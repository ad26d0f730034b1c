/** The truth with a memory: a state serves several leads, as persistence again, and the checks of a forecast's times. */
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { Truth } from "./truth.ts";

/** Bytes of fields that are kept. */
const largest = 64 * 2 ** 20;

export interface CachedTruth extends Truth {
  /** Lets go of all fields. */
  forget(): void;
}

/**
 * The same truth, which keeps the fields that were read last: at most `limit` bytes of them. They must not be changed.
 * A state that is infinite somewhere is a `data` error: it is no truth, nor a gap.
 */
export function cacheTruth(truth: Truth, limit = largest): CachedTruth {
  const kept = new Map<string, Float32Array>();
  let held = 0;
  const forget = () => {
    kept.clear();
    held = 0;
  };
  const read = async (name: string, step: number): Promise<Float32Array> => {
    const key = `${step} ${name}`;
    const known = kept.get(key);
    if (known) {
      // A map goes through its keys in the order in which they were set: the first is the one longest unused.
      kept.delete(key);
      kept.set(key, known);
      return known;
    }
    const field = await truth.read(name, step);
    checkTruth(field, name, truth, step);
    for (const [oldest, { byteLength }] of kept) {
      if (held + field.byteLength <= limit) break;
      kept.delete(oldest);
      held -= byteLength;
    }
    if (field.byteLength <= limit) {
      kept.set(key, field);
      held += field.byteLength;
    }
    return field;
  };
  return { ...truth, read, forget };
}

function checkTruth(field: Float32Array, name: string, truth: Truth, step: number): void {
  let infinite = 0;
  for (let i = 0; i < field.length; i++) if (Math.abs(field[i]!) === Infinity) infinite++;
  if (infinite === 0) return;
  throw new ClimaxError(
    "data",
    `${name} of the truth ${truth.path} is infinite in ${infinite} of ${field.length} cells at ${formatTime(truth.times[step]!)}`,
    "a state that is not known must be missing (NaN, or its _FillValue): repair the file",
  );
}
