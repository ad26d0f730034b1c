import { expect, test } from "vitest";
import { byteCache } from "../../src/show/bytecache.ts";
import { TooBusy, turns } from "../../src/show/turns.ts";

const sized = async (size: number) => ({ size });
const cacheOf = (limit: number) => byteCache<{ size: number }>(limit, ({ size }) => size);

test("what is kept never goes over the limit, and the least lately asked for goes first", async () => {
  const cache = cacheOf(10);
  await cache.get("a", () => sized(4));
  await cache.get("b", () => sized(4));
  await cache.get("a", () => sized(99)); // is there: not made again
  expect(cache.bytes).toBe(8);
  await cache.get("c", () => sized(4));
  expect(cache.bytes).toBe(8);
  expect(["a", "b", "c"].map((key) => cache.has(key))).toEqual([true, false, true]);
});

test("what is larger than the limit is given and not kept, and drives nothing out", async () => {
  const cache = cacheOf(10);
  await cache.get("a", () => sized(4));
  expect(await cache.get("large", () => sized(11))).toEqual({ size: 11 });
  expect([cache.has("large"), cache.has("a"), cache.bytes]).toEqual([false, true, 4]);
});

test("asked twice at a time it is made once; a failure is told to both and forgotten", async () => {
  const cache = cacheOf(10);
  let made = 0;
  const make = async () => {
    made++;
    if (made === 1) throw new Error("damaged");
    return { size: 1 };
  };
  const both = await Promise.allSettled([cache.get("a", make), cache.get("a", make)]);
  expect([made, ...both.map(({ status }) => status)]).toEqual([1, "rejected", "rejected"]);
  expect(await cache.get("a", make)).toEqual({ size: 1 });
});

test("turns are taken in order, so many at a time; more than may wait are refused", async () => {
  const lanes = turns(2, 1);
  const log: string[] = [];
  const open: (() => void)[] = [];
  const work = (name: string) =>
    lanes.run(async () => {
      log.push(name);
      await new Promise<void>((resolve) => open.push(resolve));
      return name;
    });
  const [a, b, c] = [work("a"), work("b"), work("c")];
  expect([log, lanes.idle]).toEqual([["a", "b"], false]);
  await expect(work("d")).rejects.toThrow(TooBusy);
  open[0]!();
  expect(await a).toBe("a");
  await Promise.resolve();
  expect(log).toEqual(["a", "b", "c"]);
  const ended = lanes.ended().then(() => log.push("ended"));
  open[1]!();
  open[2]!();
  expect(await Promise.all([b, c])).toEqual(["b", "c"]);
  await ended;
  expect([log.at(-1), lanes.idle]).toEqual(["ended", true]);
});

test("work that fails hands its turn on", async () => {
  const lane = turns(1);
  const failing = lane.run(async () => {
    throw new Error("no");
  });
  const next = lane.run(async () => 1);
  await expect(failing).rejects.toThrow("no");
  expect(await next).toBe(1);
});
