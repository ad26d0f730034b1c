// The paper's model at the batches of a GPU, against the twin on the same GPU: time and memory of a training step.
import type { Precision } from "../../src/engine/device.ts";
import { script } from "./child.ts";
import type { Context } from "./context.ts";
import { DEFAULT, flagsOf, type Way } from "./model.ts";
import { describe, fullModel } from "./models.ts";
import type { OwnAnswer, OwnTask } from "./ownmodel.ts";
import { absent, memory, type Row, timed } from "./rows.ts";
import type { ModelSpec, Twin, TwinAnswer } from "./twin.ts";

const WAYS: readonly Way[] = [
  DEFAULT,
  { ...DEFAULT, early: false },
  { ...DEFAULT, recompute: "hidden" },
  { ...DEFAULT, recompute: true },
];

/** Of the twin: as the original computes, and with what PyTorch has come to offer since. */
const TWINS = [
  { how: "eager", fused: false, compile: false },
  { how: "eager, fused attention", fused: true, compile: false },
  { how: "torch.compile, fused attention", fused: true, compile: true },
] as const;

interface Peer {
  readonly name: string;
  readonly answer: TwinAnswer;
}

/**
 * Every batch and precision, in all ways that trade time for memory; the twin eager and compiled. Each measurement has a
 * process of its own: none inherits another's memory, and one that runs out of it ends alone.
 */
export async function* gpu(context: Context): AsyncGenerator<Row> {
  const { adapter, batches, precisions } = context;
  const twins = await context.twins();
  if (typeof twins === "string") yield absent("gpu", adapter, twins);
  const twin = typeof twins === "string" ? undefined : twins[0];
  for (const batch of batches) {
    const spec = { ...fullModel(context), batch };
    for (const precision of precisions) {
      const peers = twin ? yield* twinSteps(context, twin, spec, precision) : [];
      yield* ownSteps(context, spec, precision, peers);
    }
  }
}

/** What the twin took in every way; a row for what it could not run. */
async function* twinSteps(
  { adapter, rounds, say }: Context,
  twin: Twin,
  spec: ModelSpec,
  precision: Precision,
): AsyncGenerator<Row, Peer[]> {
  const cuda = /nvidia/i.test(adapter) && twin.cuda;
  const device = cuda ? "cuda" : "cpu";
  const peers: Peer[] = [];
  if (!cuda && precision === "f16") {
    yield absent(`${precision} step, ${describe(spec)}`, adapter, "no peer: the twin has f16 on CUDA only");
    return peers;
  }
  for (const { fused, compile, ...way } of cuda ? TWINS : TWINS.slice(0, 1)) {
    const how = `${precision}, ${way.how}`;
    say(`gpu: PyTorch, batch ${spec.batch}, ${how}`);
    try {
      const answer = await twin.run({ ...spec, task: "step", rounds, device, precision, fused, compile });
      peers.push({ name: `${twin.name(answer)}, ${how}`, answer });
    } catch (error) {
      yield absent(`step, ${describe(spec)}`, adapter, (error as Error).message, `PyTorch, ${how}`);
    }
  }
  return peers;
}

async function* ownSteps(
  { adapter, adapterOption, rounds, say }: Context,
  spec: ModelSpec,
  precision: Precision,
  peers: readonly Peer[],
): AsyncGenerator<Row> {
  for (const way of WAYS) {
    const what = `${precision} step, ${describe(spec)}${flagsOf(way)}`;
    say(`gpu: ${what}`);
    const input: OwnTask = { ...spec, ...way, adapter: adapterOption, precision, rounds };
    let own: OwnAnswer;
    try {
      own = await script<OwnAnswer>("ownmodel.ts", { input });
    } catch (error) {
      yield absent(what, adapter, (error as Error).message);
      continue;
    }
    const note = `${Math.round((1000 * spec.batch) / Math.min(...own.ms))} samples/s`;
    if (peers.length === 0) yield timed({ what, adapter, ours: own.ms, note });
    for (const { name, answer } of peers) {
      yield timed({ what, adapter, ours: own.ms, peer: { name, ms: answer.ms }, note });
    }
    const room = `device memory of the ${what}`;
    const onDevice = peers.filter(({ answer }) => answer.device !== "CPU"); // elsewhere it is a whole process's
    if (onDevice.length === 0) yield memory(room, adapter, own.pool_bytes);
    for (const { name, answer } of onDevice) {
      yield memory(room, adapter, own.pool_bytes, { name, bytes: answer.peak_bytes });
    }
  }
}
