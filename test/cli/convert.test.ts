/** climax convert, as typed: PyTorch weights in, checkpoints, PyTorch files and ONNX out, and all the ways back. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { default48 } from "../../src/data/variables.ts";
import { readNpz } from "../../src/files/npy.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { networkOf } from "../../src/model/network.ts";
import { initialise } from "../../src/model/parameters.ts";
import { writeTorchCheckpoint } from "../../src/torch/torchwrite.ts";
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

const plausible = (name: string): number =>
  /temperature/.test(name) ? 280 : /geopotential/.test(name) ? 20000 : 0;

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
    if (/channel/.test(file))
      expect(said.err).toContain("older names of the aggregation (channel_*) became var_*");
  });

  test("patch embeddings change their form both ways", async () => {
    const [pair, one] = [at("pair.safetensors"), at("one.safetensors")];
    const flags = told("parallel-patch-embed");
    await convert(`${REFERENCE}/parallel-patch-embed.ckpt`, ...flags, "-o", pair);
    expect((await convert(pair, "--no-parallel-patch-embed", "-o", one)).code).toBe(0);
    const values = await parametersOf(one);
    const both = (await parametersOf(pair)).get("token_embeds.proj_weights")!;
    expect(values.get("token_embeds.1.proj.weight")).toEqual(
      both.slice(both.length / 9, (2 * both.length) / 9),
    );
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
    expect(readFileSync(again).equals(readFileSync(out))).toBe(true);
  });

  test("prints what was made, and where its card is", async () => {
    const { code, out, err } = await convert(toy, "-o", at("said.onnx"));
    expect(code).toBe(0);
    expect(err).toContain("ONNX opset 17, IR version 8");
    expect(out).toMatch(
      /said\.onnx: 4 variables, patch 2, D 16, depth 1, 2 heads, 0\.\d+ M parameters, [\d.]+ kB; .*said\.onnx\.card\.md, .*said\.onnx\.card\.json, in \d/,
    );
  });
});

describe("changed on the way", () => {
  test("other variables and another grid are said, and stand in the card and the provenance", async () => {
    const out = at("refitted.safetensors");
    const names = ["2m_temperature", "geopotential_500", "temperature_700"];
    const { code, err } = await convert(toy, "--variables", names.join(","), "--res", "11.25", "-o", out);
    expect(code).toBe(0);
    expect(err).toContain("positions resized, bicubic: 4 x 8 patches to 8 x 16");
    expect(err).toContain("new inputs, from scratch: temperature_700");
    const { info, close } = await openCheckpoint(out);
    await close();
    expect(info.model.variables).toEqual(names);
    expect(info.model.gridShape).toEqual([16, 32]);
    expect(info.provenance.refitted).toContain("positions resized, bicubic: 4 x 8 patches to 8 x 16");
    expect(readFileSync(`${out}.card.md`, "utf8")).toContain("positions resized");
  });

  test("another patch size is refused with the reason, and nothing is written", async () => {
    const { code, err } = await convert(toy, "--patch-size", "4", "-o", at("patches.safetensors"));
    expect(code).toBe(2);
    expect(err).toContain("the weights of patch embeddings and head are one for each point of a patch");
    expect(readdirSync(root).filter((name) => name.startsWith("patches"))).toEqual([]);
  });
});

describe("refusals", () => {
  test.for<[string, string[], string]>([
    ["no file", ["-o", "x.onnx"], "no file was given; one is wanted"],
    [
      "a name that says no format",
      ["toy", "-o", "x.bin"],
      "whose name ends in none of .safetensors, .ckpt, .pt",
    ],
    ["a format that the name contradicts", ["toy", "--to", "ckpt", "-o", "x.onnx"], "whose name says onnx"],
    ["--normalised without ONNX", ["toy", "--normalised", "-o", "x.ckpt"], "of use only with --to onnx"],
    [
      "--prefix without PyTorch",
      ["toy", "--prefix", "a.", "-o", "x.safetensors"],
      "of use only with --to ckpt",
    ],
    ["--names without PyTorch", ["toy", "--names", "older", "-o", "x.onnx"], "of use only with --to ckpt"],
    [
      "a licence without a card",
      ["toy", "--no-card", "--license", "MIT", "-o", "x.onnx"],
      "which --no-card leaves out",
    ],
    ["its own file", ["toy", "-o", "toy"], "is the file"],
    [
      "what a climax checkpoint says itself",
      ["toy", "--source.heads", "4", "-o", "x.ckpt"],
      "says itself what it is",
    ],
    [
      "statistics that it has",
      ["toy", "--stats", "era5", "-o", "x.ckpt"],
      "has its own mean and deviation of each variable",
    ],
    ["no such file", ["absent.ckpt", "-o", "x.ckpt"], "there is no such file"],
  ])("%s", async ([, argv, message]) => {
    const paths = argv.map((word, i) =>
      word === "toy" ? toy : argv[i - 1] === "-o" && word.startsWith("x.") ? at(word) : word,
    );
    const { code, out, err } = await convert(...paths);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(message);
    expect(readdirSync(root).filter((name) => name.startsWith("x."))).toEqual([]);
  });

  test("a file that would run something, a cut-off one and a page", async () => {
    const files: [string, Buffer, RegExp][] = [
      ["evil.ckpt", Buffer.from("cos\nsystem\n(S'true'\ntR."), /^error: .*evil\.ckpt/],
      ["cut.ckpt", readFileSync(`${REFERENCE}/global.ckpt`).subarray(0, 100_000), /^error: .*cut\.ckpt/],
      ["page.ckpt", Buffer.from("<!DOCTYPE html><html>Not found</html>"), /^error: .*page\.ckpt.*HTML/],
    ];
    for (const [name, bytes, message] of files) {
      writeFileSync(at(name), bytes);
      const { code, err } = await convert(at(name), "-o", at("never.safetensors"));
      expect(code, name).toBe(2);
      expect(err, name).toMatch(message);
      expect(err.trim().split("\n"), err).toHaveLength(2); // the error and its hint
    }
    expect(readdirSync(root).filter((name) => name.startsWith("never"))).toEqual([]);
  });
});

describe("bare weights", () => {
  const model = ModelConfig.parse({
    ...{
      variables: default48,
      gridShape: [32, 64],
      patchSize: 4,
      embedDim: 16,
      heads: 2,
      depth: 1,
      decoderDepth: 1,
    },
  });

  /** What `torch.save({"state_dict": ...})` of an untrained ClimaX gives, but for `without`. */
  async function writeBare(path: string, without: readonly string[] = []): Promise<void> {
    const values = initialise(model, 3);
    const tensors = [...networkOf(model).shapes]
      .filter(([name]) => !without.includes(name))
      .map(([name, shape]) => ({ name: `net.${name}`, shape, values: () => values.get(name)! }));
    await writeTorchCheckpoint(path, tensors, { epoch: 3 });
  }

  test("missing weights begin anew and are said; --strict lists them", async () => {
    const bare = at("holes.ckpt");
    await writeBare(bare, ["norm.weight", "lead_time_embed.bias"]);
    const flags = ["--source.heads", "2", "--stats", "era5"];
    const said = await convert(bare, ...flags, "-o", at("holes.safetensors"));
    expect(said.code).toBe(0);
    expect(said.err).toContain(
      "begin anew, they were not in it as wanted: lead_time_embed.bias, norm.weight",
    );
    const strict = await convert(bare, ...flags, "--strict", "-o", at("strict.safetensors"));
    expect(strict.code).toBe(2);
    expect(strict.err).toContain("missing 2: lead_time_embed.bias, norm.weight");
  });

  test("variables without statistics are warned about, and left out", async () => {
    const bare = at("bare.ckpt");
    await writeBare(bare);
    const out = at("bare.safetensors");
    const { code, err } = await convert(bare, "--source.heads", "2", "--stats", "era5", "-o", out);
    expect(code).toBe(0);
    expect(err).toMatch(/^warning: no mean and deviation of relative_humidity_50, /m);
    const { info, close } = await openCheckpoint(out);
    await close();
    expect(info.variables).toHaveLength(41);
    const sum = createHash("sha256").update(readFileSync(bare)).digest("hex");
    expect(info.provenance.importedFrom).toMatchObject({ path: "bare.ckpt", epoch: 3, sha256: sum });
    expect(info.model.variables).toEqual(default48);
  });

  const shared = "../shared/data";
  test.skipIf(!existsSync(`${shared}/era5-tl31`))(
    "forecast from a real state: humidity derived, static fields given, the rest as --missing says (skipped without ../shared/data)",
    async () => {
      const bare = at("tl31.ckpt");
      await writeBare(bare);
      const levels = [50, 250, 500, 600, 700, 850, 925];
      const humidity = Object.fromEntries(
        levels.map((p) => [`relative_humidity_${p}`, { mean: 55, std: 25 }]),
      );
      writeFileSync(at("humidity.json"), JSON.stringify(humidity));
      const bundle = at("tl31.safetensors");
      const stats = `era5,${at("humidity.json")}`;
      expect((await convert(bare, "--source.heads", "2", "--stats", stats, "-o", bundle)).code).toBe(0);
      const state = at("state.nc");
      const argv = ["--res", "5.625", "--levels", levels.join(","), "-o", state, "-q"];
      expect((await climax("regrid", `${shared}/era5-tl31/era5_tl31_19590102T00.nc`, ...argv)).code).toBe(0);
      const fixed = ["earth_landmask_2deg.nc", "earth_topography_2deg.nc"].map(
        (name) => `${shared}/static-fields/${name}`,
      );
      expect((await climax("regrid", ...fixed, "--res", "5.625", "-o", at("static"), "-q")).code).toBe(0);
      const input = [state, at("static/earth_landmask_2deg.nc"), at("static/earth_topography_2deg.nc")].join(
        ",",
      );
      const forecast = ["forecast", "--checkpoint", bundle, "--input", input, "--lead", "72h"];
      const refused = await climax(...forecast, "-o", at("no.nc"));
      expect(refused.code).toBe(2);
      expect(refused.err).toContain(
        "lacks 2m_temperature, 10m_u_component_of_wind, 10m_v_component_of_wind, which",
      );
      const said = await climax(...forecast, "--missing", "mean", "-o", at("fc.nc"));
      expect(said.code).toBe(0);
      expect(said.err).toContain(
        "warning: 2m_temperature, 10m_u_component_of_wind, 10m_v_component_of_wind: not in the input, their training mean is put",
      );
      expect(said.err).toContain("derived from specific_humidity and temperature");
      expect(said.out).toContain("45 variables, 1 initial time, leads 3d");
    },
  );
});

