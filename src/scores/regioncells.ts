/**
 * The regions of a score: named parts of the globe, or boxes, as cells of a grid with their weights; of each also its
 * land or its sea alone.
 */
import { ClimaxError, unknownName } from "../errors.ts";
import { describeGrid, type Grid } from "../grid/grid.ts";
import { describeRegion, type Region, regionNamed, regionPoints, regions } from "../grid/regions.ts";
import { cellWeights, type Definition } from "./definitions.ts";
import type { Cells, Field } from "./metric.ts";

/** Cells under the name that rows of scores give them. */
export interface NamedCells {
  readonly name: string;
  readonly cells: Cells;
}

const prefix = "wb2-";

/** WeatherBench 2's regions go by its own names, those of the paper by theirs, which begin with a capital. */
const named: ReadonlyMap<string, Region> = new Map(
  regions.flatMap((region): [string, Region][] => {
    if (region.name === "Global") return [["global", region]];
    const own = region.name.startsWith(prefix) ? region.name.slice(prefix.length) : region.name;
    return [[own, region]];
  }),
);

/** Every region that has a name, but for the land and the sea of each. */
export const regionNames: readonly string[] = [...named.keys(), "land", "sea"];

/**
 * The cells of each region, in the given order, each once. Weights are those of the definition, zero outside; a cell
 * belongs to a region when its centre lies in it or on its edge. Of land the weights are multiplied by the fraction of
 * land in each cell, of sea by what is left of it to one, as WeatherBench 2 does.
 *
 * @param names `global`; WeatherBench 2's regions (`tropics`; `northern-hemisphere` and `southern-hemisphere`, which
 *              begin at 20 degrees; `europe`); the paper's (`NorthAmerica`); a box "south..north/west..east" in
 *              degrees, a comma for the stroke; `land`, `sea`; any of them with `-land` or `-sea` behind
 * @param land  fraction of land in each cell [H * W]
 * @throws ClimaxError "config" for a name that is none, and for land or sea without its fraction; "grid" for a region
 *         without a cell on the grid; "data" for fractions beyond 0..1
 */
export function regionCells(
  names: readonly string[],
  grid: Grid,
  definition: Definition,
  land?: Field,
): NamedCells[] {
  const weights = cellWeights(grid, definition);
  const parsed = names.map(parseRegion);
  const unique = new Map(parsed.map((region) => [region.name, region]));
  const fraction = parsed.some(({ part }) => part !== "all") ? checkedLand(parsed, grid, land) : undefined;
  return [...unique.values()].map(({ name, region, part }) => {
    const share = (i: number) => (part === "all" ? 1 : part === "land" ? fraction![i]! : 1 - fraction![i]!);
    const kept = new Float64Array(weights.length);
    const W = grid.lon.length;
    const { rows, columns } = regionPoints(grid, region);
    for (const row of rows) {
      for (const column of columns) {
        const i = row * W + column;
        kept[i] = weights[i]! * share(i);
      }
    }
    const inside = Int32Array.from(kept.keys()).filter((i) => kept[i]! > 0);
    if (inside.length === 0) {
      const what = part === "all" ? "cell" : `cell with ${part}`;
      throw new ClimaxError(
        "grid",
        `the region ${name} (${describeRegion(region)}) holds no ${what} of the grid (${describeGrid(grid)})`,
        "leave it out of --regions, or score on a finer grid, or one that reaches there",
      );
    }
    return { name, cells: { grid, weights: kept, inside } };
  });
}

interface Parsed {
  readonly name: string;
  readonly region: Region;
  readonly part: "all" | "land" | "sea";
}

function parseRegion(text: string): Parsed {
  // Tables and CSV are easier to read where a name holds no comma.
  const name = text.trim().replace(/\s*,\s*/, "/");
  if (name === "land" || name === "sea") return { name, region: named.get("global")!, part: name };
  const [, whole = name, part = "all"] = /^(.*)-(land|sea)$/.exec(name) ?? [];
  return { name, region: regionOf(whole, name), part: part as Parsed["part"] };
}

function regionOf(whole: string, name: string): Region {
  const known = named.get(whole);
  if (known) return known;
  if (/\d\s*\.\./.test(whole)) return regionNamed(whole.replace("/", ","));
  return unknownName("region", name, [
    ...regionNames,
    "south..north/west..east (a box in degrees)",
    "REGION-land",
    "REGION-sea",
  ]);
}

/** Interpolation may overshoot the coast by so much (bicubic: a tenth); what lies farther off is no fraction. */
const overshoot = 0.1;

function checkedLand(parsed: readonly Parsed[], grid: Grid, land: Field | undefined): Float64Array {
  const { name } = parsed.find(({ part }) => part !== "all")!;
  if (land === undefined) {
    throw new ClimaxError(
      "config",
      `the region ${name} wants the fraction of land in each cell, and none was given`,
      "give a file that holds the land-sea mask (lsm, sftlf): --land FILE",
    );
  }
  const cells = grid.lat.length * grid.lon.length;
  if (land.length !== cells) {
    throw new RangeError(`a land fraction of ${land.length} cells for a grid of ${cells}`);
  }
  const odd = land.findIndex((x) => !(x >= -overshoot && x <= 1 + overshoot));
  if (odd >= 0) {
    throw new ClimaxError(
      "data",
      `the fraction of land is ${land[odd]} in cell ${odd}; wanted a number from 0 to 1 in every cell`,
      "give a mask without gaps, as a fraction, not in per cent",
    );
  }
  return Float64Array.from(land, (x) => Math.min(1, Math.max(0, x)));
}
