// Tables of what drives the climate as they are published: text, a row for each year, a number for the whole globe in
// each column ("year,CO2 (Gt),CH4 (Gt)"). They open as datasets whose time is the year, as ClimateBench's files have it.
import { ClimaxError, unknownName } from "../errors.ts";
import type { AttributeValue, Dataset, DatasetVariable } from "../files/dataset.ts";
import { copyBox, elements, hyperslab } from "../files/hyperslab.ts";
import { findVariable, variables as known } from "./variables.ts";

/** Whether a file that begins so is such a table: its first line that is no comment (#) names a column "year" first. */
export function looksLikeYearlyCsv(head: string): boolean {
  return /^\uFEFF?(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*"?year"?[ \t]*,/i.test(head);
}

/**
 * Reads the table. A column is named by its variable, with its units in brackets where they are not the variable's own:
 * "CO2", "CO2 (Mt)".
 *
 * @throws ClimaxError "data" for a column that is nothing known to drive the climate, rows of another length, what is no
 *         number, and years that do not follow one another
 */
export function parseYearlyCsv(path: string, text: string): Dataset {
  const fail = (found: string, hint: string): never => {
    throw new ClimaxError("data", `${path}: ${found}`, hint);
  };
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .map((line, i) => ({ number: i + 1, cells: line.split(",").map(unquoted), text: line.trim() }))
    .filter((line) => line.text !== "" && !line.text.startsWith("#"));
  const [header, ...rows] = lines;
  if (!header || rows.length === 0) fail("a table without rows", "write one for each year: 1990,798.3");
  const columns = header!.cells.slice(1).map((cell) => columnOf(path, cell));
  const twice = columns.find(({ name }, i) => columns.findIndex((other) => other.name === name) < i);
  if (twice) fail(`two columns are ${twice.name}`, "leave one of them out");
  const table = rows.map(({ number, cells }) => {
    if (cells.length !== header!.cells.length)
      fail(
        `line ${number} has ${cells.length} entries; wanted ${header!.cells.length}, as the first line`,
        "write numbers with a point, and none left out",
      );
    return cells.map((cell) => {
      const value = cell === "" ? Number.NaN : Number(cell);
      return Number.isFinite(value)
        ? value
        : fail(`"${cell}" in line ${number} is no number`, "write plain numbers with a point, none left out");
    });
  });
  for (const [i, [year]] of table.entries()) {
    const whole = Number.isInteger(year) && year! >= 1000 && year! <= 9999;
    if (whole && (i === 0 || year === table[i - 1]![0]! + 1)) continue;
    const after = i > 0 ? ` after ${table[i - 1]![0]}` : "";
    fail(
      `the year ${year}${after} in line ${rows[i]!.number}; wanted each year of four digits, one after the other`,
      "sort the rows by year and fill gaps",
    );
  }
  const dimensions = new Map([["time", table.length]]);
  const made = [{ name: "time", units: undefined }, ...columns].map(({ name, units }, column) => {
    const attributes = new Map<string, AttributeValue>(units === undefined ? [] : [["units", units]]);
    const values = Float64Array.from(table, (row) => row[column]!);
    return column1d(path, name, values, attributes);
  });
  return {
    path,
    format: "CSV, a row a year",
    dimensions,
    unlimited: new Set(),
    attributes: new Map(),
    variables: new Map(made.map((variable) => [variable.name, variable])),
    close: async () => undefined,
  };
}

const unquoted = (cell: string): string =>
  cell
    .trim()
    .replace(/^"(.*)"$/, "$1")
    .trim();

/** "CO2 (Mt)" or "CO2 [Mt]" */
function columnOf(path: string, cell: string): { name: string; units: string | undefined } {
  const [, name = cell, round, square] = /^(\S+)\s*(?:\(([^()]+)\)|\[([^[\]]+)\])$/.exec(cell) ?? [];
  if (findVariable(name)?.role === "forcing") return { name, units: round ?? square };
  return unknownName(
    `column in ${path}`,
    cell,
    known.filter(({ role }) => role === "forcing").map((info) => info.name),
  );
}

function column1d(
  path: string,
  name: string,
  values: Float64Array<ArrayBuffer>,
  attributes: Map<string, AttributeValue>,
): DatasetVariable {
  const shape = [values.length];
  const read = async (start?: readonly number[], count?: readonly number[]) => {
    const box = hyperslab(name, shape, start, count);
    const out = new Float64Array(elements(box.count));
    copyBox(values, shape, box.start, box.count, out, box.count, [0]);
    return out;
  };
  return {
    ...{ name, dimensions: ["time"], shape, dtype: "float64", attributes },
    read,
    readUnpacked: read,
    readText: async () => {
      throw new ClimaxError("data", `${path}: "${name}" holds numbers, not text`, "read it as numbers");
    },
  };
}
