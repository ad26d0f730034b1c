import { describe, expect, test } from "vitest";
import { addHours, parseTime } from "../../src/data/time.ts";
import type { ClimaxError } from "../../src/errors.ts";
import { type DoubtPolicy, Watch } from "../../src/eval/doubts.ts";
import { overview } from "../../src/eval/gaps.ts";
import { mirrors } from "../../src/eval/mirrors.ts";
import { type Grid, makeGrid, regularGrid } from "../../src/grid/grid.ts";

const steps = 80;
const stepHours = 6;
const first = parseTime("2018-01-01", "standard");
const times = Array.from({ length: steps }, (_, i) => addHours(first, i * stepHours));

/** Numbers in [-1, 1) that are the same every time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

type At = (hours: number) => Float32Array;

/** Weather: waves that travel with different speeds about a mean of 280 that falls towards the poles, in K. */
function weather(grid: Grid): At {
  const random = numbers(1);
  const waves = Array.from({ length: 8 }, (_, k) => ({
    zonal: (k % 4) + 1,
    meridional: 1 + 2 * random(),
    period: 96 + 60 * random(), // hours
    phase: Math.PI * random(),
  }));
  const W = grid.lon.length;
  const rad = Math.PI / 180;
  return (hours) =>
    Float32Array.from({ length: grid.lat.length * W }, (_, i) => {
      const [lat, lon] = [grid.lat[Math.floor(i / W)]! * rad, grid.lon[i % W]! * rad];
      const of = waves.map(({ zonal, meridional, period, phase }) =>
        Math.sin(zonal * lon + meridional * 3 * lat + (2 * Math.PI * hours) / period + phase),
      );
      return 280 + 20 * (Math.cos(lat) - 0.6) + 4 * of.reduce((sum, x) => sum + x, 0);
    });
}

const grid = regularGrid(22.5); // 8 x 16
const usual = weather(grid);
const noise = (field: Float32Array, size: number, seed: number) => {
  const random = numbers(seed);
  return field.map((x) => x + size * random());
};

interface Case {
  grid?: Grid;
  truth?: At;
  /** What is handed in for a valid time, hours since the first state. */
  forecast: (valid: number, lead: number) => Float32Array;
  leads?: readonly number[];
  initialTimes?: number;
  units?: string;
  means?: boolean;
}

/** Watches forecasts from the states 8, 10, 12, ... and returns what was warned. */
async function watch(of: Case, policy: DoubtPolicy = "error"): Promise<string[]> {
  const { truth: at = usual, leads = [6, 24, 72], initialTimes = 12 } = of;
  const said: string[] = [];
  const samples = Array.from({ length: initialTimes }, (_, i) => 8 + 2 * i).flatMap((step) =>
    leads.map((leadHours) => ({
      initial: times[step]!,
      leadHours,
      validSteps: [step + leadHours / stepHours],
      initialStep: step,
    })),
  );
  const one = new Watch({
    ...{ variable: "x", system: "ours", samples, policy, means: of.means ?? false },
    truth: {
      grid: of.grid ?? grid,
      times,
      units: new Map([["x", of.units ?? "K"]]),
      read: async (_, step) => at(step * stepHours),
    },
    warn: (text) => said.push(text),
  });
  for (const sample of samples) {
    const valid = sample.validSteps[0]! * stepHours;
    const [forecast, happened] = [of.forecast(valid, sample.leadHours), at(valid)];
    await one.observe(sample, forecast, happened, overview(forecast, happened));
  }
  one.finish();
  return said;
}

async function failure(of: Case): Promise<ClimaxError> {
  const error: unknown = await watch(of).then(
    () => undefined,
    (error) => error,
  );
  expect(error).toMatchObject({ name: "ClimaxError", kind: "data" });
  return error as ClimaxError;
}

/** A forecast whose error grows with its lead. */
const skilful = (valid: number, lead: number) => noise(usual(valid), lead / 6, valid + lead);

