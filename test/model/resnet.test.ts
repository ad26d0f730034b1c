import { describe, expect, test } from "vitest";
import { z } from "zod";
import { Random } from "../../src/engine/random.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { ResnetConfig, resnet } from "../../src/model/resnet.ts";
import { predict, someFields, start, train, turned } from "../support/fieldnetwork.ts";
import { expectClose, gpu } from "../support/gradcheck.ts";
import { expectTorchs, torchSizes } from "../support/torchnumbers.ts";

const config = ResnetConfig.parse({
  ...{ type: "resnet", variables: ["a", "b", "c"], inputs: ["a", "c"], outputs: ["b", "a"] },
  ...{ gridShape: [4, 8], hidden: 8, blocks: 2 },
});

describe.each([
  ["periodic", true],
  ["regional", false],
])("ResNet, %s, agrees with torch", (name, periodic) => {
  test.for([
    ["with what it keeps", false],
    ["with blocks run again", true],
  ] as const)("%s", async ([, recompute]) => {
    const sizes = ResnetConfig.parse({ type: "resnet", ...torchSizes, blocks: 1, periodic });
    await expectTorchs(resnet, sizes, `resnet, ${name}`, recompute);
  });
});

test("the defaults are the paper's", () => {
  const { hidden, blocks, dropout, residual, periodic, gridShape } = ResnetConfig.parse({
    ...{ type: "resnet", variables: ["a"], inputs: ["a"], outputs: ["a"] },
  });
  expect({ hidden, blocks, dropout, residual, periodic, gridShape }).toEqual({
    ...{ hidden: 128, blocks: 28, dropout: 0.1, residual: false, periodic: true, gridShape: [32, 64] },
  });
});

test("a turn of the globe turns the forecast, and not in a region", async () => {
  const parameters = start(resnet, config);
  const fields = someFields(config, 2);
  const wanted = turned(await predict(resnet, config, parameters, fields), 8, 3);
  const forecast = await predict(resnet, config, parameters, turned(fields, 8, 3));
  expectClose("forecast", forecast, new Map(wanted.entries()), 1e-5);

  const region = { ...config, periodic: false };
  const fixed = turned(await predict(resnet, region, parameters, fields), 8, 3);
  const other = await predict(resnet, region, parameters, turned(fields, 8, 3));
  const differences = other.map((value, i) => Math.abs(value - fixed[i]!));
  expect(Math.max(...differences)).toBeGreaterThan(0.01);
});

test("outputs are chosen and ordered as asked, and added to their inputs where it predicts changes", async () => {
  const parameters = start(resnet, config);
  const fields = someFields(config, 2);
  const both = await predict(resnet, config, parameters, fields); // [2, (b, a), 4, 8]
  const a = await predict(resnet, config, parameters, fields, { outputs: ["a"] });
  expect(a).toEqual(both.filter((_, i) => Math.floor(i / 32) % 2 === 1));
  const swapped = await predict(resnet, config, parameters, fields, { outputs: ["a", "b"] });
  expect(swapped).toEqual(both.map((_, i) => both[Math.floor(i / 32) % 2 === 0 ? i + 32 : i - 32]!));

  const residual = await predict(resnet, { ...config, residual: true }, parameters, fields);
  const sum = both.map((value, i) => (Math.floor(i / 32) % 2 === 1 ? value + fields[i - 32]! : value));
  expectClose("state", residual, new Map(sum.entries()), 1e-6);
});

test("starting values are PyTorch's, each from its own stream", () => {
  const values = resnet.initialise(config, 1);
  const bound = (name: string) => Math.max(...values.get(name)!.map(Math.abs));
  expect(bound("image_proj.conv.weight")).toBeLessThanOrEqual(1 / Math.sqrt(2 * 49));
  expect(bound("image_proj.conv.weight")).toBeGreaterThan(0.95 / Math.sqrt(2 * 49));
  expect(bound("blocks.0.conv1.conv.bias")).toBeLessThanOrEqual(1 / Math.sqrt(8 * 9));
  expect(bound("blocks.0.conv1.conv.bias")).toBeGreaterThan(0.5 / Math.sqrt(8 * 9));
  expect(new Set(values.get("norm.weight"))).toEqual(new Set([1]));
  expect(new Set(values.get("norm.bias"))).toEqual(new Set([0]));
  expect(new Set(values.get("norm.running_mean"))).toEqual(new Set([0]));
  expect(new Set(values.get("norm.running_var"))).toEqual(new Set([1]));
  const wider = resnet.initialise({ ...config, blocks: 3 }, 1, new Set(["final.conv.weight"]));
  expect([...wider.keys()]).toEqual(["final.conv.weight"]);
  expect(wider.get("final.conv.weight")).toEqual(values.get("final.conv.weight"));
});

test("training reduces the loss and moves the running moments", async () => {
  const parameters = start(resnet, config);
  const losses = await train(resnet, { ...config, dropout: 0 }, parameters, { B: 4, steps: 12, rate: 0.02 });
  expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!);
  expect(Math.max(...(await read(parameters.get("norm.running_mean")!)).map(Math.abs))).toBeGreaterThan(0.01);
});

test("dropout drops; without gradients it leaves the running moments alone", async () => {
  const parameters = start(resnet, config);
  const fields = someFields(config, 1);
  const plain = await predict(resnet, config, parameters, fields);
  const one = await predict(resnet, config, parameters, fields, { random: new Random(1, 1) });
  const two = await predict(resnet, config, parameters, fields, { random: new Random(1, 2) });
  expect(one).not.toEqual(plain);
  expect(one).not.toEqual(two);
  expect(await predict(resnet, config, parameters, fields)).toEqual(plain);
});

describe("it refuses", () => {
  const parameters = start(resnet, config);
  const x = tensor(gpu, [1, 2, 4, 8], new Float32Array(64));
  const input = { x, variables: [0, 2], outputs: [1, 0], leadHours: [24] };
  const forward = (changed: Partial<typeof input>) =>
    resnet.forward(parameters, config, { ...input, ...changed }, {});

  test.for([[[2, 0]], [[0]], [[0, 1]]])("variables %s instead of its inputs", ([variables]) => {
    expect(() => forward({ variables: variables! })).toThrow(
      "this network reads a, c, all of them in that order",
    );
  });

  test("an output it does not predict", () => {
    expect(() => forward({ outputs: [2] })).toThrow("this network predicts b, a, not c");
  });

  test("fields of another grid", () => {
    expect(() => forward({ x: tensor(gpu, [1, 2, 4, 4], new Float32Array(32)) })).toThrow(
      "forward: x is [1,2,4,4], expected [1,2,4,8]",
    );
  });

  test("a config of inputs that are no variables, or listed twice", () => {
    const parsed = ResnetConfig.safeParse({ ...config, inputs: ["a", "d"], outputs: ["b", "b"] });
    const message = z.prettifyError(parsed.error!);
    expect(message).toContain('"d" is not among the variables');
    expect(message).toContain('"b" is listed twice');
  });
});
