/** Maps of a report: where errors are large, which way they go, and where a system is better than another. */
import { ClimaxError } from "../errors.ts";
import { type Grid, longitudeSeam } from "../grid/grid.ts";
import { coloursFor } from "../plot/colours.ts";
import { drawMaps, type MapPanel, type Picture } from "../plot/map.ts";
import type { Projection } from "../plot/mapview.ts";
import { canvasLibrary } from "../plot/scenecanvas.ts";
import { fieldTitle, unitsTitle } from "../plot/words.ts";
import type { ScoreDocument, ScoreMap } from "../scores/scoredocument.ts";
import { escaped, type Html, paragraph, scrolling, tag } from "./html.ts";
import { threeOf } from "./profiles.ts";
import type { Focus } from "./verdict.ts";
import { caseWords, digits, leadWords, listed } from "./words.ts";

/** Maps that a page holds at most: each takes about 25 kB. */
const mostMaps = 72;
/** px of one map */
const mapWidth = 400;
/** Of WebP, which is a quarter of PNG here: shades of one colour into another are what PNG cannot pack. */
const quality = 90;

/**
 * Pictures of RMSE, bias and skill, a row of maps for each lead; nothing where there are no maps. Where no canvas can be
 * loaded there are words that say so: a page without maps is better than none.
 */
export async function mapFigures(
  document: ScoreDocument,
  maps: readonly ScoreMap[],
  focus: Focus,
  encode: Encoder = toWebp,
): Promise<Html> {
  try {
    return await drawFigures(document, maps, focus, encode);
  } catch (error) {
    if (!(error instanceof ClimaxError && error.kind === "device")) throw error;
    return paragraph(`There are no maps here: ${error.message}.`);
  }
}

type Encoder = (picture: Picture) => Promise<Buffer>;

async function drawFigures(
  document: ScoreDocument,
  maps: readonly ScoreMap[],
  { systems, versus }: Focus,
  encode: Encoder,
): Promise<Html> {
  const forecasts = document.systems.flatMap(({ name, files }) => (files.length > 0 ? [name] : []));
  const has = (name: string) => maps.some(({ system }) => system === name);
  const own = systems.filter((name) => forecasts.includes(name) && has(name));
  // Of a run whose only system is what the others are compared with, its own.
  const candidates = own.length > 0 ? own : [...forecasts, ...systems].filter(has);
  const variables = unique(maps.map(({ variable }) => variable));
  const leads = unique(maps.map(({ lead_hours }) => lead_hours)).toSorted((a, b) => a - b);
  const shown = choose(candidates, variables, leads, versus !== undefined && has(versus) ? 3 : 2);
  const figures: Html[] = [];
  for (const variable of shown.variables) {
    for (const system of shown.systems) {
      figures.push(await figure(maps, system, versus, variable, shown, encode));
    }
  }
  const kept = figures.filter((one) => one !== "");
  if (kept.length === 0) return "";
  const left = [
    ...leftOut("systems", candidates, shown.systems),
    ...leftOut("variables", variables.map(fieldTitle), shown.variables.map(fieldTitle)),
    ...leftOut("leads", leads.map(leadWords), shown.leads.map(leadWords)),
  ];
  const said =
    left.length === 0 ? "" : ` For the size of this page there are no maps of the ${left.join("; of the ")}.`;
  return paragraph(`${mapWords(versus)}${said}`) + kept.join("");
}

function mapWords(versus: string | undefined): string {
  const skill =
    versus === undefined
      ? ""
      : ` Skill is 1 − MSE / MSE of ${versus}: 1 is perfect, 0 (white) as good as ${versus}, below 0 worse.`;
  return `RMSE and bias (forecast minus truth, all forecasts together) at each point.${skill}`;
}

/** As many leads, then systems, then variables as there is room for. */
function choose(
  systems: readonly string[],
  variables: readonly string[],
  leads: readonly number[],
  kinds: number,
): { systems: readonly string[]; variables: readonly string[]; leads: readonly number[] } {
  const [first, middle, last] = [leads.slice(0, 1), threeOf(leads).slice(1, 2), leads.slice(-1)];
  const leadChoices = [threeOf(leads), unique([...first, ...last]), middle.length > 0 ? middle : first];
  const fits = (s: number, v: number, l: number) => s * v * l * kinds <= mostMaps;
  for (const count of [systems.length, Math.min(2, systems.length), 1]) {
    for (const chosen of leadChoices) {
      if (fits(count, variables.length, chosen.length)) {
        return { systems: systems.slice(0, count), variables, leads: chosen };
      }
    }
  }
  const room = Math.max(1, Math.floor(mostMaps / kinds));
  return { systems: systems.slice(0, 1), variables: variables.slice(0, room), leads: leadChoices[2]! };
}

function leftOut(noun: string, all: readonly string[], shown: readonly string[]): string[] {
  const left = all.filter((one) => !shown.includes(one) && one !== "");
  if (left.length === 0) return [];
  return [left.length > 6 ? `other ${left.length} ${noun}` : `${noun} ${listed(left)}`];
}

