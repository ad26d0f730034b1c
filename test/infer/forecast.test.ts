/** The forecast file: every prediction at its place, described so that others can read it, whole or not there. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { addHours, formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { sameGrid } from "../../src/grid/grid.ts";
import { type ForecastJob, forecast, type Model } from "../../src/infer/forecast.ts";
import { Predictor } from "../../src/infer/predictor.ts";
import { openStates, type States } from "../../src/infer/states.ts";
import type { Checkpoint } from "../../src/model/checkpoint.ts";
import { gpu } from "../support/gpu.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { toyGrid, toyNames, toyStart } from "../support/toyset.ts";

const cells = 128;
let root: string;
let out: string;
let checkpoint: Checkpoint;
let predictor: Predictor;
let states: States;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-forecast-"));
  out = mkdtempSync(join(root, "out-"));
  checkpoint = await writeToyCheckpoint(join(root, "checkpoint.safetensors"));
  predictor = await Predictor.load(gpu, checkpoint);
  states = await openStates([await writeToyStates(join(root, "states.nc"))], ["orography", ...toyNames]);
});
afterAll(async () => {
  await states.close();
  await checkpoint.close();
  rmSync(root, { recursive: true });
});

const all = ["orography", ...toyNames];
const model = (inputs: readonly string[] = all): Model => ({
  info: checkpoint.info,
  inputs,
  use: (work) => work(predictor),
});
const job = (changes: Partial<ForecastJob> = {}): ForecastJob => ({
  models: [model()],
  states,
  steps: [1, 3, 4],
  leads: [24, 72],
  outputs: toyNames,
  missing: "error",
  batchSize: 4,
  output: join(out, "forecast.nc"),
  attributes: { Conventions: "CF-1.11", synthetic: "true", climax_adapter: gpu.name },
  signal: new AbortController().signal,
  ...changes,
});

/** What the predictor says of one state, from fields given by name. */
async function predicted(
  step: number,
  lead: number,
  fill: Record<string, number> = {},
  names: readonly string[] = all,
) {
  const fields = new Float32Array(names.length * cells);
  for (const [v, name] of names.entries()) {
    const field =
      fill[name] === undefined ? await states.read(step, name) : new Float32Array(cells).fill(fill[name]);
    fields.set(field, v * cells);
  }
  const values = await predictor.predict({ variables: names, fields, leadHours: [lead] }, toyNames);
  return new Map(toyNames.map((name, v) => [name, values.subarray(v * cells, (v + 1) * cells)]));
}

/** A batch and one state alone may sum in another order: rounding of values of 280. */
function expectSame(found: Float32Array, wanted: Float32Array): void {
  expect(found).toHaveLength(wanted.length);
  for (const [i, value] of found.entries()) expect(Math.abs(value - wanted[i]!)).toBeLessThan(2e-4);
}

async function read(path: string, name: string, initial: number, lead: number): Promise<Float32Array> {
  const file = await openForecastFile(path);
  try {
    return await file.fields.get(name)!.read(initial, lead);
  } finally {
    await file.close();
  }
}

test("the predictions of the toy tell states, leads and inputs apart", async () => {
  const far = async (a: Map<string, Float32Array>, b: Map<string, Float32Array>) => {
    for (const [name, values] of a)
      expect(Math.max(...values.map((value, i) => Math.abs(value - b.get(name)![i]!)))).toBeGreaterThan(0.1);
  };
  const one = await predicted(1, 24);
  await far(one, await predicted(3, 24));
  await far(one, await predicted(1, 72));
  await far(one, await predicted(1, 24, { "2m_temperature": 284 }));
  await far(one, await predicted(1, 24, {}, toyNames));
});