describe("shifted times", () => {
  test.for([6, -6, 12, -24, 24])("by %d h are refused", async (shift) => {
    const error = await failure({ forecast: (valid, lead) => skilful(valid + shift, lead) });
    const when = `${Math.abs(shift)} h ${shift > 0 ? "later" : "earlier"}`;
    expect(error.message).toContain(
      `x of ours resembles the truth ${when} more than at its valid time: its RMSE against that is a part of that against the valid time, 0.`,
    );
    expect(error.message).toContain(` at a lead of 6 h (${when}), 0.`);
    expect(error.message).toContain(", in the median of 8 forecasts");
    expect(error.hint).toBe(
      "check the times of the file: initial time plus lead must be the time that a field is for, and the lead in its units; " +
        "--doubts warn scores it as it is",
    );
  });

  test("are only said under warn", async () => {
    const said = await watch({ forecast: (valid, lead) => skilful(valid + 12, lead) }, "warn");
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/^x of ours resembles the truth 12 h later more than at its valid time/);
  });

  test("of one forecast show as well", async () => {
    const error = await failure({ forecast: (valid, lead) => skilful(valid + 6, lead), initialTimes: 1 });
    expect(error.message).toMatch(/ 0\.\d\d at a lead of 6 h \(6 h later\), .*, in one forecast$/);
  });

  test("that depend on the lead are a lead in other units", async () => {
    const error = await failure({
      forecast: (valid, lead) => skilful(valid + lead, lead),
      leads: [6, 12, 24],
    });
    expect(error.message).toContain("resembles the truth at other times more than at its valid time");
    expect(error.message).toMatch(
      / 6 h \(6 h later\), 0\.\d\d at a lead of 12 h \(12 h later\), 0\.\d\d at a lead of 24 h \(24 h later\)/,
    );
  });

  test("to the initial time are persistence, of which a reader is told", async () => {
    const said = await watch({ forecast: (valid, lead) => noise(usual(valid - lead), 0.5, valid) });
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(
      /^x of ours resembles the truth at its initial time more than at its valid time, as persistence does: .* 72 h \(72 h earlier\)/,
    );
  });

  test("nor is a weak forecast that lags behind refused", async () => {
    const between = (valid: number, lead: number) => {
      const [start, end] = [usual(valid - lead), usual(valid)];
      return start.map((x, i) => x + 0.25 * (end[i]! - x));
    };
    const said = await watch({ forecast: between, leads: [6, 12, 24] });
    expect(said).toHaveLength(1);
    expect(said[0]).toContain("as persistence does");
  });

  test("by half of each lead are a lead in other units too", async () => {
    const error = await failure({ forecast: (valid, lead) => usual(valid - lead / 2), leads: [12, 24, 48] });
    expect(error.message).toContain("resembles the truth at other times more than at its valid time");
    expect(error.message).toMatch(
      / 12 h \(6 h earlier\), .* 24 h \(12 h earlier\), .* 48 h \(24 h earlier\)/,
    );
  });

  test("are found where hours were taken for days", async () => {
    const forecast = (valid: number, lead: number) => skilful(valid - lead + lead / 24, lead / 24);
    const error = await failure({ forecast, leads: [144, 288] });
    expect(error.message).toMatch(/ at a lead of 144 h \(138 h earlier\)/);
    expect(error.message).toMatch(/ at a lead of 288 h \(276 h earlier\)/);
  });

  test("are found where leads changed places", async () => {
    const error = await failure({
      forecast: (valid, lead) => skilful(lead === 24 ? valid + 54 : valid - 54, 12),
      leads: [24, 78],
    });
    expect(error.message).toMatch(
      / at a lead of 24 h \(54 h later\), 0\.\d\d at a lead of 78 h \(54 h earlier\)/,
    );
  });

  test("of one lead alone show where there are several forecasts of it", async () => {
    const forecast = (valid: number, lead: number) => skilful(lead === 72 ? valid + 6 : valid, 6);
    const error = await failure({ forecast });
    expect(error.message).toMatch(
      /^x of ours resembles the truth 6 h later more than at its valid time: .*, 0\.\d\d at a lead of 72 h \(6 h later\), in the/,
    );
    expect(await watch({ forecast, initialTimes: 3 })).toEqual([]);
  });

  test("are named for some leads only", async () => {
    const leads = [6, 12, 18, 24, 30, 36];
    const error = await failure({ forecast: (valid) => usual(valid + 6), leads });
    expect(error.message).toMatch(/ at a lead of 24 h \(6 h later\), and so on for 2 more, in the median/);
  });
});

