// CF time: numbers since a date, in every CF calendar, as seconds since 1970-01-01 of that same calendar.
// Never JavaScript's Date, which knows neither 30 February nor a year without 29 February.
import { ClimaxError } from "../errors.ts";

export type Calendar = "standard" | "proleptic_gregorian" | "julian" | "noleap" | "all_leap" | "360_day";

export interface CfTime {
  calendar: Calendar;
  /** Seconds since 1970-01-01T00:00 in that calendar; whole milliseconds. */
  seconds: number;
}

export interface TimeParts {
  year: number;
  /** 1 to 12. */
  month: number;
  /** 1 to 31. */
  day: number;
  hour: number;
  minute: number;
  /** With its fraction. */
  second: number;
  /** 1 on the first of January. */
  dayOfYear: number;
}

/** First and last instant of a stretch of time; both belong to it. */
export interface Period {
  start: CfTime;
  end: CfTime;
}

interface DayCount {
  /** Day number of a date; the origin is the calendar's own. */
  toDay(year: number, month: number, day: number): number;
  fromDay(day: number): { year: number; month: number; day: number };
}

// Julian day numbers by counting years from 1 March, so that the leap day comes last: the months from March on
// repeat 31, 30, 31, 30, 31 every 153 days. Year 0 exists in all calendars here (astronomical years).
const fromMarch = (year: number, month: number) => ({
  years: year + 4800 - (month < 3 ? 1 : 0),
  months: (month + 9) % 12,
});
const julian: DayCount = {
  toDay(year, month, day) {
    const { years, months } = fromMarch(year, month);
    return day + Math.floor((153 * months + 2) / 5) + 365 * years + Math.floor(years / 4) - 32083;
  },
  fromDay(day) {
    const n = day + 32082;
    const years = Math.floor((4 * n + 3) / 1461);
    return fromMarchDay(years - 4800, n - Math.floor((1461 * years) / 4));
  },
};
const gregorian: DayCount = {
  toDay(year, month, day) {
    const { years } = fromMarch(year, month);
    return julian.toDay(year, month, day) + 38 - Math.floor(years / 100) + Math.floor(years / 400);
  },
  fromDay(day) {
    const n = day + 32044;
    const centuries = Math.floor((4 * n + 3) / 146097);
    const inCentury = n - Math.floor((146097 * centuries) / 4);
    const years = Math.floor((4 * inCentury + 3) / 1461);
    return fromMarchDay(100 * centuries + years - 4800, inCentury - Math.floor((1461 * years) / 4));
  },
};

/** The date `n` days after 1 March of `year`. */
function fromMarchDay(year: number, n: number) {
  const months = Math.floor((5 * n + 2) / 153);
  const day = n - Math.floor((153 * months + 2) / 5) + 1;
  return { year: year + (months > 9 ? 1 : 0), month: months > 9 ? months - 9 : months + 3, day };
}

/** A calendar whose years all have the same months. */
function sameEveryYear(monthLengths: number[]): DayCount {
  const before = monthLengths.map((_, m) => monthLengths.slice(0, m).reduce((sum, n) => sum + n, 0));
  const length = before[11]! + monthLengths[11]!;
  return {
    toDay: (year, month, day) => year * length + before[month - 1]! + day - 1,
    fromDay(day) {
      const year = Math.floor(day / length);
      const rest = day - year * length;
      const month = before.findLastIndex((n) => n <= rest);
      return { year, month: month + 1, day: rest - before[month]! + 1 };
    },
  };
}

const reform = 2299161; // Julian day of 1582-10-15, the first Gregorian day; 1582-10-04 came before it
const standard: DayCount = {
  toDay(year, month, day) {
    const gregorianDate = year * 10000 + month * 100 + day >= 15821015;
    return (gregorianDate ? gregorian : julian).toDay(year, month, day);
  },
  fromDay: (day) => (day >= reform ? gregorian : julian).fromDay(day),
};

