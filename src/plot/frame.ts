/** What surrounds the data of every chart: title, legend, axes with their numbers, grid lines. */
import { type Axis, makeScale, type Scale } from "./scale.ts";
import {
  dashes,
  element,
  fontSize,
  gridInk,
  ink,
  marker,
  palette,
  text,
  textWidth,
  wrapText,
} from "./svg.ts";

/** Edges of the part where data are drawn, px. */
export interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export interface LegendEntry {
  readonly name: string;
  /** Index into palette, dashes and marks. */
  readonly style: number;
  readonly line: "solid" | "dashed" | "none";
  readonly marker: boolean;
  /** A filled box in place of line and mark. */
  readonly box?: boolean;
}

const lineHeight = 1.3;

/** A title of as many lines as it needs and a subtitle. Returns the SVG and where it ends, px. */
export function heading(
  { title, subtitle }: { readonly title: string; readonly subtitle?: string | undefined },
  left: number,
  top: number,
  room: number,
): { svg: string[]; bottom: number } {
  const svg: string[] = [];
  let y = top;
  for (const [words, size, bold] of [
    [title, fontSize.title, true],
    [subtitle ?? "", fontSize.subtitle, false],
  ] as const) {
    if (words === "") continue;
    for (const line of wrapText(words, size, room, bold)) {
      y += lineHeight * size;
      svg.push(text(left, y, line, { size, bold }));
    }
  }
  return { svg, bottom: y + 6 };
}

/** Names in rows, wrapped at the right edge: above the data, so that it covers none. */
export function legend(
  entries: readonly LegendEntry[],
  left: number,
  top: number,
  room: number,
): { svg: string[]; bottom: number } {
  const [swatch, gap, row] = [30, 20, 18];
  let [x, y] = [left, top + 13];
  const svg = entries.flatMap((entry) => {
    const width = swatch + 7 + textWidth(entry.name, fontSize.tick);
    if (x > left && x + width > left + room) [x, y] = [left, y + row];
    const own = [
      ...swatchOf(entry, x, y - 4, swatch),
      text(x + swatch + 7, y, entry.name, { size: fontSize.tick }),
    ];
    x += width + gap;
    return own;
  });
  return { svg, bottom: entries.length > 0 ? y + 8 : top };
}

function swatchOf(
  { style, line, marker: marked, box }: LegendEntry,
  x: number,
  y: number,
  width: number,
): string[] {
  const colour = palette[style % palette.length]!;
  if (box) {
    return [
      element("rect", {
        x: x + 4,
        y: y - 6,
        width: width - 8,
        height: 12,
        fill: fillOf(style),
        stroke: ink,
        "stroke-width": 0.7,
      }),
    ];
  }
  return [
    ...(line === "none"
      ? []
      : [element("line", { x1: x, y1: y, x2: x + width, y2: y, ...strokeOf(style, line) })]),
    ...(marked ? [marker(style, x + width / 2, y, colour)] : []),
  ];
}

/** How a line of this style is drawn. */
export function strokeOf(style: number, line: "solid" | "dashed") {
  const dash = dashes[(style + Math.floor(style / palette.length)) % dashes.length]!;
  return {
    stroke: palette[style % palette.length]!,
    "stroke-width": 2,
    "stroke-dasharray": line === "solid" ? undefined : dash || dashes[1],
    "stroke-linejoin": "round",
  };
}

/** What a bar of this style is filled with: plain, or hatched in its colour. */
export function fillOf(style: number): string {
  return style % 2 === 0 ? palette[style % palette.length]! : `url(#hatch${style % palette.length})`;
}

/** The hatches that `fillOf` names, each at its own angle. */
export function hatches(count: number): string {
  const made = Array.from({ length: Math.min(count, palette.length) }, (_, i) => i).filter(
    (i) => i % 2 === 1,
  );
  return element(
    "defs",
    {},
    made
      .map((i) =>
        element(
          "pattern",
          {
            id: `hatch${i}`,
            width: 6,
            height: 6,
            patternUnits: "userSpaceOnUse",
            patternTransform: `rotate(${45 * i})`,
          },
          element("rect", { width: 6, height: 6, fill: palette[i]! }) +
            element("rect", { width: 2, height: 6, fill: "#ffffff", "fill-opacity": 0.75 }),
        ),
      )
      .join(""),
  );
}

/** Room that the numbers and the label of the upright axis take, px. */
export function marginOf(y: Axis, values: readonly number[]): number {
  const { labels } = makeScale(values, y, 1, 0);
  return Math.max(...labels.map((label) => textWidth(label, fontSize.tick))) + 14 + 1.7 * fontSize.label;
}

/** Grid lines, numbers and label of the upright axis. */
export function uprightAxis(axis: Axis, scale: Scale, box: Box, outer: number): string[] {
  const lines = scale.ticks.flatMap((value, i) => {
    const y = scale.at(value);
    return [
      element("line", { x1: box.left, y1: y, x2: box.right, y2: y, stroke: gridInk, "stroke-width": 1 }),
      text(box.left - 8, y + 0.36 * fontSize.tick, scale.labels[i]!, { size: fontSize.tick, anchor: "end" }),
    ];
  });
  const [x, middle] = [outer + fontSize.label, (box.top + box.bottom) / 2];
  return [...lines, text(x, middle, axis.label, { size: fontSize.label, anchor: "middle", rotate: -90 })];
}

/** Grid lines, numbers and label of the level axis; numbers that would touch the one before are left out. */
export function levelAxis(axis: Axis, scale: Scale, box: Box): string[] {
  let free = Number.NEGATIVE_INFINITY;
  const lines = scale.ticks.flatMap((value, i) => {
    const x = scale.at(value);
    const line = element("line", {
      x1: x,
      y1: box.top,
      x2: x,
      y2: box.bottom,
      stroke: gridInk,
      "stroke-width": 1,
    });
    const half = textWidth(scale.labels[i]!, fontSize.tick) / 2;
    if (x - half < free) return [line];
    free = x + half + 6;
    return [line, text(x, box.bottom + 17, scale.labels[i]!, { size: fontSize.tick, anchor: "middle" })];
  });
  const middle = (box.left + box.right) / 2;
  return [...lines, text(middle, box.bottom + 37, axis.label, { size: fontSize.label, anchor: "middle" })];
}

/** The left and the lower edge. */
export function edges({ left, right, top, bottom }: Box): string {
  return element("path", {
    d: `M${left.toFixed(2)} ${top.toFixed(2)}V${bottom.toFixed(2)}H${right.toFixed(2)}`,
    fill: "none",
    stroke: ink,
    "stroke-width": 1.2,
  });
}
