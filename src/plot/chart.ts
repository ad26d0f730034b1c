/** Charts of lines and points, alone or side by side under one legend, as SVG text. */
import {
  type Box,
  edges,
  heading,
  type LegendEntry,
  legend,
  levelAxis,
  marginOf,
  strokeOf,
  uprightAxis,
} from "./frame.ts";
import { type Axis, makeScale } from "./scale.ts";
import { document, element, escapeText, ink, marker, palette, px } from "./svg.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
  /** Through the points in their order, or through `curve`; solid unless given. */
  readonly line?: "solid" | "dashed" | "none";
  /** Whether each point has a mark; yes unless given. */
  readonly marker?: boolean;
  /** Where the line runs if not through the points, such as a fit. */
  readonly curve?: readonly Point[];
  /** Confidence limits, by ascending x; shaded. */
  readonly band?: readonly BandPoint[];
  /** Index of its colour, mark and dash; its place in the list unless given. */
  readonly style?: number;
}

export interface BandPoint {
  readonly x: number;
  readonly low: number;
  readonly high: number;
}

export interface LineChart {
  readonly title: string;
  /** Smaller, beneath the title. */
  readonly subtitle?: string;
  readonly x: Axis;
  readonly y: Axis;
  /** Told apart by colour, mark and dash; from the eleventh on by dash alone. */
  readonly series: readonly Series[];
  /** Whether names stand above the data; where there are several unless given. */
  readonly legend?: boolean;
  /** What the chart shows, for who does not see it. */
  readonly description?: string;
  /** px; 720 x 450 unless given. */
  readonly width?: number;
  readonly height?: number;
}

/**
 * A chart of lines and points.
 *
 * @throws ClimaxError "data" for numbers that an axis cannot show
 */
export function lineChart(chart: LineChart): string {
  const { width = 720, height = 450 } = chart;
  const named = chart.legend ?? chart.series.length > 1;
  const svg = draw(chart, { left: 0, top: 0, right: width, bottom: height }, named);
  return document(width, height, chart.title, svg, chart.description);
}

export interface Panels {
  readonly title: string;
  readonly subtitle?: string;
  /** All with the same series in the same order: the legend is that of the first. */
  readonly charts: readonly LineChart[];
  readonly columns: number;
  /** px, of one panel; 360 x 300 unless given. */
  readonly width?: number;
  readonly height?: number;
}

/**
 * Charts side by side, row by row, under one title and one legend.
 *
 * @throws ClimaxError "data" for numbers that an axis cannot show
 */
export function panels({ title, subtitle, charts, columns, width = 360, height = 300 }: Panels): string {
  const across = Math.min(columns, charts.length);
  const room = across * width;
  const top = heading({ title, subtitle }, 14, 4, room - 28);
  const names = legend(charts[0]!.series.map(entryOf), 14, top.bottom, room - 28);
  const drawn = charts.flatMap((chart, i) => {
    const [left, above] = [(i % across) * width, names.bottom + Math.floor(i / across) * height];
    return draw(chart, { left, top: above, right: left + width, bottom: above + height }, false);
  });
  const down = Math.ceil(charts.length / across);
  return document(room, names.bottom + down * height, title, [...top.svg, ...names.svg, ...drawn]);
}

/** Draws into a part of the picture. */
function draw(chart: LineChart, outer: Box, withLegend: boolean): string[] {
  const all = chart.series.flatMap(({ points, curve = [], band = [] }) => [
    ...points,
    ...curve,
    ...band.flatMap(({ x, low, high }) => [
      { x, y: low },
      { x, y: high },
    ]),
  ]);
  const ys = all.map(({ y }) => y);
  const left = outer.left + 10 + marginOf(chart.y, ys);
  const right = outer.right - 18;
  const top = heading(chart, outer.left + 14, outer.top + 4, outer.right - outer.left - 28);
  const names = withLegend
    ? legend(chart.series.map(entryOf), outer.left + 14, top.bottom, right - outer.left - 14)
    : { svg: [], bottom: top.bottom };
  const box: Box = { left, right, top: names.bottom + 8, bottom: outer.bottom - 50 };
  const x = makeScale(
    all.map((point) => point.x),
    chart.x,
    box.left,
    box.right,
  );
  const y = makeScale(ys, chart.y, box.bottom, box.top);
  const at = (points: readonly Point[]) =>
    points.map((point) => ({ ...point, px: x.at(point.x), py: y.at(point.y) }));
  const bands = chart.series.flatMap(({ band = [], style }, i) => {
    if (band.length < 2) return [];
    const edge = (key: "low" | "high") => at(band.map((point) => ({ x: point.x, y: point[key] })));
    const corners = [...edge("low"), ...edge("high").toReversed()].map(
      (point) => `${px(point.px)},${px(point.py)}`,
    );
    const fill = palette[(style ?? i) % palette.length]!;
    return [element("polygon", { points: corners.join(" "), fill, "fill-opacity": "0.16" })];
  });
  // Where numbers of both signs stand, the line between them is more than one of the grid.
  const nought =
    !chart.y.log && y.low < 0 && y.high > 0
      ? [
          element("line", {
            x1: box.left,
            y1: y.at(0),
            x2: box.right,
            y2: y.at(0),
            stroke: ink,
            "stroke-width": 0.8,
          }),
        ]
      : [];
  const lines = chart.series.flatMap(({ points, curve = points, line = "solid", style }, i) => {
    if (line === "none" || curve.length < 2) return [];
    const path = at(curve).map((point) => `${px(point.px)},${px(point.py)}`);
    return [element("polyline", { points: path.join(" "), fill: "none", ...strokeOf(style ?? i, line) })];
  });
  const marks = chart.series.flatMap(({ name, points, marker: marked = true, style }, i) =>
    marked
      ? at(points).map((point) =>
          // The numbers, for whoever points at the mark.
          element(
            "g",
            {},
            element("title", {}, escapeText(`${name}: ${point.x}, ${Number(point.y.toPrecision(4))}`)) +
              marker(style ?? i, point.px, point.py, palette[(style ?? i) % palette.length]!),
          ),
        )
      : [],
  );
  return [
    ...top.svg,
    ...names.svg,
    ...uprightAxis(chart.y, y, box, outer.left + 6),
    ...levelAxis(chart.x, x, box),
    edges(box),
    ...nought,
    ...bands,
    ...lines,
    ...marks,
  ];
}

function entryOf({ name, line = "solid", marker: marked = true, style }: Series, i: number): LegendEntry {
  return { name, style: style ?? i, line, marker: marked };
}
