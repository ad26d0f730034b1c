/** What the page of `climax view` is told beside the pictures: what there is to choose, the numbers, single values. */
import { basename } from "node:path";
import { formatTime } from "../data/time.ts";
import { knownName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid } from "../grid/grid.ts";
import { projectionFor } from "../plot/mapview.ts";
import { fieldTitle, numberText, quantityTitle, unitsTitle, withUnits } from "../plot/words.ts";
import { cellWeights } from "../scores/definitions.ts";
import { regionTitle } from "./plotwords.ts";
import { cutTo } from "./regioncut.ts";
import {
  numberOf,
  projectionTitles,
  readWantedPicture,
  regionsOf,
  type Side,
  sides,
  type Wanted,
} from "./viewchoice.ts";
import { errorNumbers, type FieldNumbers, fieldNumbers } from "./viewnumbers.ts";
import type { Painter } from "./viewpainter.ts";
import type { Frame, ViewSource } from "./viewsource.ts";
import { alternative, memberTitle, sideTitles, whenTitle } from "./viewwords.ts";

/** What there is to choose, and where it comes from. */
export function catalogueOf(source: ViewSource, version: string) {
  const { system, truth, definition } = source;
  return {
    version,
    system: system.name,
    files: system.paths.map((path) => basename(path)),
    truth: truth ? basename(truth.path) : null,
    synthetic: source.synthetic,
    grid: describeGrid(system.grid),
    notes: source.notes,
    definition: { name: definition.name, weights: definition.weights },
    variables: source.variables.map((name) => {
      const { level } = knownName(name) ?? {};
      return {
        name,
        title: fieldTitle(name),
        group: quantityTitle(name),
        level: level ?? null,
      };
    }),
    initial: system.initialTimes.map(formatTime),
    leads: system.leads,
    members: system.members,
    projections: Object.entries(projectionTitles).map(([name, title]) => ({ name, title })),
    projection: projectionFor(system.grid),
    regions: regionsOf(source).map((region) => ({ name: region.name, title: regionTitle(region) })),
    lat: [...system.grid.lat],
    lon: [...system.grid.lon],
  };
}

/** The fields of a frame by side, those that there are. */
function fieldsOf(frame: Frame): readonly (readonly [Side, Float32Array])[] {
  return sides.flatMap((side) => {
    const field = frame[side];
    return field ? [[side, field] as const] : [];
  });
}

const numbersText = ({ mean, least, most, missing }: FieldNumbers) => ({
  mean: numberText(mean),
  least: numberText(least),
  most: numberText(most),
  missing,
});

/**
 * The texts and numbers of one frame, over the region that is looked at. Where there is no forecast for that lead, it
 * is that of the nearest.
 */
export async function frameOf({ choice: asked, region }: Wanted, source: ViewSource) {
  const leads = source.leadsOf(asked.variable, asked.initial);
  const away = (lead: number) => Math.abs(lead - asked.leadHours);
  const leadHours = leads.reduce((a, b) => (away(b) < away(a) ? b : a), leads[0] ?? asked.leadHours);
  const choice = { ...asked, leadHours };
  const frame = await source.frame(choice);
  const { grid, cut } = cutTo(source.system.grid, region);
  const weights = cut(cellWeights(source.system.grid, source.definition));
  const place = region ? regionTitle(region) : describeGrid(grid);
  const panels = fieldsOf(frame).map(([side, field]) => {
    const numbers = fieldNumbers(cut(field), weights);
    return {
      side,
      title: sideTitles[side],
      alt: alternative(side, frame, numbers, { members: source.system.members, place }),
      ...numbersText(numbers),
    };
  });
  const error = frame.difference && errorNumbers(cut(frame.difference), weights);
  const { units } = frame;
  const title = `${fieldTitle(choice.variable)}${memberTitle(choice, source.system.members)}`;
  const when = whenTitle(frame, source.system.averageHours);
  const forecast = panels.find(({ side }) => side === "forecast")!;
  const own =
    `Forecast mean ${forecast.mean}, from ${forecast.least} to ${forecast.most} ${unitsTitle(units)}`.trim();
  return {
    title,
    when,
    units: unitsTitle(units),
    lead: leadHours,
    /** Those there are from this initial time. */
    leads,
    lacking: frame.lacking ?? null,
    panels,
    scores: error
      ? {
          rmse: withUnits(error.rmse, units),
          bias: withUnits(error.bias, units),
          cells: error.cells,
          of: weights.length,
        }
      : null,
    /** One paragraph for the live region. */
    spoken:
      `${title}, ${when}. ${own}.` +
      (error ? ` RMSE ${withUnits(error.rmse, units)}, bias ${withUnits(error.bias, units)}.` : "") +
      (frame.lacking === undefined ? "" : ` No truth: ${frame.lacking}.`),
  };
}

