/** A progress bar on stderr: redrawn on a terminal, a line now and then in a log file. */
import cliProgress from "cli-progress";

export interface Progress {
  /** Sets how much is done, and words to show after the time left, e.g. `loss 0.123  41 samples/s`. */
  update(done: number, note?: string): void;
  /** Prints a line above the bar. */
  log(text: string): void;
  stop(): void;
}

export interface ProgressOptions {
  /** What is counted, e.g. `epoch 3` or `regrid`. */
  readonly label: string;
  readonly total: number;
  /** Draws nothing at all. */
  readonly quiet?: boolean;
  /** Seconds between lines when stderr is not a terminal. */
  readonly logEvery?: number;
  readonly stream?: NodeJS.WriteStream;
  /** Seconds; for tests. */
  readonly now?: () => number;
}

/** Starts a progress bar. Call `stop` in a `finally`, or the terminal keeps its cursor hidden. */
export function progress(options: ProgressOptions): Progress {
  const { stream = process.stderr, quiet = false } = options;
  if (quiet) return { update: () => undefined, log: () => undefined, stop: () => undefined };
  // mpirun gives every rank a "terminal" of 0 columns, which cannot be drawn on.
  return stream.isTTY && stream.columns > 0 ? bar(options, stream) : lines(options, stream);
}

function bar({ label, total, now = seconds }: ProgressOptions, stream: NodeJS.WriteStream): Progress {
  const started = now();
  const drawn = new cliProgress.SingleBar({
    stream,
    hideCursor: true,
    clearOnComplete: false,
    fps: 5,
    barsize: 24,
    linewrap: false,
    gracefulExit: false, // signals are the command's own business
    format: (_bar, { value, progress: share }) => {
      const filled = Math.round(24 * share);
      const blocks = `${"█".repeat(filled)}${"░".repeat(24 - filled)}`;
      const line = `${label} ${blocks} ${status(value, total, now() - started)}${note === "" ? "" : `  ${note}`}`;
      return line.slice(0, stream.columns - 1);
    },
  });
  let note = "";
  drawn.start(total, 0);
  return {
    update: (done, words) => {
      note = words ?? note;
      drawn.update(done);
    },
    log: (text) => {
      stream.write(`\r\u001b[K${text}\n`);
      drawn.render();
    },
    stop: () => drawn.stop(),
  };
}

function lines(
  { label, total, logEvery = 10, now = seconds }: ProgressOptions,
  stream: NodeJS.WriteStream,
): Progress {
  const started = now();
  let last = started;
  let shown = -1;
  let latest = { done: 0, note: "" };
  const show = () => {
    shown = latest.done;
    last = now();
    stream.write(
      `${label} ${status(latest.done, total, last - started)}${latest.note === "" ? "" : `  ${latest.note}`}\n`,
    );
  };
  return {
    update: (done, note) => {
      latest = { done, note: note ?? latest.note };
      if (now() - last >= logEvery) show();
    },
    log: (text) => void stream.write(`${text}\n`),
    stop: () => {
      if (shown !== latest.done) show();
    },
  };
}

/** `120/400  30%  1m05s left`. */
function status(done: number, total: number, elapsed: number): string {
  const share = total > 0 ? done / total : 1;
  const time =
    share >= 1
      ? `in ${duration(elapsed)}`
      : done > 0
        ? `${duration((elapsed / done) * (total - done))} left`
        : "starting";
  return `${done}/${total}  ${Math.floor(100 * share)}%  ${time}`;
}

/** Seconds as `0.4s`, `12s`, `3m05s`, `2h07m`, `3d04h`. */
export function duration(seconds: number): string {
  const two = (n: number) => String(n).padStart(2, "0");
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d${two(Math.floor((s % 86400) / 3600))}h`;
}

function seconds(): number {
  return performance.now() / 1000;
}
