import { expect, test } from "vitest";
import { emptyHalf, read, type Tensor, tensor, zeros } from "../../src/engine/tensor.ts";
import { adamw, adamwInTurn, makeScaler } from "../../src/ops/adamw.ts";
import { widen } from "../../src/ops/cast.ts";
import { gpu, uniform } from "../support/gradcheck.ts";
import { half } from "../support/half.ts";

const settings = { rate: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8 };

/** The published update in f64, with the gradient already clipped. */
function reference(
  p: Float64Array,
  m: Float64Array,
  v: Float64Array,
  g: Float64Array,
  t: number,
  decay: number,
): void {
  for (let i = 0; i < p.length; i++) {
    m[i] = settings.beta1 * m[i]! + (1 - settings.beta1) * g[i]!;
    v[i] = settings.beta2 * v[i]! + (1 - settings.beta2) * g[i]! ** 2;
    const mHat = m[i]! / (1 - settings.beta1 ** t);
    const vHat = v[i]! / (1 - settings.beta2 ** t);
    p[i] = p[i]! * (1 - settings.rate * decay) - (settings.rate * mHat) / (Math.sqrt(vHat) + settings.eps);
  }
}

test.for([
  { clip: 0, lengths: [4, 4000] },
  { clip: 0.5, lengths: [256, 20] },
  { clip: 0.5, lengths: [60_000, 8196] }, // several partial sums for each
])("three steps agree with the reference: %o", async ({ clip, lengths }) => {
  const random = uniform(5);
  const groups = lengths.map((length, i) => {
    const p = Float64Array.from({ length }, random);
    const [m, v] = [new Float64Array(length), new Float64Array(length)];
    const [value, grad] = [tensor(gpu, [length], p), tensor(gpu, [length], p)];
    return {
      p,
      m,
      v,
      decay: i === 0 ? 0.1 : 0,
      value,
      grad,
      state: [tensor(gpu, [length], m), tensor(gpu, [length], v)],
    };
  });
  for (let t = 1; t <= 3; t++) {
    const gradients = groups.map(({ p }) => Float64Array.from(p, random));
    const norm = Math.sqrt(gradients.reduce((s, g) => s + g.reduce((a, x) => a + x * x, 0), 0));
    const factor = clip > 0 ? Math.min(1, clip / (norm + 1e-6)) : 1;
    const step = groups.map(({ value, decay, state, p, m, v }, i) => {
      reference(
        p,
        m,
        v,
        gradients[i]!.map((x) => factor * x),
        t,
        decay,
      );
      return { value, grad: tensor(gpu, value.shape, gradients[i]!), m: state[0]!, v: state[1]!, decay };
    });
    const [gpuNorm, gpuFactor] = await read(adamw(gpu, step, { ...settings, clip, t }));
    expect(gpuNorm! / norm).toBeCloseTo(1, 5);
    expect(gpuFactor! / factor).toBeCloseTo(1, 5);
  }
  for (const { value, p } of groups) {
    const actual = await read(value);
    const worst = Math.max(...p.map((x, i) => Math.abs(x - actual[i]!)));
    expect(worst).toBeLessThan(1e-6); // values of size 2 moved by steps of 0.01: a few f32 roundings
  }
});

test("a gradient that is not finite changes nothing", async () => {
  const value = tensor(gpu, [4], [1, 2, 3, 4]);
  const [m, v] = [tensor(gpu, [4], [1, 1, 1, 1]), tensor(gpu, [4], [1, 1, 1, 1])];
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const grad = tensor(gpu, [4], [1, bad, 1, 1]);
    const state = await read(adamw(gpu, [{ value, grad, m, v, decay: 0.1 }], { ...settings, clip: 1, t: 1 }));
    expect(state[1]).toBe(0);
    expect([...(await read(value)), ...(await read(m))]).toEqual([1, 2, 3, 4, 1, 1, 1, 1]);
  }
});

