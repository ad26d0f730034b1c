/** Commands whose work is shared, by ranks or by --shard: what they write is what one process writes. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { Command } from "../../src/cli/command.ts";
import { downscaleCommand } from "../../src/cli/downscale.ts";
import { evaluateCommand } from "../../src/cli/evaluate.ts";
import { forecastCommand } from "../../src/cli/forecast.ts";
import { handOver, waitForFiles } from "../../src/cli/handover.ts";
import { openDataset } from "../../src/data/open.ts";
import type { ClimaxError } from "../../src/errors.ts";
import { OutputFile } from "../../src/files/outputfile.ts";
import { isOfAllRanks } from "../../src/train/together.ts";
import { writeForecast, writeTruth } from "../eval/tinyfiles.ts";
import { climax } from "../support/climax.ts";
import { onRanks } from "../support/commandranks.ts";
import { fakeWorlds } from "../support/fakeworld.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { makeWeatherFile } from "../support/weatherfile.ts";

let root: string;
const at = (name: string) => join(root, name);
beforeAll(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2001, 0, 1) }); // which history and HDF5's objects tell
  root = mkdtempSync(join(tmpdir(), "climax-shares-"));
  await (await writeToyCheckpoint(at("toy.safetensors"))).close();
  await writeToyStates(at("states.nc"));
  mkdirSync(at("in"));
  for (const name of ["a", "b", "c"]) await makeWeatherFile(at(`in/${name}.nc`));
});
afterAll(() => {
  vi.useRealTimers();
  rmSync(root, { recursive: true });
});
afterEach(() => vi.unstubAllEnvs());

const bytes = (name: string) => readFileSync(at(name));
const named = (start: string) => readdirSync(root).filter((name) => name.startsWith(start));
const silent = { print: () => undefined, info: () => undefined, warn: () => undefined };

/** Runs a command by one process, then on `n` ranks with the same words; the output of the first is kept as one.* */
async function both(n: number, command: Command, output: string, argv: readonly string[]) {
  await command.run([...argv, "--quiet"], silent);
  renameSync(at(output), at(`one.${output}`));
  const said = await onRanks(n, command, argv);
  for (const { outcome } of said) expect(outcome).toEqual({ status: "fulfilled", value: 0 });
  for (const { printed, warned } of said.slice(1)) expect([printed, warned]).toEqual([[], []]);
  return said;
}

const forecasting = (...more: string[]) => [
  ...["--checkpoint", at("toy.safetensors"), "--input", at("states.nc"), "--time", "2001-01-01..2001-01-02"],
  ...["--lead", "24h,72h", "--batch-size", "3", "-o", at("f.nc"), ...more],
];