/**
 * The values of the cell at a latitude and longitude, or under a point of a picture (x and y from 0 to 1), and where
 * on that picture the cell lies.
 *
 * @throws ClimaxError "config" for a point that is none
 */
export async function cellValueOf(query: URLSearchParams, source: ViewSource, painter: Painter) {
  const wanted = readWantedPicture(query, source);
  const frame = await source.frame(wanted.choice);
  const { grid, cut } = cutTo(source.system.grid, wanted.region);
  const place =
    query.has("x") || query.has("y")
      ? (await painter.paint(wanted)).placeAt(numberOf(query, "x", -1), numberOf(query, "y", -1))
      : { lat: numberOf(query, "lat", Number.NaN), lon: numberOf(query, "lon", Number.NaN) };
  if (!place) return null; // beside the map
  const { lat, lon } = place;
  if (!(lat >= -90 && lat <= 90 && lon >= -360 && lon <= 360)) {
    throw new ClimaxError(
      "config",
      `found latitude ${lat} and longitude ${lon}; wanted -90 to 90 and -360 to 360`,
      "give degrees north and degrees east",
    );
  }
  const [row, column] = nearestCell(grid, lat, lon);
  const [latitude, longitude] = [grid.lat[row]!, grid.lon[column]!];
  const at = row * grid.lon.length + column;
  const values = fieldsOf(frame).map(([side, field]) => ({
    side,
    title: sideTitles[side],
    value: withUnits(cut(field)[at]!, frame.units),
  }));
  const marks: Partial<Record<Side, { x: number; y: number }>> = {};
  for (const { side } of values) {
    const mark = (await painter.paint({ ...wanted, side })).pointOf(latitude, longitude);
    if (mark) marks[side] = mark;
  }
  const said = values.map(({ title, value }) => `${title} ${value}`).join(", ");
  return {
    lat: latitude,
    lon: longitude,
    place: placeTitle(latitude, longitude),
    values,
    spoken: `${placeTitle(latitude, longitude)}: ${said}.`,
    /** Where the cell lies on each picture, from 0 to 1; none where the projection does not show it. */
    marks,
  };
}

/** Row and column of the cell whose centre is nearest; longitudes go round. */
function nearestCell({ lat, lon }: Grid, latitude: number, longitude: number): [row: number, column: number] {
  const nearest = (axis: Float64Array, distance: (x: number) => number) =>
    axis.reduce((best, x, i) => (distance(x) < distance(axis[best]!) ? i : best), 0);
  const round = (x: number) => Math.abs(((((x - longitude) % 360) + 540) % 360) - 180);
  return [nearest(lat, (x) => Math.abs(x - latitude)), nearest(lon, round)];
}

/** "47.8125° N, 11.25° E" */
function placeTitle(latitude: number, longitude: number): string {
  const east = longitude > 180 ? longitude - 360 : longitude;
  const degrees = (x: number) => `${Number(Math.abs(x).toFixed(4))}°`;
  return `${degrees(latitude)} ${latitude < 0 ? "S" : "N"}, ${degrees(east)} ${east < 0 ? "W" : "E"}`;
}
