// One model on all ranks: it starts from one, what each keeps up for itself is averaged, and that all are alike is proven.
import { createHash } from "node:crypto";
import { readAll, size, write } from "../engine/tensor.ts";
import type { World } from "../parallel/world.ts";
import type { Learner, ReadParameter } from "./learner.ts";

/**
 * Reads on rank 0, for all: the others need not have the file, and cannot have another. All ranks must read the same
 * names in the same order.
 */
export function fromFirst(world: World, { network }: Learner, read: ReadParameter): ReadParameter {
  if (world.size === 1) return read;
  return async (name) => {
    const values = world.rank === 0 ? await read(name) : new Float32Array(size(network.shapes.get(name)!));
    await world.broadcast(values);
    return values;
  };
}

/**
 * Makes the running moments of batch normalisations, which follow the micro-batches of one rank, the mean over ranks:
 * the model that is validated and saved has then seen the batches of all. Training is not touched, which goes by the
 * moments of the micro-batch. On one rank with as many batches a step they follow as many times faster.
 */
export async function averageStates(world: World, { states }: Learner): Promise<void> {
  if (world.size === 1 || states.length === 0) return;
  const each = await readAll(states);
  const all = Float64Array.from(each.flatMap((values) => [...values]));
  await world.sum(all);
  let at = 0;
  for (const t of states) {
    const end = at + size(t.shape);
    write(
      t,
      all.subarray(at, end).map((sum) => sum / world.size),
    );
    at = end;
  }
}

/** SHA-256 of all parameters as they are trained, in hexadecimal: the same on ranks that are alike. */
export async function digestOf(learner: Learner): Promise<string> {
  const hash = createHash("sha256");
  for (const name of learner.names) hash.update(await learner.parameter(name));
  return hash.digest("hex");
}
