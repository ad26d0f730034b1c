/** Measures tiny files, for tests. */
import type { Climatology } from "../../src/eval/climatologysource.ts";
import { type MeasureOptions, measure } from "../../src/eval/measure.ts";
import { findSamples } from "../../src/eval/samples.ts";
import { openSystems } from "../../src/eval/systems.ts";
import { openTruth } from "../../src/eval/truth.ts";
import type { BaselineName } from "../../src/scores/baselinenames.ts";
import { definition } from "../../src/scores/definitions.ts";
import { regionCells } from "../../src/scores/regioncells.ts";
import type { Statistics } from "../../src/scores/statistics.ts";

export interface Asked
  extends Partial<Omit<MeasureOptions, "systems" | "truth" | "samples" | "definition" | "regions">> {
  truth: string;
  forecasts: readonly string[];
  names?: readonly string[];
  variables?: readonly string[];
  regions?: readonly string[];
  definition?: string;
}

export interface Measured {
  statistics: Statistics;
  /** What was warned. */
  said: string[];
}

/** Opens, measures with all that was asked, and closes. */
export async function measureFiles(asked: Asked): Promise<Measured> {
  const { forecasts, names, variables = ["2m_temperature"], regions = ["global"], ...options } = asked;
  const truth = await openTruth([asked.truth]);
  const files = await openSystems(forecasts, names);
  const by = definition(asked.definition ?? "climax");
  const baselines = asked.baselines ?? [];
  const said: string[] = [];
  try {
    const samples = findSamples({
      ...{ systems: files.systems, truth, variables, leads: undefined, baselines },
      missing: "error",
    });
    const statistics = await measure({
      metrics: ["rmse"],
      climatologies: new Map(),
      anomalies: undefined,
      gaps: "error",
      doubts: "error",
      maps: false,
      warn: (text) => said.push(text),
      ...options,
      ...{ systems: files.systems, truth, samples, definition: by, baselines },
      regions: regionCells(regions, truth.grid, by),
    });
    return { statistics, said };
  } finally {
    await files.close();
    await truth.close();
  }
}

/** The same state for every time. */
export const alwaysThe = (state: readonly number[], label = "the usual"): Climatology => {
  const field = Float64Array.from(state);
  return { label, field: async (name) => (name === "2m_temperature" ? () => field : undefined) };
};

export const climatologyOf = (state: readonly number[]) =>
  new Map<BaselineName, Climatology>([["climatology", alwaysThe(state)]]);

/** Rows [forecasts][size] of a series. */
export function rowsOf(
  { leads }: Statistics,
  of: { system: string; metric: string; region?: string; lead?: number; variable?: string },
): number[][] | undefined {
  const { system, metric, region = "global", lead = 24, variable = "2m_temperature" } = of;
  const series = leads
    .find((one) => one.leadHours === lead && one.variable === variable)
    ?.series.find((one) => one.system === system && one.metric === metric && one.region === region);
  if (!series) return undefined;
  const { size, values } = series;
  return Array.from({ length: values.length / size }, (_, i) => [...values.slice(i * size, (i + 1) * size)]);
}
