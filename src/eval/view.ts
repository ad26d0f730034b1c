/** Fields as a bench scores them: cut to the grid of a regional forecast, and in the units of the bench. */
import type { CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { cropper } from "../grid/crop.ts";
import { describeGrid, type Grid, sameGrid } from "../grid/grid.ts";
import type { Field } from "./accumulator.ts";
import type { ForecastSystem } from "./systems.ts";
import type { FieldAt, Truth } from "./truth.ts";

/** The units that a bench scores a variable in, and how many of them its ClimaX unit is. */
export interface BenchUnits {
  readonly units: string;
  readonly scale: number;
}

export interface View {
  readonly grid: Grid;
  readonly units: ReadonlyMap<string, BenchUnits>;
  /** The same array where nothing changes. */
  apply(name: string, field: Float32Array): Float32Array;
}

/** The view of fields on `from`; undefined when a point of `to` is not on `from`. */
export function makeView(from: Grid, to: Grid, units: ReadonlyMap<string, BenchUnits>): View | undefined {
  const crop = sameGrid(from, to) ? (field: Float32Array) => field : cropper(from, to);
  return (
    crop && {
      grid: to,
      units,
      apply(name, field) {
        const scale = units.get(name)?.scale ?? 1;
        const cut = crop(field);
        return scale === 1 ? cut : cut.map((value) => value * scale);
      },
    }
  );
}

/** Truth and systems as they are scored. */
export interface Viewed {
  readonly truth: Truth;
  readonly systems: ForecastSystem[];
  /** "global", or the region that the forecasts are of. */
  readonly region: string;
  /** What was cut, if anything was. */
  readonly note: string | undefined;
}

/**
 * Brings truth and forecasts to the smallest grid of a forecast, which must be a part of all others, and to the units
 * of a bench: so a global forecast is held against a regional one over the same points.
 *
 * @throws ClimaxError "grid" for a truth or a forecast that does not have all of those points
 */
export function viewAll(
  truth: Truth,
  systems: readonly ForecastSystem[],
  units: ReadonlyMap<string, BenchUnits>,
): Viewed {
  const points = ({ lat, lon }: Grid) => lat.length * lon.length;
  const least = systems.reduce((a, b) => (points(b.grid) < points(a.grid) ? b : a));
  const to = least.grid;
  const viewOf = (grid: Grid, what: string): View => {
    const view = makeView(grid, to, units);
    if (view) return view;
    throw new ClimaxError(
      "grid",
      `${least.paths[0]} is on ${describeGrid(to)}, ${what} on ${describeGrid(grid)}`,
      "put both on one grid first: climax regrid IN --res ... -o OUT",
    );
  };
  const truthView = viewOf(truth.grid, `the truth ${truth.path}`);
  const cut = [
    ...(sameGrid(truth.grid, to) ? [] : [`the truth ${truth.path} (${describeGrid(truth.grid)})`]),
    ...systems.flatMap(({ grid, paths }) =>
      sameGrid(grid, to) ? [] : [`${paths[0]} (${describeGrid(grid)})`],
    ),
  ];
  const viewed = (system: ForecastSystem): ForecastSystem =>
    sameGrid(system.grid, to) && units.size === 0
      ? system
      : viewSystem(system, viewOf(system.grid, system.paths[0]!));
  return {
    truth: !sameGrid(truth.grid, to) || units.size > 0 ? viewTruth(truth, truthView) : truth,
    systems: systems.map(viewed),
    region: sameGrid(truth.grid, to) ? "global" : (least.region ?? describeGrid(to)),
    note:
      cut.length > 0
        ? `cut to the region of ${least.paths[0]}, ${least.region === undefined ? "" : `${least.region}, `}` +
          `${describeGrid(to)}: ${cut.join(", ")}`
        : undefined,
  };
}

/** The truth through a view; its climatologies too. */
export function viewTruth(truth: Truth, view: View): Truth {
  const { training } = truth;
  return {
    ...truth,
    grid: view.grid,
    units: viewUnits(truth.units, view),
    read: async (name, step) => view.apply(name, await truth.read(name, step)),
    training: training && (async (kind, name) => viewField(await training(kind, name), view, name)),
  };
}

/** A forecast through a view. */
export function viewSystem(system: ForecastSystem, view: View): ForecastSystem {
  return {
    ...system,
    grid: view.grid,
    units: viewUnits(system.units, view),
    read: async (name, initial, lead, member) =>
      view.apply(name, await system.read(name, initial, lead, member)),
  };
}

/** A field for each time through a view; the same field again gives the same again. */
export function viewField(at: FieldAt, view: View, name: string): FieldAt {
  let [before, after]: (Field | undefined)[] = [];
  return (time: CfTime) => {
    const field = at(time);
    if (field !== before) [before, after] = [field, view.apply(name, Float32Array.from(field))];
    return after!;
  };
}

const viewUnits = (units: ReadonlyMap<string, string>, view: View) =>
  new Map([...units].map(([name, own]) => [name, view.units.get(name)?.units ?? own]));
