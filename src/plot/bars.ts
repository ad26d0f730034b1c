/** Charts of grouped bars, as SVG text: several systems by several tasks. */
import { type Box, edges, fillOf, hatches, heading, legend, marginOf, uprightAxis } from "./frame.ts";
import { type Axis, makeScale } from "./scale.ts";
import { document, element, escapeText, fontSize, ink, text, textWidth, wrapText } from "./svg.ts";

export interface BarSeries {
  readonly name: string;
  /** One for each group; null where there is none. */
  readonly values: readonly (number | null)[];
}

export interface BarChart {
  readonly title: string;
  /** Smaller, beneath the title. */
  readonly subtitle?: string;
  /** Bars begin at 0: the axis is linear. */
  readonly y: Pick<Axis, "label" | "ticks">;
  /** What stands beneath each group. */
  readonly groups: readonly string[];
  readonly series: readonly BarSeries[];
  /** Significant digits of the numbers above the bars, which are left out where they have no room; 3 unless given. */
  readonly digits?: number;
  /** A level line, such as 1 for the reference of ratios. */
  readonly reference?: { readonly value: number; readonly label: string };
  /** What the chart shows, for who does not see it. */
  readonly description?: string;
  /** px; 720 x 450 unless given. */
  readonly width?: number;
  readonly height?: number;
}

/**
 * A chart of bars in groups, which begin at 0.
 *
 * @throws ClimaxError "data" for numbers that are not finite, or when there are none
 */
export function barChart(chart: BarChart): string {
  const { title, groups, series, reference, digits = 3, width = 720, height = 450 } = chart;
  const axis: Axis = { ...chart.y, zero: true };
  const values = [
    ...series.flatMap(({ values }) => values.filter((value) => value !== null)),
    ...(reference ? [reference.value] : []),
  ];
  const top = heading(chart, 14, 4, width - 28);
  const entries = series.map(({ name }, style) => ({
    name,
    style,
    line: "none" as const,
    marker: false,
    box: true,
  }));
  const names = legend(series.length > 1 ? entries : [], 14, top.bottom, width - 32);
  const left = 10 + marginOf(axis, values);
  const room = (width - 18 - left) / groups.length;
  const captions = groups.map((group) => wrapText(group, fontSize.tick, room - 8));
  const captionHeight = 15 * Math.max(...captions.map(({ length }) => length));
  const box: Box = { left, right: width - 18, top: names.bottom + 20, bottom: height - captionHeight - 16 };
  const y = makeScale(values, axis, box.bottom, box.top);
  const zero = y.at(0);
  const slot = (0.84 * room) / series.length;
  // All or none: a number above some bars only would single them out.
  const numbered = values.every((value) => textWidth(short(value, digits), 10) <= slot + 2);
  const bars = groups.flatMap((group, g) =>
    series.flatMap(({ name, values }, s) => {
      const value = values[g] ?? null;
      const x = left + g * room + 0.08 * room + s * slot;
      const middle = x + slot / 2;
      if (value === null) return [text(middle, zero - 4, "–", { size: fontSize.tick, anchor: "middle" })];
      const end = y.at(value);
      const words = short(value, digits);
      const bar = element("rect", {
        x: x + 0.05 * slot,
        y: Math.min(end, zero),
        width: 0.9 * slot,
        height: Math.abs(zero - end),
        fill: fillOf(s),
        stroke: ink,
        "stroke-width": 0.7,
      });
      return [
        element("g", {}, element("title", {}, escapeText(`${name}, ${group}: ${value}`)) + bar),
        ...(numbered
          ? [text(middle, value < 0 ? end + 12 : end - 4, words, { size: 10, anchor: "middle", halo: true })]
          : []),
      ];
    }),
  );
  const beneath = captions.flatMap((lines, g) =>
    lines.map((line, i) =>
      text(left + (g + 0.5) * room, box.bottom + 17 + 15 * i, line, {
        size: fontSize.tick,
        anchor: "middle",
      }),
    ),
  );
  const level = reference
    ? [
        element("line", {
          ...{ x1: box.left, y1: y.at(reference.value), x2: box.right, y2: y.at(reference.value) },
          ...{ stroke: ink, "stroke-width": 1.2, "stroke-dasharray": "5 4" },
        }),
        text(box.right, box.top - 6, `- - ${reference.label}`, { size: fontSize.tick, anchor: "end" }),
      ]
    : [];
  const svg = [
    series.length > 1 ? hatches(series.length) : "",
    ...top.svg,
    ...names.svg,
    ...uprightAxis(axis, y, box, 6),
    ...bars,
    ...level,
    edges({ ...box, bottom: zero }),
    ...beneath,
  ];
  return document(width, height, title, svg, chart.description);
}

/** A number of so many significant digits, without a power of ten. */
function short(value: number, digits: number): string {
  const rounded = Number(value.toPrecision(digits));
  return (Math.abs(rounded) >= 10 ** (digits - 1) ? String(Math.round(value)) : value.toPrecision(digits))
    .replace(/e.*/, () => "")
    .replace("-", "−");
}