/** One picture: for each lead RMSE, bias and skill side by side. */
async function figure(
  maps: readonly ScoreMap[],
  system: string,
  versus: string | undefined,
  variable: string,
  shown: { readonly systems: readonly string[]; readonly leads: readonly number[] },
  encode: Encoder,
): Promise<Html> {
  const find = (name: string | undefined, what: ScoreMap["what"], lead: number) =>
    maps.find(
      (map) =>
        map.system === name && map.what === what && map.variable === variable && map.lead_hours === lead,
    );
  const rows = shown.leads.flatMap((lead) => {
    const [rmse, bias] = [find(system, "rmse", lead), find(system, "bias", lead)];
    if (rmse === undefined || bias === undefined) return [];
    const other = find(versus, "rmse", lead);
    return [{ lead, rmse, bias, skill: other && skillOf(rmse.values, other.values) }];
  });
  if (rows.length === 0) return "";
  const withSkill = rows.every(({ skill }) => skill !== undefined);
  const { grid, units } = rows[0]!.rmse;
  const told: string[] = [];
  // Errors grow with the lead, so each row has colours of its own, the same for all systems; skills share theirs.
  const ofAll = (what: ScoreMap["what"], lead: number) =>
    shown.systems.flatMap((name) => find(name, what, lead)?.values ?? []);
  const skillColours = coloursFor(
    "skill",
    variable,
    rows.flatMap(({ skill }) => skill ?? []),
    [-1, 1],
  );
  const panels = rows.flatMap(({ lead, rmse, bias, skill }): MapPanel[] => {
    const at = leadWords(lead);
    const title = (what: string) => (at === "" ? what : `${what}, ${at}`);
    const unit = unitsTitle(units);
    told.push(
      `${title("RMSE")} ${extremes(grid, rmse.values, unit)}`,
      `${title("bias")} ${extremes(grid, bias.values, unit)}`,
    );
    const errors: MapPanel[] = [
      {
        title: title("RMSE"),
        field: rmse,
        units,
        colours: coloursFor("score", variable, ofAll("rmse", lead)),
      },
      {
        title: title("Bias"),
        field: bias,
        units,
        colours: coloursFor("error", variable, ofAll("bias", lead)),
      },
    ];
    if (!withSkill || skill === undefined) return errors;
    told.push(`${title("skill")} above 0 in ${shareAbove(grid, skill)} of the area`);
    return [
      ...errors,
      {
        title: title(`Skill against ${versus}`),
        field: { grid, values: skill },
        units: "1",
        colours: skillColours,
      },
    ];
  });
  const picture = drawMaps(panels, {
    projection: projectionOf(grid),
    columns: withSkill ? 3 : 2,
    width: mapWidth,
    smooth: true,
  });
  const caption = `${system}: ${fieldTitle(variable)}`;
  const image = tag("img", {
    src: `data:image/webp;base64,${(await encode(picture)).toString("base64")}`,
    alt: `Maps of ${caption}. ${told.join("; ")}.`,
    width: picture.width,
    height: picture.height,
  });
  return tag(
    "figure",
    { class: "maps" },
    tag("figcaption", {}, escaped(caption)),
    scrolling(`Maps, ${system}, ${caseWords(variable, 0)}`, image),
  );
}

async function toWebp(picture: Picture): Promise<Buffer> {
  const { createCanvas, ImageData } = canvasLibrary();
  const canvas = createCanvas(picture.width, picture.height);
  canvas.getContext("2d").putImageData(new ImageData(picture.rgba(), picture.width, picture.height), 0, 0);
  return canvas.encode("webp", quality);
}

/** 1 - MSE / MSE of the other; NaN where the other is perfect. */
export function skillOf(rmse: ArrayLike<number>, other: ArrayLike<number>): Float32Array {
  return Float32Array.from(rmse, (value, i) => (other[i]! > 0 ? 1 - (value / other[i]!) ** 2 : Number.NaN));
}

/** A ring of longitudes gets a map of the world, anything else one of its own extent. */
function projectionOf(grid: Grid): Projection {
  const tall = Math.abs(grid.lat.at(-1)! - grid.lat[0]!) > 120;
  return tall && longitudeSeam(grid).periodic ? "robinson" : "regional";
}

/** "from 12 to 800 m² s⁻², the largest at 52° N 190° E" */
function extremes({ lat, lon }: Grid, values: ArrayLike<number>, unit: string): string {
  let [least, most, where] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value < least) least = value;
    if (value > most) [most, where] = [value, i];
  }
  if (where < 0) return "without a value";
  const [north, east] = [lat[Math.floor(where / lon.length)]!, lon[where % lon.length]!];
  const place = `${Math.abs(Math.round(north))}° ${north < 0 ? "S" : "N"} ${Math.round(east)}° E`;
  return `${`from ${digits(least)} to ${digits(most)} ${unit}`.trim()}, the largest at ${place}`;
}

/** Part of the area with a value where it is positive. */
function shareAbove({ lat, lon }: Grid, values: ArrayLike<number>): string {
  let [above, total] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i]!)) continue;
    const weight = Math.cos((lat[Math.floor(i / lon.length)]! * Math.PI) / 180);
    total += weight;
    if (values[i]! > 0) above += weight;
  }
  return total === 0 ? "no part" : `${Math.round((100 * above) / total)} %`;
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
