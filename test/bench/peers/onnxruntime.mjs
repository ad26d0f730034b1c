// The tasks of the bench in onnxruntime-node, on its WebGPU provider, which brings a Dawn of its own. Inputs and results
// are copied from and to the CPU in every run: it has no other way in Node. It does not train.
import { json } from "node:stream/consumers";
import ort from "onnxruntime-node";
import { clock } from "../clock.ts";
import { attribute, model, node } from "./onnx.mjs";

const { rounds } = await json(process.stdin);

const product = model(
  [node("MatMul", ["a", "b"], "y")],
  { a: [512, 1024], b: [1024, 1024] },
  { y: [512, 1024] },
);
const layernorm = model(
  [
    node("LayerNormalization", ["x", "gain", "bias"], "y", [
      attribute.int("axis", 1),
      attribute.float("epsilon", 1e-5),
    ]),
  ],
  { x: [512, 1024], gain: [1024], bias: [1024] },
  { y: [512, 1024] },
);
const head = [16, 256, 64];
const attention = model(
  [
    node("Transpose", ["k"], "turned", [attribute.ints("perm", [0, 2, 1])]),
    node("MatMul", ["q", "turned"], "raw"),
    node("Mul", ["raw", "factor"], "scores"),
    node("Softmax", ["scores"], "weights", [attribute.int("axis", 2)]),
    node("MatMul", ["weights", "v"], "y"),
  ],
  { q: head, k: head, v: head, factor: [1] },
  { y: head },
);

const tasks = {
  product: [product, { a: [512, 1024], b: [1024, 1024] }],
  layernorm: [layernorm, { x: [512, 1024], gain: [1024], bias: [1024] }],
  attention: [attention, { q: head, k: head, v: head, factor: [1] }],
};
const measured = { gradient: { why: "it does not train" } };
for (const [task, [bytes, shapes]] of Object.entries(tasks)) {
  try {
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["webgpu"] });
    const feeds = Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => {
        const length = shape.reduce((product, n) => product * n, 1);
        const values = Float32Array.from({ length }, () => Math.random() - 0.5);
        return [name, new ort.Tensor("float32", values, shape)];
      }),
    );
    const ms = await clock(
      () => session.run(feeds),
      async () => undefined,
      rounds,
    );
    measured[task] = { ms };
  } catch (error) {
    measured[task] = { why: error.message.split("\n")[0] };
  }
}
const version = ort.env.versions.node;
console.log(JSON.stringify({ name: `onnxruntime-node ${version}, host copies included`, tasks: measured }));
process.exit(0); // its threads stay otherwise
