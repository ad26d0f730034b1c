/** climax convert, as typed: PyTorch weights in, checkpoints, PyTorch files and ONNX out, and all the ways back. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readNpz } from "../../src/files/npy.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { networkOf } from "../../src/model/network.ts";
import { openSafetensors } from "../../src/model/safetensors.ts";
import { climax } from "../support/climax.ts";
import { writeToyCheckpoint } from "../support/toycheckpoint.ts";

const REFERENCE = "test/fixtures/reference";
let root: string;
let toy: string;
const at = (name: string) => join(root, name);
const convert = (...argv: string[]) => climax("convert", ...argv);

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-convert-"));
  toy = at("toy.safetensors");
  await (await writeToyCheckpoint(toy)).close();
});
afterAll(() => rmSync(root, { recursive: true }));

/** Flags that say what `<case>.json` says and a checkpoint does not. */
function told(name: string): string[] {
  const { config } = JSON.parse(readFileSync(`${REFERENCE}/${name}.json`, "utf8"));
  const statistics = Object.fromEntries(config.default_vars.map((v: string) => [v, { mean: 0, std: 1 }]));
  const file = at(`${name}-statistics.json`);
  // Zero is no mean of a geopotential on Earth: these cases are random numbers, not weather.
  for (const [v, one] of Object.entries<{ mean: number }>(statistics)) one.mean = plausible(v);
  writeFileSync(file, JSON.stringify(statistics));
  return [
    ...["--source.variables", config.default_vars.join(",")],
    ...["--source.heads", String(config.num_heads)],
    ...["--source.grid-shape", config.img_size.join(",")],
    ...["--stats", file],
  ];
}

const plausible = (name: string): number => (/temperature/.test(name) ? 280 : /geopotential/.test(name) ? 20000 : 0);

async function parametersOf(path: string): Promise<Map<string, Float32Array>> {
  const checkpoint = await openCheckpoint(path);
  const values = new Map<string, Float32Array>();
  for (const name of networkOf(checkpoint.info.model).shapes.keys())
    values.set(name, await checkpoint.parameter(name));
  await checkpoint.close();
  return values;
}

describe("the reference's checkpoints", () => {
  test.for([
    ["global", "global.ckpt"],
    ["global", "global.channel-names.ckpt"],
    ["parallel-patch-embed", "parallel-patch-embed.ckpt"],
    ["parallel-patch-embed", "parallel-patch-embed.channel-names.ckpt"],
  ] as const)("%s: %s comes in bit by bit", async ([name, file]) => {
    const out = at(`${file}.safetensors`);
    const said = await convert(`${REFERENCE}/${file}`, ...told(name), "--strict", "-o", out);
    expect(said.err).not.toMatch(/error|bug/);
    expect(said.code).toBe(0);
    const values = await parametersOf(out);
    const wanted = await readNpz(`${REFERENCE}/${name}.npz`);
    const keys = [...wanted.keys()].filter((key) => key.startsWith("param/"));
    expect(keys.length).toBe(values.size);
    for (const key of keys) {
      const [found, right] = [values.get(key.slice(6))!, wanted.get(key)!.data as Float32Array];
      expect(Buffer.from(found.buffer).equals(Buffer.from(Float32Array.from(right).buffer)), key).toBe(true);
    }
    if (/channel/.test(file)) expect(said.err).toContain("older names of the aggregation (channel_*) became var_*");
  });

  test("patch embeddings change their form both ways", async () => {
    const [pair, one] = [at("pair.safetensors"), at("one.safetensors")];
    const flags = told("parallel-patch-embed");
    await convert(`${REFERENCE}/parallel-patch-embed.ckpt`, ...flags, "-o", pair);
    expect((await convert(pair, "--no-parallel-patch-embed", "-o", one)).code).toBe(0);
    const values = await parametersOf(one);
    const both = (await parametersOf(pair)).get("token_embeds.proj_weights")!;
    expect(values.get("token_embeds.1.proj.weight")).toEqual(both.slice(both.length / 9, (2 * both.length) / 9));
    expect((await convert(one, "--parallel-patch-embed", "-o", at("pair-again.safetensors"))).code).toBe(0);
    expect(readFileSync(at("pair-again.safetensors")).equals(readFileSync(pair))).toBe(true);
  });
});

describe("out and back", () => {
  test.for([
    ["with Lightning's prefix", []],
    ["bare", ["--prefix", ""]],
    ["with the older names", ["--names", "older"]],
    ["wrapped", ["--prefix", "module.net."]],
  ] as const)("a PyTorch checkpoint %s is the same file when it returns", async ([words, flags]) => {
    const [out, back] = [at(`${words}.ckpt`), at(`${words}.safetensors`)];
    expect(await convert(toy, ...flags, "-o", out)).toMatchObject({ code: 0 });
    expect(await convert(out, "-o", back)).toMatchObject({ code: 0 });
    expect(readFileSync(back).equals(readFileSync(toy))).toBe(true);
    const again = at(`${words} again.ckpt`);
    await convert(back, ...flags, "-o", again);
    // The folder inside is called as the file is, and the rest is the same.
    expect(readFileSync(again).length - readFileSync(out).length).toBeGreaterThanOrEqual(0);
  });

  test("what only a run needs is left behind", async () => {
    const full = await openSafetensors(toy);
    const names = [...full.tensors.keys()];
    await full.close();
    expect(names.some((name) => name.startsWith("optimiser."))).toBe(false);
  });

  test("prints what was made, and where its card is", async () => {
    const { code, out, err } = await convert(toy, "-o", at("said.onnx"));
    expect(code).toBe(0);
    expect(err).toContain("ONNX opset 17, IR version 8");
    expect(out).toMatch(
      /said\.onnx: 4 variables, patch 2, D 16, depth 1, 2 heads, 0\.\d+ M parameters, [\d.]+ KiB; .*said\.onnx\.card\.md, .*said\.onnx\.card\.json, in \d/,
    );
  });
});