describe("the file", () => {
  test("has every prediction at its initial time and lead", async () => {
    const done: [number, number][] = [];
    await forecast(job({ onProgress: (...progress) => done.push(progress) }));
    expect(done).toEqual([
      [4, 6],
      [6, 6],
    ]);
    const file = await openForecastFile(job().output);
    expect(file.initial.map(formatTime)).toEqual([6, 18, 24].map((h) => formatTime(addHours(toyStart, h))));
    expect(file.leads).toEqual([24, 72]);
    expect(sameGrid(file.grid, toyGrid)).toBe(true);
    expect([...file.fields.keys()].toSorted()).toEqual(toyNames);
    expect(file).toMatchObject({ system: "climax", synthetic: true, notes: [] });
    for (const [t, step] of [1, 3, 4].entries()) {
      for (const [l, lead] of [24, 72].entries()) {
        const wanted = await predicted(step, lead);
        for (const [name, { units, read: readField }] of file.fields) {
          expect(units).toBe("K");
          expectSame(await readField(t, l), wanted.get(name)!);
        }
      }
    }
    await file.close();
    expect(readdirSync(out)).toEqual(["forecast.nc"]);
  });

  test("says in CF what is what", async () => {
    const dataset = await openDataset(job().output);
    expect(dataset.format).toBe("NetCDF-4");
    expect(Object.fromEntries(dataset.dimensions)).toEqual({
      time: 3,
      prediction_timedelta: 2,
      latitude: 8,
      longitude: 16,
      bnds: 2,
    });
    const attributes = (name: string) => Object.fromEntries(dataset.variables.get(name)!.attributes);
    const values = async (name: string) => [...(await dataset.variables.get(name)!.readUnpacked())];
    expect(attributes("time")).toMatchObject({
      standard_name: "forecast_reference_time",
      units: "hours since 1970-01-01 00:00:00",
      calendar: "standard",
    });
    expect(attributes("prediction_timedelta")).toMatchObject({
      standard_name: "forecast_period",
      units: "hours",
    });
    expect(await values("prediction_timedelta")).toEqual([24, 72]);
    expect(attributes("valid_time")).toMatchObject({ standard_name: "time", calendar: "standard" });
    const origin = toyStart.seconds / 3600;
    expect(await values("time")).toEqual([6, 18, 24].map((h) => origin + h));
    expect(dataset.variables.get("valid_time")!.dimensions).toEqual(["time", "prediction_timedelta"]);
    expect(await values("valid_time")).toEqual([30, 78, 42, 90, 48, 96].map((h) => origin + h));
    expect(await values("latitude")).toEqual([...toyGrid.lat]);
    const latBounds = await values("latitude_bnds");
    expect([latBounds[0], latBounds[1], latBounds.at(-1)]).toEqual([-90, -67.5, 90]);
    const lonBounds = await values("longitude_bnds");
    expect(lonBounds.slice(0, 4)).toEqual([-11.25, 11.25, 11.25, 33.75]);
    const t850 = dataset.variables.get("temperature_850")!;
    expect(t850.dimensions).toEqual(["time", "prediction_timedelta", "latitude", "longitude"]);
    expect(t850.dtype).toBe("float32");
    expect(attributes("temperature_850")).toMatchObject({
      long_name: "temperature at 850 hPa",
      standard_name: "air_temperature",
      units: "K",
      pressure_level_hPa: 850,
      coordinates: "valid_time",
    });
    expect(attributes("2m_temperature").pressure_level_hPa).toBeUndefined();
    expect(Object.fromEntries(dataset.attributes)).toMatchObject({
      Conventions: "CF-1.11",
      synthetic: "true",
      climax_adapter: gpu.name,
    });
    await dataset.close();
  });

  test("is the same for any number of states at once", async () => {
    const output = join(out, "one.nc");
    await forecast(job({ batchSize: 1, output }));
    for (const [t, l] of [
      [0, 0],
      [1, 1],
      [2, 0],
    ] as const) {
      for (const name of toyNames)
        expectSame(await read(output, name, t, l), await read(job().output, name, t, l));
    }
    rmSync(output);
  });

  test("has only the outputs asked for", async () => {
    const output = join(out, "t850.nc");
    await forecast(job({ outputs: ["temperature_850"], steps: [3], leads: [72], output }));
    const file = await openForecastFile(output);
    expect([...file.fields.keys()]).toEqual(["temperature_850"]);
    await file.close();
    expectSame(
      await read(output, "temperature_850", 0, 0),
      await read(job().output, "temperature_850", 1, 1),
    );
    rmSync(output);
  });
});

