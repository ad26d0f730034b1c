/** Ctrl-C, SIGTERM and SLURM's warning, as an AbortSignal that long work looks at between its steps. */
import { constants } from "node:os";

/** The signals that ask work to stop. */
export type StopSignal = "SIGINT" | "SIGTERM" | "SIGUSR1";

/** EX_TEMPFAIL of sysexits.h: "try again later", which a job script takes for its leave to requeue. */
const TRY_AGAIN = 75;

/** Why work was stopped: the user or the scheduler asked for it. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  /**
   * What a shell reports for this signal: 130 for SIGINT, 143 for SIGTERM. 75 for SIGUSR1, the warning that the job's
   * time is up: what was saved is to be gone on with.
   */
  readonly exitCode: number;

  constructor(signal: StopSignal) {
    super(`interrupted by ${signal}`);
    this.exitCode = signal === "SIGUSR1" ? TRY_AGAIN : 128 + constants.signals[signal];
  }
}

/** The reason that ends a process with this code, which another process of the run has. */
export function interruptedElsewhere(exitCode: number): Interrupted {
  const all = (["SIGINT", "SIGTERM", "SIGUSR1"] as const).map((signal) => new Interrupted(signal));
  return all.find((one) => one.exitCode === exitCode) ?? new Interrupted("SIGTERM");
}

export interface InterruptOptions {
  /** The work saves what it has and can be gone on with: SIGUSR1, a scheduler's warning, stops it too. */
  readonly resumable?: boolean;
  /** One of several processes, whose launcher passes on what each also gets by itself: a second signal ends nothing. */
  readonly oneOfSeveral?: boolean;
}

/**
 * Runs `work` with a signal that SIGINT (Ctrl-C) and SIGTERM abort. `work` ends soon after: it calls
 * `signal.throwIfAborted()` between steps, cleans up, and lets the `Interrupted` pass, or saves and returns.
 * A second SIGINT or SIGTERM ends the process at once. Handlers are removed when `work` ends.
 *
 * @param onInterrupt  called at the first signal, e.g. to say that a checkpoint is being written
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  onInterrupt?: (reason: Interrupted) => void,
  { resumable = false, oneOfSeveral = false }: InterruptOptions = {},
): Promise<T> {
  const controller = new AbortController();
  const wanted: readonly StopSignal[] = ["SIGINT", "SIGTERM", ...(resumable ? (["SIGUSR1"] as const) : [])];
  let asked = 0;
  const stop = (name: NodeJS.Signals) => {
    const signal = wanted.find((one) => one === name);
    if (!signal) return;
    // A warning comes before the SIGTERM that ends the time, and is no haste.
    if (signal !== "SIGUSR1" && ++asked > 1 && !oneOfSeveral) {
      remove();
      process.kill(process.pid, name); // with no handler left, the signal ends the process as usual
      return;
    }
    if (controller.signal.aborted) return;
    const reason = new Interrupted(signal);
    onInterrupt?.(reason);
    controller.abort(reason);
  };
  const remove = () => {
    for (const name of wanted) process.off(name, stop);
  };
  for (const name of wanted) process.on(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    remove();
  }
}
