/** Maps by their pixels: what is hot at a place is hot where that place lies, in every projection. */
import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { type Grid, makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { encodeGif } from "../../src/plot/animation.ts";
import { coloursFor } from "../../src/plot/colours.ts";
import { drawMaps, type MapOptions, mapViewOf, type Picture } from "../../src/plot/map.ts";
import { latitudeWords, longitudeWords } from "../../src/plot/maplines.ts";
import { sampler } from "../../src/plot/mapraster.ts";
import type { Projection } from "../../src/plot/mapview.ts";
import { projectionFor, projectionNames } from "../../src/plot/mapview.ts";
import { encodePng } from "../../src/plot/scene.ts";
import { canvasLibrary, loadCanvas } from "../../src/plot/scenecanvas.ts";

const globe = regularGrid(5.625);
const scale = coloursFor("state", "2m_temperature", [[240, 300]]);

/** 240 everywhere, 300 within so many degrees of a place. */
function spot(grid: Grid, lat: number, lon: number, reach = 9): Float32Array {
  return Float32Array.from({ length: grid.lat.length * grid.lon.length }, (_, i) => {
    const [y, x] = [grid.lat[Math.floor(i / grid.lon.length)]!, grid.lon[i % grid.lon.length]!];
    const away = Math.abs(((x - lon + 540) % 360) - 180);
    return Math.abs(y - lat) <= reach && away <= reach ? 300 : 240;
  });
}

const panelOf = (values: ArrayLike<number>, grid = globe) => ({
  title: "",
  ...{ field: { grid, values }, units: "K", colours: scale },
});
const mapOf = (values: ArrayLike<number>, options: MapOptions, grid = globe) =>
  drawMaps([panelOf(values, grid)], options);

/** Colour of the picture where a place lies; undefined where the map does not show it. */
function lookAt(picture: Picture, options: MapOptions, grid: Grid = globe) {
  const pixels = picture.rgba();
  const [map] = picture.maps;
  const view = mapViewOf(options.projection, options.centre ?? 0, grid, map!.width);
  const at = (x: number, y: number) => {
    const i = 4 * (Math.floor(y) * picture.width + Math.floor(x));
    return [pixels[i]!, pixels[i + 1]!, pixels[i + 2]!] as const;
  };
  return {
    at,
    place: (lon: number, lat: number) => {
      const point = view.project(lon, lat);
      return point && at(map!.left + point[0], map!.top + point[1]);
    },
    onPage: (lon: number, lat: number) => {
      const [x, y] = view.project(lon, lat)!;
      return [map!.left + x, map!.top + y] as const;
    },
  };
}

const hot = scale.at(300);
const cold = scale.at(240);

describe("a hot spot", () => {
  // Away from coasts and from the lines of latitude and longitude.
  const places = [
    [-40.3, 37.2],
    [167.8, 8.1], // near the date line, in the Pacific
    [-172.6, 36.7], // beyond it
    [77.7, -37.4],
  ] as const;
  const cases = places.flatMap(([lon, lat]) =>
    (["robinson", "plate-carree"] as const).flatMap((projection) =>
      [0, 180, -100].map((centre) => ({ lon, lat, projection, centre })),
    ),
  );

  test.each(cases)(
    "at $lon E $lat N is hot there in $projection about $centre, and nowhere else",
    ({ lon, lat, projection, centre }) => {
      for (const smooth of [false, true]) {
        const options = { projection, centre, smooth, width: 500 } as const;
        const { place } = lookAt(mapOf(spot(globe, lat, lon), options), options);
        expect(place(lon, lat)).toEqual(hot);
        for (const [x, y] of places) if (x !== lon) expect(place(x, y)).toEqual(cold);
      }
    },
  );

  test("wraps round the edge of a map: both ends are hot", () => {
    const options = { projection: "plate-carree", width: 700 } as const;
    const { place } = lookAt(mapOf(spot(globe, 9, 180, 12), options), options);
    expect(place(172.5, 8)).toEqual(hot);
    expect(place(-172.5, 8)).toEqual(hot);
    expect(place(142.7, 8)).toEqual(cold);
  });

  test.each([
    ["north-polar", 1],
    ["south-polar", -1],
  ] as const)("lies right of the pole at 90 E on a %s map, whose other half is cold", (projection, sign) => {
    const options = { projection, width: 500 } as const;
    const { place, onPage } = lookAt(mapOf(spot(globe, sign * 48, 95), options), options);
    expect(place(95, sign * 48)).toEqual(hot);
    expect(place(-85, sign * 48)).toEqual(cold);
    const [pole, east, greenwich] = [onPage(0, sign * 90), onPage(90, sign * 50), onPage(0, sign * 50)];
    expect(east[0]).toBeGreaterThan(pole[0] + 50);
    expect(east[1]).toBeCloseTo(pole[1], 6);
    // Greenwich points down from the north pole and up from the south pole.
    expect(sign * (greenwich[1] - pole[1])).toBeGreaterThan(50);
    expect(place(95, -sign * 48)).toBeUndefined();
  });

  test("of a polar map turns with its centre", () => {
    const options = { projection: "north-polar", centre: 95, width: 500 } as const;
    const { place, onPage } = lookAt(mapOf(spot(globe, 48, 95), options), options);
    expect(place(95.5, 47)).toEqual(hot);
    expect(onPage(95, 48)[0]).toBeCloseTo(onPage(0, 90)[0], 6);
  });

  test("of a region across Greenwich lies within its box", () => {
    const region = makeGrid(
      Array.from({ length: 21 }, (_, i) => 40 + i),
      [...Array.from({ length: 16 }, (_, i) => i), ...Array.from({ length: 16 }, (_, i) => 344 + i)],
    );
    expect(projectionFor(region)).toBe("regional");
    const options = { projection: "regional", width: 500 } as const;
    const { place, onPage } = lookAt(mapOf(spot(region, 47, -9.7, 1.6), options, region), options, region);
    expect(place(-9.7, 47.2)).toEqual(hot);
    expect(place(350.3, 47.2)).toEqual(hot);
    expect(place(-13.3, 57.6)).toEqual(cold);
    expect(place(30, 47)).toBeUndefined();
    expect(onPage(-9, 47)[0]).toBeLessThan(onPage(9, 47)[0]);
    expect(onPage(0, 58)[1]).toBeLessThan(onPage(0, 42)[1]);
  });
});

test("cells are as wide as the grid says, also where its rows are uneven", () => {
  const uneven = makeGrid([-80, -60, 0, 10, 80], [0, 90, 200, 300]);
  const values = Float64Array.from({ length: 20 }, (_, i) => i);
  const cell = sampler(uneven, values, false);
  expect(cell(0, -69)).toBe(4);
  expect(cell(0, -71)).toBe(0);
  expect(cell(44, -69.9)).toBe(4);
  expect(cell(46, 4.9)).toBe(9);
  expect(cell(46, 5.1)).toBe(13);
  expect(cell(329, 89)).toBe(19);
  expect(cell(-29, 89)).toBe(16);
});

test("between points a field is bilinear, across the seam and to the poles too", () => {
  const lonely = makeGrid([-45, 45], [10, 130, 250]);
  const values = [0, 3, 6, 10, 13, 16];
  const smooth = sampler(lonely, values, true);
  expect(smooth(10, -45)).toBe(0);
  expect(smooth(70, -45)).toBeCloseTo(1.5, 12);
  expect(smooth(70, 0)).toBeCloseTo(6.5, 12);
  expect(smooth(310, -45)).toBeCloseTo(3, 12); // half way from 250 to 10
  expect(smooth(-50, -45)).toBeCloseTo(3, 12);
  expect(smooth(130, 90)).toBe(13);
  expect(smooth(130, -90)).toBe(3);
  const gap = sampler(lonely, [0, Number.NaN, 6, 10, 13, 16], true);
  expect(gap(20, -45)).toBe(0); // the cell's own value beside a gap
  expect(gap(120, -45)).toBeNaN();
});

test.each(projectionNames)("%s finds the place under each pixel that it puts a place on", (projection) => {
  const grid =
    projection === "regional"
      ? makeGrid(
          [10, 20, 30],
          [350, 0, 10].toSorted((a, b) => a - b),
        )
      : globe;
  const view = mapViewOf(projection, 30, grid, 400);
  const into = new Float64Array(2);
  let shown = 0;
  for (let lat = -88; lat <= 88; lat += 4) {
    for (let lon = -176; lon <= 180; lon += 7) {
      const point = view.project(lon, lat);
      if (!point || !view.placeAt(point[0], point[1], into)) continue;
      shown++;
      // The table that Robinson is interpolated from is inverted to within a thousandth of a degree.
      expect(Math.abs(((into[0]! - lon + 540) % 360) - 180)).toBeLessThan(2e-3);
      expect(Math.abs(into[1]! - lat)).toBeLessThan(2e-3);
    }
  }
  expect(shown).toBeGreaterThan(projection === "regional" ? 10 : 500);
});

test("the page around the sphere is white, and so is what a regional grid does not reach", () => {
  const options = { projection: "robinson", width: 500 } as const;
  const picture = mapOf(new Float32Array(2048).fill(300), options);
  const { at, place } = lookAt(picture, options);
  const { left, top, width, height } = picture.maps[0]!;
  expect(at(left + 2, top + 2)).toEqual([255, 255, 255]);
  expect(at(left + width - 3, top + height - 3)).toEqual([255, 255, 255]);
  expect(place(-140.3, -44.1)).toEqual(hot);
  const europe = makeGrid([40, 45, 50, 55], [0, 5, 10, 15]);
  const small = lookAt(mapOf(new Float32Array(16).fill(300), options, europe), options, europe);
  expect(small.place(-140.3, -44.1)).toEqual([255, 255, 255]);
  expect(small.place(-40.1, 47)).toEqual([255, 255, 255]);
  expect(small.place(13.2, 51.5)).toEqual(hot);
});

test("coasts are dark where they are, and the ocean is not", () => {
  const options = { projection: "plate-carree", width: 1000 } as const;
  const { place } = lookAt(mapOf(new Float32Array(2048).fill(300), options), options);
  const darkest = (lat: number, from: number, to: number) => {
    let least = 255;
    for (let lon = from; lon <= to; lon += 0.2) least = Math.min(least, Math.max(...place(lon, lat)!));
    return least;
  };
  expect(darkest(23.1, -18, -14)).toBeLessThan(90); // Western Sahara begins near 16 W
  expect(darkest(-23.1, 12, 16)).toBeLessThan(90); // Namibia near 14 E
  expect(darkest(23.1, -44, -32)).toBeGreaterThan(150);
});

test("gaps are grey stripes, and are explained; without gaps nothing is", () => {
  const options = { projection: "robinson", width: 500 } as const;
  const values = spot(globe, 37, -40).map((value) => (value === 300 ? Number.NaN : value));
  const picture = mapOf(values, options);
  const { at, onPage } = lookAt(picture, options);
  const [x, y] = onPage(-41, 36);
  const found = new Set<number>();
  for (let i = 0; i < 8; i++) {
    const [r, g, b] = at(x + i, y);
    expect([g, b]).toEqual([r, r]);
    found.add(r);
  }
  expect(found).toEqual(new Set([150, 226]));
  expect(picture.svg()).toContain(">no value</text>");
  expect(mapOf(spot(globe, 37, -40), options).svg()).not.toContain("no value");
});

test("the bar has arrows where values lie beyond, and its unit as people write it", () => {
  const values = spot(globe, 37, -40);
  const wide = drawMaps(
    [
      {
        ...panelOf(values),
        colours: coloursFor("state", "geopotential_500", [values], [250, 290]),
        units: "m2 s-2",
      },
    ],
    {
      projection: "robinson",
    },
  ).svg();
  expect(wide).toContain(">m² s⁻²</text>");
  const triangles = (svg: string) => [...svg.matchAll(/<path d="M[\d.]+,0L[^"]*" fill="rgb/g)].length;
  expect(triangles(wide)).toBe(2);
  expect(triangles(mapOf(values, { projection: "robinson" }).svg())).toBe(0);
});

