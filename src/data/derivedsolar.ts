// Sunlight on top of the atmosphere from date and place, as ERA5's toa_incident_solar_radiation: J m-2 over the hour
// before the time. Orbit by the IFS's formulas, which ERA5 was made with; the integral over the hour is exact.
import type { Grid } from "../grid/grid.ts";
import { type CfTime, timeParts } from "./time.ts";

const radians = Math.PI / 180;
const day = 86400;
/** 2000-01-01T12:00, the epoch of the orbital formulas, in seconds since 1970. */
const j2000 = 946_728_000;

/**
 * W m-2 at the mean distance of the sun, means of 1951 to 2008: what ECMWF coded into the IFS for ERA5 (cycle 41r2;
 * published with GraphCast), before the factor 0.9965 by which it was brought to later measurements. The last 13 years
 * stand for all that follow, a solar cycle.
 */
// biome-ignore format: a table
const irradiances = [
  1365.7765, 1365.7676, 1365.6284, 1365.6564, 1365.7773, 1366.3109, 1366.6681, 1366.6328, 1366.3828, 1366.2767,
  1365.9199, 1365.7484, 1365.6963, 1365.6976, 1365.7341, 1365.9178, 1366.1143, 1366.1644, 1366.2476, 1366.2426,
  1365.9580, 1366.0525, 1365.7991, 1365.7271, 1365.5345, 1365.6453, 1365.8331, 1366.2747, 1366.6348, 1366.6482,
  1366.6951, 1366.2859, 1366.1992, 1365.8103, 1365.6416, 1365.6379, 1365.7899, 1366.0826, 1366.6479, 1366.5533,
  1366.4457, 1366.3021, 1366.0286, 1365.7971, 1365.6996,
  1365.6121, 1365.7399, 1366.1021, 1366.3851, 1366.6836, 1366.6022, 1366.6807, 1366.2300, 1366.0480, 1365.8545,
  1365.8107, 1365.7240, 1365.6918,
];
const firstYear = 1951;
const cycle = 13;

/** W m-2 at the mean distance; before 1951 the mean of a solar cycle. `year` may have a fraction. */
export function solarIrradiance(year: number): number {
  const yearly = (whole: number) => {
    const at = whole - firstYear;
    if (at < irradiances.length) return irradiances[at]!;
    return irradiances[irradiances.length - cycle + ((at - irradiances.length) % cycle)]!;
  };
  const fromMiddle = year - 0.5;
  const whole = Math.floor(fromMiddle);
  if (whole < firstYear) {
    const last = irradiances.slice(-cycle);
    return (0.9965 * last.reduce((sum, value) => sum + value, 0)) / cycle;
  }
  return 0.9965 * (yearly(whole) + (fromMiddle - whole) * (yearly(whole + 1) - yearly(whole)));
}

interface Sun {
  /** Of the declination. */
  sin: number;
  cos: number;
  /** What the sundial is ahead of the clock, s. */
  equationOfTime: number;
  /** Of the mean distance. */
  distance: number;
}

/** The sun `years` of 365.25 days after 2000-01-01T12:00, by the IFS's formulas (fcttim.func.h). */
function sunAt(years: number): Sun {
  const anomaly = 1.7535 + 6.283076 * years;
  const meanAnomaly = 6.240041 + 6.28302 * years;
  const meanLongitude = 4.8951 + 6.283076 * years;
  const longitude =
    4.8952 +
    6.28332 * years -
    0.0075 * Math.sin(anomaly) -
    0.0326 * Math.cos(anomaly) -
    0.0003 * Math.sin(2 * anomaly) +
    0.0002 * Math.cos(2 * anomaly);
  const sin = Math.sin(0.409093) * Math.sin(longitude); // the axis leans by 0.409093 radians
  const equationOfTime =
    591.8 * Math.sin(2 * meanLongitude) -
    459.4 * Math.sin(meanAnomaly) +
    39.5 * Math.sin(meanAnomaly) * Math.cos(2 * meanLongitude) -
    12.7 * Math.sin(4 * meanLongitude) -
    4.8 * Math.sin(2 * meanAnomaly);
  const distance = 1.0001 - 0.0163 * Math.sin(anomaly) + 0.0037 * Math.cos(anomaly);
  return { sin, cos: Math.sqrt(1 - sin ** 2), equationOfTime, distance };
}

/** Years of a date in its calendar, with the fraction. */
function fractionalYear(time: CfTime): number {
  const { year, dayOfYear, hour, minute, second } = timeParts(time);
  const lengths: Partial<Record<CfTime["calendar"], number>> = { noleap: 365, all_leap: 366, "360_day": 360 };
  const leap = year % 4 === 0 && (time.calendar === "julian" || year % 100 !== 0 || year % 400 === 0);
  const length = lengths[time.calendar] ?? (leap ? 366 : 365);
  return year + (dayOfYear - 1 + (hour + minute / 60 + second / 3600) / 24) / length;
}

/**
 * Years of 365.25 days since 2000-01-01T12:00 for the orbit. In the calendars of the real world they are counted; in a
 * model's calendar the fraction of its year is taken as one of the tropical year, 365.2422 days, which begins when the
 * years 2000 to 2003 do on average, 0.11 days before the epoch's time of day.
 */
function orbitalYears(time: CfTime): number {
  const { calendar, seconds } = time;
  const real = calendar === "standard" || calendar === "proleptic_gregorian";
  // The Julian calendar's 1970 began 13 days later.
  if (real || calendar === "julian") return (seconds + (real ? 0 : 13 * day) - j2000) / day / 365.25;
  const fraction = fractionalYear(time) % 1;
  return (fraction * 365.2422 - 0.11) / 365.25;
}

/** The integral of max(0, a + b cos h) over hour angles from `start`, in [-π, π), to `end`, at most 2π later. b >= 0. */
function integral(a: number, b: number, start: number, end: number): number {
  if (a >= b) return a * (end - start) + b * (Math.sin(end) - Math.sin(start)); // the sun does not set
  if (a <= -b) return 0;
  const sunset = Math.acos(-a / b);
  let sum = 0;
  for (const noon of [0, 2 * Math.PI]) {
    const [from, to] = [Math.max(start, noon - sunset), Math.min(end, noon + sunset)];
    if (to > from) sum += a * (to - from) + b * (Math.sin(to) - Math.sin(from));
  }
  return sum;
}

/** [H, W], J m-2 that fall on a horizontal plane on top of the atmosphere in the hour before `time` (UTC). */
export function incidentSolarRadiation(time: CfTime, { lat, lon }: Grid): Float32Array {
  const middle = { ...time, seconds: time.seconds - 1800 };
  const sun = sunAt(orbitalYears(middle));
  const irradiance = solarIrradiance(fractionalYear(middle)) / sun.distance ** 2;
  const start = (((time.seconds - 3600) % day) + day) % day; // all calendars count days from midnight
  const upright = lat.map((north) => Math.sin(north * radians) * sun.sin);
  const turning = lat.map((north) => Math.cos(north * radians) * sun.cos);
  const field = new Float32Array(lat.length * lon.length);
  for (const [column, east] of lon.entries()) {
    const angle = (2 * Math.PI * (start + sun.equationOfTime)) / day - Math.PI + east * radians;
    const from = angle - 2 * Math.PI * Math.floor((angle + Math.PI) / (2 * Math.PI)); // [-π, π)
    for (let row = 0; row < lat.length; row++) {
      const light = integral(upright[row]!, turning[row]!, from, from + Math.PI / 12);
      field[row * lon.length + column] = (irradiance * light * day) / (2 * Math.PI);
    }
  }
  return field;
}