describe("on ranks the output is one process's, byte for byte:", () => {
  test.for<[string, number, Command, () => string[]]>([
    ["direct forecasts", 3, forecastCommand, () => forecasting()],
    [
      "an ensemble, on more ranks than batches",
      5,
      forecastCommand,
      () => forecasting("--ensemble.members", "2", "--ensemble.noise", "0.1"),
    ],
    [
      "persistence",
      2,
      forecastCommand,
      () => [
        ...["--model", "persistence", "--input", at("states.nc"), "--lead", "6h,12h"],
        ...["--time", "2001-01-01..2001-01-02", "-o", at("f.nc")],
      ],
    ],
    [
      "downscaled fields",
      3,
      downscaleCommand,
      () => ["--model", "bilinear", "--input", at("states.nc"), "--res", "11.25", "-o", at("f.nc")],
    ],
  ])("%s", async ([, n, command, argv]) => {
    const [first] = await both(n, command, "f.nc", argv());
    expect(first!.printed.join()).toContain(`${n} ranks, in `);
    expect(bytes("f.nc").equals(bytes("one.f.nc"))).toBe(true);
    expect(named("f.nc")).toEqual(["f.nc"]); // and of the shares nothing is left
  });

  const reasonOf = ({ outcome }: { outcome: PromiseSettledResult<number> }) => {
    expect(outcome.status).toBe("rejected");
    return (outcome as PromiseRejectedResult).reason as ClimaxError;
  };

  test("a rank that fails fails all; the old output stays, and what is finished can be gone on with", async () => {
    writeFileSync(at("f.nc"), "old");
    mkdirSync(at("f.nc.share-3-of-3")); // what only the last rank would see: its file cannot be made
    writeFileSync(at("f.nc.share-1-of-3"), ""); // as one that was finished by then
    for (const said of await onRanks(3, forecastCommand, forecasting())) {
      expect(reasonOf(said).message).toContain("f.nc.share-3-of-3: it is a folder");
      expect(reasonOf(said).hint).toMatch(
        /; [12] of 3 shares (is|are) finished and stay: make the others with the same command and --shard 3\/3, each as one process, then climax forecast --merge -o \S+f\.nc$/,
      );
    }
    expect(bytes("f.nc").toString()).toBe("old");
    rmSync(at("f.nc.share-3-of-3"), { recursive: true });
    // A rank that had not finished would have been ended by its launcher.
    expect(named("f.nc")).toEqual(["f.nc", "f.nc.share-1-of-3", "f.nc.share-2-of-3"]);
    expect((await climax("forecast", ...forecasting("--shard", "3/3"))).code).toBe(0);
    expect((await climax("forecast", "--merge", "-o", at("f.nc"))).out).toContain(
      "f.nc: 3 shares, 2 variables",
    );
    for (const name of named("f.nc")) rmSync(at(name));
  });

  test("shares that cannot be put together stay", async () => {
    const argv = forecasting();
    mkdirSync(at("full"));
    argv[argv.length - 1] = at("full/f.nc");
    const other = new OutputFile(at("full/f.nc"));
    other.claim(); // the merge comes upon it
    const said = await onRanks(2, forecastCommand, argv).finally(() => other.remove());
    for (const one of said) {
      expect(isOfAllRanks(reasonOf(one))).toBe(true);
      expect(reasonOf(one).hint).toBe(
        `give each output its own name; the 2 shares stay: climax forecast --merge -o ${at("full/f.nc")} goes on from them`,
      );
    }
    expect(readdirSync(at("full"))).toEqual(["f.nc.share-1-of-2", "f.nc.share-2-of-2"]);
  });
});

describe("scores on ranks", () => {
  const hours = Array.from({ length: 12 }, (_, day) => 24 * day);
  const state = (day: number) =>
    Array.from({ length: 48 }, (_, i) => 280 + Math.sin(day + i * (1 + day / 9)));
  let argv: string[];
  beforeAll(async () => {
    const layout = { lat: [-75, -45, -15, 15, 45, 75], lon: Array.from({ length: 8 }, (_, i) => i * 45) };
    const truth = await writeTruth(at("truth.nc"), hours, { t2m: hours.map((h) => state(h / 24)) }, layout);
    const fields = hours.slice(0, 7).map((h) => [1, 2].map((lead) => state(h / 24 + lead + 0.01 * h)));
    const made = await writeForecast(at("scored.nc"), hours.slice(0, 7), [24, 48], { t2m: fields }, layout);
    argv = ["--forecast", made, "--truth", truth, "--metrics", "rmse,acc,pearson", "--json", at("s.json")];
  });

  test.for([2, 8])("of %i are one process's: JSON, table and warnings", async (n) => {
    const [alone] = await onRanks(1, evaluateCommand, argv);
    expect(alone!.outcome).toEqual({ status: "fulfilled", value: 0 });
    const [first] = await both(n, evaluateCommand, "s.json", argv);
    expect(bytes("s.json").toString()).toBe(bytes("one.s.json").toString());
    expect(first).toMatchObject({ printed: alone!.printed, warned: alone!.warned });
    expect(named("s.json")).toEqual(["s.json"]);
  });

  test("what only another rank warns of is told with its name, once", async () => {
    const fields = hours.slice(0, 7).map((h) => [1, 2].map((lead) => state(h / 24 + lead)));
    fields[4] = [0, 1].map(() => state(0).fill(Number.NaN)); // of rank 1 of 3
    const layout = { lat: [-75, -45, -15, 15, 45, 75], lon: Array.from({ length: 8 }, (_, i) => i * 45) };
    const path = await writeForecast(at("gaps.nc"), hours.slice(0, 7), [24, 48], { t2m: fields }, layout);
    const [first, ...others] = await onRanks(3, evaluateCommand, [
      ...["--forecast", path, "--truth", at("truth.nc"), "--metrics", "rmse", "--gaps", "skip"],
      ...["--json", at("g.json")],
    ]);
    expect(first!.outcome.status).toBe("fulfilled");
    expect(first!.warned.filter((text) => text.startsWith("rank 1 of 3 on fakehost: "))).toHaveLength(1);
    expect(others.flatMap(({ warned }) => warned)).toEqual([]);
  });
});

