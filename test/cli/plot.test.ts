/** `climax plot`: what it draws of forecasts, states, sets and scores, and what it refuses. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../src/cli/main.ts";
import { plotCommand } from "../../src/cli/plot.ts";
import { ClimaxError } from "../../src/errors.ts";
import { coloursFor } from "../../src/plot/colours.ts";
import { canvasLibrary } from "../../src/plot/scenecanvas.ts";
import { toJson } from "../../src/scores/tables.ts";
import { makeScores } from "../support/scores.ts";
import { writeToySet } from "../support/toyset.ts";
import { hotLongitude, writeViewForecast, writeViewTruth } from "../support/viewfiles.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-plot-"));
const path = (name: string) => join(folder, name);
const forecast = path("forecast.nc");
const ensemble = path("ensemble.nc");
const truth = path("truth.nc");
const set = path("set");
const scores = path("scores.json");

beforeAll(async () => {
  await writeViewForecast(forecast);
  await writeViewForecast(ensemble, { members: 3, attributes: { synthetic: "true" } });
  await writeViewTruth(truth);
  await writeToySet(set);
  const { document } = makeScores({ intervals: true, published: true });
  writeFileSync(scores, toJson(document));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What is said beside the picture. */
async function plot(...argv: string[]): Promise<string[]> {
  const said: string[] = [];
  const say = (text: string) => void said.push(text);
  await plotCommand.run(argv, { print: say, info: say, warn: say });
  return said;
}

async function refusal(...argv: string[]): Promise<ClimaxError> {
  const error: unknown = await plot(...argv).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ClimaxError);
  return error as ClimaxError;
}

/** Words of an SVG, in their order. */
const wordsOf = (name: string) =>
  [...readFileSync(path(name), "utf8").matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, words]) => words!);

async function pixelsOf(name: string) {
  const { createCanvas, loadImage } = canvasLibrary();
  const image = await loadImage(readFileSync(path(name)));
  const { width, height } = image;
  const context = createCanvas(width, height).getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return {
    width,
    height,
    at: (x: number, y: number) => [...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 3)],
  };
}

