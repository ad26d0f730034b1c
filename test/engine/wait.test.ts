import { expect, test } from "vitest";
import { wait } from "../../src/engine/wait.ts";

/** What a call of setImmediate was turned into. */
const kind = (callback: (...args: never[]) => unknown) => {
  const handle = setImmediate(callback as () => void);
  const { name } = handle.constructor;
  // Node counts its immediates; clearImmediate of a timer makes it lose count, and later ones wait for another event.
  if (name === "Immediate") clearImmediate(handle);
  else clearTimeout(handle as unknown as NodeJS.Timeout);
  return name;
};

test("while the device is waited for, native polls slow down, and a program's own callbacks do not", async () => {
  const own = globalThis.setImmediate;
  let resolve = (_: string): void => undefined;
  const waits = [wait(new Promise<string>((r) => (resolve = r))), wait(Promise.resolve("soon"))];
  expect(await waits[1]).toBe("soon");
  const kinds = Array.from({ length: 30 }, () => kind(Math.max));
  expect(kinds).toEqual([...Array(20).fill("Immediate"), ...Array(10).fill("Timeout")]);
  const callback = (): void => undefined;
  expect([kind(callback), kind(callback.bind(undefined))]).toEqual(["Immediate", "Immediate"]);
  resolve("late");
  expect(await waits[0]).toBe("late");
  expect(globalThis.setImmediate).toBe(own);
  await expect(wait(Promise.reject(new Error("lost")))).rejects.toThrow("lost");
  expect(globalThis.setImmediate).toBe(own);
});
