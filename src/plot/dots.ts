/** Charts of one score for each of several names: a mark with its confidence limits, as SVG text. */
import { type Box, edges, heading, levelAxis } from "./frame.ts";
import { type Axis, makeScale } from "./scale.ts";
import {
  document,
  element,
  escapeText,
  fontSize,
  gridInk,
  marker,
  palette,
  text,
  textWidth,
  wrapText,
} from "./svg.ts";

export interface Dot {
  readonly name: string;
  readonly value: number;
  /** Confidence limits. */
  readonly limits?: readonly [low: number, high: number];
  /** Index of its colour and mark. */
  readonly style: number;
  /** A dashed line to its mark: quoted, not measured. */
  readonly quoted?: boolean;
}

export interface DotChart {
  readonly title: string;
  readonly x: Axis;
  readonly dots: readonly Dot[];
  readonly description?: string;
  /** px; 380 unless given. */
  readonly width?: number;
}

/**
 * One line for each name, the values to the right of it.
 *
 * @throws ClimaxError "data" for numbers that are not finite, or when there are none
 */
export function dotChart({ title, x: axis, dots, description, width = 380 }: DotChart): string {
  const top = heading({ title }, 14, 4, width - 28);
  // Long names, as of published scores, leave the values their room.
  const names = dots.map(({ name }) => nameLines(name, 0.45 * width));
  const left = 24 + Math.max(0, ...names.flat().map((line) => textWidth(line, fontSize.tick)));
  const step = 1.2 * fontSize.tick;
  const heights = names.map((lines) => 26 + step * (lines.length - 1));
  const middles = heights.map((height, i) => sum(heights.slice(0, i)) + height / 2);
  const box: Box = {
    left,
    right: width - 18,
    top: top.bottom + 4,
    bottom: top.bottom + 8 + sum(heights),
  };
  const values = dots.flatMap(({ value, limits = [] }) => [value, ...limits]);
  const x = makeScale(values, axis, box.left + 6, box.right);
  const rows = dots.flatMap(({ name, value, limits, style, quoted = false }, i) => {
    const y = box.top + 2 + middles[i]!;
    const lines = names[i]!;
    const colour = palette[style % palette.length]!;
    const told = limits ? `, ${limits.map((limit) => Number(limit.toPrecision(4))).join(" to ")}` : "";
    return [
      ...lines.map((line, at) => {
        const base = y + 0.36 * fontSize.tick + step * (at - (lines.length - 1) / 2);
        return text(left - 10, base, line, { size: fontSize.tick, anchor: "end" });
      }),
      element("line", {
        ...{ x1: box.left, y1: y, x2: quoted ? x.at(value) : box.right, y2: y },
        ...(quoted ? { stroke: colour, "stroke-dasharray": "4 3" } : { stroke: gridInk }),
        "stroke-width": 1,
      }),
      element(
        "g",
        {},
        element("title", {}, escapeText(`${name}: ${Number(value.toPrecision(4))}${told}`)) +
          (limits ? whisker(x.at(limits[0]), x.at(limits[1]), y, colour) : "") +
          marker(style, x.at(value), y, colour),
      ),
    ];
  });
  return document(
    width,
    box.bottom + 48,
    title,
    [...top.svg, ...levelAxis(axis, x, box), edges(box), ...rows],
    description,
  );
}

/** Broken at its spaces, and anywhere in words that are longer than a line. */
function nameLines(name: string, room: number): string[] {
  return wrapText(name, fontSize.tick, room).flatMap((line) => {
    const letters = [...line];
    const pieces = Math.max(1, Math.ceil(textWidth(line, fontSize.tick) / room));
    const each = Math.ceil(letters.length / pieces);
    return Array.from({ length: pieces }, (_, i) => letters.slice(i * each, (i + 1) * each).join(""));
  });
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

function whisker(from: number, to: number, y: number, colour: string): string {
  const d = `M${from.toFixed(2)} ${y - 4}v8M${from.toFixed(2)} ${y}H${to.toFixed(2)}M${to.toFixed(2)} ${y - 4}v8`;
  return element("path", { d, fill: "none", stroke: colour, "stroke-width": 1.8 });
}
