// CF time against cases decoded by python cftime, and the rules of partial dates.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  addHours,
  type Calendar,
  decodeTimes,
  encodeTimes,
  formatTime,
  hoursBetween,
  isWithin,
  parseCalendar,
  parsePeriod,
  parseTime,
  timeParts,
} from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";

type Case = [value: number, units: string, calendar: string, time: string, dayOfYear: number];
const { cases } = JSON.parse(readFileSync(new URL("../fixtures/cftime.json", import.meta.url), "utf8")) as {
  cases: Case[];
};

test("decodes as cftime does, in every calendar and unit", () => {
  expect(cases.length).toBeGreaterThan(90);
  for (const [value, units, calendar, expected, dayOfYear] of cases) {
    const time = decodeTimes([value], units, calendar)[0]!;
    expect([value, units, calendar, formatTime(time).padEnd(23, ".000").slice(0, 23)]).toEqual([
      value,
      units,
      calendar,
      expected,
    ]);
    expect(timeParts(time).dayOfYear, `${units} ${value}`).toBe(dayOfYear);
  }
});

test("encodes what it decoded, and parses what it formatted", () => {
  for (const [value, units, calendar] of cases) {
    const time = decodeTimes([value], units, calendar)[0]!;
    const [thousand, none] = decodeTimes([1000, 0], units, calendar);
    const length = (thousand!.seconds - none!.seconds) / 1000;
    // Times are whole milliseconds; float64 itself resolves 1e-16 of a value.
    const tolerance = 1e-3 / length + Math.abs(value) * 1e-15;
    expect(Math.abs(encodeTimes([time], units)[0]! - value)).toBeLessThanOrEqual(tolerance);
    expect(parseTime(formatTime(time), time.calendar)).toEqual(time);
  }
});

test("hours counted in days since year 1 come out whole", () => {
  // 1/24 of a day is no binary fraction, and 735110 days leave 1e-10 of a day of resolution.
  const times = decodeTimes(
    Array.from({ length: 24 }, (_, h) => 735110 + h / 24),
    "days since 0001-01-01",
    "noleap",
  );
  expect(times.map((time) => timeParts(time).hour)).toEqual(Array.from({ length: 24 }, (_, h) => h));
  expect(times.every((time) => timeParts(time).minute === 0 && timeParts(time).second === 0)).toBe(true);
  expect(formatTime(times[6]!)).toBe("2015-01-01T06:00:00"); // CESM2-WACCM ssp245 starts on that day
});

test("takes CDO's absolute time, weeks, 64-bit integers and an absent calendar", () => {
  expect(formatTime(decodeTimes([20010102.75], "day as %Y%m%d.%f", "standard")[0]!)).toBe(
    "2001-01-02T18:00:00",
  );
  expect(formatTime(decodeTimes([1], "weeks since 2000-02-26", "all_leap")[0]!)).toBe("2000-03-04T00:00:00");
  expect(decodeTimes([1062108n], "hours since 1900-01-01 00:00:00.0", undefined).map(formatTime)).toEqual([
    "2021-03-01T12:00:00",
  ]);
});

test("the standard calendar skips ten days of October 1582", () => {
  const before = parseTime("1582-10-04T12:00", "standard");
  expect(formatTime(addHours(before, 24))).toBe("1582-10-15T12:00:00");
  expect(hoursBetween(before, parseTime("1582-10-15", "standard"))).toBe(12);
  expect(() => parseTime("1582-10-10", "standard")).toThrow("no date of the standard calendar");
  expect(formatTime(addHours(parseTime("1582-10-04", "proleptic_gregorian"), 24))).toBe(
    "1582-10-05T00:00:00",
  );
});

test("each calendar has its own February", () => {
  const days = (calendar: Calendar) =>
    hoursBetween(parseTime("1900-02-01", calendar), parseTime("1900-03-01", calendar)) / 24;
  expect(days("standard")).toBe(28);
  expect(days("julian")).toBe(29);
  expect(days("noleap")).toBe(28);
  expect(days("all_leap")).toBe(29);
  expect(days("360_day")).toBe(30);
  expect(formatTime(parseTime("2001-02-30", "360_day"))).toBe("2001-02-30T00:00:00");
  expect(() => parseTime("2001-02-29", "noleap")).toThrow(ClimaxError);
});

test("partial dates are periods with both ends", () => {
  const period = (text: string, calendar: Calendar = "standard") => {
    const { start, end } = parsePeriod(text, calendar);
    return `${formatTime(start)} ${formatTime(end)}`;
  };
  expect(period("2016")).toBe("2016-01-01T00:00:00 2016-12-31T23:59:59");
  expect(period("2016-02")).toBe("2016-02-01T00:00:00 2016-02-29T23:59:59");
  expect(period("2016-02", "360_day")).toBe("2016-02-01T00:00:00 2016-02-30T23:59:59");
  expect(period("2016-03-05")).toBe("2016-03-05T00:00:00 2016-03-05T23:59:59");
  expect(period("2016-03-05T06")).toBe("2016-03-05T06:00:00 2016-03-05T06:59:59");
  expect(period("2016-03-05T06:00")).toBe("2016-03-05T06:00:00 2016-03-05T06:00:00");
  expect(period("1979..2015-12")).toBe("1979-01-01T00:00:00 2015-12-31T23:59:59");
  expect(period("1979-01-01..2015-12-31")).toBe(period("1979..2015"));
  const year = parsePeriod("2016", "standard");
  expect(isWithin(parseTime("2016-12-31T18:00", "standard"), year)).toBe(true);
  expect(isWithin(parseTime("2017-01-01", "standard"), year)).toBe(false);
  expect(() => parsePeriod("2016..2015", "standard")).toThrow(
    'the period "2016..2015" ends before it starts',
  );
  expect(() => parsePeriod("2016..", "standard")).toThrow('"2016.." is no period');
  expect(() => parsePeriod("2016-13", "standard")).toThrow('"2016-13" is no date');
});

test("refuses with a mend what has no fixed length or no meaning", () => {
  const message = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      if (error instanceof ClimaxError) return `${error.kind}: ${error.message} | ${error.hint}`;
    }
    return "nothing thrown";
  };
  expect(message(() => decodeTimes([1], "months since 1850-01-01", "standard"))).toMatch(
    /^data: time units "months since 1850-01-01": a month has no fixed length; .* \| .*cdo -r settunits,days/,
  );
  expect(message(() => decodeTimes([1], "hours since yesterday", "standard"))).toContain(
    "are not understood",
  );
  expect(message(() => decodeTimes([1], "hours since 2001-02-30", "noleap"))).toContain("calendar noleap");
  expect(message(() => decodeTimes([1], "K", "standard"))).toContain('time units "K"');
  expect(message(() => decodeTimes([0, Number.NaN], "days since 2000-01-01", "standard"))).toContain(
    "time 1 is missing",
  );
  expect(message(() => parseCalendar("mayan"))).toContain('unknown calendar "mayan"');
  expect(message(() => hoursBetween(parseTime("2000", "standard"), parseTime("2000", "noleap")))).toContain(
    "two calendars, standard and noleap",
  );
});
