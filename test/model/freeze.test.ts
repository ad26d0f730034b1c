import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { readNpz } from "../../src/files/npy.ts";
import { freezable, frozenNames } from "../../src/model/freeze.ts";

const names = [
  ...["var_embed", "var_query", "pos_embed", "time_pos_embed", "time_query", "token_embeds.0.proj.weight"],
  ...["var_agg.out_proj.bias", "lead_time_embed.bias", "blocks.11.norm1.weight", "blocks.11.attn.qkv.weight"],
  ...["blocks.0.mlp.fc1.bias", "norm.bias", "head.0.weight", "patch_embed.proj.weight"],
];

test.for<[string[], string[]]>([
  [["attention"], ["blocks.11.attn.qkv.weight"]],
  [["mlp"], ["blocks.0.mlp.fc1.bias"]],
  [["norms"], ["blocks.11.norm1.weight", "norm.bias"]],
  [
    ["embedding"],
    [
      "var_embed",
      "var_query",
      "token_embeds.0.proj.weight",
      "var_agg.out_proj.bias",
      "patch_embed.proj.weight",
    ],
  ],
  [["position"], ["pos_embed", "time_pos_embed"]],
  [
    ["lead", "head"],
    ["lead_time_embed.bias", "head.0.weight"],
  ],
  [["encoder"], ["blocks.11.attn.qkv.weight", "blocks.0.mlp.fc1.bias"]],
  [["blocks"], ["blocks.11.norm1.weight", "blocks.11.attn.qkv.weight", "blocks.0.mlp.fc1.bias"]],
  [[], []],
])("%s are parts", ([parts, wanted]) => {
  expect([...frozenNames(names, parts)]).toEqual(wanted);
});

test("an encoder is frozen as in the reference", async () => {
  const path = "test/fixtures/reference/projection-frozen";
  const { trainable } = JSON.parse(await readFile(`${path}.json`, "utf8")) as { trainable: string[] };
  const arrays = await readNpz(`${path}.npz`);
  const all = [...arrays.keys()].flatMap((key) => key.match(/^param\/(.*)/)?.[1] ?? []);
  const frozen = frozenNames(all, ["encoder"]);
  expect(frozen.size).toBeGreaterThan(0);
  expect(all.filter((name) => !frozen.has(name))).toEqual(trainable);
});

test("an unknown part is refused with those there are", () => {
  expect(() => frozenNames(names, ["atention"])).toThrow('unknown part to freeze "atention"');
  try {
    frozenNames(names, ["atention"]);
  } catch (error) {
    expect(error).toMatchObject({ kind: "config" });
    expect((error as { hint: string }).hint).toBe(`did you mean "attention"? Known: ${freezable.join(", ")}`);
  }
});
