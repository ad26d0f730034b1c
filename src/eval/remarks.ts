/** What a reader must know beside the numbers: simulated weather, days that are not held out, forecasts left out. */
import type { Climatology } from "./baselines.ts";
import type { Definition } from "./definitions.ts";
import type { Samples } from "./samples.ts";
import type { ForecastSystem } from "./systems.ts";
import type { Truth } from "./truth.ts";

export interface Circumstances {
  readonly truth: Truth;
  readonly systems: readonly ForecastSystem[];
  readonly samples: Samples;
  readonly definition: Definition;
  /** What anomalies are taken from, if they are. */
  readonly anomalies: Climatology | undefined;
}

/** One sentence for each. */
export function remarks({ truth, systems, samples, definition, anomalies }: Circumstances): string[] {
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
  for (const name of ["train", "val"] as const) {
    const inside = samples.validSteps.filter((step) => truth.splitOf(step) === name).length;
    if (inside === 0) continue;
    said.push(`${inside} of ${samples.validSteps.length} valid times lie in the ${name} split: not held out`);
  }
  if (samples.skipped > 0) said.push(`${samples.skipped} forecast fields have no truth and were skipped`);
  if (samples.unshared > 0) {
    said.push(`${samples.unshared} forecast fields are not in all systems and were left out`);
  }
  if (definition.name === "weatherbench2" && anomalies) {
    said.push(
      `WeatherBench 2 takes anomalies from a day-of-year climatology of 1990-2019; here they are from ${anomalies.label}`,
    );
  }
  return said;
}
