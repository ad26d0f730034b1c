// The variables ClimaX knows: their names here and in files, units, kind of level and role, as one table;
// names with a level such as geopotential_500; the 48 variables of the paper.
import { ClimaxError, unknownName } from "../errors.ts";

export interface VariableInfo {
  /** The name in ClimaX and in ERA5's catalogue, without a level. */
  readonly name: string;
  /** ECMWF's short name, as in ERA5 files. */
  readonly short: string;
  readonly cmip6?: string;
  /** Further names in files, in lower case: GRIB, CESM, NCEP. */
  readonly aliases: readonly string[];
  /** CF standard names; several variables may share one, and then the levels decide. */
  readonly cfStandardNames: readonly string[];
  /** Long names that settle it, in lower case. */
  readonly longNames: readonly string[];
  readonly units: string;
  /** Other quantities that determine this one; the file's value times `scale` is in `units`. */
  readonly equivalents?: readonly { units: string; scale: number; why: string }[];
  /** A difference of temperatures: degrees Celsius are kelvins. */
  readonly difference?: boolean;
  readonly levels: "pressure" | "single";
  /** What it is to the model: state of the air aloft, near the surface, fixed in time, or driving from outside. */
  readonly role: "atmosphere" | "surface" | "constant" | "forcing";
  /** For a pressure-level variable, the one measured near the ground. */
  readonly nearSurface?: string;
  /** Values beyond these do not occur on Earth, below 50 km. In `units`. */
  readonly bounds: readonly [number, number];
}

/** Standard gravity, m s-2: geopotential = 9.80665 times geopotential height (CF standard name table). */
export const gravity = 9.80665;
const height = [
  { units: "m", scale: gravity, why: "geopotential is 9.80665 m s-2 times geopotential height" },
];
const potential = [
  { units: "m2 s-2", scale: 1 / gravity, why: "height is surface geopotential / 9.80665 m s-2" },
];
const waterColumn = [{ units: "kg m-2", scale: 1e-3, why: "1 kg m-2 of water is 1 mm" }];
const solarFlux = [{ units: "W m-2", scale: 3600, why: "what that mean flux brings in ERA5's one hour" }];
const waterRate = [{ units: "m s-1", scale: 1e3, why: "1 mm of water is 1 kg m-2" }];

type Row = Omit<VariableInfo, "aliases" | "cfStandardNames" | "longNames"> &
  Partial<Pick<VariableInfo, "aliases" | "cfStandardNames" | "longNames">>;
const pressure = { levels: "pressure", role: "atmosphere" } as const;
const surface = { levels: "single", role: "surface" } as const;
const constant = { levels: "single", role: "constant" } as const;
const forcing = { levels: "single", role: "forcing" } as const;

