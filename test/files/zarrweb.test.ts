// Zarr stores over HTTP from a server of our own: what is fetched and kept, and what of a server's failures is told.
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { regridCommand } from "../../src/cli/regrid.ts";
import { openArchive } from "../../src/data/archive.ts";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";
import { openCache } from "../../src/files/httpcache.ts";
import { openWeb } from "../../src/files/zarrweb.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { makeRegridder } from "../../src/grid/regrid.ts";
import { readVariable } from "../support/weatherfile.ts";
import { serve, serveFolder, type WebServer } from "../support/webserver.ts";

const scratch = mkdtempSync(join(tmpdir(), "climax-zarrweb-"));
const servers: WebServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});
afterAll(() => rmSync(scratch, { recursive: true }));

const fixtures = "test/fixtures/zarr";
const numbers = Float32Array.from({ length: 3 * 24 * 36 }, (_, i) => ((Math.floor(i / 3) * 7) % 31) / 2);
const impatient = { tries: 2, backOff: 1, firstByteTime: 10_000, stallTime: 10_000 };
let count = 0;
const freshCache = () => openCache(join(scratch, `cache${count++}`));

async function web(...given: Parameters<typeof serveFolder>): Promise<WebServer> {
  const server = await serveFolder(...given);
  servers.push(server);
  return server;
}

async function refusal(work: Promise<unknown>): Promise<ClimaxError> {
  const caught = await work.catch((error: unknown) => error);
  expect(caught).toBeInstanceOf(ClimaxError);
  return caught as ClimaxError;
}

/** A copy of a fixture in a folder of its own, to be served or changed. */
function copy(name: "v2" | "v3"): string {
  const folder = mkdtempSync(join(scratch, "served-"));
  cpSync(join(fixtures, `${name}.zarr`), join(folder, `${name}.zarr`), { recursive: true });
  return folder;
}

const chunks = ({ requests }: WebServer) => requests.filter((line) => /\/\d+(\.\d+)*$/.test(line));

