import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page, SerializedAXNode } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { serveView, type ViewServer } from "../../src/show/viewserver.ts";
import { openViewSource, type ViewSource } from "../../src/show/viewsource.ts";
import { noBrowser, openBrowser } from "../support/browser.ts";
import { writeViewForecast, writeViewTruth } from "../support/viewfiles.ts";

const browser = await openBrowser();

describe.skipIf(!browser)(`the page of climax view in a browser${browser ? "" : ` (${noBrowser})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "climax-page-"));
  const sources: ViewSource[] = [];
  let [full, alone, damaged]: ViewServer[] = [];
  /** What the page complained of, and the hosts it asked. */
  let [complaints, hosts]: [string[], Set<string>] = [[], new Set()];
  let page: Page;

  beforeAll(async () => {
    const forecast = await writeViewForecast(join(folder, "forecast.nc"), {
      attributes: { synthetic: "true" },
    });
    const ensemble = await writeViewForecast(join(folder, "ensemble.nc"), {
      members: 3,
      initial: [0, 12, 24],
    });
    const truth = await writeViewTruth(join(folder, "truth.nc"));
    const settings = {
      port: 0,
      version: "9.9.9",
      onBug: (error: unknown) => void complaints.push(String(error)),
    };
    const withTruth = await openViewSource([forecast], { truth: [truth] });
    const members = await openViewSource([ensemble]);
    sources.push(withTruth, members);
    full = await serveView(withTruth, settings);
    alone = await serveView(members, settings);
    damaged = await serveView(
      {
        ...withTruth,
        frame: async (choice) => {
          if (choice.leadHours === 12)
            throw new ClimaxError("data", "chunk 3 is damaged", "copy the file again");
          return withTruth.frame(choice);
        },
      },
      settings,
    );
  });
  afterEach(async () => {
    await page.close();
    expect(complaints).toEqual([]);
    expect([...hosts]).toEqual(["127.0.0.1"]);
  });
  afterAll(async () => {
    await browser!.close();
    for (const server of [full, alone, damaged]) await server?.close();
    for (const source of sources) await source.close();
    rmSync(folder, { recursive: true });
  });

  async function open(
    server: ViewServer | undefined,
    hash = "",
    { width = 1200, dark = false, reduced = false } = {},
  ): Promise<void> {
    [complaints, hosts] = [[], new Set()];
    page = await browser!.newPage();
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => hosts.add(new URL(request.url()).hostname));
    await page.setViewport({ width, height: 800 });
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: dark ? "dark" : "light" },
      { name: "prefers-reduced-motion", value: reduced ? "reduce" : "no-preference" },
    ]);
    await page.goto(`${server!.url}${hash}`);
    await page.waitForFunction("document.querySelector('#live').textContent !== ''");
  }

  const evaluate = <T>(script: string) => page.evaluate(script) as Promise<T>;
  const textOf = (selector: string) => evaluate<string>(`document.querySelector("${selector}").textContent`);
  const address = async () => new URLSearchParams(new URL(page.url()).hash.slice(1));
  /** Until the page has said something new. */
  const heard = async (act: () => Promise<unknown>) => {
    const before = await textOf("#live");
    await act();
    await page.waitForFunction(`document.querySelector("#live").textContent !== ${JSON.stringify(before)}`);
    return textOf("#live");
  };

  /** Middle of the pixels of the upper part of a picture that are of a colour, from 0 to 1, and how many there are. */
  const pixelsOf = (side: string, isColour: string) =>
    evaluate<{ x: number; y: number; count: number }>(`(() => {
      const image = document.querySelector('[data-side="${side}"] img');
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const rows = Math.floor(canvas.height * 0.7); // without the colour bar
      const { data } = context.getImageData(0, 0, canvas.width, rows);
      let [x, y, count] = [0, 0, 0];
      for (let i = 0; i < data.length; i += 4) {
        const [r, g, b] = data.subarray(i, i + 3);
        if (!(${isColour})) continue;
        x += (i / 4) % canvas.width;
        y += Math.floor(i / 4 / canvas.width);
        count++;
      }
      return { x: x / count / canvas.width, y: y / count / canvas.height, count };
    })()`);
  const yellow = "r > 220 && g > 150 && b < 90";
  const red = "r > 120 && g < 80 && b < 90";

  test("shows what the files hold: real pixels, numbers, words for who does not see, a notice of synthetic weather", async () => {
    await open(full, "#projection=plate-carree");
    expect(await textOf("#title")).toBe("2 m temperature");
    expect(await textOf("#when")).toBe("from 2020-01-01 00:00 for 6 h: valid 2020-01-01 06:00 UTC");
    expect(await textOf("#synthetic")).toContain("SYNTHETIC weather");
    expect(await evaluate("document.querySelector('#synthetic').hidden")).toBe(false);
    expect(await textOf("#caption")).toBe(
      "In K; means and scores by the climax definition (weights: cosine of latitude)",
    );
    expect(await textOf("#numbers")).toMatch(/^Forecast[\d.]+Truth[\d.]+Forecast − truth/);
    expect(await textOf("#scores")).toMatch(/^RMSE 8\.\d+ K, bias 1\.\d+ K\.$/);
    expect(await textOf("#live")).toMatch(/^2 m temperature, from 2020-01-01 00:00 for 6 h: valid .*RMSE/);
    const alts = await evaluate<string[]>(
      "[...document.querySelectorAll('#maps img')].map((image) => image.alt)",
    );
    expect(alts).toHaveLength(3);
    for (const alt of alts)
      expect(alt).toMatch(/^Map of .*2 m temperature.*: mean [\d.]+ K, from [\d.]+ K to [\d.]+ K\.$/);

    // The hot box is 3 x 3 of 16 x 32 cells about 39 N, 45 E, in the forecast alone and in its error.
    const [forecast, truth, error] = [
      await pixelsOf("forecast", yellow),
      await pixelsOf("truth", yellow),
      await pixelsOf("difference", red),
    ];
    expect(forecast.count).toBeGreaterThan(300);
    expect(truth.count).toBe(0);
    expect(error.count).toBeGreaterThan(300);
    for (const spot of [forecast, error]) {
      const near = `value.json?lead=6&projection=plate-carree&width=400&lat=39&lon=45`;
      const { marks } = await evaluate<{ marks: Record<string, { x: number; y: number }> }>(
        `fetch("${near}").then((answer) => answer.json())`,
      );
      const mark = marks[spot === forecast ? "forecast" : "difference"]!;
      expect([Math.abs(mark.x - spot.x) < 0.02, Math.abs(mark.y - spot.y) < 0.03]).toEqual([true, true]);
    }
  });

  test("the lead moves by keyboard: picture, numbers, address and what is heard follow", async () => {
    await open(full, "#projection=plate-carree");
    const before = await pixelsOf("forecast", yellow);
    await page.focus("#lead");
    const spoken = await heard(() => page.keyboard.press("ArrowRight"));
    expect(spoken).toContain("for 12 h: valid 2020-01-01 12:00");
    expect((await address()).get("lead")).toBe("12");
    expect(await evaluate("document.querySelector('#lead').getAttribute('aria-valuetext')")).toBe("12 h");
    const after = await pixelsOf("forecast", yellow);
    expect(after.x - before.x).toBeGreaterThan(0.18); // a quarter of the globe; the map fills most of the picture
    expect(after.x - before.x).toBeLessThan(0.25);
    expect(await evaluate("document.activeElement.id")).toBe("lead");
    expect(await heard(() => page.keyboard.press("End"))).toContain("for 24 h");
    expect(await textOf("#when")).toContain("valid 2020-01-02 00:00");
  });

  test("variable, level, initial time and region are chosen; the level stays where it can", async () => {
    await open(full);
    expect(await evaluate("document.querySelector('#level').checkVisibility()")).toBe(false);
    expect(await heard(() => page.select("#variable", "temperature"))).toMatch(/^500 hPa temperature/);
    expect(await evaluate("document.querySelector('#level').checkVisibility()")).toBe(true);
    expect(await heard(() => page.select("#level", "temperature_850"))).toMatch(/^850 hPa temperature/);
    expect((await address()).get("variable")).toBe("temperature_850");
    await page.focus("#initial");
    expect(await heard(() => page.keyboard.press("ArrowRight"))).toContain("from 2020-01-01 12:00");
    // It gets a map of its own: on one of the globe it would be a speck.
    expect(await heard(() => page.select("#region", "wb2-tropics"))).not.toBe("");
    expect(await evaluate("document.querySelector('#maps img').alt")).toContain("wb2-tropics (20°S–20°N)");
    expect(Object.fromEntries(await address())).toEqual({
      variable: "temperature_850",
      initial: "2020-01-01T12:00:00",
      lead: "6",
      projection: "regional",
      region: "wb2-tropics",
    });
  });

  test("a shared address shows the same; what is wrong in it is left aside", async () => {
    await open(
      full,
      "#variable=temperature_500&initial=2020-01-01T12:00&lead=18&lat=39&lon=225&member=7&projection=no",
    );
    expect(await textOf("#title")).toBe("500 hPa temperature");
    expect(await textOf("#when")).toBe("from 2020-01-01 12:00 for 18 h: valid 2020-01-02 06:00 UTC");
    await page.waitForFunction(
      "document.querySelector('#value').textContent.startsWith('39.375° N, 135° W: Forecast ')",
    );
    expect(await textOf("#value")).toContain("Forecast − truth 60.5 K");
    expect((await address()).get("projection")).toBe("robinson");
    await evaluate("location.hash = '#lead=24'"); // as a link within the page, or the back button
    await page.waitForFunction("document.querySelector('#when').textContent.includes('for 24 h')");
  });

  test("values at a place: typed, by arrow keys on a map, by pointer; a cross marks the cell on every map", async () => {
    await open(full, "#projection=plate-carree");
    await page.focus('[data-side="forecast"] .hand');
    expect(await heard(() => page.keyboard.press("ArrowUp"))).toMatch(/^5\.625° N, 0° E: Forecast/);
    await page.keyboard.down("Shift");
    await heard(() => page.keyboard.press("ArrowLeft"));
    await page.keyboard.up("Shift");
    expect(await heard(() => page.keyboard.press("ArrowDown"))).toMatch(/^5\.625° S, 56\.25° W: Forecast/);
    expect((await address()).get("lon")).toBe("303.75");
    expect(await evaluate("document.querySelectorAll('.mark:not([hidden])').length")).toBe(3);

    await page.focus("#lat");
    await evaluate("for (const id of ['lat', 'lon']) document.getElementById(id).value = ''");
    await page.type("#lat", "39");
    await page.type("#lon", "45");
    expect(await heard(() => page.keyboard.press("Enter"))).toMatch(
      /^39\.375° N, 45° E: .*Forecast − truth 60\.5 K\.$/,
    );
    // The cross stands amid the hot pixels.
    const spot = await pixelsOf("forecast", yellow);
    const [x, y] = await evaluate<[number, number]>(
      "(() => { const { left, top } = document.querySelector('[data-side=\"forecast\"] .mark').style; return [parseFloat(left), parseFloat(top)]; })()",
    );
    expect(Math.hypot(x / 100 - spot.x, y / 100 - spot.y)).toBeLessThan(0.02);

    const box = (await (await page.$('[data-side="difference"] .hand'))!.boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.45);
    await page.waitForFunction(
      "!document.querySelector('#value').textContent.startsWith('39.375° N, 45° E')",
    );
    await page.mouse.move(box.x + box.width * 0.5, box.y - 30); // away: the marked place comes back
    await page.waitForFunction("document.querySelector('#value').textContent.startsWith('39.375° N, 45° E')");
    await page.mouse.click(box.x + box.width * 0.5, box.y + box.height * 0.45);
    await page.waitForFunction("!location.hash.includes('lon=45')");
  });

  test("plays through the leads and ends; it says where it stands at the end, not each frame; nothing plays by itself", async () => {
    await open(full, "", { reduced: true });
    expect(await textOf("#play")).toBe("Play");
    const first = await textOf("#live");
    await page.select("#speed", "8");
    await evaluate(`window.heard = []; new MutationObserver(() => window.heard.push(document.querySelector("#live").textContent))
      .observe(document.querySelector("#live"), { childList: true, characterData: true, subtree: true });`);
    await page.focus("#play");
    await page.keyboard.press("Space");
    expect(await textOf("#play")).toBe("Pause");
    await page.waitForFunction("document.querySelector('#play').textContent === 'Play'");
    expect((await address()).get("lead")).toBe("24");
    await page.waitForFunction(`document.querySelector("#live").textContent !== ${JSON.stringify(first)}`);
    expect(await evaluate("window.heard")).toEqual([
      expect.stringMatching(/^2 m temperature\. from .* for 24 h/),
    ]);
    // From the end it begins anew, and a key on the slider takes over.
    await page.keyboard.press("Space");
    await page.waitForFunction("location.hash.includes('lead=12')");
    await page.focus("#lead");
    await page.keyboard.press("Home");
    expect(await textOf("#play")).toBe("Play");
    await page.waitForFunction("document.querySelector('#when').textContent.includes('for 6 h')");
  });

  test("a forecast without truth stands alone; its members and dates are chosen", async () => {
    await open(alone);
    expect(await evaluate("document.querySelectorAll('#maps img').length")).toBe(1);
    expect(await evaluate("document.querySelector('#synthetic').hidden")).toBe(true);
    expect(await textOf("#title")).toBe("2 m temperature, mean of 3 members");
    expect(await heard(() => page.select("#member", "2"))).toContain("member 3 of 3");
    expect((await address()).get("member")).toBe("2");
    await page.type("#date", "2020-01-01 20");
    expect(await heard(() => page.keyboard.press("Enter"))).toContain("from 2020-01-02 00:00");
    await page.type("#date", " or soon");
    await page.keyboard.press("Enter");
    expect(await evaluate("document.querySelector('#date').validity.valid")).toBe(false);
  });

  test("a damaged field is told in words; the next lead is shown again", async () => {
    await open(damaged);
    await page.focus("#lead");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction("!document.querySelector('#problem').hidden");
    expect(await textOf("#problem")).toBe("chunk 3 is damaged. copy the file again.");
    expect(await evaluate("document.querySelector('#problem').getAttribute('role')")).toBe("alert");
    expect(await evaluate("document.querySelectorAll('#maps img').length")).toBe(0);
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction("document.querySelector('#problem').hidden");
    expect(await evaluate("document.querySelectorAll('#maps img[alt^=Map]').length")).toBe(3);
    // The browser itself notes the answer that was no 200.
    expect(complaints.splice(0)).toEqual([expect.stringMatching(/status of 422/)]);
  });

  test("Tab reaches every control, in the order of the page, and shows where it is", async () => {
    await open(alone, "#variable=temperature_500");
    const order: string[] = [];
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("Tab");
      const [name, outlined] = await evaluate<[string, boolean]>(`(() => {
        const { id, className, tagName } = document.activeElement;
        return [id || className || tagName, parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2];
      })()`);
      if (name === "BODY") break;
      expect(outlined, name).toBe(true);
      order.push(name);
    }
    expect(order).toEqual([
      ...["skip", "variable", "level", "member", "projection", "region"],
      ...["initial", "date", "lead", "play", "speed", "loop", "hand", "lat", "lon", "BUTTON", "SUMMARY"],
    ]);
  });

  test("everything that can be used has a name and a role", async () => {
    await open(alone, "#variable=temperature_500");
    const nodes: SerializedAXNode[] = [];
    const walk = (node: SerializedAXNode) => {
      nodes.push(node);
      for (const child of node.children ?? []) walk(child);
    };
    walk((await page.accessibility.snapshot({ interestingOnly: true }))!);
    const named = (...roles: string[]) =>
      nodes.filter(({ role }) => roles.includes(role)).map(({ role, name }) => [role, name?.trim()]);
    expect(
      named("combobox", "slider", "textbox", "button", "checkbox", "spinbutton", "application", "link"),
    ).toEqual([
      ["link", "Skip to the maps"],
      ["combobox", "Variable"],
      ["combobox", "Level"],
      ["combobox", "Member"],
      ["combobox", "Projection"],
      ["combobox", "Region"],
      ["slider", "Initial time"],
      ["textbox", "Go to the initial time nearest to"],
      ["slider", "Lead"],
      ["button", "Play"],
      ["combobox", "Frames a second"],
      ["checkbox", "Begin again at the end"],
      ["application", "Forecast: arrow keys move the cross by a cell, with Shift by five"],
      ["spinbutton", "Latitude, degrees north"],
      ["spinbutton", "Longitude, degrees east"],
      ["button", "Show"],
    ]);
    expect(named("image", "img")).toEqual([
      ["image", expect.stringMatching(/^Map of forecast 500 hPa temperature/)],
    ]);
    expect(named("heading").map(([, name]) => name)).toEqual([
      ...["toy", "500 hPa temperature, mean of 3 members", "Numbers", "Value at a place"],
    ]);
    expect(await evaluate("document.documentElement.lang")).toBe("en");
  });

  test.for([false, true])(
    "fits 320 px, and its words have a contrast of 4.5 (dark: %s); maps stay on white",
    async (dark) => {
      await open(full, "#lat=39&lon=45", { width: 320, dark });
      expect(await evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      const page = await evaluate<string>("getComputedStyle(document.body).backgroundColor");
      expect(page).toBe(dark ? "rgb(21, 24, 28)" : "rgb(255, 255, 255)");
      expect(await evaluate("getComputedStyle(document.querySelector('.map')).backgroundColor")).toBe(
        "rgb(255, 255, 255)",
      );
      const low = await evaluate<string[]>(`(() => {
      const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
          const c = part / 255;
          return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
          const { backgroundColor } = getComputedStyle(at);
          if (backgroundColor !== "rgba(0, 0, 0, 0)") return backgroundColor;
        }
        return "rgb(255, 255, 255)";
      };
      const low = [];
      for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
        if (!own || !element.checkVisibility() || element.disabled || element.closest("[disabled], noscript")) continue;
        const [a, b] = [getComputedStyle(element).color, behind(element)].map(light);
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) low.push(element.tagName + " " + element.textContent + " " + ratio);
      }
      return low;
    })()`);
      expect(low).toEqual([]);
    },
  );
});
