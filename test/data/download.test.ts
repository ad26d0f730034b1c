import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { fetchFiles, nameOfUrl, withinPeriod } from "../../src/data/download.ts";
import { searchEsgf } from "../../src/data/esgf.ts";
import { type EsgfSource, sourceSchema } from "../../src/data/sources.ts";
import {
  answer,
  file,
  found,
  type Played,
  playServer,
  type Roles,
  sha256,
} from "../support/archiveserver.ts";
import { canMount, onSmallDisk } from "../support/disk.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-download-"));
afterAll(() => rmSync(folder, { recursive: true }));
let dirs = 0;
const newDir = () => join(folder, `d${dirs++}`);

let server: Played;
afterEach(() => server?.close());
const play = async (roles: Roles) => (server = await playServer(roles));

/** Fast, and nothing is waited for. */
const http = { tries: 2, backOff: 1, firstByteTime: 2000, stallTime: 2000 };
const options = { parallel: 2, http };
const bytes = (n: number, seed: number) => Uint8Array.from({ length: n }, (_, i) => (i * seed) % 251);
const tas = bytes(70_000, 7);
const source = (...search: string[]): EsgfSource =>
  sourceSchema.parse({
    from: "esgf",
    title: "played",
    facets: { project: "CMIP6", source_id: "MPI-ESM1-2-HR" },
    search,
    variables: [{ name: "tas" }],
  }) as EsgfSource;

describe("searching ESGF", () => {
  test("files with all their servers, page after page; copies that differ and retracted files are left out", async () => {
    const names = Array.from({ length: 501 }, (_, i) => `tas_day_${1000 + i}0101-${1000 + i}1231.nc`);
    const { origin, asked } = await play({
      "/search": answer((o) => [
        ...names.map((name) => found(name, tas, [`${o}/copy/${name}`], { replica: true })),
        found(names[0]!, tas, [`${o}/first/${names[0]}`]),
        found(names[1]!, bytes(9, 3), [`${o}/other/${names[1]}`], { replica: true }),
        found("tas_old.nc", tas, [`${o}/old.nc`], { retracted: true }),
        { title: "../../etc/passwd", url: [`${o}/x|a|HTTPServer`] },
      ]),
    });
    const files = await searchEsgf(source(`${origin}/search`), "tas", http);
    expect(files.map(({ name }) => name)).toEqual(names);
    expect(files[0]).toEqual({
      name: names[0],
      urls: [`${origin}/first/${names[0]}`, `${origin}/copy/${names[0]}`],
      bytes: 70_000,
      sha256: sha256(tas),
    });
    expect(files[1]!.urls).toHaveLength(1);
    expect(asked.map((url) => new URL(url, origin).searchParams.get("offset"))).toEqual(["0", "500"]);
  });

  test("a service that fails, answers nonsense or knows nothing is passed over", async () => {
    const { origin } = await play({
      "/down": (_, response) => void response.writeHead(503).end(),
      "/page": (_, response) => void response.writeHead(200).end("<html>moved</html>"),
      "/json": (_, response) => void response.writeHead(200).end('{"hits": 3}'),
      "/empty": answer(() => []),
      "/search": answer((o) => [found("tas_1.nc", tas, [`${o}/1.nc`])]),
    });
    const said: string[] = [];
    const services = ["down", "page", "json", "empty", "search"].map((name) => `${origin}/${name}`);
    const files = await searchEsgf(source(...services), "tas", {
      ...http,
      onFailure: (why) => said.push(why),
    });
    expect(files).toHaveLength(1);
    expect(said).toHaveLength(3);
    expect(said[2]).toBe(`${origin}/json answered with something that is no result of a search (11 bytes)`);
    await expect(searchEsgf(source(`${origin}/empty`), "tas", http)).rejects.toMatchObject({
      kind: "data",
      message: "ESGF knows no files of tas (CMIP6, MPI-ESM1-2-HR)",
      hint: expect.stringContaining(`look what there is: ${origin}/empty?project=CMIP6`),
    });
    await expect(searchEsgf(source(`${origin}/down`), "tas", http)).rejects.toMatchObject({
      message: expect.stringMatching(/^no search service of ESGF answered: 127\.0\.0\.1:\d+: .*503/),
    });
  });

  test("facets that single nothing out are refused", async () => {
    const { origin } = await play({
      "/search": (_, response) => void response.end('{"response": {"numFound": 1000000, "docs": []}}'),
    });
    await expect(searchEsgf(source(`${origin}/search`), "tas", http)).rejects.toMatchObject({
      message: expect.stringContaining("finds 1000000 files of tas; at most 20000 are wanted"),
    });
  });
});

