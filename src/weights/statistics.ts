// Means and standard deviations for the variables of a network that came without them: from the sources that the user
// lists, the first that has a variable.
import { gravity, knownName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";
import { checkStatistics } from "./statisticsdoubts.ts";
import { openStatistics, type Scale, type StatisticsSource } from "./statisticssources.ts";

/** How a variable is normalised: (x - mean) / std, in `units`. */
export interface VariableStatistics extends Scale {
  readonly units: string;
  /** The source that gave it, as messages name it. */
  readonly from: string;
}

export interface Statistics {
  /** By variable, in the order asked for. */
  readonly of: ReadonlyMap<string, VariableStatistics>;
  /** Variables that no source has. */
  readonly missing: readonly string[];
  /** From where each came, for the user. */
  readonly notes: readonly string[];
}

/**
 * Gathers the statistics of the variables named.
 *
 * `lattitude` needs no source: its values are the rows' of the grid, each as often as the others, and so do the
 * reference's scripts count them.
 *
 * @param sources  "era5" (built in), folders with ClimaX's normalize_mean.npz and normalize_std.npz, prepared sets,
 *                 climax checkpoints, YAML or JSON files `{name: {mean, std}}`
 * @param names    of the variables table, with levels; others only from a source that gives their units
 * @param grid     the whole grid, also of a regional model: statistics are of the globe
 * @throws         ClimaxError "data" for a source that cannot be read, and numbers that no such variable can have
 */
export async function gatherStatistics(
  sources: readonly string[],
  names: readonly string[],
  grid: Pick<Grid, "lat">,
): Promise<Statistics> {
  const opened: StatisticsSource[] = [];
  for (const source of new Set(sources)) opened.push(await openStatistics(source));
  const of = new Map<string, VariableStatistics>();
  const missing: string[] = [];
  const given = new Map<string, string[]>();
  const used = new Map<StatisticsSource, string[]>();
  for (const name of names) {
    const found = fromSources(name, opened) ?? fromGrid(name, grid);
    if (!found) {
      missing.push(name);
      continue;
    }
    const { source, ...statistics } = found;
    checkStatistics(name, statistics);
    of.set(name, statistics);
    given.set(statistics.from, [...(given.get(statistics.from) ?? []), name]);
    if (source) used.set(source, [...(used.get(source) ?? []), name]);
  }
  const idle = opened.filter((source) => !used.has(source)).map(({ from }) => from);
  return {
    of,
    missing,
    notes: [
      ...[...given].map(([from, those]) => `mean and deviation from ${from}: ${listed(those)}`),
      ...(idle.length > 0 ? [`nothing was taken from ${idle.join(", ")}`] : []),
      ...[...used].flatMap(([{ notes, from }, taken]) => notes(taken).map((note) => `${from}: ${note}`)),
    ],
  };
}

type Found = VariableStatistics & { readonly source?: StatisticsSource };

function fromSources(name: string, sources: readonly StatisticsSource[]): Found | undefined {
  const units = knownName(name)?.info.units;
  for (const source of sources) {
    const scale = scaleIn(source, name);
    if (!scale) continue;
    if (scale.units !== undefined && units !== undefined && scale.units !== units) {
      throw new ClimaxError(
        "data",
        `${source.from} has ${name} in ${scale.units}; wanted ${units}`,
        "convert its mean and std to those units",
      );
    }
    const known = units ?? scale.units;
    if (known === undefined) continue;
    return { mean: scale.mean, std: scale.std, units: known, from: source.from, source };
  }
  return undefined;
}

/** Names under which ERA5 and models keep the height of the ground as a geopotential, m2 s-2. */
const groundPotentials = ["geopotential_at_surface", "surface_geopotential", "phis"];

function scaleIn({ of, from }: StatisticsSource, name: string): Scale | undefined {
  const exact = of.get(name);
  if (exact) return exact;
  const others = [...of].filter(([other]) => knownName(other)?.name === name);
  if (others.length > 1) {
    throw new ClimaxError(
      "data",
      `${from} has ${name} under ${others.map(([other]) => other).join(" and ")}`,
      "leave one of them in it",
    );
  }
  const [other] = others;
  if (!other || !groundPotentials.includes(other[0].toLowerCase())) return other?.[1];
  return { mean: other[1].mean / gravity, std: other[1].std / gravity };
}

function fromGrid(name: string, { lat }: Pick<Grid, "lat">): Found | undefined {
  if (name !== "lattitude" || lat.length < 2) return undefined;
  const mean = lat.reduce((sum, x) => sum + x, 0) / lat.length;
  const variance = lat.reduce((sum, x) => sum + (x - mean) ** 2, 0) / lat.length;
  return { mean, std: Math.sqrt(variance), units: "degrees_north", from: "the grid" };
}

/** "geopotential_50 and 6 more" */
const listed = (names: readonly string[]) =>
  names.length > 6 ? `${names[0]} and ${names.length - 1} more` : names.join(", ");