describe("a forecast", () => {
  test("is drawn under its title, and its file, system and initial time beneath", async () => {
    const said = await plot(
      forecast,
      "--variable",
      "t2m",
      "--lead",
      "18h",
      "-o",
      `${path("a.png")},${path("a.svg")}`,
    );
    expect(wordsOf("a.svg").slice(0, 2)).toEqual([
      "2 m temperature, 18 h forecast, valid 2020-01-01 18:00 UTC",
      "toy; from 2020-01-01 00:00 UTC; forecast.nc",
    ]);
    expect(wordsOf("a.svg")).toContain("K");
    expect(said).toEqual([
      "2020-01-01 00:00, the first of 2020-01-01 00:00, 2020-01-01 12:00; --time chooses",
      `${path("a.png")}: 720 x 460 px`,
      `${path("a.svg")}: 720 x 460 px`,
    ]);
    expect(await pixelsOf("a.png")).toMatchObject({ width: 720, height: 460 });
  });

  test("is hot where the file is, at each lead", async () => {
    for (const lead of [6, 12, 24]) {
      await plot(
        ...[forecast, "--variable", "t2m", "--lead", `${lead}h`, "--projection", "plate-carree"],
        ...["--centre", "180", "--range", "250..300", "-o", path("hot.png")],
      );
      const { at, width } = await pixelsOf("hot.png");
      // 46 and 14 px beside the map, which begins beneath two lines of words; a place clear of coasts and lines.
      const map = width - 60;
      const x = (longitude: number) => 46 + Math.floor(((longitude + 6) / 360) * map);
      const top = Array.from({ length: 455 }, (_, y) => y).find((y) => at(width - 16, y)[0]! < 255)!;
      const y = top + Math.round(((90 - 33.7) / 180) * (map / 2));
      const beyond = coloursFor("state", "2m_temperature", [[0, 400]], [250, 300]);
      const hot = hotLongitude(lead);
      expect(at(x(hot), y)).toEqual([...beyond.at(400)]);
      expect(at(x((hot + 180) % 360), y)).not.toEqual([...beyond.at(400)]);
    }
  });

  test("stands beside the truth and its error, with the RMSE under the definition", async () => {
    await plot(forecast, "--variable", "t_850", "--lead", "6", "--truth", truth, "-o", path("b.svg"));
    const words = wordsOf("b.svg");
    expect(words.slice(0, 2)).toEqual([
      "850 hPa temperature, 6 h forecast, valid 2020-01-01 06:00 UTC",
      "toy; from 2020-01-01 00:00 UTC; forecast.nc against truth.nc, RMSE as climax defines it",
    ]);
    expect(words).toContain("Forecast");
    expect(words).toContain("Truth");
    // 0.5 K everywhere and 60.5 K in 4 rows of 3 cells about 39.375 N: 28.125, 39.375, 50.625 in reach.
    const cos = (degrees: number) => Math.cos((degrees * Math.PI) / 180);
    const rows = Array.from({ length: 16 }, (_, i) => -84.375 + 11.25 * i);
    const total = rows.reduce((sum, lat) => sum + 32 * cos(lat), 0);
    const hot = rows
      .filter((lat) => Math.abs(lat - 39.375) <= 17)
      .reduce((sum, lat) => sum + 3 * cos(lat), 0);
    const rmse = Math.sqrt((hot * 60.5 ** 2 + (total - hot) * 0.5 ** 2) / total);
    expect(words).toContain(`Error, RMSE ${Number(rmse.toPrecision(3))} K`);
    // A map of a pole shows less than that.
    const polar = ["--projection", "north-polar", "--truth", truth, "-o", path("b.svg")];
    await plot(forecast, "--variable", "t_850", "--lead", "6", ...polar);
    expect(wordsOf("b.svg")[1]).toContain("RMSE over the whole grid as climax defines it");
  });

  test("has an error of its own, several leads, and several variables", async () => {
    const three = ["--variable", "t2m,t_500", "--lead", "6h,24h"];
    await plot(forecast, ...three, "--truth", truth, "--what", "error", "-o", path("c.svg"));
    const words = wordsOf("c.svg");
    expect(words[0]).toBe("toy");
    expect(words.filter((text) => / error, (6|24) h forecast, /.test(text))).toHaveLength(4);
    const leads = ["--lead", "6h,24h", "--truth", truth, "--definition", "weatherbench2"];
    await plot(forecast, "--variable", "t2m", ...leads, "-o", path("c.svg"));
    expect(wordsOf("c.svg")).toEqual(
      expect.arrayContaining([
        "2 m temperature",
        "Forecast, 24 h, valid 2020-01-02 00:00 UTC",
        "Truth, 2020-01-02 00:00 UTC",
        expect.stringMatching(/^Error, 24 h, RMSE [\d.]+ K$/),
        expect.stringContaining("RMSE as weatherbench2 defines it"),
      ]),
    );
    await plot(forecast, "--variable", "temperature", "--lead", "6h", "-o", path("d.svg"));
    expect(wordsOf("d.svg")[0]).toBe("6 h forecast, valid 2020-01-01 06:00 UTC");
    expect(wordsOf("d.svg")).toEqual(expect.arrayContaining(["500 hPa temperature", "850 hPa temperature"]));
  });

  test("of an ensemble is the mean of its members, or one of them; simulated weather says SYNTHETIC", async () => {
    const common = [ensemble, "--variable", "t2m", "--lead", "6h", "-o", path("e.svg")];
    await plot(...common);
    expect(wordsOf("e.svg")[1]).toBe(
      "SYNTHETIC weather, simulated; toy; from 2020-01-01 00:00 UTC; mean of 3 members; ensemble.nc",
    );
    await plot(...common, "--member", "2");
    expect(wordsOf("e.svg")[1]).toContain("; member 2 (counted from 0) of 3; ");
    expect(await refusal(...common, "--member", "3")).toMatchObject({
      message: `--member is 3; ${ensemble} has 3 members`,
      hint: "give a number from 0 to 2, or mean",
    });
  });

  test("is cut to a region, whose map is of its box", async () => {
    await plot(forecast, "--variable", "t2m", "--region", "europe", "-o", path("f.svg"));
    expect(wordsOf("f.svg")[1]).toContain("; wb2-europe (35–75°N, 12.5°W–42.5°E); ");
    expect(wordsOf("f.svg")).not.toContain("30°S");
    expect(
      await refusal(forecast, "--variable", "t2m", "--region", "41..42,1..2", "-o", path("f.svg")),
    ).toMatchObject({
      kind: "grid",
    });
  });

  test("gets the title that is given", async () => {
    await plot(forecast, "--variable", "t2m", "--lead", "6h", "--title", "Figure 1", "-o", path("g.svg"));
    expect(wordsOf("g.svg")[0]).toBe("Figure 1");
  });
});

