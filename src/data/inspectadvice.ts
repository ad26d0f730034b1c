// The exact commands that make a file usable: to a regular grid, into a training set, or from what it is now.
import type { ClimaxError } from "../errors.ts";
import { regularGrid, sameGrid } from "../grid/grid.ts";
import { regridMethods } from "../grid/regrid.ts";
import type { Field } from "./fields.ts";
import { type FoundGrid, isGlobal } from "./inspectgrid.ts";
import type { Inspection, Next } from "./inspectschema.ts";
import { type CfTime, formatTime } from "./time.ts";

/** Spacings ClimaX was pretrained at, degrees. */
const coarse = 5.625;
const fine = 1.40625;

/** Quantities whose sums matter: an average over the new cells keeps them. */
const fluxes = [
  ...["mean_total_precipitation_rate", "total_precipitation", "pr90", "toa_incident_solar_radiation"],
  ...["SO2", "BC"],
];

/** @param grids  those of `about`, in the same order */
export function nextStep(
  about: Omit<Inspection, "next">,
  grids: readonly FoundGrid[],
  fields: readonly Field[],
): Next {
  const file = quoted(about.path);
  const named = fields.filter(({ grid }) => grid);
  if (named.length === 0) return withoutFields(about, grids, file);
  const grid = named[0]!.grid!;
  const other = named.find((field) => !sameGrid(field.grid!, grid));
  const onPaperGrid = isRegular(grid.lat.length, grid);
  if (other || !onPaperGrid) {
    const found = grids.find((each) => each.grid && sameGrid(each.grid, grid));
    const description = found?.about.description ?? "another grid";
    if (few(grid)) return fewPoints(description);
    const res = resolutionFor(grid, description);
    const names = new Set(about.variables.map(({ climax }) => climax));
    const flux = [...names].filter((name) => fluxes.includes(name));
    const method =
      flux.length === names.size
        ? " --method conservative"
        : names.has("soil_type") && names.size === 1
          ? " --method nearest"
          : "";
    const out = outputName(about.path, res);
    const spacing = (grid.lat.at(-1)! - grid.lat[0]!) / (grid.lat.length - 1 || 1);
    const adds = spacing > 1.5 * res ? `, coarser than ${res} degrees: interpolating adds no detail` : "";
    const mixed =
      flux.length > 0 && method === "" ? `; regrid ${flux.join(", ")} by --method conservative` : "";
    return {
      usable: false,
      why: `${other ? "its variables lie on several grids" : `it lies on ${description}`}${adds}${mixed}`,
      commands: [
        `climax regrid ${file} --res ${res}${method} -o ${out}`,
        ...afterwards(fields, out, about.variables),
      ],
    };
  }
  return {
    usable: true,
    why: `it lies on the regular grid of ${180 / grid.lat.length} degrees`,
    commands: afterwards(fields, file, about.variables),
  };
}

function isRegular(rows: number, grid: NonNullable<Field["grid"]>): boolean {
  return rows >= 2 && sameGrid(grid, regularGrid(180 / rows)) && rows <= 180 / fine;
}

const fewPoints = (description: string): Next => ({
  usable: false,
  why: `${description}: a few points, on which no grid of ClimaX can be made`,
  commands: [],
});

/** Whether not even one point of the finer grid need lie within. */
function few({ lat, lon }: NonNullable<Field["grid"]>): boolean {
  if (lat.length < 2 || lon.length < 2) return true;
  return lat.at(-1)! - lat[0]! < fine || (lon.length < 4 && (lon.at(-1)! - lon[0]! + 360) % 360 < fine);
}

/** 5.625 degrees; a region that would have fewer than 8 rows there is better seen finely. */
function resolutionFor({ lat }: NonNullable<Field["grid"]>, description: string): number {
  const extent = lat.at(-1)! - lat[0]!;
  return isGlobal(description) || extent >= 8 * coarse ? coarse : fine;
}

