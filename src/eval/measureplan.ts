/** What is measured of each variable: which metrics, of which systems, and what they are given beside the truth. */
import type { Share } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import type { BaselineName } from "../scores/baselinenames.ts";
import type { MetricInfo, Need } from "../scores/metric.ts";
import { metricInfo } from "../scores/metrics.ts";
import { northward } from "../scores/windvector.ts";
import type { MeasureOptions } from "./measure.ts";
import type { Sample } from "./samples.ts";
import type { UsualFields } from "./states.ts";
import { controlName } from "./systems.ts";
import type { FieldAt } from "./truth.ts";
import type { SeepsAt, TercilesAt } from "./usual.ts";

export interface VariablePlan {
  readonly variable: string;
  /** Hours, ascending: of all shares together. */
  readonly leads: readonly number[];
  /** Of this share. */
  readonly samples: readonly Sample[];
  /** Systems and baselines, with their members. */
  readonly names: readonly Member[];
  readonly metrics: readonly Planned[];
  readonly usual: UsualFields;
  /** The other component of a wind; `watched` unless it is looked at as a variable of its own. */
  readonly other:
    | { readonly variable: string; readonly usual: UsualFields; readonly watched: boolean }
    | undefined;
  readonly seeps: SeepsAt | undefined;
  /** By lead. */
  readonly terciles: ReadonlyMap<number, TercilesAt> | undefined;
}

interface Member {
  readonly name: string;
  readonly members: number;
}

interface Planned {
  readonly name: string;
  readonly info: MetricInfo;
}

type PlanOptions = MeasureOptions & { readonly warn: (text: string) => void };

/**
 * Plans all variables before any field is read, so that what is lacking is said at once.
 *
 * @throws ClimaxError "config" for a metric that wants what was not given
 */
export async function plan(options: PlanOptions): Promise<VariablePlan[]> {
  const { samples, share, warn } = options;
  const own = share && initialTimesOf(options, share);
  const variables = samples.byVariable.map(({ variable }) => variable);
  const infos = options.metrics.map((name) => ({ name, info: metricInfo(name) }));
  for (const { name, info } of infos) {
    if (variables.some((variable) => appliesTo(info, variable))) continue;
    warn(`${name} scores none of ${variables.join(", ")}`);
  }
  const plans: VariablePlan[] = [];
  for (const { variable, leads, samples: all } of samples.byVariable) {
    const metrics = withSources(options, variable);
    const usual = await usualFields(options, variable, metrics);
    const extra = await extraFields(options, variable, leads, metrics);
    plans.push({
      ...{ variable, leads, metrics, usual, ...extra },
      samples: own ? all.filter(({ initial }) => own.has(initial.seconds)) : all,
      names: namesOf(options, usual),
      other: needs(metrics, "other") ? await otherOf(options, variable, metrics, all) : undefined,
    });
  }
  return plans;
}

/** Names of systems, their controls and the baselines that have fields, in the order of the tables. */
function namesOf({ systems, control, baselines }: PlanOptions, { climatologies }: UsualFields): Member[] {
  return [
    ...systems.flatMap((system): Member[] => [
      { name: system.name, members: system.members },
      ...(control && system.members > 1 ? [{ name: controlName(system), members: 1 }] : []),
    ]),
    ...baselines
      .filter((name) => name === "persistence" || climatologies.has(name))
      .map((name): Member => ({ name, members: 1 })),
  ];
}

const appliesTo = ({ applies }: MetricInfo, variable: string) => applies?.(variable) ?? true;
const needs = (metrics: readonly Planned[], need: Need) =>
  metrics.find(({ info }) => info.needs.includes(need));

/** The metrics of a variable, and behind them those that they are derived from. */
function withSources({ metrics, definition, truth: { grid } }: PlanOptions, variable: string): Planned[] {
  const planned = new Map<string, Planned>();
  const add = (name: string) => {
    const info = metricInfo(name);
    if (planned.has(name) || !appliesTo(info, variable)) return;
    planned.set(name, { name, info });
    const metric = info.make({ definition, grid, members: 1, variable });
    if (metric.kind === "derived") for (const source of metric.from) add(source);
  };
  for (const name of metrics) add(name);
  return [...planned.values()];
}

