import { describe, expect, test } from "vitest";
import { planDownload } from "../../src/data/downloadplan.ts";
import { idOf, sourceNamed, sourceNames, sourceSchema } from "../../src/data/sources.ts";

const esgf = (name: string) => {
  const source = sourceNamed(name);
  if (source.from !== "esgf") throw new Error(`${name} is no source of ESGF`);
  return source;
};
const paper = ["mpi-esm", "taiesm", "awi-esm", "hammoz", "cmcc"];
const levels = (name: string, variable: string) =>
  sourceNamed(name).variables.find((one) => one.name === variable)?.levels;

describe("the sources of the paper", () => {
  test("are there by name, and a name that is not is answered by the nearest", () => {
    expect(sourceNames).toEqual([...paper, "era5", "era5-wb2", "era5-arco", "era5-cds"]);
    expect(() => sourceNamed("cmip")).toThrow(expect.objectContaining({ message: 'unknown source "cmip"' }));
  });

  test("five CMIP6 models, by the facets that the paper's recipes downloaded", () => {
    const facets = paper.map((name) => {
      const { institution_id, source_id, experiment_id, member_id, table_id } = esgf(name).facets;
      return [institution_id, source_id, experiment_id, member_id, table_id].join(".");
    });
    expect(facets).toEqual([
      "MPI-M.MPI-ESM1-2-HR.historical.r1i1p1f1.6hrPlevPt",
      "AS-RCEC.TaiESM1.historical.r1i1p1f1.6hrPlevPt",
      "AWI.AWI-ESM-1-1-LR.historical.r1i1p1f1.6hrPlevPt",
      "HAMMOZ-Consortium.MPI-ESM-1-2-HAM.historical.r1i1p1f1.6hrPlevPt",
      "CMCC.CMCC-CM2-HR4.historical.r1i1p1f1.6hrPlevPt",
    ]);
  });

  test("variables and levels are those of tables 8 and 9", () => {
    const seven = [50, 250, 500, 600, 700, 850, 925];
    for (const name of ["mpi-esm", "awi-esm", "hammoz"]) {
      const source = sourceNamed(name);
      expect(source.variables.map((variable) => idOf(source, variable))).toEqual(
        "tas uas vas zg ua va ta hus".split(" "),
      );
      expect(levels(name, "geopotential")).toEqual(seven);
    }
    const tai = sourceNamed("taiesm");
    expect(tai.variables.map((variable) => idOf(tai, variable))).toEqual("tas zg hus ua va ta".split(" "));
    expect(levels("taiesm", "geopotential")).toEqual(seven.slice(1));
    expect(levels("taiesm", "temperature")).toEqual([250, 500, 850]);
    expect(levels("cmcc", "u_component_of_wind")).toEqual(seven);
    expect(levels("cmcc", "temperature")).toEqual([250, 500, 850]);
    expect(levels("cmcc", "2m_temperature")).toBeUndefined();
  });

  test("ERA5 of WeatherBench 1 makes the 48 variables of the paper, with its split", () => {
    const { next, files } = planDownload(sourceNamed("era5"), "era5", { dir: "era5" });
    const prepare = next.at(-1)!;
    expect(prepare).toContain("--train 1979..2015 --val 2016 --test 2017..2018");
    expect(/--variables (\S+)/.exec(prepare)![1]!.split(",")).toHaveLength(48);
    expect(files.at(-1)).toEqual({
      name: "constants_5.625deg.nc",
      urls: [
        "https://dataserv.ub.tum.de/s/m1524895/download?path=%2F5.625deg%2Fconstants&files=constants_5.625deg.nc",
      ],
    });
  });
});

