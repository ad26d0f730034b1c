/** Pieces of SVG: text that is escaped and measured, colours, dashes and marks that differ in grey as well. */

/** Dark to light in turn, so that neighbours differ in grey and to colour-blind eyes; dark enough on white to be read. */
export const palette = [
  "#0b4f8a",
  "#d55e00",
  "#12876b",
  "#a63d82",
  "#4ba3d9",
  "#7a6a00",
  "#222222",
  "#8c8c8c",
  "#c99700",
  "#5b2a86",
] as const;

/** Lengths of strokes and gaps, px; the first is solid. */
export const dashes = [
  "",
  "7 4",
  "2 3",
  "10 3 2 3",
  "4 2",
  "12 4",
  "1 4",
  "8 2 2 2 2 2",
  "5 5",
  "14 3 4 3",
] as const;

export const ink = "#222222";
export const gridInk = "#dddddd";
export const background = "#ffffff";

/** Whatever sans-serif the reader has. */
const fonts = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";

/** px */
export const fontSize = { title: 15, subtitle: 11.5, label: 12.5, tick: 11.5 } as const;

/** Text as XML holds it, in elements and attributes. */
export function escapeText(text: string): string {
  const entities: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  // Control characters are not allowed in XML, escaped or not.
  return [...text]
    .filter((char) => char >= " " || char === "\t" || char === "\n")
    .join("")
    .replace(/[&<>"']/g, (char) => entities[char]!);
}

/** Two decimals are finer than any screen. */
export function px(value: number): string {
  return String(Math.round(value * 100) / 100);
}

export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** One element; `content` is SVG already. */
export function element(name: string, attributes: Attributes, content = ""): string {
  const listed = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}="${typeof value === "number" ? px(value) : escapeText(value)}"`],
  );
  return content === "" ? `<${name}${listed.join("")}/>` : `<${name}${listed.join("")}>${content}</${name}>`;
}

export interface TextStyle {
  readonly size: number;
  readonly anchor?: "start" | "middle" | "end";
  readonly bold?: boolean;
  /** Degrees, about the anchor. */
  readonly rotate?: number;
  readonly fill?: string;
  /** White around the letters, for words that lie over lines. */
  readonly halo?: boolean;
}

/** A line of text whose baseline begins, ends or has its middle at (x, y). */
export function text(x: number, y: number, words: string, style: TextStyle): string {
  const { size, anchor = "start", bold = false, rotate, fill = ink, halo = false } = style;
  return element(
    "text",
    {
      x,
      y,
      "font-size": size,
      "text-anchor": anchor === "start" ? undefined : anchor,
      "font-weight": bold ? "bold" : undefined,
      transform: rotate === undefined ? undefined : `rotate(${rotate} ${px(x)} ${px(y)})`,
      fill,
      ...(halo ? { stroke: "#fff", "stroke-width": 3, "paint-order": "stroke" } : {}),
    },
    escapeText(words),
  );
}

/** Width of a line, px: an estimate from the widths of Helvetica, a little on the wide side. */
export function textWidth(words: string, size: number, bold = false): number {
  let ems = 0;
  for (const char of words) {
    if (/[ijltfIr.,:;'!|()[\] -]/.test(char)) ems += 0.36;
    else if (/[mwMW%@]/.test(char)) ems += 0.9;
    else if (/[A-Z]/.test(char)) ems += 0.72;
    else ems += 0.58;
  }
  return ems * size * (bold ? 1.06 : 1);
}

/** Breaks words into lines no wider than `room` px; also after underscores, since names of variables have no spaces. */
export function wrapText(words: string, size: number, room: number, bold = false): string[] {
  const parts = words.split(/(?<=[ _])/);
  const lines: string[] = [];
  let line = "";
  for (const part of parts) {
    if (line !== "" && textWidth((line + part).trimEnd(), size, bold) > room) {
      lines.push(line.trimEnd());
      line = part;
    } else line += part;
  }
  return [...lines, line.trimEnd()];
}

/** Corners of the marks that are not discs, in units of their size. */
const square = [-0.85, -0.85, 0.85, -0.85, 0.85, 0.85, -0.85, 0.85];
const up = [0, -1.15, 1.1, 0.85, -1.1, 0.85];
const down = [0, 1.15, 1.1, -0.85, -1.1, -0.85];
const diamond = [0, -1.25, 1.1, 0, 0, 1.25, -1.1, 0];
const star = [0, -1.3, 0.35, -0.35, 1.3, 0, 0.35, 0.35, 0, 1.3, -0.35, 0.35, -1.3, 0, -0.35, -0.35];
const corners = ["disc", square, up, diamond, down, "disc", square, up, star, down] as const;

/** Half the height of a mark, px. */
const markSize = 4.5;

/** A mark at (x, y), by index: filled, then hollow, in turn, each of its own shape. */
export function marker(index: number, x: number, y: number, colour: string): string {
  const shape = corners[index % corners.length]!;
  const paint = { fill: index % 2 === 1 ? background : colour, stroke: colour, "stroke-width": 1.6 };
  if (shape === "disc") return element("circle", { cx: x, cy: y, r: markSize, ...paint });
  const places = shape.map((part, i) => px((i % 2 === 0 ? x : y) + part * markSize));
  return element("polygon", { points: places.join(" "), ...paint });
}

/**
 * A whole file: no script, no style sheet, nothing fetched.
 *
 * @param description what a reader who does not see it is told; the title unless given
 */
export function document(
  width: number,
  height: number,
  title: string,
  content: readonly string[],
  description?: string,
): string {
  return `${element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width,
      height,
      viewBox: `0 0 ${px(width)} ${px(height)}`,
      role: "img",
      "aria-label": description,
      "font-family": fonts,
    },
    [
      "",
      element("title", {}, escapeText(title)),
      element("rect", { width, height, fill: background }),
      ...content,
      "",
    ].join("\n"),
  )}\n`;
}
