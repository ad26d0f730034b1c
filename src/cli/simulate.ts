/** climax simulate: years of synthetic weather, made by a small physical atmosphere, as a CF NetCDF-4 file. */
import { setImmediate } from "node:timers/promises";
import { z } from "zod";
import {
  addHours,
  type CfTime,
  encodeTimes,
  formatTime,
  hoursBetween,
  parseTime,
  timeParts,
} from "../data/time.ts";
import { parseName, type VariableInfo } from "../data/variables.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { createNetcdf, type NetcdfWriter, type WrittenVariable } from "../files/netcdf4writer.ts";
import { type Grid, latitudeEdges, longitudeEdges, regularGrid } from "../grid/grid.ts";
import { levelFields, makeDiagnosis, pressureRange, surfaceFields } from "../planet/diagnose.ts";
import { planet as findPlanet, type Planet, planetNames } from "../planet/planets.ts";
import { startSimulation, timeStep } from "../planet/simulation.ts";
import { command } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { version } from "./main.ts";
import { progress } from "./progress.ts";

const constantFields = ["land_sea_mask", "orography"] as const;
const everyField: readonly string[] = [...constantFields, ...surfaceFields, ...levelFields];
const timeUnits = "hours since 1970-01-01 00:00:00";
const planetHelp = planetNames.map((name) => `${name} (${findPlanet(name).summary})`).join("; ");
/** States that go to the file at once. */
const batch = 32;

export const simulateCommand = command({
  name: "simulate",
  summary: "make years of synthetic weather with a small physical atmosphere, no download needed",
  description: `Make years of synthetic weather with a small physical atmosphere, no download needed.

The three-level quasi-geostrophic model of Marshall and Molteni (1993) at T21, driven by an analytic, seasonal forcing
in place of their analyses: chaotic, with jets, storm tracks and a seasonal cycle, but no moisture, no tropics and no
day and night. The same flags give the same weather, bit for bit. The file says SYNTHETIC, and so does what is made
from it.`,
  examples: [
    "climax simulate --years 4 --seed 1 -o weather.nc",
    "climax simulate --years 2 --planet warm --seed 7 -o warm.nc   # another source to pretrain on",
    "climax simulate --years 1 --levels 500 --variables geopotential,2m_temperature -o small.nc",
  ],
  config: z.strictObject({
    output: z.string().min(1).describe("file to write, .nc").meta({ short: "o" }),
    years: z.number().positive().max(1000).default(4).describe("how long; a fraction is of 365.25 days"),
    seed: z.int().min(0).default(1).describe("which weather: another seed starts from other random numbers"),
    planet: z.string().default("earth").describe(`which atmosphere: ${planetHelp}`),
    start: z.string().default("2001-01-01").describe("first date, in the proleptic Gregorian calendar"),
    step: z.string().default("6h").describe(`time between states, a multiple of ${timeStep}h`),
    levels: z
      .array(z.number())
      .min(1)
      .default([250, 500, 850])
      .describe(`pressure levels, hPa, within ${pressureRange.join("..")}`),
    variables: z
      .array(z.string())
      .min(1)
      .default([...everyField])
      .describe("what to write"),
    spinUp: z.number().min(0).default(150).describe("days to run before the first state"),
    deflate: z
      .int()
      .min(0)
      .max(9)
      .default(0)
      .describe("gzip level of the file; 1 makes it an eighth smaller and takes three times as long"),
  }),

  async run(config, { info, quiet, commandLine }) {
    const atmosphere = findPlanet(config.planet);
    const levels = checkedLevels(config.levels);
    const names = checkedNames(config.variables);
    const stepHours = checkedStep(config.step);
    const start = parseTime(config.start, "proleptic_gregorian");
    const count = Math.floor(hoursBetween(start, yearsLater(start, config.years)) / stepHours + 1e-9);
    if (count < 1)
      throw new ClimaxError(
        "config",
        `--years ${config.years} is shorter than one step of ${config.step}`,
        "ask for more years, or a shorter --step",
      );
    const grid = regularGrid(5.625);
    const writer = await createNetcdf(config.output, {
      dimensions: {
        time: count,
        ...(names.some(isOnLevels) && { level: levels.length }),
        latitude: grid.lat.length,
        longitude: grid.lon.length,
        bnds: 2,
      },
      attributes: {
        Conventions: "CF-1.11",
        title: `SYNTHETIC weather of the simulated planet "${config.planet}", not observations`,
        synthetic: "true",
        institution: "none: computed by climax simulate",
        source: `climax ${version()} simulate: three-level quasi-geostrophic model, T21, ${atmosphere.summary}`,
        history: commandLine,
        references: "Marshall, J. and F. Molteni (1993), J. Atmos. Sci. 50, 1792-1818",
        comment:
          "Geopotential by the linear balance equation, temperature by hydrostatic balance, both as a parabola in " +
          "ln p through 200, 500 and 800 hPa about the ICAO standard atmosphere; surface fields by simple formulas.",
        simulation: JSON.stringify(parametersOf(config.planet, atmosphere, config.seed, config.spinUp)),
      },
      variables: [
        ...coordinates(grid, names.some(isOnLevels) ? levels : []),
        ...names.map((name) => variable(name, grid, atmosphere, config.deflate)),
      ],
    });
    try {
      const times = Array.from({ length: count }, (_, i) => addHours(start, i * stepHours));
      const run: Run = { atmosphere, grid, levels, names, times, stepHours };
      await interruptible((signal) => simulate(run, config, writer, quiet, info, signal));
      await writer.close();
    } catch (error) {
      await writer.abort();
      throw error;
    }
    info(`wrote ${config.output}: ${count} states, SYNTHETIC, ${config.planet}, seed ${config.seed}`);
  },
});

