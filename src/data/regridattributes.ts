// What regridding leaves true of a file's attributes, and what it must change (CF-1.11).

import type { AttributeValue } from "../files/dataset.ts";
import type { RegridMethod } from "../grid/regrid.ts";

export type Attributes = Map<string, AttributeValue>;

/** How the numbers were stored, which the output does not share. */
const storage = [
  "_FillValue",
  "missing_value",
  "scale_factor",
  "add_offset",
  "_Unsigned",
  "valid_min",
  "valid_max",
  "valid_range",
  "actual_range",
];

/** What is true of the old grid only: cell areas, CDO's and CDI's names of grids, chunk sizes, extents. */
const ofGrid = [
  "cell_measures",
  "CDI_grid_type",
  "CDI_grid_num_LPE",
  "CDI_grid_latitudes",
  "grid_type",
  "_ChunkSizes",
  "nominal_resolution",
];

/** Attributes of a regridded variable: float32 with NaN for gaps, and the cells of its new grid. */
export function fieldAttributes(
  attributes: Attributes,
  method: RegridMethod,
  kept: ReadonlySet<string>,
): Attributes {
  const out: Attributes = new Map(attributes);
  for (const name of [...storage, ...ofGrid]) out.delete(name);
  for (const name of ["coordinates", "ancillary_variables"]) keepNames(out, name, kept);
  const mapping = out.get("grid_mapping");
  if (typeof mapping === "string" && !kept.has(mapping.split(":")[0]!.trim())) out.delete("grid_mapping");
  const methods = cellMethods(attributes.get("cell_methods"), method);
  if (methods === "") out.delete("cell_methods");
  else out.set("cell_methods", methods);
  out.set("_FillValue", Number.NaN);
  return out;
}

/** Leaves out of a list of variable names those that the output lacks, and the attribute when none is left. */
function keepNames(attributes: Attributes, name: string, kept: ReadonlySet<string>): void {
  const value = attributes.get(name);
  if (typeof value !== "string") return;
  const left = value.split(/\s+/).filter((word) => kept.has(word));
  if (left.length > 0) attributes.set(name, left.join(" "));
  else attributes.delete(name);
}

/**
 * Conservative values are means over the new cells, so "area: mean" is said. Interpolated ones are not, whatever
 * the source's cells meant, so what was said of the area is taken out. Time and the rest stay as they are.
 */
export function cellMethods(value: AttributeValue | undefined, method: RegridMethod): string {
  const text = typeof value === "string" ? value.trim().replace(/\s+/g, " ") : "";
  const area = /\barea: /;
  if (method === "conservative") return area.test(text) ? text : `${text} area: mean`.trim();
  return cellMethodEntries(text)
    .map((entry) => {
      if (!area.test(entry)) return entry;
      const others = entry.replace(area, "");
      return /^\w+: /.test(others) ? others : ""; // "area: time: mean" leaves "time: mean", "area: mean" nothing
    })
    .filter((entry) => entry !== "")
    .join(" ");
}

/** Each is "name: [name: ...] method [where ...] [within|over ...] [(comment)]"; a comment may hold colons too. */
function cellMethodEntries(text: string): string[] {
  const entries: string[] = [];
  let [depth, names] = [0, false];
  for (const word of text === "" ? [] : text.split(" ")) {
    const name = depth === 0 && /^\w+:$/.test(word);
    if (entries.length === 0 || (name && !names)) entries.push(word);
    else entries.push(`${entries.pop()} ${word}`);
    names = name;
    depth += word.split("(").length - word.split(")").length;
  }
  return entries;
}

/** Attributes of a coordinate of the new grid: the source's names for it, standard units, new bounds. */
export function axisAttributes(
  attributes: Attributes,
  axis: "latitude" | "longitude",
  bounds: string,
): Attributes {
  const out: Attributes = new Map();
  const longName = attributes.get("long_name");
  out.set("standard_name", axis);
  out.set("long_name", typeof longName === "string" && longName !== "" ? longName : axis);
  out.set("units", axis === "latitude" ? "degrees_north" : "degrees_east");
  out.set("axis", axis === "latitude" ? "Y" : "X");
  out.set("bounds", bounds);
  return out;
}

export interface Provenance {
  /** As typed. */
  commandLine: string;
  /** "climax 0.1.0". */
  program: string;
  method: RegridMethod;
  /** In words, as describeGrid gives them. */
  sourceGrid: string;
  targetGrid: string;
  sourceFile: string;
  date: Date;
}

/** Global attributes: the source's, with the newest line of `history` first, as cdo, nco and ncks write it. */
export function globalAttributes(attributes: Attributes, provenance: Provenance): Attributes {
  const { commandLine, program, method, sourceGrid, targetGrid, sourceFile, date } = provenance;
  const out: Attributes = new Map();
  const conventions = attributes.get("Conventions");
  // Some files say CF-1.0 and COARDS in one; what is written here keeps to CF-1.11.
  out.set(
    "Conventions",
    typeof conventions === "string" && /^CF-1\.\d+/.test(conventions) ? conventions : "CF-1.11",
  );
  for (const [name, value] of attributes) {
    const gone =
      ["Conventions", "history", "nominal_resolution", "_NCProperties", "tracking_id"].includes(name) ||
      /^geospatial_(lat|lon|bounds)/.test(name);
    if (!gone) out.set(name, value);
  }
  // CMIP6's words for its grids; the tracking id names the source's bytes, not these.
  if (attributes.has("grid_label")) out.set("grid_label", "gr");
  if (attributes.has("grid")) out.set("grid", `${targetGrid}; ${method} regridding from ${sourceGrid}`);
  if (attributes.has("tracking_id")) out.set("source_tracking_id", attributes.get("tracking_id")!);
  const line = `${date.toISOString().replace(/\.\d+Z$/, "Z")}: ${commandLine} (${program})`;
  const before = attributes.get("history");
  out.set("history", typeof before === "string" && before !== "" ? `${line}\n${before}` : line);
  out.set("regrid_method", method);
  out.set("regrid_source_grid", sourceGrid);
  out.set("regrid_source_file", sourceFile);
  return out;
}