describe("what is to be fetched", () => {
  test("a choice of variables, levels and years", () => {
    const plan = planDownload(sourceNamed("mpi-esm"), "mpi-esm", {
      variables: ["z_500", "t2m", "temperature", "zg_850"],
      levels: [250, 850],
      period: "2000..2009",
      dir: "my data",
    });
    expect(plan.variables.map(({ id, levels }) => [id, levels])).toEqual([
      ["tas", undefined],
      ["zg", [500, 850]],
      ["ta", [250, 850]],
    ]);
    expect(plan.period).toBe("2000..2009");
    expect(plan.next[0]).toBe(
      "climax regrid 'my data'/*.nc --res 5.625 --period 2000..2009 -o 'my data'-5.625deg",
    );
    expect(plan.next[1]).toContain("--train 2000..2009 ");
    const query = new URL(plan.esgf[1]!.queries[1]!);
    expect(query.origin + query.pathname).toBe("https://esgf.ceda.ac.uk/esg-search/search");
    expect(Object.fromEntries(query.searchParams)).toMatchObject({
      project: "CMIP6",
      source_id: "MPI-ESM1-2-HR",
      variable_id: "zg",
      type: "File",
      latest: "true",
    });
  });

  test("a store is read in place; the one on the grid that is wanted", () => {
    const plan = (res?: number) => planDownload(sourceNamed("era5-wb2"), "era5-wb2", { dir: "wb2", res });
    expect(plan().zarr).toEqual([
      "gs://weatherbench2/datasets/era5/1959-2023_01_10-6h-64x32_equiangular_conservative.zarr",
    ]);
    expect(plan().next[0]).toMatch(
      /^climax regrid gs:\/\/.*64x32\S* --res 5.625 --variables 2m_temperature,\S* --levels 50,100,\S* --period 1979\.\.2018 -o wb2_5\.625deg\.nc$/,
    );
    expect(plan(1.40625).zarr[0]).toContain("1440x721");
  });

  test("requests to the Climate Data Store are as cdsapi takes them", () => {
    const { cds } = planDownload(sourceNamed("era5-cds"), "era5-cds", {
      variables: ["t2m", "z_500"],
      period: "2018",
      dir: "cds",
    });
    expect(cds).toHaveLength(1 + 12);
    expect(cds[0]).toMatchObject({
      dataset: "reanalysis-era5-single-levels",
      request: {
        product_type: ["reanalysis"],
        variable: ["2m_temperature"],
        year: ["2018"],
        data_format: "netcdf",
      },
      target: "single_2018.nc",
    });
    expect(cds[2]).toMatchObject({
      dataset: "reanalysis-era5-pressure-levels",
      request: { variable: ["geopotential"], pressure_level: ["500"], month: ["02"] },
      target: "geopotential_2018-02.nc",
    });
  });

  test.each([
    [
      { variables: ["geopotential_300"] },
      "mpi-esm has no geopotential_300",
      "its levels: 50, 250, 500, 600, 700, 850, 925",
    ],
    [{ variables: ["r_500"] }, 'unknown variable of mpi-esm "relative_humidity"', "did you mean"],
    [{ levels: [10] }, "mpi-esm has no level of 10 hPa", "it has 50, 250, 500"],
    [
      { period: "1979..2018" },
      "mpi-esm has the years 1850..2014; --period 1979..2018 goes beyond them",
      "choose a period within 1850..2014",
    ],
  ])("%j is refused", (selection, message, hint) => {
    expect(() => planDownload(sourceNamed("mpi-esm"), "mpi-esm", { dir: "d", ...selection })).toThrow(
      expect.objectContaining({ message, hint: expect.stringContaining(hint) }),
    );
  });

  test("a grid that the archive does not offer is refused", () => {
    expect(() => planDownload(sourceNamed("era5"), "era5", { dir: "d", res: 1 })).toThrow(
      expect.objectContaining({ message: "era5 is not offered at 1 degrees" }),
    );
  });
});

test("a source of one's own has the same schema", () => {
  const own = {
    from: "files",
    title: "mine",
    url: "http://a/{file}",
    file: "{id}.nc",
    resolutions: [1],
    variables: [{ name: "tas" }],
  };
  expect(sourceSchema.parse(own)).toMatchObject({ from: "files" });
  expect(sourceSchema.safeParse({ ...own, variables: [{ name: "tass" }] }).error!.issues[0]).toMatchObject({
    path: ["variables", 0, "name"],
    message: "a variable that ClimaX knows, without a level: geopotential",
  });
});
