// The table of variables, names with levels, and the recognition of variables in files.
import { expect, test } from "vitest";
import { recognise } from "../../src/data/recognise.ts";
import { default48, fieldName, parseName, variables } from "../../src/data/variables.ts";
import { ClimaxError } from "../../src/errors.ts";
import type { AttributeValue } from "../../src/files/dataset.ts";

test("the 48 variables of the paper, in the reference's order", () => {
  expect(default48.length).toBe(48);
  expect(new Set(default48).size).toBe(48);
  expect(default48.slice(0, 8)).toEqual([
    "land_sea_mask",
    "orography",
    "lattitude",
    "2m_temperature",
    "10m_u_component_of_wind",
    "10m_v_component_of_wind",
    "geopotential_50",
    "geopotential_250",
  ]);
  // Positions in default_vars of the reference's global_forecast_climax.yaml.
  expect(default48.indexOf("u_component_of_wind_50")).toBe(13);
  expect(default48.indexOf("temperature_850")).toBe(32);
  expect(default48.indexOf("relative_humidity_50")).toBe(34);
  expect(default48.at(-1)).toBe("specific_humidity_925");
  for (const name of default48) expect(parseName(name).name).toBe(name);
});

test("names are unique, also the short ones", () => {
  const owners = new Map<string, Set<string>>();
  for (const { name, short, cmip6, aliases } of variables) {
    for (const key of [name, short, cmip6 ?? short, ...aliases]) {
      owners.set(key.toLowerCase(), (owners.get(key.toLowerCase()) ?? new Set()).add(name));
    }
    expect(aliases, name).toEqual(aliases.map((alias) => alias.toLowerCase()));
  }
  expect([...owners].filter(([, names]) => names.size > 1)).toEqual([]);
});

test("reads long and short names", () => {
  expect(parseName("geopotential_500")).toMatchObject({ name: "geopotential_500", level: 500 });
  expect(parseName("z_500").name).toBe("geopotential_500");
  expect(parseName("ta_850").name).toBe("temperature_850");
  expect(() => parseName("z500")).toThrow(
    expect.objectContaining({
      message: 'unknown variable "z500"',
      hint: "a level stands behind an underscore: z_500 or geopotential_500",
    }),
  );
  expect(parseName("t2m").name).toBe("2m_temperature");
  expect(parseName("psl").name).toBe("mean_sea_level_pressure");
  expect(parseName("latitude").name).toBe("lattitude");
  expect(parseName("geopotential").level).toBeUndefined();
  expect(fieldName(parseName("u").info, 250)).toBe("u_component_of_wind_250");
  expect(() => parseName("geopotentail_500")).toThrow('unknown variable "geopotentail_500"');
  expect(() => parseName("2m_temperature_500")).toThrow(ClimaxError);
  try {
    parseName("temprature_850");
  } catch (error) {
    expect((error as ClimaxError).hint).toContain('did you mean "temperature_500"');
  }
});

/** What a variable is recognised as: its field name, or "- " and the reason. */
function seen(
  name: string,
  attributes: Record<string, AttributeValue> = {},
  place: { onPressure?: boolean; height?: number } = {},
): string {
  const found = recognise({
    name,
    attributes: new Map(Object.entries(attributes)),
    onPressure: place.onPressure ?? false,
    height: place.height,
  });
  return "reason" in found ? `- ${found.reason}` : fieldName(found.info, found.level);
}

const aloft = { onPressure: true };

test("recognises ERA5, CMIP6, CESM, NCEP and GRIB names", () => {
  expect(seen("z", { standard_name: "geopotential" }, aloft)).toBe("geopotential");
  expect(seen("zg", { standard_name: "geopotential_height" }, aloft)).toBe("geopotential");
  expect(seen("Z3", {}, aloft)).toBe("geopotential");
  expect(seen("hgt", { long_name: "Geopotential height" }, aloft)).toBe("geopotential");
  expect(seen("ta", { standard_name: "air_temperature" }, aloft)).toBe("temperature");
  expect(seen("T", {}, aloft)).toBe("temperature");
  expect(seen("tas", { standard_name: "air_temperature" }, { height: 2 })).toBe("2m_temperature");
  expect(seen("TREFHT")).toBe("2m_temperature");
  expect(seen("VAR_2T", { GRIB_shortName: "2t" })).toBe("2m_temperature");
  expect(seen("siconc", { standard_name: "sea_ice_area_fraction" })).toBe("sea_ice_cover");
  expect(seen("tp")).toBe("total_precipitation");
  expect(seen("pr", { standard_name: "precipitation_flux" })).toBe("mean_total_precipitation_rate");
  expect(seen("tC", { long_name: "surface temperature" })).toBe("skin_temperature");
  expect(seen("2m_temperature")).toBe("2m_temperature");
  expect(seen("geopotential_500")).toBe("geopotential_500");
});