/** Seconds of the initial times that are one share's: every count-th of all, over all variables. */
function initialTimesOf({ samples }: PlanOptions, { index, count }: Share): Set<number> {
  const all = samples.byVariable.flatMap(({ samples }) => samples.map(({ initial }) => initial.seconds));
  const sorted = [...new Set(all)].toSorted((a, b) => a - b);
  return new Set(sorted.filter((_, i) => i % count === index - 1));
}

async function usualFields(
  { climatologies: known, anomalies, warn }: PlanOptions,
  variable: string,
  metrics: readonly Planned[],
): Promise<UsualFields> {
  const climatologies = new Map<BaselineName, FieldAt>();
  for (const [name, climatology] of known) {
    const field = await climatology.field(variable);
    if (field) climatologies.set(name, field);
    else warn(`${climatology.label} has no ${variable}: no ${name} baseline for it`);
  }
  const wanting = needs(metrics, "climatology");
  if (!wanting) return { climatologies, anomalies: undefined };
  const field = await anomalies?.field(variable);
  if (field) return { climatologies, anomalies: field };
  throw new ClimaxError(
    "data",
    `${wanting.name} of ${variable} needs the climatology that anomalies are taken from; ` +
      (anomalies ? `${anomalies.label} has no ${variable}` : "none was given"),
    `give one with --climatology, or leave ${wanting.name} out of --metrics`,
  );
}

/** What only some metrics read. */
async function extraFields(
  options: PlanOptions,
  variable: string,
  leads: readonly number[],
  metrics: readonly Planned[],
): Promise<Pick<VariablePlan, "seeps" | "terciles">> {
  const wantSeeps = needs(metrics, "seeps");
  const seeps = wantSeeps && (await options.seeps?.field(variable));
  if (wantSeeps && !seeps) {
    throw new ClimaxError(
      "data",
      `${wantSeeps.name} of ${variable} needs how often it is dry and where heavy precipitation begins, in each place; none was given`,
      `give a climatology that holds them with --climatology, or leave ${wantSeeps.name} out of --metrics`,
    );
  }
  const wantTerciles = needs(metrics, "terciles");
  if (!wantTerciles) return { seeps, terciles: undefined };
  const terciles = new Map<number, TercilesAt>();
  for (const lead of leads) {
    const field = await options.terciles?.field(variable, lead);
    if (field) terciles.set(lead, field);
    else {
      throw new ClimaxError(
        "data",
        `${wantTerciles.name} of ${variable} at a lead of ${lead} h needs the terciles of what is usual; ` +
          (options.terciles ? `${options.terciles.label} has none` : "none were given"),
        `give them, or leave ${wantTerciles.name} out of --metrics`,
      );
    }
  }
  return { seeps, terciles };
}

/** The v of a wind whose u it is, and what is usual of it. */
async function otherOf(
  options: PlanOptions,
  variable: string,
  metrics: readonly Planned[],
  samples: readonly Sample[],
): Promise<NonNullable<VariablePlan["other"]>> {
  const other = northward(variable);
  const { name } = needs(metrics, "other")!;
  const lacking = [
    ...(options.truth.units.has(other) ? [] : [`the truth ${options.truth.path}`]),
    ...options.systems
      .filter((system) => samples.some(({ initial, leadHours }) => !system.has(other, initial, leadHours)))
      .map((system) => system.name),
  ];
  if (lacking.length > 0) {
    throw new ClimaxError(
      "data",
      `${name} of ${variable} needs ${other} at the same times and leads; it is not in ${lacking.join(", ")}`,
      `give the files that hold it as well, or leave ${name} out of --metrics`,
    );
  }
  const usual = await usualFields(options, other, []);
  return {
    variable: other,
    usual,
    watched: !options.samples.byVariable.some((one) => one.variable === other),
  };
}
