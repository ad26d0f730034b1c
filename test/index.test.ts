/** The library as programs use it: its types, what importing it loads, and how processes with it end. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as climax from "../src/index.ts";
import { buildPackage, compile } from "./support/builtpackage.ts";
import { writeToyCheckpoint, writeToyStates } from "./support/toycheckpoint.ts";

let root: string;
const at = (name: string) => join(root, name);
beforeAll(async () => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "climax-package-")));
  await (await writeToyCheckpoint(at("best.safetensors"))).close();
  await writeToyStates(at("state.nc"), { hours: [12] });
  await buildPackage(root);
});
afterAll(() => rmSync(root, { recursive: true }));

/** Runs a program in the folder, with nothing on its command line but its name. */
async function runs(name: string, program: string) {
  writeFileSync(at(name), program);
  const child = spawn(process.execPath, [name], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (err += chunk));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.on("close", (...how) => resolve(how)),
  );
  // What Dawn says of lavapipe's limits when an adapter is opened; it cannot be kept from it.
  err = err.replace(/^Warning: maxDynamic\w+ artificially reduced .*\n/gm, "");
  return { code, signal, out, err };
}

/** The blocks of code in the README that import the library. */
const examples = [...readFileSync("README.md", "utf8").matchAll(/^```\w*\n(.*?)^```$/gms)]
  .map(([, code]) => code!)
  .filter((code) => /\bfrom "climax"/.test(code));

test("it exports what it says, and no more", () => {
  expect(Object.keys(climax).sort()).toEqual(["ClimaxError", "forecast", "loadModel", "readState"]);
});

describe("a program in strict TypeScript", () => {
  const consumer = `
    import { ClimaxError, type Fields, type Forecast, forecast, loadModel, type Model, readState, type State } from "climax";

    async function ahead(path: string, start: Fields): Promise<Forecast[]> {
      await using model: Model = await loadModel(path, { adapter: "software", precision: "f32" });
      const units: string[] = model.variables.map(({ name, units, mean, std }) => \`\${name}, \${units}: \${mean + std}\`);
      const cells: number = model.grid.lat.length * model.grid.lon.length;
      const leads: readonly number[] = "min" in model.leads ? [model.leads.min, model.leads.max] : model.leads;
      const state: State = await readState(model, ["a.nc", "b.nc"], { time: "2018-01-01T06" });
      const stop: { throwIfAborted(): void } = { throwIfAborted() {} };
      const forecasts = await forecast(model, { state: [start, state.fields], leadHours: leads, missing: "drop", signal: stop });
      const field: Float32Array | undefined = forecasts[0]?.fields["2m_temperature"];
      if (field?.length !== cells || units.length === 0) throw new ClimaxError("data", "no field", "look again");
      return forecasts;
    }

    ahead("best.safetensors", new Map([["orography", new Float32Array(128)]])).catch((error: unknown) => {
      if (error instanceof ClimaxError) error.hint satisfies string;
    });
    ahead("best.safetensors", { orography: [1, 2], "2m_temperature": new Float64Array(128) }).catch(() => undefined);
    // @ts-expect-error a model is what loadModel gives
    forecast({}, { state: {}, leadHours: 72 });
    // @ts-expect-error hours are numbers
    loadModel("x").then((model) => forecast(model, { state: {}, leadHours: "72h" }));
    // @ts-expect-error there is no such precision
    loadModel("x", { precision: "f64" });
    // @ts-expect-error forecasts have no such thing
    ahead("x", {}).then(([first]) => first?.field);
  `;

  test.for([
    ["without any other types, the library's own checked: no GPU, no DOM, no Node", []],
    ["with Node's types", ["node"]],
  ] as const)("compiles, %s", async ([, types]) => {
    writeFileSync(at("consumer.mts"), consumer);
    const project = at(`tsconfig.${types.length}.json`);
    const compilerOptions = {
      ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true },
      ...{
        module: "nodenext",
        moduleResolution: "nodenext",
        target: "es2022",
        lib: ["es2023"],
        skipLibCheck: types.length > 0, // Node's own declarations take seven seconds
      },
      ...{ types, typeRoots: [join(process.cwd(), "node_modules/@types")] },
    };
    writeFileSync(project, JSON.stringify({ compilerOptions, files: ["consumer.mts"] }));
    await compile(project);
  });
});