describe("a store behind an address", () => {
  test("is read as from a folder, and only what is asked for is fetched", async () => {
    const server = await web(fixtures);
    const dataset = await openWeb(`${server.address}/v2.zarr/`, { cache: null });
    expect(server.requests).toEqual(["GET /v2.zarr/.zmetadata"]);
    expect(dataset.path).toBe(`${server.address}/v2.zarr/`);
    const lz4 = dataset.variables.get("blosc_lz4")!;
    expect(await lz4.read([0, 3, 0], [1, 2, 36])).toEqual(numbers.subarray(3 * 36, 5 * 36));
    expect(chunks(server)).toEqual(["GET /v2.zarr/blosc_lz4/0.0.0"]);
    // Field after field: each chunk comes once.
    for (let t = 0; t < 3; t++) {
      expect(await lz4.read([t, 0, 0], [1, 24, 36])).toEqual(numbers.subarray(t * 864, (t + 1) * 864));
    }
    expect(chunks(server).length).toBe(4);
    expect((await dataset.variables.get("sparse")!.readUnpacked()).at(-1)).toBeNaN(); // 404: never written
    await dataset.close();
  });

  test("several chunks are fetched at once", async () => {
    const server = await web(fixtures, (request, response) => {
      if (!/zlib\/\d/.test(request.url!)) return false;
      setTimeout(() => response.end(readFileSync(join(fixtures, request.url!))), 200);
      return true;
    });
    const dataset = await openWeb(`${server.address}/v2.zarr`, { cache: null });
    expect(await dataset.variables.get("zlib")!.read()).toEqual(numbers);
    expect(server.busiest).toBe(4); // all there are
    await dataset.close();
  });

  test("what was fetched is kept on disk for the next time, as long as the store is the same", async () => {
    const folder = copy("v2");
    const cache = freshCache();
    const server = await web(folder);
    const readAll = async () => {
      server.requests.length = 0;
      const dataset = await openWeb(`${server.address}/v2.zarr`, { cache });
      expect(await dataset.variables.get("zstd")!.read()).toEqual(numbers);
      await dataset.close();
      return chunks(server).length;
    };
    expect(await readAll()).toBe(4);
    expect(await readAll()).toBe(0);
    expect(server.requests).toEqual(["GET /v2.zarr/.zmetadata"]); // asks whether it is the same still
    // A damaged entry is noticed and fetched anew.
    const entries = readdirSync(cache.folder, { recursive: true, encoding: "utf8" })
      .map((name) => join(cache.folder, name))
      .filter((path) => statSync(path).isFile() && statSync(path).size < 2000);
    const bytes = readFileSync(entries[0]!);
    bytes[bytes.length - 5]! ^= 1;
    writeFileSync(entries[0]!, bytes);
    expect(await readAll()).toBe(1);
    // The store was written anew.
    const later = new Date(Date.now() + 60_000);
    utimesSync(join(folder, "v2.zarr/.zmetadata"), later, later);
    expect(await readAll()).toBe(4);
  });

  test("a chunk that came damaged is not kept for ever", async () => {
    const server = await web(fixtures, (request, response, nth) => {
      if (!request.url!.endsWith("gzip/0.0.0") || nth > 0) return false;
      const chunk = readFileSync(join(fixtures, "v2.zarr/gzip/0.0.0"));
      response.end(chunk.fill(0, 30, 60));
      return true;
    });
    const dataset = await openWeb(`${server.address}/v2.zarr`, { cache: freshCache() });
    expect(await dataset.variables.get("gzip")!.read()).toEqual(numbers);
    expect(chunks(server).filter((line) => line.endsWith("0.0.0")).length).toBe(2);
    await dataset.close();
  });

  test("shards are read by ranges, from servers that know them or not", async () => {
    const folder = copy("v3");
    const root = join(folder, "v3.zarr");
    const json = JSON.parse(readFileSync(join(root, "zarr.json"), "utf8"));
    const metadata = Object.fromEntries(
      ["sharded_end", "sharded_start"].map((name) => [
        name,
        JSON.parse(readFileSync(join(root, name, "zarr.json"), "utf8")),
      ]),
    );
    writeFileSync(
      join(root, "zarr.json"),
      JSON.stringify({
        ...json,
        consolidated_metadata: { kind: "inline", must_understand: false, metadata },
      }),
    );
    const ranges: (string | undefined)[] = [];
    for (const knows of [true, false]) {
      const server = await web(folder, (request) => {
        ranges.push(request.headers.range);
        if (!knows) delete request.headers.range;
        return false;
      });
      const dataset = await openWeb(`${server.address}/v3.zarr`, { cache: freshCache() });
      for (const name of Object.keys(metadata)) {
        expect(await dataset.variables.get(name)!.read([1, 9, 0], [1, 2, 36])).toEqual(
          numbers.subarray(864 + 9 * 36, 864 + 11 * 36),
        );
      }
      expect(server.requests.slice(-4)).toEqual([
        "GET /v3.zarr/sharded_end/c/0/0/0",
        "GET /v3.zarr/sharded_end/c/0/0/0",
        "GET /v3.zarr/sharded_start/c/0/0/0",
        "GET /v3.zarr/sharded_start/c/0/0/0",
      ]);
      await dataset.close();
    }
    expect(ranges).toContain("bytes=-68"); // four pairs of numbers and their checksum
    expect(ranges).toContain("bytes=0-63");
  });
});