// biome-ignore format: a table, one row for each variable
const rows: Row[] = [
  { name: "land_sea_mask", short: "lsm", cmip6: "sftlf", aliases: ["landfrac", "land"], cfStandardNames: ["land_binary_mask", "land_area_fraction"],
    longNames: ["land-sea mask"], units: "1", ...constant, bounds: [0, 1] },
  { name: "orography", short: "orography", cmip6: "orog", aliases: ["oro", "phis", "topo", "hgtsfc", "geopotential_at_surface"],
    cfStandardNames: ["surface_altitude", "surface_geopotential"], longNames: ["orography", "surface altitude", "surface geopotential"],
    units: "m", equivalents: potential, ...constant, bounds: [-1000, 9000] },
  { name: "lattitude", short: "lat2d", units: "degrees_north", ...constant, bounds: [-90, 90] }, // the reference's spelling
  { name: "soil_type", short: "slt", longNames: ["soil type"], units: "1", ...constant, bounds: [0, 10] },
  { name: "area_type", short: "area_type_code", cfStandardNames: ["area_type"], units: "1", ...constant, bounds: [-128, 127] }, // flags; land_sea_mask is derived
  { name: "high_vegetation_cover", short: "cvh", longNames: ["high vegetation cover"], units: "1", ...constant, bounds: [0, 1] },
  { name: "low_vegetation_cover", short: "cvl", longNames: ["low vegetation cover"], units: "1", ...constant, bounds: [0, 1] },
  { name: "type_of_high_vegetation", short: "tvh", longNames: ["type of high vegetation"], units: "1", ...constant, bounds: [0, 20] },
  { name: "type_of_low_vegetation", short: "tvl", longNames: ["type of low vegetation"], units: "1", ...constant, bounds: [0, 20] },
  { name: "lake_cover", short: "lake_cover", longNames: ["lake cover"], units: "1", ...constant, bounds: [0, 1] }, // not ECMWF's cl, CMIP6's cloud fraction
  { name: "lake_depth", short: "lake_depth", longNames: ["lake total depth", "lake depth"], units: "m", ...constant, bounds: [0, 2000] },
  { name: "standard_deviation_of_orography", short: "sdor", longNames: ["standard deviation of orography"], units: "m", ...constant, bounds: [0, 2000] },
  { name: "standard_deviation_of_filtered_subgrid_orography", short: "sdfor", longNames: ["standard deviation of filtered subgrid orography"],
    units: "m", ...constant, bounds: [0, 1000] },
  { name: "angle_of_sub_gridscale_orography", short: "anor", longNames: ["angle of sub-gridscale orography"], units: "radians", ...constant, bounds: [-2, 2] },
  { name: "slope_of_sub_gridscale_orography", short: "slor", longNames: ["slope of sub-gridscale orography"], units: "1", ...constant, bounds: [0, 1] },

  { name: "2m_temperature", short: "t2m", cmip6: "tas", aliases: ["2t", "trefht", "t2", "air2m", "tmp2m"], cfStandardNames: ["air_temperature"],
    longNames: ["2 metre temperature", "2m temperature", "near-surface air temperature", "reference height temperature"],
    units: "K", ...surface, bounds: [170, 340] },
  { name: "maximum_2m_temperature", short: "mx2t", cmip6: "tasmax", aliases: ["tmax"], cfStandardNames: ["air_temperature"],
    longNames: ["daily maximum near-surface air temperature"], units: "K", ...surface, bounds: [170, 340] },
  { name: "minimum_2m_temperature", short: "mn2t", cmip6: "tasmin", aliases: ["tmin"], cfStandardNames: ["air_temperature"],
    longNames: ["daily minimum near-surface air temperature"], units: "K", ...surface, bounds: [170, 340] },
  { name: "diurnal_temperature_range", short: "dtr", aliases: ["diurnal_temperature_range"], units: "K", difference: true, ...surface, bounds: [0, 60] },
  { name: "2m_dewpoint_temperature", short: "d2m", cmip6: "tdps", aliases: ["2d"], cfStandardNames: ["dew_point_temperature"],
    longNames: ["2 metre dewpoint temperature"], units: "K", ...surface, bounds: [150, 320] },
  { name: "10m_u_component_of_wind", short: "u10", cmip6: "uas", aliases: ["10u", "u10m", "ugrd10m"], cfStandardNames: ["eastward_wind"],
    longNames: ["10 metre u wind component", "eastward near-surface wind"], units: "m s-1", ...surface, bounds: [-120, 120] },
  { name: "10m_v_component_of_wind", short: "v10", cmip6: "vas", aliases: ["10v", "v10m", "vgrd10m"], cfStandardNames: ["northward_wind"],
    longNames: ["10 metre v wind component", "northward near-surface wind"], units: "m s-1", ...surface, bounds: [-120, 120] },
  { name: "10m_wind_direction", short: "wdir10", aliases: ["10wdir"], cfStandardNames: ["wind_from_direction"],
    longNames: ["10 metre wind direction"], units: "degrees", ...surface, bounds: [0, 360] },
  { name: "10m_wind_speed", short: "si10", cmip6: "sfcWind", aliases: ["10si", "ws10"], cfStandardNames: ["wind_speed"],
    longNames: ["10 metre wind speed", "10m wind speed", "near-surface wind speed"], units: "m s-1", ...surface, bounds: [0, 120] },
  { name: "mean_sea_level_pressure", short: "msl", cmip6: "psl", aliases: ["prmsl", "slp", "mslp", "mslet"],
    cfStandardNames: ["air_pressure_at_mean_sea_level", "air_pressure_at_sea_level"],
    longNames: ["mean sea level pressure", "sea level pressure"], units: "Pa", ...surface, bounds: [85000, 110000] },
  { name: "surface_pressure", short: "sp", cmip6: "ps", aliases: ["pres", "pressfc"], cfStandardNames: ["surface_air_pressure"],
    longNames: ["surface pressure", "surface air pressure"], units: "Pa", ...surface, bounds: [30000, 115000] },
  { name: "skin_temperature", short: "skt", cmip6: "ts", aliases: ["tsurf", "surface_temperature"], cfStandardNames: ["surface_temperature"],
    longNames: ["skin temperature", "surface temperature"], units: "K", ...surface, bounds: [150, 380] },
  { name: "sea_surface_temperature", short: "sst", cmip6: "tos", cfStandardNames: ["sea_surface_temperature"],
    longNames: ["sea surface temperature"], units: "K", ...surface, bounds: [260, 320] },
  { name: "sea_ice_cover", short: "siconc", aliases: ["ci", "sic", "siconca", "icec"], cfStandardNames: ["sea_ice_area_fraction"],
    longNames: ["sea ice area fraction", "sea-ice cover"], units: "1", ...surface, bounds: [0, 1] },
  { name: "total_precipitation", short: "tp", aliases: ["apcp"], cfStandardNames: ["precipitation_amount", "lwe_thickness_of_precipitation_amount"],
    longNames: ["total precipitation"], units: "m", equivalents: waterColumn, ...surface, bounds: [0, 2] },
  // What falls in several hours is another variable than what falls in one: WeatherBench 2's names.
  ...[6, 12, 24].map((hours): Row => ({ name: `total_precipitation_${hours}hr`, short: `tp${hours}hr`, longNames: [`total precipitation ${hours}hr`],
    units: "m", equivalents: waterColumn, ...surface, bounds: [0, 2] })),
  { name: "mean_total_precipitation_rate", short: "mtpr", cmip6: "pr", aliases: ["prate", "prect", "avg_tprate"],
    cfStandardNames: ["precipitation_flux", "lwe_precipitation_rate"], longNames: ["mean total precipitation rate"],
    units: "kg m-2 s-1", equivalents: waterRate, ...surface, bounds: [0, 0.2] },
  { name: "pr90", short: "pr90", units: "kg m-2 s-1", equivalents: waterRate, ...surface, bounds: [0, 0.2] }, // 90th percentile of daily pr (ClimateBench)
  { name: "total_cloud_cover", short: "tcc", cmip6: "clt", cfStandardNames: ["cloud_area_fraction"],
    longNames: ["total cloud cover"], units: "1", ...surface, bounds: [0, 1] },
  { name: "total_column_water_vapour", short: "tcwv", cmip6: "prw", cfStandardNames: ["atmosphere_mass_content_of_water_vapor"],
    longNames: ["total column vertically-integrated water vapour"], units: "kg m-2", ...surface, bounds: [0, 150] },
  { name: "total_column_water", short: "tcw", longNames: ["total column water"], units: "kg m-2", ...surface, bounds: [0, 200] },
  { name: "boundary_layer_height", short: "blh", cmip6: "zmla", cfStandardNames: ["atmosphere_boundary_layer_thickness"],
    longNames: ["boundary layer height"], units: "m", ...surface, bounds: [0, 12000] },
  { name: "snow_depth", short: "sd", longNames: ["snow depth"], units: "m", ...surface, bounds: [0, 15] }, // of water equivalent, ECMWF's sd
  { name: "toa_incident_solar_radiation", short: "tisr", cmip6: "rsdt", cfStandardNames: ["toa_incoming_shortwave_flux"],
    longNames: ["toa incident solar radiation", "toa incident shortwave radiation"], units: "J m-2", equivalents: solarFlux, ...forcing, bounds: [0, 1.3e8] },
  // ClimateBench's, by its names as written: co2 and so2 in small letters are mixing ratios in CMIP6 and ECMWF files.
  { name: "CO2", short: "CO2", units: "Gt", ...forcing, bounds: [0, 3e4] }, // emitted by mankind since 1850; one number a year
  { name: "CH4", short: "CH4", units: "Gt", ...forcing, bounds: [0, 5] }, // emitted in the year; one number a year
  { name: "SO2", short: "SO2", units: "kg m-2 s-1", ...forcing, bounds: [0, 1e-6] }, // emitted, mean of the year
  { name: "BC", short: "BC", units: "kg m-2 s-1", ...forcing, bounds: [0, 1e-6] }, // black carbon, likewise

  { name: "geopotential", short: "z", cmip6: "zg", aliases: ["gh", "z3", "hgt"], cfStandardNames: ["geopotential", "geopotential_height"],
    longNames: ["geopotential", "geopotential height"], units: "m2 s-2", equivalents: height, ...pressure, bounds: [-2e4, 6e5] },
  { name: "u_component_of_wind", short: "u", cmip6: "ua", aliases: ["uwnd", "ugrd"], cfStandardNames: ["eastward_wind"],
    longNames: ["u component of wind", "eastward wind"], units: "m s-1", ...pressure, nearSurface: "10m_u_component_of_wind", bounds: [-250, 250] },
  { name: "v_component_of_wind", short: "v", cmip6: "va", aliases: ["vwnd", "vgrd"], cfStandardNames: ["northward_wind"],
    longNames: ["v component of wind", "northward wind"], units: "m s-1", ...pressure, nearSurface: "10m_v_component_of_wind", bounds: [-250, 250] },
  { name: "wind_speed", short: "ws", cfStandardNames: ["wind_speed"], longNames: ["wind speed"],
    units: "m s-1", ...pressure, nearSurface: "10m_wind_speed", bounds: [0, 250] },
  { name: "wind_direction", short: "wdir", cfStandardNames: ["wind_from_direction"], longNames: ["wind direction"],
    units: "degrees", ...pressure, nearSurface: "10m_wind_direction", bounds: [0, 360] },
  { name: "temperature", short: "t", cmip6: "ta", aliases: ["air", "temp", "tmp"], cfStandardNames: ["air_temperature"],
    longNames: ["temperature", "air temperature"], units: "K", ...pressure, nearSurface: "2m_temperature", bounds: [120, 350] },
  { name: "relative_humidity", short: "r", cmip6: "hur", aliases: ["rh", "rhum", "relhum"], cfStandardNames: ["relative_humidity"],
    longNames: ["relative humidity"], units: "%", ...pressure, bounds: [-20, 200] },
  { name: "specific_humidity", short: "q", cmip6: "hus", aliases: ["shum", "spfh"], cfStandardNames: ["specific_humidity"],
    longNames: ["specific humidity"], units: "kg kg-1", ...pressure, bounds: [-1e-3, 0.06] },
  { name: "vertical_velocity", short: "w", cmip6: "wap", aliases: ["omega", "vvel"], cfStandardNames: ["lagrangian_tendency_of_air_pressure"],
    longNames: ["vertical velocity"], units: "Pa s-1", ...pressure, bounds: [-30, 30] },
  { name: "vorticity", short: "vo", cfStandardNames: ["atmosphere_relative_vorticity"], longNames: ["vorticity (relative)"],
    units: "s-1", ...pressure, bounds: [-0.01, 0.01] },
  { name: "divergence", short: "d", cfStandardNames: ["divergence_of_wind"], longNames: ["divergence"], units: "s-1", ...pressure, bounds: [-0.01, 0.01] },
  { name: "potential_vorticity", short: "pv", cfStandardNames: ["ertel_potential_vorticity"], longNames: ["potential vorticity"],
    units: "K m2 kg-1 s-1", ...pressure, bounds: [-0.1, 0.1] },
  { name: "specific_cloud_ice_water_content", short: "ciwc", longNames: ["specific cloud ice water content"],
    units: "kg kg-1", ...pressure, bounds: [-1e-4, 0.02] },
  { name: "specific_cloud_liquid_water_content", short: "clwc", longNames: ["specific cloud liquid water content"],
    units: "kg kg-1", ...pressure, bounds: [-1e-4, 0.02] },
];

