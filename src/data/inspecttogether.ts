// How several files join as one archive: variables, times that all of them have, and what is left out.

import { ClimaxError } from "../errors.ts";
import { describeGrid } from "../grid/grid.ts";
import { type ArchiveOptions, openArchive } from "./archive.ts";
import { choosePeriods, quoted } from "./inspectadvice.ts";
import type { Inspection, Refused, Together } from "./inspectschema.ts";
import { describeTimes } from "./inspecttimes.ts";

/** @param files  as inspected one by one; at least two */
export async function inspectTogether(
  files: readonly Inspection[],
  given: readonly string[],
  options: ArchiveOptions = {},
): Promise<Together | Omit<Refused, "path">> {
  const paths = files.map(({ path }) => path);
  try {
    const archive = await openArchive(paths, options);
    try {
      const { times, grid, variables, notes } = archive;
      const regridFirst = files.find(({ next }) => !next.usable);
      const gaps = files.some((file) => file.variables.some(({ values }) => values && values.missing > 0));
      const periods = choosePeriods(times);
      const names = given.map(quoted).join(" ");
      const prepare = (from: string) =>
        `climax prepare ${from} ${periods ?? "--train A..B"}${gaps ? " --nan-fill mean" : ""} -o set`;
      return {
        files: paths.length,
        variables: [...variables.keys()],
        grid: describeGrid(grid),
        times: times.length > 0 ? describeTimes(times) : null,
        notes,
        next: regridFirst
          ? {
              usable: false,
              why: regridFirst.next.why,
              commands: [
                (regridFirst.next.commands[0] ?? "")
                  .replace(quoted(regridFirst.path), names)
                  .replace(/-o \S+$/, "-o regridded"),
                prepare("regridded/*.nc"),
              ],
            }
          : { usable: true, why: "they lie on one grid", commands: [prepare(names)] },
      };
    } finally {
      await archive.close();
    }
  } catch (error) {
    if (!(error instanceof ClimaxError)) throw error;
    return { why: error.message, mend: error.hint };
  }
}
