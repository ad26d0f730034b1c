/** Initial times and leads of the variables of a forecast file, however it stores them. */
import { coordinateKind, findCoordinates, timesOf as validTimesOf } from "../data/coordinates.ts";
import { text } from "../data/recognise.ts";
import { addHours, type CfTime, decodeTimes, formatTime, hoursBetween } from "../data/time.ts";
import { parseUnit } from "../data/units.ts";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import { type FieldTimes, pairs, product } from "./fieldtimes.ts";

export interface TimesOptions {
  /** Take a file without any lead as one of lead 0, its times being those it is valid at. */
  readonly leadZero?: boolean;
  /** A plain time beside a lead is that at which the forecast is valid, not the initial one (WeatherBench 2's by_init=False). */
  readonly timeIsValid?: boolean;
}

const initialNames =
  /^(forecast_)?(reference|initial|init|initiali[sz]ation|analysis|base)(_?time)?$|^reftime$/i;
const leadNames = /^(lead(_?time)?|step|prediction_timedelta|forecast_(period|hour)|fhour)$/i;

/** "time" may be initial or valid: that depends on what is beside it. */
type Kind = "initial" | "lead" | "valid" | "time";

function kindOf(variable: DatasetVariable): Kind | undefined {
  const kind = coordinateKind(variable);
  if (kind === "reference" || initialNames.test(variable.name)) return "initial";
  if (kind === "lead" || leadNames.test(variable.name)) return "lead";
  if (kind !== "time") return undefined;
  const called = [variable.name, text(variable.attributes, "long_name")];
  return called.some((name) => /^(valid|verification)([ _]?time)?$/i.test(name)) ? "valid" : "time";
}

/** A coordinate of a variable's forecasts: along one of its dimensions, or one value for all. */
interface Found {
  readonly variable: DatasetVariable;
  readonly dimension: string | undefined;
}

/**
 * What finds the initial times and leads of a file's variables; undefined for a variable that has none. Known forms: an
 * axis of initial times and one of leads; either of them as a scalar; initial, valid time or lead, two of the three, for
 * each record along one dimension; valid times beside one initial time, or beside leads.
 *
 * Throws ClimaxError "data" when they contradict each other, or cannot be told from what the file says.
 */
export function timesFinder(
  dataset: Dataset,
  options: TimesOptions = {},
): (variable: DatasetVariable) => Promise<FieldTimes | undefined> {
  const known = new Map<string, Promise<FieldTimes | undefined>>();
  const kinds = [...dataset.variables.values()].flatMap((variable) => {
    const kind = variable.shape.length <= 1 ? kindOf(variable) : undefined;
    const taken: Kind | undefined = kind === "time" && options.timeIsValid ? "valid" : kind;
    return taken === undefined ? [] : [{ kind: taken, variable }];
  });
  const find = (kind: Kind, variable: DatasetVariable): Found | undefined => {
    const own = kinds.filter((one) => one.kind === kind).map((one) => one.variable);
    const along = own.filter(({ dimensions: [dimension] }) => variable.dimensions.includes(dimension!));
    // The variable named as its dimension comes first (CF 2.4).
    const axis = along.find(({ name, dimensions }) => name === dimensions[0]) ?? along[0];
    if (axis) return { variable: axis, dimension: axis.dimensions[0] };
    const scalars = own.filter(({ shape }) => shape.length === 0);
    const listed = text(variable.attributes, "coordinates").split(/\s+/);
    const named = scalars.find(({ name }) => listed.includes(name));
    // Each variable of GRIB names its own.
    const scalar = named ?? (dataset.format.startsWith("GRIB") ? undefined : scalars[0]);
    return scalar && { variable: scalar, dimension: undefined };
  };
  return (variable) => {
    const places = {
      initial: find("initial", variable),
      lead: find("lead", variable),
      valid: find("valid", variable),
      time: find("time", variable),
    };
    const key = Object.values(places)
      .map((found) => found?.variable.name)
      .join();
    const times = known.get(key) ?? resolve(dataset, settle(dataset, places), options.leadZero ?? false);
    known.set(key, times);
    return times;
  };
}

type Places = Readonly<Record<Kind, Found | undefined>>;

