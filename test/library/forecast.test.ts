/** Forecasts of the library: the numbers of the command, and what is refused. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { cropper } from "../../src/grid/crop.ts";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import {
  ClimaxError,
  type Fields,
  type Forecast,
  type ForecastOptions,
  forecast,
  loadModel,
  type Model,
  readState,
} from "../../src/index.ts";
import { climax } from "../support/climax.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { writeToyNetwork } from "../support/toynetwork.ts";
import { tinyModel } from "../support/toyrun.ts";
import { toyGrid, toyNames, writeToySet } from "../support/toyset.ts";

let root: string;
let input: string;
let model: Model;
let start: Record<string, Float32Array>;
const at = (name: string) => join(root, name);
const cells = toyGrid.lat.length * toyGrid.lon.length;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-library-"));
  await (await writeToyCheckpoint(at("best.safetensors"))).close();
  input = await writeToyStates(at("states.nc"));
  model = await loadModel(at("best.safetensors"));
  start = { ...(await readState(model, input, { time: "2001-01-01T12" })).fields };
});
afterAll(async () => {
  await model.close();
  rmSync(root, { recursive: true });
});

/** What `climax forecast` writes, [time, lead, H, W] by variable. */
async function commanded(from: string, ...argv: string[]): Promise<Map<string, Float32Array>> {
  const output = at(`${crypto.randomUUID()}.nc`);
  const { code, err } = await climax("forecast", "--input", from, ...argv, "-o", output, "--quiet");
  expect(code, err).toBe(0);
  const dataset = await openDataset(output);
  try {
    const fields = new Map<string, Float32Array>();
    for (const name of toyNames)
      fields.set(name, Float32Array.from(await dataset.variables.get(name)!.readUnpacked()));
    return fields;
  } finally {
    await dataset.close();
  }
}

const refusal = async (options: Partial<ForecastOptions> | Record<string, unknown>): Promise<ClimaxError> => {
  const all = { state: start, leadHours: 24, ...options } as ForecastOptions;
  const error = await forecast(model, all).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ClimaxError);
  return error as ClimaxError;
};

