// climax simulate, from flags to a file that the rest of the program reads.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { simulateCommand } from "../../src/cli/simulate.ts";
import { openArchive } from "../../src/data/archive.ts";
import { openDataset } from "../../src/data/open.ts";
import { formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { regularGrid, sameGrid } from "../../src/grid/grid.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-simulate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string) => join(folder, name);
/** Three days after a spin-up too short for weather, for speed. */
const short = ["--years", "0.00822", "--spin-up", "2", "--quiet"];

describe("the file", () => {
  test("is an archive of all the variables, labelled synthetic, without conversions or leftovers", async () => {
    await simulateCommand.run([...short, "-o", path("all.nc")]);
    const archive = await openArchive([path("all.nc")]);
    try {
      const onLevels = ["geopotential", "u_component_of_wind", "v_component_of_wind", "temperature"];
      const names = [
        "land_sea_mask",
        "orography",
        "2m_temperature",
        "10m_u_component_of_wind",
        "10m_v_component_of_wind",
        ...onLevels.flatMap((name) => [250, 500, 850].map((level) => `${name}_${level}`)),
      ];
      expect([...archive.variables.keys()].toSorted()).toEqual(names.toSorted());
      expect(archive.synthetic).toBe(true);
      expect(archive.unrecognised).toEqual([]);
      expect(sameGrid(archive.grid, regularGrid(5.625))).toBe(true);
      expect(archive.times.map(formatTime).slice(0, 2)).toEqual([
        "2001-01-01T00:00:00",
        "2001-01-01T06:00:00",
      ]);
      expect(archive.times).toHaveLength(12);
      for (const { name, info, read } of archive.variables.values()) {
        const field = await read(3);
        expect(field).toHaveLength(32 * 64);
        expect(Math.min(...field), name).toBeGreaterThanOrEqual(info.bounds[0]);
        expect(Math.max(...field), name).toBeLessThanOrEqual(info.bounds[1]);
      }
    } finally {
      await archive.close();
    }
    expect(readdirSync(folder)).toEqual(["all.nc"]);
  });

  test("names model, seed, planet and references", async () => {
    const dataset = await openDataset(path("all.nc"));
    try {
      const attribute = (name: string) => String(dataset.attributes.get(name));
      expect(attribute("synthetic")).toBe("true");
      expect(attribute("title")).toMatch(/SYNTHETIC/);
      expect(attribute("source")).toMatch(/three-level quasi-geostrophic model, T21/);
      expect(attribute("references")).toMatch(/Marshall.*1993/);
      expect(JSON.parse(attribute("simulation"))).toMatchObject({ planet: "earth", seed: 1, spinUpDays: 2 });
    } finally {
      await dataset.close();
    }
  });

  test("is the same again for the same flags, and other weather for another seed", async () => {
    const values = async (name: string, ...flags: string[]) => {
      await simulateCommand.run([
        ...short,
        "--levels",
        "500",
        "--variables",
        "geopotential",
        ...flags,
        "-o",
        path(name),
      ]);
      const archive = await openArchive([path(name)]);
      const field = await archive.variables.get("geopotential_500")!.read(11);
      await archive.close();
      return field;
    };
    const one = await values("one.nc", "--seed", "5");
    expect(await values("two.nc", "--seed", "5")).toEqual(one);
    expect(await values("three.nc", "--seed", "6")).not.toEqual(one);
    expect(await values("four.nc", "--seed", "5", "--planet", "warm")).not.toEqual(one);
  });

  test("has the states that a longer step asks for, from another date, over a leap day", async () => {
    const flags = ["--start", "2004-02-28", "--step", "1d", "--variables", "t2m,lsm", "-o", path("daily.nc")];
    await simulateCommand.run([...short, ...flags]);
    const archive = await openArchive([path("daily.nc")]);
    expect(archive.times.map(formatTime)).toEqual(
      ["28", "29"].map((d) => `2004-02-${d}T00:00:00`).concat("2004-03-01T00:00:00"),
    );
    expect([...archive.variables.keys()].toSorted()).toEqual(["2m_temperature", "land_sea_mask"]);
    await archive.close();
  });
});

describe("what it refuses", () => {
  const refused = async (...flags: string[]): Promise<ClimaxError> => {
    const before = readdirSync(folder);
    const error = await simulateCommand.run([...short, "-o", path("no.nc"), ...flags]).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ClimaxError);
    expect(readdirSync(folder)).toEqual(before);
    return error as ClimaxError;
  };

  test.each([
    [["--planet", "wurm"], /unknown planet "wurm"/, /did you mean "warm"/],
    [["--levels", "500,50"], /--levels has 50 hPa, beyond/, /150\.\.925/],
    [["--step", "5h"], /--step is "5h"; a multiple of 3h/, /6h/],
    [["--variables", "geopotential_500"], /with a level/, /--variables geopotential --levels 500/],
    [["--variables", "specific_humidity"], /unknown variable of the simulation/, /Known: .*temperature/],
    [["--start", "2001-02-30"], /2001-02-30/, /2017-01-31/],
    [["--years", "0.0001"], /shorter than one step/, /more years/],
    [["-o", "/does/not/exist/a.nc"], /does not exist/, /mkdir/],
  ] as const)("%j", async (flags, message, hint) => {
    const error = await refused(...flags);
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
  });

  test("an interrupted run leaves nothing behind", async () => {
    const before = readdirSync(folder);
    const run = simulateCommand.run(["--years", "50", "--spin-up", "0", "--quiet", "-o", path("stopped.nc")]);
    setTimeout(() => process.emit("SIGINT", "SIGINT"), 300);
    await expect(run).rejects.toThrow(/interrupted by SIGINT/);
    expect(readdirSync(folder)).toEqual(before);
  });
});

test("the help names every planet", () => {
  const help = simulateCommand.help(100);
  for (const name of ["earth", "warm", "cold", "fast", "turned", "aqua"])
    expect(help).toMatch(new RegExp(`\\b${name}\\b`));
  expect(readFileSync(new URL("../../src/cli/main.ts", import.meta.url), "utf8")).toContain(
    simulateCommand.summary,
  );
});