describe("a process", () => {
  const begin = `import { forecast, loadModel, readState } from "climax";
    const own = setImmediate;
    const listeners = () => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
    const before = listeners();
    const model = await loadModel("best.safetensors");
    const { fields: state } = await readState(model, "state.nc");
    const [ahead] = await forecast(model, { state, leadHours: 72 });
    const added = listeners() - before;
    process.stdout.write([ahead.fields["2m_temperature"].length, added, setImmediate === own].join());`;

  test.concurrent.for([
    ["with the model open", begin],
    ["in the middle of a forecast", `${begin} forecast(model, { state, leadHours: 24 });`],
    [
      "with the model closed, after an error",
      `${begin}
       await forecast(model, { state, leadHours: 1 }).catch(({ kind }) => process.stdout.write(", " + kind));
       await model.close();
       await model.close();
       await forecast(model, { state, leadHours: 24 }).catch(({ message }) => process.stdout.write(", " + message));`,
    ],
  ] as const)("ends by itself, quietly, %s", async ([how, program]) => {
    const { code, signal, out, err } = await runs(`ends ${how}.mjs`, program);
    expect({ code, signal, err }).toEqual({ code: 0, signal: null, err: "" });
    expect(out).toMatch(/^128,0,true(, config, the model of best\.safetensors is closed)?$/);
  });

  test("that only imports it has loaded five small files, and has no new globals", async () => {
    const { code, out } = await runs(
      "imports.mjs",
      `import { register } from "node:module";
       import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
       const { port1, port2 } = new MessageChannel();
       const hooks = \`let port;
         export const initialize = (given) => { port = given; };
         export const load = (url, context, next) => { port.postMessage(url); return next(url, context); };\`;
       register("data:text/javascript," + encodeURIComponent(hooks), { data: port2, transferList: [port2] });
       const globals = new Set(Object.getOwnPropertyNames(globalThis));
       await import("climax");
       for (let got; (got = receiveMessageOnPort(port1)); )
         console.log(got.message.startsWith("node:") ? "" : got.message.split("/node_modules/climax/").at(-1));
       console.log(...Object.getOwnPropertyNames(globalThis).filter((name) => !globals.has(name)));
       port1.close();`,
    );
    expect(code).toBe(0);
    expect(out.split("\n").filter(Boolean).sort()).toEqual([
      ...["dist/errors.js", "dist/index.js"],
      ...["forecast", "model", "state"].map((name) => `dist/library/${name}.js`),
    ]);
  });

  test("of CommonJS may require it where Node can, and import it everywhere", async () => {
    const { code, out, err } = await runs(
      "common.cjs",
      `const climax = process.features.require_module ? require("climax") : undefined;
       import("climax").then((imported) => {
         if (climax && climax.forecast !== imported.forecast) throw new Error("two libraries");
         console.log(Object.keys(imported).sort().join(), require("climax/package.json").name);
       });`,
    );
    expect({ code, out, err }).toEqual({
      code: 0,
      out: "ClimaxError,forecast,loadModel,readState climax\n",
      err: "",
    });
  });
});

describe("the README", () => {
  test.skipIf(examples.length === 0)(
    "has an example of at most ten lines that runs as it stands (skipped while the README has none that imports climax)",
    async () => {
      for (const [i, code] of examples.entries()) {
        expect(code.trimEnd().split("\n").length).toBeLessThanOrEqual(10);
        const { code: exit, out, err } = await runs(`example${i}.mjs`, code);
        expect({ exit, err }).toEqual({ exit: 0, err: "" });
        expect(out).not.toBe("");
        expect(out).not.toMatch(/undefined|NaN/);
      }
    },
  );
});
