import { describe, expect, test } from "vitest";
import { z } from "zod";
import { UnetConfig, unet } from "../../src/model/unet.ts";
import { predict, someFields, start, train, turned } from "../support/fieldnetwork.ts";
import { expectClose } from "../support/gradcheck.ts";
import { expectTorchs, torchSizes } from "../support/torchnumbers.ts";

const config = UnetConfig.parse({
  ...{ type: "unet", variables: ["a", "b", "c"], inputs: ["a", "c"], outputs: ["b", "a"] },
  ...{ gridShape: [4, 8], hidden: 4, multipliers: [1, 2], blocks: 1 },
});

describe.each([
  ["periodic", true],
  ["regional", false],
])("UNet, %s, agrees with torch", (name, periodic) => {
  test.for([
    ["with what it keeps", false],
    ["with blocks run again", true],
  ] as const)("%s", async ([, recompute]) => {
    const sizes = { ...torchSizes, multipliers: [1, 2, 2], blocks: 1, periodic };
    await expectTorchs(unet, UnetConfig.parse({ type: "unet", ...sizes }), `unet, ${name}`, recompute);
  });
});

test("the defaults are the paper's, and widen the channels level by level", () => {
  const paper = UnetConfig.parse({
    ...{ type: "unet", variables: ["a"], inputs: ["a"], outputs: ["a"] },
  });
  const { hidden, multipliers, blocks, dropout, periodic } = paper;
  expect({ hidden, multipliers, blocks, dropout, periodic }).toEqual({
    ...{ hidden: 64, multipliers: [1, 2, 2, 4], blocks: 2, dropout: 0.1, periodic: true },
  });
  const shapes = unet.parameterShapes(paper);
  expect(shapes.get("down.10.res.conv2.conv.weight")).toEqual([1024, 1024, 3, 3]);
  expect(shapes.get("up.2.res.shortcut.weight")).toEqual([256, 1024 + 256, 1, 1]);
  expect(shapes.get("up.3.conv.weight")).toEqual([256, 256, 4, 4]);
});

test("a turn of the globe by points of the coarsest grid turns the forecast, and not in a region", async () => {
  const parameters = start(unet, config);
  const fields = someFields(config, 2);
  const wanted = turned(await predict(unet, config, parameters, fields), 8, 2);
  const forecast = await predict(unet, config, parameters, turned(fields, 8, 2));
  expectClose("forecast", forecast, new Map(wanted.entries()), 1e-5);

  const region = { ...config, periodic: false };
  const fixed = turned(await predict(unet, region, parameters, fields), 8, 2);
  const other = await predict(unet, region, parameters, turned(fields, 8, 2));
  const differences = other.map((value, i) => Math.abs(value - fixed[i]!));
  expect(Math.max(...differences)).toBeGreaterThan(0.01);
});

test("training reduces the loss", async () => {
  const parameters = start(unet, config);
  const losses = await train(unet, { ...config, dropout: 0 }, parameters, { B: 4, steps: 12, rate: 0.02 });
  expect(losses.at(-1)!).toBeLessThan(0.6 * losses[0]!);
});

test("a grid that its levels cannot halve is refused", () => {
  const parsed = UnetConfig.safeParse({ ...config, gridShape: [6, 8], multipliers: [1, 2, 2] });
  expect(z.prettifyError(parsed.error!)).toContain(
    "3 levels halve the grid 2 times, and 4 does not divide 6,8",
  );
});