describe("no doubt about", () => {
  const mean = usual(0).map((_, i) => {
    const all = times.map((_, step) => usual(step * stepHours)[i]!);
    return all.reduce((sum, x) => sum + x / all.length, 0);
  });
  /** A day's warming of 10 K that follows the sun. */
  const sunny: At = (hours) =>
    usual(hours).map((x, i) => x + 10 * Math.max(0, Math.sin(2 * Math.PI * ((i % 16) / 16 + hours / 24))));
  const tiny = makeGrid([-60, 0], [0, 180]);
  const random: At = (hours) => noise(new Float32Array(4).fill(280), 5, hours + 1);

  test.for<[string, Case]>([
    ["a forecast of some skill", { forecast: skilful }],
    ["one without", { forecast: (valid) => noise(usual(valid + 1000), 5, valid) }],
    ["the truth itself", { forecast: usual }],
    ["the truth and a constant", { forecast: (valid) => usual(valid).map((x) => x + 0.5) }],
    ["a climatology", { forecast: () => mean }],
    [
      "the mean of an ensemble, damped towards it",
      {
        forecast: (valid, lead) =>
          usual(valid).map((x, i) => mean[i]! + (x - mean[i]!) * Math.exp(-lead / 48)),
      },
    ],
    ["a truth with a daily cycle", { truth: sunny, forecast: (valid) => noise(sunny(valid), 1, valid) }],
    ["a forecast without the daily cycle", { truth: sunny, forecast: usual }],
    [
      "a climatology of the hour",
      {
        truth: sunny,
        forecast: (valid) => sunny(valid).map((x, i) => x - usual(valid)[i]! + mean[i]!),
      },
    ],
    [
      "a forecast that is too warm while it is getting warmer",
      {
        truth: (hours) => usual(0).map((x) => x + hours / 6),
        forecast: (valid) => noise(usual(0), 0.01, valid).map((x) => x + valid / 6 + 1),
      },
    ],
    [
      "a forecast that is too warm by what a day brings, but for rounding",
      {
        // Of several sizes, so that they are rounded to several steps.
        truth: (hours) => usual(0).map((x, i) => x * (1 + (i % 7)) + hours / 50),
        forecast: (valid) => usual(0).map((x, i) => x * (1 + (i % 7)) + (valid + 24) / 50),
      },
    ],
    [
      "a truth that does not change",
      { truth: () => usual(0), forecast: (valid) => noise(usual(0), 1, valid) },
    ],
    [
      "four cells of one forecast",
      {
        ...{ grid: tiny, truth: random, initialTimes: 1, leads: [6] },
        forecast: (valid) => random(valid + 6),
      },
    ],
    [
      "means over two weeks, whose times overlap",
      {
        forecast: (valid, lead) => skilful(valid + 6, lead),
        means: true,
      },
    ],
    ["one number for the globe", { forecast: () => new Float32Array(128).fill(280) }],
  ])("%s", async ([, of]) => {
    expect(await watch(of)).toEqual([]);
  });
});

