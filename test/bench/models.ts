// The model against its PyTorch twin: training step, forward pass, memory of a whole process.

import { bundledScript } from "./child.ts";
import { clock } from "./clock.ts";
import type { Context } from "./context.ts";
import { DEFAULT, flagsOf, forwardPass, trainingStep } from "./model.ts";
import type { OwnAnswer, OwnTask } from "./ownmodel.ts";
import { absent, memory, type Row, timed } from "./rows.ts";
import type { ModelSpec } from "./twin.ts";

const globe = { height: 32, width: 64, patch: 2 };

/** The paper's model, and two that train on two cores in reasonable time. */
const MODELS: readonly ModelSpec[] = [
  { ...globe, variables: 48, dim: 1024, depth: 8, heads: 16, batch: 1 },
  { ...globe, variables: 12, dim: 256, depth: 4, heads: 8, batch: 4 },
  { ...globe, variables: 12, dim: 128, depth: 4, heads: 4, batch: 8 },
];

export const TINY: ModelSpec = { ...globe, variables: 3, dim: 32, depth: 1, heads: 4, batch: 2 };

export function describe({ variables, dim, depth, heads, batch }: ModelSpec): string {
  return `V ${variables} D ${dim} depth ${depth} heads ${heads} batch ${batch}`;
}

/** The paper's model, or the tiny one in its place. */
export function fullModel({ tiny }: Context): ModelSpec {
  return tiny ? TINY : MODELS[0]!;
}

/** Training step and forward pass: our rounds lie before, between and after those of the twins, so we have more of them. */
export async function* models(context: Context): AsyncGenerator<Row> {
  const { adapter, rounds, say } = context;
  const twins = await context.twins();
  if (typeof twins === "string") yield absent("models", adapter, twins);
  for (const spec of context.tiny ? [TINY] : MODELS) {
    for (const task of ["step", "forward"] as const) {
      const what = `${task}, ${describe(spec)}`;
      say(what);
      const gpu = await context.open();
      const ourSide = task === "step" ? await trainingStep(gpu, spec) : forwardPass(gpu, spec);
      const measure = () => clock(ourSide.call, ourSide.done, Math.ceil(rounds / 2));
      const ours = await measure();
      const answers = [];
      for (const twin of typeof twins === "string" ? [] : twins) {
        const answer = await twin.run({ ...spec, task, rounds });
        answers.push({ name: twin.name(answer), ms: answer.ms });
        ours.push(...(await measure()));
      }
      gpu.device.destroy();
      if (answers.length === 0) yield timed({ what, adapter, ours });
      for (const peer of answers) yield timed({ what, adapter, ours, peer });
    }
  }
}

/** Largest resident set of a whole process that trains, each side in one of its own. */
export async function* processMemory(context: Context): AsyncGenerator<Row> {
  const { adapter, adapterOption, say } = context;
  const spec = fullModel(context);
  const what = `peak memory of a training process, ${describe(spec)}`;
  const twins = await context.twins();
  if (typeof twins === "string") yield absent("memory", adapter, twins);
  const twin = typeof twins === "string" ? undefined : twins[0]!;
  let peer: { name: string; bytes: number } | undefined;
  if (twin) {
    say("memory of the twin");
    const answer = await twin.run({ ...spec, task: "step", rounds: 2 });
    peer = { name: twin.name(answer), bytes: answer.peak_bytes };
  }
  for (const recompute of [false, "hidden", true] as const) {
    const way = { ...DEFAULT, recompute };
    const flags = flagsOf(way);
    say(`${what}${flags}`);
    const task: OwnTask = { ...spec, ...way, adapter: adapterOption, precision: "f32", rounds: 1 };
    const own = await bundledScript<OwnAnswer>("ownmodel.ts", { input: task });
    yield memory(`${what}${flags}`, adapter, own.peak_bytes, peer);
  }
}
