/** Benches: what a named benchmark fixes. */
import { parseName } from "../data/variables.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import type { ForecastSystem } from "./systems.ts";
import type { Truth } from "./truth.ts";

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

/**
 * The variables to score: those asked for, or those of the bench that the truth and all systems have.
 *
 * @returns ClimaX names, and what of the bench is left out and why
 * @throws ClimaxError "data" when a variable that was asked for is missing, or none is left
 */
export function chooseVariables(
  asked: readonly string[] | undefined,
  { variables }: Bench,
  systems: readonly Pick<ForecastSystem, "name" | "units">[],
  truth: Pick<Truth, "units">,
): { variables: string[]; left: string[] } {
  const wanted = asked?.map((text) => parseName(text).name) ?? variables;
  const lacking = new Map<string, string>();
  for (const variable of wanted) {
    const where = systems.filter(({ units }) => !units.has(variable)).map(({ name }) => name);
    if (!truth.units.has(variable)) where.push("the truth");
    if (where.length > 0) lacking.set(variable, `${variable} (not in ${where.join(", ")})`);
  }
  const left = [...lacking.values()];
  const found = wanted.filter((variable) => !lacking.has(variable));
  if (left.length === 0 || (!asked && found.length > 0)) return { variables: [...new Set(found)], left };
  const shared = systems
    .map(({ units }) => [...units.keys()])
    .reduce((a, b) => a.filter((variable) => b.includes(variable)))
    .filter((variable) => truth.units.has(variable));
  const own = [...(systems[0]?.units.keys() ?? [])].join(", ");
  throw new ClimaxError(
    "data",
    `cannot score ${left.join(", ")}`,
    shared.length > 0
      ? `forecast and truth share ${shared.join(", ")}: choose among these with --variables`
      : `forecast and truth share no variable; the forecast has ${own}, the truth ${[...truth.units.keys()].join(", ")}`,
  );
}