/** Names of elements; throws where tags do not match. */
function elements(svg: string): string[] {
  const open: string[] = [];
  const names: string[] = [];
  let end = 0;
  for (const match of svg.matchAll(/<(\/?)([a-z]+)((?: [\w-]+="[^"<]*")*)(\/?)>([^<]*)/g)) {
    const [all, closing, name = "", , alone] = match;
    if (match.index !== end) throw new Error(`not well-formed at ${svg.slice(end, end + 60)}`);
    end += all.length;
    if (closing) {
      if (open.pop() !== name) throw new Error(`</${name}> closes another element`);
      continue;
    }
    names.push(name);
    if (!alone) open.push(name);
  }
  if (open.length > 0 || end !== svg.length) throw new Error("not well-formed at the end");
  return names;
}

test("an SVG is well-formed, with lines and words as such and the field as an image of twice the density", async () => {
  const title = 'Errors < 5 & "others"';
  const picture = mapOf(spot(globe, 37, -40), {
    projection: "robinson",
    width: 400,
    title,
    subtitle: "a; b",
  });
  const svg = picture.svg();
  const names = elements(svg);
  expect(names.filter((name) => name === "image")).toHaveLength(2); // the field and the bar
  expect(names.filter((name) => name === "path").length).toBeGreaterThan(4);
  expect(svg).toContain(">Errors &lt; 5 &amp; &quot;others&quot;</text>");
  expect(svg).toContain(">60°N</text>");
  const { width } = picture.maps[0]!;
  const [, encoded] = /href="data:image\/png;base64,([^"]+)"/.exec(svg)!;
  const image = await canvasLibrary().loadImage(Buffer.from(encoded!, "base64"));
  expect(image.width).toBe(2 * width);
});

