import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCanvas, loadImage } from "@napi-rs/canvas";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { latitudeWeights } from "../../src/grid/grid.ts";
import { coloursFor } from "../../src/plot/colours.ts";
import { serveView, type ViewServer } from "../../src/show/viewserver.ts";
import { openViewSource, type ViewSource } from "../../src/show/viewsource.ts";
import {
  forecastKelvin,
  trueKelvin,
  viewGrid,
  viewLeads,
  writeViewForecast,
  writeViewTruth,
} from "../support/viewfiles.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-view-"));
const bugs: unknown[] = [];
const settings = { port: 0, version: "9.9.9", onBug: (error: unknown) => void bugs.push(error) };

let source: ViewSource;
let ensemble: ViewSource;
let server: ViewServer;
beforeAll(async () => {
  const truth = [await writeViewTruth(join(folder, "truth.nc"))];
  source = await openViewSource([await writeViewForecast(join(folder, "forecast.nc"))], { truth });
  ensemble = await openViewSource([await writeViewForecast(join(folder, "ensemble.nc"), { members: 3 })], {
    truth,
  });
  server = await serveView(source, settings);
});
afterAll(async () => {
  await server.close();
  await source.close();
  await ensemble.close();
  rmSync(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

/** As a program asks that does not tidy the path up, as fetch would. */
function ask(
  path: string,
  {
    url = server.url,
    method = "GET",
    headers = {},
  }: { url?: string; method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) }),
      );
    });
    sent.on("error", reject);
    sent.end();
  });
}

const json = async (path: string, url?: string) => {
  const { status, body } = await ask(path, url === undefined ? {} : { url });
  expect(status, body.toString()).toBe(200);
  return JSON.parse(body.toString());
};

const sizeOf = (png: Buffer) => [png.readUInt32BE(16), png.readUInt32BE(20)];

