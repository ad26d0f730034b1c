import { expect, test } from "vitest";
import { makeArena } from "../../src/engine/arena.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { free, read, write } from "../../src/engine/tensor.ts";
import { adamw, adamwInTurn } from "../../src/ops/adamw.ts";
import { widen } from "../../src/ops/cast.ts";
import { groupOf, momentsOf } from "../../src/train/moments.ts";
import { gpu, uniform } from "../support/gradcheck.ts";
import { half } from "../support/half.ts";

// A GPU whose products read weights as f16 keeps those beside the weights.
const tensorCores: Gpu = { ...gpu, precision: "f16", matrices: true };
const settings = { rate: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, t: 1 };

test.for(["of all segments", "of one parameter after the other"])(
  "the halves of parameters follow a step %s",
  async (way) => {
    const random = uniform(3);
    const specs = [5, 300, 7].map((length, i) => ({
      ...{ name: `p${i}`, shape: [length] },
      group: i === 1 ? "plain" : "decayed",
    }));
    const { parameters, segments } = makeArena(tensorCores, specs);
    for (const t of parameters.values())
      for (const part of [t, t.grad!]) write(part, Float32Array.from({ length: t.shape[0]! }, random));
    const before = await read(parameters.get("p2")!);
    const groups = momentsOf(
      tensorCores,
      segments.map((segment) => ({ ...segment, decay: 0.1 })),
    );
    if (way === "of all segments") {
      const whole = groups.map((group, i) => ({ ...group, grad: segments[i]!.grad }));
      free(adamw(tensorCores, whole, { ...settings, clip: 1 }));
    } else {
      const turn = adamwInTurn(tensorCores, parameters.size, [], settings);
      for (const t of parameters.values()) turn.update(groupOf(groups, t));
      free(turn.finish());
    }
    expect(await read(parameters.get("p2")!)).not.toEqual(before);
    for (const t of parameters.values())
      expect([...(await read(widen(t.half!)))]).toEqual([...(await read(t))].map(half));
  },
);