describe("--shard of forecasts", () => {
  const output = () => at("s.nc");
  const share = (shard: string, ...more: string[]) =>
    climax("forecast", ...forecasting().slice(0, -1), output(), ...more, "--shard", shard);
  const merge = (...more: string[]) => climax("forecast", "--merge", "-o", output(), ...more);

  test("in any order, one of them twice, make the same fields and attributes but for the history", async () => {
    const { code } = await climax("forecast", ...forecasting().slice(0, -1), at("one.nc"));
    expect(code).toBe(0);
    expect((await share("3/3")).out).toContain(
      `${output()}.share-3-of-3: share 3/3 of 2 variables, 5 initial times, leads 24h, 3d, SYNTHETIC`,
    );
    for (const shard of ["1/3", "3/3"]) expect((await share(shard)).code).toBe(0);
    writeFileSync(at("s.nc.share-2-of-3.partial-77"), "of one that was killed");
    expect(await merge()).toMatchObject({
      code: 2,
      err: expect.stringContaining(`of 3 shares 2 are there; ${output()}.share-2-of-3 is lacking`),
    });
    expect(named("s.nc")).not.toContain("s.nc");
    expect((await share("2/3")).code).toBe(0);
    expect(await merge()).toMatchObject({
      code: 0,
      out: expect.stringMatching(/s\.nc: 3 shares, 2 variables, 5 times/),
    });
    const [one, merged] = [await contents(at("one.nc")), await contents(output())];
    expect(merged.fields).toEqual(one.fields);
    const { history, ...rest } = merged.attributes;
    const { history: alone, ...all } = one.attributes;
    expect(rest).toEqual(all);
    expect(alone).toMatch(/^2001-01-01T00:00:00Z climax forecast --checkpoint [^\n]*$/);
    const [last, before] = String(history).split("\n");
    expect(last).toBe(`2001-01-01T00:00:00Z climax forecast --merge -o ${output()}`);
    expect(before).toMatch(/^2001-01-01T00:00:00Z climax forecast --checkpoint .* --shard 1\/3$/);
  });

  test("of other settings, or of another N, are refused", async () => {
    await share("2/3", "--missing", "mean");
    expect((await merge()).err).toContain("are shares of two runs: they differ in --missing: error and mean");
    await share("2/4");
    expect((await merge()).err).toContain(
      `${output()}.share-2-of-4 is share 2/4, ${output()}.share-1-of-3 share 1/3`,
    );
  });

  test("where there is none, or something beside --merge", async () => {
    expect((await climax("forecast", "--merge", "-o", at("none.nc"))).err).toContain(
      `there is no share of ${at("none.nc")}`,
    );
    expect((await merge("--input", at("states.nc"))).err).toContain("found --input beside --merge");
    expect((await merge("--shard", "1/2")).err).toContain("found --shard beside --merge");
    expect((await climax("forecast", "-o", output(), "--lead", "24h")).err).toContain("--input is required");
  });
});

