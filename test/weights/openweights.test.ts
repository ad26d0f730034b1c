import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { readNpz } from "../../src/files/npy.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { toFloat32 } from "../../src/model/dtypes.ts";
import { networkOf } from "../../src/model/network.ts";
import { type TensorSource, writeSafetensors } from "../../src/model/safetensors.ts";
import { writeTorchCheckpoint } from "../../src/torch/torchwrite.ts";
import { canonicalNames, nameAs } from "../../src/weights/names.ts";
import { compareShapes, networkFrom } from "../../src/weights/networkfrom.ts";
import { openWeights } from "../../src/weights/openweights.ts";
import type { StoredTensor, WeightSource } from "../../src/weights/source.ts";
import { refusalOf } from "../support/refusal.ts";

const folder = mkdtempSync(join(tmpdir(), "openweights-"));
afterAll(() => rmSync(folder, { recursive: true }));
const place = (name: string) => join(folder, name);

const source = (name: string, ...values: number[]): TensorSource => ({
  name,
  shape: [values.length],
  values: () => Float32Array.from(values),
});

type Expected = Record<string, Record<string, StoredTensor & { readonly bytes: string }>>;

/** Opens, looks and closes. */
async function look<T>(
  opening: Promise<WeightSource>,
  at: (weights: WeightSource) => T,
): Promise<Awaited<T>> {
  const weights = await opening;
  try {
    return await at(weights);
  } finally {
    await weights.close();
  }
}

const first = (weights: WeightSource) => weights.read([...weights.tensors.keys()][0]!);

describe("by content, never by extension", () => {
  const tensors = [source("net.a", 1, 2), source("net.b", 3)];

  test.for([
    ["safetensors", "weights.ckpt", writeSafetensors],
    ["PyTorch zip", "weights.safetensors", writeTorchCheckpoint],
  ] as const)("%s in %s", async ([format, name, write]) => {
    const path = place(name);
    await write(path, tensors, { epoch: "3" });
    await look(openWeights(path), async (weights) => {
      expect(weights).toMatchObject({ path, format, bytes: readFileSync(path).length, says: { epoch: "3" } });
      expect([...weights.tensors].map(([key, { dtype, shape }]) => [key, dtype, shape])).toEqual([
        ["net.a", "F32", [2]],
        ["net.b", "F32", [1]],
      ]);
      expect(await weights.read("net.a")).toEqual(Float32Array.of(1, 2));
      expect(await refusalOf(weights.read("net.c"))).toBe(
        `checkpoint: ${path} has no tensor "net.c" | is it a checkpoint of this model?`,
      );
      expect(weights.notes).toEqual([]);
    });
  });

  test.for<[string, string | Uint8Array, string]>([
    ["nothing", "", "is empty; wanted: a checkpoint: safetensors, or what torch.save writes"],
    ["a web page", "<!DOCTYPE html><html>", "is a web page"],
    ["a pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS"],
    ["noise", Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 255), "is of no known kind"],
  ])("refused: %s", async ([name, content, what]) => {
    const path = place("other.ckpt");
    writeFileSync(path, content);
    expect(await refusalOf(openWeights(path)), name).toContain(`checkpoint: ${path} ${what}`);
  });

  test("a folder and a file that is not there", async () => {
    expect(await refusalOf(openWeights(folder))).toContain(`${folder} is a folder, not a file of weights`);
    expect(await refusalOf(openWeights(place("none")))).toContain("there is no such file | check the path");
  });
});

describe("every form of PyTorch", () => {
  test.for([
    ["zip2", "PyTorch zip", "whole"],
    ["legacy4", "PyTorch before 1.6", "whole"],
    ["tar", "PyTorch tar", "early"],
  ] as const)("%s: a %s gives f32 in C order", async ([stem, format, which]) => {
    const fixtures = fileURLToPath(new URL("../fixtures/weights/", import.meta.url));
    const expected = (JSON.parse(readFileSync(join(fixtures, "expected.json"), "utf8")) as Expected)[which]!;
    await look(openWeights(join(fixtures, `${stem}.ckpt`)), async (weights) => {
      expect(weights).toMatchObject({ format, says: { epoch: 3, lr: 0.5, note: "Grüße" } });
      expect([...weights.tensors.keys()]).toEqual(Object.keys(expected));
      for (const [name, { dtype, shape, bytes }] of Object.entries(expected)) {
        expect(weights.tensors.get(name), name).toMatchObject({ dtype, shape });
        const wanted = toFloat32(dtype, Uint8Array.from(Buffer.from(bytes, "hex")));
        expect(await weights.read(name), name).toEqual(wanted);
      }
    });
  });
});

