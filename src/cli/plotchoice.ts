/** Which fields of a file `climax plot` draws: flags against what there is. */
import { parseLead } from "../data/leadtime.ts";
import { type CfTime, isWithin, parsePeriod, parseTime } from "../data/time.ts";
import { knownName } from "../data/variables.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { type Region, regionNamed, regions } from "../grid/regions.ts";
import { timeTitle } from "../plot/words.ts";
import type { Instant, PlotSource } from "../show/plotsource.ts";
import { leadTitle, someOf, timesTitle } from "../show/plotwords.ts";

/**
 * Names in the file; "geopotential" means all its levels.
 *
 * @throws ClimaxError "config" that names the nearest there are
 */
export function chooseVariables(source: PlotSource, given: readonly string[] | undefined): string[] {
  const known = [...source.units.keys()];
  if (!given) return known.slice(0, 1);
  return [
    ...new Set(
      given.flatMap((text) => {
        if (known.includes(text)) return [text];
        const { name = text, info, level } = knownName(text) ?? {};
        const found = known.filter((own) => {
          const parsed = knownName(own);
          return info && parsed?.info === info && (level === undefined || parsed.level === level);
        });
        return found.length > 0 ? found : unknownName("variable", name, known);
      }),
    ),
  ];
}

/** Indices into the source's times. @throws ClimaxError "config" for a time that is not there */
export function chooseTimes(source: PlotSource, given: readonly string[] | undefined): number[] {
  const { times, kind } = source;
  const what = kind === "forecast" ? "initial time" : "time";
  if (times.length === 0) {
    if (!given) return [0];
    throw new ClimaxError("config", "found --time, but nothing in the file varies in time", "leave it out");
  }
  if (!given) return [0];
  const { calendar } = times[0]!;
  const absent = (text: string) =>
    new ClimaxError(
      "config",
      `there is no ${what} ${text} in ${source.paths[0]}; there is ${timesTitle(times)}`,
      `choose one of them${nearest(text, times)}`,
    );
  return given.flatMap((text) => {
    if (text.includes("..")) {
      const period = parsePeriod(text, calendar);
      const inside = [...times.keys()].filter((i) => isWithin(times[i]!, period));
      if (inside.length === 0) throw absent(text);
      return inside;
    }
    const { seconds } = parseTime(text, calendar);
    const index = times.findIndex((time) => time.seconds === seconds);
    if (index < 0) throw absent(text);
    return [index];
  });
}

function nearest(text: string, times: readonly CfTime[]): string {
  const wanted = parseTime(text.split("..")[0]!, times[0]!.calendar).seconds;
  const away = (time: CfTime) => Math.abs(time.seconds - wanted);
  const time = times.reduce((a, b) => (away(b) < away(a) ? b : a));
  return `; the nearest is ${timeTitle(time).replace(" ", "T")}`;
}

/** Hours. @throws ClimaxError "config" for a lead that is not there */
export function chooseLeads(
  source: PlotSource,
  given: readonly string[] | undefined,
  all: boolean,
): number[] {
  const { leads, kind, paths } = source;
  if (!given) return all ? [...leads] : leads.slice(0, 1);
  if (kind === "states") {
    throw new ClimaxError(
      "config",
      `found --lead, but ${paths[0]} holds states, not forecasts`,
      "leave it out, or choose a time with --time",
    );
  }
  return given.map((text) => {
    const hours = text.trim() === "0" || text.trim() === "0h" ? 0 : parseLead(text);
    if (leads.includes(hours)) return hours;
    throw new ClimaxError(
      "config",
      `there is no lead of ${leadTitle(hours)} in ${paths[0]}; there are ${someOf(leads)} h`,
      "choose one of them",
    );
  });
}

/** Every time with every lead, in their order. */
export const instantsOf = (times: readonly number[], leads: readonly number[]): Instant[] =>
  times.flatMap((time) => leads.map((leadHours): Instant => ({ time, leadHours })));

/** @throws ClimaxError "config" for a member that the ensemble does not have */
export function chooseMember({ members, paths }: PlotSource, given: string | undefined): number | "mean" {
  if (given === undefined) return members > 1 ? "mean" : 0;
  if (given === "mean") return members > 1 ? "mean" : 0;
  const member = Number(given);
  if (Number.isInteger(member) && member >= 0 && member < members) return member;
  throw new ClimaxError(
    "config",
    `--member is ${given}; ${paths[0]} has ${members === 1 ? "one member" : `${members} members`}`,
    members === 1 ? "leave it out" : `give a number from 0 to ${members - 1}, or mean`,
  );
}

/** A region by its name here or in `climax evaluate`, or a box. */
export function chooseRegion(given: string | undefined): Region | undefined {
  if (given === undefined || /^global$/i.test(given)) return undefined;
  const own = regions.find(({ name }) => name === `wb2-${given}`);
  return own ?? regionNamed(given.replace("/", ","));
}

/** @throws ClimaxError "config" for what is no range */
export function parseRange(given: string | undefined): [low: number, high: number] | undefined {
  if (given === undefined) return undefined;
  const match = /^\s*(\S+?)\s*\.\.\s*(\S+)\s*$/.exec(given);
  const [low, high] = [Number(match?.[1]), Number(match?.[2])];
  if (Number.isFinite(low) && Number.isFinite(high) && low < high) return [low, high];
  throw new ClimaxError(
    "config",
    `--range is "${given}"; wanted two numbers, the lower one first`,
    "write it as 250..310, in the units of the file",
  );
}