describe("a forecast has the very numbers that climax forecast writes", () => {
  test("directly, for each state and lead, whatever the batches and the order of leads", async () => {
    const written = await commanded(
      input,
      "--checkpoint",
      model.path,
      "--time",
      "2001-01",
      "--lead",
      "24h,72h",
    );
    const times = ["00", "06", "12", "18"].map((hour) => `2001-01-01T${hour}`);
    const state: Fields[] = [];
    for (const time of [...times, "2001-01-02"]) state.push((await readState(model, input, { time })).fields);
    for (const batchSize of [undefined, 3]) {
      const forecasts = await forecast(model, { state, leadHours: [72, 24], batchSize });
      expect(forecasts.map((one) => [one.state, one.leadHours])).toEqual(
        state.flatMap((_, i) => [
          [i, 72],
          [i, 24],
        ]),
      );
      for (const { state: i, leadHours, fields, units, grid } of forecasts) {
        expect(Object.keys(fields)).toEqual(toyNames);
        expect(units).toEqual({ "2m_temperature": "K", temperature_850: "K" });
        expect(grid).toEqual({ lat: [...toyGrid.lat], lon: [...toyGrid.lon] });
        for (const name of toyNames) {
          const from = (2 * i + (leadHours === 72 ? 1 : 0)) * cells;
          expect(fields[name]).toEqual(written.get(name)!.subarray(from, from + cells));
        }
      }
    }
  });

  test("in steps, also as the mean over two kinds of steps", async () => {
    const argv = ["--checkpoint", model.path, "--time", "2001-01-01T12", "--lead", "12h,24h"];
    for (const rollout of [6, [6, 12]]) {
      const steps = [rollout].flat().map((hours) => `${hours}h`);
      const written = await commanded(input, ...argv, "--rollout", steps.join());
      const forecasts = await forecast(model, { state: start, leadHours: [12, 24], rollout });
      for (const [l, { fields }] of forecasts.entries())
        for (const name of toyNames)
          expect(fields[name]).toEqual(written.get(name)!.subarray(l * cells, (l + 1) * cells));
    }
  });

  test("where variables are left out, or their mean is put, also into single cells", async () => {
    const file = await writeToyStates(at("few.nc"), { names: toyNames, hours: [12] });
    const { fields: few } = await readState(model, file);
    expect(Object.keys(few)).toEqual(toyNames);
    const before = Float32Array.from(few["2m_temperature"]!);
    const gap = before.slice().fill(Number.NaN, 7, 9);
    for (const missing of ["drop", "mean"] as const) {
      const written = await commanded(
        file,
        ...["--checkpoint", model.path, "--lead", "24h", "--missing", missing],
      );
      const [ahead] = await forecast(model, { state: few, leadHours: 24, missing });
      for (const name of toyNames) expect(ahead!.fields[name]).toEqual(written.get(name));
    }
    expect(few["2m_temperature"]).toEqual(before);
    const state = { ...few, "2m_temperature": gap };
    const filled = { ...few, "2m_temperature": before.slice().fill(284, 7, 9) };
    const [one] = await forecast(model, { state, leadHours: 24, missing: "mean" });
    const [other] = await forecast(model, { state: filled, leadHours: 24, missing: "mean" });
    expect(one!.fields).toEqual(other!.fields);
    expect(gap.subarray(7, 9)).toEqual(Float32Array.of(Number.NaN, Number.NaN));
  });

  test("with a model of means, and in f16 where the adapter has it", async () => {
    const path = at("weekly.safetensors");
    await (await writeToyCheckpoint(path, { task: { kind: "mean", hours: 168 }, leads: [168] })).close();
    await using weekly = await loadModel(path, { precision: "f16" });
    expect(weekly).toMatchObject({ averageHours: 168, leads: [168], precision: "f16" });
    const argv = ["--checkpoint", path, "--time", "2001-01-01T12", "--lead", "7d", "--precision", "f16"];
    const written = await commanded(input, ...argv);
    const [ahead] = await forecast(weekly, { state: start, leadHours: 168 });
    for (const name of toyNames) expect(ahead!.fields[name]).toEqual(written.get(name));
  });
});

describe("calls at once", () => {
  test("are done in turn, by one model or several, with the same numbers", async () => {
    await using other = await loadModel(model.path);
    const leads = [6, 12, 18, 24];
    const alone: Forecast[] = [];
    for (const leadHours of leads) alone.push(...(await forecast(model, { state: start, leadHours })));
    const together = await Promise.all(
      leads.map((leadHours, i) => forecast(i % 2 ? model : other, { state: start, leadHours })),
    );
    expect(together.flat()).toEqual(alone);
  });

  test("are waited for by close; a model that is closed is refused", async () => {
    const other = await loadModel(model.path);
    const state = await readState(other, input, { time: "2001-01-01T12" });
    let done = false;
    const pending = forecast(other, { state: state.fields, leadHours: 24 }).then(([ahead]) => {
      done = true;
      return ahead!.fields;
    });
    await vi.dynamicImportSettled(); // the call is in the queue
    await Promise.all([other.close(), other.close()]);
    expect(done).toBe(true);
    expect(await pending).toEqual((await forecast(model, { state: start, leadHours: 24 }))[0]!.fields);
    for (const use of [forecast(other, { state: start, leadHours: 24 }), readState(other, input)])
      await expect(use).rejects.toMatchObject({
        kind: "config",
        message: `the model of ${model.path} is closed`,
        hint: "close a model when its last forecast is done, or load it again",
      });
    const promised = loadModel(model.path);
    await expect(
      forecast(promised as unknown as Model, { state: start, leadHours: 24 }),
    ).rejects.toMatchObject({
      message: "this is no model of loadModel",
      hint: "pass what `await loadModel(path)` gives, not the promise",
    });
    await (await promised).close();
  });
});

