/** Climatologies of a prepared set for scores, which go through one variable after the other. */
import { type ClimatologyKind, makeClimatologyAnew, type SeasonalClimatology } from "../sets/climatology.ts";
import type { PreparedSet } from "../sets/prepared.ts";
import type { FieldAt } from "./truth.ts";

/** Variables whose climatologies are kept: the two components of a wind are scored together. */
const kept = 2;

/**
 * The usual states of a set's training period by kind and variable. They are made when first asked for a time, for they
 * are large (by day of the year at 1.40625 degrees, 6-hourly: 190 MB), and those of the last two variables are kept.
 */
export function seasonalFields(set: PreparedSet): (kind: ClimatologyKind, name: string) => FieldAt {
  const byKind = new Map<ClimatologyKind, Map<string, Promise<SeasonalClimatology>>>();
  return (kind, name) => async (validTime) => {
    let made = byKind.get(kind);
    if (!made) byKind.set(kind, (made = new Map()));
    let climatology = made.get(name);
    if (!climatology) {
      if (made.size >= kept) made.delete(made.keys().next().value!);
      made.set(name, (climatology = makeClimatologyAnew(set, kind, name)));
    }
    return (await climatology).field(validTime);
  };
}
