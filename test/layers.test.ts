import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** Which folders of src/ each folder may import from. The picture in the README, enforced. */
const allowed: Record<string, readonly string[]> = {
  errors: [],
  version: [],
  thread: [],
  grid: ["errors"],
  planet: ["errors", "grid"],
  files: ["errors"],
  data: ["errors", "thread", "grid", "files"],
  sets: ["errors", "thread", "grid", "files", "data"],
  scores: ["errors", "grid", "files", "data"],
  eval: ["errors", "grid", "files", "data", "sets", "scores"],
  parallel: ["errors", "thread"],
  engine: ["errors"],
  ops: ["errors", "engine"],
  model: ["errors", "engine", "ops"],
  train: ["errors", "parallel", "engine", "ops", "model", "grid", "files", "data", "sets"],
  infer: ["errors", "engine", "ops", "model", "grid", "files", "data", "sets"],
  torch: ["errors", "files", "model"],
  onnx: ["errors", "version", "model"],
  weights: ["errors", "model", "grid", "files", "data", "torch"],
  plot: ["errors", "grid", "data"],
  report: ["errors", "grid", "scores", "plot"],
  show: ["errors", "grid", "data", "sets", "scores", "eval", "plot"],
  library: ["errors", "engine", "model", "grid", "data", "infer"],
  index: ["errors", "library"],
  cli: [
    "errors",
    "version",
    "parallel",
    "engine",
    "ops",
    "model",
    "grid",
    "planet",
    "files",
    "data",
    "sets",
    "train",
    "infer",
    "torch",
    "onnx",
    "weights",
    "scores",
    "eval",
    "plot",
    "report",
    "show",
  ],
};

/** The one folder that may load WebGPU itself: the world knows nothing of GPUs. */
const packages: Record<string, readonly string[]> = {
  webgpu: ["engine"],
  commander: ["cli"],
  "cli-progress": ["cli"],
  picocolors: ["cli"],
  h5wasm: ["files"],
  "h5wasm-plugins": ["files"],
  zarrita: ["files"],
  "@zarrita/storage": ["files"],
  koffi: ["files", "parallel"],
  yauzl: ["files", "torch"],
  "@bufbuild/protobuf": ["onnx"],
  "@napi-rs/canvas": ["plot"],
  "@fontsource/dejavu-sans": ["plot"],
  "d3-geo": ["plot"],
  "d3-geo-projection": ["plot"],
  "d3-scale-chromatic": ["plot"],
  "topojson-client": ["plot"],
  "world-atlas": ["plot"],
};

const sources = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".ts"),
);

const layer = (path: string) => path.split(/[/.]/)[0]!;

/** What a file imports, by `from`, `import` or `import()`. */
function imports(code: string): string[] {
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, path]) => path!);
}

/** The imports of a file of src/ that the table forbids. */
function trespasses(file: string, code: string): string[] {
  const here = layer(file);
  return imports(code).filter((path) => {
    if (path.startsWith("../")) return !allowed[here]!.includes(layer(path.replace(/^(\.\.\/)+/, "")));
    const name = path.split("/", path.startsWith("@") ? 2 : 1).join("/");
    return packages[name] !== undefined && !packages[name].includes(here);
  });
}

test.for(sources)("src/%s imports only from the layers beneath it", (file) => {
  expect(allowed, `a new folder of src needs a row in this table`).toHaveProperty(layer(file));
  expect(trespasses(file, readFileSync(`src/${file}`, "utf8"))).toEqual([]);
});

test.for(sources)("src/%s is at most one folder deep and 400 lines long", (file) => {
  expect(file.split("/").length).toBeLessThanOrEqual(2);
  expect(readFileSync(`src/${file}`, "utf8").split("\n").length).toBeLessThanOrEqual(401);
});

test("the check sees each form of import", () => {
  const code = `
    import { openGpu } from "../engine/device.ts";
    import type { Grid } from "../grid/grid.ts";
    export { x } from "../train/loop.ts";
    const { create } = await import("webgpu");
    import {
      matmul,
    } from "../ops/matmul.ts";`;
  expect(trespasses("data/archive.ts", code)).toEqual([
    "../engine/device.ts",
    "../train/loop.ts",
    "webgpu",
    "../ops/matmul.ts",
  ]);
});
