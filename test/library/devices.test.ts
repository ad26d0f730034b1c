/** Devices that models share: opened once, worked on in turn, given back. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { done, free, read, tensor } from "../../src/engine/tensor.ts";
import { type Lease, leaseDevice } from "../../src/library/devices.ts";
import { add } from "../../src/ops/elementwise.ts";

const nothing = () => undefined;

test("models of one adapter and precision share a device, until the last gives it back", async () => {
  const [one, two] = await Promise.all([leaseDevice(undefined, "f32"), leaseDevice(undefined, "f32")]);
  expect(two.gpu).toBe(one.gpu);
  const large = tensor(one.gpu, [1 << 20], new Float32Array(1 << 20));
  await done(one.gpu);
  const held = one.gpu.pool.bytes.made;
  await one.end(() => free(large));
  expect(one.gpu.pool.bytes.made).toBeLessThanOrEqual(held - 4 * 2 ** 20); // not kept for later
  expect(await read(tensor(two.gpu, [2], [3, 4]))).toEqual(Float32Array.of(3, 4));
  await two.end(nothing);
  expect(await two.gpu.device.lost).toMatchObject({ reason: "destroyed" });

  const next = await leaseDevice(undefined, "f32");
  expect(next.gpu).not.toBe(one.gpu);
  await next.end(nothing);
});

test("another precision, or another adapter, is another device", async () => {
  const plain = await leaseDevice(undefined, "f32");
  const others = [await leaseDevice(undefined, "f16"), await leaseDevice("software", "f32")];
  for (const other of others) expect(other.gpu).not.toBe(plain.gpu);
  for (const each of [plain, ...others]) await each.end(nothing);
});

test("work is done in turn, and what fails stops nothing else", async () => {
  const leases: Lease[] = [await leaseDevice(undefined, "f32"), await leaseDevice(undefined, "f32")];
  const log: string[] = [];
  const work =
    (name: string, fails = false) =>
    async () => {
      log.push(`${name} begins`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      log.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    };
  const results = await Promise.allSettled([
    leases[0]!.alone(work("a")),
    leases[1]!.alone(work("b", true)),
    leases[0]!.alone(work("c")),
    leases[1]!.end(nothing),
    leases[0]!.end(nothing),
  ]);
  expect(results.map(({ status }) => status)).toEqual([
    ...["fulfilled", "rejected", "fulfilled", "fulfilled", "fulfilled"],
  ]);
  expect(log).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
});

test("after one that could not be opened, the next is asked for anew", async () => {
  for (let i = 0; i < 2; i++)
    await expect(leaseDevice("no such GPU", "f32")).rejects.toMatchObject({ kind: "device" });
  const lease = await leaseDevice(undefined, "f32");
  await lease.end(nothing);
});

test("a device that was given back is forgotten, and what was compiled for it", async () => {
  const used = async (): Promise<WeakRef<object>> => {
    const lease = await leaseDevice(undefined, "f32");
    const { gpu } = lease;
    const sum = tensor(gpu, [4], [1, 2, 3, 4]);
    expect(await read(add(sum, sum))).toEqual(Float32Array.of(2, 4, 6, 8));
    await lease.end(nothing);
    await gpu.device.lost;
    return new WeakRef(gpu);
  };
  const gone = await used();
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 10 && gone.deref(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 10)); // nothing seen in this turn is collected in it
    collect();
  }
  expect(gone.deref()).toBeUndefined();
});