describe("a state", () => {
  test("is read in the model's names, units and direction, with its time", async () => {
    const southward = await writeToyStates(at("southward.nc"), {
      southward: true,
      synthetic: true,
      hours: [6],
    });
    const state = await readState(model, southward);
    expect(state).toMatchObject({ time: "2001-01-01T06:00:00", calendar: "standard", synthetic: true });
    const there = await readState(model, [input], { time: "2001-01-01T06" });
    expect(state.fields).toEqual(there.fields);
    expect(there).toMatchObject({ synthetic: false, notes: [] });
    expect(Object.keys(there.fields)).toEqual(model.inputs);
  });

  test("of a region's model is cut out of the globe, and says so", async () => {
    const grid = makeGrid(
      toyGrid.lat.slice(4, 8),
      [0, 1, 2, 3, 14, 15].map((i) => toyGrid.lon[i]!),
    );
    const axes = { lat: [...grid.lat], lon: [...grid.lon] };
    const config = { ...tinyModel, region: { rows: [2, 3], columns: [0, 1, 7] } };
    const path = await writeToyNetwork(at("north.safetensors"), config, {
      grid: axes,
      region: "0..90,310..70",
    });
    await using north = await loadModel(path);
    expect(north).toMatchObject({ region: "0..90,310..70", grid: axes });
    const { fields, notes } = await readState(north, input, { time: "2001-01-01T12" });
    expect(notes).toEqual([
      expect.stringMatching(/states\.nc cut to 0\.\.90,310\.\.70: .*4 x 6.*, of .*8 x 16/),
    ]);
    const cut = cropper(toyGrid, grid)!;
    expect(fields["2m_temperature"]).toEqual(cut(start["2m_temperature"]!));
    const [ahead] = await forecast(north, { state: fields, leadHours: 24 });
    expect(ahead!.fields["2m_temperature"]).toHaveLength(24);
  });

  test("may be a Map, of f64 or plain numbers, and of more than enters", async () => {
    const [usual] = await forecast(model, { state: start, leadHours: 24 });
    const other = new Map<string, Float64Array | number[]>([
      ...Object.entries(start).map(([name, field]) => [name, Float64Array.from(field)] as const),
      ["orography", Array.from(start.orography!)],
    ]);
    const [same] = await forecast(model, { state: other, leadHours: 24, outputs: ["2m_temperature"] });
    expect(same!.fields).toEqual({ "2m_temperature": usual!.fields["2m_temperature"] });
    const path = at("two.safetensors");
    await (await writeToyCheckpoint(path, { inputs: toyNames })).close();
    await using two = await loadModel(path);
    const { orography, ...rest } = start;
    const [without] = await forecast(two, { state: rest, leadHours: 24 });
    const [with_] = await forecast(two, { state: { ...rest, orography: orography! }, leadHours: 24 });
    expect(with_!.fields).toEqual(without!.fields);
  });

  test("of a prepared set is one of its test split", async () => {
    const set = await writeToySet(at("set"), { names: ["orography", ...toyNames] });
    const state = await readState(model, set, { time: "2001-02-01T00" });
    expect(state).toMatchObject({ time: "2001-02-01T00:00:00", synthetic: true });
    expect(state.fields["2m_temperature"]).toHaveLength(cells);
  });
});

