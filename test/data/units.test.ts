// Units as files spell them, and their conversion to the table's.
import { expect, test } from "vitest";
import { parseUnit, unitsConverter } from "../../src/data/units.ts";
import { findVariable, variables } from "../../src/data/variables.ts";
import { ClimaxError } from "../../src/errors.ts";

const convert = (value: number, from: string | undefined, name: string) => {
  const { scale, offset } = unitsConverter(from, findVariable(name)!);
  return value * scale + offset;
};

test("one unit in its many spellings", () => {
  const same = (spellings: string[]) => {
    const [first] = spellings;
    for (const text of spellings) expect([text, parseUnit(text)]).toEqual([text, parseUnit(first!)]);
    expect(parseUnit(first!)).toBeDefined();
  };
  same([
    "m2 s-2",
    "m**2 s**-2",
    "m^2 s^-2",
    "m2/s2",
    "m2.s-2",
    "m^2/s^2",
    "m² s⁻²",
    "m2 s^-2",
    "J kg-1",
    "J/kg",
  ]);
  same(["m s-1", "m/s", "m s**-1", "meter second-1", "metres/second", "m·s-1", "m * s^-1"]);
  same(["kg m-2 s-1", "kg/(m2 s)", "kg m**-2 s**-1", "kg/m2/s", "kg.m-2.s-1"]);
  same(["kg kg-1", "kg/kg", "kg kg**-1", "1", "(0 - 1)", "0-1", "fraction", "~", "dimensionless"]);
  same(["K", "kelvin", "Kelvin", "degK", "deg K", "degrees Kelvin"]);
  same([
    "degC",
    "deg C",
    "deg_C",
    "°C",
    "Celsius",
    "celsius",
    "C",
    "degree_Celsius",
    "degrees C",
    "degrees_celsius",
  ]);
  same(["hPa", "millibars", "millibar", "mbar", "mb", "hectopascals", "100 Pa"]);
  same(["mm", "mm of water", "1e-3 m", "0.001 m", "millimeters"]);
  same(["%", "percent"]);
  same(["mm day-1", "mm/day", "mm d-1"]);
});

test("what is no unit is none", () => {
  for (const text of ["parsec", "m//s", "K?", "", "kg m-", "hours since 2000-01-01", "PSU"]) {
    expect([text, parseUnit(text)]).toEqual([text, undefined]);
  }
  expect(parseUnit("S")).toBeUndefined(); // siemens, not seconds
});

test("every unit of the table reads", () => {
  for (const { name, units, equivalents = [] } of variables) {
    expect([name, parseUnit(units)]).not.toEqual([name, undefined]);
    for (const other of equivalents) expect([name, parseUnit(other.units)]).not.toEqual([name, undefined]);
  }
});

test("converts by what the file says", () => {
  // Hand-worked; a relative 1e-12 leaves room for the order of float64 products.
  const cases: [number, string, string, number][] = [
    [25, "degC", "2m_temperature", 298.15],
    [14, "degF", "2m_temperature", 263.15],
    [300, "K", "temperature", 300],
    [5500, "m", "geopotential", 53936.575],
    [550, "gpdam", "geopotential", 53936.575],
    [5500, "gpm", "geopotential", 53936.575],
    [53936.575, "J kg-1", "geopotential", 53936.575],
    [9806.65, "m**2 s**-2", "orography", 1000],
    [1, "km", "orography", 1000],
    [42, "%", "land_sea_mask", 0.42],
    [0.42, "1", "relative_humidity", 42],
    [7, "g/kg", "specific_humidity", 0.007],
    [1013.25, "millibars", "mean_sea_level_pressure", 101325],
    [12, "mm", "total_precipitation", 0.012],
    [12, "kg m-2", "total_precipitation", 0.012],
    [0.012, "m of water equivalent", "total_precipitation", 0.012],
    [86.4, "mm/day", "mean_total_precipitation_rate", 0.001],
    [36, "km/h", "10m_u_component_of_wind", 10],
    [1361, "W m-2", "toa_incident_solar_radiation", 1361 * 3600],
    [Math.PI, "radians", "wind_direction", 180],
    [8, "degC", "diurnal_temperature_range", 8],
  ];
  for (const [value, from, name, expected] of cases) {
    const got = convert(value, from, name);
    expect(Math.abs(got - expected), `${value} ${from} as ${name}: ${got}`).toBeLessThan(1e-12 * expected);
  }
});

test("says what it did and what it assumed", () => {
  const note = (from: string | undefined, name: string) => unitsConverter(from, findVariable(name)!).note;
  expect(note("K", "temperature")).toBeUndefined();
  expect(note("degC", "2m_temperature")).toBe("degC to K: plus 273.15");
  expect(note("m", "geopotential")).toBe(
    "m to m2 s-2: times 9.80665 (geopotential is 9.80665 m s-2 times geopotential height)",
  );
  expect(note(undefined, "u_component_of_wind")).toBe(
    "no units; taken as m s-1, the units of u_component_of_wind",
  );
  expect(note("  ", "temperature")).toContain("taken as K");
});

test("an unknown or a wrong unit is an error that names both and the mend", () => {
  const failure = (from: string, name: string) => {
    try {
      unitsConverter(from, findVariable(name)!, "t2m in era.nc");
    } catch (error) {
      if (error instanceof ClimaxError) return `${error.kind}: ${error.message} | ${error.hint}`;
    }
    return "nothing thrown";
  };
  expect(failure("parsec", "2m_temperature")).toBe(
    'data: t2m in era.nc has the unknown units "parsec"; 2m_temperature wants K, or what converts to it' +
      ' | if the values are right, correct the attribute: cdo setattribute,t2m@units="K" in.nc out.nc',
  );
  expect(failure("Pa", "2m_temperature")).toContain('has the units "Pa", which measure something else');
  expect(failure("K", "geopotential")).toContain("geopotential wants m2 s-2 or m");
});