describe("what a server can do wrong", () => {
  const misbehaving = (status: number) =>
    web(fixtures, (request, response) => {
      if (!request.url!.endsWith("zlib/0.1.0")) return false;
      response.writeHead(status).end();
      return true;
    });

  test.each<[number, RegExp]>([
    [500, /zlib\/0.1.0 answered 500 Internal Server Error \(tried 2 times\)/],
    [503, /zlib\/0.1.0 answered 503 Service Unavailable \(tried 2 times\)/],
    [403, /zlib\/0.1.0 answered 403 Forbidden: you may not read it, or it does not exist/],
  ])("%i for a chunk is an error, not a fill value", async (status, message) => {
    const server = await misbehaving(status);
    const dataset = await openWeb(`${server.address}/v2.zarr`, { ...impatient, cache: freshCache() });
    expect((await refusal(dataset.variables.get("zlib")!.read())).message).toMatch(message);
    // The others can be read still.
    expect(await dataset.variables.get("zlib")!.read([0, 0, 0], [1, 16, 36])).toHaveLength(576);
    await dataset.close();
  });

  test("a chunk of endless length, a login page, and a chunk that is always damaged", async () => {
    const server = await web(fixtures, (request, response) => {
      if (request.url!.endsWith("zlib/0.0.0")) {
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536)));
        };
        response.on("drain", more);
        more();
      } else if (request.url!.endsWith("gzip/0.0.0")) response.end("<html>Please log in</html>");
      else if (request.url!.endsWith("zstd/0.0.0")) response.end("damaged");
      else return false;
      return true;
    });
    const dataset = await openWeb(`${server.address}/v2.zarr`, { ...impatient, cache: freshCache() });
    const read = (name: string) => refusal(dataset.variables.get(name)!.read());
    expect((await read("zlib")).message).toMatch(
      /zlib\/0.0.0 sent \d+ bytes and more; at most \d+ are taken/,
    );
    expect((await read("gzip")).message).toMatch(/gzip\/0.0.0 gave a web page instead of data/);
    expect((await read("zstd")).message).toMatch(/chunk 0.0.0 of "zstd" is damaged: it is not zstd data/);
    await dataset.close();
  });

  test("no store, a store that cannot be listed, a page, and an array alone", async () => {
    const folder = copy("v2");
    const server = await web(folder);
    const none = await refusal(openWeb(`${server.address}/nowhere`, { ...impatient, cache: null }));
    expect(none.message).toMatch(/nowhere is no Zarr store: neither .zmetadata nor zarr.json is there/);
    const alone = await refusal(openWeb(`${server.address}/v2.zarr/zlib`, { ...impatient, cache: null }));
    expect(alone.hint).toBe(`name the store: ${server.address}/v2.zarr`);
    rmSync(join(folder, "v2.zarr/.zmetadata"));
    const scattered = await refusal(openWeb(`${server.address}/v2.zarr`, { ...impatient, cache: null }));
    expect(scattered.message).toMatch(
      /has no consolidated metadata, and a server does not list what a store/,
    );
    expect(scattered.hint).toMatch(/zarr.consolidate_metadata/);
    const portal = await serve((_, response) => response.end("<!doctype html><p>log in"));
    servers.push(portal);
    const page = await refusal(openWeb(`${portal.address}/x.zarr`, { ...impatient, cache: null }));
    expect(page.message).toMatch(/x.zarr\/.zmetadata gave a web page instead of data/);
    const locked = await serve((_, response) => response.writeHead(403).end());
    servers.push(locked);
    const secret = await refusal(openWeb(`${locked.address}/x.zarr`, { ...impatient, cache: null }));
    expect(secret.message).toMatch(/x.zarr is no Zarr store: .* or you may not read them/);
  });

  test("whole files are to be downloaded first", async () => {
    const byName = await refusal(openDataset("https://example.org/data/tas_2001.nc?download=1"));
    expect(byName.message).toMatch(
      /tas_2001.nc\?download=1 is a file, by its name; only Zarr stores are read over/,
    );
    expect(byName.hint).toBe(
      "fetch it first: climax download https://example.org/data/tas_2001.nc?download=1 -o tas_2001.nc",
    );
    const server = await web("test/fixtures/netcdf", (request, response) => {
      if (request.url !== "/latest") return false;
      response.end(readFileSync("test/fixtures/netcdf/weather-cdf1.nc"));
      return true;
    });
    const byBytes = await refusal(openWeb(`${server.address}/latest`, { ...impatient, cache: null }));
    expect(byBytes.message).toMatch(/latest is a NetCDF file; only Zarr stores/);
    expect(byBytes.hint).toMatch(/climax download http:\/\/127.0.0.1:\d+\/latest -o latest.nc$/);
    const bucket = await refusal(openDataset("gs://bucket/x.grib2"));
    expect(bucket.message).toMatch(/^gs:\/\/bucket\/x.grib2 is a file, by its name/);
  });
});

