// Sunlight on top of the atmosphere: against published means, an independent orbit, and other calendars.
import { expect, test } from "vitest";
import { incidentSolarRadiation, solarIrradiance } from "../../src/data/derivedsolar.ts";
import { addHours, type Calendar, type CfTime, parseTime, timeParts } from "../../src/data/time.ts";
import { type Grid, makeGrid } from "../../src/grid/grid.ts";

const radians = Math.PI / 180;

/** W m-2, mean of a day that begins at `text`, over the longitudes: [H]. */
function dailyMean(text: string, grid: Grid, calendar: Calendar = "standard"): number[] {
  const sums = new Float64Array(grid.lat.length);
  for (let hour = 1; hour <= 24; hour++) {
    const field = incidentSolarRadiation(addHours(parseTime(text, calendar), hour), grid);
    for (const [i, value] of field.entries()) sums[Math.floor(i / grid.lon.length)]! += value;
  }
  return [...sums].map((sum) => sum / 86400 / grid.lon.length);
}

test("the sun's brightness is that of ERA5", () => {
  expect(solarIrradiance(2020.5)).toBeCloseTo(0.9965 * 1365.724, 9); // 1360.944
  expect(solarIrradiance(1951.5)).toBeCloseTo(0.9965 * 1365.7765, 9);
  expect(solarIrradiance(2008.5 + 13)).toBe(solarIrradiance(2008.5)); // the last cycle again
  expect(solarIrradiance(2000)).toBeCloseTo((solarIrradiance(1999.5) + solarIrradiance(2000.5)) / 2, 9);
  expect(Math.abs(solarIrradiance(1850) - 1361)).toBeLessThan(0.5);
});

test("equinox, solstices and the year's mean as published", () => {
  const grid = makeGrid([-90, -45, 0, 45, 90], [0]);
  // The equator at the equinox: S / pi (r0 / r)^2, r = 0.9960 (Hartmann 1994, section 2.5).
  expect(dailyMean("2001-03-20", grid)[2]).toBeCloseTo(solarIrradiance(2001.2) / Math.PI / 0.996 ** 2, -0.5);
  // The pole all day in June: S sin(23.44 degrees) / 1.0163^2; the other pole has night.
  const june = dailyMean("2001-06-21", grid);
  expect(june[4]).toBeCloseTo((solarIrradiance(2001.47) * Math.sin(23.44 * radians)) / 1.0163 ** 2, -0.5);
  expect(june[0]).toBe(0);
  const december = dailyMean("2001-12-21", grid);
  expect(december[0]! / june[4]!).toBeCloseTo((1.0163 / 0.9838) ** 2, 2); // nearer to the sun
  // The globe over the year: a quarter of 1361 and a little, for the orbit is no circle.
  const globe = makeGrid(
    Array.from({ length: 60 }, (_, i) => -88.5 + 3 * i),
    [0],
  );
  const weights = Array.from(globe.lat, (lat) => Math.cos(lat * radians));
  let [sum, weight] = [0, 0];
  for (let day = 0; day < 365; day += 5) {
    const means = dailyMean(`2001-${new Date(Date.UTC(2001, 0, 1 + day)).toISOString().slice(5, 10)}`, globe);
    for (const [i, w] of weights.entries()) {
      sum += w * means[i]!;
      weight += w;
    }
  }
  expect(Math.abs(sum / weight - 340.3)).toBeLessThan(0.4);
});

/** Spencer (1971): distance factor, declination and equation of time, radians, from the fraction of the year. */
function spencer(fraction: number) {
  const g = 2 * Math.PI * fraction;
  return {
    nearness:
      1.00011 +
      0.034221 * Math.cos(g) +
      0.00128 * Math.sin(g) +
      0.000719 * Math.cos(2 * g) +
      0.000077 * Math.sin(2 * g),
    declination:
      0.006918 -
      0.399912 * Math.cos(g) +
      0.070257 * Math.sin(g) -
      0.006758 * Math.cos(2 * g) +
      0.000907 * Math.sin(2 * g) -
      0.002697 * Math.cos(3 * g) +
      0.00148 * Math.sin(3 * g),
    equation:
      0.000075 +
      0.001868 * Math.cos(g) -
      0.032077 * Math.sin(g) -
      0.014615 * Math.cos(2 * g) -
      0.040849 * Math.sin(2 * g),
  };
}

