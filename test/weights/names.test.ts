import fc from "fast-check";
import { expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { type NetworkConfig, networkOf } from "../../src/model/network.ts";
import { ProjectionConfig } from "../../src/model/projection.ts";
import { ResnetConfig } from "../../src/model/resnet.ts";
import { type CanonicalNames, canonicalNames, nameAs } from "../../src/weights/names.ts";
import { refusal } from "../support/refusal.ts";

const sizes = { gridShape: [4, 8] as [number, number], embedDim: 8, heads: 2, depth: 2 };
const separate = ModelConfig.parse({ ...sizes, variables: ["a", "b", "c"] });
const parallel = ModelConfig.parse({ ...separate, parallelPatchEmbed: true });
const projection = ProjectionConfig.parse({
  ...{ type: "projection", ...sizes, history: 3 },
  ...{ variables: ["a", "b", "y"], inputs: ["a", "b"], outputs: ["y"] },
});
const namesOf = (config: NetworkConfig) => [...networkOf(config).shapes.keys()];
const own = namesOf(separate);

test.for([
  ["without a prefix", ""],
  ["Lightning's", "net."],
  ["DistributedDataParallel's", "module."],
  ["both", "module.net."],
  ["torch.compile's", "net._orig_mod."],
  ["DeepSpeed's in Lightning", "_forward_module.net."],
  ["a running mean's", "ema_model.module.net."],
  ["our own of trained weights", "optimiser.weight."],
  ["one of nobody's", "forecaster.backbone."],
] as const)("names are found behind any prefix and come back: %s", ([, prefix]) => {
  for (const config of [separate, parallel, projection]) {
    const names = namesOf(config);
    const inFile = names.map((name) => prefix + name);
    const found = canonicalNames(inFile, "x.ckpt");
    expect(found).toEqual({
      inFile: new Map(names.map((name) => [name, prefix + name])),
      ...{ prefix, older: false, extra: [] },
    });
    expect([...found.inFile.keys()].map((name) => nameAs(name, found))).toEqual(inFile);
  }
});

test("older names of the aggregation are known, both ways", () => {
  const style = { prefix: "net.", older: true };
  const inFile = own.map((name) => nameAs(name, style));
  expect(inFile.filter((name) => name.includes("channel"))).toEqual([
    "net.channel_embed",
    "net.channel_query",
    "net.channel_agg.in_proj_weight",
    "net.channel_agg.in_proj_bias",
    "net.channel_agg.out_proj.weight",
    "net.channel_agg.out_proj.bias",
  ]);
  const found = canonicalNames(inFile, "x.ckpt");
  expect([...found.inFile.keys()]).toEqual(own);
  expect([...found.inFile.values()]).toEqual(inFile);
  expect(found).toMatchObject({ ...style, extra: [] });
});

test("wrappers amid names count as nothing", () => {
  const wrapped = (name: string) =>
    `net.${name.replace(/^blocks\.(\d+)\./, "blocks.$1._checkpoint_wrapped_module._orig_mod.")}`;
  const found = canonicalNames(own.map(wrapped), "x.ckpt");
  expect([...found.inFile]).toEqual(own.map((name) => [name, wrapped(name)]));
  expect(found).toMatchObject({ prefix: "net.", older: false, extra: [] });
});

test("metrics, buffers, counters and other networks beside ClimaX are extra", () => {
  const extra = [
    "lat",
    "denormalization.mean",
    "train_loss.total",
    "net.n_averaged",
    "decoder.norm.weight",
    "bias",
  ];
  const found = canonicalNames([...extra, ...own.map((name) => `net.${name}`)], "x.ckpt");
  expect(found.extra).toEqual(extra);
  expect(found.inFile.size).toBe(own.length);
});

test("a file that lacks some weights is taken; what is missing is for others to say", () => {
  const some = own.filter((name) => !name.startsWith("head.") && name !== "pos_embed");
  expect([...canonicalNames(some, "x.ckpt").inFile.keys()]).toEqual(some);
});

test("two names that become one are named both", () => {
  const names = [...own.map((name) => `net.${name}`), "net.channel_embed"];
  expect(refusal(() => canonicalNames(names, "x.ckpt"))).toBe(
    'checkpoint: x.ckpt has "net.var_embed" and "net.channel_embed", and both are "var_embed" of ClimaX | save the ' +
      "weights of one model alone: torch.save({'state_dict': model.state_dict()}, 'weights.ckpt')",
  );
});

test("two whole models in one file are named", () => {
  const names = ["student.", "teacher."].flatMap((prefix) => own.map((name) => prefix + name));
  expect(refusal(() => canonicalNames(names, "x.ckpt"))).toContain(
    `x.ckpt has two models of ${own.length} tensors, under "student." and under "teacher."`,
  );
});

test.for([
  ["Stormer", "net.blocks.0.adaLN_modulation.1.weight"],
  ["Aurora", "encoder.surf_token_embeds.weights.2t"],
  ["FourCastNet", "module.blocks.0.filter.w1"],
  ["Pangu-Weather", "layers.0.blocks.0.attn.earth_specific_bias"],
  ["one patch embedding for all variables", "patch_embed.proj.weight"],
  ["before the published ClimaX", "net.lead_time_embed.0.weight"],
])("another model is named: %s", ([model, name]) => {
  const some = own.filter((one) => !one.startsWith("lead_time_embed."));
  const message = refusal(() => canonicalNames([...some, name!], "x.ckpt"));
  expect(message).toContain(`checkpoint: x.ckpt is no ClimaX: it has "${name}", as `);
  expect(message).toContain(model);
  expect(message).toContain("| only ClimaX's own weights can be read");
});

test("beside a complete ClimaX there may be another model, but its blocks have nothing else", () => {
  const names = own.map((name) => `module.net.${name}`);
  const teacher = ["teacher.cls_token", "teacher.patch_embed.proj.weight"];
  expect(canonicalNames([...names, ...teacher], "x.ckpt").extra).toEqual(teacher);
  const modulated = "module.net.blocks.1.adaLN_modulation.1.weight";
  expect(refusal(() => canonicalNames([...names, modulated], "x.ckpt"))).toContain(
    `x.ckpt is no ClimaX: it has "${modulated}", as Stormer`,
  );
});

test("a file of something else says what it has and what is wanted", () => {
  const names = ["conv1.weight", "bn1.weight", "bn1.bias", "fc.weight", "fc.bias", "norm.weight"];
  expect(refusal(() => canonicalNames(names, "x.ckpt"))).toContain(
    'x.ckpt is no ClimaX: it has "conv1.weight", "bn1.weight", "bn1.bias", "fc.weight", and 2 more; wanted are ' +
      "token_embeds.*, var_embed (or channel_embed) and blocks.*",
  );
  expect(refusal(() => canonicalNames([], "x.ckpt"))).toContain("it has no tensors; wanted are");
});

test("names of any network are found when it is known which it is", () => {
  const config = ResnetConfig.parse({
    ...{ type: "resnet", variables: ["a"], inputs: ["a"], outputs: ["a"], gridShape: [4, 8] },
  });
  const names = namesOf(config);
  const found = canonicalNames(
    names.map((name) => `net.${name}`),
    "x.ckpt",
    names,
  );
  expect([...found.inFile.keys()]).toEqual(names);
  expect(found).toMatchObject({ prefix: "net.", extra: [] });
});

test("many long names cost no more than their length", () => {
  const names = Array.from({ length: 2000 }, (_, i) => `${"a.".repeat(500)}${i}`);
  const begun = performance.now();
  canonicalNames([...names, ...own], "x.ckpt");
  expect(performance.now() - begun).toBeLessThan(2000);
});

const part = fc.constantFrom(
  ...[
    "net",
    "module",
    "_orig_mod",
    "blocks",
    "0",
    "norm1",
    "weight",
    "var_embed",
    "channel_embed",
    "head",
    "x",
    "",
  ],
  ...["pos_embed", "token_embeds", "proj", "n_averaged", "__proto__", "attn", "qkv"],
);

test("whatever the names, each is taken or extra, or all are refused", () => {
  const name = fc.oneof(
    fc.array(part, { maxLength: 6 }).map((parts) => parts.join(".")),
    fc.constantFrom(...own).map((one) => `net.${one}`),
  );
  let taken = 0;
  const property = fc.property(fc.uniqueArray(name, { maxLength: 60 }), (names) => {
    let found: CanonicalNames;
    try {
      found = canonicalNames(names, "x.ckpt");
    } catch (error) {
      expect(error).toBeInstanceOf(ClimaxError);
      return;
    }
    taken++;
    expect([...found.inFile.values(), ...found.extra].sort()).toEqual([...names].sort());
    for (const key of found.inFile.keys()) expect(canonicalNames([key], "x.ckpt", [key]).extra).toEqual([]);
  });
  fc.assert(property, { numRuns: 300, seed: 1 });
  expect(taken).toBeGreaterThan(30);
});
