// What set.json says of a set that has grown: of what it was, and of what was added.
import type { Archive } from "../data/archive.ts";
import { type CfTime, parseTime } from "../data/time.ts";
import { describeSplits, describeStatistics, notesOn } from "./describeset.ts";
import type { FinishedWork } from "./finishset.ts";
import type { WriteOptions } from "./growset.ts";
import { type Manifest, splitNames } from "./manifest.ts";
import type { Plan } from "./plan.ts";
import type { ShardFiles } from "./shardfiles.ts";
import { noMoments } from "./statistics.ts";
import type { SetField } from "./tally.ts";

interface Growth {
  archive: Archive;
  fields: readonly SetField[];
  plan: Plan;
  shards: readonly ShardFiles[];
  times: readonly CfTime[];
  nanFill: WriteOptions["nanFill"];
  /** Of the addition's recipe. */
  name: string;
}

/** All but the climatologies, which are those of before. */
export function describeGrown(
  old: Manifest,
  { archive, fields, plan, shards, times, nanFill, name: recipe }: Growth,
  work: FinishedWork,
  { provenance }: Pick<WriteOptions, "provenance">,
): Manifest {
  const kind = old.statistics?.kind ?? "train";
  const added = describeSplits(shards, times, fields, work.parts, kind);
  const splits = { ...old.splits };
  const spans: Record<string, string> = {};
  for (const name of splitNames) {
    const [there, more] = [old.splits[name], added[name]];
    if (!more) continue;
    spans[name] = `${more.start} to ${more.end}`;
    const parts = there ? [there, more].sort((a, b) => (instant(a, old) < instant(b, old) ? -1 : 1)) : [more];
    splits[name] = {
      start: parts[0]!.start,
      end: parts.at(-1)!.end,
      steps: parts.reduce((sum, { steps }) => sum + steps, 0),
      shards: parts.flatMap((part) => part.shards),
    };
  }
  const created = new Date().toISOString();
  const grown = added.train !== undefined;
  const statistics = grown ? describeStatistics(fields, work.tallies, kind) : undefined;
  const filled = work.tallies.some(({ missing }) => missing > 0) && nanFill !== undefined;
  const noteOf = (field: SetField, i: number) => {
    const tally = work.tallies[i]!;
    const { [field.name]: mean = 0 } = old.mean;
    const { [field.name]: std = 1 } = old.std;
    // Where train has not grown, mean and std are those of the set.
    const moments = grown ? tally.moments : { ...noMoments(), count: 1, mean, squares: std ** 2 };
    return notesOn(field, { ...tally, moments }, nanFill, old.filled?.values?.[field.name] ?? mean);
  };
  const appended = Object.entries(spans)
    .map(([name, span]) => `${name} ${span}`)
    .join(", ");
  return {
    ...old,
    splits,
    stepHours: old.stepHours || plan.stepHours,
    ...(statistics
      ? {
          mean: { ...old.mean, ...statistics.mean },
          std: { ...old.std, ...statistics.std },
          statistics: statistics.statistics,
        }
      : {}),
    ...(filled && !old.filled
      ? { filled: { by: nanFill, ...(nanFill === "mean" ? { values: old.mean } : {}) } }
      : {}),
    synthetic: old.synthetic || archive.synthetic,
    notes: [
      ...old.notes,
      ...[...archive.notes, ...plan.notes, ...work.notes, ...fields.flatMap(noteOf)]
        .filter((note) => !old.notes.includes(note))
        .map((note) => `appended ${created.slice(0, 10)}: ${note}`),
      ...(grown
        ? [
            `appended ${created.slice(0, 10)}: train has grown (${appended}); models trained before saw other statistics, ` +
              "which their checkpoints hold",
          ]
        : []),
    ],
    provenance: {
      ...old.provenance,
      appended: [
        ...(old.provenance.appended ?? []),
        { ...provenance, files: [...provenance.files], created, recipe, splits: spans },
      ],
    },
    checksums: { ...old.checksums, ...work.checksums },
  };
}

const instant = ({ start }: { start: string }, { calendar }: Manifest) => parseTime(start, calendar).seconds;
