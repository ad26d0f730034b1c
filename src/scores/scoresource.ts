/** What the score of one system is made of: numbers of each forecast, or sums over all of them. */
import type { Additive } from "./bootstrap.ts";
import type { Cells, DerivedMetric, Metric } from "./metric.ts";
import type { CellSums, LeadStatistics, Series } from "./statistics.ts";

/** Of numbers for each forecast: it can be had of some forecasts only, and resampled. */
export interface SeriesSource {
  readonly kind: "series";
  /** One, or those of the parts of a derived score. */
  readonly series: readonly Series[];
  /** From the sums of the series, one after the other. */
  score(sums: Float64Array): number;
}

/** Of sums over all forecasts. */
export interface WholeSource {
  readonly kind: "whole";
  /** NaN where it has none. */
  readonly value: number;
  readonly samples: number;
}

export type ScoreSource = SeriesSource | WholeSource;

/** Where scores come from: one system, variable, lead and region. */
export interface Place {
  readonly lead: LeadStatistics;
  readonly system: string;
  readonly region: string;
  readonly cells: Cells;
  /** The metrics of that system and variable. */
  metric(name: string): Metric;
}

/** The source of a score; undefined where nothing was kept of that system for it, and for a curve. */
export function scoreSource(name: string, place: Place): ScoreSource | undefined {
  const { lead, system, region, cells } = place;
  const metric = place.metric(name);
  switch (metric.kind) {
    case "series": {
      const own = lead.series.find((s) => s.system === system && s.metric === name && s.region === region);
      return own && { kind: "series", series: [own], score: (sums) => metric.score(sums) };
    }
    case "cells": {
      const own = lead.cells.find((sums) => sums.system === system && sums.metric === name);
      if (own === undefined) return undefined;
      return {
        kind: "whole",
        value: metric.score(cellSums(own), cells, own.forecasts),
        samples: own.forecasts,
      };
    }
    case "derived":
      return derivedSource(metric, place);
    case "profile":
      return undefined;
  }
}

function derivedSource(metric: DerivedMetric, place: Place): ScoreSource | undefined {
  const parts: ScoreSource[] = [];
  for (const name of metric.from) {
    const part = scoreSource(name, place);
    if (part === undefined) return undefined;
    parts.push(part);
  }
  if (parts.every((part) => part.kind === "series")) {
    const sizes = parts.map(({ series }) => series.reduce((sum, { size }) => sum + size, 0));
    const ends = sizes.map((_, p) => sizes.slice(0, p + 1).reduce((a, b) => a + b, 0));
    return {
      kind: "series",
      series: parts.flatMap(({ series }) => series),
      score: (sums) =>
        metric.score(parts.map((part, p) => part.score(sums.subarray(ends[p]! - sizes[p]!, ends[p])))),
    };
  }
  const whole = parts.map((part) => (part.kind === "whole" ? part : wholeOf(part, place.lead)));
  return {
    kind: "whole",
    value: metric.score(whole.map(({ value }) => value)),
    samples: Math.min(...whole.map(({ samples }) => samples)),
  };
}

function wholeOf(source: SeriesSource, { valid }: LeadStatistics): WholeSource {
  const steps = countingSteps(
    source,
    valid.map((_, step) => step),
  );
  const { columns } = additive(source, steps);
  const sums = Float64Array.from(columns, (column) => column.reduce((sum, value) => sum + value, 0));
  return { kind: "whole", value: source.score(sums), samples: steps.length };
}

/** Those of the forecasts `steps` that count in every series: a row of NaN does not. */
export function countingSteps({ series }: SeriesSource, steps: readonly number[]): number[] {
  return steps.filter((step) =>
    series.every(({ values, size }) => {
      for (let c = 0; c < size; c++) if (!Number.isNaN(values[step * size + c]!)) return true;
      return false;
    }),
  );
}

/** The numbers of these forecasts. */
export function additive({ series, score }: SeriesSource, steps: readonly number[]): Additive {
  const columns = series.flatMap(({ values, size }) =>
    Array.from({ length: size }, (_, c) => Float64Array.from(steps, (step) => values[step * size + c]!)),
  );
  return { columns, score };
}

/** Sums over forecasts, [size] times [H * W]. */
export function cellSums({ sums, rest, size }: CellSums): Float64Array[] {
  const cells = sums.length / size;
  return Array.from({ length: size }, (_, c) =>
    sums.slice(c * cells, (c + 1) * cells).map((sum, i) => sum + rest[c * cells + i]!),
  );
}
