/** What is kept of a forecast file while it is closed. */
import type { CfTime } from "../data/time.ts";
import { type Grid, sameGrid } from "../grid/grid.ts";
import type { ForecastFile, Presence } from "./forecastfile.ts";

export interface FileFacts
  extends Pick<ForecastFile, "path" | "system" | "grid" | "synthetic" | "averageHours" | "region" | "made"> {
  readonly initial: readonly CfTime[];
  readonly leads: readonly number[];
  readonly notes: readonly string[];
  readonly fields: ReadonlyMap<string, { readonly units: string; readonly members: number }>;
  /** Fields that have the same forecasts, together. */
  readonly groups: readonly {
    readonly variables: readonly string[];
    has(initialIndex: number, leadIndex: number): boolean;
  }[];
}

/** Takes the facts from files, sharing what is the same in thousands of them. */
export function factsTaker(): (file: ForecastFile) => FileFacts {
  const grids: Grid[] = [];
  return (file) => {
    // Equal to the last bit, so that nothing depends on the order of the files.
    let grid = grids.find((known) => sameGrid(known, file.grid, 0));
    if (!grid) grids.push((grid = file.grid));
    const together = new Map<Presence, string[]>();
    for (const [name, { presence }] of file.fields) {
      together.set(presence, [...(together.get(presence) ?? []), name]);
    }
    const { path, system, synthetic, averageHours, region, made, initial, leads, notes } = file;
    return {
      ...{ path, system, synthetic, averageHours, region, made, grid },
      ...{ initial, leads, notes },
      fields: new Map([...file.fields].map(([name, { units, members }]) => [name, { units, members }])),
      groups: [...together].map(([{ has }, variables]) => {
        const table = initial.map((_, i) => leads.map((_, j) => has(i, j)));
        const whole = table.every((row) => row.every((there) => there));
        // Apart from the file's own, which hold on to the open file.
        return { variables, has: whole ? () => true : (i: number, j: number) => table[i]![j]! };
      }),
    };
  };
}
