/** Halves: every one of them exactly, and the nearest of them to any number. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { fromHalf, largestHalf, toHalf } from "../../src/files/half.ts";

const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

describe("halves", () => {
  test("known ones", () => {
    const known: [number, number][] = [
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, largestHalf],
      [0x0400, 2 ** -14],
      [0x0001, 2 ** -24],
      [0x3555, 0.333251953125],
      [0x8000, -0],
      [0x7c00, Infinity],
    ];
    for (const [bits, value] of known) {
      expect(fromHalf(Uint16Array.of(bits))[0]).toBe(value);
      expect(toHalf(value)).toBe(bits);
    }
    expect(fromHalf(Uint16Array.of(0x7e01))[0]).toBeNaN();
    expect(toHalf(Number.NaN)).toBe(0x7e00);
  });

  test("every one comes back from float32 as it was", () => {
    const values = fromHalf(all);
    let wrong = 0;
    for (const [bits, value] of values.entries()) if (!Number.isNaN(value) && toHalf(value) !== bits) wrong++;
    expect(wrong).toBe(0);
  });

  test("between two neighbours the nearer is taken, halfway the even one", () => {
    const values = fromHalf(all.subarray(0, 0x7c00));
    let wrong = 0;
    for (let bits = 0; bits + 1 < values.length; bits++) {
      const [low, high] = [values[bits]!, values[bits + 1]!];
      const middle = (low + high) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      // Three quarters of the way, a quarter, and the middle with its float32 neighbours.
      const nudge = middle * 2 ** -23;
      for (const [value, wanted] of [
        [low + (high - low) / 4, bits],
        [high - (high - low) / 4, bits + 1],
        [middle, even],
        [middle - nudge, bits],
        [middle + nudge, bits + 1],
      ] as const)
        if (toHalf(value) !== wanted || toHalf(-value) !== (wanted | 0x8000)) wrong++;
    }
    expect(wrong).toBe(0);
    expect(toHalf(65_519.99)).toBe(0x7bff);
    expect(toHalf(65_520)).toBe(0x7c00);
    expect(toHalf(-1e30)).toBe(0xfc00);
    expect(toHalf(1e-30)).toBe(0);
  });

  const numpy = spawnSync("python3", ["-c", "import numpy"]).status === 0;
  test.skipIf(!numpy)("as NumPy rounds 100 000 random float32 (skipped without NumPy)", () => {
    const script = `
import numpy, sys
x = numpy.random.default_rng(1).integers(0, 2**32, 100000, dtype=numpy.uint32)
with numpy.errstate(all="ignore"): h = x.view("f4").astype("f2").view("u2")
sys.stdout.buffer.write(x.tobytes() + h.tobytes())`;
    const { stdout } = spawnSync("python3", ["-c", script], { maxBuffer: 1 << 20 });
    const bytes = new Uint8Array(stdout).buffer;
    const [x, h] = [new Float32Array(bytes, 0, 100_000), new Uint16Array(bytes, 400_000)];
    let wrong = 0;
    for (const [i, value] of x.entries()) if (!Number.isNaN(value) && toHalf(value) !== h[i]) wrong++;
    expect(wrong).toBe(0);
  });
});