describe("from a store to a regridded file and an archive", () => {
  /** A store of surface temperature, [2, 18, 36] on a grid of 10 degrees, north to south, in chunks of a step. */
  function writeStore(path: string): Float64Array[] {
    const add = (
      name: string,
      dtype: string,
      dims: string[],
      shape: number[],
      extra: object,
      data: Buffer[],
    ) => {
      mkdirSync(join(path, name), { recursive: true });
      metadata[`${name}/.zarray`] = {
        zarr_format: 2,
        shape,
        chunks: shape.with(0, shape[0]! / data.length),
        dtype,
        compressor: null,
        fill_value: null,
        order: "C",
        filters: null,
      };
      metadata[`${name}/.zattrs`] = { _ARRAY_DIMENSIONS: dims, ...extra };
      for (const [i, chunk] of data.entries()) {
        writeFileSync(join(path, name, [i, ...shape.slice(1).fill(0)].join(".")), chunk);
      }
    };
    const metadata: Record<string, unknown> = { ".zgroup": { zarr_format: 2 } };
    const floats = (values: Iterable<number>) => Buffer.from(Float32Array.from(values).buffer);
    const fields = [0, 1].map((t) =>
      Float64Array.from({ length: 648 }, (_, i) => Math.fround(250 + 30 * Math.sin(i / 50 + t))),
    );
    const steps = (n: number, of: (i: number) => number) =>
      floats(Array.from({ length: n }, (_, i) => of(i)));
    const time = Buffer.from(BigInt64Array.of(0n, 6n).buffer);
    add("time", "<i8", ["time"], [2], { units: "hours since 2018-01-01" }, [time]);
    add("latitude", "<f4", ["latitude"], [18], { units: "degrees_north" }, [steps(18, (i) => 85 - 10 * i)]);
    add("longitude", "<f4", ["longitude"], [36], { units: "degrees_east" }, [steps(36, (i) => 10 * i)]);
    const about = { units: "K", standard_name: "air_temperature", long_name: "2 metre temperature" };
    add("2m_temperature", "<f4", ["time", "latitude", "longitude"], [2, 18, 36], about, fields.map(floats));
    writeFileSync(join(path, ".zmetadata"), JSON.stringify({ zarr_consolidated_format: 1, metadata }));
    return fields;
  }

  test("from a folder and from a server, the same numbers as computed from the fields", async () => {
    const folder = mkdtempSync(join(scratch, "weather-"));
    const fields = writeStore(join(folder, "weather.zarr"));
    const server = await web(folder);
    vi.stubEnv("CLIMAX_CACHE", join(scratch, "user-cache"));
    vi.spyOn(process.stdout, "write").mockImplementation(() => true);
    vi.spyOn(process.stderr, "write").mockImplementation(() => true);
    // The fields run north to south, grids south to north.
    const turned = (field: Float64Array) =>
      Float64Array.from({ length: 648 }, (_, i) => field[(17 - Math.floor(i / 36)) * 36 + (i % 36)]!);
    const regridder = makeRegridder(regularGrid(10), regularGrid(22.5), "bilinear");
    for (const [i, input] of [join(folder, "weather.zarr"), `${server.address}/weather.zarr`].entries()) {
      const out = join(scratch, `out${i}.nc`);
      expect(await regridCommand.run([input, "--res", "22.5", "-o", out])).toBe(0);
      const { values, shape } = await readVariable(out, "2m_temperature");
      expect(shape).toEqual([2, 8, 16]);
      fields.forEach((field, t) => {
        const expected = regridder.apply(turned(field));
        // One step of float32 at 280.
        const errors = Array.from(expected, (kelvin, k) => Math.abs(values[t * 128 + k]! - kelvin));
        expect(Math.max(...errors)).toBeLessThan(3.1e-5);
      });
      const archive = await openArchive([input]);
      expect(archive.times.length).toBe(2);
      const field = await archive.variables.get("2m_temperature")!.read(1);
      expect(Array.from(field)).toEqual(Array.from(turned(fields[1]!)));
      await archive.close();
    }
    expect(chunks(server).length).toBeGreaterThan(0);
  });
});