const calendars: Record<Calendar, DayCount> = {
  standard,
  proleptic_gregorian: gregorian,
  julian,
  noleap: sameEveryYear([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]),
  all_leap: sameEveryYear([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]),
  "360_day": sameEveryYear(Array(12).fill(30)),
};
const aliases: Record<string, Calendar> = {
  gregorian: "standard",
  "365_day": "noleap",
  "366_day": "all_leap",
};

/** The calendar of a CF `calendar` attribute; absent means standard (CF 1.11, section 4.4.1). */
export function parseCalendar(name: string | undefined): Calendar {
  const key = (name ?? "standard").trim().toLowerCase();
  if (key === "") return "standard";
  if (Object.hasOwn(calendars, key)) return key as Calendar;
  if (Object.hasOwn(aliases, key)) return aliases[key]!;
  throw new ClimaxError(
    "data",
    `unknown calendar "${name}"; wanted one of ${[...Object.keys(calendars), ...Object.keys(aliases)].join(", ")}`,
    'set the calendar that the dates were counted in: cdo setcalendar,standard in.nc out.nc (or correct the attribute "calendar" of the time variable)',
  );
}

/** Seconds of each unit of time that has a fixed length. */
const unitSeconds: Record<string, number> = {
  microsecond: 1e-6,
  us: 1e-6,
  microsec: 1e-6,
  millisecond: 1e-3,
  ms: 1e-3,
  msec: 1e-3,
  millisec: 1e-3,
  second: 1,
  s: 1,
  sec: 1,
  minute: 60,
  min: 60,
  hour: 3600,
  h: 3600,
  hr: 3600,
  day: 86400,
  d: 86400,
  week: 604800,
};

const datePattern =
  /^(-?\d{1,6})-(\d{1,2})-(\d{1,2})(?:(?:T|\s+)(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?)?)?\s*(Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)?$/i;

/** Seconds since 1970 of a full date with optional time of day and offset from UTC; undefined when it is none. */
function parseDate(text: string, calendar: Calendar): number | undefined {
  const match = datePattern.exec(text.trim());
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  if (!isDate(calendar, year!, month!, day!)) return undefined;
  if (hour! > 24 || minute! > 59 || second! >= 61) return undefined;
  const zone = /^([+-])(\d{1,2}):?(\d{2})?$/.exec(match[7] ?? "");
  const offset = zone ? (zone[1] === "-" ? -1 : 1) * (Number(zone[2]) * 60 + Number(zone[3] ?? 0)) : 0;
  return dateSeconds(calendar, year!, month!, day!) + hour! * 3600 + (minute! - offset) * 60 + second!;
}

/** Whether the calendar has that day: 30 February in 360_day, and no 10 October 1582 in standard. */
function isDate(calendar: Calendar, year: number, month: number, day: number): boolean {
  if (month < 1 || month > 12 || day < 1 || day > 31) return false;
  const count = calendars[calendar];
  const back = count.fromDay(count.toDay(year, month, day));
  return back.year === year && back.month === month && back.day === day;
}

function dateSeconds(calendar: Calendar, year: number, month: number, day: number): number {
  const { toDay } = calendars[calendar];
  return (toDay(year, month, day) - toDay(1970, 1, 1)) * 86400;
}

/** Length of the unit in seconds, and the origin in seconds since 1970, of "hours since 1900-01-01". */
function parseUnits(units: string, calendar: Calendar): { length: number; origin: number } {
  const match = /^\s*([a-z]+)\s+(?:since|after|from|ref)\s+(.*)$/i.exec(units);
  const unit = match?.[1]?.toLowerCase() ?? "";
  if (/^(months?|mon|years?|yr|common_year|y|a)$/.test(unit)) {
    throw new ClimaxError(
      "data",
      `time units "${units}": a ${unit.replace(/s$/, "")} has no fixed length; wanted microseconds to weeks`,
      "write the times in days: cdo -r settunits,days in.nc out.nc (or set real dates: cdo -r settaxis,2000-01-16,00:00,1month in.nc out.nc)",
    );
  }
  const length = unitSeconds[unit] ?? unitSeconds[unit.replace(/s$/, "")];
  const origin = match ? parseDate(match[2]!, calendar) : undefined;
  if (length === undefined || origin === undefined) {
    throw new ClimaxError(
      "data",
      `time units "${units}" (calendar ${calendar}) are not understood; wanted such as "hours since 1900-01-01 00:00:00"`,
      'correct the attribute "units" of the time variable, or set the times anew: cdo -r settaxis,2001-01-01,00:00,6hour in.nc out.nc',
    );
  }
  return { length, origin };
}