test("every name of WeatherBench 1 and 2 and of the CMIP6 tables in use has its row", () => {
  // As the stores have them: no standard name that helps, or one that misleads.
  const aloftNames: Record<string, string> = {
    geopotential: "geopotential",
    z: "geopotential",
    zg: "geopotential",
    temperature: "temperature",
    t: "temperature",
    ta: "temperature",
    specific_humidity: "specific_humidity",
    q: "specific_humidity",
    hus: "specific_humidity",
    relative_humidity: "relative_humidity",
    r: "relative_humidity",
    hur: "relative_humidity",
    u_component_of_wind: "u_component_of_wind",
    u: "u_component_of_wind",
    ua: "u_component_of_wind",
    v: "v_component_of_wind",
    va: "v_component_of_wind",
    vo: "vorticity",
    pv: "potential_vorticity",
    vertical_velocity: "vertical_velocity",
    wap: "vertical_velocity",
    wind_speed: "wind_speed",
  };
  for (const [name, wanted] of Object.entries(aloftNames))
    expect([name, seen(name, {}, aloft)]).toEqual([name, wanted]);
  const groundNames: Record<string, string> = {
    t2m: "2m_temperature",
    tas: "2m_temperature",
    u10: "10m_u_component_of_wind",
    uas: "10m_u_component_of_wind",
    v10: "10m_v_component_of_wind",
    vas: "10m_v_component_of_wind",
    "10m_wind_speed": "10m_wind_speed",
    sfcWind: "10m_wind_speed",
    mean_sea_level_pressure: "mean_sea_level_pressure",
    psl: "mean_sea_level_pressure",
    surface_pressure: "surface_pressure",
    tp: "total_precipitation",
    total_precipitation: "total_precipitation",
    total_precipitation_6hr: "total_precipitation_6hr",
    total_precipitation_12hr: "total_precipitation_12hr",
    total_precipitation_24hr: "total_precipitation_24hr",
    pr: "mean_total_precipitation_rate",
    tisr: "toa_incident_solar_radiation",
    toa_incident_solar_radiation: "toa_incident_solar_radiation",
    rsdt: "toa_incident_solar_radiation",
    tcc: "total_cloud_cover",
    clt: "total_cloud_cover",
    total_column_water_vapour: "total_column_water_vapour",
    total_column_water: "total_column_water",
    boundary_layer_height: "boundary_layer_height",
    snow_depth: "snow_depth",
    lsm: "land_sea_mask",
    sftlf: "land_sea_mask",
    orography: "orography",
    orog: "orography",
    geopotential_at_surface: "orography",
    lat2d: "lattitude",
    slt: "soil_type",
    type_of_high_vegetation: "type_of_high_vegetation",
    slope_of_sub_gridscale_orography: "slope_of_sub_gridscale_orography",
    area_type_code: "area_type",
  };
  for (const [name, wanted] of Object.entries(groundNames))
    expect([name, seen(name)]).toEqual([name, wanted]);
  // WeatherBench 2 gives them these standard names.
  expect(seen("geopotential_at_surface", { standard_name: "geopotential" })).toBe("orography");
  expect(seen("total_precipitation_6hr", { long_name: "Total precipitation" })).toBe(
    "total_precipitation_6hr",
  );
  expect(seen("rsdt", { standard_name: "toa_incoming_shortwave_flux" })).toBe("toa_incident_solar_radiation");
  expect(seen("wind", { standard_name: "wind_speed" }, { height: 10 })).toBe("10m_wind_speed");
  expect(seen("wind", { standard_name: "wind_speed" }, aloft)).toBe("wind_speed");
  expect(seen("lon2d")).toMatch(/^- ClimaX has no such variable/);
});

test("the level decides between aloft and near the ground", () => {
  const wind = { standard_name: "eastward_wind" };
  expect(seen("u", wind, aloft)).toBe("u_component_of_wind");
  expect(seen("uas", wind)).toBe("10m_u_component_of_wind");
  expect(seen("u", wind, { height: 10 })).toBe("10m_u_component_of_wind");
  expect(seen("wind", wind, { height: 10 })).toBe("10m_u_component_of_wind");
  expect(seen("wind", wind)).toMatch(/^- it says neither its pressure level nor its height/);
  expect(seen("wind", wind, { height: 100 })).toBe("- it lies 100 m above the ground");
  expect(seen("air_temperature", { standard_name: "air_temperature" }, { height: 1.5 })).toBe(
    "2m_temperature",
  );
  expect(seen("t", { standard_name: "air_temperature" })).toMatch(/^- it would be temperature, but t has no/);
});

test("a level in the name or the long name", () => {
  expect(seen("T850", { long_name: "Temperature at 850 mbar pressure surface" })).toBe("temperature_850");
  expect(seen("zg500", { standard_name: "geopotential_height" })).toBe("geopotential_500");
  expect(seen("t", { long_name: "Temperature at 700 hPa", standard_name: "air_temperature" })).toBe(
    "temperature_700",
  );
  // ECMWF's u100 is the wind at 100 metres, not at 100 hPa.
  expect(seen("u100", { long_name: "100 metre U wind component" })).toMatch(/^- ClimaX has no such variable/);
});

test("does not fall for names that mean something else", () => {
  expect(seen("z", { standard_name: "height" }, aloft)).toBe(
    "- its standard name is height, so it is no geopotential",
  );
  expect(seen("z", { standard_name: "geopotential" })).toBe("orography"); // ECMWF's z at the surface
  expect(seen("surface_geopotential", { standard_name: "surface_geopotential" })).toBe("orography");
  expect(seen("orog", { standard_name: "surface_altitude" })).toBe("orography");
  expect(seen("U10", { long_name: "10m wind speed" })).toBe("10m_wind_speed"); // CESM
  expect(seen("tasmin", { standard_name: "air_temperature" }, { height: 1.5 })).toBe(
    "minimum_2m_temperature",
  );
  const daily = { standard_name: "air_temperature", cell_methods: "area: mean time: maximum" };
  expect(seen("x", daily, { height: 2 })).toBe("maximum_2m_temperature");
  expect(seen("tas", { standard_name: "air_temperature" }, aloft)).toBe(
    "- 2m_temperature lies on one level, but this has pressure levels",
  );
});

test("names the nearest for what it does not know", () => {
  expect(seen("2m_temperatur")).toBe("- ClimaX has no such variable; the nearest is 2m_temperature");
  expect(seen("geopotentialheight")).toContain("the nearest is geopotential");
  expect(seen("chlorophyll")).toBe("- ClimaX has no such variable");
});
