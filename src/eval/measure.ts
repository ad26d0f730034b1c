/** The measuring itself: every system and baseline on exactly the same times and cells, one forecast at a time. */
import type { Share } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import type { BaselineName } from "../scores/baselinenames.ts";
import type { Definition } from "../scores/definitions.ts";
import type { FieldPair } from "../scores/metric.ts";
import type { NamedCells } from "../scores/regioncells.ts";
import type { LeadStatistics, Statistics } from "../scores/statistics.ts";
import type { Climatology } from "./climatologysource.ts";
import type { DoubtPolicy } from "./doubts.ts";
import { GapLedger, type GapPolicy } from "./gaps.ts";
import { bytesOfMap, LeadSums } from "./leadsums.ts";
import { plan, type VariablePlan } from "./measureplan.ts";
import type { Samples } from "./samples.ts";
import { StateReader, type States } from "./states.ts";
import type { ForecastSystem } from "./systems.ts";
import type { Truth } from "./truth.ts";
import { cacheTruth } from "./truthcache.ts";
import type { SeepsClimate, Terciles } from "./usual.ts";

export interface MeasureOptions {
  readonly systems: readonly ForecastSystem[];
  readonly truth: Truth;
  readonly samples: Samples;
  readonly definition: Definition;
  /** By the names of the table of metrics. */
  readonly metrics: readonly string[];
  readonly baselines: readonly BaselineName[];
  /** Of the climatology baselines; one that is not here is not scored. */
  readonly climatologies: ReadonlyMap<BaselineName, Climatology>;
  /** What anomalies are taken from; wanted by metrics of anomalies. */
  readonly anomalies: Climatology | undefined;
  readonly seeps?: SeepsClimate | undefined;
  readonly terciles?: Terciles | undefined;
  /** Whether the first member of each ensemble is scored as a system of its own, "NAME control". */
  readonly control?: boolean;
  readonly regions: readonly NamedCells[];
  /** Only every so-manieth initial time. */
  readonly share?: Share | undefined;
  /** What to do with a forecast that is missing or not finite where the truth is known. */
  readonly gaps: GapPolicy;
  /** What to do with forecasts in other units, at other times, or turned round. */
  readonly doubts: DoubtPolicy;
  /** Whether sums for maps of error are kept. */
  readonly maps: boolean;
  readonly onProgress?: (done: number, total: number) => void;
  readonly warn?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Takes the statistics of systems and baselines. Memory holds a few fields and the statistics, whatever the number of
 * forecasts. What a score is derived from is measured as well.
 *
 * @throws ClimaxError "config" for a metric that wants what was not given; "data" for a forecast that is not finite
 *         where the truth is known, or doubtful, unless asked otherwise
 */
export async function measure(options: MeasureOptions): Promise<Statistics> {
  const { regions, samples, systems, share } = options;
  const truth = cacheTruth(options.truth);
  const warn = options.warn ?? (() => undefined);
  const ledger = new GapLedger();
  const plans = await plan({ ...options, truth, warn });
  const total = plans.reduce((sum, { samples }) => sum + samples.length, 0);
  const progress = { done: 0, total };
  const maps = options.maps && mapsFit(plans, options.truth, warn);
  const leads: LeadStatistics[] = [];
  for (const one of plans) {
    leads.push(...(await measureVariable(one, { ...options, truth, warn, maps }, ledger, progress)));
    truth.forget();
  }
  if (options.gaps !== "error") for (const text of ledger.sentences(options.gaps)) warn(text);
  if (total > 0 && share === undefined && leads.every(({ initial }) => initial.length === 0)) {
    const count = samples.byVariable.reduce((sum, { samples }) => sum + samples.length, 0);
    throw new ClimaxError(
      "data",
      `all ${count} forecasts of ${systems.map(({ name }) => name).join(", ")} have gaps, and none is left to score`,
      "score the cells without gaps with --gaps mask, or repair the files",
    );
  }
  return {
    grid: options.truth.grid,
    systems: tableOrder(options, plans),
    metrics: options.metrics,
    regions: regions.map(({ name }) => name),
    leads,
  };
}

/** Bytes that the sums for maps may take: fine grids times systems, variables and leads grow beyond any memory. */
const largestMaps = 2 ** 30;

function mapsFit(plans: readonly VariablePlan[], { grid }: Truth, warn: (text: string) => void): boolean {
  const fields = plans.reduce((sum, { leads, names }) => sum + leads.length * names.length, 0);
  const bytes = fields * bytesOfMap(grid);
  if (bytes <= largestMaps) return true;
  warn(
    `no maps of error: those of ${fields} systems, variables and leads would take ${(bytes / 2 ** 30).toFixed(1)} GiB of memory; ` +
      "choose fewer with --variables or --leads to have them",
  );
  return false;
}

/** Systems and baselines as in the tables; a variable may be without one of them. */
function tableOrder({ baselines }: MeasureOptions, plans: readonly VariablePlan[]): string[] {
  const names = new Set(plans.flatMap(({ names }) => names.map(({ name }) => name)));
  const last = (name: string) => (baselines as readonly string[]).indexOf(name);
  return [...names].toSorted((a, b) => last(a) - last(b));
}

type Reading = MeasureOptions & { readonly warn: (text: string) => void };

async function measureVariable(
  { variable, leads, samples, names, metrics, usual, other, seeps, terciles }: VariablePlan,
  options: Reading,
  ledger: GapLedger,
  progress: { done: number; readonly total: number },
): Promise<LeadStatistics[]> {
  const { truth, definition, regions, maps, onProgress, signal } = options;
  const reader = new StateReader(options, variable, usual, samples, ledger);
  const others =
    other &&
    new StateReader(options, other.variable, other.usual, samples, other.watched ? ledger : undefined);
  const made = names.map(({ name, members }) => ({
    name,
    metrics: metrics.map((metric) => ({
      name: metric.name,
      needs: metric.info.needs,
      metric: metric.info.make({ definition, grid: truth.grid, members, variable }),
    })),
  }));
  const sums = new Map(
    leads.map((lead) => {
      const forecasts = samples.filter(({ leadHours }) => leadHours === lead).length;
      return [
        lead,
        new LeadSums({ variable, lead, forecasts, grid: truth.grid, regions, maps, systems: made }),
      ];
    }),
  );
  for (const sample of samples) {
    signal?.throwIfAborted();
    const states = await reader.read(sample);
    const beside = states && (await others?.read(sample));
    if (states) {
      const valid = truth.times[sample.validSteps[0]!]!;
      const [rain, thirds] = [
        await seeps?.(valid),
        await terciles?.get(sample.leadHours)?.(sample.initial, valid),
      ];
      const joint = beside && jointTruth(states, beside);
      sums.get(sample.leadHours)!.add(sample.initial, valid, (system) => {
        const own: FieldPair = {
          ...states.forecasts.get(system)!,
          truth: states.truth,
          ...(states.climatology && { climatology: states.climatology }),
          ...(rain && { seeps: rain }),
          ...(thirds && { terciles: thirds }),
        };
        if (!joint) return { own, joint };
        const other = { forecast: beside.forecasts.get(system)!.forecast, truth: joint.other };
        return { own, joint: { ...own, truth: joint.truth, other } };
      });
    }
    onProgress?.(++progress.done, progress.total);
  }
  reader.finish();
  others?.finish();
  return leads.map((lead) => sums.get(lead)!.statistics());
}

/** The truth of both components, known where both are. */
function jointTruth({ truth }: States, { truth: other }: States) {
  const both = (field: States["truth"], mask: States["truth"]) =>
    field.map((y, i) => (Number.isNaN(mask[i]!) ? Number.NaN : y));
  return { truth: both(truth, other), other: both(other, truth) };
}