// Counted in days since year 1, float64 resolves 10 microseconds, so whole milliseconds are what a file means.
const toMilliseconds = (seconds: number) => Math.round(seconds * 1000) / 1000;

/**
 * Times of a CF time variable. Also takes CDO's absolute time, "day as %Y%m%d.%f".
 * @throws ClimaxError "data" for units or calendars that are none, months and years, and values that are no number.
 */
export function decodeTimes(
  values: ArrayLike<number | bigint>,
  units: string,
  calendar: string | undefined,
): CfTime[] {
  const name = parseCalendar(calendar);
  const absolute = /^\s*day\s+as\s+%Y%m%d(\.%f)?\s*$/i.test(units);
  const { length, origin } = absolute ? { length: 86400, origin: 0 } : parseUnits(units, name);
  return Array.from(values, (raw, i) => {
    const value = Number(raw);
    if (!Number.isFinite(value)) {
      throw new ClimaxError(
        "data",
        `time ${i} is missing (${value}), of units "${units}"; every step needs a time`,
        "leave out the steps without a time, or set them anew: cdo -r settaxis,2001-01-01,00:00,6hour in.nc out.nc",
      );
    }
    if (absolute) return decodeAbsolute(value, name, units);
    // Whole days apart from the rest: the product of a large count and its unit would round to microseconds.
    const days = Math.floor((value * length) / 86400);
    const rest = (value - (days * 86400) / length) * length;
    return { calendar: name, seconds: toMilliseconds(origin + days * 86400 + rest) };
  });
}

function decodeAbsolute(value: number, calendar: Calendar, units: string): CfTime {
  const date = Math.floor(value);
  const [year, month, day] = [Math.floor(date / 10000), Math.floor(date / 100) % 100, date % 100];
  if (!isDate(calendar, year, month, day)) {
    throw new ClimaxError(
      "data",
      `time ${value} of units "${units}" is no date of the ${calendar} calendar`,
      "write the times relative to a date: cdo -r copy in.nc out.nc",
    );
  }
  // %f of a day after eight digits of date leaves about 1e-9 days; full seconds are all that is in it.
  return { calendar, seconds: dateSeconds(calendar, year, month, day) + Math.round((value - date) * 86400) };
}

/** Times as numbers in `units` ("hours since 1970-01-01"), [T]. */
export function encodeTimes(times: readonly CfTime[], units: string): Float64Array {
  const calendar = times[0]?.calendar ?? "standard";
  const { length, origin } = parseUnits(units, calendar);
  return Float64Array.from(times, (time) => {
    mustShareCalendar(time.calendar, calendar);
    return (time.seconds - origin) / length;
  });
}

/**
 * An instant: "2017-01-01", "2017-01-01T06:00", "2017-01-01 06:00:00Z"; "2017" and "2017-01" mean their first.
 * @throws ClimaxError "config" for what is no date of the calendar.
 */
export function parseTime(text: string, calendar: Calendar): CfTime {
  const full = /^\s*-?\d{1,6}\s*$/.test(text) ? `${text.trim()}-1-1` : text;
  const seconds = parseDate(full, calendar) ?? parseDate(`${full.trim()}-1`, calendar);
  if (seconds !== undefined) return { calendar, seconds: toMilliseconds(seconds) };
  throw new ClimaxError(
    "config",
    `"${text}" is no date of the ${calendar} calendar`,
    "write it as 2017-01-31 or 2017-01-31T06:00",
  );
}

