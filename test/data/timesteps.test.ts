// Choosing steps by hours of the day and by period, and means over stretches of hours.
import { expect, test } from "vitest";
import { type Calendar, formatTime, parseTime } from "../../src/data/time.ts";
import { type StepOptions, selectSteps } from "../../src/data/timesteps.ts";

const series = (start: string, hours: number, count: number, calendar: Calendar = "standard") => {
  const { seconds } = parseTime(start, calendar);
  return Array.from({ length: count }, (_, i) => ({ calendar, seconds: seconds + i * hours * 3600 }));
};
const texts = (times: ReturnType<typeof series>) => times.map((time) => formatTime(time).slice(0, 16));

test("without options all steps are kept, and nothing is said", () => {
  const times = series("2001-01-01", 6, 3);
  expect(selectSteps(times)).toEqual({ groups: [[0], [1], [2]], times, notes: [] });
});

test("hours are counted from midnight, wherever the series begins", () => {
  const { groups, times, notes } = selectSteps(series("2001-01-01T03", 1, 24), { every: 6 });
  expect(texts(times)).toEqual([
    "2001-01-01T06:00",
    "2001-01-01T12:00",
    "2001-01-01T18:00",
    "2001-01-02T00:00",
  ]);
  expect(groups).toEqual([[3], [9], [15], [21]]);
  expect(notes).toEqual(["kept 4 of 24 steps a day: 6-hourly; 4 of 24"]);
});

test.each<[Calendar, number]>([
  ["standard", 366],
  ["noleap", 365],
  ["360_day", 360],
  ["julian", 366],
])("a leap year of hours in the calendar %s", (calendar, days) => {
  const hours = series("1903-12-30", 1, 24 * 400, calendar);
  const { times, notes } = selectSteps(hours, { every: 12, period: "1904" });
  expect([texts(times)[0], texts(times).at(-1)]).toEqual([
    "1904-01-01T00:00",
    calendar === "360_day" ? "1904-12-30T12:00" : "1904-12-31T12:00",
  ]);
  expect(times).toHaveLength(2 * days);
  expect(notes).toEqual([
    `kept ${24 * days} of 9600 steps: 1904`,
    `kept 2 of 24 steps a day: 12-hourly; ${2 * days} of ${24 * days}`,
  ]);
});

test("more than a day is counted from 1970", () => {
  const { times, notes } = selectSteps(series("1969-12-31", 6, 20), { every: 48 });
  expect(texts(times)).toEqual(["1970-01-01T00:00", "1970-01-03T00:00"]);
  expect(notes).toEqual(["kept 2 of 20 steps: those at multiples of 48 h"]);
});

test("a gap is a gap: steps are found by their time", () => {
  const all = series("2001-01-01", 1, 48);
  const { times } = selectSteps([...all.slice(0, 5), ...all.slice(11)], { every: 6 });
  expect(texts(times).slice(0, 3)).toEqual(["2001-01-01T00:00", "2001-01-01T12:00", "2001-01-01T18:00"]);
});

test("means are over what begins at their time; those that lack a step are left out", () => {
  const times = series("2001-01-01T00:30", 1, 50); // the middles of hours
  const some = [...times.slice(2, 20), ...times.slice(21)];
  const { groups, times: made, notes } = selectSteps(some, { every: 6, average: true });
  expect(texts(made)).toEqual([
    "2001-01-01T06:00",
    "2001-01-01T12:00",
    "2001-01-02T00:00",
    "2001-01-02T06:00",
    "2001-01-02T12:00",
    "2001-01-02T18:00",
  ]);
  expect(groups[0]).toEqual([4, 5, 6, 7, 8, 9]);
  expect(groups[2]!.map((step) => texts([some[step]!])[0])).toEqual([
    ...["2001-01-02T00:30", "2001-01-02T01:30", "2001-01-02T02:30"],
    ...["2001-01-02T03:30", "2001-01-02T04:30", "2001-01-02T05:30"],
  ]);
  expect(notes).toEqual([
    "every step is the mean of 6 over 6 h, and has their beginning as its time; 6 of 47",
    "left out 3 means that lack steps (11 steps), at the ends or in gaps",
  ]);
});

test("a period cuts means as the ends of a file do", () => {
  const { times, notes } = selectSteps(series("2001-01-01", 6, 40), {
    period: "2001-01-02T12..2001-01-04",
    every: 24,
    average: true,
  });
  expect(texts(times)).toEqual(["2001-01-03T00:00", "2001-01-04T00:00"]);
  expect(notes).toEqual([
    "kept 10 of 40 steps: 2001-01-02T12..2001-01-04",
    "every step is the mean of 4 over 24 h, and has their beginning as its time; 2 of 10",
    "left out 1 mean that lacks steps (2 steps), at the ends or in gaps",
  ]);
});

const months = ["2001-01", "2001-02", "2001-03", "2001-04"].map((text) => parseTime(text, "standard"));
test.each<[string, ReturnType<typeof series>, StepOptions, string]>([
  [
    "no multiple",
    series("2001-01-01", 6, 8),
    { every: 8 },
    "every 8 h is no multiple of the steps of the files, which are 6 h apart",
  ],
  [
    "shorter than a step",
    series("2001-01-01", 6, 8),
    { every: 3 },
    "every 3 h is no multiple of the steps of the files, which are 6 h apart",
  ],
  ["no step of time", series("2001-01-01", 6, 8), { every: 0 }, "every 0 h is no step of time"],
  [
    "nothing in the period",
    series("2001-01-01", 6, 8),
    { period: "2002" },
    "no step lies in 2002; there are 8 from 2001-01-01T00:00:00 to 2001-01-02T18:00:00",
  ],
  [
    "nothing at the hours",
    series("2001-01-01T00:30", 1, 8),
    { every: 6 },
    "no step lies at a multiple of 6 h from midnight; the steps are at 2001-01-01T00:30:00, 2001-01-01T01:30:00, 2001-01-01T02:30:00, ...",
  ],
  [
    "no whole mean",
    series("2001-01-01T06", 6, 3),
    { every: 24, average: true },
    "no stretch of 24 h from a multiple of 24 h has all of its 4 steps",
  ],
  [
    "means of no length",
    series("2001-01-01", 6, 3),
    { average: true },
    "means were asked for without their length",
  ],
  ["uneven steps", months.slice(0, 3), { every: 24, average: true }, "3 steps at no usual distance"],
  [
    "out of order",
    [...months].reverse(),
    {},
    "step 1 (2001-03-01T00:00:00) does not come after step 0 (2001-04-01T00:00:00)",
  ],
])("refused: %s", (_, times, options, message) => {
  expect(() => selectSteps(times, options)).toThrow(message);
});
