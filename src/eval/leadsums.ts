/** The statistics of one variable and lead while they grow: a row for each forecast, and sums over all of them. */
import type { CfTime } from "../data/time.ts";
import type { Grid } from "../grid/grid.ts";
import { addTo, settle } from "../scores/compensated.ts";
import type { CellMetric, FieldPair, Metric, Need, ProfileMetric, SeriesMetric } from "../scores/metric.ts";
import type { NamedCells } from "../scores/regioncells.ts";
import {
  type CellSums,
  type LeadStatistics,
  mapSums,
  type ProfileSums,
  type Series,
} from "../scores/statistics.ts";

/** A system or baseline with its metrics. */
export interface MeasuredSystem {
  readonly name: string;
  readonly metrics: readonly {
    readonly name: string;
    readonly needs: readonly Need[];
    readonly metric: Metric;
  }[];
}

export interface LeadSumsOptions {
  /** ClimaX name. */
  readonly variable: string;
  /** Hours. */
  readonly lead: number;
  /** At most so many will come. */
  readonly forecasts: number;
  readonly grid: Grid;
  readonly regions: readonly NamedCells[];
  readonly maps: boolean;
  readonly systems: readonly MeasuredSystem[];
}

interface OfSeries {
  /** Whether it reads both components of a wind. */
  readonly wind: boolean;
  readonly measure: SeriesMetric["measure"];
  readonly region: NamedCells;
  readonly series: Series;
}
interface OfCells {
  /** Whether it reads both components of a wind. */
  readonly wind: boolean;
  readonly measure: CellMetric["measure"];
  readonly sums: Growing<CellSums>;
}
interface OfProfile {
  /** Whether it reads both components of a wind. */
  readonly wind: boolean;
  readonly measure: ProfileMetric["measure"];
  readonly region: NamedCells;
  readonly sums: Growing<ProfileSums>;
}
type Growing<T extends { forecasts: number }> = Omit<T, "forecasts"> & { forecasts: number };

/** What the sums for the maps of one system, variable and lead take. */
export const bytesOfMap = ({ lat, lon }: Grid): number =>
  2 * mapFields * lat.length * lon.length * Float64Array.BYTES_PER_ELEMENT;

/** Error, squared error, count. */
const mapFields = 3;

/** By system. */
interface Board {
  readonly series: OfSeries[];
  readonly cells: OfCells[];
  readonly profiles: OfProfile[];
  readonly maps: Growing<CellSums> | undefined;
}

/** Grows by one forecast at a time, each with all systems. Memory: a row for each forecast, and fields of sums. */
export class LeadSums {
  readonly #options: LeadSumsOptions;
  readonly #boards: ReadonlyMap<string, Board>;
  readonly #initial: CfTime[] = [];
  readonly #valid: CfTime[] = [];

  constructor(options: LeadSumsOptions) {
    this.#options = options;
    this.#boards = new Map(options.systems.map((system) => [system.name, boardOf(system, options)]));
  }

  /**
   * Adds a forecast.
   *
   * @param pairOf a system's forecast with its truth, and that of a wind with its v where one is known
   */
  add(
    initial: CfTime,
    valid: CfTime,
    pairOf: (system: string) => { readonly own: FieldPair; readonly joint: FieldPair | undefined },
  ): void {
    const row = this.#initial.length;
    this.#initial.push(initial);
    this.#valid.push(valid);
    for (const [system, board] of this.#boards) {
      const { own, joint } = pairOf(system);
      for (const { wind, measure, region, series } of board.series) {
        const pair = wind ? joint : own;
        const measured = pair && measure(pair, region.cells);
        const { size, values } = series;
        for (let k = 0; k < size; k++) values[row * size + k] = measured ? measured[k]! : Number.NaN;
      }
      for (const { wind, measure, region, sums } of board.profiles) {
        const pair = wind ? joint : own;
        const measured = pair && measure(pair, region.cells);
        if (!measured) continue;
        addTo(sums.sums, sums.rest, measured);
        sums.forecasts++;
      }
      for (const { wind, measure, sums } of board.cells) {
        const pair = wind ? joint : own;
        if (!pair || !isKnown(pair.truth)) continue;
        const cells = pair.truth.length;
        const added = scratch(sums.size * cells);
        measure(
          pair,
          Array.from({ length: sums.size }, (_, k) => added.subarray(k * cells, (k + 1) * cells)),
        );
        addTo(sums.sums, sums.rest, added);
        sums.forecasts++;
      }
      if (board.maps && isKnown(own.truth)) {
        addErrors(board.maps, own);
        board.maps.forecasts++;
      }
    }
  }

