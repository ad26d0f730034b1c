// What a new set says of itself, and its constants.
import type { Archive } from "../data/archive.ts";
import {
  climaxNote,
  describeSplits,
  describeStatistics,
  notesOn,
  refuseEmpty,
  sourceOf,
} from "./describeset.ts";
import { type FinishedWork, put } from "./finishset.ts";
import type { Manifest } from "./manifest.ts";
import type { Plan } from "./plan.ts";
import { rainMeaning } from "./precipitation.ts";
import type { PrepareOptions } from "./prepare.ts";
import { fillMissing, readState } from "./readstate.ts";
import type { ShardFiles } from "./shardfiles.ts";
import { type SetField, startTally, type Tally } from "./tally.ts";

interface NewSet {
  archive: Archive;
  /** All, in the set's order. */
  fields: readonly SetField[];
  plan: Plan;
  shards: readonly ShardFiles[];
  /** Of its recipe. */
  name: string;
}

/**
 * What set.json says but for the seasonal climatologies.
 *
 * @param dir  where constants.npy goes; undefined where it is not to be written
 * @throws ClimaxError (data) for a constant without a value, and for missing values of constants
 */
export async function describeSet(
  { archive, fields, plan, shards, name: recipe }: NewSet,
  work: FinishedWork,
  options: PrepareOptions,
  dir: string | undefined,
): Promise<Manifest> {
  const { nanFill, provenance } = options;
  const { dtype = "float32", statistics = "train" } = options;
  const varying = fields.filter(({ constant }) => !constant);
  const constants = fields.filter(({ constant }) => constant);
  const checksums = { ...work.checksums };
  const constantTallies = constants.map(startTally);
  if (constants.length > 0) {
    const shape = [constants.length, archive.grid.lat.length, archive.grid.lon.length];
    const cells = shape[1]! * shape[2]!;
    const state = new Float32Array(constants.length * cells);
    await readState(constants, constantTallies, state, { step: 0, when: "all times", train: true, nanFill });
    refuseEmpty(constants, constantTallies);
    fillMissing(
      state,
      cells,
      constantTallies.map(({ moments }) => moments.mean),
    );
    if (dir !== undefined) checksums["constants.npy"] = await put(dir, "constants.npy", shape, state);
  }
  const tallyOf = new Map<SetField, Tally>([
    ...varying.map((field, i) => [field, work.tallies[i]!] as const),
    ...constants.map((field, i) => [field, constantTallies[i]!] as const),
  ]);
  const tallies = fields.map((field) => tallyOf.get(field)!);
  const described = describeStatistics(fields, tallies, statistics);
  const { train, val, test } = describeSplits(shards, archive.times, varying, work.parts, statistics);
  const filled = tallies.some(({ missing }) => missing > 0) && nanFill !== undefined;
  return {
    format: "climax-set",
    version: 1,
    variables: fields.map((field) => {
      const { name, units, constant } = field;
      const meaning = rainMeaning(field);
      return { name, units, constant, ...(meaning === undefined ? {} : { meaning }) };
    }),
    dtype,
    ...(work.packing ? { packing: work.packing } : {}),
    grid: { lat: [...archive.grid.lat], lon: [...archive.grid.lon] },
    calendar: archive.times[0]!.calendar,
    stepHours: plan.stepHours,
    splits: { train: train!, ...(val ? { val } : {}), ...(test ? { test } : {}) },
    ...described,
    climatology: { base: "climatology", sums: false },
    ...(filled ? { filled: { by: nanFill, ...(nanFill === "mean" ? { values: described.mean } : {}) } } : {}),
    synthetic: archive.synthetic,
    source: sourceOf(archive),
    notes: [
      ...archive.notes,
      ...plan.notes,
      ...work.notes,
      ...(statistics === "climax" ? [climaxNote] : []),
      ...fields.flatMap((field, i) =>
        rainNote(field).concat(notesOn(field, tallies[i]!, nanFill, tallies[i]!.moments.mean)),
      ),
    ],
    provenance: { ...provenance, files: [...provenance.files], created: new Date().toISOString(), recipe },
    checksums,
  };
}

const rainNote = (field: SetField): string[] => {
  const meaning = rainMeaning(field);
  return meaning === undefined ? [] : [`${field.name}: ${meaning}`];
};
