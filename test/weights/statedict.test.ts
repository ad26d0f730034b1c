import { describe, expect, test } from "vitest";
import type { Dtype } from "../../src/model/dtypes.ts";
import { TorchTensor, type TorchValue, Unbuilt } from "../../src/torch/torchvalue.ts";
import { findStateDict } from "../../src/weights/statedict.ts";
import { refusal } from "../support/refusal.ts";

type Tree = { [key: string]: Made };
type Made = TorchValue | Tree | readonly Made[];

function tensorOf(shape: readonly number[], dtype: Dtype = "F32"): TorchTensor {
  const length = shape.reduce((a, b) => a * b, 1);
  return new TorchTensor({ key: "0", dtype, length }, 0, shape, []);
}

const isPlain = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** Objects as dictionaries of a pickle. */
function pickled(value: Made): TorchValue {
  if (Array.isArray(value)) return value.map((item: Made) => pickled(item));
  if (!isPlain(value)) return value as TorchValue;
  return new Map(Object.entries(value).map(([key, item]) => [key, pickled(item)]));
}

const find = (root: Made, which?: "trained" | "ema", unbuilt: readonly string[] = []) =>
  findStateDict({ path: "x.ckpt", root: pickled(root), unbuilt }, which);

const [a, b, c] = [tensorOf([2]), tensorOf([3]), tensorOf([4])];
const weights: Tree = { "net.a": a, "net.b": b };
const expected = new Map([
  ["net.a", a],
  ["net.b", b],
]);

describe("where the weights are", () => {
  test.for<[string, Tree]>([
    ["torch.save(model.state_dict())", weights],
    ["Lightning", { epoch: 3, state_dict: weights, optimizer_states: [] }],
    ["PyTorch's tutorial", { model_state_dict: weights }],
    ["timm", { model: weights }],
    ["DeepSpeed", { module: weights, dp_world_size: 8 }],
    ["a network by itself", { net: weights }],
    ["one dictionary in another", { model: { state_dict: weights, config: {} } }],
    ["two of them", { model: { module: { state_dict: weights } } }],
    ["beside a tensor at the root", { loss: c, state_dict: weights }],
    ["the first of two", { model: { "x.y": c }, state_dict: weights }],
  ])("found: %s", ([, root]) => {
    expect(find(root).tensors).toEqual(expected);
    expect([...find(root).tensors.values()][0]).toBe(a);
  });

  test("what is no tensor in a state dict is left out and said", () => {
    const { tensors, notes } = find({
      state_dict: { ...weights, "net._extra_state": null, "net.x": [1, 2] },
    });
    expect(tensors).toEqual(expected);
    expect(notes).toEqual(['entries of "state_dict" that are no tensors left out: net._extra_state, net.x']);
  });
});

describe("what holds no weights is refused with the mend", () => {
  const mend = 'save the weights by name: torch.save(model.state_dict(), "weights.pt")';
  test.for<[string, TorchValue, string]>([
    [
      "a whole module",
      new Unbuilt("climax.arch.ClimaX"),
      "checkpoint: x.ckpt holds a whole pickled module, climax.arch.ClimaX, and not its weights by name: to build it " +
        "its code would have to run | load it where it was made and save the weights alone: " +
        'torch.save(model.state_dict(), "weights.pt")',
    ],
    ["a tensor", c, `checkpoint: x.ckpt holds one tensor of [4], not a dictionary of weights | ${mend}`],
    ["a list", [1, 2], `checkpoint: x.ckpt holds a list of 2, not a dictionary of weights | ${mend}`],
    ["None", null, `checkpoint: x.ckpt holds None, not a dictionary of weights | ${mend}`],
    ["a number", 3, `checkpoint: x.ckpt holds a number, not a dictionary of weights | ${mend}`],
  ])("%s", ([, root, message]) => {
    expect(refusal(() => find(root))).toBe(message);
  });

  test("a whole module in a dictionary", () => {
    const root = { epoch: 3, model: new Unbuilt("climax.arch.ClimaX") };
    expect(refusal(() => find(root))).toContain("x.ckpt holds a whole pickled module, climax.arch.ClimaX");
  });

  test("a dictionary of other things", () => {
    expect(refusal(() => find({ epoch: 3, optimizer: { state: { a } } }))).toBe(
      "checkpoint: x.ckpt holds no weights by name; wanted is a dictionary of tensors, alone or under one of " +
        "state_dict, model_state_dict, model, module, net, model_state, network, weights; it has " +
        '"epoch", "optimizer" | save them where they are: torch.save({"state_dict": model.state_dict()}, "weights.ckpt")',
    );
    expect(refusal(() => find({}))).toContain("it has nothing");
  });
});

