// The tasks of the bench in jax-js, compiled with its jit.
import { readFileSync } from "node:fs";
import { report } from "./adapter.mjs";

// Imported only now: by then navigator.gpu is there.
const { defaultDevice, grad, init, jit, nn, numpy: np, random } = await import("@jax-js/jax");
const devices = await init("webgpu");
if (!devices.includes("webgpu")) throw new Error("jax-js finds no WebGPU");
defaultDevice("webgpu");

let seed = 0;
const normal = (...shape) => random.normal(random.key(++seed), shape);
const small = (...shape) => normal(...shape).mul(0.02);

/** Arrays are consumed by what uses them: `.ref` counts one use more. */
const run = (fn) => async () => {
  const results = [fn()].flat();
  await Promise.all(results.map((array) => array.blockUntilReady()));
  for (const array of results) array.dispose();
};

const [a, b] = [normal(512, 1024), normal(1024, 1024)];
const [gain, bias] = [normal(1024), normal(1024)];
const [q, k, v] = [0, 1, 2].map(() => normal(16, 256, 64));
const [w1, w2] = [small(1024, 1024), small(1024, 1024)];

const layernorm = jit((x, weight, shift) => {
  const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }));
  const variance = np.mean(centred.ref.mul(centred.ref), -1, { keepdims: true });
  return centred
    .div(np.sqrt(variance.add(1e-5)))
    .mul(weight)
    .add(shift);
});
const attention = jit((query, key, value) =>
  np.matmul(nn.softmax(np.matmul(query, np.swapaxes(key, 1, 2)).mul(1 / 8), -1), value),
);
const gradient = jit(
  grad(([one, two], x) => {
    const y = np.matmul(nn.gelu(np.matmul(x, one), { approximate: false }), two);
    return np.mean(y.ref.mul(y));
  }),
);

const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
await report(`jax-js ${dependencies["@jax-js/jax"]}`, {
  product: run(() => np.matmul(a.ref, b.ref)),
  layernorm: run(() => layernorm(a.ref, gain.ref, bias.ref)),
  attention: run(() => attention(q.ref, k.ref, v.ref)),
  gradient: run(() => gradient([w1.ref, w2.ref], a.ref)),
});
