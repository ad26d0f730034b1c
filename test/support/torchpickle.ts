// Reads pickles as files of PyTorch have them, made of opcodes; and opcodes of what they hold.
import { unpickle } from "../../src/torch/pickle.ts";
import { torchGlobals } from "../../src/torch/torchclasses.ts";
import type { TorchValue } from "../../src/torch/torchvalue.ts";
import { assemble, global, type Op, text, tuple, u8 } from "./picklewriter.ts";
import { refusal } from "./refusal.ts";

/** What a pickle holds, and the names of what was left unbuilt. */
export function load(ops: readonly Op[], allow: readonly string[] = []) {
  const torch = torchGlobals("a.ckpt", allow);
  const { value } = unpickle(assemble(...ops, "STOP"), {
    path: "a.ckpt",
    globals: torch.resolver,
    persistent: torch.storage,
  });
  return { value, unbuilt: [...torch.unbuilt] };
}

export const made = (...ops: Op[]): TorchValue => load(ops).value;

/** What follows the byte in the message, and the hint. */
export const refused = (ops: readonly Op[], allow: readonly string[] = []) =>
  refusal(() => load(ops, allow)).replace(
    /^checkpoint: a\.ckpt holds a pickle that cannot be read: at its byte \d+, \w+ fails: /,
    "",
  );

export const newObject = (module: string, name: string, ...args: Op[][]): Op[] => [
  global(module, name),
  ...tuple(...args),
  "NEWOBJ",
];

export const float64 = (value: number): Op => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return ["BINFLOAT", new Uint8Array(view.buffer)];
};

export const bytes = (...values: number[]): Op => ["SHORT_BINBYTES", u8(values.length), values];

export const pairs = (...entries: (readonly [string, Op[]])[]): Op[] => [
  "EMPTY_DICT",
  "MARK",
  ...entries.flatMap(([key, value]) => [text(key), ...value]),
  "SETITEMS",
];
