import { expect, test } from "vitest";
import { openGpu } from "../../src/engine/device.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { attention } from "../../src/ops/attention.ts";
import { cast } from "../../src/ops/cast.ts";
import { layernorm } from "../../src/ops/layernorm.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { noise } from "./model.ts";
import { canProfile, profile } from "./profile.ts";

const gpu = await openGpu({ timestamps: true });

test.runIf(canProfile(gpu))("a profile has every dispatch with its time, and changes no result", async () => {
  const [a, b] = [tensor(gpu, [32, 64], noise(32 * 64)), tensor(gpu, [64, 48], noise(64 * 48))];
  const [gain, bias] = [tensor(gpu, [48], noise(48)), tensor(gpu, [48], noise(48))];
  const work = () => layernorm(matmul(a, b), gain, bias);
  const plain = await read(work());

  let profiled: ReturnType<typeof work> | undefined;
  const totals = await profile(gpu, () => void (profiled = work()));
  expect(await read(profiled!)).toEqual(plain);
  expect(totals.map(({ name }) => name.split(" ")[0]!.replace(/_.*|\.wgsl/, "")).sort()).toEqual([
    "layernorm",
    "matmul",
  ]);
  const product = totals.find(({ name }) => name.startsWith("matmul"))!;
  expect(product).toMatchObject({ dispatches: 1, flop: 2 * 32 * 48 * 64 });
  expect(product.bytes).toBeGreaterThanOrEqual(4 * (32 * 64 + 64 * 48 + 32 * 48));
  for (const { ms } of totals) expect(ms).toBeGreaterThan(0);

  expect(await read(work())).toEqual(plain); // and ends when it ends
});

test.runIf(canProfile(gpu))("halves count as halves, and attention's products by its sizes", async () => {
  const [B, L, heads, d] = [2, 20, 3, 4];
  const x = tensor(gpu, [1024], noise(1024));
  const [halved] = await profile(gpu, () => void cast(x));
  expect(halved!.bytes).toBe((4 + 2) * 1024);
  const tiles = { ...gpu, subgroupSize: 0 };
  const qkv = tensor(tiles, [B, L, 3 * heads * d], noise(B * L * 3 * heads * d));
  const [flash] = await profile(tiles, () => void attention(qkv, heads));
  expect(flash).toMatchObject({ name: "flash.wgsl forward_queries", flop: 2 * 2 * B * heads * L * L * d });
});