// A launch for one tensor after the other, as software adapters take it and as GPUs do.
test.for([
  { way: "the adapter's", device: gpu, length: 60_004 },
  { way: "the GPUs'", device: { ...gpu, subgroupSize: 0 }, length: 60_004 },
  { way: "the GPUs'", device: { ...gpu, subgroupSize: 0 }, length: 8 },
])(
  "steps in turn, $way way, agree with the reference; what is not finite stays, of $length",
  async ({ device, length }) => {
    const random = uniform(8);
    const values = () => Float64Array.from({ length }, random);
    const [p, m, v] = [values(), new Float64Array(length), new Float64Array(length)];
    const lent = {
      value: tensor(device, [length], p),
      m: tensor(device, [length], m),
      v: tensor(device, [length], v),
      decay: 0.1,
    };
    const small = {
      value: tensor(device, [4], [1, 2, 3, 4]),
      m: zeros(device, [4]),
      v: zeros(device, [4]),
      decay: 0,
    };
    const scale = 1024;
    for (const [step, bad] of [undefined, Number.NaN, undefined].entries()) {
      const g = values();
      const beta = [settings.beta1 ** step, settings.beta2 ** step];
      const scaler = tensor(device, [4], [scale, 5, ...beta]);
      const before = [p, m, v].map((x) => x[3]!);
      reference(p, m, v, g, step + 1, 0.1);
      if (bad !== undefined) for (const [i, x] of [p, m, v].entries()) x[3] = before[i]!;
      const scaled = g.map((x, i) => (bad !== undefined && i === 3 ? bad : scale * x));
      const rest = { ...small, grad: tensor(device, [4], [scale, 0, 0, 0]) };
      const kept = await read(small.value);
      const turn = adamwInTurn(device, 1, [rest], { ...settings, t: 99, scaler, clear: true });
      turn.update({ ...lent, grad: tensor(device, [length], scaled) });
      const state = await read(turn.finish());
      expect(state[1]).toBe(bad === undefined ? 1 / scale : 0);
      if (bad === undefined) expect(state[0]! / Math.hypot(1, ...g)).toBeCloseTo(1, 5);
      const moved = [...(await read(small.value))].map((x, i) => x !== kept[i]);
      expect(moved).toEqual([bad === undefined, false, false, false]);
      expect([...(await read(rest.grad))]).toEqual([0, 0, 0, 0]);
      expect((await read(scaler))[0]).toBe(bad === undefined ? scale : scale / 2);
    }
    const actual = await read(lent.value);
    const worst = Math.max(...p.map((x, i) => Math.abs(x - actual[i]!)));
    expect(worst).toBeLessThan(1e-6); // values of size 2 moved by steps of 0.01: a few f32 roundings
  },
);

test("gradients times a scale make the same steps; one that is not finite halves it and does not count", async () => {
  const random = uniform(6);
  const length = 64;
  const start = Float64Array.from({ length }, random);
  const [p, m, v] = [start.slice(), new Float64Array(length), new Float64Array(length)];
  const group = {
    value: tensor(gpu, [length], start),
    m: tensor(gpu, [length], m),
    v: tensor(gpu, [length], v),
    decay: 0.1,
  };
  const scaler = makeScaler(gpu);
  let t = 0;
  for (const [step, bad] of [true, false, true, false].entries()) {
    const [scale] = await read(scaler);
    expect(scale).toBe([65536, 32768, 32768, 16384][step]);
    const g = Float64Array.from({ length }, random);
    const scaled = g.map((x, i) => (bad && i === 9 ? Number.POSITIVE_INFINITY : scale! * x));
    if (!bad) reference(p, m, v, g, ++t, 0.1);
    const grad = tensor(gpu, [length], scaled);
    const state = await read(adamw(gpu, [{ ...group, grad }], { ...settings, clip: 0, t: step + 1, scaler }));
    expect(state[4]).toBe(scale);
    expect(state[1]).toBe(bad ? 0 : 1 / scale!);
    if (!bad) expect(state[0]! / Math.hypot(...g)).toBeCloseTo(1, 5);
  }
  const actual = await read(group.value);
  for (const [i, x] of p.entries()) expect(actual[i]).toBeCloseTo(x, 6);
});

