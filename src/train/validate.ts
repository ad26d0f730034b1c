// The loss over a validation set, its batches shared out over the ranks.
import type { World } from "../parallel/world.ts";
import { readAhead } from "../sets/readahead.ts";
import type { BatchSource } from "../sets/samples.ts";
import type { Learner } from "./learner.ts";
import type { Together } from "./together.ts";

type Evaluated = Awaited<ReturnType<Learner["evaluate"]>> & {
  readonly size: number;
  readonly outputs: readonly string[];
};

export interface Validation {
  readonly source: BatchSource;
  /** Batches, evenly spread over the source; all by default. */
  readonly limit?: number | undefined;
  /** All that any batch predicts, in the order in which losses are to be told. */
  readonly outputs: readonly string[];
}

/** Mean loss over a validation set, and that of each variable; undefined when the run was stopped on the way. */
export async function validate(
  learner: Learner,
  { source, limit = source.batches, outputs: names }: Validation,
  world: World,
  together: Together,
): Promise<{ loss: number; losses: Record<string, number> } | undefined> {
  const { rank, size: ranks } = world;
  const count = Math.min(limit, source.batches);
  // Loss times samples and samples: of all, then of each variable.
  const sums = new Float64Array(2 * (1 + names.length));
  const add = ({ size, outputs, loss, losses }: Evaluated): void => {
    sums[0]! += loss * size;
    sums[1]! += size;
    for (const [v, name] of outputs.entries()) {
      const place = 2 * (1 + names.indexOf(name));
      sums[place]! += losses[v]! * size;
      sums[place + 1]! += size;
    }
  };
  let earlier: Promise<Evaluated> | undefined; // the next batch is read while the device is at work on it
  const place = (i: number): number => Math.floor((i * source.batches) / count);
  const ahead = readAhead((k, spare) => source.batchAt(0, place(k * ranks + rank), spare), {
    end: Math.ceil((count - rank) / ranks),
    ahead: source.ahead,
  });
  try {
    let batch = await ahead.next();
    for (let round = 0; round < Math.ceil(count / ranks); round++) {
      if (await together.ask()) return undefined;
      if (!batch) continue; // the others have one more
      const { size, outputs } = batch;
      const now = learner.evaluate(batch).then((found) => ({ size, outputs, ...found }));
      now.catch(() => undefined); // thrown where it is awaited
      if (earlier) add(await earlier);
      earlier = now;
      batch = await ahead.next(batch);
    }
    if (earlier) add(await earlier);
  } finally {
    await ahead.end();
  }
  await world.sum(sums);
  const mean = (i: number): number => sums[2 * i]! / sums[2 * i + 1]!;
  const told = names.flatMap((name, v): [string, number][] =>
    sums[2 * (1 + v) + 1]! > 0 ? [[name, mean(1 + v)]] : [],
  );
  return { loss: mean(0), losses: Object.fromEntries(told) };
}
