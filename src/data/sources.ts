// Where training data come from, as data: the archives of the ClimaX paper (tables 8 and 9) with what must be asked of
// them, and the schema by which a user adds one in YAML. Facts: the paper; the download recipes of microsoft/ClimaX at
// 6d5d354 (source, member, table, version, file periods); attributes of CMIP6 files (calendar, nominal resolution);
// the WeatherBench 1 README and the WeatherBench 2 data guide (addresses, variables, levels).
import { z } from "zod";
import { unknownName } from "../errors.ts";
import { findVariable, paperLevels } from "./variables.ts";

const variableSchema = z.strictObject({
  name: z
    .string()
    .refine(
      (name) => findVariable(name) !== undefined,
      "a variable that ClimaX knows, without a level: geopotential",
    )
    .describe("ClimaX name without a level"),
  id: z.string().optional().describe("name in the archive; CMIP6's or ECMWF's unless given"),
  levels: z.array(z.number().positive()).min(1).optional().describe("hPa; of what lies on pressure levels"),
  version: z.string().optional().describe("version that the paper took"),
});

const common = {
  title: z.string().min(1),
  calendar: z.enum(["standard", "proleptic_gregorian", "julian", "noleap", "all_leap", "360_day"]).optional(),
  resolution: z.string().optional().describe('of the archive, in its own words: "100 km"'),
  stepHours: z.number().positive().optional(),
  period: z.string().optional().describe("years that it has: 1850..2014"),
  train: z.string().optional().describe("the paper's split"),
  val: z.string().optional(),
  test: z.string().optional(),
  variables: z.array(variableSchema).min(1),
};

