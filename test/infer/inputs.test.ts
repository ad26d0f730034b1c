/** Whether a state suits a checkpoint, and what is said when it does not. */
import { describe, expect, test } from "vitest";
import { parseTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import {
  checkField,
  checkGrid,
  checkLeads,
  chooseInputs,
  inputsOf,
  type Missing,
} from "../../src/infer/inputs.ts";
import type { States } from "../../src/infer/states.ts";
import type { Checkpoint, CheckpointInfo } from "../../src/model/checkpoint.ts";
import { toyGrid } from "../support/toyset.ts";

const names = ["orography", "2m_temperature", "temperature_850"];

function checkpoint(changes: Partial<CheckpointInfo> = {}): Checkpoint {
  const info = {
    variables: names.map((name) => ({ name, units: "K", mean: 280, std: 5 })),
    grid: { lat: [...toyGrid.lat], lon: [...toyGrid.lon] },
    leads: { min: 6, max: 168, step: 6 },
    ...changes,
  };
  return { path: "best.safetensors", info } as unknown as Checkpoint;
}

const states = (changes: Partial<States>): States =>
  ({ name: "state.nc", grid: toyGrid, variables: names, ...changes }) as States;

function refusal(work: () => unknown): ClimaxError {
  let error: unknown;
  try {
    work();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(ClimaxError);
  return error as ClimaxError;
}

describe("chooseInputs", () => {
  test("all variables of the checkpoint, in its order", () => {
    const all = states({ variables: ["geopotential_500", ...names.toReversed()] });
    for (const missing of ["error", "drop", "mean"] as Missing[])
      expect(chooseInputs(checkpoint(), all, missing)).toEqual(names);
  });

  test("only those that were inputs of a finetuned one", () => {
    const tuned = checkpoint({ inputs: ["2m_temperature"] });
    expect(inputsOf(tuned.info)).toEqual(["2m_temperature"]);
    expect(chooseInputs(tuned, states({ variables: ["2m_temperature"] }), "error")).toEqual([
      "2m_temperature",
    ]);
  });

  test("what is missing is named, left out, or kept to be filled", () => {
    const some = states({ variables: ["temperature_850"] });
    const error = refusal(() => chooseInputs(checkpoint(), some, "error"));
    expect(error.kind).toBe("data");
    expect(error.message).toBe(
      "state.nc lacks orography, 2m_temperature, which best.safetensors was trained with; it has temperature_850",
    );
    expect(error.hint).toContain("--missing drop");
    expect(chooseInputs(checkpoint(), some, "drop")).toEqual(["temperature_850"]);
    expect(chooseInputs(checkpoint(), some, "mean")).toEqual(names);
  });

  test("nothing at all is no state, whatever may be missing", () => {
    for (const missing of ["error", "drop", "mean"] as Missing[]) {
      const error = refusal(() => chooseInputs(checkpoint(), states({ variables: [] }), missing));
      expect(error.message).toContain("it has none of its variables");
      expect(error.hint).toBe("the checkpoint wants orography, 2m_temperature, temperature_850");
    }
  });
});

describe("checkGrid", () => {
  test("the same grid, to the rounding of files", () => {
    const rounded = makeGrid(
      toyGrid.lat.map(Math.fround),
      toyGrid.lon.map((x) => x + 1e-5),
    );
    checkGrid(checkpoint(), states({ grid: rounded }));
  });

  test.each([
    ["another resolution", regularGrid(45), "4 x 8, 45 degrees"],
    [
      "another origin",
      makeGrid(
        toyGrid.lat,
        toyGrid.lon.map((x) => x + 11.25),
      ),
      "8 x 16, 22.5 degrees",
    ],
  ])("%s is refused, with the command that helps", (_, grid, words) => {
    const error = refusal(() => checkGrid(checkpoint(), states({ grid })));
    expect(error.kind).toBe("grid");
    expect(error.message).toContain("best.safetensors is for 8 x 16, 22.5 degrees, state.nc is on ");
    expect(error.message).toContain(words);
    expect(error.hint).toBe("climax regrid IN --res 22.5 -o OUT brings it there");
  });

  test("the resolution is written as people write it", () => {
    const { lat, lon } = regularGrid(1.40625);
    const error = refusal(() =>
      checkGrid(checkpoint({ grid: { lat: [...lat], lon: [...lon] } }), states({})),
    );
    expect(error.hint).toContain("--res 1.40625 ");
    const coarse = regularGrid(30);
    const other = checkpoint({ grid: { lat: [...coarse.lat], lon: [...coarse.lon] } });
    expect(refusal(() => checkGrid(other, states({}))).hint).toContain("--res 30 ");
  });
});

describe("checkLeads", () => {
  test("anything within the range", () => {
    checkLeads(checkpoint(), [6, 7, 168]);
    checkLeads(checkpoint({ leads: [24, 72] }), [72, 24]);
  });

  test.each<[CheckpointInfo["leads"], number, string]>([
    [{ min: 6, max: 168, step: 6 }, 174, "6h to 7d; 174h is not among them"],
    [{ min: 6, max: 168, step: 6 }, 5, "6h to 7d; 5h is not among them"],
    [[24, 72], 48, "24h, 3d; 48h is not among them"],
  ])("outside of %j, %d h", (leads, lead, words) => {
    const error = refusal(() => checkLeads(checkpoint({ leads }), [24, lead]));
    expect(error.kind).toBe("config");
    expect(error.message).toBe(`best.safetensors was trained for leads of ${words}`);
    expect(error.hint).toContain("finetune");
  });
});

describe("checkField", () => {
  const about = (missing: Missing) => ({
    name: "2m_temperature",
    mean: 280,
    time: parseTime("2018-01-01T06", "standard"),
    from: "state.nc",
    missing,
  });

  test("whole fields pass untouched", () => {
    const field = Float32Array.of(270, 290);
    for (const missing of ["error", "drop", "mean"] as Missing[]) checkField(field, about(missing));
    expect([...field]).toEqual([270, 290]);
  });

  test("gaps are filled with the mean only when that was asked for", () => {
    const gaps = () => Float32Array.of(270, Number.NaN, Number.POSITIVE_INFINITY);
    const field = gaps();
    checkField(field, about("mean"));
    expect([...field]).toEqual([270, 280, 280]);
    for (const missing of ["error", "drop"] as Missing[]) {
      const error = refusal(() => checkField(gaps(), about(missing)));
      expect(error.message).toBe("state.nc: 2m_temperature at 2018-01-01T06:00:00 has 2 missing values of 3");
      expect(error.hint).toContain("--missing mean");
    }
  });
});
