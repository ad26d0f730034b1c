/** Maps of fields, one or several on one picture, as pixels, PNG or SVG. */
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";
import { colourBar } from "./colourbar.ts";
import type { Colours } from "./colours.ts";
import { breakLines, lineWidth } from "./lettering.ts";
import { fieldRaster, sampler } from "./mapraster.ts";
import { extentOf, fittingWidth, type Label, type MapView, makeMapView, type Projection } from "./mapview.ts";
import { type Item, type Scene, sceneSvg } from "./scene.ts";
import { drawScene } from "./scenecanvas.ts";
import { ink } from "./svg.ts";

export interface MapPanel {
  readonly title: string;
  /** Values [H * W], south to north; NaN where missing. */
  readonly field: { readonly grid: Grid; readonly values: ArrayLike<number> };
  /** As in files, "m2 s-2". */
  readonly units: string;
  readonly colours: Colours;
}

export interface MapOptions {
  readonly title?: string;
  readonly subtitle?: string;
  readonly projection: Projection;
  /** Longitude at the middle, degrees east; 0 unless given. A regional map's is that of its box. */
  readonly centre?: number;
  /** Panels side by side; as many as there are, at most 3, and 2 of four, unless given. */
  readonly columns?: number;
  /** px of one panel; 720 of a single one, else 480. */
  readonly width?: number;
  /** Size of letters and lines, 1 as on a panel of 720 px; follows the width unless given. */
  readonly letters?: number;
  /** Bilinear between the points; else each cell has one colour. */
  readonly smooth?: boolean;
}

