/** Benches: what a named benchmark fixes. */
import { unknownName } from "../errors.ts";

export interface Bench {
  readonly name: string;
  /** ClimaX names that are scored unless others are asked for. */
  readonly variables: readonly string[];
  /** The definition unless another is asked for, and why that one. */
  readonly definition: "climax" | "weatherbench1" | "weatherbench2";
  readonly reason: string;
  /** The test period of the published rows; a run scores the dates of its forecast file, whichever they are. */
  readonly period: string;
}

export const benches: readonly Bench[] = [
  {
    name: "weatherbench",
    variables: ["geopotential_500", "temperature_850", "2m_temperature", "10m_u_component_of_wind"],
    definition: "climax",
    reason: "the published ClimaX rows were made with it",
    period: "2017..2018",
  },
];

/** The bench of that name; a `config` error names the known ones. */
export function bench(name: string): Bench {
  const names = benches.map((bench) => bench.name);
  return benches.find((bench) => bench.name === name) ?? unknownName("bench", name, names);
}