describe("fetching", () => {
  test("from the next server when one fails or lies; what is there stays", async () => {
    const { origin, asked } = await play({
      "/down/tas.nc": (_, response) => void response.writeHead(500).end(),
      "/lies/tas.nc": file(bytes(70_000, 11)),
      "/good/tas.nc": file(tas),
    });
    const dir = newDir();
    const said: string[] = [];
    const remote = {
      name: "tas.nc",
      urls: ["none", "down", "lies", "good"].map((name) => `${origin}/${name}/tas.nc`),
      bytes: 70_000,
      sha256: sha256(tas),
    };
    const first = await fetchFiles([remote], dir, { ...options, onFailure: (why) => said.push(why) });
    expect(first).toEqual([{ name: "tas.nc", path: join(dir, "tas.nc"), bytes: 70_000, how: "fetched" }]);
    expect(readFileSync(join(dir, "tas.nc")).equals(tas)).toBe(true);
    expect(said).toHaveLength(3);
    expect(said[2]).toMatch(/has sha256 \w+; wanted \w+; trying another server$/);
    expect(readdirSync(dir)).toEqual(["tas.nc"]);
    asked.length = 0;
    expect(await fetchFiles([remote], dir, options)).toMatchObject([{ how: "there" }]);
    expect(asked).toEqual([]);
  });

  test("goes on where it stopped, and reports bytes and files", async () => {
    let cut = true;
    const { origin } = await play({
      "/tas.nc": (request, response, o) => {
        if (!cut) return file(tas)(request, response);
        cut = false;
        response.writeHead(200, { "content-length": tas.length, "accept-ranges": "bytes", etag: '"1"' });
        response.write(tas.subarray(0, 40_000), () => setTimeout(() => response.destroy(), 50));
        expect(o).toMatch(/^http/);
      },
    });
    const dir = newDir();
    const remote = { name: "tas.nc", urls: [`${origin}/tas.nc`], bytes: 70_000, sha256: sha256(tas) };
    const news: { bytes: number; total: number; files: number }[] = [];
    const got = await fetchFiles([remote], dir, { ...options, onProgress: (now) => news.push({ ...now }) });
    expect(got).toMatchObject([{ how: "resumed", bytes: 70_000 }]);
    expect(readFileSync(join(dir, "tas.nc")).equals(tas)).toBe(true);
    expect(news.at(-1)).toMatchObject({ bytes: 70_000, total: 70_000, files: 1 });
  });

  test("what cannot be had does not keep the others from coming, and is named in the end", async () => {
    const { origin } = await play({ "/b.nc": file(tas) });
    const dir = newDir();
    const remote = ["a.nc", "b.nc", "c.nc"].map((name) => ({ name, urls: [`${origin}/${name}`] }));
    await expect(fetchFiles(remote, dir, options)).rejects.toMatchObject({
      kind: "data",
      message: expect.stringMatching(/^2 of 3 files could not be fetched; a\.nc: .*\/a\.nc.*404/),
      hint: expect.stringContaining("run the same command again, it goes on where it stopped"),
    });
    expect(readdirSync(dir)).toEqual(["b.nc"]);
  });

  test.skipIf(!canMount)("not begun when the disk is too small for what is announced", async () => {
    const { origin, asked } = await play({ "/tas.nc": file(tas) });
    const dir = newDir();
    mkdirSync(dir);
    await onSmallDisk(dir, 40_960, async () => {
      const remote = { name: "tas.nc", urls: [`${origin}/tas.nc`], bytes: 70_000 };
      await expect(fetchFiles([remote], dir, options)).rejects.toMatchObject({
        message: expect.stringMatching(
          /^70\.0 kB are to be fetched into .*, whose disk has 4\d\.\d kB free$/,
        ),
        hint: "free some space, choose another disk by -o, or fetch less: --variables, --period",
      });
    });
    expect(asked).toEqual([]);
  });

  test("a folder that cannot be made is said", async () => {
    writeFileSync(join(folder, "plain"), "");
    await expect(fetchFiles([], join(folder, "plain", "in"), options)).rejects.toMatchObject({
      message: expect.stringContaining("cannot make the folder"),
    });
    expect(existsSync(join(folder, "plain", "in"))).toBe(false);
  });
});

test("files of a period, by the dates in their names", () => {
  const files = [
    "tas_6hr_185001010600-187001010000.nc",
    "tas_6hr_187001010600-189001010000.nc",
    "orog_fx.nc",
  ].map((name) => ({ name, urls: [] }));
  const names = (period: string | null) =>
    withinPeriod(files, period).map(({ name }) => files.findIndex((f) => f.name === name));
  expect(names(null)).toEqual([0, 1, 2]);
  expect(names("1871..1880")).toEqual([1, 2]);
  expect(names("1870")).toEqual([0, 1, 2]); // its first step stands at the end of the first file
  expect(names("2000..2010")).toEqual([2]);
});

test.each([
  ["https://a.org/data/tas.nc?token=1", "tas.nc"],
  [
    "https://a.org/s/download?path=%2F5.625deg&files=2m_temperature_5.625deg.zip",
    "2m_temperature_5.625deg.zip",
  ],
  ["https://a.org/", "download"],
  ["https://a.org/x%2F..%2F.profile", "download"],
])("%s gives the file the name %s", (address, name) => {
  expect(nameOfUrl(address)).toBe(name);
});