/** px from the left and upper edge of the picture. */
export interface MapPlace {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Picture {
  /** px */
  readonly width: number;
  readonly height: number;
  /** Where the map of each panel lies, without title and bar; `mapViewOf` of that width says what is where on it. */
  readonly maps: readonly MapPlace[];
  /** [height * width * 4] */
  rgba(): Uint8ClampedArray;
  /** @param density  pixels in a px, whole: 2 for a screen of twice the density */
  png(density?: number): Promise<Buffer>;
  /** Lines and words as such; the field is a raster inside it. */
  svg(): string;
}

/**
 * Draws maps. What is drawn is the same each time; nothing is read from the machine, not even its fonts.
 * `rgba` and `png` throw a ClimaxError "device" where no canvas can be loaded; `svg` needs none.
 *
 * @throws ClimaxError "shape" for values that are not one field on their grid; "grid" for a grid without area
 */
export function drawMaps(panels: readonly MapPanel[], options: MapOptions): Picture {
  const { scene, maps } = mapScene(panels, options);
  return {
    width: scene.width,
    height: scene.height,
    maps,
    rgba: () => drawScene(scene).getContext("2d").getImageData(0, 0, scene.width, scene.height).data,
    png: (density) => drawScene(scene, density).encode("png"),
    svg: () => sceneSvg(scene),
  };
}

/** Room on each side of a panel, in px at factor 1. */
const margin = { left: 46, right: 14 } as const;

function mapScene(panels: readonly MapPanel[], options: MapOptions): { scene: Scene; maps: MapPlace[] } {
  if (panels.length === 0) throw new RangeError("a picture of no maps");
  for (const panel of panels) checkPanel(panel);
  const columns = Math.min(panels.length, options.columns ?? (panels.length === 4 ? 2 : 3));
  const width = Math.round(options.width ?? (panels.length === 1 ? 720 : 480));
  const factor = options.letters ?? Math.max(0.8, Math.min(1.7, width / 720));
  const whole = columns * width;
  const head = heading(options, whole, factor * (columns > 1 ? 1.2 : 1));
  const items: Item[] = [...head.items];
  const maps: MapPlace[] = [];
  const drawn = panels.map((panel) => drawPanel(panel, options, width, factor));
  let top = head.height;
  for (let first = 0; first < drawn.length; first += columns) {
    const row = drawn.slice(first, first + columns);
    const titles = Math.max(...row.map(({ titleHeight }) => titleHeight));
    row.forEach((panel, i) => {
      items.push({ kind: "group", x: i * width, y: top, items: panel.title });
      items.push({ kind: "group", x: i * width, y: top + titles, items: panel.map });
      const { place } = panel;
      maps.push({ ...place, left: i * width + place.left, top: top + titles + place.top });
    });
    top += titles + Math.max(...row.map(({ mapHeight }) => mapHeight));
  }
  const title = options.title ?? panels.map(({ title }) => title).join("; ");
  return { scene: { width: whole, height: Math.ceil(top + 8 * factor), title, items }, maps };
}

function checkPanel({ title, field: { grid, values } }: MapPanel): void {
  const wanted = grid.lat.length * grid.lon.length;
  if (values.length === wanted) return;
  throw new ClimaxError(
    "shape",
    `the map "${title}" has ${values.length} values for a grid of ${grid.lat.length} x ${grid.lon.length} points`,
    `give ${wanted} values, row by row from the south`,
  );
}

const hasGaps = ({ field: { values } }: MapPanel) => {
  for (let i = 0; i < values.length; i++) if (Number.isNaN(values[i]!)) return true;
  return false;
};

function heading({ title = "", subtitle = "" }: MapOptions, width: number, factor: number) {
  const items: Item[] = [];
  let y = 6 * factor;
  for (const [words, size, bold] of [
    [title, 15 * factor, true],
    [subtitle, 11 * factor, false],
  ] as const) {
    if (words === "") continue;
    for (const line of breakLines(words, size, width - 28, bold)) {
      y += 1.3 * size;
      items.push({ kind: "text", x: 14, y, words: line, size, bold, fill: bold ? ink : "#555555" });
    }
  }
  return { items, height: Math.round(y + 8 * factor) };
}

function drawPanel(panel: MapPanel, options: MapOptions, width: number, factor: number) {
  const { title, field, units, colours } = panel;
  const polar = options.projection === "north-polar" || options.projection === "south-polar";
  const left = Math.round(margin.left * factor);
  const room = width - left - Math.round((polar ? margin.left : margin.right) * factor);
  const titleSize = 12.5 * factor;
  const titleLines = title === "" ? [] : breakLines(title, titleSize, width - 28, true);
  const titleItems = titleLines.map((words, i): Item => {
    return {
      kind: "text",
      x: width / 2,
      y: (i + 1) * 1.3 * titleSize,
      words,
      size: titleSize,
      bold: true,
      anchor: "middle",
    };
  });
  const { projection, centre = 0 } = options;
  const view = mapViewOf(projection, centre, field.grid, fittingWidth(projection, field.grid, room));
  const sample = sampler(field.grid, field.values, options.smooth === true);
  const size = 10 * factor;
  const upper = view.labels.some(({ away }) => away && away[1] < -0.5) ? Math.round(1.4 * size) : 0;
  const lower = view.labels.some(({ away }) => away && away[1] > 0.5) ? Math.round(1.6 * size) : 0;
  const items: Item[] = [
    {
      kind: "image",
      ...{ x: 0, y: 0, width: view.width, height: view.height },
      raster: (scale) => fieldRaster(view, sample, colours, scale),
    },
    { kind: "path", d: view.graticule, stroke: "rgba(0,0,0,0.22)", width: 0.6 * factor },
    // A little white beneath the coast shows it on dark colours.
    { kind: "path", d: view.coast, stroke: "rgba(255,255,255,0.45)", width: Math.max(1.9, 2 * factor) },
    { kind: "path", d: view.coast, stroke: "#111111", width: Math.max(0.9, 0.95 * factor) },
    { kind: "path", d: view.outline, stroke: ink, width: 1.2 * factor },
    ...view.labels.map((label) => degreeLabel(label, size, view.width + (width - left - room) - 2)),
  ];
  const inset = left + Math.round((room - view.width) / 2);
  const map: Item[] = [{ kind: "group", x: inset, y: upper, items }];
  const barTop = upper + view.height + lower + 10 * factor;
  const bar = colourBar(colours, units, room, factor, hasGaps(panel));
  map.push({ kind: "group", x: left, y: Math.round(barTop), items: bar.items });
  return {
    title: titleItems,
    titleHeight: Math.round(titleLines.length * 1.3 * titleSize + (titleLines.length > 0 ? 8 * factor : 0)),
    map,
    place: { left: inset, top: upper, width: view.width, height: view.height },
    mapHeight: Math.ceil(barTop + bar.height + 10 * factor),
  };
}

/** @param end  where the panel ends, px from the left edge of its map */
function degreeLabel({ words, x, y, away }: Label, size: number, end: number): Item {
  const common = { kind: "text", words, size } as const;
  if (!away) return { ...common, x, y: y + 0.36 * size, anchor: "middle", fill: ink, halo: true };
  const [right, down] = away;
  const middle = Math.abs(right) <= 0.2;
  return {
    ...common,
    // Beneath the right corner there is less room than half of the words may take.
    x: middle ? Math.min(x, end - lineWidth(words, size) / 2) : x + 0.5 * size * right,
    y: y + 0.45 * size * down + 0.36 * size * (1 + down),
    anchor: middle ? "middle" : right < 0 ? "end" : "start",
    fill: "#444444",
  };
}

/** Views that were made lately: the frames of an animation and the panels of a picture share theirs. */
const views = new Map<string, MapView>();

/** The map that a panel of such a projection and width shows: of a regional or polar one, the part that the grid is on. */
export function mapViewOf(projection: Projection, centre: number, grid: Grid, width: number): MapView {
  const extent = extentOf(grid);
  const key = JSON.stringify([projection, centre, projection.match(/regional|polar/) ? extent : 0, width]);
  let view = views.get(key);
  if (!view) {
    view = makeMapView(projection, centre, extent, width);
    if (views.size >= 8) views.delete(views.keys().next().value!);
    views.set(key, view);
  }
  return view;
}