describe("what is served", () => {
  test("the page and its files", async () => {
    for (const [path, type, part] of [
      ["/", "text/html", '<html lang="en">'],
      ["/view.css", "text/css", "prefers-color-scheme"],
      ["/view.js", "text/javascript", "catalogue.json"],
      ["/icon.svg", "image/svg+xml", "<svg"],
    ] as const) {
      const { status, headers, body } = await ask(path);
      expect([status, headers["content-type"]?.toString().startsWith(type)], path).toEqual([200, true]);
      expect(body.toString()).toContain(part);
    }
  });

  test("the catalogue: what there is to choose", async () => {
    expect(await json("/catalogue.json")).toMatchObject({
      version: "9.9.9",
      system: "toy",
      files: ["forecast.nc"],
      truth: "truth.nc",
      synthetic: false,
      grid: "16 x 32, 11.25 degrees",
      definition: { name: "climax", weights: "cosine of latitude" },
      variables: [
        { name: "2m_temperature", title: "2 m temperature", group: "2 m temperature", level: null },
        { name: "temperature_500", title: "500 hPa temperature", group: "temperature", level: 500 },
        { name: "temperature_850", title: "850 hPa temperature", group: "temperature", level: 850 },
      ],
      initial: ["2020-01-01T00:00:00", "2020-01-01T12:00:00"],
      leads: [6, 12, 18, 24],
      members: 1,
      lat: [...viewGrid.lat],
    });
  });

  test("a frame: its numbers by the weights of ClimaX, and words for who does not see the picture", async () => {
    const frame = await json("/frame.json?variable=temperature_850&initial=1&lead=12");
    const rows = latitudeWeights(viewGrid);
    let [mean, bias, square] = [0, 0, 0];
    for (const [row, latitude] of viewGrid.lat.entries()) {
      for (const longitude of viewGrid.lon) {
        const value = forecastKelvin({ latitude, longitude }, 12, 12, { level: 1 });
        const error = value - trueKelvin(latitude, 24, 1);
        mean += (rows[row]! * value) / 512;
        bias += (rows[row]! * error) / 512;
        square += (rows[row]! * error * error) / 512;
      }
    }
    const five = (value: number) => String(Number(value.toPrecision(5)));
    expect(frame).toMatchObject({
      title: "850 hPa temperature",
      when: "from 2020-01-01 12:00 for 12 h: valid 2020-01-02 00:00 UTC",
      units: "K",
      lacking: null,
      scores: { rmse: `${five(Math.sqrt(square))} K`, bias: `${five(bias)} K`, cells: 512, of: 512 },
    });
    expect(bias).toBeCloseTo(0.5 + (60 * 9 * rows[11]!) / 512, 0); // nine cells are 60 K too hot
    const [forecast, truth, difference] = frame.panels;
    expect([forecast.side, truth.side, difference.side]).toEqual(["forecast", "truth", "difference"]);
    expect(forecast).toMatchObject({ title: "Forecast", mean: five(mean), missing: 0 });
    expect(difference).toMatchObject({ mean: five(bias), least: "0.5", most: "60.5" });
    expect(difference.alt).toBe(
      "Map of forecast less true 850 hPa temperature at 2020-01-02 00:00, 12 h ahead, " +
        `16 x 32, 11.25 degrees: mean ${five(bias)} K, from 0.5 K to 60.5 K.`,
    );
    expect(frame.spoken).toContain("valid 2020-01-02 00:00 UTC. Forecast mean ");
    expect(frame.spoken).toContain(`RMSE ${five(Math.sqrt(square))} K`);
  });

  test("a frame without truth at its time says so and stands alone", async () => {
    const frame = await json("/frame.json?initial=1&lead=24");
    expect(frame).toMatchObject({
      lacking: "the truth has no state at 2020-01-02T12:00:00",
      scores: null,
      panels: [{ side: "forecast" }],
    });
    const { status, body } = await ask("/picture.png?side=truth&initial=1&lead=24");
    expect([status, JSON.parse(body.toString()).error]).toEqual([
      422,
      "the truth has no state at 2020-01-02T12:00:00",
    ]);
  });

  test("where an initial time lacks the lead, the nearest that it has is answered, with all that it has", async () => {
    const later = join(folder, "later.nc");
    await writeViewForecast(later, { initial: [24], leads: [12, 18] });
    const joined = await openViewSource([join(folder, "forecast.nc"), later]);
    const served = await serveView(joined, settings);
    try {
      const frame = async (query: string) => json(`/frame.json?${query}`, served.url);
      expect(await frame("initial=0&lead=24")).toMatchObject({ lead: 24, leads: [6, 12, 18, 24] });
      expect(await frame("initial=2&lead=24")).toMatchObject({
        ...{ lead: 18, leads: [12, 18] },
        when: "from 2020-01-02 00:00 for 18 h: valid 2020-01-02 18:00 UTC",
      });
      const { status, body } = await ask("/picture.png?initial=2&lead=24", { url: served.url });
      expect([status, JSON.parse(body.toString()).error]).toEqual([
        422,
        "there is no 2m_temperature from 2020-01-02T00:00:00 for 24 h in toy",
      ]);
    } finally {
      await served.close();
      await joined.close();
    }
  });

  test("pictures: PNG of the width asked for, and twice that on a dense screen", async () => {
    const one = await ask("/picture.png?lead=6&width=400");
    expect([one.status, one.headers["content-type"]]).toEqual([200, "image/png"]);
    expect(one.body.subarray(0, 8).toString("latin1")).toBe("\x89PNG\r\n\x1a\n");
    const [width, height] = sizeOf(one.body);
    expect(width).toBe(400);
    const two = await ask("/picture.png?lead=6&width=400&density=2");
    expect(sizeOf(two.body)).toEqual([800, 2 * height!]);
    for (const projection of ["plate-carree", "north-polar", "south-polar", "regional"]) {
      const { body } = await ask(`/picture.png?lead=6&width=300&projection=${projection}&side=difference`);
      expect(sizeOf(body)[0], projection).toBe(300);
    }
    const region = await ask("/picture.png?lead=6&width=300&projection=regional&region=wb2-tropics");
    expect(sizeOf(region.body)[0]).toBe(300);
  });

  test("HEAD tells what GET would, without the body", async () => {
    for (const path of [
      "/",
      "/catalogue.json",
      "/picture.png?lead=6&width=400",
      "/none",
      "/frame.json?lead=7",
    ]) {
      const [get, head] = [await ask(path), await ask(path, { method: "HEAD" })];
      expect(head.body.length, path).toBe(0);
      expect([head.status, head.headers["content-length"], head.headers["content-type"]], path).toEqual([
        get.status,
        String(get.body.length),
        get.headers["content-type"],
      ]);
    }
  });

  test("the value at a place is that of its cell, from degrees or from a point of the picture and back", async () => {
    const value = await json("/value.json?lead=6&lat=40&lon=-316&width=500&projection=robinson");
    expect(value).toMatchObject({
      lat: 39.375,
      lon: 45,
      place: "39.375° N, 45° E",
      values: [
        { side: "forecast", value: "341.67 K" },
        { side: "truth", value: "281.17 K" },
        { side: "difference", value: "60.5 K" },
      ],
    });
    const { x, y } = value.marks.truth;
    expect(
      await json(`/value.json?lead=6&side=truth&width=500&x=${x.toFixed(6)}&y=${y.toFixed(6)}`),
    ).toMatchObject({
      lat: 39.375,
      lon: 45,
    });
    expect(await json("/value.json?lead=6&x=0.01&y=0.01")).toBeNull(); // beside the map
    expect((await json("/value.json?lead=6&lat=-80&lon=0&projection=north-polar")).marks).toEqual({}); // not shown
  });

  test("members of an ensemble, and their mean unless one is asked for", async () => {
    const served = await serveView(ensemble, settings);
    try {
      expect(await json("/catalogue.json", served.url)).toMatchObject({ members: 3 });
      const bias = async (query: string) =>
        (await json(`/frame.json?lead=6${query}`, served.url)).panels[2].least;
      expect([
        await bias(""),
        await bias("&member=mean"),
        await bias("&member=0"),
        await bias("&member=2"),
      ]).toEqual([
        "1.5", // members are warmer by 0, 1 and 2 K
        "1.5",
        "0.5",
        "2.5",
      ]);
      expect((await json("/frame.json?lead=6&member=2", served.url)).title).toBe(
        "2 m temperature, member 3 of 3",
      );
    } finally {
      await served.close();
    }
  });
});