describe("turned round", () => {
  const turned = (lead: number, valid: number, name: string) => {
    const { source } = mirrors(grid).find((mirror) => mirror.name === name)!;
    const field = skilful(valid, lead);
    return field.map((_, i) => field[source[i]!]!);
  };

  test.for([
    "mirrored north to south",
    "turned by 180 degrees of longitude",
    "mirrored north to south and turned by 180 degrees of longitude",
  ])("%s is refused", async (name) => {
    const error = await failure({ forecast: (valid, lead) => turned(lead, valid, name) });
    expect(error.message).toMatch(
      new RegExp(
        `^x of ours resembles the truth ${name}: its RMSE against that is 0\\.\\d\\d of that as it is`,
      ),
    );
    expect(error.hint).toMatch(/^the data do not lie as the coordinates of the file say/);
  });

  test("is looked for only where the grid maps on itself", () => {
    const names = (of: Grid) => mirrors(of).map(({ name }) => name);
    expect(names(grid)).toHaveLength(3);
    expect(names(makeGrid([-45, 0, 45], [0, 120, 240]))).toEqual(["mirrored north to south"]);
    expect(names(makeGrid([0, 30, 45], [0, 90, 180, 270]))).toEqual(["turned by 180 degrees of longitude"]);
    expect(names(makeGrid([0, 30, 45], [0, 10, 20, 30]))).toEqual([]);
    // Rows at -1 and 1 change places, as do columns 0 and 2, 1 and 3.
    const [flip, turn] = mirrors(makeGrid([-1, 1], [0, 90, 180, 270]));
    expect([...flip!.source]).toEqual([4, 5, 6, 7, 0, 1, 2, 3]);
    expect([...turn!.source]).toEqual([2, 3, 0, 1, 6, 7, 4, 5]);
  });
});

describe("other units", () => {
  const scaled =
    (scale: number, offset = 0) =>
    (valid: number, lead: number) =>
      skilful(valid, lead).map((x) => x * scale + offset);

  test("Celsius for kelvin", async () => {
    const error = await failure({ forecast: scaled(1, -273.15) });
    expect(error.message).toMatch(
      /^x of ours averages \d\.\d{4} where the truth averages 2\d\d\.\d\d: is it in the same units \(K\)\? It looks like degrees Celsius$/,
    );
    expect(error.hint).toBe(
      "correct the attribute units of its variable, or the numbers; units are converted by what the file says; " +
        "--doubts warn scores it as it is",
    );
  });

  test.for([
    ["m2 s-2", 1 / 9.80665, "metres of height"],
    ["m2 s-2", 1 / 98.0665, "decametres of height"],
    ["Pa", 1 / 100, "hectopascals"],
    ["kg kg-1", 1000, "grams per kilogram"],
    ["m s-1", 3.6, "kilometres per hour"],
    ["kg m-2 s-1", 86400, "millimetres per day"],
  ] as const)("of %s, times %d: %s", async ([units, factor, what]) => {
    const error = await failure({ forecast: scaled(factor), units });
    expect(error.message).toMatch(new RegExp(`same units \\(${units}\\)\\? It looks like ${what}$`));
  });

  test("winds about zero by how much they vary", async () => {
    const wind: At = (hours) => usual(hours).map((x) => x - 280);
    const forecast = (valid: number) => noise(wind(valid), 0.5, valid).map((x) => 3.6 * x);
    const error = await failure({ truth: wind, forecast, units: "m s-1" });
    expect(error.message).toMatch(
      /^x of ours varies by \d\d\.\d{3} where the truth varies by \d+\.\d+ \(standard deviations\), in the same pattern: is it in the same units \(m s-1\)\? It looks like kilometres per hour$/,
    );
  });

  test("whose factor is small, where the truth is so much nearer in them", async () => {
    const wind: At = (hours) => usual(hours).map((x) => x - 280);
    const knots = (valid: number) => noise(wind(valid), 0.5, valid).map((x) => 1.94384 * x);
    const error = await failure({ truth: wind, forecast: knots, units: "m s-1" });
    expect(error.message).toMatch(/in the same pattern: is it in the same units .* It looks like knots$/);
    const rough = (valid: number) =>
      noise(
        wind(valid).map((x) => 1.5 * x),
        5,
        valid,
      );
    expect(await watch({ truth: wind, forecast: rough, units: "m s-1" })).toEqual([]);
  });

  test("of a file among many, when it comes", async () => {
    let count = 0;
    const forecast = (valid: number) => usual(valid).map((x) => (++count > 10 * 128 ? x - 273.15 : x));
    const error = await failure({ forecast, leads: [6] });
    expect(error.message).toContain("It looks like degrees Celsius");
    count = 0;
    expect(await watch({ forecast, leads: [6] }, "warn")).toHaveLength(1);
  });

  test("rain that comes after a dry spell is no other unit", async () => {
    const random = numbers(5);
    const rain: At = (hours) =>
      new Float32Array(128).map((_, i) => (hours > 170 && i % 3 === 0 ? 0.01 : i === 0 ? 1e-6 : 0));
    const forecast = (valid: number) => rain(valid).map((x) => x * (1 + 0.5 * random()));
    expect(await watch({ truth: rain, forecast, leads: [24], units: "m" })).toEqual([]);
  });
});