test("an animation has a frame for each lead, with the valid time in it", async () => {
  const said = await plot(forecast, "--variable", "t2m", "--animate", "--width", "240", "-o", path("a.gif"));
  expect(said.at(-1)).toBe(`${path("a.gif")}: 4 frames of 0.5 s`);
  const gif = readFileSync(path("a.gif"));
  expect(gif.readUInt16LE(6)).toBe(240);
  let frames = 0;
  for (let i = gif.indexOf("21f904", 0, "hex"); i >= 0; i = gif.indexOf("21f904", i + 1, "hex")) {
    if (gif[i + 7] === 0) frames++;
  }
  expect(frames).toBe(4);
});

describe("states", () => {
  test("of an archive are drawn by their time", async () => {
    await plot(truth, "--variable", "t_500", "--time", "2020-01-01T18:00", "-o", path("h.svg"));
    expect(wordsOf("h.svg").slice(0, 2)).toEqual(["500 hPa temperature, 2020-01-01 18:00 UTC", "truth.nc"]);
  });

  test("of a period are animated", async () => {
    const period = ["--time", "2020-01-01..2020-01-01"];
    const said = await plot(
      truth,
      "--variable",
      "t2m",
      ...period,
      "--animate",
      "--width",
      "200",
      "-o",
      path("b.gif"),
    );
    expect(said.at(-1)).toMatch(/: 4 frames/);
  });

  test("of a prepared set are drawn, and as anomalies from what is usual", async () => {
    const common = [set, "--variable", "t2m", "--time", "2001-01-31T06:00"];
    await plot(...common, "-o", path("i.svg"));
    expect(wordsOf("i.svg").slice(0, 2)).toEqual([
      "2 m temperature, 2001-01-31 06:00 UTC",
      "SYNTHETIC weather, simulated; set",
    ]);
    const said = await plot(...common, "--climatology", set, "-o", path("i.svg"));
    expect(said).toContain(`anomalies from the mean of the training period of ${set}`);
    expect(wordsOf("i.svg")[0]).toBe("2 m temperature anomaly, 2001-01-31 06:00 UTC");
    expect(wordsOf("i.svg").slice(1).join(" ")).toContain("anomalies from the mean of the training period");
    // The colours of an anomaly lie about zero.
    const words = wordsOf("i.svg").join(" ");
    expect(words).toMatch(/−[\d.]+ .*\b0(\.0)? .*\d/);
  });
});

describe("scores", () => {
  test("are curves by lead, with their confidence, as SVG and as PNG", async () => {
    await plot(scores, "--metric", "rmse", "-o", `${path("s.svg")},${path("s.png")}`);
    const svg = readFileSync(path("s.svg"), "utf8");
    expect(wordsOf("s.svg")).toEqual(
      expect.arrayContaining(["500 hPa geopotential", "RMSE [m² s⁻²]", "lead [h]", "ours", "persistence"]),
    );
    expect(svg.match(/fill-opacity="0.16"/g)!.length).toBeGreaterThan(3);
    const [, width] = /width="(\d+)"/.exec(svg)!;
    expect((await pixelsOf("s.png")).width).toBe(2 * Number(width));
  });

  test("that are not there are refused by the nearest name", async () => {
    expect(await refusal(scores, "--metric", "rsme", "-o", path("s.svg"))).toMatchObject({
      message: 'unknown metric "rsme"',
      hint: expect.stringContaining('did you mean "rmse"?') as string,
    });
    expect(await refusal(scores, "--lead", "6h", "-o", path("s.svg"))).toMatchObject({
      message: `found --lead, but ${scores} holds scores, not fields`,
    });
    const empty = { ...makeScores().document, rows: [], differences: [], profiles: [] };
    writeFileSync(path("empty.json"), toJson(empty));
    expect(await refusal(path("empty.json"), "-o", path("s.svg"))).toMatchObject({
      message: "there is no score to draw: nothing was measured",
    });
    writeFileSync(path("other.json"), "{}");
    expect(await refusal(path("other.json"), "-o", path("s.svg"))).toMatchObject({
      message: expect.stringContaining(`${path("other.json")} holds no scores`) as string,
    });
  });
});