/** Says of a plain time what it is. */
function settle({ path }: Dataset, { initial, lead, valid, time }: Places): Omit<Places, "time"> {
  if (!time) return { initial, lead, valid };
  const apart =
    lead?.dimension !== undefined && time.dimension !== undefined && lead.dimension !== time.dimension;
  if (initial && !(initial.dimension === undefined && apart)) return { initial, lead, valid: valid ?? time };
  if (!lead) return { initial, lead, valid: valid ?? time };
  if (valid || lead.dimension === undefined || lead.dimension !== time.dimension) {
    // Beside a lead, a plain time is the initial one: so WeatherBench 2 and ECMWF's tools write it.
    return { initial: time, lead, valid };
  }
  if (text(time.variable.attributes, "standard_name") === "time") return { initial, lead, valid: time };
  throw new ClimaxError(
    "data",
    `${path} has ${time.variable.name} and ${lead.variable.name} along one dimension, and does not say whether these times are initial or valid ones`,
    `say it: ncatted -a standard_name,${time.variable.name},o,c,forecast_reference_time ${path} (initial), or time (valid)`,
  );
}

async function resolve(
  dataset: Dataset,
  { initial, lead, valid }: Omit<Places, "time">,
  leadZero: boolean,
): Promise<FieldTimes | undefined> {
  if (initial && lead) {
    const [times, hours] = [await timesOf(dataset, initial), await leadsOf(dataset, lead)];
    const found =
      initial.dimension !== undefined && initial.dimension === lead.dimension
        ? pairs(
            [initial.dimension],
            times.map((time, i) => ({ time, lead: hours[i]!, at: [i] })),
          )
        : product(initial.dimension, times, lead.dimension, hours);
    checkOnce(dataset, initial.variable, found);
    await checkValidTimes(dataset, [initial, lead], times, hours);
    return found;
  }
  const [one, other] = [initial ?? valid, initial ? valid : lead];
  if (one && other) {
    const own = await timesOf(dataset, one);
    const others = initial ? await timesOf(dataset, other) : await leadsOf(dataset, other);
    const same = one.dimension !== undefined && one.dimension === other.dimension;
    const dimensions = same ? [one.dimension!] : [one, other].flatMap(({ dimension }) => dimension ?? []);
    const list = own.flatMap((time, i) =>
      (same ? [i] : others.map((_, j) => j)).map((j) => {
        const second = others[j]!;
        const at = same ? [i] : [...(one.dimension ? [i] : []), ...(other.dimension ? [j] : [])];
        if (typeof second === "number") return { time: addHours(time, -second), lead: second, at };
        return { time, lead: toMillionths(hoursBetween(time, second)), at };
      }),
    );
    // Of two axes, a time before the initial one is none of that forecast.
    const found = pairs(dimensions, dimensions.length === 2 ? list.filter(ahead) : list);
    if (found.initial.length === 0) {
      throw new ClimaxError(
        "data",
        `${dataset.path}: no time in ${other.variable.name} is at or after an initial time in ${one.variable.name}`,
        "correct the units of one of them, or give the file of these forecasts",
      );
    }
    checkOnce(dataset, one.variable, found);
    return found;
  }
  const only = valid ?? initial;
  if (!leadZero || lead || !only) return undefined;
  // A projection may count bare years, which the reader of archives dates; a scalar must say what it counts.
  const dated =
    only.dimension !== undefined && (await validTimesOf(findCoordinates(dataset), only.variable))?.times;
  const found = product(only.dimension, dated || (await timesOf(dataset, only)), undefined, [0]);
  checkOnce(dataset, only.variable, found);
  return found;
}

const ahead = ({ lead }: { lead: number }) => lead >= 0;

/** A millionth of an hour is far below any step, and above what rounding leaves of nanoseconds. */
const toMillionths = (hours: number) => Math.round(hours * 1e6) / 1e6;

async function numbers({ variable }: Found): Promise<number[]> {
  return Array.from(await variable.readUnpacked());
}

async function timesOf({ path }: Dataset, found: Found): Promise<CfTime[]> {
  const { name, attributes } = found.variable;
  const units = text(attributes, "units");
  if (units === "") {
    throw new ClimaxError(
      "data",
      `${name} in ${path} has no units, so that its times cannot be told`,
      `set them: ncatted -a units,${name},o,c,"hours since 1970-01-01" ${path}`,
    );
  }
  return decodeTimes(await numbers(found), units, text(attributes, "calendar") || undefined);
}

