import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { regridCommand } from "../../src/cli/regrid.ts";
import { regridFile } from "../../src/data/regridfile.ts";
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { makeWeatherFile, readVariable, steps } from "../support/weatherfile.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-regrid-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
const makeFile = (name: string) => makeWeatherFile(at(name));

beforeEach(() => {
  vi.spyOn(process.stdout, "write").mockReturnValue(true);
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("what cannot be done leaves nothing behind", () => {
  const refused = async (argv: string[], message: string | RegExp) => {
    const before = readdirSync(folder);
    await expect(regridCommand.run(argv)).rejects.toThrow(message);
    expect(readdirSync(folder)).toEqual(before);
  };

  test("two target grids", () =>
    refused(
      ["a.nc", "--res", "5.625", "--grid", "b.nc", "-o", "c.nc"],
      "found both --res and --grid; wanted one target grid",
    ));

  test("several inputs for one file, or of one name", async () => {
    await refused(
      ["a.nc", "b.nc", "-o", at("c.nc")],
      `found 2 input files for the one output file ${at("c.nc")}`,
    );
    await refused(
      ["x/a.nc", "y/a.nc4", "-o", at("d")],
      `two input files would both be written to ${join(at("d"), "a.nc")}`,
    );
  });

  test("a missing file, and the folder it was to go to", () =>
    refused([at("nowhere.nc"), "-o", at("new-folder")], /nowhere\.nc/));

  test("a folder in a folder that is not there", () =>
    refused(
      [at("a.nc"), "-o", at("deep/new")],
      `cannot make the folder ${at("deep/new")}: ${at("deep")} does not exist`,
    ));

  test("the input as output", async () => {
    const { path, values } = await makeFile("itself.nc");
    await refused([path, "-o", path], `${path} is the input itself`);
    expect((await readVariable(path, "t")).values.length).toBe(values.length);
  });

  test("an unknown variable", async () => {
    const { path } = await makeFile("unknown.nc");
    await refused([path, "--variables", "tt", "-o", at("u.nc")], `unknown variable of ${path} "tt"`);
  });

  test("curvilinear, unstructured and absent coordinates", async () => {
    const field = (dimensions: string[], coordinates: string): WrittenVariable => ({
      name: "tos",
      dimensions,
      dtype: "float32",
      data: new Float32Array(12),
      attributes: { coordinates },
    });
    const coordinate = (name: string, dimensions: string[], units: string): WrittenVariable => ({
      name,
      dimensions,
      dtype: "float64",
      data: steps(dimensions.length === 2 ? 12 : 12, 1),
      attributes: { units },
    });
    const make = async (name: string, dimensions: Record<string, number>, variables: WrittenVariable[]) => {
      await (await createNetcdf(at(name), { dimensions, variables })).close();
      return at(name);
    };
    const curvilinear = await make("curvilinear.nc", { j: 3, i: 4 }, [
      coordinate("lat", ["j", "i"], "degrees_north"),
      coordinate("lon", ["j", "i"], "degrees_east"),
      field(["j", "i"], "lat lon"),
    ]);
    await refused(
      [curvilinear, "--method", "conservative", "-o", at("c.nc")],
      "conservative regridding wants the corners of the source's cells; its file gives none (3 x 4, curvilinear)",
    );
    const cells = await make("cells.nc", { ncells: 12 }, [
      coordinate("lat", ["ncells"], "degrees_north"),
      coordinate("lon", ["ncells"], "degrees_east"),
      field(["ncells"], "lat lon"),
    ]);
    await refused(
      [cells, "--method", "bilinear", "-o", at("c.nc")],
      "bilinear regridding wants a source of latitudes by longitudes; found 12 cells, unstructured",
    );
    const bare = await make("bare.nc", { y: 3, x: 4 }, [field(["y", "x"], "")]);
    await refused([bare, "-o", at("c.nc")], "has no latitude");
    const line = await make("line.nc", { lat: 1, lon: 12 }, [
      { ...coordinate("lat", ["lat"], "degrees_north"), data: [10] },
      coordinate("lon", ["lon"], "degrees_east"),
      field(["lat", "lon"], ""),
    ]);
    await refused([line, "-o", at("c.nc")], `${line}: a grid of 1 x 12 points cannot be regridded`);
  });

  test("an interrupted run", async () => {
    const { path } = await makeFile("long.nc");
    const stop = new AbortController();
    const before = readdirSync(folder);
    const run = regridFile(path, at("stopped.nc"), {
      target: regularGrid(5.625),
      method: "bilinear",
      cut: true,
      commandLine: "test",
      program: "test",
      signal: stop.signal,
      onProgress: () => stop.abort(new Error("stopped")),
    });
    await expect(run).rejects.toThrow("stopped");
    expect(readdirSync(folder)).toEqual(before);
  });
});
