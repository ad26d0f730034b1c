// The tasks of the bench in TensorFlow.js, on its WebGPU backend.
import { createRequire } from "node:module";
import { report } from "./adapter.mjs";

const require = createRequire(import.meta.url);
const tf = require("@tensorflow/tfjs"); // brings the gradients, which tfjs-core alone lacks
require("@tensorflow/tfjs-backend-webgpu");
await tf.setBackend("webgpu");
await tf.ready();

const backend = tf.backend();
const normal = (shape, deviation = 1) => tf.randomNormal(shape, 0, deviation);

/** Runs `fn` and submits what it recorded; the results are let go. */
const submitted = (fn) => () => {
  const results = tf.tidy(fn);
  backend.endComputePassEncoder();
  if (backend.commandEncoder) backend.submitQueue();
  for (const result of [results].flat()) result.dispose();
};

const [a, b] = [normal([512, 1024]), normal([1024, 1024])];
const [gain, bias] = [normal([1024]), normal([1024])];
const [q, k, v] = [0, 1, 2].map(() => normal([16, 256, 64]));
const [w1, w2] = [normal([1024, 1024], 0.02), normal([1024, 1024], 0.02)];

const gelu = (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
const gradient = tf.grads((one, two) => tf.mean(tf.square(tf.matMul(gelu(tf.matMul(a, one)), two))));

await report(`tfjs ${tf.version_core}`, {
  product: submitted(() => tf.matMul(a, b)),
  layernorm: submitted(() => {
    const { mean, variance } = tf.moments(a, -1, true);
    return tf.add(tf.mul(tf.mul(tf.sub(a, mean), tf.rsqrt(tf.add(variance, 1e-5))), gain), bias);
  }),
  attention: submitted(() => tf.matMul(tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / 8)), v)),
  gradient: submitted(() => gradient([w1, w2])),
});