describe("numbers for missing values", () => {
  const marked = (mark: number, field: Float32Array) => field.map((x, i) => (i === 7 ? mark : x));

  test.for([
    [-9999, "-9999"],
    [-32767, "-32767"],
    [1e20, "1e20"],
    [9.96921e36, "9.96921e36"],
  ] as const)("%d in one cell of each field", async ([mark, written]) => {
    const error = await failure({ forecast: (valid) => marked(mark, usual(valid)), leads: [6] });
    expect(error.message).toBe(
      `x of ours holds ${written.replace("e", "e+")} in 8 cells: a missing value that the file does not declare?`,
    );
    expect(error.hint).toBe(
      `declare it: cdo setctomiss,${written.replace("e", "e+")} in.nc out.nc; --doubts warn scores it as it is`,
    );
  });

  test("in the truth", async () => {
    const error = await failure({
      truth: (hours) => marked(-9999, usual(hours)),
      forecast: usual,
      leads: [6],
    });
    expect(error.message).toBe(
      "x of ours is scored against a truth that holds -9999 in 8 cells: a missing value that the file does not declare?",
    );
  });

  test("in a later field", async () => {
    let count = 0;
    const forecast = (valid: number) => (++count > 10 ? marked(-9999, usual(valid)) : usual(valid));
    const error = await failure({ forecast, leads: [6] });
    expect(error.message).toContain("holds -9999 in 1 cell: a missing value");
    count = 0;
    expect(await watch({ forecast, leads: [6] }, "warn")).toHaveLength(1);
  });

  test("are none where the field has such values", async () => {
    const high: At = (hours) => usual(hours).map((x) => 30 * (x - 280) + 9900);
    expect(await watch({ truth: high, forecast: (valid) => marked(9999, high(valid)) })).toEqual([]);
  });
});

describe("the opposite sign", () => {
  const wind: At = (hours) => usual(hours).map((x) => x - 280);

  test("is refused", async () => {
    const forecast = (valid: number) => noise(wind(valid), 1, valid).map((x) => -x);
    const error = await failure({ truth: wind, forecast });
    expect(error.message).toMatch(
      /^x of ours goes the opposite way of the truth: their correlation is -1\.00; is its sign turned\?$/,
    );
    expect(error.hint).toBe(
      "change the sign of the numbers: cdo mulc,-1 in.nc out.nc; --doubts warn scores it as it is",
    );
  });

  test("is not that of a bad forecast", async () => {
    const forecast = (valid: number) => noise(wind(valid), 20, valid).map((x) => -x);
    expect(await watch({ truth: wind, forecast })).toEqual([]);
  });
});
