// What an imported model is made for: variables with their statistics, inputs, outputs, grid and lead times, from what
// is said of it.
import { knownName } from "../data/variables.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { type Grid, regularGrid } from "../grid/grid.ts";
import { cropGrid, patchWindow, regionNamed } from "../grid/regions.ts";
import { CheckpointInfo } from "../model/checkpoint.ts";
import type { ModelConfig } from "../model/config.ts";
import { NetworkConfig } from "../model/network.ts";
import type { ProjectionConfig } from "../model/projection.ts";
import { type Said, SOURCE, shortened, spelled, type Told } from "./describe.ts";
import { gatherStatistics } from "./statistics.ts";

export interface Imported {
  readonly info: CheckpointInfo;
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
}

interface Importing {
  readonly path: string;
  readonly config: ModelConfig | ProjectionConfig;
  readonly told: Told;
  readonly stats: readonly string[];
  /** What was assumed so far, for the provenance. */
  readonly assumed: readonly string[];
  readonly provenance: Readonly<Record<string, unknown>>;
}

/** Hours: what the paper's pretraining draws from (section 3.4). */
const pretrainingLeads = { min: 6, max: 168, step: 6 };

/**
 * The info of a checkpoint of these weights. Variables without statistics stay known to the network, but neither enter
 * nor leave.
 *
 * @throws ClimaxError "config", "grid" or "data" for what does not fit the network, or when no variable has statistics
 */
export async function importedInfo(importing: Importing): Promise<Imported> {
  const { path, told, stats } = importing;
  const { said } = told;
  const assumed = [...importing.assumed];
  const whole = wholeGrid(path, importing.config);
  const { config, grid, region, mirrored } = regional(importing.config, told, whole);
  const { inputs, outputs } = purposeOf(config, said, assumed);
  const wanted = config.variables.filter((name) => inputs.includes(name) || outputs.includes(name));
  const { of, missing, notes } = await gatherStatistics(stats, wanted, whole);
  const [enter, leave] = [inputs, outputs].map((names) => names.filter((name) => of.has(name)));
  expectSome(path, stats, missing, { inputs: enter!, outputs: leave! });
  const projects = config.type === "projection";
  const leads = projects ? [0] : (said.leads ?? pretrainingLeads);
  if (!projects && !said.leads)
    assumed.push("lead times from 6 to 168 hours by 6, those of the paper's pretraining");
  const parsed = CheckpointInfo.safeParse({
    format: "climax-checkpoint",
    version: 1,
    model: config,
    task: projects ? { kind: "projection", history: config.history } : { kind: "forecast" },
    variables: [...of].map(([name, { units, mean, std }]) => ({ name, units, mean, std })),
    inputs: enter,
    outputs: leave,
    grid: { lat: [...grid.lat], lon: [...grid.lon] },
    ...(region === undefined ? {} : { region }),
    leads,
    synthetic: false,
    provenance: { ...importing.provenance, statistics: notes, assumed },
  });
  if (!parsed.success) {
    const [{ path: key, message }] = parsed.error.issues as [(typeof parsed.error.issues)[0]];
    throw new ClimaxError(
      "config",
      `${path} with what is said of it makes no model: ${key.join(".")}: ${message}`,
      "correct what is said of it (--source.*)",
    );
  }
  return {
    info: parsed.data,
    notes: [...assumed.map((what) => `assumed: ${what}`), ...notes],
    warnings: [...mirrored, ...lacking(missing)],
  };
}

function wholeGrid(path: string, { gridShape: [H, W] }: Importing["config"]): Grid {
  if (W === 2 * H && H >= 2) return regularGrid(180 / H);
  throw new ClimaxError(
    "grid",
    `${path} is for a grid of ${H} x ${W} points, and no regular global grid has so many`,
    "ClimaX's grids have twice as many longitudes as latitudes: say which one with --source.grid-shape 32,64",
  );
}

