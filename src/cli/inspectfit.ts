/** Whether fields that are inspected beside a checkpoint are what it wants: its inputs, its grid. */
import { z } from "zod";
import type { InspectedSet, Inspection } from "../data/inspectschema.ts";
import type { InspectedWeights } from "../weights/weightsschema.ts";
import { table } from "./table.ts";

export const fitSchema = z.strictObject({
  checkpoint: z.string(),
  data: z.string().describe("the file or prepared set"),
  inputs: z.int().nonnegative().describe("how many variables enter the network"),
  lacks: z.array(z.string()).describe("those of them that the data do not have"),
  sameGrid: z.boolean().nullable().describe("by number of points and spacing; null: one of the two has none"),
  dataGrid: z.string().nullable(),
  fits: z.boolean(),
});
export type Fit = z.output<typeof fitSchema>;

/** Fields by ClimaX's names, and their grid. */
interface Fields {
  readonly path: string;
  readonly names: ReadonlySet<string>;
  readonly grid: string | undefined;
}

/** Each checkpoint that names its variables beside each file and set that has any. */
export function fitsOf(
  checkpoints: readonly InspectedWeights[],
  files: readonly Inspection[],
  sets: readonly InspectedSet[],
): Fit[] {
  const data: Fields[] = [
    ...files.map(({ path, variables, grids }) => ({
      path,
      names: new Set(
        variables.flatMap(({ climax, levels }) =>
          levels.length === 0 ? [climax] : levels.map((level) => `${climax}_${level}`),
        ),
      ),
      grid: grids.find(({ kind }) => kind !== "none")?.description,
    })),
    ...sets.map(({ path, variables, grid }) => ({
      path,
      names: new Set(variables.map(({ name }) => name)),
      grid,
    })),
  ];
  return checkpoints.flatMap((checkpoint) => {
    const inputs = checkpoint.variables.filter(({ input }) => input).map(({ name }) => name);
    if (inputs.length === 0) return [];
    return data.flatMap(({ path, names, grid }) => {
      if (names.size === 0) return [];
      const lacks = inputs.filter((name) => !names.has(name));
      const sameGrid = grid === undefined || checkpoint.grid === null ? null : grid === checkpoint.grid;
      return {
        checkpoint: checkpoint.path,
        data: path,
        inputs: inputs.length,
        lacks,
        sameGrid,
        dataGrid: grid ?? null,
        fits: lacks.length === 0 && sameGrid === true,
      };
    });
  });
}

/** A line or two for each pair. */
export function fitsText(fits: readonly Fit[], checkpoints: readonly InspectedWeights[]): string {
  const lines = fits.map(({ checkpoint, data, inputs, lacks, sameGrid, dataGrid, fits: all }) => {
    const grid = checkpoints.find(({ path }) => path === checkpoint)?.grid;
    const has =
      lacks.length === 0
        ? `has all ${inputs} inputs`
        : `has ${inputs - lacks.length} of ${inputs} inputs, not ${listed(lacks)}`;
    const place =
      sameGrid === null
        ? "no grid to compare"
        : sameGrid
          ? "on its grid"
          : `on another grid, ${dataGrid}; wanted ${grid}: climax regrid`;
    const whose = checkpoints.length > 1 ? ` for ${checkpoint}` : "";
    return [`  ${data}${whose}`, `${all ? "fits: " : ""}${has}; ${place}`];
  });
  return lines.length > 0 ? `Do the fields fit the checkpoint?\n${table(lines, { header: false })}` : "";
}

function listed(names: readonly string[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : "";
  return `${names.slice(0, 5).join(", ")}${more}`;
}