describe("climax checkpoints", () => {
  const moments = [source("optimiser.exp_avg.a", 1, 1), source("optimiser.exp_avg_sq.a", 1, 1)];
  const metadata = { climax: `{"text":"${"x".repeat(5000)}"}`, training: "{}", other: "y".repeat(5000) };

  test("optimiser states are left out, our own description is whole", async () => {
    const path = place("own.safetensors");
    await writeSafetensors(path, [source("a", 1, 2), ...moments], metadata);
    await look(openWeights(path), (weights) => {
      expect([...weights.tensors.keys()]).toEqual(["a"]);
      expect(weights.notes).toEqual(["optimiser states left out: 2 tensors, 0.0 kB"]);
      expect(Object.keys(weights.says)).toEqual(["climax", "other"]);
      expect(weights.says.climax).toBe(metadata.climax);
      expect(weights.says.other).toBe(`${"y".repeat(2000)}…`);
    });
    expect(await refusalOf(openWeights(path, { weights: "ema" }))).toContain(
      "has only the weights as trained: 1 tensor in its parameters",
    );
  });

  test("one that holds no weights is refused", async () => {
    const path = place("bare.safetensors");
    await writeSafetensors(path, moments, metadata);
    expect(await refusalOf(openWeights(path))).toContain("bare.safetensors holds no weights");
  });

  test("their parameters may be a running mean, and are read as forecasts read them", async () => {
    const path = place("averaged.safetensors");
    await writeSafetensors(
      path,
      [source("a", 1, 2), ...moments, source("optimiser.weight.a", 5, 6)],
      metadata,
    );
    for (const weights of [undefined, "ema"] as const) {
      await look(openWeights(path, { weights }), async (opened) => {
        expect([...opened.tensors.keys()]).toEqual(["a"]);
        expect(await first(opened)).toEqual(Float32Array.of(1, 2));
        expect(opened.notes[1]).toBe(
          'the weights as trained left out: 1 tensor in "optimiser.weight.*"; --weights trained reads them',
        );
      });
    }
    await look(openWeights(path, { weights: "trained" }), async (opened) => {
      expect([...opened.tensors.keys()]).toEqual(["optimiser.weight.a"]);
      expect(await first(opened)).toEqual(Float32Array.of(5, 6));
    });
  });
});

describe("safetensors of others", () => {
  test("a running mean is told from the weights by its prefix", async () => {
    const path = place("ema.safetensors");
    await writeSafetensors(path, [source("net.a", 1), source("net_ema.a", 2)]);
    await look(openWeights(path), async (weights) => {
      expect(await first(weights)).toEqual(Float32Array.of(1));
      expect(weights.notes).toEqual([
        'a running mean of the weights (EMA) left out: 1 tensor in "net_ema.*"; --weights ema reads them',
      ]);
    });
    await look(openWeights(path, { weights: "ema" }), async (weights) => {
      expect(await first(weights)).toEqual(Float32Array.of(2));
    });
  });

  test("elements that are no weights are left out", async () => {
    const path = place("types.safetensors");
    const header = JSON.stringify({
      a: { dtype: "F16", shape: [1], data_offsets: [0, 2] },
      b: { dtype: "F8_E4M3", shape: [2], data_offsets: [2, 4] },
    });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(path, Buffer.concat([length, Buffer.from(header), Buffer.of(0, 0x3c, 1, 2)]));
    await look(openWeights(path), async (weights) => {
      expect([...weights.tensors.keys()]).toEqual(["a"]);
      expect(await first(weights)).toEqual(Float32Array.of(1));
      expect(weights.notes).toEqual(['"b" left out: elements of type F8_E4M3 are no weights']);
    });
  });
});

const reference = "../shared/reference";

describe.skipIf(!existsSync(join(reference, "global.ckpt")))("checkpoints of the reference", () => {
  test.for([
    ["global", "global.ckpt", false],
    ["global", "global.channel-names.ckpt", true],
    ["parallel-patch-embed", "parallel-patch-embed.ckpt", false],
    ["parallel-patch-embed", "parallel-patch-embed.channel-names.ckpt", true],
  ] as const)("%s: %s is that network, with its weights bit for bit", async ([name, file, older]) => {
    const { config } = JSON.parse(readFileSync(join(reference, `${name}.json`), "utf8")) as {
      config: Record<string, never>;
    };
    const wanted = ModelConfig.parse({
      variables: config.default_vars,
      gridShape: config.img_size,
      patchSize: config.patch_size,
      embedDim: config.embed_dim,
      depth: config.depth,
      decoderDepth: config.decoder_depth,
      heads: config.num_heads,
      mlpRatio: config.mlp_ratio,
      parallelPatchEmbed: name === "parallel-patch-embed",
    });
    const arrays = await readNpz(join(reference, `${name}.npz`));
    await look(openWeights(join(reference, file)), async (weights) => {
      const names = canonicalNames(weights.tensors.keys(), file);
      expect(names).toMatchObject({ prefix: "net.", older, extra: [] });
      const shapes = new Map(
        [...names.inFile].map(([key, found]) => [key, weights.tensors.get(found)!.shape]),
      );
      const told = { variables: wanted.variables, heads: wanted.heads };
      const { config: found, assumed } = networkFrom(shapes, told, file);
      expect(found).toEqual(wanted);
      expect(assumed).toHaveLength(2);
      expect(compareShapes(found, shapes)).toEqual({ missing: [], extra: [], misshapen: [] });
      for (const key of networkOf(found).shapes.keys()) {
        const values = await weights.read(nameAs(key, names));
        expect(values, key).toEqual(Float32Array.from(arrays.get(`param/${key}`)!.data as ArrayLike<number>));
      }
      expect(weights).toMatchObject({ format: "PyTorch zip", says: { epoch: 3, global_step: 1234 } });
      if (!older) {
        expect(weights.says).toMatchObject({
          "pytorch-lightning_version": "1.9.0",
          hyper_parameters: { lr: 5e-4, beta_2: 0.95, max_steps: 200000 },
        });
        expect(Object.keys(weights.says)).not.toContain("optimizer_states");
        expect(weights.notes.join("\n")).toMatch(/^optimiser states left out: \d+ tensors, [\d.]+ kB$/);
      }
    });
  });

  test("one read as a running mean is refused: it has none", async () => {
    expect(await refusalOf(openWeights(join(reference, "global.ckpt"), { weights: "ema" }))).toContain(
      'has only the weights as trained: 59 tensors in "state_dict" | read those: --weights trained, or leave --weights out',
    );
  });
});