describe("what is refused, in one paragraph with its mend", () => {
  const field = new Float32Array(cells);
  const toy = () => start;
  const gappy = () => ({ ...start, temperature_850: start.temperature_850!.slice().fill(Number.NaN, 3, 5) });

  test.for<[string, () => Record<string, unknown>, Partial<ClimaxError>]>([
    [
      "a misspelt variable",
      () => ({ state: { ...toy(), "2m_temprature": field } }),
      {
        kind: "config",
        message: 'unknown variable in the state "2m_temprature"',
        hint: 'did you mean "2m_temperature"? Known: orography, 2m_temperature, temperature_850',
      },
    ],
    [
      "another name of a variable of its",
      () => ({ state: { ...toy(), t2m: field } }),
      {
        kind: "config",
        message: 'unknown variable in the state "t2m"',
        hint: 'write "2m_temperature", the model\'s own name of it',
      },
    ],
    [
      "a field of another length",
      () => ({ state: { ...toy(), "2m_temperature": new Float32Array(2048) } }),
      {
        kind: "shape",
        message: "the state: 2m_temperature has 2048 values; wanted 128, [8, 16] by latitude and longitude",
        hint: "give every field on the grid of the model (model.grid) in one array, row after row from south to north",
      },
    ],
    [
      "a field that is no array",
      () => ({ state: [toy(), { ...toy(), orography: 5 }] }),
      {
        kind: "shape",
        message:
          "state 1: orography is a number, not an array of numbers; wanted 128, [8, 16] by latitude and longitude",
      },
    ],
    [
      "a variable too few",
      () => ({ state: { "2m_temperature": field } }),
      {
        kind: "data",
        message: expect.stringMatching(
          /^the state lacks orography, temperature_850, which \S+best\.safetensors was trained with; it has 2m_temperature$/,
        ) as unknown as string,
        hint: 'give them, or missing: "drop" to leave them out, missing: "mean" to put their training mean',
      },
    ],
    [
      "no variable at all",
      () => ({ state: {}, missing: "mean" }),
      {
        kind: "data",
        message: expect.stringMatching(/it has none of its variables$/) as unknown as string,
        hint: "the model wants orography, 2m_temperature, temperature_850",
      },
    ],
    [
      "states that differ",
      () => ({ state: [toy(), { "2m_temperature": field }], missing: "drop" }),
      {
        kind: "data",
        message: "state 1 lacks orography, and state 0 has it",
        hint: "forecast states with other variables in calls of their own",
      },
    ],
    [
      "values that are missing",
      () => ({ state: [toy(), gappy()], missing: "drop" }),
      {
        kind: "data",
        message: "state 1: 2 of the 128 values of temperature_850 are not finite",
        hint: 'fill them, or missing: "mean" puts the training mean there',
      },
    ],
    [
      "what readState gave, as a whole",
      () => ({ state: { fields: toy(), time: "2001-01-01" } }),
      {
        kind: "config",
        message: "the state is an object with fields; wanted the fields themselves",
        hint: "give state.fields of what readState or forecast returned",
      },
    ],
    [
      "no state",
      () => ({ state: undefined }),
      { kind: "config", message: "the state is no record of fields by name" },
    ],
    [
      "an empty list",
      () => ({ state: [] }),
      { kind: "config", message: "the list of states is empty; at least one is wanted" },
    ],
    [
      "a lead it was not trained for",
      () => ({ leadHours: [24, 336] }),
      {
        kind: "config",
        message: expect.stringMatching(
          /was trained for leads of 6h to 7d; 14d is not among them$/,
        ) as unknown as string,
        hint: "choose one of them, or finetune the checkpoint with --data.leads",
      },
    ],
    [
      "a lead that is no number",
      () => ({ leadHours: "72h" }),
      {
        kind: "config",
        message: 'leadHours is "72h"; wanted hours above 0, or a list of them',
        hint: "give leadHours as numbers, e.g. { leadHours: 72 }",
      },
    ],
    [
      "a lead of NaN",
      () => ({ leadHours: [Number.NaN] }),
      { kind: "config", message: "leadHours is NaN; wanted hours above 0, or a list of them" },
    ],
    [
      "no lead",
      () => ({ leadHours: undefined }),
      { kind: "config", message: "leadHours is missing; wanted hours above 0, or a list of them" },
    ],
    [
      "an empty list of leads",
      () => ({ leadHours: [] }),
      { kind: "config", message: "leadHours is []; wanted hours above 0, or a list of them" },
    ],
    [
      "an unknown output",
      () => ({ outputs: ["orography"] }),
      { kind: "config", message: 'unknown output of the model "orography"' },
    ],
    [
      "an unknown option",
      () => ({ leadhours: 24 }),
      {
        kind: "config",
        message: 'unknown option of forecast "leadhours"',
        hint: expect.stringMatching(/^did you mean "leadHours"\?/) as unknown as string,
      },
    ],
    [
      "an unknown policy",
      () => ({ missing: "ignore" }),
      { kind: "config", message: 'missing is "ignore"; wanted "error" or "drop" or "mean"' },
    ],
    [
      "no batch",
      () => ({ batchSize: 0 }),
      { kind: "config", message: "batchSize is 0; wanted a whole number from 1 on" },
    ],
    [
      "a roll-out that does not reach a lead",
      () => ({ leadHours: 24, rollout: 18 }),
      { kind: "config", message: "a lead of 24h is no multiple of the step 18h" },
    ],
  ])("%s", async ([, options, error]) => {
    expect(await refusal(options())).toMatchObject(error);
  });

  test("files on another grid, without the time, or with several", async () => {
    const fine = await writeToyStates(at("fine.nc"), { grid: regularGrid(11.25), hours: [0] });
    await expect(readState(model, fine)).rejects.toMatchObject({
      kind: "grid",
      hint: "climax regrid IN --res 22.5 -o OUT brings it there",
    });
    await expect(readState(model, input)).rejects.toMatchObject({
      kind: "config",
      message: `${input} has 5 states from 2001-01-01T00:00:00 to 2001-01-02T00:00:00, and it was not said which is meant; readState gives one`,
      hint: 'give its time: { time: "2001-01-02T00:00" }',
    });
    await expect(readState(model, input, { time: "2001-01-01" })).rejects.toMatchObject({
      kind: "config",
      message: `${input} has 4 states from 2001-01-01T00:00:00 to 2001-01-01T18:00:00 in 2001-01-01; readState gives one`,
    });
    await expect(readState(model, input, { time: "1999" })).rejects.toMatchObject({ kind: "config" });
    await expect(readState(model, at("none.nc"))).rejects.toBeInstanceOf(ClimaxError);
  });

  test("checkpoints that do not forecast, are PyTorch's, or are none", async () => {
    const axes = { lat: [-45, 45], lon: [0, 180] };
    const path = at("fine.safetensors");
    await (
      await writeToyCheckpoint(path, {
        task: { kind: "downscaling", from: axes, method: "bilinear" },
        leads: [0],
      })
    ).close();
    await expect(loadModel(path)).rejects.toMatchObject({
      kind: "config",
      message: `${path} was trained for downscaling; wanted one that forecasts`,
      hint: `climax downscale --checkpoint ${path} --input COARSE -o FINE runs it`,
    });
    writeFileSync(at("5.625deg.ckpt"), `PK\x03\x04${"\0".repeat(100)}`);
    await expect(loadModel(at("5.625deg.ckpt"))).rejects.toMatchObject({
      kind: "checkpoint",
      hint: `climax inspect ${at("5.625deg.ckpt")} shows the climax convert that makes one of it`,
    });
    await expect(loadModel(at("none"))).rejects.toMatchObject({ kind: "checkpoint" });
    const typo = { adaptor: "x" } as Record<string, unknown>;
    await expect(loadModel(model.path, typo)).rejects.toMatchObject({
      message: 'unknown option of loadModel "adaptor"',
    });
    await expect(loadModel(model.path, { precision: "f64" as "f32" })).rejects.toMatchObject({
      message: 'precision is "f64"; wanted "f32" or "f16"',
    });
    await expect(loadModel(model.path, { adapter: "no such GPU" })).rejects.toMatchObject({
      kind: "device",
      message: expect.stringContaining('no adapter matches "no such gpu"'),
    });
  });

  test("a roll-out whose errors grow beyond all bounds names its state", async () => {
    const path = at("wild.safetensors");
    await (
      await writeToyCheckpoint(path, {
        names: toyNames,
        variables: toyNames.map((name) => ({ name, units: "K", mean: 280, std: 3e38 })),
      })
    ).close();
    await using wild = await loadModel(path);
    const huge = Object.fromEntries(toyNames.map((name) => [name, field.slice().fill(3e38)]));
    const { orography, ...rest } = start;
    const pending = forecast(wild, { state: [rest, huge], leadHours: 168, rollout: 6 });
    await expect(pending).rejects.toMatchObject({
      kind: "data",
      message: expect.stringMatching(/^the roll-out from state 0 has no finite/),
    });
  });

  test("a signal that is aborted ends it with its own reason", async () => {
    const state = Array.from({ length: 9 }, () => start);
    await expect(
      forecast(model, { state, leadHours: 24, signal: AbortSignal.abort(new Error("enough")) }),
    ).rejects.toThrow("enough");
  });
});
