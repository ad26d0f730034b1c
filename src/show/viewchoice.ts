/** What a page may ask for, checked: nothing of a query reaches the readers or the painter unseen. */
import { ClimaxError, unknownName } from "../errors.ts";
import { type Region, regionPoints, regions } from "../grid/regions.ts";
import { type Projection, projectionFor } from "../plot/mapview.ts";
import type { Choice, ViewSource } from "./viewsource.ts";

/** The projections, as a page names them. */
export const projectionTitles: Readonly<Record<Projection, string>> = {
  robinson: "Robinson",
  "plate-carree": "plate carrée",
  "north-polar": "North Pole",
  "south-polar": "South Pole",
  regional: "regional",
};

/** Which of the pictures that stand side by side. */
export const sides = ["forecast", "truth", "difference"] as const;
export type Side = (typeof sides)[number];

/** A choice, and the part of the globe that is looked at. */
export interface Wanted {
  readonly choice: Choice;
  /** Undefined: the whole grid. */
  readonly region: Region | undefined;
}

export interface WantedPicture extends Wanted {
  readonly side: Side;
  readonly projection: Projection;
  /** px */
  readonly width: number;
  /** Pixels in a px: 2 for a screen of twice the density. */
  readonly density: 1 | 2;
}

/** Narrower is not legible, wider is no screen. */
export const widths = { least: 200, most: 1600 } as const;

/** Regions that one box holds and that the grid has points in; the whole globe is no choice. */
export function regionsOf({ system }: Pick<ViewSource, "system">): readonly Region[] {
  return regions.filter((region) => {
    if (region.name === "Global" || region.bands.length > 1) return false;
    const { rows, columns } = regionPoints(system.grid, region);
    return rows.length > 1 && columns.length > 1;
  });
}

/** @throws ClimaxError "config" for a name that is not there, or a number out of range */
export function readWanted(query: URLSearchParams, source: ViewSource): Wanted {
  const { system } = source;
  const variable = query.get("variable") ?? source.variables[0]!;
  if (!source.variables.includes(variable)) unknownName("variable", variable, source.variables);
  const leadHours = numberOf(query, "lead", system.leads[0]!);
  if (!system.leads.includes(leadHours)) {
    const [first, last] = [system.leads[0], system.leads.at(-1)];
    throw new ClimaxError(
      "config",
      `there is no lead of ${leadHours} h; the forecasts have ${system.leads.length}, from ${first} to ${last} h`,
      "choose one of theirs",
    );
  }
  const member = query.get("member") ?? (system.members > 1 ? "mean" : "0");
  const name = query.get("region") ?? "";
  const known = regionsOf(source);
  const region = known.find((region) => region.name === name);
  if (!region && name !== "")
    unknownName(
      "region",
      name,
      known.map(({ name }) => name),
    );
  return {
    choice: {
      variable,
      initial: indexOf(query, "initial", system.initialTimes.length, "initial times"),
      leadHours,
      member: member === "mean" ? "mean" : indexOf(query, "member", system.members, "members"),
    },
    region,
  };
}

/** @throws ClimaxError "config", as `readWanted` */
export function readWantedPicture(query: URLSearchParams, source: ViewSource): WantedPicture {
  const side = query.get("side") ?? "forecast";
  if (!sides.includes(side as Side)) unknownName("picture", side, sides);
  const projections = Object.keys(projectionTitles);
  const projection = query.get("projection") ?? projectionFor(source.system.grid);
  if (!projections.includes(projection)) unknownName("projection", projection, projections);
  const width = numberOf(query, "width", 800);
  if (!Number.isInteger(width) || width < widths.least || width > widths.most) {
    throw new ClimaxError(
      "config",
      `found a width of ${width}; wanted whole pixels from ${widths.least} to ${widths.most}`,
      "ask for a smaller picture",
    );
  }
  const density = numberOf(query, "density", 1);
  if (density !== 1 && density !== 2) {
    throw new ClimaxError("config", `found a density of ${density}; wanted 1 or 2`, "write density=2");
  }
  return {
    ...readWanted(query, source),
    side: side as Side,
    projection: projection as Projection,
    width,
    density,
  };
}

/** @throws ClimaxError "config" for what is no plain number */
export function numberOf(query: URLSearchParams, key: string, otherwise: number): number {
  const text = query.get(key);
  if (text === null) return otherwise;
  if (/^-?\d{1,12}(\.\d{1,12})?$/.test(text)) return Number(text);
  throw new ClimaxError("config", `found ${key}=${text.slice(0, 40)}; wanted a number`, `write ${key}=12`);
}

function indexOf(query: URLSearchParams, key: string, count: number, what: string): number {
  const index = numberOf(query, key, 0);
  if (Number.isInteger(index) && index >= 0 && index < count) return index;
  throw new ClimaxError(
    "config",
    `found ${key}=${index}; there are ${count} ${what}, counted from 0`,
    `choose a number from 0 to ${count - 1}`,
  );
}