/** J m-2 of the hour before, by Spencer's orbit, in 600 steps. */
function numerically(time: CfTime, north: number, east: number): number {
  let sum = 0;
  for (let i = 0; i < 600; i++) {
    const at = timeParts({ ...time, seconds: time.seconds - 3600 + 6 * (i + 0.5) });
    const day = (at.hour + at.minute / 60 + at.second / 3600) / 24;
    const { nearness, declination, equation } = spencer((at.dayOfYear - 1 + day) / 365);
    const angle = 2 * Math.PI * (day - 0.5) + equation + east * radians;
    const height =
      Math.sin(north * radians) * Math.sin(declination) +
      Math.cos(north * radians) * Math.cos(declination) * Math.cos(angle);
    sum += Math.max(0, height) * nearness * 6;
  }
  return sum * solarIrradiance(2003.5);
}

test("each hour and place agrees with another orbit, integrated step by step", () => {
  const grid = makeGrid([-75, -40, 0, 23.4, 60, 89], [0, 77, 180, 301]);
  for (const date of ["2003-01-03T01", "2003-02-28T06", "2003-06-21T12", "2003-07-04T18", "2003-10-30T23"]) {
    const time = parseTime(date, "standard");
    const field = incidentSolarRadiation(time, grid);
    for (const [row, north] of grid.lat.entries())
      for (const [column, east] of grid.lon.entries()) {
        const [got, wanted] = [field[row * 4 + column]!, numerically(time, north, east)];
        // 1 % of full sun: Spencer's declination is good to 0.05 degrees, and his year begins a few hours off.
        expect(Math.abs(got - wanted), `${date} ${north} N ${east} E: ${got} for ${wanted}`).toBeLessThan(
          0.01 * 1361 * 3600,
        );
      }
  }
});

test("seasons lie alike in every calendar, by the fraction of the year", () => {
  const grid = makeGrid([-60, 0, 60], [0]);
  const near = (a: number[], b: number[], most: number) => {
    for (const [i, value] of a.entries()) expect(Math.abs(value - b[i]!)).toBeLessThan(most);
  };
  // A day of 365.2422 changes 60 N by 3.7 W m-2 at most.
  for (const [month, day] of [
    ["01", "15"],
    ["04", "10"],
    ["09", "22"],
  ]) {
    const real = dailyMean(`2002-${month}-${day}`, grid);
    near(dailyMean(`2002-${month}-${day}`, grid, "noleap"), real, 2);
    near(dailyMean(`2002-${month}-${day}`, grid, "proleptic_gregorian"), real, 1e-9);
  }
  // Half the year of 360 days is 1 July 00, and of 365 days 2 July 12.
  near(dailyMean("2002-07-01", grid, "360_day"), dailyMean("2002-07-02T12", grid), 2);
  // The Julian 2 January is the Gregorian 15 January.
  // (the sun's brightness is looked up by the calendar's own date)
  near(dailyMean("2002-01-02", grid, "julian"), dailyMean("2002-01-15", grid), 0.01);
  // Model years without end do not drift: the sun of the year 9000 rises as that of 1000.
  near(dailyMean("9000-03-21", grid, "noleap"), dailyMean("1000-03-21", grid, "noleap"), 1);
});

test("noon moves west by 15 degrees an hour, and the night is dark", () => {
  const grid = makeGrid(
    [0],
    Array.from({ length: 72 }, (_, i) => 5 * i),
  );
  for (let hour = 0; hour < 24; hour++) {
    const field = incidentSolarRadiation(addHours(parseTime("2001-04-15T00", "standard"), hour), grid);
    const brightest = field.indexOf(Math.max(...field)) * 5;
    // Half an hour back, and the equation of time is nought in the middle of April.
    const noon = (180 - 15 * (hour - 0.5) + 720) % 360;
    expect(Math.min(Math.abs(brightest - noon), 360 - Math.abs(brightest - noon))).toBeLessThanOrEqual(2.5);
    expect(field.filter((value) => value === 0).length).toBeGreaterThan(30);
  }
});