export const variables: readonly VariableInfo[] = rows.map((row) => ({
  aliases: [],
  cfStandardNames: [],
  longNames: [],
  ...row,
}));

const byName = new Map<string, VariableInfo>();
for (const info of variables) {
  const asWritten = info.name !== info.name.toLowerCase();
  const shortNames = asWritten
    ? []
    : [info.short, info.cmip6 ?? info.short].map((name) => name.toLowerCase());
  for (const name of [info.name, ...shortNames, ...info.aliases]) byName.set(name, info);
}
byName.set("latitude", byName.get("lattitude")!);

/**
 * The variable of that ClimaX, ERA5, CMIP6 or other known name; a level is no part of it. Case matters only for names
 * with capitals, ClimateBench's CO2, CH4, SO2 and BC.
 */
export function findVariable(name: string): VariableInfo | undefined {
  return byName.get(name) ?? byName.get(name.toLowerCase());
}

/** The name of a field: "geopotential_500", "2m_temperature". */
export function fieldName(info: VariableInfo, level?: number): string {
  return level === undefined ? info.name : `${info.name}_${level}`;
}

export interface FieldName {
  /** The ClimaX name. */
  name: string;
  info: VariableInfo;
  /** hPa; absent for a single-level variable, or when the name means all levels. */
  level?: number;
}

