/** The bar beneath a map that says which colour is which value, in units as they are written. */
import type { Colours } from "./colours.ts";
import { breakLines, lineWidth } from "./lettering.ts";
import { gapColour } from "./mapraster.ts";
import { linearTicks, tickLabels } from "./scale.ts";
import type { Item, Raster } from "./scene.ts";
import { ink } from "./svg.ts";
import { raised, unitsTitle } from "./words.ts";

/**
 * The unit that a bar is labelled in: pressures of the air in hPa, depths of water in mm, and powers of ten where plain numbers are long.
 *
 * @returns what to divide by, and the unit in words: "10³ m² s⁻²"
 */
export function barUnits(low: number, high: number, units: string): { divisor: number; words: string } {
  const size = Math.max(Math.abs(low), Math.abs(high));
  const words = unitsTitle(units);
  if (units === "Pa" && size >= 200) return { divisor: 100, words: "hPa" };
  if (units === "m" && size < 0.5) return { divisor: 1e-3, words: "mm" };
  if (size === 0 || (size >= 0.05 && size < 1e4)) return { divisor: 1, words };
  const exponent = 3 * Math.floor(Math.log10(size) / 3 + 1e-9);
  return { divisor: 10 ** exponent, words: `10${raised(exponent)} ${words}`.trim() };
}

/**
 * The bar, from (0, 0) rightward and down.
 *
 * @param width   px that it may take
 * @param factor  size of letters, 1 for those of a map 720 px wide
 * @param gaps    whether what is missing is to be explained
 */
export function colourBar(
  colours: Colours,
  units: string,
  width: number,
  factor: number,
  gaps: boolean,
): { items: Item[]; height: number } {
  const [size, height] = [11.5 * factor, Math.round(12 * factor)];
  const length = Math.round(Math.min(0.66 * width, 520 * factor));
  const left = Math.round((width - length) / 2);
  const { low, high, extend } = colours;
  const { divisor, words } = barUnits(low, high, units);
  const at = (value: number) => left + ((value - low) / (high - low)) * length;
  const ticks = ticksOf(low / divisor, high / divisor, Math.floor(length / (58 * factor)));
  const labels = tickLabels(ticks);
  const items: Item[] = [
    {
      kind: "image",
      ...{ x: left, y: 0, width: length, height },
      raster: (scale) => ramp(colours, length * scale),
    },
  ];
  const arrow = height * 0.9;
  const beyond = (isLow: boolean): Item => {
    const [from, tip] = isLow ? [left, left - arrow] : [left + length, left + length + arrow];
    const [red, green, blue] = colours.at(isLow ? low : high);
    return {
      kind: "path",
      d: `M${from},0L${tip},${height / 2}L${from},${height}`,
      fill: `rgb(${red},${green},${blue})`,
      stroke: ink,
      width: 0.8,
    };
  };
  if (extend === "min" || extend === "both") items.push(beyond(true));
  if (extend === "max" || extend === "both") items.push(beyond(false));
  items.push({ kind: "path", d: `M${left},0h${length}v${height}h${-length}Z`, stroke: ink, width: 0.8 });
  for (const [i, value] of ticks.entries()) {
    const x = at(value * divisor);
    items.push(
      { kind: "path", d: `M${x.toFixed(2)},${height}v4`, stroke: ink, width: 0.8 },
      { kind: "text", x, y: height + 5 + size, words: labels[i]!, size, anchor: "middle" },
    );
  }
  let bottom = height + 7 + size;
  for (const line of breakLines(words, size, width)) {
    if (line === "") continue;
    bottom += 1.25 * size;
    items.push({ kind: "text", x: left + length / 2, y: bottom, words: line, size, anchor: "middle" });
  }
  if (gaps) {
    const note = "no value";
    const need = 22 * factor + 5 + lineWidth(note, size);
    const beside = width - (left + length) - arrow - 12 >= need;
    const [x, y] = beside ? [Math.round(left + length + arrow + 12), 0] : [left, Math.round(bottom + 8)];
    const swatch = Math.round(22 * factor);
    items.push(
      {
        kind: "image",
        ...{ x, y, width: swatch, height },
        raster: (scale) => stripes(swatch, height, scale),
      },
      { kind: "path", d: `M${x},${y}h${swatch}v${height}h${-swatch}Z`, stroke: ink, width: 0.8 },
      { kind: "text", x: x + swatch + 5, y: y + height / 2 + 0.36 * size, words: note, size },
    );
    if (!beside) bottom = y + height;
  }
  return { items, height: Math.ceil(bottom + 4) };
}

/** About so many round numbers, but at least three: one or two do not say how far the colours reach. */
function ticksOf(low: number, high: number, count: number): number[] {
  for (let wanted = Math.max(3, count); ; wanted++) {
    const ticks = linearTicks(low, high, wanted);
    if (ticks.length >= 3) return ticks;
  }
}

function ramp(colours: Colours, width: number): Raster {
  const data = new Uint8ClampedArray(4 * width);
  for (let x = 0; x < width; x++) {
    data.set(colours.at(colours.low + ((x + 0.5) / width) * (colours.high - colours.low)), 4 * x);
    data[4 * x + 3] = 255;
  }
  return { width, height: 1, data };
}

function stripes(width: number, height: number, scale: number): Raster {
  const data = new Uint8ClampedArray(4 * width * height * scale * scale).fill(255);
  for (let y = 0, to = 0; y < height * scale; y++) {
    for (let x = 0; x < width * scale; x++, to += 4) data.fill(gapColour(x / scale, y / scale), to, to + 3);
  }
  return { width: width * scale, height: height * scale, data };
}
