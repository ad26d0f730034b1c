// The words of a refusal, for tests of error texts.
import { ClimaxError } from "../../src/errors.ts";

/** "kind: message | hint" of the ClimaxError that a call throws; fails if it throws none. */
export function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof ClimaxError) return `${error.kind}: ${error.message} | ${error.hint}`;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** The same of a promise. */
export async function refusalOf(promise: Promise<unknown>): Promise<string> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  return refusal(() => {
    if (outcome !== undefined) throw outcome;
  });
}
