/** Ctrl-C and SIGTERM, as an AbortSignal that long work looks at between its steps. */
import { constants } from "node:os";

/** Why work was stopped: the user or the scheduler asked for it. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  /** What a shell reports for this signal: 130 for SIGINT, 143 for SIGTERM. */
  readonly exitCode: number;

  constructor(signal: "SIGINT" | "SIGTERM") {
    super(`interrupted by ${signal}`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/**
 * Runs `work` with a signal that SIGINT (Ctrl-C) and SIGTERM abort. `work` ends soon after: it calls
 * `signal.throwIfAborted()` between steps, cleans up, and lets the `Interrupted` pass, or saves and returns.
 * A second signal ends the process at once. Handlers are removed when `work` ends.
 *
 * @param onInterrupt  called at the first signal, e.g. to say that a checkpoint is being written
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  onInterrupt?: (reason: Interrupted) => void,
): Promise<T> {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals) => {
    if (name !== "SIGINT" && name !== "SIGTERM") return;
    if (controller.signal.aborted) {
      remove();
      process.kill(process.pid, name); // with no handler left, the signal ends the process as usual
      return;
    }
    const reason = new Interrupted(name);
    onInterrupt?.(reason);
    controller.abort(reason);
  };
  const remove = () => {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    return await work(controller.signal);
  } finally {
    remove();
  }
}
