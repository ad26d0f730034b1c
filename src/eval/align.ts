/**
 * Fields as a bench scores them: forecasts on the grid of the truth, or all on a grid of their own; cut to what all of
 * them cover; in the units of the bench.
 *
 *   alignAll(truth, systems, units, { regrid, grid }) -> { truth, systems, region, notes, alignmentOf }
 */
import type { CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { cropper } from "../grid/crop.ts";
import { describeGrid, type Grid, regularGrid, sameGrid } from "../grid/grid.ts";
import type { Field } from "../scores/metric.ts";
import {
  coveredPart,
  findWay,
  type OntoGrid,
  ontoGrid,
  partOf,
  type RegridChoice,
  type Way,
} from "./commongrid.ts";
import type { ForecastSystem } from "./systems.ts";
import type { FieldAt, Truth } from "./truth.ts";

/** The units that a bench scores a variable in, and how many of them its ClimaX unit is. */
export interface BenchUnits {
  readonly units: string;
  readonly scale: number;
}

/** What brings fields of one grid to the grid and the units that are scored. */
export interface Alignment {
  readonly grid: Grid;
  readonly units: ReadonlyMap<string, BenchUnits>;
  /** A field of the variable `name`, [H * W] on its own grid -> [h * w] on `grid`; the same array where nothing changes. */
  apply(name: string, field: Float32Array): Float32Array;
}

export interface AlignOptions {
  /** How grids that differ are brought together; "auto" unless given. */
  readonly regrid?: RegridChoice | undefined;
  /** Degrees of the regular global grid that all is scored on; the grid of the truth unless given. */
  readonly grid?: number | undefined;
}

/** Truth and systems as they are scored. */
export interface Aligned {
  readonly truth: Truth;
  readonly systems: ForecastSystem[];
  /** "global", or the region that is scored. */
  readonly region: string;
  /** What was regridded and what was cut. */
  readonly notes: readonly string[];
  /**
   * The same alignment of other fields, such as those of a climatology; `note` says what it does to their grid.
   * @throws ClimaxError "grid" when they do not cover what is scored, or would have to be regridded and must not be
   */
  alignmentOf(from: Grid, what: string): Alignment & { readonly note: string | undefined };
}

/** The alignment of fields on `from`, which only cuts; undefined when a point of `to` is not on `from`. */
export function cutAlignment(
  from: Grid,
  to: Grid,
  units: ReadonlyMap<string, BenchUnits>,
): Alignment | undefined {
  const cut = sameGrid(from, to) ? (field: Float32Array) => field : cropper(from, to);
  return cut && alignmentThrough(cut, to, units);
}

function alignmentThrough(onto: OntoGrid, grid: Grid, units: ReadonlyMap<string, BenchUnits>): Alignment {
  return {
    grid,
    units,
    apply(name, field) {
      const scale = units.get(name)?.scale ?? 1;
      const placed = onto(field);
      return scale === 1 ? placed : placed.map((value) => value * scale);
    },
  };
}

/** Fields on one grid, and how they come to the common one. */
interface Source {
  readonly what: string;
  readonly grid: Grid;
  readonly way: Way;
}

/**
 * Brings truth and forecasts to one grid and to the units of a bench: that of the truth, or the regular one of
 * `options.grid` degrees. Forecasts on part of its points are not regridded: all is cut to them. What is on other points is
 * regridded, and all is cut to the rows and columns that it covers.
 *
 * @throws ClimaxError "grid" where grids differ and must not be regridded, where nothing is covered by all, and for a
 *         resolution that does not divide 180
 */
export function alignAll(
  truth: Truth,
  systems: readonly ForecastSystem[],
  units: ReadonlyMap<string, BenchUnits>,
  options: AlignOptions = {},
): Aligned {
  const choice = options.regrid ?? "auto";
  const base = options.grid === undefined ? truth.grid : regularGrid(options.grid);
  const baseName = options.grid === undefined ? `the truth ${truth.path}` : `--grid ${options.grid}`;
  const sourceOf = (grid: Grid, what: string): Source => {
    const way = findWay(grid, base, choice);
    if (way) return { what, grid, way };
    throw new ClimaxError(
      "grid",
      `${what} is on ${describeGrid(grid)}, ${baseName} on ${describeGrid(base)}`,
      "let forecasts be regridded (leave --regrid none out), or put both on one grid first: climax regrid IN --res ... -o OUT",
    );
  };
  const truthSource = sourceOf(truth.grid, `the truth ${truth.path}`);
  const sources = systems.map(({ grid, name, paths }) => sourceOf(grid, `${name} (${paths[0]})`));
  const common = sharedBy([truthSource, ...sources], base);
  const to = partOf(base, common);
  const onto = remembering((grid, way) => ontoGrid(grid, way, base, to, common));
  const along = ({ grid, way }: Source) => alignmentThrough(onto(grid, way), to, units);
  const unchanged = ({ grid }: Source) => sameGrid(grid, to) && units.size === 0;
  const reach = sources.map(({ way }) => way.rows.length * way.columns.length);
  const least = systems[reach.indexOf(Math.min(...reach))];
  return {
    truth: unchanged(truthSource) ? truth : alignTruth(truth, along(truthSource)),
    systems: systems.map((system, i) =>
      unchanged(sources[i]!) ? system : alignSystem(system, along(sources[i]!)),
    ),
    region: regionName(to, base, least),
    notes: notesOn([truthSource, ...sources], base, to, least),
    alignmentOf: (grid, what) => {
      const source = sourceOf(grid, what);
      const reached = { rows: new Set(source.way.rows), columns: new Set(source.way.columns) };
      const whole =
        common.rows.every((row) => reached.rows.has(row)) &&
        common.columns.every((column) => reached.columns.has(column));
      if (!whole) {
        throw new ClimaxError(
          "grid",
          `${what} (${describeGrid(grid)}) does not cover all that is scored, ${describeGrid(to)}`,
          "give one that does",
        );
      }
      return { ...along(source), note: regridNote(source, to) };
    },
  };
}

/** The rows and columns that all sources reach. */
function sharedBy(sources: readonly Source[], base: Grid): Pick<Way, "rows" | "columns"> {
  const inAll = (lists: (readonly number[])[]) =>
    lists.reduce((a, b) => {
      const has = new Set(b);
      return a.filter((place) => has.has(place));
    });
  const rows = inAll(sources.map(({ way }) => way.rows));
  const columns = inAll(sources.map(({ way }) => way.columns));
  if (rows.length > 0 && columns.length > 0) return { rows, columns };
  throw new ClimaxError(
    "grid",
    `no point of ${describeGrid(base)} is covered by all of ${sources.map(({ what, grid }) => `${what} (${describeGrid(grid)})`).join(", ")}`,
    "score forecasts of one region together, against a truth that covers it",
  );
}

/** One for each grid and way, however many systems share it. */
function remembering(make: (grid: Grid, way: Way) => OntoGrid) {
  const made: { grid: Grid; how: Way["how"]; onto: OntoGrid }[] = [];
  return (grid: Grid, way: Way): OntoGrid => {
    const known = made.find((one) => one.how === way.how && sameGrid(one.grid, grid, 0));
    if (known) return known.onto;
    const onto = make(grid, way);
    made.push({ grid, how: way.how, onto });
    return onto;
  };
}

/** What is scored, in a word: the globe, or a region by the name that its forecast gives it. */
function regionName(to: Grid, base: Grid, least: ForecastSystem | undefined): string {
  const isCut = !sameGrid(to, base);
  // Grids of a region, whole: those of less than half of the globe. Coarse global ones may end short of a pole.
  if (!isCut && coveredPart(to) > 0.5) return "global";
  return least?.region ?? describeGrid(to);
}

function notesOn(
  sources: readonly Source[],
  base: Grid,
  to: Grid,
  least: ForecastSystem | undefined,
): string[] {
  const notes = sources.map((source) => regridNote(source, to)).filter((note) => note !== undefined);
  const cut = sources.filter(({ grid, way }) => !isRegridded(way) && !sameGrid(grid, to));
  if (cut.length === 0 && sameGrid(base, to)) return notes;
  const region = least?.region === undefined ? "" : `${least.region}, `;
  const what = cut.map(({ what, grid }) => `${what} (${describeGrid(grid)})`).join(", ");
  const of = least && !sameGrid(base, to) ? `the region of ${least.paths[0]}, ${region}` : "";
  return [...notes, `cut to ${of}${describeGrid(to)}${what === "" ? "" : `: ${what}`}`];
}

const isRegridded = ({ how }: Way) => how !== "as it is" && how !== "cut";

function regridNote({ what, grid, way }: Source, to: Grid): string | undefined {
  if (!isRegridded(way)) return undefined;
  return `${what}: regridded from ${describeGrid(grid)} to ${describeGrid(to)}, ${way.how}`;
}

/** The truth as it is scored; its climatologies too. */
export function alignTruth(truth: Truth, alignment: Alignment): Truth {
  const { training } = truth;
  return {
    ...truth,
    grid: alignment.grid,
    units: alignedUnits(truth.units, alignment),
    read: async (name, step) => alignment.apply(name, await truth.read(name, step)),
    training: training && (async (kind, name) => alignField(await training(kind, name), alignment, name)),
  };
}

/** A system as it is scored. */
function alignSystem(system: ForecastSystem, alignment: Alignment): ForecastSystem {
  return {
    ...system,
    grid: alignment.grid,
    units: alignedUnits(system.units, alignment),
    read: async (name, initial, lead, member) =>
      alignment.apply(name, await system.read(name, initial, lead, member)),
  };
}

/** A field for each time as it is scored; the same field again gives the same again. */
export function alignField(at: FieldAt, alignment: Alignment, name: string): FieldAt {
  let [before, after]: (Field | undefined)[] = [];
  return async (time: CfTime) => {
    const field = await at(time);
    if (field !== before) [before, after] = [field, alignment.apply(name, Float32Array.from(field))];
    return after!;
  };
}

const alignedUnits = (units: ReadonlyMap<string, string>, alignment: Alignment) =>
  new Map([...units].map(([name, own]) => [name, alignment.units.get(name)?.units ?? own]));
