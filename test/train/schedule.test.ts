import { expect, test } from "vitest";
import { readNpz } from "../../src/files/npy.ts";
import { learningRate } from "../../src/train/schedule.ts";

test("the schedule is the reference's, up to where that would climb again", async () => {
  const arrays = await readNpz("test/fixtures/reference/lr-schedule.npz");
  const number = (name: string) => Number(arrays.get(name)!.data[0]);
  const schedule = {
    lr: number("base_lr"),
    warmup: number("warmup"),
    steps: number("max"),
    startLr: number("warmup_start_lr"),
    endLr: number("eta_min"),
  };
  const wanted = Array.from(arrays.get("lr")!.data as Float64Array);
  expect(wanted.length).toBe(130);
  wanted.forEach((lr, step) => {
    const right = step <= schedule.steps ? lr : schedule.endLr;
    // Both are f64 closed forms of a few operations.
    expect(Math.abs(learningRate(step, schedule) / right - 1), `step ${step}`).toBeLessThan(1e-12);
  });
});

test("without a warm-up it starts at the full rate; a warm-up of one step starts low", () => {
  expect(learningRate(0, { lr: 1, warmup: 0, steps: 10 })).toBe(1);
  expect(learningRate(0, { lr: 1, warmup: 1, steps: 10, startLr: 0.25 })).toBe(0.25);
  expect(learningRate(1, { lr: 1, warmup: 1, steps: 10 })).toBe(1);
});

test("a warm-up as long as the run ends at the full rate, then falls to the end rate", () => {
  const schedule = { lr: 1, warmup: 5, steps: 5, endLr: 0.125 };
  expect([4, 5, 6].map((step) => learningRate(step, schedule))).toEqual([1, 0.125, 0.125]);
});
