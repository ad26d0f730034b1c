// Several processes make the shards of a set, each at another one: who is at a shard says so, and the others pass it by.
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeWithin, partsFolder } from "./journal.ts";
import { type Holder, isHold, type Locks } from "./setlock.ts";
import { claimPath, readPart, unnamedFiles, writePart } from "./setparts.ts";
import { filesOf, type ShardFiles } from "./shardfiles.ts";
import { type ShardJob, writeShard } from "./writeshard.ts";

/** Between two looks at what others are doing, milliseconds. */
const between = 500;

export interface Making extends Omit<ShardJob, "onState"> {
  /** Those to make, in order. */
  shards: readonly ShardFiles[];
  locks: Locks;
  /** Told after every state: of these shards, with those that were whole. */
  onStep: (done: number, total: number) => void;
  /** Told once when there is nothing to do but wait for another process. */
  onWait?: ((text: string) => void) | undefined;
}

/** Makes the shards that are not whole; those that another process is at are waited for. */
export async function makeShards(making: Making): Promise<void> {
  const { dir, shards, locks, signal, onWait } = making;
  const total = shards.reduce((sum, { steps }) => sum + steps.length, 0);
  let done = 0;
  const job = { ...making, onState: () => making.onStep(++done, total) };
  await makeWithin(dir, partsFolder);
  let said = false;
  for (let left = shards; left.length > 0; ) {
    const held: { shard: ShardFiles; by: Holder }[] = [];
    for (const shard of left) {
      signal?.throwIfAborted();
      const before = done;
      const unnamed = (token: string) => filesOf(shard).map((file) => join(dir, `${file}.${token}`));
      const whole = (await readPart(dir, shard.file)) !== undefined;
      const claim = whole
        ? undefined
        : await locks.take(claimPath(dir, shard.file), async (token) => {
            for (const path of unnamed(token)) await rm(path, { force: true });
          });
      if (claim && !isHold(claim)) {
        held.push({ shard, by: claim });
        continue;
      }
      try {
        // Another may have made it before it was claimed here.
        if (claim && !(await readPart(dir, shard.file)))
          await writePart(dir, shard.file, await writeShard(job, shard, claim.token), claim.token);
      } finally {
        await claim?.release();
      }
      done = before + shard.steps.length;
    }
    if (held.length === left.length) {
      const [first] = held;
      if (!said) onWait?.(`${first!.shard.file} is being made by ${first!.by.who}; waiting for it`);
      said = true;
      await sleep(between);
    }
    left = held.map(({ shard }) => shard);
  }
}

/** A process that is at a shard, or may be; undefined when there is none. Claims of dead ones are removed. */
export async function claimed(dir: string, { take }: Locks): Promise<Holder | undefined> {
  for (const name of await readdir(join(dir, partsFolder)).catch(() => [])) {
    if (!name.endsWith(".claim")) continue;
    const got = await take(join(dir, partsFolder, name));
    if (!isHold(got)) return got;
    await got.release();
  }
  return undefined;
}

/** Removes what killed processes left of shards that they were at. */
export async function sweep(dir: string, shards: readonly ShardFiles[], { take }: Locks): Promise<void> {
  for (const { shard, path } of await unnamedFiles(dir, shards)) {
    const claim = await take(claimPath(dir, shard.file)); // whoever has it is writing that file, or another one
    if (!isHold(claim)) continue;
    await rm(path, { force: true }).finally(claim.release);
  }
}

/** Waits until no other process is at a shard. */
export async function untilUnclaimed(
  dir: string,
  locks: Locks,
  { signal, onWait }: Pick<Making, "signal" | "onWait">,
): Promise<void> {
  for (let said = false; ; said = true) {
    const holder = await claimed(dir, locks);
    if (!holder) return;
    if (!said) onWait?.(`${dir}: ${holder.who} is at work in it; waiting for it`);
    signal?.throwIfAborted();
    await sleep(between);
  }
}