test("a scale doubles after 2000 sound steps in a row, up to 2^24, and never falls below 1", async () => {
  const one = () => tensor(gpu, [4], [1, 1, 1, 1]);
  const group = { value: one(), m: one(), v: one(), decay: 0 };
  const after = async (state: number[], gradient: number) => {
    const scaler = tensor(gpu, [4], [...state, 0.5, 0.5]);
    const grad = tensor(gpu, [4], [1, gradient, 1, 1]);
    adamw(gpu, [{ ...group, grad }], { ...settings, clip: 0, t: 1, scaler });
    return [...(await read(scaler))].slice(0, 2);
  };
  expect(await after([1024, 1998], 1)).toEqual([1024, 1999]);
  expect(await after([1024, 1999], 1)).toEqual([2048, 0]);
  expect(await after([2 ** 24, 1999], 1)).toEqual([2 ** 24, 0]);
  expect(await after([1024, 1999], Number.NaN)).toEqual([512, 0]);
  expect(await after([1, 5], Number.NaN)).toEqual([1, 0]);
});

test("the gradients are cleared in the same pass if asked, also by a step that is skipped", async () => {
  const value = tensor(gpu, [4], [1, 2, 3, 4]);
  const [m, v] = [tensor(gpu, [4], [0, 0, 0, 0]), tensor(gpu, [4], [0, 0, 0, 0])];
  for (const [first, clear] of [
    [1, false],
    [1, true],
    [Number.NaN, true],
  ] as const) {
    const grad = tensor(gpu, [4], [first, 2, 3, 4]);
    adamw(gpu, [{ value, grad, m, v, decay: 0 }], { ...settings, clip: 0, t: 1, clear });
    expect([...(await read(grad))]).toEqual(clear ? [0, 0, 0, 0] : [first, 2, 3, 4]);
  }
});

test("halves are the values of after the step, also of one that is skipped", async () => {
  const random = uniform(8);
  const length = 1024;
  const fresh = () => tensor(gpu, [length], Float32Array.from({ length }, random));
  for (const bad of [false, true]) {
    const [plain, m, v] = [fresh(), fresh(), tensor(gpu, [length], new Float32Array(length))];
    const value = { ...plain, half: emptyHalf(gpu, [length]) };
    const grad = tensor(gpu, [length], new Float32Array(length).fill(bad ? Number.NaN : 1));
    const before = await read(value);
    adamw(gpu, [{ value, grad, m, v, decay: 0.1 }], { ...settings, clip: 1, t: 1 });
    const after = await read(value);
    expect(after.some((x, i) => x !== before[i])).toBe(!bad);
    expect([...(await read(widen(value.half)))]).toEqual([...after].map(half));
  }
});

test.for([false, true])(
  "a part of the gradients, with the squares of all, takes its part of the step, f16 %s",
  async (scaled) => {
    const random = uniform(7);
    const gradient = Float32Array.from({ length: 4000 }, random);
    const start = Float32Array.from({ length: 4000 }, random);
    const squares = gradient.reduce((sum, g) => sum + g * g, 0);
    const after = async (from: number, to: number, given?: number) => {
      const zeros = new Float32Array(to - from);
      const [value, grad, m, v] = [start.subarray(from, to), gradient.subarray(from, to), zeros, zeros].map(
        (values) => tensor(gpu, [to - from], values),
      ) as [Tensor, Tensor, Tensor, Tensor];
      const scaler = scaled ? { scaler: makeScaler(gpu) } : {};
      const group = { value, grad, m, v, decay: 0.1 };
      const state = adamw(gpu, [group], { ...settings, clip: 0.5, t: 1, ...scaler, squares: given });
      return { state: await read(state), value: await read(value) };
    };
    const whole = await after(0, 4000);
    const parts = [await after(0, 1024, squares), await after(1024, 4000, squares)];
    // The squares of all are added up in f64, not in f32: the last bit of the norm.
    for (const { state } of parts) {
      for (const [i, x] of state.entries()) expect(x / whole.state[i]!).toBeCloseTo(1, 6);
      expect(state[1]).toBeLessThan(1);
    }
    const values = parts.flatMap(({ value }) => [...value]);
    expect(Math.max(...values.map((x, i) => Math.abs(x - whole.value[i]!)))).toBeLessThan(1e-6);
    // Nothing of its own, and squares that f32 does not hold: a skip like any other.
    const scaler = makeScaler(gpu);
    const [, factor] = await read(adamw(gpu, [], { ...settings, clip: 0.5, t: 1, scaler, squares: 1e39 }));
    expect([factor, (await read(scaler))[0]]).toEqual([0, 32768]);
  },
);
