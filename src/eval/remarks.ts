/** What a reader must know beside the numbers: simulated weather, days that are not held out, forecasts left out. */
import type { BaselineName } from "../scores/baselinenames.ts";
import type { Definition } from "../scores/definitions.ts";
import type { Bench } from "./benches.ts";
import type { Climatology } from "./climatologysource.ts";
import { departures } from "./departures.ts";
import type { Samples } from "./samples.ts";
import type { ForecastSystem } from "./systems.ts";
import type { Truth } from "./truth.ts";

export interface Circumstances {
  readonly truth: Truth;
  readonly systems: readonly ForecastSystem[];
  readonly samples: Samples;
  readonly definition: Definition;
  readonly bench: Bench;
  /** What anomalies are taken from, if they are. */
  readonly anomalies: Climatology | undefined;
  readonly baselines: readonly BaselineName[];
  /** Whether published scores may be shown beside. */
  readonly published: boolean;
}

/** One sentence for each. */
export function remarks(circumstances: Circumstances): string[] {
  const { truth, systems, samples, definition, bench, anomalies, baselines, published } = circumstances;
  const said: string[] = [];
  const synthetic = [
    ...(truth.synthetic ? ["the truth"] : []),
    ...systems.filter((system) => system.synthetic).map(({ name }) => name),
  ];
  if (synthetic.length > 0) {
    said.push(
      `synthetic: ${synthetic.join(" and ")} ${synthetic.length > 1 ? "come" : "comes"} from simulated weather`,
    );
  }
  // Of simulated weather nothing published compares, whatever its dates.
  if (synthetic.length === 0 && published) said.push(...departures(bench, samples, definition));
  for (const name of ["train", "val"] as const) {
    const inside = samples.validSteps.filter((step) => truth.splitOf(step) === name).length;
    if (inside === 0) continue;
    said.push(`${inside} of ${samples.validSteps.length} valid times lie in the ${name} split: not held out`);
  }
  if (samples.skipped > 0) said.push(`${samples.skipped} forecast fields have no truth and were skipped`);
  if (samples.unshared > 0) {
    said.push(`${samples.unshared} forecast fields are not in all systems and were left out`);
  }
  if (samples.absent > 0) {
    said.push(
      `${samples.absent} forecast fields are in no system, though their initial times have other leads: leads that are missing`,
    );
  }
  if (definition.name === "weatherbench2" && anomalies) {
    said.push(
      `WeatherBench 2 takes anomalies from a day-of-year climatology of 1990-2019; here they are from ${anomalies.label}`,
    );
  }
  for (const { name, members } of systems) {
    if (members > 1)
      said.push(`${name} has ${members} members: its scores are of their mean, but crps and spread`);
  }
  const averageHours = systems[0]?.averageHours;
  if (averageHours !== undefined) {
    const counts = new Set(
      samples.byVariable.flatMap(({ samples }) => samples.map(({ validSteps }) => validSteps.length)),
    );
    said.push(
      `forecasts are means over ${averageHours} h from their valid time on: each is scored against the mean of the ` +
        `${[...counts].join(" or ")} states of the truth inside` +
        (baselines.includes("persistence") ? "; persistence is the one state at the initial time" : ""),
    );
  }
  return said;
}
