// Where the time of a training step goes, by kernel, beside what the adapter can do at most.
import type { Context } from "./context.ts";
import { trainingStep } from "./model.ts";
import { describe, fullModel } from "./models.ts";
import { canProfile, type KernelTotal, profile } from "./profile.ts";
import { measureRoofline, type Roofline } from "./roofline.ts";
import { absent, gflops, milliseconds, type Row, timed } from "./rows.ts";

/** The adapter's ceilings alone. */
export async function* roofline(context: Context): AsyncGenerator<Row> {
  const gpu = await context.open();
  yield ceilings(context, await measureRoofline(gpu, context.rounds));
  gpu.device.destroy();
}

/** One step of the paper's model at batch 1, by kernel. */
export async function* kernels(context: Context): AsyncGenerator<Row> {
  const { adapter, rounds, say } = context;
  const spec = fullModel(context);
  const what = `step, ${describe(spec)}`;
  say(`kernels of one ${what}`);
  const gpu = await context.open();
  if (!canProfile(gpu)) {
    yield absent("kernels", adapter, "the adapter has no timestamp-query, so kernels cannot be timed");
    return;
  }
  const limits = await measureRoofline(gpu, rounds);
  yield ceilings(context, limits);
  const step = await trainingStep(gpu, spec);
  for (let i = 0; i < 2; i++) {
    step.call();
    await step.done();
  }
  const start = performance.now();
  const totals = await profile(gpu, step.call);
  const wall = performance.now() - start;
  gpu.device.destroy();
  const sum = totals.reduce((ms, total) => ms + total.ms, 0);
  yield timed({
    what,
    adapter,
    ours: [wall],
    note: `of which ${milliseconds(sum)} ms in kernels, by its clock`,
  });
  for (const total of totals) {
    yield timed({ what: `  ${total.name}`, adapter, ours: [total.ms], note: noteOf(total, sum, limits) });
  }
}

function ceilings({ adapter }: Context, { flops, bandwidth }: Roofline): Row {
  const note = `${milliseconds(flops / 1e9)} GFLOP/s f32 in registers, ${milliseconds(bandwidth / 1e9)} GB/s copying`;
  return absent("ceilings of the adapter", adapter, note);
}

function noteOf({ dispatches, ms, flop, bytes }: KernelTotal, sum: number, limits: Roofline): string {
  const percent = (share: number) => `${milliseconds(100 * share)} %`;
  const parts = [`${percent(ms / sum)} of the step`, `${dispatches} dispatches`];
  if (flop > 0) parts.push(`${gflops(flop, ms)} GFLOP/s (${percent((1000 * flop) / ms / limits.flops)})`);
  parts.push(`${gflops(bytes, ms)} GB/s (${percent((1000 * bytes) / ms / limits.bandwidth)})`);
  return parts.join(", ");
}
