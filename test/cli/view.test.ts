import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { climax, climaxProcess } from "../support/climax.ts";
import { writeViewForecast, writeViewTruth } from "../support/viewfiles.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-view-"));
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  await writeViewForecast(at("forecast.nc"), { attributes: { synthetic: "true" } });
  await writeViewForecast(at("later.nc"), { initial: [24] });
  await writeViewForecast(at("theirs.nc"), { attributes: { system: "theirs" } });
  await writeViewTruth(at("truth.nc"));
  await writeViewTruth(at("other.nc"), [8760, 8766]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Starts it in a process of its own and gives its address once it is printed. */
async function started(...argv: string[]) {
  const running = climaxProcess("view", ...argv);
  const { child, done } = running;
  const url = await new Promise<string>((resolve, reject) => {
    let out = "";
    child.stdout!.on("data", (chunk: Buffer) => {
      out += chunk.toString();
      const found = /^http:\S+/m.exec(out);
      if (found) resolve(found[0]);
    });
    void done.then(({ err }) => reject(new Error(err)));
  });
  return { ...running, url };
}

describe.sequential("climax view", () => {
  test.skipIf(process.platform === "win32")(
    "serves until it is interrupted, and ends as other commands do, even amid a request",
    async () => {
      const { child, done, url } = await started(at("forecast.nc"), "--truth", at("truth.nc"));
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
      expect(await (await fetch(url)).text()).toContain("<title>climax view</title>");
      const catalogue = await (await fetch(`${url}catalogue.json`)).json();
      expect(catalogue).toMatchObject({ system: "toy", synthetic: true, truth: "truth.nc" });
      const cut = fetch(`${url}picture.png?width=1600&density=2`).then(
        (response) => response.arrayBuffer().then(() => "whole"),
        () => "cut off",
      );
      child.kill("SIGTERM");
      const { code, out, err } = await done;
      expect([code, out]).toEqual([143, `${url}\n`]);
      expect(err).toContain("SYNTHETIC weather\n");
      expect(err).toMatch(/interrupted by SIGTERM\n$/);
      expect(["whole", "cut off"]).toContain(await cut);
      await expect(fetch(url)).rejects.toThrow();
    },
  );

  test.skipIf(process.platform === "win32")(
    "with --quiet prints the address alone; joins files of one system",
    async () => {
      const { child, done, url } = await started("--quiet", at("forecast.nc"), at("later.nc"));
      const { initial } = (await (await fetch(`${url}catalogue.json`)).json()) as { initial: string[] };
      expect(initial).toEqual(["2020-01-01T00:00:00", "2020-01-01T12:00:00", "2020-01-02T00:00:00"]);
      child.kill("SIGINT");
      expect(await done).toEqual({ code: 130, out: `${url}\n`, err: "interrupted by SIGINT\n" });
    },
  );

  test.for([
    [["nothing.nc"], /nothing\.nc/],
    [
      ["forecast.nc", "theirs.nc"],
      /the files are of 2 systems: toy, theirs; wanted the files of one\nhint: {2}give --name NAME/,
    ],
    [
      ["forecast.nc", "--truth", "other.nc"],
      /the truth \S+other\.nc \(2020-12-31T00:00:00 to 2020-12-31T06:00:00\) has none of the valid times of toy \(2020-01-01T06:00:00 to 2020-01-02T12:00:00\)\nhint: {2}give the truth of the same dates, or leave --truth out/,
    ],
    [["forecast.nc", "--truth", "none.nc"], /none\.nc/],
    [["forecast.nc", "--port", "99999"], /--port/],
    [["forecast.nc", "--definition", "ours"], /--definition/],
  ] as const)("%j is a mistake that can be mended", async ([argv, text]) => {
    const { code, out, err } = await climax(
      "view",
      ...argv.map((word) => (word.endsWith(".nc") ? at(word) : word)),
    );
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(text);
    expect(err).toContain("hint:");
  });

  test("without a canvas it says what is missing, not first on its page", async () => {
    writeFileSync(
      at("block.cjs"),
      `const Module = require("node:module");
       const resolve = Module._resolveFilename;
       Module._resolveFilename = function (name, ...rest) {
         if (name === "@napi-rs/canvas") throw new Error("Cannot find module");
         return resolve.call(this, name, ...rest);
       };`,
    );
    vi.stubEnv("NODE_OPTIONS", `--require ${JSON.stringify(at("block.cjs"))}`);
    try {
      const { code, out, err } = await climaxProcess("view", at("forecast.nc")).done;
      expect([code, out]).toEqual([2, ""]);
      expect(err).toMatch(
        /^error: PNG and GIF cannot be drawn on this machine: @napi-rs\/canvas does not load/,
      );
      expect(err).toContain("npm ci --include=optional");
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test("a port that another program has is a mistake that can be mended", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    try {
      const { code, err } = await climax("view", at("forecast.nc"), "--port", String(port));
      expect(code).toBe(2);
      expect(err).toContain(`cannot listen on port ${port} of 127.0.0.1: another program has it`);
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  });
});