test("a PNG that we write ourselves is read by others as it was", async () => {
  const data = Uint8ClampedArray.from({ length: 4 * 3 * 2 }, (_, i) => (i % 4 === 3 ? 255 : 10 * i));
  const { createCanvas, loadImage } = canvasLibrary();
  const context = createCanvas(3, 2).getContext("2d");
  context.drawImage(await loadImage(encodePng({ width: 3, height: 2, data })), 0, 0);
  expect(context.getImageData(0, 0, 3, 2).data).toEqual(data);
});

test("words stay inside the picture, whatever their length", () => {
  const long = "a name that is rather long for a picture of this width, ".repeat(4);
  const picture = drawMaps([{ ...panelOf(spot(globe, 37, -40)), title: long }, panelOf(spot(globe, 0, 0))], {
    ...{
      projection: "robinson",
      width: 320,
      title: long,
      subtitle: `/${"folder_of_data/".repeat(20)}file.nc`,
    },
  });
  const pixels = picture.rgba();
  for (let y = 0; y < picture.height; y++) {
    for (const x of [0, 1, picture.width - 2, picture.width - 1]) {
      expect(pixels[4 * (y * picture.width + x)]).toBe(255);
    }
  }
});

test("several panels stand side by side, row by row; one bar can serve all", () => {
  const panels = [1, 2, 3, 4].map((i) => ({ ...panelOf(spot(globe, 10 * i, 20 * i)), title: `panel ${i}` }));
  const picture = drawMaps(panels, { projection: "robinson", columns: 2, width: 300 });
  expect(picture.width).toBe(600);
  const [a, b, c, d] = picture.maps as [
    Picture["maps"][number],
    Picture["maps"][number],
    Picture["maps"][number],
    Picture["maps"][number],
  ];
  expect([b.left - a.left, b.top]).toEqual([300, a.top]);
  expect([c.left, d.left, d.top]).toEqual([a.left, b.left, c.top]);
  expect(c.top).toBeGreaterThan(a.top + a.height);
  expect(drawMaps(panels, { projection: "robinson", width: 300 }).width).toBe(600); // four make a square by themselves
  const bars = [...picture.svg().matchAll(/>K<\/text>/g)];
  expect(bars).toHaveLength(4);
});