/**
 * Reads "geopotential_500", "2m_temperature" and the short forms "z_500", "t2m", "tas". A pressure-level variable
 * without a level ("geopotential") means all its levels.
 * @throws ClimaxError "config" that names the nearest known variable.
 */
export function parseName(text: string): FieldName {
  const known = knownName(text);
  if (known) return known;
  const [, letters, level] = /^([a-z]+)(\d{1,4})$/i.exec(text) ?? [];
  const meant = letters === undefined ? undefined : knownName(`${letters}_${level}`);
  if (meant) {
    // Not taken for it at once: u100 is also the wind 100 m above the ground.
    throw new ClimaxError(
      "config",
      `unknown variable "${text}"`,
      `a level stands behind an underscore: ${letters}_${level} or ${meant.name}`,
    );
  }
  return unknownName("variable", text, variables.map(exampleName));
}

/** The same, or undefined for what is no name of a field. */
export function knownName(text: string): FieldName | undefined {
  const whole = findVariable(text);
  if (whole) return { name: whole.name, info: whole };
  const match = /^(.+)_(\d{1,4})$/.exec(text);
  const info = match ? findVariable(match[1]!) : undefined;
  if (info?.levels !== "pressure") return undefined;
  const level = Number(match![2]);
  return { name: fieldName(info, level), info, level };
}

/** A name to show: pressure-level variables with a level. */
const exampleName = (info: VariableInfo) => fieldName(info, info.levels === "pressure" ? 500 : undefined);

/** Pressure levels of the paper's data, hPa (ClimaX, table 8). */
export const paperLevels: readonly number[] = [50, 250, 500, 600, 700, 850, 925];

const paperPressureVariables = [
  "geopotential",
  "u_component_of_wind",
  "v_component_of_wind",
  "temperature",
  "relative_humidity",
  "specific_humidity",
];

/** The 48 variables of the paper, in the order of the reference's default_vars, which its checkpoints depend on. */
export const default48: readonly string[] = [
  "land_sea_mask",
  "orography",
  "lattitude",
  "2m_temperature",
  "10m_u_component_of_wind",
  "10m_v_component_of_wind",
  ...paperPressureVariables.flatMap((name) => paperLevels.map((level) => `${name}_${level}`)),
];
