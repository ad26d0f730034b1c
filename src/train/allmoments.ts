// The optimiser's moments for who writes the checkpoint, where each rank keeps its share of them.

import { size } from "../engine/tensor.ts";
import type { Moments } from "../model/checkpoint.ts";
import type { World } from "../parallel/world.ts";
import type { Learner } from "./learner.ts";
import { byAll } from "./together.ts";

const kinds = ["expAvg", "expAvgSq"] as const;
const OVER = -1;

/**
 * Does `write` on rank 0, which may ask for any moment at any time and gets it whole; the others give their share of it
 * until `write` has ended, however it ends. One parameter's moment at a time is in the host's memory.
 */
export async function withAllMoments(
  world: World,
  learner: Learner,
  write: (moments: Moments) => Promise<void>,
): Promise<void> {
  if (!learner.share) return world.rank === 0 ? await write(learner.moments) : undefined;
  const names = [...learner.names];
  let failed = false;
  /** Of all ranks: zeros outside of a share, so that the sum is exact. */
  const whole = async (wish: number): Promise<Float32Array> => {
    const name = names[(wish - (wish % 2)) / 2]!;
    const length = size(learner.network.shapes.get(name)!);
    const message = new Float32Array(length + 1); // the last: how many ranks could not read theirs
    let problem: { readonly error: unknown } | undefined;
    try {
      message.set(await learner.moments[kinds[wish % 2]!](name));
    } catch (error) {
      problem = { error };
      message[length] = 1;
    }
    await world.sum(message);
    if (message[length] === 0) return message.subarray(0, length);
    failed = true;
    return await byAll(world, () => {
      if (problem) throw problem.error;
      return message; // of no use: byAll throws on every rank
    });
  };
  const tell = async (wish: number): Promise<number> => {
    const message = Float64Array.of(wish);
    await world.broadcast(message);
    return message[0]!;
  };
  if (world.rank > 0) {
    for (let wish = await tell(OVER); wish !== OVER; wish = await tell(OVER)) await whole(wish);
    return;
  }
  const ask = (kind: (typeof kinds)[number]) => async (name: string) =>
    learner.trains(name)
      ? await whole(await tell(2 * names.indexOf(name) + kinds.indexOf(kind)))
      : await learner.moments[kind](name);
  try {
    await write({ expAvg: ask("expAvg"), expAvgSq: ask("expAvgSq") });
  } finally {
    if (!failed) await tell(OVER);
  }
}