/** "2017-01-01T06:00:00"; milliseconds only where there are any. */
export function formatTime(time: CfTime): string {
  const { year, month, day, hour, minute, second } = timeParts(time);
  const two = (n: number) => String(n).padStart(2, "0");
  const whole = Math.floor(second);
  const fraction = Math.round((second - whole) * 1000);
  const years = year < 0 ? `-${String(-year).padStart(4, "0")}` : String(year).padStart(4, "0");
  const clock = `${two(hour)}:${two(minute)}:${two(whole)}${fraction ? `.${String(fraction).padStart(3, "0")}` : ""}`;
  return `${years}-${two(month)}-${two(day)}T${clock}`;
}

export function addHours(time: CfTime, hours: number): CfTime {
  return { calendar: time.calendar, seconds: toMilliseconds(time.seconds + hours * 3600) };
}

/** Hours from `a` to `b`; negative when `b` is the earlier. */
export function hoursBetween(a: CfTime, b: CfTime): number {
  mustShareCalendar(a.calendar, b.calendar);
  return (b.seconds - a.seconds) / 3600;
}

function mustShareCalendar(a: Calendar, b: Calendar): void {
  if (a === b) return;
  throw new ClimaxError(
    "data",
    `times of two calendars, ${a} and ${b}, cannot be compared`,
    "use files of one calendar together",
  );
}

export function timeParts(time: CfTime): TimeParts {
  const { toDay, fromDay } = calendars[time.calendar];
  const milliseconds = Math.round(time.seconds * 1000); // whole numbers from here: no 59.9999999
  const days = Math.floor(milliseconds / 86_400_000);
  const rest = milliseconds - days * 86_400_000;
  const dayNumber = days + toDay(1970, 1, 1);
  const date = fromDay(dayNumber);
  return {
    ...date,
    hour: Math.floor(rest / 3_600_000),
    minute: Math.floor(rest / 60_000) % 60,
    second: (rest % 60_000) / 1000,
    dayOfYear: dayNumber - toDay(date.year, 1, 1) + 1,
  };
}

/**
 * A stretch of time from partial dates, both ends included: "2016" is the whole year, "2016-03" the month,
 * "2016-03-05" the day, "2016-03-05T06" the hour, "1979..2015-06" from the start of the one to the end of the other.
 * @throws ClimaxError "config" for what is no date of the calendar, and for an end before its start.
 */
export function parsePeriod(text: string, calendar: Calendar): Period {
  const [from, to = from, ...more] = text.split("..").map((part) => part.trim());
  if (!from || !to || more.length > 0) {
    throw new ClimaxError(
      "config",
      `"${text}" is no period`,
      "write 2016, 2016-03, 2016-03-05 or two of these joined as 1979..2015",
    );
  }
  const period = { start: parseTime(from, calendar), end: endOf(to, calendar) };
  if (period.end.seconds < period.start.seconds) {
    throw new ClimaxError("config", `the period "${text}" ends before it starts`, `write ${to}..${from}`);
  }
  return period;
}

/** Last second of what a partial date names. */
function endOf(text: string, calendar: Calendar): CfTime {
  const start = parseTime(text, calendar);
  const { year, month } = timeParts(start);
  const next = (seconds: number) => ({ calendar, seconds: seconds - 1 });
  if (/^-?\d+$/.test(text)) return next(dateSeconds(calendar, year + 1, 1, 1));
  if (/^-?\d+-\d+$/.test(text)) {
    return next(
      month === 12 ? dateSeconds(calendar, year + 1, 1, 1) : dateSeconds(calendar, year, month + 1, 1),
    );
  }
  if (/^-?\d+-\d+-\d+$/.test(text)) return next(start.seconds + 86400);
  if (/[T\s]\d+$/i.test(text)) return next(start.seconds + 3600);
  return start;
}

/** Whether the time lies in the period, its ends included. */
export function isWithin(time: CfTime, period: Period): boolean {
  mustShareCalendar(time.calendar, period.start.calendar);
  return time.seconds >= period.start.seconds && time.seconds <= period.end.seconds;
}
