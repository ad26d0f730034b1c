/** `--shard I/N`: which share of the work a job of an array does. */
import type { Share } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";

/** Throws a `config` error for what is no I/N with I from 1 to N. */
export function parseShard(text: string): Share {
  const [, index = "", count = ""] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  if (shard.index >= 1 && shard.index <= shard.count) return shard;
  throw new ClimaxError(
    "config",
    `found --shard ${text}; wanted I/N with I from 1 to N`,
    "in a job array of 8: --shard $SLURM_ARRAY_TASK_ID/8 with the ids 1-8",
  );
}
