/** The report as its readers have it: one page that needs nothing else, read by eye, by ear and on paper. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import { glossary } from "../../src/report/glossary.ts";
import { mapFigures, skillOf } from "../../src/report/maps.ts";
import { reportPage } from "../../src/report/page.ts";
import { indexScores } from "../../src/report/scoreindex.ts";
import { reportStyle } from "../../src/report/style.ts";
import { focusOf } from "../../src/report/verdict.ts";
import { checkReportFolder, writeReport } from "../../src/report/write.ts";
import { metricNames } from "../../src/scores/metrics.ts";
import type { ScoreMap } from "../../src/scores/scoredocument.ts";
import { noBrowser, openBrowser } from "../support/browser.ts";
import { contrast } from "../support/contrast.ts";
import { type Element, parseMarkup } from "../support/markup.ts";
import { makeScores, type Wanted } from "../support/scores.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-report-"));
const browser = await openBrowser();
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

const full = makeScores({
  ...{ published: true, maps: true, profiles: true, seasons: ["all", "DJF"], members: 8 },
  ...{
    leads: [24, 72],
    variables: ["geopotential_500", "2m_temperature"],
    metrics: ["rmse", "acc", "bias", "crps"],
  },
});
const page = await reportPage(full);
const found = parseMarkup(page);
/** Words that numbers and names without a value would leave. */
const holes = (html: string) =>
  html.replaceAll(/base64,[^"]*/g, "").match(/.{40}(?:NaN|undefined|\[object|Infinity)/g);
const named = (name: string, of: readonly Element[] = found) => of.filter((one) => one.name === name);

describe("the page", () => {
  test("is well-formed, in one language, with a title, and of one piece with what it shows", () => {
    expect(page.startsWith('<!DOCTYPE html>\n<html lang="en">')).toBe(true);
    expect(
      named(
        "title",
        found.filter(({ within }) => within.at(-1) === "head"),
      )[0]!.text,
    ).toContain("beat persistence");
    expect(holes(page)).toBeNull();
  });

  test("loads nothing and runs nothing", () => {
    for (const { name, attributes } of found) {
      for (const [key, value] of Object.entries(attributes)) {
        expect(key).not.toMatch(/^on|^srcset$|^action$|^poster$|^style$/);
        if (key === "src") expect(value).toMatch(/^data:image\/webp;base64,[A-Za-z0-9+/]+=*$/);
        if (key === "href" && /^[a-z]+:|^\/\//.test(value)) {
          expect([name, value]).toEqual([
            "a",
            expect.stringMatching(/^https:\/\/arxiv\.org\/abs\/\d{4}\.\d{5}$/),
          ]);
        }
      }
      expect(["script", "link", "iframe", "object", "embed", "base", "form", "use"]).not.toContain(name);
    }
    expect(/@import|url\(/.test(page)).toBe(false);
    expect(named("meta").find(({ attributes }) => attributes["http-equiv"])!.attributes.content).toContain(
      "default-src 'none'",
    );
  });

  test("has its landmarks, and headings that skip no level", () => {
    for (const name of ["header", "main", "nav", "footer", "h1"]) expect(named(name)).toHaveLength(1);
    const levels = found.filter(({ name }) => /^h\d$/.test(name)).map(({ name }) => Number(name[1]));
    for (const [i, level] of levels.entries()) expect(level).toBeLessThanOrEqual((levels[i - 1] ?? 0) + 1);
    const ids = found.flatMap(({ attributes }) => attributes.id ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { attributes } of found) {
      if (attributes.href?.startsWith("#")) expect(ids).toContain(attributes.href.slice(1));
      if (attributes["aria-labelledby"]) expect(ids).toContain(attributes["aria-labelledby"]);
    }
    expect(named("h2").map(({ text }) => text)).toEqual([
      "Score card: RMSE against persistence",
      "RMSE by lead",
      "The verdict in detail",
      "Score cards",
      "Scores by lead",
      "Maps",
      "Spectra and rank histograms",
      "All numbers",
      "Where it comes from",
    ]);
  });

  test("every picture says what it shows, with numbers", () => {
    const images = named("img");
    expect(images).toHaveLength(4); // two systems, two variables
    expect(images[0]!.attributes.alt).toMatch(
      /^Maps of ours: 500 hPa geopotential\. RMSE, 24 h from [\d.]+ to [\d.]+ m² s⁻², the largest at \d+° [NS] \d+° E; bias, 24 h from .*skill, 72 h above 0 in \d+ % of the area\.$/,
    );
    for (const { attributes, within } of named("svg")) {
      if (attributes["aria-hidden"] !== "true") expect(attributes["aria-label"]).toMatch(/: .*\d/);
      expect(within).toContain(attributes["aria-hidden"] === "true" ? "li" : "figure");
    }
    expect(named("svg").filter(({ attributes }) => attributes["aria-label"]).length).toBeGreaterThan(20);
  });

  test("tables have captions, heads with a scope, and scroll by keyboard", () => {
    for (const table of named("table")) {
      expect(table.children[0]!.name).toBe("caption");
      expect(table.within.length).toBeGreaterThan(2);
    }
    for (const { attributes } of named("th")) expect(["col", "row", "rowgroup"]).toContain(attributes.scope);
    for (const { attributes, children } of found) {
      if (!children.some(({ name }) => name === "table")) continue;
      expect(attributes).toMatchObject({ class: "scroll", role: "region", tabindex: "0" });
      expect(attributes["aria-label"]).not.toBe("");
    }
  });

  test("every measured and published number of its rows is in a table", () => {
    const cells = new Set(named("td").map(({ text }) => text));
    const { rows } = full.document;
    for (const row of rows.filter(({ source }) => source !== "measured")) {
      expect(cells).toContain(`${row.value} `);
    }
    const measured = rows.filter(({ source, metric }) => source === "measured" && metric === "acc");
    for (const { value, low, high } of measured) {
      const text = [...cells].find((cell) => cell.startsWith(value!.toFixed(4).replace("-", "−")));
      expect(text, `${value} (${low} to ${high})`).toBeDefined();
    }
  });

  test("says what its words mean, those of every score", () => {
    const scored = metricNames.filter((name) => !["spectrum", "rank_histogram"].includes(name)); // figures that explain themselves
    const index = { ...indexScores(full.document), systems: [], forecasts: [] };
    const all = parseMarkup(glossary({ ...index, metrics: [...scored, "brier(2m_temperature>303.15)"] }));
    expect(all.filter(({ name }) => name === "dt")).toHaveLength(scored.length + 1);
    const terms = named("dt").map(({ text }) => text);
    expect(terms.slice(0, 6)).toEqual(["RMSE", "ACC", "Bias", "CRPS, fair", "persistence", "climatology"]);
  });

  test("provenance: definition, dates, files with their checksums, how limits were made, where quotes come from", () => {
    const [about] = found.filter(({ attributes }) => attributes["aria-labelledby"] === "provenance");
    for (const said of [
      "weatherbench2: cell-area weights",
      "google-research/weatherbench2",
      "2018-01-01T00:00:00 to 2018-12-31T12:00:00",
      "32 x 64, global",
      "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      "183500800",
      "95 %, moving blocks of initial times",
      "1000 resamples, seed 0",
      "climax evaluate --forecast ours/forecast_2018.nc",
      "linux x64, Node 20.20.2",
      "made by climax 0.1.0, checkpoint best.safetensors, on llvmpipe",
      "GraphCast (published): ClimaX (arXiv 2301.10343), tables 11 to 15",
    ]) {
      expect(about!.text).toContain(said);
    }
  });

  test("is the same bytes for the same scores, and small enough to send", async () => {
    expect(await reportPage(structuredClone(full))).toBe(page);
    expect(page.length).toBeLessThan(1.5e6);
    const large = await reportPage(
      makeScores({
        profiles: true,
        seasons: ["all", "DJF", "MAM", "JJA", "SON"],
        regions: ["global", "a", "b", "c", "d", "e"],
      }),
    );
    expect(large.length).toBeLessThan(2.5e6);
    expect(large).toMatch(/\d+ more scores have no room here: scores\.csv has them all\./);
  });

  test("holds so many maps that it stays small, and says which it lacks", async () => {
    const sections = async (wanted: Wanted) => {
      const { document, maps } = makeScores({
        ...wanted,
        maps: true,
        metrics: ["rmse"],
        regions: ["global"],
      });
      const focus = focusOf(document, indexScores(document));
      const heights: number[] = [];
      const html = await mapFigures(document, maps, focus, async ({ width, height }) => {
        expect(width).toBe(1200);
        heights.push(height);
        return Buffer.from("picture");
      });
      return { heights, words: /no maps of the ([^<]*)\./.exec(html)?.[1] };
    };
    const two = await sections({});
    expect(two.words).toBe("leads 24 h and 120 h");
    expect(two.heights).toHaveLength(8);
    const six = await sections({ systems: { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 } });
    expect(six.heights).toHaveLength(24); // one lead of each
    expect(six.words).toBe("leads 6 h, 24 h, 120 h and 168 h");
    expect(six.heights[0]!).toBeLessThan(two.heights[0]! / 2);
    const ten = await sections({ systems: Object.fromEntries([..."abcdefghij"].map((name) => [name, 1])) });
    expect(ten.heights).toHaveLength(8);
    expect(ten.words).toBe("other 8 systems; of the leads 24 h and 120 h");
  });

  test("published scores are dashed and marked, and never in a score card", () => {
    const curve = named("svg").find(({ attributes }) =>
      attributes["aria-label"]?.startsWith("RMSE of 500 hPa geopotential"),
    )!;
    const lines = curve.children.filter(({ name }) => name === "polyline");
    expect(lines).toHaveLength(5);
    expect(lines.map(({ attributes }) => attributes["stroke-dasharray"] !== undefined)).toEqual([
      false,
      false,
      false,
      false,
      true,
    ]);
    expect(named("tbody").filter(({ text }) => /[▲▼≈]/.test(text) && text.includes("GraphCast"))).toEqual([]);
  });

  test("bands are the confidence limits", () => {
    const curve = named("svg").find(({ attributes }) =>
      attributes["aria-label"]?.startsWith("RMSE of 500 hPa geopotential"),
    )!;
    expect(
      curve.children.filter(({ name, attributes }) => name === "polygon" && attributes["fill-opacity"]),
    ).toHaveLength(4);
  });

  test("simulated weather has its banner, real weather none", async () => {
    const banner = (html: string) =>
      parseMarkup(html).find(({ attributes }) => attributes.class === "banner")?.text;
    expect(banner(page)).toBeUndefined();
    expect(banner(await reportPage(makeScores({ synthetic: true, leads: [24] })))).toMatch(
      /^SIMULATED WEATHER/,
    );
  });
});

test("what is not ours is escaped wherever it stands", async () => {
  const evil = `<script>alert("1")</script> & 'x' \u0007]]>`;
  const shown = evil.replace("\u0007", "");
  const base = makeScores({
    leads: [24, 72],
    maps: true,
    profiles: true,
    members: 3,
    variables: ["2m_temperature"],
  });
  const rename = <T extends object>(row: T): T =>
    JSON.parse(JSON.stringify(row).replaceAll('"ours"', JSON.stringify(evil))) as T;
  const maps = base.maps.map((map) => ({ ...map, system: map.system === "ours" ? evil : map.system }));
  const document = rename({
    ...base.document,
    notes: [evil],
    truth: [evil],
    bench: evil,
    provenance: {
      ...base.document.provenance,
      command: evil,
      files: [{ path: evil, bytes: 1, sha256: null }],
    },
  });
  const all = parseMarkup(await reportPage({ document, maps }));
  expect(all.filter(({ name }) => name === "script")).toEqual([]);
  const texts = all.filter(({ text }) => text.includes(shown)).map(({ name }) => name);
  for (const name of ["title", "h1", "th", "code", "li", "td"]) expect(texts).toContain(name);
  expect(all.some(({ attributes }) => attributes.alt?.includes(shown))).toBe(true);
});

describe("other runs", () => {
  test.each([
    ["one lead", { leads: [72] }],
    ["no lead, as of a projection", { leads: [0] }],
    ["a system alone", { systems: { ours: 1 }, baselines: [], versus: null }],
    ["no intervals", { intervals: false }],
    ["scores without a better side", { metrics: ["bias"] }],
    ["no scores", { metrics: [] }],
    [
      "many leads",
      { leads: Array.from({ length: 40 }, (_, i) => 6 * (i + 1)), variables: ["2m_temperature"] },
    ],
  ] as const)("%s", async (_, wanted) => {
    const html = await reportPage(makeScores(wanted));
    parseMarkup(html);
    expect(holes(html)).toBeNull();
  });

  test("a single lead has marks with whiskers in place of curves", async () => {
    const svgs = parseMarkup(await reportPage(makeScores({ leads: [72] }))).filter(
      ({ name, attributes }) => name === "svg" && attributes["aria-label"]?.startsWith("RMSE"),
    );
    expect(svgs.length).toBeGreaterThan(4);
    for (const { children } of svgs) expect(children.filter(({ name }) => name === "polyline")).toEqual([]);
    expect(svgs[0]!.children.filter(({ name }) => name === "g").length).toBe(4);
  });

  test("a part of the world is mapped by itself", async () => {
    const base = makeScores({ leads: [72], variables: ["2m_temperature"], maps: true });
    const maps = base.maps.map((map): ScoreMap => {
      const rows = [...map.grid.lat.keys()].filter((i) => map.grid.lat[i]! > 15 && map.grid.lat[i]! < 65);
      const columns = [...map.grid.lon.keys()].filter(
        (i) => map.grid.lon[i]! > 220 && map.grid.lon[i]! < 300,
      );
      const W = map.grid.lon.length;
      return {
        ...map,
        grid: makeGrid(
          rows.map((i) => map.grid.lat[i]!),
          columns.map((i) => map.grid.lon[i]!),
        ),
        values: Float32Array.from(rows.flatMap((i) => columns.map((j) => map.values[i * W + j]!))),
      };
    });
    const [image] = parseMarkup(await reportPage({ document: base.document, maps })).filter(
      ({ name }) => name === "img",
    );
    expect(image!.attributes.alt).toMatch(/the largest at (?:1[6-9]|[2-5]\d|6[0-4])° N 2[2-9]\d° E/);
  });

  test("without a canvas the page says so in place of maps", async () => {
    const { document, maps } = makeScores({ leads: [72], variables: ["2m_temperature"], maps: true });
    const focus = focusOf(document, indexScores(document));
    const fail = (error: Error) => mapFigures(document, maps, focus, () => Promise.reject(error));
    expect(await fail(new ClimaxError("device", "no canvas <here>", "mend it"))).toBe(
      "<p>There are no maps here: no canvas &lt;here&gt;.</p>",
    );
    await expect(fail(new Error("a bug"))).rejects.toThrow("a bug");
  });

  test("rows without a value leave gaps, not zeros", async () => {
    const { document, maps } = makeScores({
      leads: [24, 72],
      variables: ["2m_temperature"],
      regions: ["global"],
    });
    const rows = document.rows.map((row) =>
      row.lead_hours === 72 ? { ...row, value: null, low: null, high: null } : row,
    );
    const all = parseMarkup(await reportPage({ document: { ...document, rows }, maps }));
    expect(all.filter(({ name, text }) => name === "td" && text === "–").length).toBeGreaterThan(4);
  });
});

test("maps of several systems share their colours, so that they can be compared", async () => {
  const wanted = { systems: { ours: 1, theirs: 3 }, leads: [24], variables: ["2m_temperature"], maps: true };
  const { document, maps } = makeScores(wanted);
  const bars: string[][] = [];
  await mapFigures(document, maps, focusOf(document, indexScores(document)), async (picture) => {
    bars.push([...picture.svg().matchAll(/<text[^>]*>([^<]*)</g)].map(([, words]) => words!));
    return Buffer.from("");
  });
  expect(bars).toHaveLength(2);
  expect(bars[0]).toContain("RMSE, 24 h");
  expect(bars[1]).toEqual(bars[0]);
});

test("skill is 1 - MSE / MSE of the other, and none where the other is perfect", () => {
  expect([...skillOf([1, 2, 4, 1], [2, 2, 2, 0])]).toEqual([0.75, 0, -3, Number.NaN]);
});

test("text stands out from its ground, in light and in dark", () => {
  const schemes = [
    ...reportStyle.matchAll(
      /--ground:(#\w{6});--ink:(#\w{6});--soft:(#\w{6});--rule:#\w{6};--link:(#\w{6});--panel:(#\w{6})/g,
    ),
  ];
  expect(schemes).toHaveLength(3); // light, dark, paper
  for (const [, ground, ink, soft, link, panel] of schemes) {
    for (const [text, behind] of [
      [ink, ground],
      [ink, panel],
      [soft, ground],
      [link, ground],
    ] as const) {
      expect(contrast(text!, behind!)).toBeGreaterThan(4.5);
    }
  }
  const banner = /\.banner\{background:(#\w{6});color:(#\w{6})/.exec(reportStyle)!;
  expect(contrast(banner[1]!, banner[2]!)).toBeGreaterThan(7);
});

describe("the folder", () => {
  const scores = makeScores({ leads: [72], variables: ["2m_temperature"] });
  const refusal = async (work: Promise<unknown>) => {
    const error: unknown = await work.then(
      () => expect.unreachable(),
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ClimaxError);
    return `${(error as ClimaxError).message} / ${(error as ClimaxError).hint}`;
  };

  test("is made, with the page and its numbers", async () => {
    const dir = join(folder, "deep", "report");
    await writeReport(dir, scores);
    expect(readdirSync(dir).toSorted()).toEqual(["index.html", "scores.csv", "scores.json"]);
    expect(readdirSync(join(folder, "deep"))).toEqual(["report"]);
    expect(readFileSync(join(dir, "index.html"), "utf8")).toBe(await reportPage(scores));
    expect(JSON.parse(readFileSync(join(dir, "scores.json"), "utf8"))).toEqual(
      JSON.parse(JSON.stringify(scores.document)),
    );
    expect(readFileSync(join(dir, "scores.csv"), "utf8").split("\n")).toHaveLength(
      scores.document.rows.length + 2,
    );
  });

  test("of an older report is taken over; what else is in it stays", async () => {
    const dir = join(folder, "again");
    await writeReport(dir, makeScores({ leads: [24] }));
    writeFileSync(join(dir, "mine.txt"), "keep");
    await writeReport(dir, scores);
    expect(readFileSync(join(dir, "index.html"), "utf8")).toBe(await reportPage(scores));
    expect(readFileSync(join(dir, "mine.txt"), "utf8")).toBe("keep");
    expect(readdirSync(dir)).toHaveLength(4);
  });

  test("is not made by a check alone; one that is a link is written where it leads", async () => {
    await checkReportFolder(join(folder, "not", "yet"));
    expect(existsSync(join(folder, "not"))).toBe(false);
    mkdirSync(join(folder, "elsewhere"));
    symlinkSync(join(folder, "elsewhere"), join(folder, "link"));
    await writeReport(join(folder, "link"), scores);
    expect(readdirSync(join(folder, "elsewhere"))).toHaveLength(3);
  });

  test("with somebody else's page is refused before any work, and left as it was", async () => {
    const dir = join(folder, "site");
    mkdirSync(dir);
    writeFileSync(join(dir, "index.html"), "<h1>my site</h1>");
    const words = `${dir} holds a index.html that is no report's / name another folder for the report, or move that file away`;
    expect(await refusal(checkReportFolder(dir))).toBe(words.replace("a index", "an index"));
    expect(await refusal(writeReport(dir, scores))).toContain("that is no report's");
    expect(readdirSync(dir)).toEqual(["index.html"]);
  });

  test("that is a file, or beneath one, is refused", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(await refusal(checkReportFolder(file))).toBe(
      `cannot write the report ${file}: it is a file / name a folder`,
    );
    const beneath = join(file, "report");
    expect(await refusal(writeReport(beneath, scores))).toBe(
      `cannot write the report ${beneath}: a part of its path is a file / choose another folder, or make room`,
    );
  });
});

describe.skipIf(!browser)(`in a browser${browser ? "" : ` (${noBrowser})`}`, () => {
  const file = join(folder, "page.html");
  writeFileSync(file, page);
  const url = pathToFileURL(file).href;

  test.each([320, 1200])(
    "at %d px nothing sticks out, nothing is asked for, and pictures are drawn",
    async (width) => {
      const tab = await browser!.newPage();
      const [asked, said]: [string[], string[]] = [[], []];
      tab.on("request", (request) => void asked.push(request.url()));
      tab.on("console", (message) => void said.push(message.text()));
      await tab.setViewport({ width, height: 900 });
      await tab.goto(url);
      const size = await tab.evaluate("document.documentElement.scrollWidth");
      const drawn = await tab.evaluate("[...document.images].every((image) => image.naturalWidth > 700)");
      const reached = await tab.evaluate(
        "(() => { const box = [...document.querySelectorAll('.scroll')].find((one) => one.scrollWidth > one.clientWidth); box?.focus(); return !box || document.activeElement === box; })()",
      );
      await tab.close();
      expect([size, drawn, reached]).toEqual([width, true, true]);
      expect(asked.filter((address) => address !== url && !address.startsWith("data:"))).toEqual([]);
      expect(said).toEqual([]);
    },
  );
});