describe("what is missing", () => {
  const lacking = (name: string): States => ({
    ...states,
    variables: states.variables.filter((other) => other !== name),
    read: (step, other) => {
      expect(other).not.toBe(name);
      return states.read(step, other);
    },
  });

  test("a variable left out does not enter", async () => {
    const output = join(out, "drop.nc");
    await forecast(
      job({
        states: lacking("2m_temperature"),
        models: [model(["orography", "temperature_850"])],
        missing: "drop",
        output,
      }),
    );
    const wanted = await predicted(4, 24, {}, ["orography", "temperature_850"]);
    expectSame(await read(output, "2m_temperature", 2, 0), wanted.get("2m_temperature")!);
    rmSync(output);
  });

  test("a variable by its mean enters as that", async () => {
    const output = join(out, "mean.nc");
    await forecast(job({ states: lacking("2m_temperature"), missing: "mean", output }));
    const wanted = await predicted(4, 72, { "2m_temperature": 284 });
    expectSame(await read(output, "temperature_850", 2, 1), wanted.get("temperature_850")!);
    rmSync(output);
  });

  test("cells without a value are refused half way, and nothing is left", async () => {
    const broken: States = {
      ...states,
      read: async (step, name) => {
        const field = await states.read(step, name);
        if (step === 4 && name === "2m_temperature") field[7] = Number.NaN;
        return field;
      },
    };
    const output = join(out, "broken.nc");
    const error: unknown = await forecast(job({ states: broken, batchSize: 1, output })).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(ClimaxError);
    expect((error as ClimaxError).message).toContain(
      "2m_temperature at 2001-01-02T00:00:00 has 1 missing values of 128",
    );
    expect(readdirSync(out)).toEqual(["forecast.nc"]);
    await forecast(job({ states: broken, missing: "mean", output }));
    const field = await read(output, "2m_temperature", 2, 0);
    expect(field.every(Number.isFinite)).toBe(true);
    rmSync(output);
  });
});

describe("what goes wrong", () => {
  test("a roll-out that ends in infinities is refused where it does, and nothing is left", async () => {
    let calls = 0;
    const predict: Predictor["predict"] = async ({ leadHours }, names) =>
      new Float32Array(leadHours.length * names.length * cells).fill(++calls < 3 ? 1e30 : Infinity);
    const wild: Model = { ...model(), use: (work) => work({ predict } as unknown as Predictor) };
    const output = join(out, "wild.nc");
    const rollout = { intervals: [12], separately: false };
    const work = forecast(job({ models: [wild], steps: [1], leads: [12, 24, 36], rollout, output }));
    await expect(work).rejects.toThrow(
      "the roll-out from 2001-01-01T06:00:00 has no finite 2m_temperature any more at 36h",
    );
    expect(readdirSync(out)).toEqual(["forecast.nc"]);
  });

  test("an interrupted forecast leaves nothing", async () => {
    const stop = new AbortController();
    const output = join(out, "stopped.nc");
    const work = forecast(
      job({ output, batchSize: 1, signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) }),
    );
    await expect(work).rejects.toThrow("enough");
    expect(readdirSync(out)).toEqual(["forecast.nc"]);
  });

  test("a place that cannot be written is said before anything is computed", async () => {
    const output = join(out, "nowhere", "forecast.nc");
    const error: unknown = await forecast(
      job({ output, onProgress: () => expect.unreachable("it was computed") }),
    ).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ClimaxError);
    expect((error as ClimaxError).message).toContain("forecast.nc");
  });
});