/** No forecast counts twice. */
function checkOnce({ path }: Dataset, { name }: DatasetVariable, { twice }: FieldTimes): void {
  if (!twice) return;
  const { time, lead } = twice;
  throw new ClimaxError(
    "data",
    lead === undefined
      ? `${path} has the initial time ${formatTime(time!)} more than once in ${name}`
      : time === undefined
        ? `${path} has the lead of ${lead} h more than once`
        : `${path} has the forecast from ${formatTime(time)} for ${lead} h more than once`,
    "leave one of them in the file, so that no forecast counts twice",
  );
}

/** Leads in hours, from any unit of time and from those of xarray's timedelta. */
async function leadsOf({ path }: Dataset, found: Found): Promise<number[]> {
  const { name, attributes } = found.variable;
  const units = text(attributes, "units");
  const seconds = secondsOf(units) ?? (units === "" && /hour$/i.test(name) ? 3600 : undefined);
  if (seconds === undefined) {
    throw new ClimaxError(
      "data",
      `the lead ${name} in ${path} has ${units === "" ? "no units" : `the units "${units}"`}; wanted hours, days or another unit of time`,
      `set them: ncatted -a units,${name},o,c,hours ${path}`,
    );
  }
  return (await numbers(found)).map((value) => toMillionths((value * seconds) / 3600));
}

/** Seconds in a unit of time. */
function secondsOf(units: string): number | undefined {
  const small = /^(?:timedelta64\[)?(nano|micro|milli|[nuµm])s(?:ec(?:ond)?s?)?\]?$/i
    .exec(units)?.[1]
    ?.toLowerCase();
  if (small)
    return { n: 1e-9, u: 1e-6, µ: 1e-6, m: small === "micro" ? 1e-6 : 1e-3 }[
      small[0] as "n" | "u" | "µ" | "m"
    ];
  const unit = parseUnit(/^timedelta64\[(.+)\]$/.exec(units)?.[1] ?? units);
  const isTime = unit?.dimension.every((power, i) => power === (i === 2 ? 1 : 0));
  return isTime ? unit!.factor : undefined;
}

/** Where the file also has valid times, they must be initial time plus lead. */
async function checkValidTimes(
  dataset: Dataset,
  used: readonly [Found, Found],
  initial: readonly CfTime[],
  leads: readonly number[],
): Promise<void> {
  const [initialDimension, leadDimension] = used.map(({ dimension }) => dimension);
  const own = used.map(({ variable }) => variable.name);
  const stated = [...dataset.variables.values()].filter(
    (variable) =>
      variable.dimensions.length > 0 &&
      variable.dimensions.every((name) => name === initialDimension || name === leadDimension) &&
      !own.includes(variable.name) &&
      text(variable.attributes, "units") !== "" &&
      (variable.name === "valid_time" || text(variable.attributes, "standard_name") === "time"),
  );
  for (const variable of stated) {
    const { name, dimensions, shape } = variable;
    const at = (dimension: string | undefined, k: number) => {
      const axis = dimension === undefined ? -1 : dimensions.indexOf(dimension);
      if (axis < 0) return undefined;
      return axis === dimensions.length - 1 ? k % shape[axis]! : Math.floor(k / shape[1]!);
    };
    for (const [k, time] of (await timesOf(dataset, { variable, dimension: undefined })).entries()) {
      const [i, j] = [at(initialDimension, k), at(leadDimension, k)];
      // Along one axis only, it is the same for all of the other: of a single one it can be.
      if ((i === undefined && initial.length > 1) || (j === undefined && leads.length > 1)) break;
      const [from, hours] = [initial[i ?? 0]!, leads[j ?? 0]!];
      if (Math.abs(hoursBetween(addHours(from, hours), time)) < 1e-3) continue;
      throw new ClimaxError(
        "data",
        `${dataset.path}: ${name} says ${formatTime(time)} for the initial time ${formatTime(from)} and a lead of ${hours} h`,
        "initial time plus lead must be the valid time: correct the file",
      );
    }
  }
}

/** What a file lacks in which no variable has both. */
export function noForecasts(dataset: Dataset): ClimaxError {
  const kinds = new Set([...dataset.variables.values()].map(kindOf));
  const missing = kinds.has("lead")
    ? "initial time"
    : kinds.has("initial")
      ? "lead"
      : "initial time and no lead";
  return new ClimaxError(
    "data",
    `${dataset.path} has no ${missing}; its dimensions are ${[...dataset.dimensions.keys()].join(", ")}`,
    "a forecast file has an initial time (time, or standard_name forecast_reference_time) and a lead " +
      "(prediction_timedelta, step, lead_time or forecast_period, or standard_name forecast_period)",
  );
}