describe("refusals say what there is", () => {
  test.each([
    [
      ["--lead", "72h"],
      `there is no lead of 72 h in ${forecast}; there are 6, 12, 18, 24 h`,
      "choose one of them",
    ],
    [
      ["--time", "2020-01-02"],
      `there is no initial time 2020-01-02 in ${forecast}; there is 2020-01-01 00:00, 2020-01-01 12:00`,
      "choose one of them; the nearest is 2020-01-01T12:00",
    ],
    [["--what", "error"], "--what error wants --truth, and there is none", "say what happened: --truth PATH"],
    [
      ["--what", "anomaly"],
      "--what anomaly wants --climatology, and there is none",
      "say what is usual: --climatology PATH, such as a prepared set",
    ],
    [
      ["--range", "5"],
      '--range is "5"; wanted two numbers, the lower one first',
      "write it as 250..310, in the units of the file",
    ],
    [["--metric", "rmse"], "--metric is for scores", "give the JSON file that climax evaluate --json writes"],
  ])("%j", async (flags, message, hint) => {
    expect(await refusal(forecast, "--variable", "t2m", ...flags, "-o", path("x.png"))).toMatchObject({
      message,
      hint,
    });
    expect(existsSync(path("x.png"))).toBe(false);
  });

  test("a variable by the nearest name in the file", async () => {
    const { message, hint } = await refusal(forecast, "--variable", "t_700", "-o", path("x.png"));
    expect(message).toBe('unknown variable "temperature_700"');
    expect(hint).toMatch(
      /^did you mean "temperature_[58][05]0"\? Known: 2m_temperature, temperature_500, temperature_850$/,
    );
    // Of what is no name at all, too.
    expect(await refusal(forecast, "--variable", "foo", "-o", path("x.png"))).toMatchObject({
      message: 'unknown variable "foo"',
      hint: expect.stringMatching(/Known: 2m_temperature, temperature_500, temperature_850$/) as string,
    });
  });

  test("endings that say something else", async () => {
    expect(await refusal(forecast, "-o", path("x.gif"))).toMatchObject({
      message: `--output ${path("x.gif")}: found the ending ".gif"; wanted .png or .svg`,
      hint: "a GIF is an animation: add --animate",
    });
    expect(await refusal(forecast, "--animate", "-o", path("x.png"))).toMatchObject({
      message: `--output ${path("x.png")}: found the ending ".png"; wanted .gif with --animate`,
      hint: "name it .gif, or leave --animate out",
    });
  });

  test("a folder that is not there, before anything is read", async () => {
    expect((await refusal(forecast, "-o", join(folder, "none", "x.png"))).message).toContain(
      "its folder does not exist",
    );
  });

  test("leads of states, and an animation of one frame", async () => {
    expect(await refusal(truth, "--lead", "6h", "-o", path("x.png"))).toMatchObject({
      message: `found --lead, but ${truth} holds states, not forecasts`,
    });
    expect(
      await refusal(forecast, "--variable", "t2m", "--lead", "6h", "--animate", "-o", path("x.gif")),
    ).toMatchObject({
      message: "an animation of one frame: there is one lead of one time",
    });
  });
});

test("climax plot is a command", async () => {
  expect(await main(["plot", forecast, "--variable", "t2m", "--lead", "6h", "-o", path("m.png"), "-q"])).toBe(
    0,
  );
  expect(existsSync(path("m.png"))).toBe(true);
});