const url = z.string().regex(/^(https?|gs|s3):\/\//, "an address: https://, http://, gs:// or s3://");

/** Search services that know CMIP6, tried in this order (ESMValCore's list, and the bridge to the new index). */
export const esgfNodes: readonly string[] = [
  "https://esgf-node.ornl.gov/esgf-1-5-bridge",
  "https://esgf.ceda.ac.uk/esg-search/search",
  "https://esgf-data.dkrz.de/esg-search/search",
  "https://esgf-node.ipsl.upmc.fr/esg-search/search",
  "https://esg-dn1.nsc.liu.se/esg-search/search",
  "https://esgf.nci.org.au/esg-search/search",
];

const esgfSchema = z.strictObject({
  from: z.literal("esgf").describe("the archive of CMIP6"),
  ...common,
  facets: z
    .record(z.string(), z.string())
    .describe("source_id, experiment_id, member_id, table_id, grid_label, ..."),
  search: z
    .array(url)
    .min(1)
    .default([...esgfNodes])
    .describe("search services, tried in this order"),
});

const filesSchema = z.strictObject({
  from: z.literal("files").describe("plain files behind addresses"),
  ...common,
  url: url.describe("address of a variable's file; {id}, {res} and {file} stand for what they say"),
  file: z.string().min(1).describe("its name, with {id} and {res}"),
  constants: z.strictObject({ url, file: z.string().min(1) }).optional(),
  resolutions: z.array(z.number().positive()).min(1).describe("degrees, of the grids that it offers"),
});

const zarrSchema = z.strictObject({
  from: z.literal("zarr"),
  ...common,
  stores: z
    .array(z.strictObject({ res: z.number().positive(), url }))
    .min(1)
    .describe("one for each grid, by its spacing in degrees"),
});

const cdsSchema = z.strictObject({
  from: z.literal("cds").describe("the Climate Data Store of Copernicus, through its client cdsapi"),
  ...common,
  singleLevels: z.string().describe("data set of what lies on one level"),
  pressureLevels: z.string().describe("data set of what lies on pressure levels"),
  times: z.array(z.string().regex(/^\d\d:00$/, "hours as 06:00")).min(1),
  product: z.string().default("reanalysis"),
});

/** A source of data, in YAML or below. */
export const sourceSchema = z.discriminatedUnion("from", [esgfSchema, filesSchema, zarrSchema, cdsSchema]);
export type Source = z.output<typeof sourceSchema>;
export type SourceVariable = Source["variables"][number];
export type EsgfSource = z.output<typeof esgfSchema>;
export type FilesSource = z.output<typeof filesSchema>;
export type ZarrSource = z.output<typeof zarrSchema>;
export type CdsSource = z.output<typeof cdsSchema>;

type Given = z.input<typeof sourceSchema>;
const seven = [...paperLevels];
const three = [250, 500, 850];
const near = () =>
  ["2m_temperature", "10m_u_component_of_wind", "10m_v_component_of_wind"].map((name) => ({ name }));
const aloft = (names: readonly string[], levels: number[]) => names.map((name) => ({ name, levels }));
const winds = ["u_component_of_wind", "v_component_of_wind"];

/** What the paper took of a model that has all of it. */
const full = () => [
  ...near(),
  ...aloft(["geopotential", ...winds, "temperature", "specific_humidity"], seven),
];

/** With the version that the recipes of the paper name: `usual`, or that of `others`. */
const versioned = (
  variables: Given["variables"],
  usual: string,
  others: Readonly<Record<string, string | undefined>> = {},
): Given["variables"] =>
  variables.map((variable) => {
    const version = variable.name in others ? others[variable.name] : usual;
    return version === undefined ? variable : { ...variable, version };
  });

/** Archives that name variables as ClimaX does. */
const longNames = (variables: Given["variables"]): Given["variables"] =>
  variables.map((variable) => ({ ...variable, id: variable.name }));

/** CMIP6 historical runs that the paper pretrained on; six-hourly on pressure levels. */
const cmip6 = (
  source_id: string,
  institution_id: string,
  rest: Partial<Given> & Pick<Given, "title" | "variables">,
) =>
  ({
    from: "esgf",
    stepHours: 6,
    period: "1850..2014",
    facets: {
      project: "CMIP6",
      activity_id: "CMIP",
      institution_id,
      source_id,
      experiment_id: "historical",
      member_id: "r1i1p1f1",
      table_id: "6hrPlevPt",
      grid_label: "gn",
    },
    ...rest,
  }) as Given;

const thirteen = [50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000];
const era5Split = { train: "1979..2015", val: "2016", test: "2017..2018" };
const weatherBench = "https://dataserv.ub.tum.de/s/m1524895/download?path=%2F{res}deg%2F";
const weatherBench2 = "gs://weatherbench2/datasets/era5";
const era5Aloft = ["geopotential", ...winds, "temperature", "relative_humidity", "specific_humidity"];

/** Neither store has it; it follows from temperature and specific humidity. */
const withoutRelativeHumidity = era5Aloft.filter((name) => name !== "relative_humidity");

const presets: Readonly<Record<string, Given>> = {
  "mpi-esm": cmip6("MPI-ESM1-2-HR", "MPI-M", {
    title: "MPI-ESM1.2-HR, Max Planck Institute for Meteorology (CMIP6 historical)",
    calendar: "proleptic_gregorian",
    resolution: "100 km",
    variables: versioned(full(), "v20190815", {
      "10m_u_component_of_wind": "v20190710",
      "10m_v_component_of_wind": "v20190710",
    }),
  }),
  taiesm: cmip6("TaiESM1", "AS-RCEC", {
    title: "TaiESM1, Academia Sinica, Taiwan (CMIP6 historical); no wind at 10 m",
    calendar: "noleap",
    resolution: "100 km",
    variables: versioned(
      [
        { name: "2m_temperature" },
        ...aloft(["geopotential", "specific_humidity"], seven.slice(1)),
        ...aloft([...winds, "temperature"], three),
      ],
      "v20201112",
    ),
  }),
  "awi-esm": cmip6("AWI-ESM-1-1-LR", "AWI", {
    title: "AWI-ESM-1.1-LR, Alfred Wegener Institute (CMIP6 historical)",
    calendar: "proleptic_gregorian",
    resolution: "250 km",
    variables: versioned(full(), "v20200212"),
  }),
  hammoz: cmip6("MPI-ESM-1-2-HAM", "HAMMOZ-Consortium", {
    title: "MPI-ESM-1.2-HAM, HAMMOZ Consortium (CMIP6 historical)",
    calendar: "proleptic_gregorian",
    resolution: "250 km",
    variables: versioned(full(), "v20190628", {
      "10m_u_component_of_wind": "v20190627",
      "10m_v_component_of_wind": undefined, // not found written anywhere
    }),
  }),
  cmcc: cmip6("CMCC-CM2-HR4", "CMCC", {
    title: "CMCC-CM2-HR4, Euro-Mediterranean Centre on Climate Change (CMIP6 historical)",
    resolution: "100 km",
    variables: versioned(
      [...aloft(["geopotential", ...winds], seven), ...aloft(["temperature"], three)],
      "v20200904",
    ),
  }),
  era5: {
    from: "files",
    title: "ERA5 as regridded by WeatherBench 1, hourly, with land-sea mask and orography",
    stepHours: 1,
    period: "1979..2018",
    ...era5Split,
    url: `${weatherBench}{id}&files={file}`,
    file: "{id}_{res}deg.zip",
    constants: {
      url: `${weatherBench}constants&files={file}`,
      file: "constants_{res}deg.nc",
    },
    resolutions: [5.625, 2.8125, 1.40625],
    // Archives are named as the variables are, not by short names.
    variables: longNames([...near(), ...aloft(era5Aloft, seven)]),
  },
  "era5-wb2": {
    from: "zarr",
    title: "ERA5 as regridded by WeatherBench 2, six-hourly, 13 levels, Zarr in a public bucket",
    stepHours: 6,
    period: "1959..2022",
    ...era5Split,
    stores: [
      { res: 5.625, url: `${weatherBench2}/1959-2023_01_10-6h-64x32_equiangular_conservative.zarr` },
      { res: 0.25, url: `${weatherBench2}/1959-2023_01_10-wb13-6h-1440x721.zarr` },
    ],
    variables: longNames([...near(), ...aloft(withoutRelativeHumidity, thirteen)]),
  },
  "era5-arco": {
    from: "zarr",
    title: "ERA5 at 0.25 degrees, hourly, 37 levels (ARCO), Zarr in a public bucket",
    stepHours: 1,
    ...era5Split,
    stores: [{ res: 0.25, url: "gs://gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3" }],
    variables: longNames([...near(), ...aloft(withoutRelativeHumidity, seven)]),
  },
  "era5-cds": {
    from: "cds",
    title: "ERA5 from the Climate Data Store, 0.25 degrees; needs an account and cdsapi",
    period: "1979..2018",
    ...era5Split,
    singleLevels: "reanalysis-era5-single-levels",
    pressureLevels: "reanalysis-era5-pressure-levels",
    times: ["00:00", "06:00", "12:00", "18:00"],
    variables: longNames([...near(), ...aloft(era5Aloft, seven)]),
  },
};

export const sourceNames: readonly string[] = Object.keys(presets);

/** @throws ClimaxError "config" for a name that is none of `sourceNames` */
export function sourceNamed(name: string): Source {
  const preset = presets[name];
  return preset ? sourceSchema.parse(preset) : unknownName("source", name, sourceNames);
}

/** What the archive calls a variable: CMIP6's name in ESGF, else as given or ECMWF's. */
export function idOf({ from }: Source, { id, name }: SourceVariable): string {
  const info = findVariable(name)!;
  return id ?? (from === "esgf" ? info.cmip6 : undefined) ?? info.short;
}