interface Run {
  atmosphere: Planet;
  grid: Grid;
  levels: readonly number[];
  names: readonly string[];
  times: readonly CfTime[];
  stepHours: number;
}

/** Runs the planet and writes its states, a batch at a time. */
async function simulate(
  { atmosphere, grid, levels, names, times, stepHours }: Run,
  { seed, spinUp }: { seed: number; spinUp: number },
  writer: NetcdfWriter,
  quiet: boolean,
  info: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const spinUpHours = Math.round((spinUp * 24) / timeStep) * timeStep;
  const first = times[0]!;
  const run = startSimulation(atmosphere, seed, addHours(first, -spinUpHours).seconds);
  const { fields, update } = makeDiagnosis(run.model, atmosphere.ground, grid, levels, atmosphere.warmer);
  const points = grid.lat.length * grid.lon.length;
  const outputs = names
    .filter((name) => !isConstant(name))
    .map((name) => {
      const parts = isOnLevels(name) ? levels.map((level) => `${name}_${level}`) : [name];
      const sources = parts.map((part) => fields.get(part)!);
      return { name, sources, buffer: new Float32Array(batch * sources.length * points) };
    });

  const spinUpSteps = Math.ceil(spinUpHours / stepHours);
  const bar = progress({ label: "simulate", total: spinUpSteps + times.length, quiet });
  const started = performance.now();
  try {
    for (let done = 0; done < spinUpHours; ) {
      const hours = Math.min(stepHours * batch, spinUpHours - done);
      run.advance(hours);
      done += hours;
      bar.update(Math.floor(done / stepHours), "spin-up");
      await setImmediate(); // lets signals and the progress bar in
      signal.throwIfAborted();
    }
    for (let from = 0; from < times.length; from += batch) {
      const held = Math.min(batch, times.length - from);
      for (let i = 0; i < held; i++) {
        if (from + i > 0) run.advance(stepHours);
        update(run.state, run.seconds);
        if (!Number.isFinite(run.model.energy(run.state)))
          throw new Error("the simulated atmosphere blew up");
        for (const { sources, buffer } of outputs)
          for (const [j, source] of sources.entries()) buffer.set(source, (i * sources.length + j) * points);
      }
      for (const { name, sources, buffer } of outputs) {
        const shape = isOnLevels(name) ? [held, levels.length] : [held];
        const start = [from, ...shape.slice(1).map(() => 0), 0, 0];
        const box = [...shape, grid.lat.length, grid.lon.length];
        await writer.write(name, start, buffer.subarray(0, held * sources.length * points), box);
      }
      await writer.write("time", [from], encodeTimes(times.slice(from, from + held), timeUnits), [held]);
      const minutes = (performance.now() - started) / 60_000;
      const rate = Math.round((spinUpSteps + from + held) / minutes);
      bar.update(spinUpSteps + from + held, `${formatTime(times[from]!).slice(0, 10)}  ${rate} states/min`);
      await setImmediate();
      signal.throwIfAborted();
    }
  } finally {
    bar.stop();
  }
  const seconds = (performance.now() - started) / 1000;
  const rate = Math.round((60 * (spinUpSteps + times.length)) / seconds);
  info(
    `${spinUpSteps} states of spin-up and ${times.length} written in ${seconds.toFixed(1)} s: ${rate} a minute`,
  );
}

const isConstant = (name: string) => constantFields.some((constant) => constant === name);
const isOnLevels = (name: string) => levelFields.some((field) => field === name);