test("the same fields give the same bytes", async () => {
  const draw = () => mapOf(spot(globe, 37, -40), { projection: "north-polar", width: 300, title: "x" });
  expect(Buffer.compare(await draw().png(), await draw().png())).toBe(0);
  expect(draw().svg()).toBe(draw().svg());
});

test("a GIF has a frame for each picture, of their size", async () => {
  const options = { projection: "robinson", width: 240 } as const;
  async function* frames() {
    for (const lon of [0, 60, 120]) yield mapOf(spot(globe, 30, lon), options);
  }
  // Higher than the frames: what is beneath them is white.
  const { width, height: drawn } = mapOf(spot(globe, 30, 0), options);
  const height = drawn + 20;
  const gif = await encodeGif(frames(), { width, height }, 0.25);
  expect(gif.subarray(0, 6).toString("latin1")).toBe("GIF89a");
  expect([gif.readUInt16LE(6), gif.readUInt16LE(8)]).toEqual([width, height]);
  // A graphic control extension stands before each frame: 21 F9 04, flags, the delay in hundredths.
  const delays: number[] = [];
  for (let i = gif.indexOf("21f904", 0, "hex"); i >= 0; i = gif.indexOf("21f904", i + 1, "hex")) {
    if (gif[i + 7] === 0) delays.push(gif.readUInt16LE(i + 4));
  }
  expect(delays).toEqual([25, 25, 25]);
  const { createCanvas, loadImage } = canvasLibrary();
  const context = createCanvas(width, height).getContext("2d");
  context.drawImage(await loadImage(gif), 0, 0);
  expect([...context.getImageData(width / 2, height - 10, 1, 1).data]).toEqual([255, 255, 255, 255]);
});

