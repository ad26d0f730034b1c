/** Charts as SVG text: where points lie, which numbers stand on the axes, and that nothing leaves the picture. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { barChart } from "../../src/plot/bars.ts";
import { type LineChart, lineChart, panels } from "../../src/plot/chart.ts";
import { dotChart } from "../../src/plot/dots.ts";
import { linearTicks, logTicks, makeScale, tickLabels } from "../../src/plot/scale.ts";
import { marker, palette, wrapText } from "../../src/plot/svg.ts";

const chart: LineChart = {
  title: "Error by size",
  x: { label: "parameters", log: true },
  y: { label: "RMSE [K]" },
  series: [
    { name: "all data", points: [1e4, 1e5, 1e6].map((x, i) => ({ x, y: 3 - i })) },
    { name: "half", points: [1e4, 1e5, 1e6].map((x, i) => ({ x, y: 4 - i })), line: "dashed" },
  ],
};

interface Found {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
}

/** Every element; throws where tags do not match or a character is not escaped. */
function parse(svg: string): Found[] {
  const open: string[] = [];
  const found: Found[] = [];
  let end = 0;
  for (const match of svg.matchAll(/<(\/?)([a-z]+)((?: [\w-]+="[^"<]*")*)(\/?)>([^<]*)/g)) {
    const [all, closing, name = "", listed = "", selfClosing, text = ""] = match;
    if (match.index !== end) throw new Error(`not well-formed at ${svg.slice(end, end + 60)}`);
    end += all.length;
    if (/&(?!(amp|lt|gt|quot|#39);)/.test(text + listed)) throw new Error(`not escaped: ${all}`);
    if (closing) {
      if (open.pop() !== name) throw new Error(`</${name}> closes another element`);
      continue;
    }
    const attributes = Object.fromEntries(
      [...listed.matchAll(/ ([\w-]+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!]),
    );
    found.push({ name, attributes, text });
    if (!selfClosing) open.push(name);
  }
  if (open.length > 0 || end !== svg.length) throw new Error("not well-formed at the end");
  return found;
}

const texts = (svg: string) => parse(svg).filter(({ name }) => name === "text");
const words = (svg: string) => texts(svg).map(({ text }) => text);

test("points lie where their values say, on a logarithmic and a linear axis", () => {
  const discs = parse(lineChart(chart)).filter(({ name }) => name === "circle");
  // The first is in the legend.
  const [a, b, c] = discs
    .slice(1)
    .map(({ attributes }) => [Number(attributes.cx), Number(attributes.cy)]) as [
    number[],
    number[],
    number[],
  ];
  expect(b[0]! - a[0]!).toBeCloseTo(c[0]! - b[0]!, 1);
  expect(b[1]! - a[1]!).toBeCloseTo(c[1]! - b[1]!, 1);
  expect(b[0]!).toBeGreaterThan(a[0]!);
  expect(b[1]!).toBeGreaterThan(a[1]!); // a smaller error lies lower
});

test("a fitted curve takes the place of the line through the points", () => {
  const fitted = lineChart({
    ...chart,
    series: [{ ...chart.series[0]!, curve: [1e4, 1e6].map((x) => ({ x, y: 2 })) }],
  });
  const [line, ...others] = parse(fitted).filter(({ name }) => name === "polyline");
  expect(others).toEqual([]);
  const [start, end] = line!.attributes.points!.split(" ").map((place) => place.split(",").map(Number));
  expect(start![1]).toBe(end![1]);
});

describe("a band", () => {
  const band = [
    { x: 1e4, low: 2, high: 4 },
    { x: 1e6, low: 0, high: 2 },
  ];
  const svg = lineChart({
    ...chart,
    series: [{ ...chart.series[0]!, band, style: 3 }],
    description: "a to b",
  });
  const found = parse(svg);

  test("reaches from its low to its high limit, and the axis holds it", () => {
    const shade = found.find(({ attributes }) => attributes["fill-opacity"])!;
    const corners = shade.attributes.points!.split(" ").map((place) => place.split(",").map(Number));
    expect(corners).toHaveLength(4); // along the low limits, and back along the high ones
    const [a, b, c, d] = corners as [number[], number[], number[], number[]];
    expect([a[0], b[0]]).toEqual([d[0], c[0]]);
    expect(a[1]! - d[1]!).toBeCloseTo(b[1]! - c[1]!, 1); // both 2 high
    const [first] = found
      .filter(({ name }) => name === "circle" || name === "polygon")
      .filter((one) => one !== shade);
    expect(first).toBeDefined();
    const frame = found.find(({ attributes }) => attributes.d?.startsWith("M"))!.attributes.d!;
    const [, , top, bottom] = /^M([\d.]+) ([\d.]+)V([\d.]+)/.exec(frame)!.map(Number) as [
      number,
      number,
      number,
      number,
    ];
    for (const [, y] of corners) expect(y! > top - 1e-9 && y! < bottom + 1e-9).toBe(true);
  });

  test("has the colour that was asked for, as line and mark have, and lies beneath them", () => {
    const colour = palette[3];
    const kinds = found.filter(
      ({ attributes }) => attributes.fill === colour || attributes.stroke === colour,
    );
    expect(kinds.map(({ name }) => name)).toEqual(["polygon", "polyline", "polygon", "polygon", "polygon"]);
    expect(kinds[0]!.attributes["fill-opacity"]).toBe("0.16");
  });

  test("of one point is none; what the chart shows is said", () => {
    const single = lineChart({ ...chart, series: [{ ...chart.series[0]!, band: band.slice(0, 1) }] });
    expect(parse(single).some(({ attributes }) => attributes["fill-opacity"])).toBe(false);
    expect(found[0]!.attributes).toMatchObject({ role: "img", "aria-label": "a to b" });
    expect(parse(single)[0]!.attributes).not.toHaveProperty("aria-label");
  });
});

test("between numbers of both signs runs a line at nought", () => {
  const dark = (low: number) =>
    parse(
      lineChart({
        ...chart,
        series: [{ name: "a", points: [0, 1].map((x) => ({ x: x + 1, y: low + 2 * x })) }],
      }),
    ).filter(({ name, attributes }) => name === "line" && attributes.stroke === "#222222");
  expect(dark(-1)).toHaveLength(1);
  expect(dark(-1)[0]!.attributes.y1).toBe(dark(-1)[0]!.attributes.y2);
  expect(dark(1)).toHaveLength(0);
});

test("names can be left to the page around the chart", () => {
  expect(words(lineChart({ ...chart, legend: false }))).not.toContain("half");
});

test("marks of single scores stand at their value, between their limits, a name beside each", () => {
  const svg = dotChart({
    title: "T850, 72 h",
    x: { label: "RMSE [K]" },
    dots: [
      { name: "ours", value: 2, limits: [1, 3], style: 0 },
      { name: "theirs", value: 4, style: 1, quoted: true },
    ],
    description: "ours 2; theirs 4",
  });
  const found = parse(svg);
  expect(words(svg)).toEqual(expect.arrayContaining(["T850, 72 h", "ours", "theirs", "RMSE [K]"]));
  const disc = found.find(({ name }) => name === "circle")!.attributes;
  const whisker = found.find(({ name, attributes }) => name === "path" && attributes.d!.includes("v8"))!;
  const [from, to] = [...whisker.attributes.d!.matchAll(/M([\d.]+) /g)]
    .map(([, x]) => Number(x))
    .filter((_, i) => i !== 1);
  expect((from! + to!) / 2).toBeCloseTo(Number(disc.cx), 1);
  expect(found.filter(({ attributes }) => attributes["stroke-dasharray"])).toHaveLength(1);
  expect(found[0]!.attributes["aria-label"]).toBe("ours 2; theirs 4");
});

test("names longer than half of a chart of single scores are broken, so that the values keep their room", () => {
  const names = ["ClimateBench-NN (reproduced) (published)", "a".repeat(200), "ours"];
  const dots = names.map((name, i) => ({ name, value: i === 0 ? 1 : 3, style: 0 }));
  const svg = dotChart({ title: "T2m", x: { label: "NRMSEs" }, dots, width: 300 });
  const discs = parse(svg).filter(({ name }) => name === "circle");
  expect(Number(discs[1]!.attributes.cx) - Number(discs[0]!.attributes.cx)).toBeGreaterThan(60);
  expect(words(svg).join("")).toContain("a".repeat(200));
  for (const { name, attributes } of parse(svg)) {
    if (name === "text" && attributes["text-anchor"] === "end")
      expect(Number(attributes.x)).toBeGreaterThan(100);
  }
});

test("title, labels with units and names are there; nothing is fetched or run", () => {
  const svg = lineChart(chart);
  for (const said of ["Error by size", "parameters", "RMSE [K]", "all data", "half", "10⁴", "10⁶"]) {
    expect(words(svg)).toContain(said);
  }
  expect(svg).not.toMatch(
    /<script|<style|<image|@import|https?:(?!\/\/www\.w3\.org\/2000\/svg")|NaN|undefined/,
  );
});

test("a legend stands above the data and wraps; one series needs none", () => {
  const series = Array.from({ length: 10 }, (_, i) => ({
    name: `a system with a rather long name ${i}`,
    points: [{ x: 1, y: i + 1 }],
  }));
  const many = parse(lineChart({ ...chart, series }));
  const names = many.filter(({ text }) => text.startsWith("a system") && !text.includes(":"));
  expect(names).toHaveLength(10);
  const lowest = Math.max(...names.map(({ attributes }) => Number(attributes.y)));
  const gridTop = Math.min(
    ...many
      .filter(({ attributes }) => attributes.stroke === "#dddddd")
      .map(({ attributes }) => Number(attributes.y1)),
  );
  expect(lowest).toBeLessThan(gridTop);
  for (const { attributes } of names) expect(Number(attributes.x)).toBeLessThan(720 - 170);
  expect(words(lineChart({ ...chart, series: [chart.series[0]!] }))).not.toContain("all data");
});

test("what is not ours is escaped, in text and in attributes", () => {
  const name = `<script>alert("1")</script> & 'more'\u0007`;
  const svg = lineChart({ ...chart, title: name, series: chart.series.map((one) => ({ ...one, name })) });
  expect(words(svg)).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;more&#39;");
  expect(svg).not.toContain("\u0007");
});

test("ten series have ten colours and ten marks", () => {
  const marks = Array.from({ length: 10 }, (_, i) => marker(i, 0, 0, "#000000"));
  expect(new Set(marks).size).toBe(10);
  expect(new Set(palette).size).toBe(10);
  // WCAG wants a contrast of 3 for what is not text; marks, dashes and outlines help the light blue and the amber.
  const contrast = (colour: string) => {
    const [r, g, b] = [1, 3, 5].map((at) => {
      const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 1.05 / (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05);
  };
  for (const colour of palette) expect(contrast(colour)).toBeGreaterThan(2.5);
});

test("panels stand side by side under one legend", () => {
  const svg = panels({ title: "All", charts: [chart, chart, chart], columns: 2, width: 300, height: 200 });
  const found = parse(svg);
  expect(found[0]!.attributes.width).toBe("600");
  expect(words(svg).filter((text) => text === "all data")).toHaveLength(1);
  expect(words(svg).filter((text) => text === "Error by size")).toHaveLength(3);
});

describe("ticks", () => {
  test.each<[number, number, number[]]>([
    [0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [-3, 7, [-2, 0, 2, 4, 6]],
    [0.31, 0.33, [0.31, 0.315, 0.32, 0.325, 0.33]],
    [0, 1234, [0, 250, 500, 750, 1000]],
  ])("of %d to %d", (low, high, ticks) => expect(linearTicks(low, high, 6)).toEqual(ticks));

  test.each<[number, number, number[]]>([
    [1e5, 1e8, [1e5, 1e6, 1e7, 1e8]],
    [1, 150, [1, 3, 10, 30, 100]],
    [240, 350, [250, 275, 300, 325, 350]],
    [1e-6, 1e3, [1e-6, 1e-4, 1e-2, 1, 100]],
  ])("of %d to %d, logarithmic", (low, high, ticks) => {
    const found = logTicks(low, high);
    expect(found.length).toBeGreaterThanOrEqual(3);
    expect(found).toEqual(ticks);
  });

  test("are inside, ascending, and few, whatever the range", () => {
    const ranges = fc.tuple(
      fc.double({ min: -8, max: 8, noNaN: true }),
      fc.double({ min: 0.02, max: 12, noNaN: true }),
    );
    fc.assert(
      fc.property(ranges, ([power, decades]) => {
        const [low, high] = [10 ** power, 10 ** (power + decades)];
        for (const ticks of [logTicks(low, high), linearTicks(low, high, 6)]) {
          expect(ticks.length).toBeGreaterThanOrEqual(2);
          expect(ticks.length).toBeLessThanOrEqual(9);
          for (const [i, tick] of ticks.entries()) {
            expect(tick).toBeGreaterThanOrEqual(low - 1e-6 * (high - low));
            expect(tick).toBeLessThanOrEqual(high + 1e-6 * (high - low));
            if (i > 0) expect(tick).toBeGreaterThan(ticks[i - 1]!);
          }
          expect(new Set(tickLabels(ticks)).size).toBe(ticks.length);
        }
      }),
    );
  });

  test("are written alike, long ones as powers of ten", () => {
    expect(tickLabels([0, 0.5, 1])).toEqual(["0.0", "0.5", "1.0"]);
    expect(tickLabels([-20, 0, 20])).toEqual(["−20", "0", "20"]);
    expect(tickLabels([0.1, 1, 10])).toEqual(["0.1", "1", "10"]);
    expect(tickLabels([1e5, 3e5, 1e6])).toEqual(["10⁵", "3×10⁵", "10⁶"]);
    expect(tickLabels([-2e-4, 0, 2e-4])).toEqual(["−2×10⁻⁴", "0", "2×10⁻⁴"]);
  });
});

test("an axis of one value has room on both sides", () => {
  for (const log of [true, false]) {
    const { at, ticks } = makeScale([7, 7], { label: "x", log }, 0, 100);
    expect(at(7)).toBeCloseTo(50, 6);
    expect(ticks.length).toBeGreaterThan(1);
  }
});

test("bars begin at 0, missing ones are marked, and a reference has its line", () => {
  const svg = barChart({
    title: "Ratios",
    y: { label: "ratio" },
    groups: ["first", "second"],
    series: [
      { name: "a", values: [0.5, 1] },
      { name: "b", values: [2, null] },
    ],
    reference: { value: 1, label: "persistence" },
  });
  const bars = parse(svg).filter(
    ({ name, attributes }) => name === "rect" && attributes.stroke && Number(attributes.height) > 12,
  );
  const heights = bars.map(({ attributes }) => Number(attributes.height));
  expect(heights).toHaveLength(3);
  expect(heights[2]! / heights[0]!).toBeCloseTo(2, 2); // by group, then by series
  expect(heights[1]! / heights[0]!).toBeCloseTo(4, 2);
  const feet = bars.map(({ attributes }) => Number(attributes.y) + Number(attributes.height));
  expect(Math.max(...feet) - Math.min(...feet)).toBeLessThan(0.03);
  expect(words(svg)).toEqual(
    expect.arrayContaining(["–", "- - persistence", "0.500", "1.00", "2.00", "first", "second"]),
  );
});

test("long names of groups are wrapped", () => {
  expect(wrapText("10m_u_component_of_wind 72 h", 11, 80)).toEqual(["10m_u_", "component_", "of_wind 72 h"]);
});

describe("what is refused", () => {
  test.each<[string, () => string, string]>([
    [
      "nothing",
      () => lineChart({ ...chart, series: [] }),
      'there is nothing to draw over the axis "RMSE [K]" / leave it out',
    ],
    [
      "zero on a logarithmic axis",
      () => lineChart({ ...chart, series: [{ name: "a", points: [{ x: 0, y: 1 }] }] }),
      'found 0 to draw on the logarithmic axis "parameters" / leave it out, or draw on a linear axis',
    ],
    [
      "a bar that is no number",
      () =>
        barChart({
          title: "t",
          y: { label: "bias [K]" },
          groups: ["g"],
          series: [{ name: "a", values: [Number.NaN] }],
        }),
      'found NaN to draw on the axis "bias [K]" / leave it out',
    ],
  ])("%s", (_, work, message) => {
    try {
      work();
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ClimaxError);
      const { message: found, hint } = error as ClimaxError;
      expect(`${found} / ${hint}`).toBe(message);
    }
  });
});