describe("under a launcher, without MPI,", () => {
  const regrid = (rank: number, size: number, ...more: string[]) => {
    vi.stubEnv("OMPI_COMM_WORLD_RANK", String(rank));
    vi.stubEnv("OMPI_COMM_WORLD_SIZE", String(size));
    return climax("regrid", at("in/*.nc"), "--res", "45", "-o", at("out"), ...more);
  };

  test("regrid shares out files: rank 0 speaks, a rank without a file does nothing", async () => {
    const said = [];
    for (const rank of [3, 1, 0, 2]) said.push(await regrid(rank, 4));
    expect(said.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(said[2]!.err).toContain("share 1/4: 1 of 3 files");
    expect(said[2]!.out).toContain("a.nc -> ");
    for (const i of [0, 1, 3]) expect(said[i]).toMatchObject({ out: "", err: "" });
    vi.unstubAllEnvs();
    await climax("regrid", at("in/*.nc"), "--res", "45", "-o", at("one"));
    for (const name of ["a.nc", "b.nc", "c.nc"]) {
      const [one, other] = [await contents(at(`one/${name}`)), await contents(at(`out/${name}`))];
      expect(other.fields).toEqual(one.fields);
    }
  });

  test("--shard is refused, and so is --merge", async () => {
    expect((await regrid(0, 3, "--shard", "1/2")).err).toContain(
      "found --shard 1/2 under mpirun of Open MPI, whose 3 ranks share the work already",
    );
    expect((await climax("forecast", "--merge", "-o", at("s.nc"))).err).toContain(
      "found --merge under mpirun of Open MPI with 3 ranks, and it is work for one process",
    );
    expect((await climax("evaluate", "--merge", at("x.part"))).err).toContain("found --merge under mpirun");
  });

  test("one rank alone may be a job of an array", async () => {
    rmSync(at("out"), { recursive: true });
    expect((await regrid(0, 1, "--shard", "2/3")).err).toContain("share 2/3: 1 of 3 files");
    expect(readdirSync(at("out"))).toEqual(["b.nc"]);
  });
});

test.for([
  ["stay where that is asked for", true, ["handed-0", "handed-1"]],
  ["go otherwise", false, []],
] as const)("files that rank 0 fails to take %s, and all ranks fail with it", async ([, keep, left]) => {
  const outcomes = await Promise.allSettled(
    fakeWorlds(2).map((world) =>
      handOver(
        { world, meet: async (text = "") => await world.gather(text) },
        at(`handed-${world.rank}`),
        async () => writeFileSync(at(`handed-${world.rank}`), ""),
        (paths) => Promise.reject(new Error(`cannot take ${paths.length} files`)),
        keep,
      ),
    ),
  );
  for (const outcome of outcomes)
    expect(outcome).toMatchObject({ reason: { message: "cannot take 2 files" } });
  expect(named("handed-")).toEqual(left);
  for (const name of left) rmSync(at(name));
});

test("a file of another host that does not come is named", async () => {
  vi.useRealTimers();
  await expect(waitForFiles([at("states.nc"), at("elsewhere")], 0.3)).rejects.toThrow(
    `${at("elsewhere")}, which another rank has written, is not to be seen from here`,
  );
  const late = waitForFiles([at("late")], 20);
  setTimeout(() => writeFileSync(at("late"), ""), 250);
  await late;
});

/** All that a file says: attributes, and of each variable its attributes and numbers. */
async function contents(path: string) {
  const dataset = await openDataset(path);
  try {
    const fields: Record<string, unknown> = {};
    for (const [name, variable] of dataset.variables) {
      fields[name] = [Object.fromEntries(variable.attributes), variable.shape, await variable.read()];
    }
    return { attributes: Object.fromEntries(dataset.attributes), fields };
  } finally {
    await dataset.close();
  }
}