describe("what is refused", () => {
  test.for([
    ["/frame.json?variable=2m_temprature", 400, 'unknown variable "2m_temprature"'],
    ["/frame.json?lead=7", 400, "there is no lead of 7 h; the forecasts have 4, from 6 to 24 h"],
    ["/frame.json?lead=1e1", 400, "found lead=1e1; wanted a number"],
    ["/frame.json?initial=2", 400, "found initial=2; there are 2 initial times, counted from 0"],
    ["/frame.json?initial=-1", 400, "found initial=-1;"],
    ["/frame.json?initial=0.5", 400, "found initial=0.5;"],
    ["/frame.json?member=1", 400, "found member=1; there are 1 members"],
    ["/frame.json?region=Atlantis", 400, 'unknown region "Atlantis"'],
    ["/picture.png?side=back", 400, 'unknown picture "back"'],
    ["/picture.png?projection=mercator", 400, 'unknown projection "mercator"'],
    ["/picture.png?width=1000000", 400, "found a width of 1000000; wanted whole pixels from 200 to 1600"],
    ["/picture.png?width=400.5", 400, "found a width of 400.5"],
    ["/picture.png?width=-400", 400, "found a width of -400"],
    ["/picture.png?density=9", 400, "found a density of 9; wanted 1 or 2"],
    ["/value.json?lat=91&lon=0", 400, "found latitude 91 and longitude 0"],
    ["/value.json?lat=1", 400, "found latitude 1 and longitude NaN"],
    ["/value.json?variable=__proto__", 400, 'unknown variable "__proto__"'],
    ["/constructor", 404, "there is nothing at this address"],
    ["/../package.json", 404, "there is nothing at this address"],
    ["/%2e%2e/%2e%2e/package.json", 404, "there is nothing at this address"],
    ["/..%2f..%2fpackage.json", 404, "there is nothing at this address"],
    ["/view.js%00.png", 404, "there is nothing at this address"],
    ["/view.js/", 404, "there is nothing at this address"],
    ["//example.org/view.js", 404, "there is nothing at this address"],
    ["http://example.org/view.js", 404, "there is nothing at this address"],
    ["/%", 404, "there is nothing at this address"],
  ] as const)("%s: %i", async ([path, status, text]) => {
    const answer = await ask(path);
    const { error, hint, ...more } = JSON.parse(answer.body.toString());
    expect([answer.status, more]).toEqual([status, {}]);
    expect(error).toContain(text);
    expect(hint).not.toBe("");
    expect(answer.body.toString()).not.toMatch(/\n|\.[jt]s\b|node:/);
  });

  test.for(["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])("%s is", async (method) => {
    const { status, headers } = await ask("/", { method });
    expect([status, headers.allow]).toEqual([405, "GET, HEAD"]);
  });

  test("a name of somebody else's that leads here, as in DNS rebinding", async () => {
    const { port } = new URL(server.url);
    for (const host of [
      "evil.example",
      `evil.example:${port}`,
      "127.0.0.1",
      "127.0.0.1:1",
      `127.0.0.1.evil.example:${port}`,
    ]) {
      const { status, body } = await ask("/catalogue.json", { headers: { host } });
      expect([host, status, JSON.parse(body.toString()).error]).toEqual([
        host,
        403,
        "this server answers only to its own address",
      ]);
    }
    for (const host of [`localhost:${port}`, `LOCALHOST:${port}`]) {
      expect((await ask("/catalogue.json", { headers: { host } })).status).toBe(200);
    }
  });

  test("pages elsewhere can neither read, nor show, nor frame what is served", async () => {
    for (const path of ["/", "/catalogue.json", "/picture.png?lead=6", "/none"]) {
      const { headers } = await ask(path, { headers: { origin: "http://evil.example" } });
      expect(headers["content-security-policy"], path).toMatch(
        /^default-src 'self';.*frame-ancestors 'none'/,
      );
      expect(headers).toMatchObject({
        "cross-origin-resource-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
      });
      expect(Object.keys(headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });

  test("what the browser says another page asks for; a link to the page is followed", async () => {
    for (const site of ["cross-site", "same-site"]) {
      const headers = { "sec-fetch-site": site, "sec-fetch-mode": "no-cors" };
      expect((await ask("/picture.png?lead=6", { headers })).status, site).toBe(403);
      const link = { headers: { ...headers, "sec-fetch-mode": "navigate" } };
      expect((await ask("/", link)).status, site).toBe(200);
      expect((await ask("/picture.png?lead=6", link)).status, site).toBe(403);
    }
    expect((await ask("/catalogue.json", { headers: { "sec-fetch-site": "same-origin" } })).status).toBe(200);
  });

  test("what comes from another address than 127.0.0.1", async () => {
    const port = Number(new URL(server.url).port);
    const code = await new Promise<string | undefined>((resolve) => {
      const socket = connect({ host: "127.0.0.2", port, timeout: 2000 }, () => {
        resolve("connected");
        socket.destroy();
      });
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
      socket.on("timeout", () => {
        resolve("ETIMEDOUT"); // where 127.0.0.2 is no address of the machine
        socket.destroy();
      });
    });
    expect(code).not.toBe("connected");
  });

  test("a port that is taken", async () => {
    const port = Number(new URL(server.url).port);
    await expect(serveView(source, { ...settings, port })).rejects.toThrow(
      expect.objectContaining({
        kind: "config",
        message: `cannot listen on port ${port} of 127.0.0.1: another program has it`,
      }) as Error,
    );
  });
});

describe("what lives on", () => {
  test("after a damaged field, whose message is told; the other leads are served, in colours of those left", async () => {
    const damaged = await serveView(
      {
        ...source,
        frame: async (choice) => {
          if (choice.leadHours === 12)
            throw new ClimaxError("data", "chunk 3 of t2m is damaged", "copy the file again");
          return source.frame(choice);
        },
      },
      settings,
    );
    try {
      const { status, body } = await ask("/frame.json?lead=12", { url: damaged.url });
      expect([status, JSON.parse(body.toString())]).toEqual([
        422,
        { error: "chunk 3 of t2m is damaged", hint: "copy the file again" },
      ]);
      expect((await ask("/picture.png?lead=12", { url: damaged.url })).status).toBe(422);
      expect((await ask("/picture.png?lead=18&width=200", { url: damaged.url })).status).toBe(200);
    } finally {
      await damaged.close();
    }
  });

  test("after a bug, which the terminal hears of and the page does not", async () => {
    const broken = await serveView(
      { ...source, frame: () => Promise.reject(new TypeError("undefined is not a field")) },
      settings,
    );
    try {
      const { status, body } = await ask("/frame.json?lead=6", { url: broken.url });
      expect([status, JSON.parse(body.toString()).error]).toEqual([500, "this is a bug in climax"]);
      expect(body.toString()).not.toContain("undefined is not a field");
      expect(String(bugs.pop())).toContain("undefined is not a field");
      expect((await ask("/catalogue.json", { url: broken.url })).status).toBe(200);
    } finally {
      await broken.close();
    }
  });

  test("when much is asked at once: some wait, the rest are told to come again", async () => {
    let release = () => {};
    const open = new Promise<void>((resolve) => {
      release = resolve;
    });
    let [now, most] = [0, 0];
    const slow = await serveView(
      {
        ...source,
        frame: async (choice) => {
          most = Math.max(most, ++now);
          await open;
          now--;
          return source.frame(choice);
        },
      },
      settings,
    );
    try {
      const first = Array.from({ length: 34 }, () => ask("/frame.json?lead=6", { url: slow.url }));
      await new Promise((resolve) => setTimeout(resolve, 200));
      const { status, headers, body } = await ask("/frame.json?lead=12", { url: slow.url });
      expect([status, headers["retry-after"], JSON.parse(body.toString()).error]).toEqual([
        503,
        "1",
        "too much is asked for at once",
      ]);
      release();
      expect((await Promise.all(first)).map((answer) => answer.status)).toEqual(Array(34).fill(200));
      expect(most).toBe(2);
    } finally {
      release();
      await slow.close();
    }
  });

  test("pictures are kept up to a bound, and the next lead is made ahead", async () => {
    const small = await serveView(source, { ...settings, pictureLimit: 60_000 });
    const large = await serveView(source, settings);
    try {
      for (const lead of [6, 12, 18, 24])
        for (const side of ["forecast", "difference"]) {
          const { body } = await ask(`/picture.png?lead=${lead}&side=${side}&width=300`, { url: small.url });
          expect(body.length).toBeLessThan(60_000);
        }
      expect(small.pictureBytes).toBeGreaterThan(0);
      expect(small.pictureBytes).toBeLessThanOrEqual(60_000);

      const { body } = await ask("/picture.png?lead=12&width=300", { url: large.url });
      await expect.poll(() => large.pictureBytes, { timeout: 5000 }).toBeGreaterThan(body.length);
      const ahead = large.pictureBytes - body.length;
      expect((await ask("/picture.png?lead=18&width=300", { url: large.url })).body.length).toBe(ahead);
    } finally {
      await small.close();
      await large.close();
    }
  });
});

test("colours run over all leads, forecast and truth: pixels of two leads and sides are told by one scale", async () => {
  const scale = coloursFor(
    "state",
    "2m_temperature",
    viewLeads.flatMap((lead) =>
      [...viewGrid.lat].flatMap((latitude) =>
        [...viewGrid.lon].map((longitude) => [
          forecastKelvin({ latitude, longitude }, 0, lead),
          trueKelvin(latitude, lead, 0),
        ]),
      ),
    ),
  );
  const place = { latitude: viewGrid.lat[8]!, longitude: viewGrid.lon[18]! }; // in the Pacific, between meridians
  for (const lead of [6, 24]) {
    const query = `lead=${lead}&width=800&projection=plate-carree`;
    const { marks } = await json(`/value.json?${query}&lat=${place.latitude}&lon=${place.longitude}`);
    for (const [side, kelvin] of [
      ["forecast", forecastKelvin(place, 0, lead)],
      ["truth", trueKelvin(place.latitude, lead, 0)],
    ] as const) {
      const image = await loadImage((await ask(`/picture.png?${query}&side=${side}`)).body);
      const context = createCanvas(image.width, image.height).getContext("2d");
      context.drawImage(image, 0, 0);
      const { x, y } = marks[side];
      const pixel = context.getImageData(
        Math.round(x * image.width),
        Math.round(y * image.height),
        1,
        1,
      ).data;
      expect([...pixel.subarray(0, 3)], `${side} for ${lead} h`).toEqual([...scale.at(Math.fround(kelvin))]);
    }
  }
});
