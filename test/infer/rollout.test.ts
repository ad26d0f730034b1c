/** Roll-outs of a model whose steps can be followed by hand, and the checkpoints that cannot be rolled out. */
import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { checkRollout, countPasses, type Roll, rollout } from "../../src/infer/rollout.ts";
import type { Checkpoint, CheckpointInfo } from "../../src/model/checkpoint.ts";

/** Two cells; "a" grows by the hours of the step, plus the constant; "b", which is no input, is ten times that step. */
function roll(changes: Partial<Roll> = {}) {
  const calls: { hours: number; names: readonly string[]; pass: number }[] = [];
  const settings: Roll = {
    inputs: ["constant", "a"],
    outputs: ["b", "a"],
    cells: 2,
    intervals: [6],
    leads: [6, 12, 24],
    predicted: ["a"],
    step: async (fields, hours, names, pass) => {
      calls.push({ hours, names, pass });
      const B = fields.length / 4;
      const out = new Float32Array(B * names.length * 2);
      for (let b = 0; b < B; b++)
        for (const [v, name] of names.entries())
          for (let i = 0; i < 2; i++) {
            const [constant, a] = [fields[b * 4 + i]!, fields[b * 4 + 2 + i]!];
            out[(b * names.length + v) * 2 + i] = name === "a" ? a + hours + constant : 10 * hours;
          }
      return out;
    },
    ...changes,
  };
  return { settings, calls };
}

/** Two states: constants 0, 1 and 2, 3; a from 100 and 200 on. */
const initial = Float32Array.of(0, 1, 100, 100, 2, 3, 200, 200);

async function all(settings: Roll) {
  const found: [number, number[]][] = [];
  for await (const { lead, fields } of rollout(initial, settings)) found.push([lead, [...fields]]);
  return found;
}

describe("rollout", () => {
  test("each step starts from the one before, and constants are carried along", async () => {
    const { settings, calls } = roll();
    // [B, outputs, cells]; after k steps a has grown by k (6 + constant).
    expect(await all(settings)).toEqual([
      [6, [60, 60, 106, 107, 60, 60, 208, 209]],
      [12, [60, 60, 112, 114, 60, 60, 216, 218]],
      [24, [60, 60, 124, 128, 60, 60, 232, 236]],
    ]);
    expect(calls.map(({ pass }) => pass)).toEqual([0, 1, 2, 3]);
    expect(calls[0]!.names).toEqual(["a", "b"]);
    expect(countPasses([6], [6, 12, 24])).toBe(4);
  });

  test("of several steps, a lead is the mean over those that reach it", async () => {
    const { settings, calls } = roll({ intervals: [6, 12, 24], leads: [12, 24, 36] });
    const found = await all(settings);
    // By 6 h: 2, 4, 6 steps; by 12 h: 1, 2, 3; by 24 h: 1 at 24 h only. Cell 1 of the first state has constant 1.
    expect(found.map(([lead, fields]) => [lead, fields[0], fields[2], fields[3]])).toEqual([
      [12, 90, 112, 112 + (2 + 1) / 2],
      [24, (600 + 1200 + 2400) / 30, 124, expect.closeTo(124 + (4 + 2 + 1) / 3, 4)],
      [36, 90, 136, 136 + (6 + 3) / 2],
    ]);
    expect(calls).toHaveLength(countPasses([6, 12, 24], [12, 24, 36]));
    expect(countPasses([6, 12, 24], [12, 24, 36])).toBe(6 + 3 + 1);
  });

  test("what is predicted but carried along is not fed back", async () => {
    const { settings } = roll({ predicted: [], outputs: ["b"] });
    expect((await all(settings)).map(([, fields]) => fields[0])).toEqual([60, 60, 60]);
  });

  test("leads come as they are reached", async () => {
    const { settings, calls } = roll();
    const steps = rollout(initial, settings);
    await steps.next();
    expect(calls).toHaveLength(1);
    await steps.next();
    expect(calls).toHaveLength(2);
    await steps.return(undefined);
  });
});

describe("checkRollout", () => {
  const checkpoint = (changes: Partial<CheckpointInfo> = {}): Checkpoint =>
    ({
      path: "best.safetensors",
      info: {
        task: { kind: "forecast" },
        outputs: ["2m_temperature", "temperature_850"],
        leads: { min: 6, max: 24, step: 6 },
        ...changes,
      },
    }) as unknown as Checkpoint;
  const states = {
    constants: ["soil_type"],
    variables: ["orography", "soil_type", "2m_temperature", "temperature_850"],
  };
  const asked = { inputs: states.variables, intervals: [6], leads: [72], separately: false };
  const refusal = (changes: Partial<CheckpointInfo>, other: Partial<typeof asked> = {}, with_ = states) => {
    try {
      checkRollout(checkpoint(changes), with_, { ...asked, ...other });
    } catch (error) {
      expect(error).toBeInstanceOf(ClimaxError);
      return error as ClimaxError;
    }
    throw new Error("it was not refused");
  };

  test("all that changes is predicted; constants need not be, by nature or by the input's word", () => {
    checkRollout(checkpoint(), states, asked);
    const word = { constants: ["geopotential_500"], variables: [...states.variables, "geopotential_500"] };
    checkRollout(checkpoint(), word, { ...asked, inputs: word.variables });
  });

  test("a variable that is not predicted is named", () => {
    const error = refusal({ outputs: ["temperature_850"] });
    expect(error.message).toBe(
      "best.safetensors needs 2m_temperature at every step of a roll-out, and does not predict it",
    );
    expect(error.hint).toContain("--data.outputs");
  });

  test("a step that was not trained, a lead that no step reaches, a task without states", () => {
    expect(refusal({ leads: [24] }).message).toBe(
      "best.safetensors was trained for leads of 24h; 6h is not among them",
    );
    expect(refusal({}, { leads: [72, 75] }).message).toBe("a lead of 75h is no multiple of the step 6h");
    expect(refusal({}, { intervals: [12, 18], leads: [30] }).message).toBe(
      "a lead of 30h is no multiple of any of the steps 12h, 18h",
    );
    expect(refusal({}, { intervals: [6, 12], leads: [6], separately: true }).message).toBe(
      "a lead of 6h is no multiple of each of the steps 6h, 12h",
    );
    expect(refusal({ task: { kind: "mean", hours: 336 } }).message).toBe(
      "best.safetensors was trained for means over 14d, which cannot be the state of a next step",
    );
  });
});
