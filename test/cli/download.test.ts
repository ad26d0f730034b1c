import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { downloadCommand } from "../../src/cli/download.ts";
import { answer, file, found, type Played, playServer } from "../support/archiveserver.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-download-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

let printed = "";
let said = "";
let server: Played | undefined;
beforeEach(() => {
  printed = "";
  said = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => !!(printed += text));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => !!(said += text));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await server?.close();
  server = undefined;
});

const bytes = new TextEncoder().encode("CDF, or so it says".repeat(4000));

test("a source of one's own: searched, fetched, and the next commands said", async () => {
  const names = ["tas_6hr_200001010600-200101010000.nc", "tas_6hr_200101010600-200201010000.nc"];
  server = await playServer({
    "/search": answer((origin) => [
      ...names.map((name) => found(name, bytes, [`${origin}/gone/${name}`, `${origin}/data/${name}`])),
      found("zg_6hr_200001010600-200101010000.nc", bytes, [`${origin}/data/zg.nc`]),
    ]),
    ...Object.fromEntries([...names, "zg.nc"].map((name) => [`/data/${name}`, file(bytes)])),
  });
  const yaml = at("mine.yaml");
  writeFileSync(
    yaml,
    `from: esgf
title: played
period: 2000..2002
facets: { project: CMIP6, source_id: MINE }
search:
  - ${server.origin}/nothing
  - ${server.origin}/search
variables:
  - name: 2m_temperature
  - name: geopotential
    levels: [500, 850]
`,
  );
  const out = at("mine");
  expect(await downloadCommand.run([yaml, "--period", "2000", "-o", out])).toBe(0);
  expect(readdirSync(out).sort()).toEqual(
    ["download.json", names[0], "zg_6hr_200001010600-200101010000.nc"].sort(),
  );
  expect(said).toContain("tas: 1 files, 72.0 kB");
  expect(said).toContain("trying another server");
  expect(said).toMatch(/2 files, 144\.0 kB, in .*mine$/m);
  expect(printed).toContain(
    `Next:\n  climax regrid ${out}/*.nc --res 5.625 --period 2000 -o ${out}-5.625deg\n`,
  );
  expect(printed).toContain("--train 2000 --variables 2m_temperature,geopotential_500,geopotential_850 -o ");
  const plan = JSON.parse(readFileSync(join(out, "download.json"), "utf8"));
  expect(plan.files).toHaveLength(2);

  said = "";
  expect(await downloadCommand.run([yaml, "--period", "2000", "-o", out])).toBe(0);
  expect(said).toContain("2 were there already");
});

test("mistakes in the YAML of a source are told by line and column", async () => {
  const yaml = at("wrong.yaml");
  writeFileSync(yaml, "from: zarr\ntitle: mine\nstore: x\nvariables:\n  - name: temprature\n");
  await expect(downloadCommand.run([yaml, "--plan"])).rejects.toMatchObject({
    kind: "config",
    message: expect.stringMatching(
      /wrong\.yaml:5:11: variables\.0\.name is "temprature": a variable that ClimaX knows/,
    ),
  });
  await expect(downloadCommand.run([yaml, "--plan"])).rejects.toMatchObject({
    message: expect.stringMatching(/wrong\.yaml:3:1: unknown setting "store"; did you mean "stores"/),
    hint: expect.stringContaining("from: esgf"),
  });
});

describe("--plan", () => {
  test("writes what would be fetched and asks nobody", async () => {
    const out = at("era5");
    expect(await downloadCommand.run(["era5", "--variables", "z_500", "--plan", "-o", out])).toBe(0);
    expect(readdirSync(out)).toEqual(["download.json"]);
    expect(printed).toContain("files=geopotential_5.625deg.zip");
    expect(printed).toContain(`for z in ${out}/*.zip; do unzip -n "$z" -d ${out}; done`);
    expect(printed).toContain("--train 1979..2015 --val 2016 --test 2017..2018");
    expect(said).toBe("");
  });

  test("of the Climate Data Store writes the requests beside", async () => {
    const out = at("cds");
    await downloadCommand.run([
      "era5-cds",
      "--variables",
      "t2m",
      "--period",
      "1979..1980",
      "--plan",
      "-o",
      out,
    ]);
    expect(JSON.parse(readFileSync(join(out, "cds.json"), "utf8"))).toHaveLength(2);
    expect(printed).toContain("2 requests to the Climate Data Store");
  });
});

test("--list names the sources, and what one of them has", async () => {
  await downloadCommand.run(["--list"]);
  expect(printed).toMatch(/^mpi-esm +esgf +1850\.\.2014 +6 h +MPI-ESM1\.2-HR/m);
  printed = "";
  await downloadCommand.run(["taiesm", "--list"]);
  expect(printed).toMatch(/^calendar +noleap$/m);
  expect(printed).toMatch(/^temperature +250 500 850 +v20201112$/m);
});

describe("an address", () => {
  test("is fetched into the file or folder named", async () => {
    server = await playServer({ "/some/tas.nc": file(bytes) });
    expect(await downloadCommand.run([`${server.origin}/some/tas.nc`, "-o", at("got.nc")])).toBe(0);
    expect(readFileSync(at("got.nc")).equals(bytes)).toBe(true);
    expect(printed).toBe(`Next:\n  climax inspect ${at("got.nc")}\n`);
    await downloadCommand.run([`${server.origin}/some/tas.nc`, "-o", folder]);
    expect(existsSync(at("tas.nc"))).toBe(true);
  });

  test("that is not there leaves nothing behind", async () => {
    server = await playServer({});
    await expect(downloadCommand.run([`${server.origin}/no.nc`, "-o", at("no.nc")])).rejects.toMatchObject({
      kind: "data",
      message: expect.stringContaining("404"),
    });
    expect(readdirSync(folder).filter((name) => name.startsWith("no.nc"))).toEqual([]);
  });
});

test("without a source, and with flags that make no sense, it says what is wanted", async () => {
  await expect(downloadCommand.run([])).rejects.toMatchObject({
    message: "no source was named",
    hint: expect.stringContaining("mpi-esm, taiesm"),
  });
  await expect(downloadCommand.run(["https://a.org/x.nc", "--plan"])).rejects.toMatchObject({
    kind: "config",
  });
});