  /** The statistics of all forecasts that were added; none may be added after. */
  statistics(): LeadStatistics {
    const boards = [...this.#boards.values()];
    const rows = this.#initial.length;
    const cells = boards.flatMap(({ cells, maps }) => [
      ...cells.map(({ sums }) => sums),
      ...(maps ? [maps] : []),
    ]);
    const profiles = boards.flatMap(({ profiles }) => profiles.map(({ sums }) => sums));
    for (const { sums, rest } of [...cells, ...profiles]) settle(sums, rest);
    return {
      variable: this.#options.variable,
      leadHours: this.#options.lead,
      initial: this.#initial,
      valid: this.#valid,
      series: boards.flatMap(({ series }) =>
        series.map(({ series: one }) => {
          const used = rows * one.size;
          return used === one.values.length ? one : { ...one, values: one.values.slice(0, used) };
        }),
      ),
      cells,
      profiles,
    };
  }
}

function boardOf({ name: system, metrics }: MeasuredSystem, options: LeadSumsOptions): Board {
  const { grid, regions, forecasts } = options;
  const cells = grid.lat.length * grid.lon.length;
  const cellSums = (metric: string, size: number): Growing<CellSums> => ({
    ...{ system, metric, size, forecasts: 0 },
    ...{ sums: new Float64Array(size * cells), rest: new Float64Array(size * cells) },
  });
  const board: Board = {
    series: [],
    cells: [],
    profiles: [],
    maps: options.maps ? cellSums(mapSums, mapFields) : undefined,
  };
  for (const { name, needs, metric } of metrics) {
    if (metric.kind === "derived") continue;
    const wind = needs.includes("other");
    if (metric.kind === "cells") {
      board.cells.push({
        wind,
        measure: (pair, into) => metric.measure(pair, into),
        sums: cellSums(name, metric.size),
      });
      continue;
    }
    for (const region of regions) {
      const { size } = metric;
      const of = { system, metric: name, region: region.name, size };
      const common = {
        wind,
        region,
        measure: (pair: FieldPair, of: NamedCells["cells"]) => metric.measure(pair, of),
      };
      if (metric.kind === "series") {
        board.series.push({
          ...common,
          series: { ...of, values: new Float64Array(size * forecasts) },
        });
      } else {
        board.profiles.push({
          ...common,
          sums: { ...of, forecasts: 0, sums: new Float64Array(size), rest: new Float64Array(size) },
        });
      }
    }
  }
  return board;
}

/** Room for what one forecast adds to the sums of cells, all zero; the same again for every forecast. */
let room = new Float64Array(0);
function scratch(length: number): Float64Array {
  if (room.length < length) room = new Float64Array(length);
  return room.subarray(0, length).fill(0);
}

function isKnown(truth: FieldPair["truth"]): boolean {
  for (let i = 0; i < truth.length; i++) if (!Number.isNaN(truth[i]!)) return true;
  return false;
}

/** Adds error, squared error and 1 to the sums of each cell whose truth is known. */
function addErrors({ sums, rest }: Growing<CellSums>, { forecast, truth }: FieldPair): void {
  const n = truth.length;
  for (let i = 0; i < n; i++) {
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    // Two-sum, as in compensated.ts: a call for each cell would cost more than the sums.
    const error = forecast[i]! - y;
    const before = sums[i]!;
    const after = before + error;
    const taken = after - before;
    sums[i] = after;
    rest[i]! += before - (after - taken) + (error - taken);
    const squared = error * error;
    const k = n + i;
    const before2 = sums[k]!;
    const after2 = before2 + squared;
    const taken2 = after2 - before2;
    sums[k] = after2;
    rest[k]! += before2 - (after2 - taken2) + (squared - taken2);
    sums[n + k]!++;
  }
}
