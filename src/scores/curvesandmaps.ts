/** Scores that are no single number: curves (a spectrum, a rank histogram), and fields of error. */
import type { Metric, MetricInfo } from "./metric.ts";
import type { Profile, ScoreMap } from "./scoredocument.ts";
import { cellSums } from "./scoresource.ts";
import { mapSums, type Statistics } from "./statistics.ts";

export interface ProfileOptions {
  info(name: string): MetricInfo;
  /** Of the scores of a variable. */
  units(name: string, variable: string): string;
  metric(name: string, system: string, variable: string): Metric;
}

/** The curves of a run, by metric, variable, system, lead and region. */
export function profilesOf(statistics: Statistics, { info, units, metric }: ProfileOptions): Profile[] {
  const variables = [...new Set(statistics.leads.map(({ variable }) => variable))];
  return statistics.metrics.flatMap((name) =>
    variables.flatMap((variable) => {
      const leads = statistics.leads.filter((lead) => lead.variable === variable);
      return statistics.systems.flatMap((system) =>
        leads.flatMap(({ leadHours, profiles }) =>
          profiles.flatMap((sums): Profile[] => {
            if (sums.metric !== name || sums.system !== system || sums.forecasts === 0) return [];
            const made = metric(name, system, variable);
            if (made.kind !== "profile") throw new TypeError(`${name} is no curve`);
            return [
              {
                system,
                metric: name,
                variable: info(name).rowVariable?.(variable) ?? variable,
                lead_hours: leadHours,
                region: sums.region,
                ...made.curves(sums.sums.map((sum, i) => sum + sums.rest[i]!)),
                units: units(name, variable),
                samples: sums.forecasts,
              },
            ];
          }),
        ),
      );
    }),
  );
}

/** Root of the mean squared error, and mean error, at each point: two maps for each variable, lead and system. */
export function scoreMapsOf(statistics: Statistics, units: (variable: string) => string): ScoreMap[] {
  const { grid, systems } = statistics;
  return statistics.leads.flatMap(({ variable, leadHours, cells }) =>
    systems.flatMap((system) => {
      const own = cells.find((sums) => sums.metric === mapSums && sums.system === system);
      if (own === undefined) return [];
      const [error, squared, count] = cellSums(own) as [Float64Array, Float64Array, Float64Array];
      // 0 / 0 is the NaN of a point without truth.
      const map = (what: ScoreMap["what"], at: (i: number) => number): ScoreMap => ({
        ...{ system, what, variable, lead_hours: leadHours, units: units(variable), grid },
        values: Float32Array.from(error, (_, i) => at(i)),
      });
      return [
        map("rmse", (i) => Math.sqrt(squared[i]! / count[i]!)),
        map("bias", (i) => error[i]! / count[i]!),
      ];
    }),
  );
}
