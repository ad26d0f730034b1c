/** Real fields on maps: the land of a climate model's mask lies where the coasts say that land is, in each projection. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { geoContains } from "d3-geo";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import { describe, expect, test } from "vitest";
import { openArchive } from "../../src/data/archive.ts";
import { coloursFor } from "../../src/plot/colours.ts";
import { drawMaps, mapViewOf } from "../../src/plot/map.ts";
import { projectionNames } from "../../src/plot/mapview.ts";

const mask = "../shared/data/geocat/sftlf_mod1_rectilinear_grid_2D.nc";
const atlas = createRequire(import.meta.url)("world-atlas/land-110m.json") as Topology;
const land = feature(atlas, atlas.objects.land as GeometryCollection);

describe.skipIf(!existsSync(mask))("a real mask of land and sea (skipped without ../shared/data)", () => {
  test.each(projectionNames)("agrees with the atlas on a %s map", async (projection) => {
    const archive = await openArchive([mask]);
    const { grid } = archive;
    const values = await archive.variables.get("land_sea_mask")!.read(0);
    await archive.close();
    const colours = coloursFor("state", "land_sea_mask", [values]);
    const picture = drawMaps([{ title: "", field: { grid, values }, units: "1", colours }], {
      projection,
      width: 600,
    });
    const pixels = picture.rgba();
    const [map] = picture.maps;
    const view = mapViewOf(projection, 0, grid, map!.width);
    let [seen, agreeing] = [0, 0];
    for (let lat = -83; lat <= 83; lat += 9) {
      for (let lon = -177; lon < 180; lon += 11) {
        const point = view.project(lon, lat);
        if (!point) continue;
        const i = 4 * (Math.floor(map!.top + point[1]) * picture.width + Math.floor(map!.left + point[0]));
        // Land is yellow, sea dark blue; coasts and lines of degrees are neither.
        const [red, , blue] = [pixels[i]!, pixels[i + 1]!, pixels[i + 2]!];
        if (!(red > 200 && blue < 120) && !(red < 30 && blue > 50)) continue;
        seen++;
        if (red > 200 === geoContains(land, [lon, lat])) agreeing++;
      }
    }
    expect(seen).toBeGreaterThan(80);
    // Lakes, islands and coasts finer than either differ in a few places.
    expect(agreeing / seen).toBeGreaterThan(0.95);
  });
});