describe("a running mean beside the weights", () => {
  const mean: Tree = { "net.a": tensorOf([2]), "net.b": tensorOf([3]) };
  const prefixed = (prefix: string, tree: Tree): Tree =>
    Object.fromEntries(Object.entries(tree).map(([key, value]) => [prefix + key, value]));
  const averaged = prefixed("module.", mean);

  test.for<[string, Tree, string]>([
    ["ema", { state_dict: weights, ema: mean }, '"ema"'],
    ["timm's state_dict_ema", { state_dict: weights, state_dict_ema: mean }, '"state_dict_ema"'],
    ["model_ema", { model: weights, model_ema: { state_dict: mean } }, '"model_ema" "state_dict"'],
    ["ema_state_dict", { model_state_dict: weights, ema_state_dict: mean }, '"ema_state_dict"'],
    ["a shadow", { model: weights, ema: { shadow: mean, decay: 0.99 } }, '"ema" "shadow"'],
    [
      "a callback of Lightning",
      { state_dict: weights, callbacks: { "EMA{'decay': 0.999}": { ema_state_dict: mean } } },
      `"callbacks" "EMA{'decay': 0.999}" "ema_state_dict"`,
    ],
    [
      "Lightning's WeightAveraging, which puts the mean where the weights were",
      {
        state_dict: mean,
        current_model_state: weights,
        averaging_state: { n_averaged: tensorOf([], "I64") },
      },
      '"state_dict"',
    ],
    [
      "in the state dict",
      { state_dict: { ...weights, ...prefixed("net_ema.", mean), "net_ema.decay": tensorOf([]) } },
      '"state_dict", "net_ema.*"',
    ],
    [
      "AveragedModel in the state dict",
      { state_dict: { ...weights, "swa.n_averaged": tensorOf([], "I64"), ...prefixed("swa.", averaged) } },
      '"state_dict", "swa.*"',
    ],
  ])("%s", ([, root, where]) => {
    const trained = find(root);
    expect(trained.tensors).toEqual(expected);
    expect([...trained.tensors.values()]).toEqual([a, b]);
    expect([...trained.tensors.values()][0]).toBe(a);
    expect(trained.notes[0]).toBe(
      `a running mean of the weights (EMA) left out: 2 tensors in ${where}; --weights ema reads them`,
    );
    const { tensors, notes } = find(root, "ema");
    expect([...tensors.keys()].map((name) => name.replace(/^(net_ema|swa\.module)\./, ""))).toEqual([
      ...expected.keys(),
    ]);
    expect([...tensors.values()].some((tensor) => tensor === a || tensor === b)).toBe(false);
    expect(notes[0]).toContain("the weights as trained left out: 2 tensors in ");
    expect(find(root, "trained").tensors).toEqual(expected);
  });

  test.for<[string, Tree, string]>([
    ["under ema", { epoch: 1, ema: mean }, '"ema"'],
    ["AveragedModel alone", { n_averaged: tensorOf([], "I64"), ...averaged }, 'the file, "module.*"'],
    [
      "with a few buffers beside it",
      { state_dict: { lat: c, ...prefixed("ema_model.", { ...mean, x: c, y: c }) } },
      '"state_dict", "ema_model.*"',
    ],
  ])("alone it is read, and that is said: %s", ([, root, where]) => {
    const { tensors, notes } = find(root);
    expect([...tensors.keys()].slice(0, 2).map((name) => name.replace(/^(module|ema_model)\./, ""))).toEqual([
      "net.a",
      "net.b",
    ]);
    expect(notes[0]).toBe(`a running mean of the weights (EMA) is all there is (${where}), and was read`);
    expect(refusal(() => find(root, "trained"))).toContain(
      "x.ckpt was to be read for the weights as trained, and has only a running mean of the weights (EMA): ",
    );
  });

  test("asked for where there is none, it is refused", () => {
    expect(refusal(() => find({ state_dict: weights }, "ema"))).toBe(
      "checkpoint: x.ckpt was to be read for a running mean of the weights (EMA), and has only the weights as trained: " +
        '2 tensors in "state_dict" | read those: --weights trained, or leave --weights out',
    );
  });

  test("many averaged modules cost no more than their names", () => {
    const many = new Map<TorchValue, TorchValue>();
    for (let i = 0; i < 20_000; i++) {
      many.set(`m${i}.n_averaged`, a);
      many.set(`m${i}.module.w`, a);
    }
    const begun = performance.now();
    expect(find(new Map([["state_dict", many]])).tensors.size).toBe(20_000);
    expect(performance.now() - begun).toBeLessThan(2000);
  });
});