function coordinates(grid: Grid, levels: readonly number[]): WrittenVariable[] {
  const latitudes = latitudeEdges(grid);
  return [
    {
      name: "time",
      dimensions: ["time"],
      dtype: "float64",
      attributes: {
        standard_name: "time",
        long_name: "time",
        units: timeUnits,
        calendar: "proleptic_gregorian",
        axis: "T",
      },
    },
    ...(levels.length > 0
      ? [
          {
            name: "level",
            dimensions: ["level"],
            dtype: "float64" as const,
            attributes: {
              standard_name: "air_pressure",
              long_name: "pressure",
              units: "hPa",
              positive: "down",
              axis: "Z",
            },
            data: levels,
          },
        ]
      : []),
    {
      name: "latitude",
      dimensions: ["latitude"],
      dtype: "float64",
      attributes: { standard_name: "latitude", units: "degrees_north", axis: "Y", bounds: "latitude_bnds" },
      data: grid.lat,
    },
    {
      name: "longitude",
      dimensions: ["longitude"],
      dtype: "float64",
      attributes: { standard_name: "longitude", units: "degrees_east", axis: "X", bounds: "longitude_bnds" },
      data: grid.lon,
    },
    {
      name: "latitude_bnds",
      dimensions: ["latitude", "bnds"],
      dtype: "float64",
      data: Array.from(grid.lat, (_, i) => [latitudes[i]!, latitudes[i + 1]!]).flat(),
    },
    {
      name: "longitude_bnds",
      dimensions: ["longitude", "bnds"],
      dtype: "float64",
      data: longitudeEdges(grid),
    },
  ];
}

function variable(name: string, grid: Grid, { ground }: Planet, deflate: number): WrittenVariable {
  const { info } = parseName(name);
  const attributes = {
    standard_name: standardName(info),
    long_name: info.longNames[0] ?? name,
    units: info.units,
    comment: "SYNTHETIC",
  };
  const place = ["latitude", "longitude"];
  if (!isConstant(name))
    return {
      name,
      dimensions: isOnLevels(name) ? ["time", "level", ...place] : ["time", ...place],
      dtype: "float32",
      attributes,
      deflate,
    };
  const value =
    name === "orography" ? (lat: number, lon: number) => Math.max(0, ground.height(lat, lon)) : ground.land;
  const data = Array.from(grid.lat, (lat) => Array.from(grid.lon, (lon) => value(lat, lon))).flat();
  return { name, dimensions: place, dtype: "float32", attributes, data };
}

/** Of the standard names that mean this variable, the one for the quantity in our units. */
function standardName(info: VariableInfo): string {
  return info.name === "land_sea_mask" ? "land_area_fraction" : info.cfStandardNames[0]!;
}

function parametersOf(name: string, { dynamics, forcing, warmer }: Planet, seed: number, spinUpDays: number) {
  return {
    planet: name,
    seed,
    spinUpDays,
    timeStepHours: timeStep,
    truncation: 21,
    dynamics,
    forcing,
    warmer,
  };
}

/** The same date `years` on; a fraction of a year has 8766 hours times it. */
function yearsLater(start: CfTime, years: number): CfTime {
  const whole = Math.floor(years);
  const { year } = timeParts(start);
  const text = formatTime(start).replace(/^-?\d+/, String(year + whole).padStart(4, "0"));
  const target = text.replace(/-02-29T/, "-02-28T"); // as calendars do
  return addHours(parseTime(target, start.calendar), Math.round((years - whole) * 8766));
}

function checkedLevels(levels: readonly number[]): number[] {
  const [top, bottom] = pressureRange;
  const stray = levels.find((level) => !(level >= top && level <= bottom));
  if (stray !== undefined)
    throw new ClimaxError(
      "config",
      `--levels has ${stray} hPa, beyond what three levels at 200, 500 and 800 hPa can say`,
      `choose levels within ${top}..${bottom} hPa`,
    );
  return [...new Set(levels)].sort((a, b) => a - b);
}

function checkedNames(names: readonly string[]): string[] {
  const chosen = names.map((name) => {
    const { level, info } = parseName(name);
    if (!everyField.includes(info.name)) unknownName("variable of the simulation", name, everyField);
    if (level === undefined) return info.name;
    throw new ClimaxError(
      "config",
      `--variables has ${name}, with a level; all variables get the same levels`,
      `write --variables ${info.name} --levels ${level}`,
    );
  });
  return everyField.filter((name) => chosen.includes(name));
}

function checkedStep(text: string): number {
  const match = /^(\d+)\s*(h|d)?$/.exec(text.trim());
  const hours = Number(match?.[1] ?? Number.NaN) * (match?.[2] === "d" ? 24 : 1);
  if (hours >= timeStep && hours % timeStep === 0) return hours;
  throw new ClimaxError(
    "config",
    `--step is "${text}"; a multiple of ${timeStep}h was wanted, the time step of the model`,
    "write it as 6h or 1d",
  );
}
