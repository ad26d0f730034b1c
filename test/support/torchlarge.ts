/** Writes a large checkpoint for PyTorch and prints how far that raised the peak memory of the process, bytes. */
import { writeTorchCheckpoint } from "../../src/torch/torchwrite.ts";
import { peakMemory } from "./peakmemory.ts";

const [path, tensors, megabytes] = process.argv.slice(2) as [string, string, string];
const shape = [Number(megabytes), 2 ** 18];
const small = { name: "small", shape: [1], values: () => new Float32Array(1) };
await writeTorchCheckpoint(path, [small], {}); // all code is loaded
const before = peakMemory();
const sources = Array.from({ length: Number(tensors) }, (_, k) => ({
  name: `tensor${k}`,
  shape,
  values: () => new Float32Array(shape[0]! * shape[1]!).fill(k),
}));
await writeTorchCheckpoint(path, sources, {});
process.stdout.write(String(peakMemory() - before));
