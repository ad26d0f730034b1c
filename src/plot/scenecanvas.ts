/** Draws a scene into pixels, with letters that come with the program: a machine without fonts draws them too. */
import { createRequire } from "node:module";
import type * as Canvas from "@napi-rs/canvas";
import { ClimaxError } from "../errors.ts";
import type { Item, Raster, Scene } from "./scene.ts";
import { ink } from "./svg.ts";

const require = createRequire(import.meta.url);

/** Under a name that no font of the machine has. */
const family = "climax-dejavu-sans";

/**
 * Loads the canvas and its letters.
 *
 * @param load  in place of what loads the package
 * @throws ClimaxError "device" where there is no build of it for this machine
 */
export function loadCanvas(load: () => typeof Canvas = () => require("@napi-rs/canvas")): typeof Canvas {
  let library: typeof Canvas;
  try {
    library = load();
  } catch (error) {
    const { platform, arch } = process;
    const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new ClimaxError(
      "device",
      `PNG and GIF cannot be drawn on this machine: @napi-rs/canvas does not load on ${platform} ${arch} (${why})`,
      "SVG needs none of it: climax plot -o NAME.svg; or install again with what is optional: npm ci --include=optional",
      { cause: error },
    );
  }
  const fonts = require.resolve("@fontsource/dejavu-sans/package.json").replace(/package\.json$/, "files/");
  for (const weight of [400, 700]) {
    const path = `${fonts}dejavu-sans-latin-${weight}-normal.woff2`;
    if (library.GlobalFonts.registerFromPath(path, family)) continue;
    throw new ClimaxError("data", `the font ${path} cannot be read`, "install the package again: npm ci");
  }
  return library;
}

let loaded: typeof Canvas | undefined;

/** The canvas, loaded when it is first wanted. @throws ClimaxError as `loadCanvas` */
export function canvasLibrary(): typeof Canvas {
  loaded ??= loadCanvas();
  return loaded;
}

/**
 * The scene's pixels on a canvas, one of its own for each.
 *
 * @param density  pixels of the canvas in one px of the scene, whole
 */
export function drawScene({ width, height, items }: Scene, density = 1): Canvas.Canvas {
  const library = canvasLibrary();
  const canvas = library.createCanvas(density * width, density * height);
  const context = canvas.getContext("2d");
  context.scale(density, density);
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.lineJoin = "round";
  for (const item of items) draw(library, context, item, density);
  return canvas;
}

function draw(library: typeof Canvas, context: Canvas.SKRSContext2D, item: Item, density: number): void {
  switch (item.kind) {
    case "path": {
      const path = new library.Path2D(item.d);
      if (item.fill !== undefined) {
        context.fillStyle = item.fill;
        context.fill(path);
      }
      if (item.stroke !== undefined) {
        context.strokeStyle = item.stroke;
        context.lineWidth = item.width ?? 1;
        context.stroke(path);
      }
      return;
    }
    case "text":
      context.font = `${item.bold ? "bold " : ""}${item.size}px ${family}`;
      context.textAlign = ({ start: "left", middle: "center", end: "right" } as const)[
        item.anchor ?? "start"
      ];
      if (item.halo) {
        context.strokeStyle = "#ffffff";
        context.lineWidth = 3;
        context.strokeText(item.words, item.x, item.y);
      }
      context.fillStyle = item.fill ?? ink;
      context.fillText(item.words, item.x, item.y);
      return;
    case "image":
      context.imageSmoothingEnabled = false;
      context.drawImage(rasterCanvas(library, item.raster(density)), item.x, item.y, item.width, item.height);
      return;
    case "group":
      context.save();
      context.translate(item.x, item.y);
      for (const one of item.items) draw(library, context, one, density);
      context.restore();
      return;
  }
}

function rasterCanvas(library: typeof Canvas, { width, height, data }: Raster): Canvas.Canvas {
  const canvas = library.createCanvas(width, height);
  canvas.getContext("2d").putImageData(new library.ImageData(data, width, height), 0, 0);
  return canvas;
}

/** An SVG of svg.ts as PNG, in our letters. @param density pixels in a px, whole */
export async function svgPng(svg: string, density: number): Promise<Buffer> {
  const library = canvasLibrary();
  const image = await library.loadImage(
    Buffer.from(svg.replace(/font-family="[^"]*"/, `font-family="${family}"`)),
  );
  const { width, height } = image;
  // Without these the picture is drawn small first, and then enlarged.
  image.width = density * width;
  image.height = density * height;
  const canvas = library.createCanvas(density * width, density * height);
  canvas.getContext("2d").drawImage(image, 0, 0, density * width, density * height);
  return canvas.encode("png");
}
