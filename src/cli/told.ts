// Who tells an error that several ranks have met: the first of them, once.
import { ClimaxError } from "../errors.ts";
import { launchedBy } from "../parallel/launcher.ts";

/** The process ends because of an error that has been told, or that rank 0 tells for all. */
export class Told extends Error {
  override readonly name = "Told";
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("the error has been told");
    this.exitCode = exitCode;
  }
}

/** The error with more to go on from; what the user cannot mend is as it was. */
export function alsoHinted(error: unknown, more: string): unknown {
  if (!(error instanceof ClimaxError)) return error;
  return new ClimaxError(error.kind, error.message, `${error.hint}; ${more}`, { cause: error });
}

const unshared = new WeakSet<object>();

/** Marks an error of a rank that cannot speak to the others, who may have met it too. */
export function unsharedError<E>(error: E): E {
  if (typeof error === "object" && error !== null) unshared.add(error);
  return error;
}

/**
 * Time in which mpirun of Open MPI ends the other ranks of one that has failed, ms: it takes some 50. MPICH's and srun end
 * none that MPI was not opened in: each then says its line.
 */
const moment = 2000;

/**
 * The name of this rank where it is to tell an error of its own, after rank 0 had time to tell it for all. Undefined, at
 * once, for what it tells as one process does.
 */
export async function afterTheFirst(error: unknown): Promise<string | undefined> {
  const launched = unshared.has(error as object) ? launchedBy() : undefined;
  if (!launched || launched.rank === 0) return undefined;
  await new Promise((resolve) => setTimeout(resolve, moment));
  return `rank ${launched.rank} of ${launched.size}`;
}