test.for(["safetensors", "ckpt", "onnx"])(
  "Ctrl-C while a %s is written leaves nothing of it",
  async (format) => {
    const out = at(`stopped.${format}`);
    const stop = (event: string | symbol) => {
      // The handler is on from here: before the first weight is read, and after the file was begun.
      if (event === "SIGTERM") queueMicrotask(() => process.emit("SIGINT", "SIGINT"));
    };
    process.on("newListener", stop);
    const said = await convert(toy, "-o", out).finally(() => process.off("newListener", stop));
    expect(said.code).toBe(130);
    expect(said.err).toMatch(/^interrupted by SIGINT$/m);
    expect(readdirSync(root).filter((name) => name.startsWith("stopped"))).toEqual([]);
  },
);

describe("the card", () => {
  test("has scores, licence and authors, and is kept once somebody wrote in it", async () => {
    const out = at("carded.safetensors");
    const argv = [toy, "--license", "CC-BY-4.0", "--authors", "A. Group", "-o", out];
    expect((await convert(...argv)).code).toBe(0);
    const card = readFileSync(`${out}.card.md`, "utf8");
    expect(card).toMatch(/^---\nlicense: cc-by-4.0$/m);
    expect(card).toContain("A. Group");
    expect(card).toContain("SYNTHETIC");
    writeFileSync(`${out}.card.md`, `${card}\nOur own words.\n`);
    const again = await convert(...argv);
    expect(again.code).toBe(0);
    expect(again.err).toMatch(/^warning: .*carded\.safetensors\.card\.md is kept as it is/m);
    expect(readFileSync(`${out}.card.md`, "utf8")).toContain("Our own words.");
    const none = await convert(toy, "--no-card", "-o", at("bald.safetensors"));
    expect(none.code).toBe(0);
    expect(readdirSync(root).filter((name) => name.startsWith("bald"))).toEqual(["bald.safetensors"]);
  });
});