/** Nothing that ClimaX knows lies on latitudes and longitudes: what to do is what the refusal says. */
function withoutFields(about: Omit<Inspection, "next">, grids: readonly FoundGrid[], file: string): Next {
  const points = about.grids.find(
    ({ kind }, index) => !grids[index]!.refusal && ["curvilinear", "rotated", "unstructured"].includes(kind),
  );
  const method = (regridMethods as readonly string[]).find((name) => name === "distance-weighted");
  const out = outputName(about.path, coarse);
  if (points && method)
    return {
      usable: false,
      why: `it lies on ${points.description}`,
      commands: [`climax regrid ${file} --res ${coarse} --method ${method} -o ${out}`],
    };
  const unusable = about.unused.find(({ mend }) => mend !== null);
  const choice = /^choose one of them: (?:ncks -d|grib_copy -w) ([^\s,=]+)[,=]0 /.exec(unusable?.mend ?? "");
  if (choice)
    return {
      usable: false,
      why: `${unusable!.why}; regridding keeps them, then one is chosen`,
      commands: [
        `climax regrid ${file} --res ${coarse} -o ${out}`,
        `ncks -d ${choice[1]},0 ${out} ${out.replace(/\.nc('?)$/, `_${choice[1]}0.nc$1`)}`,
      ],
    };
  if (unusable) return { usable: false, ...split(unusable.why, unusable.mend!) };
  const refusal = grids.find((grid) => grid.refusal)?.refusal;
  if (about.variables.length > 0)
    return {
      usable: true,
      why: "it holds one number a time for the whole globe",
      commands: [`climax prepare fields.nc ${file} --train A..B -o set`],
    };
  const onGrid = grids.find((each) => each.grid);
  if (onGrid && few(onGrid.grid!)) return fewPoints(onGrid.about.description);
  if (onGrid)
    return {
      usable: false,
      why: "none of its variables is one of ClimaX's; they can be put on a grid all the same",
      commands: [`climax regrid ${file} --res ${coarse} -o ${out}`],
    };
  if (refusal) return { usable: false, ...fromRefusal(refusal) };
  return { usable: false, why: "it holds no fields", commands: [] };
}

const fromRefusal = ({ message, hint }: ClimaxError) => split(message, hint);

/** A hint such as "remap it first: cdo ... out.nc (needs ...)" as words and command. */
function split(why: string, hint: string): Pick<Next, "why" | "commands"> {
  const [, words, command, aside = ""] =
    /^(.*?):? ((?:cdo|ncks|climax|python3|apt|sudo|pip|conda|export) .*?)( \(.*\))?$/.exec(hint) ?? [];
  return command === undefined
    ? { why: `${why}; ${hint}`, commands: [] }
    : { why: `${why}; ${words}${aside}`, commands: [command] };
}

/** What follows once a file lies on the grid: a training set, a forecast, or the file beside others. */
function afterwards(fields: readonly Field[], path: string, variables: Inspection["variables"]): string[] {
  const times = fields.flatMap((field) => (field.times?.length ? [field.times] : []))[0];
  const gaps = variables.some(({ values }) => values !== null && values.missing > 0)
    ? " --nan-fill mean"
    : "";
  const stem = path
    .replace(/^'|'$/g, "")
    .split(/[/\\]/)
    .at(-1)!
    .replace(/\.\w+$/, "");
  if (!times) return [`climax prepare states.nc ${path} --train A..B${gaps} -o set`];
  const periods = choosePeriods(times);
  if (!periods)
    return [
      `climax forecast --checkpoint run/best.safetensors --input ${path} --time ${formatTime(times.at(-1)!)} --lead 72h -o forecast.nc`,
    ];
  return [`climax prepare ${path} ${periods}${gaps} -o ${quoted(`${stem}-set`)}`];
}

/** Characters of "2017-01-31T06:00:00" that a year, a month, a day, an hour and an instant take. */
const precisions = [-15, -12, -9, -6, 0];

/**
 * Flags that divide times into train, val and test, in this order: by whole years where there are three, else by
 * months, days, hours; undefined for fewer than three states. Of 40 years the paper's 37, 1 and 2.
 */
export function choosePeriods(times: readonly CfTime[]): string | undefined {
  const all = times.toSorted((a, b) => a.seconds - b.seconds).map(formatTime);
  const labels = precisions
    .map((end) => [...new Set(all.map((time) => (end === 0 ? time : time.slice(0, end))))])
    .find((distinct) => distinct.length >= 3);
  if (!labels) return undefined;
  const test = Math.max(1, Math.floor(labels.length / 20));
  const val = Math.max(1, Math.floor(labels.length / 40));
  const train = labels.length - val - test;
  const range = (from: number, to: number) =>
    from === to ? labels[from]! : `${labels[from]}..${labels[to]}`;
  return [
    `--train ${range(0, train - 1)}`,
    `--val ${range(train, train + val - 1)}`,
    `--test ${range(train + val, labels.length - 1)}`,
  ].join(" ");
}

/** "dir/tas.nc" at 5.625: "tas_5.625deg.nc", in the folder one is in. */
export function outputName(path: string, res: number): string {
  const name = path
    .replace(/[/\\]+$/, "")
    .split(/[/\\]/)
    .at(-1)!;
  return quoted(
    `${name.replace(/\.(nc4?|cdf|h5|hdf5|grib?[12]?|grb2?|zarr(-v\d)?|npz)$/i, "")}_${res}deg.nc`,
  );
}

/** As a shell takes it. */
export function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
