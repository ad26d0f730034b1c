// A target grid from a file: a CDO grid description in text, or any dataset with latitudes and longitudes.
import { open } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";
import type { DatasetVariable } from "../files/dataset.ts";
import type { CellEdges } from "../grid/conservative.ts";
import { type Grid, gaussianLatitudes, makeGrid } from "../grid/grid.ts";
import { readCellEdges } from "./celledges.ts";
import { findCoordinates, horizontalOf } from "./coordinates.ts";
import { openDataset } from "./open.ts";

/** The most points of an axis that are believed; 0.01 degrees round the globe is 36 000. */
const longestAxis = 100_000;

/** The grid that a file describes or holds, with its cell edges where it gives them. */
export async function readGridFile(path: string): Promise<{ grid: Grid; edges: CellEdges | undefined }> {
  const text = await readGridText(path);
  return text === undefined ? readGridOfDataset(path) : { grid: parseGridText(text, path), edges: undefined };
}

/** The text of a CDO grid description, or undefined when the file is something else (or cannot be opened). */
async function readGridText(path: string): Promise<string | undefined> {
  const handle = await open(path, "r").catch(() => undefined); // openDataset says why
  try {
    // Lists of 100 000 coordinates fit in this.
    const read = await handle?.read(Buffer.alloc(4 << 20), 0, 4 << 20, 0).catch(() => undefined);
    const text = read?.buffer.toString("latin1", 0, read.bytesRead) ?? "";
    return /^(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*gridtype[ \t]*=/i.test(text) ? text : undefined;
  } finally {
    await handle?.close();
  }
}

/** The grid of the first field of a dataset, or of its coordinates when it has no fields. */
async function readGridOfDataset(path: string): Promise<{ grid: Grid; edges: CellEdges | undefined }> {
  const dataset = await openDataset(path);
  try {
    const coordinates = findCoordinates(dataset);
    const axis = (dimensions: readonly string[], kind: string) =>
      dimensions.find((dimension) => coordinates.axes.get(dimension)?.kind === kind);
    const all = [...dataset.variables.values()];
    const dimensions = all
      .map((variable) => variable.dimensions)
      .concat([[...coordinates.axes.keys()]])
      .find((names) => axis(names, "latitude") !== undefined && axis(names, "longitude") !== undefined);
    // Without such a pair the largest variable's grid says what the file has instead.
    const size = ({ shape }: DatasetVariable) => shape.reduce((product, n) => product * n, 1);
    const [main] = all.toSorted((a, b) => size(b) - size(a));
    if (!main) throw new ClimaxError("grid", `${path} has no variables`, "name a file that has a grid");
    const [y, x] = [axis(dimensions ?? [], "latitude"), axis(dimensions ?? [], "longitude")];
    if (y === undefined || x === undefined)
      return { ...(await horizontalOf(coordinates, main)), edges: undefined };
    const horizontal = await horizontalOf(coordinates, { ...main, dimensions: [y, x] });
    const [lat, lon] = [coordinates.axes.get(y)!.variable, coordinates.axes.get(x)!.variable];
    return {
      grid: horizontal.grid,
      edges: await readCellEdges(dataset, horizontal, lat, lon, coordinates.notes),
    };
  } finally {
    await dataset.close();
  }
}

/**
 * A CDO grid description: `gridtype = lonlat` or `gaussian`, `xsize`, `ysize`, and `xfirst`, `xinc`, `yfirst`,
 * `yinc` or the lists `xvals`, `yvals` (User Guide 1.5.2.4). South to north, longitudes in [0, 360), whatever
 * the order in the file. Throws a `grid` error that names what is missing.
 */
export function parseGridText(text: string, path: string): Grid {
  const settings = new Map<string, string>();
  let key = "";
  for (const line of text.split("\n").map((line) => line.replace(/#.*/, "").trim())) {
    const [, name, value] = /^([A-Za-z_]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (name !== undefined) settings.set((key = name.toLowerCase()), value!);
    else if (line !== "" && key !== "") settings.set(key, `${settings.get(key)} ${line}`); // a list goes on
  }
  const fail = (found: string, hint: string): never => {
    throw new ClimaxError("grid", `${path}: ${found}`, hint);
  };
  const type = settings.get("gridtype")!.replaceAll('"', "");
  if (type !== "lonlat" && type !== "gaussian") {
    fail(`the grid type is "${type}"; wanted lonlat or gaussian`, "only rectilinear grids can be targets");
  }
  const numbers = (name: string): number[] => {
    const value = settings.get(name);
    if (value === undefined) fail(`"${name}" is missing`, `add a line such as ${name} = ...`);
    const list = value!.split(/[\s,]+/).map(Number);
    if (list.some((x) => !Number.isFinite(x)))
      fail(`${name} = ${value} is not numeric`, "write plain numbers");
    return list;
  };
  const axis = (letter: "x" | "y"): number[] => {
    const size = numbers(`${letter}size`)[0]!;
    if (!Number.isInteger(size) || size < 1 || size > longestAxis) {
      fail(`${letter}size is ${size}; wanted a whole number up to ${longestAxis}`, "check the file");
    }
    if (settings.has(`${letter}vals`)) {
      const values = numbers(`${letter}vals`);
      if (values.length !== size) {
        fail(`${letter}vals has ${values.length} numbers, ${letter}size is ${size}`, "make them agree");
      }
      return values;
    }
    if (letter === "y" && type === "gaussian") return [...gaussianLatitudes(size)];
    const [first, increment] = [numbers(`${letter}first`)[0]!, numbers(`${letter}inc`)[0]!];
    return Array.from({ length: size }, (_, i) => first + i * increment);
  };
  const ascending = (values: number[]) => values.sort((a, b) => a - b);
  return makeGrid(ascending(axis("y")), ascending(axis("x").map((x) => ((x % 360) + 360) % 360)));
}
