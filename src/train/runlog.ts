// log.jsonl: what happened in a run, one JSON object a line, readable with pandas.read_json(..., lines=True).
import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";

export type LogEntry = Readonly<Record<string, unknown>> & { readonly event: string };

export interface RunLog {
  write(entry: LogEntry): void;
}

/**
 * Opens the log of a run for appending.
 *
 * @param step  where a resumed run goes on: later entries, of steps that will be run again, are removed
 */
export function openLog(path: string, step?: number): RunLog {
  if (existsSync(path)) truncateSync(path, step === undefined ? 0 : lengthUpTo(path, step));
  return {
    write: (entry) =>
      appendFileSync(path, `${JSON.stringify({ ...entry, time: new Date().toISOString() })}\n`),
  };
}

/** Bytes of the lines that belong to steps up to `step`; a line cut short by a crash ends them. */
function lengthUpTo(path: string, step: number): number {
  let length = 0;
  for (const line of readFileSync(path, "utf8").split(/(?<=\n)/)) {
    if (!line.endsWith("\n")) break;
    let entry: { step?: unknown };
    try {
      entry = JSON.parse(line);
    } catch {
      break;
    }
    if (typeof entry.step === "number" && entry.step > step) break;
    length += Buffer.byteLength(line);
  }
  return length;
}
