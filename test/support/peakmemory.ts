// The peak memory of this process alone.
import { existsSync, readFileSync } from "node:fs";

/**
 * Bytes of resident memory at most so far. Linux counts the peak of the program that started this one into
 * getrusage's figure (the memory at its fork), so its own mark is read there.
 */
export function peakMemory(): number {
  const status = "/proc/self/status";
  const mark = existsSync(status) ? /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(status, "utf8"))?.[1] : undefined;
  return 1024 * (mark === undefined ? process.resourceUsage().maxRSS : Number(mark));
}
