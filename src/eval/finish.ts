/** From a run to its scores: the document that all outputs show, and the maps that go with it. */
import { unknownName } from "../errors.ts";
import { describeGrid } from "../grid/grid.ts";
import { isBaseline } from "../scores/baselinenames.ts";
import type { BootstrapOptions } from "../scores/confidence.ts";
import { definition } from "../scores/definitions.ts";
import { reduce, type Season } from "../scores/reduce.ts";
import { type NamedCells, regionCells } from "../scores/regioncells.ts";
import type { Provenance, ReportRow, Scores } from "../scores/scoredocument.ts";
import type { Run } from "./run.ts";

export interface FinishOptions {
  readonly seasons: readonly Season[];
  /** What differences are taken from; undefined: a climatology, else persistence, else the last system. */
  readonly versus: string | undefined;
  /** undefined: no confidence limits. */
  readonly bootstrap: BootstrapOptions | undefined;
  /** The published rows to show beside these measured ones. */
  readonly published: (measured: readonly ReportRow[]) => readonly ReportRow[];
  readonly provenance: Omit<Provenance, "files">;
}

/**
 * Makes the scores of a run.
 *
 * @throws ClimaxError "config" for a `versus` that was not scored
 */
export function finish({ facts, statistics, notes }: Run, options: FinishOptions): Scores {
  const by = definition(facts.definition);
  const versus = chooseVersus(statistics.systems, options.versus);
  const reduced = reduce(statistics, {
    definition: by,
    members: new Map(facts.systems.map(({ name, members }) => [name, members])),
    units: new Map(Object.entries(facts.units)),
    regions: cellsOf(facts, statistics.grid),
    seasons: options.seasons,
    versus,
    bootstrap: options.bootstrap,
    synthetic: facts.synthetic,
  });
  return {
    document: {
      format: "climax-scores",
      version: 2,
      bench: facts.bench,
      definition: { name: by.name, description: by.description, source: by.source },
      anomalies: facts.anomalies,
      climatology: facts.climatology,
      average_hours: facts.averageHours,
      initial_times: facts.initialTimes,
      valid_times: facts.validTimes,
      grid: describeGrid(statistics.grid),
      systems: facts.systems,
      truth: facts.truth,
      versus: versus ?? null,
      intervals: reduced.intervals,
      synthetic: facts.synthetic,
      notes: [...notes, ...unscored(reduced.rows), ...flawless(reduced.rows), ...reduced.notes],
      provenance: { ...options.provenance, files: facts.files },
      rows: [...reduced.rows, ...options.published(reduced.rows)],
      differences: reduced.differences,
      profiles: reduced.profiles,
    },
    maps: reduced.maps,
  };
}

/** Variables without one forecast that counts, in words. */
function unscored(rows: readonly ReportRow[]): string[] {
  const counted = new Map<string, Map<string, boolean>>();
  for (const { variable, region, samples } of rows) {
    const regions = counted.get(variable) ?? new Map<string, boolean>();
    counted.set(variable, regions.set(region, (regions.get(region) ?? false) || samples !== 0));
  }
  return [...counted].flatMap(([variable, regions]) => {
    const without = [...regions].flatMap(([region, any]) => (any ? [] : [region]));
    if (without.length === 0) return [];
    const where = without.length < regions.size ? ` in ${without.join(", ")}` : "";
    return [`no scores of ${variable}${where}: no cell has a value in the truth and in the forecasts`];
  });
}

/** Systems without any error, in words: a truth that was given as its own forecast looks so. */
function flawless(rows: readonly ReportRow[]): string[] {
  const errors = new Map<string, boolean>();
  for (const { system, metric, variable, value } of rows) {
    if (isBaseline(system) || !["rmse", "mae", "mse"].includes(metric)) continue;
    const key = `${variable} of ${system}`;
    errors.set(key, (errors.get(key) ?? true) && value === 0);
  }
  return [...errors]
    .filter(([, none]) => none)
    .map(([what]) => `${what} is the truth itself to the last digit: was the truth given as the forecast?`);
}

/** The regions of a run as cells, under the names of its statistics. */
export function cellsOf(
  { definition: by, regions, whole, land }: Pick<Run["facts"], "definition" | "regions" | "whole" | "land">,
  grid: Run["statistics"]["grid"],
): NamedCells[] {
  return regionCells(regions, grid, definition(by), land ? Float64Array.from(land) : undefined).map(
    (region) => (region.name === "global" ? { ...region, name: whole } : region),
  );
}

/** A climatology is the usual zero of a skill; persistence where there is none. */
function chooseVersus(systems: readonly string[], asked: string | undefined): string | undefined {
  if (asked !== undefined) return systems.includes(asked) ? asked : unknownName("system", asked, systems);
  const baselines = ["climatology-dayofyear", "climatology-weekly", "climatology", "persistence"];
  const baseline = baselines.find((name) => systems.includes(name));
  if (baseline !== undefined) return baseline;
  const forecasts = systems.filter((name) => !isBaseline(name));
  return forecasts.length > 1 ? forecasts.at(-1) : undefined;
}
