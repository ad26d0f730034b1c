/** Pictures of `climax view`: each made once, and kept while it fits; colours are the same over all leads. */
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";
import { sampleOf } from "../plot/colourlimits.ts";
import { type Colours, coloursFor } from "../plot/colours.ts";
import { drawMaps, type MapPlace, mapViewOf, type Picture } from "../plot/map.ts";
import type { Projection } from "../plot/mapview.ts";
import { fieldTitle } from "../plot/words.ts";
import { byteCache } from "./bytecache.ts";
import { regionTitle } from "./plotwords.ts";
import { cutTo } from "./regioncut.ts";
import type { Wanted, WantedPicture } from "./viewchoice.ts";
import type { Choice, Frame, ViewSource } from "./viewsource.ts";
import { memberTitle, whenTitle } from "./viewwords.ts";

export interface Painted {
  readonly png: Buffer;
  /** Of the picture, x to the right and y downward from 0 to 1; undefined beside the map. */
  placeAt(x: number, y: number): { lat: number; lon: number } | undefined;
  /** Undefined for a place that the map does not show. */
  pointOf(lat: number, lon: number): { x: number; y: number } | undefined;
}

export interface Painter {
  /** @throws ClimaxError for a field that is not there or cannot be read */
  paint(wanted: WantedPicture): Promise<Painted>;
  /** Pictures that are kept. */
  readonly bytes: number;
}

/** Fields that colour limits are taken from, spread evenly over all: reading hundreds would keep the reader waiting. */
const fieldsLooked = 24;

/** @param limit pictures that are kept, bytes */
export function makePainter(source: ViewSource, limit = 64e6): Painter {
  const pictures = byteCache<Painted>(limit, ({ png }) => png.byteLength);
  const colours = byteCache<Record<"state" | "error", Colours>>(1e6, () => 2000); // about 500 of them

  const { system } = source;
  const { leads, initialTimes } = system;
  const alongLeads = leads.length > 1;

  /**
   * Colours for a variable from an initial time, whatever lead and member: so frames and members compare. Where there
   * is one lead, frames are initial times.
   */
  function coloursOf({ choice, region }: Wanted): Promise<Record<"state" | "error", Colours>> {
    const { variable, initial } = choice;
    return colours.get(JSON.stringify([variable, alongLeads && initial, region?.name]), async () => {
      const { cut } = cutTo(system.grid, region);
      const states: Float64Array[] = [];
      const errors: Float64Array[] = [];
      let damaged: unknown;
      const frames = alongLeads
        ? spread(leads, fieldsLooked).map((leadHours) => ({ initial, leadHours }))
        : spread([...initialTimes.keys()], fieldsLooked).map((initial) => ({
            initial,
            leadHours: leads[0]!,
          }));
      for (const at of frames) {
        const frame = await readable({ variable, ...at, member: 0 });
        if (!frame) continue;
        for (const field of [frame.forecast, frame.truth]) if (field) states.push(sampleOf(cut(field)));
        if (frame.difference) errors.push(sampleOf(cut(frame.difference)));
      }
      if (states.length === 0) throw damaged;
      return {
        state: coloursFor("state", variable, states),
        error: coloursFor("error", variable, errors.length > 0 ? errors : [Float64Array.of(0)]),
      };

      /** A lead that is absent or damaged says so when it is looked at itself. */
      async function readable(looked: Choice): Promise<Frame | undefined> {
        try {
          return await source.frame(looked);
        } catch (error) {
          if (!(error instanceof ClimaxError)) throw error;
          damaged = error;
          return undefined;
        }
      }
    });
  }

  async function draw(wanted: WantedPicture): Promise<{ picture: Picture; grid: Grid }> {
    const { side, region, projection, width } = wanted;
    const frame = await source.frame(wanted.choice);
    const field = frame[side];
    if (!field) {
      throw new ClimaxError(
        "data",
        frame.lacking === undefined ? "there is no truth: the forecast stands alone" : frame.lacking,
        "start climax view with --truth that has it",
      );
    }
    const { grid, cut } = cutTo(system.grid, region);
    const scale = (await coloursOf(wanted))[side === "difference" ? "error" : "state"];
    const panel = { title: "", field: { grid, values: cut(field) }, units: frame.units, colours: scale };
    const own = `${system.name}${memberTitle(wanted.choice, system.members)}`;
    const whose = { forecast: own, truth: "Truth", difference: `${own} − truth` }[side];
    const title = `${whose}: ${fieldTitle(wanted.choice.variable)}`;
    return {
      picture: drawMaps([panel], {
        title,
        subtitle: subtitle(frame, wanted),
        projection,
        width,
        letters: Math.max(1, Math.min(1.4, width / 600)),
      }),
      grid,
    };
  }

  function subtitle(frame: Frame, { region }: Wanted): string {
    return [
      whenTitle(frame, system.averageHours),
      ...(region ? [regionTitle(region)] : []),
      ...(source.synthetic ? ["SYNTHETIC weather"] : []),
    ].join("; ");
  }

  return {
    paint: (wanted) => {
      const { choice, side, projection, width, density, region } = wanted;
      return pictures.get(
        JSON.stringify([choice, side, projection, width, density, region?.name]),
        async () => {
          const { picture, grid } = await draw(wanted);
          const { width: pixels, height, maps } = picture;
          return {
            png: await picture.png(density),
            ...placesOn(maps[0]!, { width: pixels, height }, grid, projection),
          };
        },
      );
    },
    get bytes() {
      return pictures.bytes;
    },
  };
}

/** Pixels to places and back, of a picture whose map lies there. */
function placesOn(
  map: MapPlace,
  picture: { readonly width: number; readonly height: number },
  grid: Grid,
  projection: Projection,
): Pick<Painted, "placeAt" | "pointOf"> {
  const view = () => mapViewOf(projection, 0, grid, map.width); // made anew where it was forgotten: it is large
  return {
    placeAt(x, y) {
      const place = new Float64Array(2);
      const found = view().placeAt(x * picture.width - map.left, y * picture.height - map.top, place);
      return found ? { lon: place[0]!, lat: place[1]! } : undefined;
    },
    pointOf(lat, lon) {
      const point = view().project(lon, lat);
      return point && { x: (map.left + point[0]) / picture.width, y: (map.top + point[1]) / picture.height };
    },
  };
}

/** At most so many of a list, evenly spread, its ends among them. */
function spread<T>(list: readonly T[], count: number): T[] {
  if (list.length <= count) return [...list];
  return Array.from({ length: count }, (_, i) => list[Math.round((i * (list.length - 1)) / (count - 1))]!);
}
