// The planets that can be simulated: one physics, several parameters, as the models of CMIP6 are.
import { unknownName } from "../errors.ts";
import type { ForcingParameters } from "./forcing.ts";
import { earthGround, seaGround } from "./ground.ts";
import { type Ground, marshallMolteni, type QgParameters } from "./quasigeostrophic.ts";

export interface Planet {
  /** One line for the help and the file's metadata. */
  readonly summary: string;
  readonly dynamics: QgParameters;
  readonly forcing: ForcingParameters;
  readonly ground: Ground;
  /** K added to the standard atmosphere everywhere. */
  readonly warmer: number;
}

/** Tuned by eye to the strength of the observed jet and storm tracks; see the test of the statistics. */
const earthForcing: ForcingParameters = {
  shear: [24, 24],
  jetLatitude: 42,
  jetWidth: 20,
  seasons: 0.3,
  landContrast: 20,
};

const earth: Planet = {
  summary: "idealised continents and mountains of the Earth",
  dynamics: marshallMolteni,
  forcing: earthForcing,
  ground: earthGround(),
  warmer: 0,
};

const planets: Readonly<Record<string, Planet>> = {
  earth,
  warm: {
    ...earth,
    summary: "4 K warmer, shear stronger aloft and weaker below, jets 3 degrees poleward, milder winters",
    forcing: { ...earthForcing, shear: [27, 22], jetLatitude: 45, seasons: 0.25, landContrast: 15 },
    warmer: 4,
  },
  cold: {
    ...earth,
    summary: "5 K colder, stronger shear, jets 3 degrees equatorward, harsher winters",
    forcing: { ...earthForcing, shear: [25, 26], jetLatitude: 39, seasons: 0.35, landContrast: 25 },
    warmer: -5,
  },
  fast: {
    ...earth,
    summary: "a day of 20 hours: rotation 1.2 times the Earth's, deformation radii 1.2 times smaller",
    dynamics: {
      ...marshallMolteni,
      rotation: 1.2 * marshallMolteni.rotation,
      deformationRadii: [700e3 / 1.2, 450e3 / 1.2],
    },
  },
  turned: {
    ...earth,
    summary: "continents turned 75 degrees east, mountains half as high again, thermal relaxation in 20 days",
    dynamics: { ...marshallMolteni, radiativeTime: 20 * 86_400 },
    ground: earthGround(1.5, 75),
  },
  aqua: {
    ...earth,
    summary: "no land: zonally symmetric forcing, weather only",
    ground: seaGround,
  },
};

export const planetNames: readonly string[] = Object.keys(planets);

/** Throws a `config` error with the nearest name when there is no such planet. */
export function planet(name: string): Planet {
  return planets[name] ?? unknownName("planet", name, planetNames);
}
