// How float16 is packed, from a sample of train: the same for every process that makes shards of the set.
import { join } from "node:path";
import { z } from "zod";
import type { Archive } from "../data/archive.ts";
import { packingFile, readNote, replaceFile } from "./journal.ts";
import { choosePacking, type Packing } from "./setpacking.ts";
import type { ShardFiles } from "./shardfiles.ts";
import { mergeMoments, momentsOf, noMoments } from "./statistics.ts";
import type { SetField } from "./tally.ts";

const packingSchema = z.strictObject({ scale: z.array(z.number()), offset: z.array(z.number()) });

/** States of train that show how large values are, spread over the whole of it. */
const sampled = 32;

interface Sample {
  dir: string;
  archive: Pick<Archive, "times">;
  fields: readonly SetField[];
  shards: readonly ShardFiles[];
  signal?: AbortSignal | undefined;
}

/** The packing that the unfinished set in `dir` has; it is noted there where it has none yet. */
export async function packingOf(sample: Sample, token: string): Promise<Packing> {
  const path = join(sample.dir, packingFile);
  const there = await readNote(path, packingSchema);
  if (there) return there;
  const packing = await samplePacking(sample);
  await replaceFile(path, `${JSON.stringify(packing)}\n`, token);
  return packing;
}

async function samplePacking({ fields, shards, archive, signal }: Sample): Promise<Packing> {
  const steps = shards.filter(({ split }) => split === "train").flatMap((shard) => shard.steps);
  const packing: Packing = { scale: [], offset: [] };
  const moments = fields.map(noMoments);
  const n = Math.min(sampled, steps.length);
  for (let k = 0; k < n; k++) {
    signal?.throwIfAborted();
    const step = steps[Math.floor((k * steps.length) / n)]!;
    if (!archive.times[step]) throw new RangeError(`step ${step} of ${archive.times.length}`);
    for (const [v, { read }] of fields.entries())
      moments[v] = mergeMoments(moments[v]!, momentsOf(await read(step)));
  }
  for (const [v, { info }] of fields.entries()) {
    const { scale, offset } = choosePacking(moments[v]!, info.bounds);
    packing.scale.push(scale);
    packing.offset.push(offset);
  }
  return packing;
}