describe("what is left out", () => {
  test("optimiser states are counted, shared ones once, and other tensors by where they are", () => {
    const moment = tensorOf([1000, 1000]);
    const root = {
      state_dict: weights,
      optimizer_states: [
        { state: { "0": { exp_avg: moment, exp_avg_sq: tensorOf([1000, 1000]), again: moment } } },
      ],
      normalisation: { mean: tensorOf([48], "F64") },
    };
    expect(find(root).notes).toEqual([
      "optimiser states left out: 2 tensors, 8.0 MB",
      '"normalisation" left out: 1 tensor, 0.4 kB',
    ]);
  });

  test("classes that were not built are named", () => {
    const unbuilt = ["a.A", "b.B", "c.C", "d.D", "e.E"];
    expect(find(weights, undefined, unbuilt).notes).toEqual([
      "objects of these classes were not built: a.A, b.B, c.C, d.D and 1 more",
    ]);
  });

  test("names with control characters reach no terminal", () => {
    const red = "\u001b[31m";
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`k${i}`, "x".repeat(3000)]));
    const root = { [red]: { a }, state_dict: { ...weights, [`x${red}`]: 1 }, [`o${red}`]: many };
    const { notes } = find(root, undefined, [`m.${red}`]);
    expect(notes).toHaveLength(4);
    expect(notes.join("\n")).toContain("\\u{1b}[31m");
    expect(notes.join("\n")).not.toContain("\u001b");
    expect(refusal(() => find({ [red]: 1 }))).toContain('it has "\\u{1b}[31m" | ');
  });

  test("values that hold themselves or share one another a million times end", () => {
    const knot = new Map<TorchValue, TorchValue>();
    knot.set("knot", knot);
    let bomb: TorchValue = [1];
    for (let i = 0; i < 40; i++) bomb = [bomb, bomb];
    const root = new Map<TorchValue, TorchValue>([
      ["state_dict", pickled(weights)],
      ["knot", knot],
      ["bomb", bomb],
    ]);
    const { says, notes } = find(root);
    expect(JSON.stringify(says).length).toBeLessThan(200_000);
    expect(notes).toEqual(['cut, as it is long, what the file says in "knot", "bomb"']);
  });
});

describe("what it says", () => {
  test("plain values are kept whole, tensors and optimiser states are not", () => {
    const root = {
      epoch: 3,
      global_step: 2n ** 60n,
      "pytorch-lightning_version": "1.9.0",
      state_dict: weights,
      optimizer_states: [{ param_groups: [{ lr: 1 }] }],
      hyper_parameters: {
        lr: 5e-4,
        best: Number.NaN,
        warm: true,
        none: null,
        path: new Unbuilt("pathlib.PosixPath"),
        raw: Uint8Array.of(1, 2),
        net: { init_args: { default_vars: Array.from({ length: 48 }, (_, i) => `v${i}`) } },
        mean: tensorOf([3]),
      },
      tensors: { only: c },
      loops: {},
    };
    const { says, notes } = find(root);
    expect(JSON.parse(JSON.stringify(says))).toEqual({
      epoch: 3,
      global_step: "1152921504606846976",
      "pytorch-lightning_version": "1.9.0",
      hyper_parameters: {
        ...{
          lr: 5e-4,
          best: "NaN",
          warm: true,
          none: null,
          path: "<pathlib.PosixPath>",
          raw: "<2 bytes>",
        },
        net: { init_args: { default_vars: Array.from({ length: 48 }, (_, i) => `v${i}`) } },
      },
      loops: {},
    });
    expect(notes).toEqual([
      '"hyper_parameters" left out: 1 tensor, 0.0 kB',
      '"tensors" left out: 1 tensor, 0.0 kB',
    ]);
  });

  test("what is long or deep is cut, and that is said; our own description never is", () => {
    let deep: TorchValue = 1;
    for (let i = 0; i < 100; i++) deep = new Map([["deeper", deep]]);
    const long = "x".repeat(100_000);
    const list = Array.from({ length: 10_000 }, (_, i) => i);
    const { says, notes } = find({ state_dict: weights, climax: long, text: long, list, deep, fine: 1 });
    expect(says.climax).toBe(long);
    expect(says.text).toBe(`${"x".repeat(2000)}…`);
    expect(says.list).toEqual([...list.slice(0, 256), "…"]);
    expect(JSON.stringify(says.deep)).toBe(`${'{"deeper":'.repeat(10)}"…"${"}".repeat(10)}`);
    expect(notes).toEqual(['cut, as it is long, what the file says in "text", "list", "deep"']);
  });

  test("keys cannot reach a prototype", () => {
    const evil = new Map<TorchValue, TorchValue>([
      ["__proto__", pickled({ polluted: true })],
      ["constructor", 1],
      [7, "seven"],
      [[1, 2] as TorchValue, "no key"],
    ]);
    const root = new Map<TorchValue, TorchValue>([
      ...evil,
      ["state_dict", pickled(weights)],
      ["inner", evil],
    ]);
    const { says } = find(root);
    expect(Object.keys(says)).toEqual(["7", "constructor", "inner"]);
    expect(Object.keys(says.inner as object)).toEqual(["7", "constructor"]);
    expect(Object.getPrototypeOf(says)).toBeNull();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test("thousands of entries are cut", () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, i]));
    const { says, notes } = find({ state_dict: weights, ...many });
    expect(Object.keys(says).length).toBe(255);
    expect(notes).toEqual(["cut, as it is long, what the file says in 4745 more entries"]);
  });
});
