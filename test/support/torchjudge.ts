/** PyTorch as a judge of what we export (torchjudge.py), where a Python has it. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { child } from "../bench/child.ts";

const PROGRAM = fileURLToPath(new URL("torchjudge.py", import.meta.url));
const HAS_IT =
  "import sys\nfrom importlib.util import find_spec\nsys.exit(not (find_spec('torch') and find_spec('numpy')))";

/** The first Python that has PyTorch and numpy, if one has. */
export const torchPython = ["python3", "/usr/bin/python3", "python"].find(
  (python) => spawnSync(python, ["-c", HAS_IT]).status === 0,
);

export interface JudgedTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly contiguous?: boolean;
  /** Of its elements in C order, little-endian. */
  readonly sha256: string;
}

export interface Judgement {
  readonly torch?: string;
  /** Python's class of the state dict. */
  readonly kind?: string;
  readonly says?: Readonly<Record<string, unknown>>;
  readonly tensors?: Readonly<Record<string, JudgedTensor>>;
  /** What torch.load(weights_only=True) made of it: "the same", or why it would not. */
  readonly restricted?: string;
  /** Of the state dict of the network in PyTorch. */
  readonly names?: readonly string[];
  readonly shape?: readonly number[];
}

/** Asks all questions, which torchjudge.py lists, in one process. */
export async function judge(questions: readonly object[]): Promise<Judgement[]> {
  return await child<Judgement[]>(torchPython!, ["-B", PROGRAM], { input: questions });
}
