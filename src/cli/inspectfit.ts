/** Whether fields that are inspected beside a checkpoint are what it wants: its inputs, its grid. */
import { z } from "zod";
import { planDerivations } from "../data/derived.ts";
import type { InspectedSet, Inspection } from "../data/inspectschema.ts";
import { fieldName, knownName } from "../data/variables.ts";
import { listed } from "../errors.ts";
import type { InspectedWeights } from "../weights/weightsschema.ts";
import { table } from "./table.ts";

export const fitSchema = z.strictObject({
  checkpoint: z.string(),
  data: z.string().describe("the file or prepared set"),
  inputs: z.int().nonnegative().describe("how many variables enter the network"),
  derived: z.array(z.string()).describe("those of them that climax makes from others that the file has"),
  lacks: z.array(z.string()).describe("those of them that the data do not have"),
  sameGrid: z
    .boolean()
    .nullable()
    .describe(
      "by number of points and spacing; null: not compared, as of a region, or of what is interpolated",
    ),
  dataGrid: z.string().nullable(),
  fits: z.boolean(),
});
export type Fit = z.output<typeof fitSchema>;

/** Fields by ClimaX's names, and their grid. */
interface Fields {
  readonly path: string;
  readonly names: ReadonlySet<string>;
  readonly grid: string | undefined;
  /** A prepared set has what it has; of files forecast derives what it can. */
  readonly derives: boolean;
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
      derives: true,
    })),
    ...sets.map(({ path, variables, grid }) => ({
      ...{ path, grid, derives: false },
      names: new Set(variables.map(({ name }) => name)),
    })),
  ];
  return checkpoints.flatMap((checkpoint) =>
    data.filter(({ names }) => names.size > 0).flatMap((fields) => fitOf(checkpoint, fields) ?? []),
  );
}

function fitOf(checkpoint: InspectedWeights, { path, names, grid, derives }: Fields): Fit | undefined {
  const inputs = checkpoint.variables.filter(({ input }) => input).map(({ name }) => name);
  if (inputs.length === 0) return undefined;
  const absent = inputs.filter((name) => !names.has(name));
  const asked = derives ? absent.flatMap((name) => knownName(name) ?? []) : [];
  const derived = planDerivations(asked, names).map(({ info, level }) => fieldName(info, level));
  const lacks = absent.filter((name) => !derived.includes(name));
  const compared = checkpoint.region === null && !checkpoint.task?.startsWith("downscaling");
  const sameGrid =
    grid === undefined || checkpoint.grid === null || !compared ? null : grid === checkpoint.grid;
  return {
    ...{ checkpoint: checkpoint.path, data: path, inputs: inputs.length, derived, lacks, sameGrid },
    dataGrid: grid ?? null,
    fits: lacks.length === 0 && sameGrid === true,
  };
}

/** A row for each pair. */
export function fitsText(fits: readonly Fit[], checkpoints: readonly InspectedWeights[]): string {
  const rows = fits.map((fit) => {
    const { checkpoint, data, inputs, derived, lacks, fits: all } = fit;
    const made = derived.length > 0 ? `, ${derived.length} of them derived (${listed(derived, 5)})` : "";
    const has =
      lacks.length === 0
        ? `has all ${inputs} inputs${made}`
        : `has ${inputs - lacks.length} of ${inputs} inputs${made}, not ${listed(lacks, 5)}`;
    const whose = checkpoints.length > 1 ? ` for ${checkpoint}` : "";
    const about = checkpoints.find(({ path }) => path === checkpoint)!;
    return [`  ${data}${whose}`, `${all ? "fits: " : ""}${has}; ${placeText(fit, about)}`];
  });
  return `Do the fields fit the checkpoint?\n${table(rows, { header: false })}`;
}

function placeText({ sameGrid, dataGrid }: Fit, { grid, region }: InspectedWeights): string {
  if (sameGrid === true) return "on its grid";
  if (sameGrid === false) return `on another grid, ${dataGrid}; wanted ${grid}: climax regrid`;
  if (dataGrid === null) return "without a grid";
  return region === null
    ? `on ${dataGrid}`
    : `on ${dataGrid}, from which ${region} is cut if its points are there`;
}