describe("refusals", () => {
  test("values that are no field of the grid", () => {
    expect(() => mapOf(new Float32Array(7), { projection: "robinson" })).toThrow(
      new ClimaxError(
        "shape",
        'the map "" has 7 values for a grid of 32 x 64 points',
        "give 2048 values, row by row from the south",
      ),
    );
  });

  test("a grid of one point", () => {
    expect(() => mapOf([1], { projection: "regional" }, makeGrid([10], [20]))).toThrow(
      /has no area: it is one point or one line/,
    );
  });

  test("a machine without a canvas is told what works there", () => {
    let caught: unknown;
    try {
      loadCanvas(() => {
        throw new Error("Cannot find native binding");
      });
    } catch (error) {
      caught = error;
    }
    expect(caught).toMatchObject({ kind: "device" });
    const { message, hint } = caught as ClimaxError;
    expect(message).toBe(
      `PNG and GIF cannot be drawn on this machine: @napi-rs/canvas does not load on ${process.platform} ${process.arch} (Cannot find native binding)`,
    );
    expect(hint).toMatch(/^SVG needs none of it: climax plot -o NAME\.svg/);
  });
});

test.each([
  [regularGrid(5.625), "robinson"],
  [makeGrid([20, 40, 60, 80], [0, 90, 180, 270]), "north-polar"],
  [makeGrid([-80, -60, -40], [0, 90, 180, 270]), "south-polar"],
  [makeGrid([40, 50], [350, 355]), "regional"],
] as [Grid, Projection][])("a grid of its own projection, %#", (grid, projection) => {
  expect(projectionFor(grid)).toBe(projection);
});

test("degrees are written as on maps", () => {
  expect([-60, 0, 30].map(latitudeWords)).toEqual(["60°S", "0°", "30°N"]);
  expect([0, 90, 180, 190, -90, 359.5].map(longitudeWords)).toEqual([
    "0°",
    "90°E",
    "180°",
    "170°W",
    "90°W",
    "0.5°W",
  ]);
});