/** The network with a region's patches only, cut as finetuning cuts them. */
function regional(config: Importing["config"], { said, from }: Told, whole: Grid) {
  const { region: text } = said;
  const region = text === undefined || text === "Global" ? undefined : regionNamed(text);
  if (!region || config.type === "projection")
    return { config, grid: whole, region: undefined, mirrored: [] };
  const window = patchWindow(whole, region, config.patchSize);
  const { rows, columns } = window;
  const cut = NetworkConfig.parse({ ...config, region: { rows, columns } }) as ModelConfig;
  const grid = cropGrid(whole, window);
  const mirrored = from.get("region") === SOURCE ? [] : [mirrorNote(region.name, grid)];
  return { config: cut, grid, region: region.name, mirrored };
}

/**
 * The reference turns latitudes round to find its boxes (get_region_info of its data_utils.py), as if files ran from
 * north to south; WeatherBench's run from south to north.
 */
function mirrorNote(name: string, { lat, lon }: Grid): string {
  return (
    `the region ${name} is taken where it is; if microsoft/ClimaX finetuned it with data that run from south to north, ` +
    `it learned the box mirrored at the equator, --source.region=${-lat.at(-1)!}..${-lat[0]!},${lon[0]!}..${lon.at(-1)!}`
  );
}

/** What enters and what leaves, of the variables that the network knows. */
function purposeOf(config: Importing["config"], said: Said, assumed: string[]) {
  if (config.type === "projection") return { inputs: config.inputs, outputs: config.outputs };
  const among = (names: readonly string[] | undefined) =>
    names &&
    [...new Set(spelled(names))].map((name) =>
      config.variables.includes(name) ? name : unknownName("variable of the network", name, config.variables),
    );
  const inputs = among(said.inputs) ?? config.variables;
  const outputs = among(said.outputs) ?? inputs.filter(changes);
  if (!said.inputs) assumed.push("that all of its variables enter");
  if (!said.outputs) assumed.push("that it was trained to predict all of them that change");
  return { inputs, outputs };
}

/** Whether it is a state of the atmosphere: neither fixed in time nor driving from outside. */
function changes(name: string): boolean {
  const role = knownName(name)?.info.role;
  return role !== "constant" && role !== "forcing";
}

const mend =
  "give --stats era5, a folder with normalize_mean.npz, or a prepared set; several by commas, e.g. --stats era5,YOUR_SET";

function expectSome(
  path: string,
  stats: readonly string[],
  missing: readonly string[],
  purpose: { readonly inputs: readonly string[]; readonly outputs: readonly string[] },
): void {
  for (const [what, names] of Object.entries(purpose)) {
    if (names.length > 0) continue;
    const lack =
      stats.length > 0
        ? `none of its ${what} has a mean and deviation in ${stats.join(", ")}`
        : "no --stats was given";
    throw new ClimaxError(
      "config",
      `${path} does not say how its variables were normalised, and ${lack}; wanted are those of ${shortened(missing)}`,
      mend,
    );
  }
}

function lacking(missing: readonly string[]): string[] {
  if (missing.length === 0) return [];
  const strange = missing.filter((name) => !knownName(name) || lacksLevel(name));
  return [
    `no mean and deviation of ${shortened(missing)}: known to the network, but left out of its inputs and outputs; ` +
      "give them with --stats era5,YOUR_SET",
    ...(strange.length > 0
      ? [`names that climax has no variable for: ${shortened(strange.map(withMend))}`]
      : []),
  ];
}

const lacksLevel = (name: string) => {
  const known = knownName(name);
  return known?.info.levels === "pressure" && known.level === undefined;
};

/** A name with what was meant by it, where that is plain: "z500 (geopotential_500?)". */
function withMend(name: string): string {
  if (lacksLevel(name)) return `${name} (at which level? ${name}_500, ...)`;
  const [, letters, level] = /^([a-z]+)(\d{1,4})$/i.exec(name) ?? [];
  const meant = letters === undefined ? undefined : knownName(`${letters}_${level}`);
  return meant ? `${name} (${meant.name}?)` : name;
}
