/** A picture as a list of paths, words and rasters, which SVG and a canvas draw alike. */
import { crc32, deflateSync } from "node:zlib";
import { element, escapeText, ink, px } from "./svg.ts";

/** Pixels, row by row from the top: RGBA, 0..255. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

export interface PathItem {
  readonly kind: "path";
  /** As the attribute d of SVG. */
  readonly d: string;
  readonly stroke?: string;
  readonly width?: number;
  readonly fill?: string;
}

export interface TextItem {
  readonly kind: "text";
  readonly x: number;
  /** Of the baseline. */
  readonly y: number;
  readonly words: string;
  readonly size: number;
  readonly anchor?: "start" | "middle" | "end";
  readonly bold?: boolean;
  readonly fill?: string;
  /** White around the letters, for words that lie over colours. */
  readonly halo?: boolean;
}

export interface ImageItem {
  readonly kind: "image";
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** @param scale pixels of the raster in one of the picture */
  raster(scale: number): Raster;
}

export interface GroupItem {
  readonly kind: "group";
  readonly x: number;
  readonly y: number;
  readonly items: readonly Item[];
}

export type Item = PathItem | TextItem | ImageItem | GroupItem;

export interface Scene {
  readonly width: number;
  readonly height: number;
  /** For who does not see it. */
  readonly title: string;
  readonly items: readonly Item[];
}

/** Fonts of the width of ours, then what there is. */
const fonts = "'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif";

/** Pixels of a field in one of the picture: sharp on screens of twice the density, and when printed. */
const density = 2;

/** A whole SVG file: no script, nothing fetched; rasters are inside it. */
export function sceneSvg({ width, height, title, items }: Scene): string {
  const attributes = {
    xmlns: "http://www.w3.org/2000/svg",
    width,
    height,
    viewBox: `0 0 ${px(width)} ${px(height)}`,
    role: "img",
    "font-family": fonts,
  };
  const content = [
    "",
    element("title", {}, escapeText(title)),
    element("rect", { width, height, fill: "#ffffff" }),
    ...items.map(itemSvg),
    "",
  ];
  return `${element("svg", attributes, content.join("\n"))}\n`;
}

function itemSvg(item: Item): string {
  switch (item.kind) {
    case "path":
      return element("path", {
        d: item.d,
        fill: item.fill ?? "none",
        stroke: item.stroke,
        "stroke-width": item.stroke === undefined ? undefined : (item.width ?? 1),
        "stroke-linejoin": item.stroke === undefined ? undefined : "round",
      });
    case "text":
      return element(
        "text",
        {
          x: item.x,
          y: item.y,
          "font-size": item.size,
          "text-anchor": item.anchor === "start" ? undefined : item.anchor,
          "font-weight": item.bold ? "bold" : undefined,
          fill: item.fill ?? ink,
          ...(item.halo
            ? { stroke: "#ffffff", "stroke-width": 3, "stroke-linejoin": "round", "paint-order": "stroke" }
            : {}),
        },
        escapeText(item.words),
      );
    case "image":
      return element("image", {
        x: item.x,
        y: item.y,
        width: item.width,
        height: item.height,
        preserveAspectRatio: "none",
        href: `data:image/png;base64,${encodePng(item.raster(density)).toString("base64")}`,
      });
    case "group":
      return element(
        "g",
        { transform: `translate(${px(item.x)} ${px(item.y)})` },
        item.items.map(itemSvg).join("\n"),
      );
  }
}

/** A raster as a PNG file (RFC 2083): eight bits each of RGBA, no filter. */
export function encodePng({ width, height, data }: Raster): Buffer {
  const line = 4 * width;
  const rows = Buffer.alloc(height * (line + 1)); // each with a 0 before it: the filter "none"
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength); // clamped arrays are copied slowly
  for (let y = 0; y < height; y++) bytes.copy(rows, y * (line + 1) + 1, line * y, line * (y + 1));
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 6, 0, 0, 0], 8); // bits, colour type RGBA, and the only methods there are
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}
