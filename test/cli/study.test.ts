/** climax study, as typed: small grids of runs on the toy planet. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { evaluateCommand } from "../../src/cli/evaluate.ts";
import { finetuneCommand } from "../../src/cli/finetune.ts";
import { forecastCommand } from "../../src/cli/forecast.ts";
import { Interrupted } from "../../src/cli/interrupt.ts";
import { studyCommand } from "../../src/cli/study.ts";
import { planAblation } from "../../src/cli/studyablation.ts";
import { StudyConfig } from "../../src/cli/studyconfig.ts";
import { describeSets, Planner } from "../../src/cli/studyjobs.ts";
import { ClimaxError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { bestCheckpoint } from "../../src/train/resume.ts";
import { writeToyCheckpoint } from "../support/toycheckpoint.ts";
import { readLog } from "../support/toyrun.ts";
import { toyNames, writeToySet } from "../support/toyset.ts";

let root: string;
let set: string;
let checkpoint: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-study-"));
  // The planet comes back to where it was every 50 h: the test period has the states of the validation, 25 days later.
  const splits = {
    ...{ train: "2001-01-01..2001-01-25", val: "2001-01-26..2001-01-30" },
    test: "2001-02-20..2001-02-24",
  };
  set = await writeToySet(join(root, "set"), { names: ["orography", ...toyNames], steps: 4 * 55, splits });
  checkpoint = join(root, "pretrained.safetensors");
  await (await writeToyCheckpoint(checkpoint)).close();
});
afterAll(() => rmSync(root, { recursive: true }));

/** Runs `climax study ...argv` and gives the exit code and what it said. */
async function study(...argv: string[]) {
  const said = { out: [] as string[], info: [] as string[], warnings: [] as string[] };
  const code = await studyCommand.run([...argv, "-q"], {
    print: (text) => said.out.push(text),
    info: (text) => said.info.push(text),
    warn: (text) => said.warnings.push(text),
  });
  return { code, ...said, out: said.out.join("\n") };
}

async function refusal(...argv: string[]): Promise<string> {
  const error = await study(...argv).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ClimaxError);
  const { message, hint } = error as ClimaxError;
  return `${message} / ${hint}`;
}

const quick = (steps: number) => [
  ...["--training.max-steps", String(steps), "--training.batch-size", "4"],
  ...["--optimiser.lr", "0.005", "--optimiser.warmup", "2"],
];
const small = [
  ...["--head-width", "8", "--model.patch-size", "4", "--model.depth", "1", "--model.decoder-depth", "1"],
  ...["--model.dropout", "0", "--model.drop-path", "0"],
];
/** A flag of `rest` takes the place of the one here: lists would add up. */
function grid(output: string, ...rest: string[]): string[] {
  const base = [
    ...["--widths", "8,16", "--fractions", "0.5,1", "--leads", "12h", "--variables", toyNames.join(",")],
    ...[...small, ...quick(6), "--data.set", set, "-o", output],
  ];
  const kept = base.filter((_, i) => !rest.includes(base[i - (i % 2)]!));
  return ["scaling", "--no-pretrain", ...kept, ...rest];
}

interface Document {
  readonly jobs: Record<string, number>;
  readonly cells: Record<string, { commands: string[]; facts: Record<string, number>; scores: unknown[] }>;
  readonly results: {
    points: { width: number; fraction: number; values: Record<string, number> }[];
    fits: { quantity: string; over: string; at: number; b: number; standardError: null }[];
  };
}
const document = (out: string) => JSON.parse(readFileSync(join(out, "study.json"), "utf8")) as Document;

test("scaling trains and scores every cell, fits power laws, and goes on where it was stopped", async () => {
  const out = join(root, "scaling");
  // Ctrl-C as soon as the first run listens for it.
  const listeners = process.listenerCount("SIGINT");
  const poll = setInterval(() => {
    if (process.listenerCount("SIGINT") === listeners) return;
    clearInterval(poll);
    process.emit("SIGINT", "SIGINT");
  }, 1);
  const first = grid(out, "--widths", "8", "--fractions", "0.5");
  await expect(study(...first).finally(() => clearInterval(poll))).rejects.toThrow(Interrupted);
  expect(document(out).cells).toEqual({});
  expect(existsSync(join(out, "w8-f0.5", "finetune", "last.safetensors"))).toBe(true);

  const { code, out: told, info, warnings } = await study(...grid(out));
  expect(code).toBe(0);
  expect(readLog(join(out, "w8-f0.5", "finetune")).map(({ event }) => event)).toContain("resume");
  expect(info).toHaveLength(4);
  expect(info[0]).toMatch(
    /^\[1\/4\] w8-f0\.5: \d+ parameters, 50 states: loss [\d.]+, 2m_temperature [\d.]+ K, /,
  );
  expect(warnings.filter((text) => text.includes("simulated"))).toHaveLength(1);
  expect(told).toContain("Error 12 h ahead on the test period of ");
  expect(told).toContain("SYNTHETIC");
  expect(told).toMatch(/^16 +\d+ +100 % +100 +[\d.]+ +[\d.]+ +[\d.]+$/m);
  expect(told).toMatch(/^persistence +- +[\d.]+ +[\d.]+$/m);

  const { cells, results } = document(out);
  expect(Object.keys(cells)).toEqual(["w8-f0.5", "w8-f1", "w16-f0.5", "w16-f1"]);
  expect(cells["w8-f0.5"]!.commands.map((line) => line.split(" ")[1])).toEqual([
    ...["finetune", "forecast", "evaluate", "evaluate"],
  ]);
  expect(cells["w8-f0.5"]!.commands[0]).toContain("--data.fraction 0.5 --model.embed-dim 8 --model.heads 1");
  expect(cells["w8-f1"]!.commands[0]).not.toContain("fraction");
  for (const { width, fraction, values } of results.points) {
    const scored = await openCheckpoint(bestCheckpoint(join(out, `w${width}-f${fraction}`, "finetune")));
    await scored.close();
    // The test states are the validation's: scored from the forecast file, they give the loss of the run.
    expect(values.loss! / (scored.info.provenance.best_validation_loss as number)).toBeCloseTo(1, 4);
  }
  expect(results.fits).toHaveLength(2 * 3 + 2 * 3);
  const points = results.points.filter(({ fraction }) => fraction === 1);
  const law = results.fits.find(
    (one) => one.quantity === "loss" && one.over === "parameters" && one.at === 1,
  )!;
  const sizes = [cells["w8-f1"]!, cells["w16-f1"]!].map(({ facts }) => facts.parameters!);
  const slope = Math.log(points[1]!.values.loss! / points[0]!.values.loss!) / Math.log(sizes[1]! / sizes[0]!);
  expect(law.b).toBeCloseTo(-slope, 10);
  const csv = readFileSync(join(out, "study.csv"), "utf8").trimEnd().split("\n");
  expect(csv[0]).toBe("width,fraction,parameters,states,lead_hours,metric,variable,value,units");
  expect(csv).toHaveLength(1 + 4 * 3);
  for (const name of ["scaling-parameters.svg", "scaling-states.svg"]) {
    expect(readFileSync(join(out, name), "utf8")).toContain("SYNTHETIC");
  }

  // Again: nothing is run, and of less of it only that is shown.
  const model = bestCheckpoint(join(out, "w16-f1", "finetune"));
  const { mtimeMs } = statSync(model);
  const again = await study(...grid(out));
  expect(again.out).toBe(told);
  expect(again.info.every((text) => text.includes("done before"))).toBe(true);
  const less = await study(...grid(out, "--fractions", "1"));
  expect(less.info.map((text) => text.split(",")[0])).toEqual([
    "[1/2] w8-f1: done before",
    "[2/2] w16-f1: done before",
  ]);
  expect(less.out).not.toContain("50 %");
  expect(existsSync(join(out, "scaling-states.svg"))).toBe(false); // one fraction has no law over data
  expect(statSync(model).mtimeMs).toBe(mtimeMs);
  expect(Object.keys(document(out).cells)).toHaveLength(4);

  expect(await refusal(...grid(out, "--optimiser.lr", "0.1", "--leads", "24h"))).toBe(
    `${out} holds a study with other settings: leads.0 was 12, is 24; optimiser.lr was 0.005, is 0.1 / ` +
      "give the same settings (widths, fractions and rows may be added), or choose another --output",
  );
}, 60_000);

test("scaling pretrains on a part of the sources and finetunes on all of the set", async () => {
  const out = join(root, "pretrained");
  const { code } = await study(
    ...["scaling", "--data.set", set, "--widths", "8", "--fractions", "0.5", "--leads", "12h", "-o", out],
    ...[...small, ...quick(2), "--variables", "2m_temperature"],
    ...["--pretraining.training.max-steps", "2", "--pretraining.training.batch-size", "4"],
    ...["--pretraining.leads.max", "24"],
  );
  expect(code).toBe(0);
  const { commands, facts } = document(out).cells["w8-f0.5"]!;
  expect(commands[0]).toMatch(/^climax pretrain --data.sources \S+ --data.fraction 0.5 --data.leads.max 24 /);
  expect(commands[1]).toContain(
    `climax finetune --checkpoint ${bestCheckpoint(join(out, "w8-f0.5", "pretrain"))} `,
  );
  expect(commands[1]).not.toMatch(/fraction|embed-dim/);
  expect(facts.states).toBe(50);
}, 30_000);

test("a run that diverges is left out and said; the exit code is 1", async () => {
  const out = join(root, "diverged");
  const argv = ["--widths", "8", "--fractions", "1", "--optimiser.lr", "1e30", "--optimiser.warmup", "0"];
  const { code, warnings, out: told } = await study(...grid(out, ...argv));
  expect(code).toBe(1);
  expect(warnings.join("\n")).toMatch(/\[1\/1\] w8-f1: at step \d+ the .* the run has diverged/);
  expect(warnings.at(-1)).toBe("1 of 1 failed: w8-f1; the same command tries them again");
  expect(told).toContain("no power law: it takes two widths, or two fractions");
}, 30_000);

const rows = (output: string, ...rest: string[]) => [
  ...["ablation", "--data.set", set, "--checkpoint", checkpoint, "--leads", "12h,24h", "-o", output],
  ...["--variables", toyNames.join(","), ...quick(2), "--training.validation-batches", "1"],
  ...rest,
];

test("ablation compares its rows at the same times, and trains what they share once", async () => {
  const out = join(root, "ablation");
  const { code, out: told, info } = await study(...rows(out, "--rows", "all-out,iterative,direct"));
  expect(code).toBe(0);
  expect(info.map((text) => text.split(":")[0])).toEqual([
    "[1/3] direct",
    "[2/3] iterative",
    "[3/3] all-out",
  ]);
  const { cells, jobs } = document(out);
  expect(cells.direct!.facts).toEqual({ models: 2 });
  expect(cells["all-out"]!.facts).toEqual({ models: 2 });
  // All variables are scored here: all-out is direct, and the short step of the roll-out its 12 h model.
  expect(Object.keys(jobs).filter((name) => name.endsWith("model"))).toEqual([
    "direct/12h/model",
    "direct/24h/model",
  ]);
  expect(told).toMatch(/^direct +2 +[\d.]+ \(1\.00\) +[\d.]+ \(1\.00\) /m);
  expect(told).toMatch(/^iterative +1 +[\d.]+ \(\d\.\d\d\) +[\d.]+ \(\d\.\d\d\) /m);
  expect(told).toMatch(/^climatology +[\d.]+ \(\d\.\d\d\) +[\d.]+ \(\d\.\d\d\) /m);
  // At the lead of one step the roll-out is the direct forecast of the same model.
  const csv = readFileSync(join(out, "study.csv"), "utf8").trimEnd().split("\n");
  expect(csv[0]).toBe("row,models,variable,lead_hours,metric,value,units,ratio_to_direct");
  expect(csv).toHaveLength(1 + (3 + 2) * 4);
  const value = (row: string) =>
    Number(csv.find((line) => new RegExp(`^${row},.*,12,`).test(line))!.split(",")[5]);
  expect(value("iterative")).toBeCloseTo(value("direct"), 4);
  for (const name of ["ablation-leads.svg", "ablation-ratios.svg"]) {
    expect(readFileSync(join(out, name), "utf8")).toContain("SYNTHETIC");
  }
}, 60_000);

test("each row of an ablation is the command lines that its name says", async () => {
  const { info, close } = await openCheckpoint(checkpoint);
  await close();
  const config = StudyConfig.parse({
    ...{ kind: "ablation", output: "out", checkpoint, leads: ["24h", 12], data: { set }, step: "6h" },
    ...{ continuous: { min: 6, max: 24, step: 6 }, optimiser: { lr: 0.1 } },
  });
  const sets = await describeSets([], set);
  const { cells } = planAblation(new Planner(), config, sets.get(set)!, toyNames, info);
  const lines = Object.fromEntries(
    cells.map(({ name, jobs }) => [name, jobs.map(({ command, argv }) => [command, ...argv].join(" "))]),
  );
  const pretrained = `finetune --checkpoint ${checkpoint} --data.set ${set}`;
  const both = toyNames.join(",");
  const counts = Object.entries(lines).map(([name, all]) => [
    name,
    all.filter((one) => one.startsWith("finetune")).length,
  ]);
  expect(Object.fromEntries(counts)).toEqual({
    ...{ direct: 2, continuous: 1, iterative: 1, "all-out": 2, "per-variable": 4, scratch: 2, frozen: 2 },
  });
  expect(lines.direct![0]).toBe(
    `${pretrained} --data.leads 12 --data.outputs ${both} --optimiser.lr 0.1 --precision f32 --output out/direct/12h/model`,
  );
  expect(lines.continuous![0]).toContain("--data.leads.min 6 --data.leads.max 24 --data.leads.step 6");
  expect(lines.iterative![0]).toContain(`${pretrained} --data.leads 6 --data.outputs ${both}`);
  expect(lines.iterative![1]).toContain("--every 6h --lead 12h,24h --rollout 6h");
  expect(lines["per-variable"]![0]).toContain("--data.outputs 2m_temperature --optimiser");
  expect(lines.frozen![0]).toContain("--freeze attention,mlp");
  expect(lines.scratch![0]).toMatch(/^finetune --model climax --model.patch-size 2 --model.embed-dim 16 /);
  expect(lines.scratch![0]).not.toContain("--checkpoint");
  // Each flag is one that the command has.
  const known = { finetune: finetuneCommand, forecast: forecastCommand, evaluate: evaluateCommand };
  for (const { command, argv } of cells.flatMap(({ jobs }) => jobs)) {
    const flags = known[command as keyof typeof known].flags.map(({ name }) => `--${name}`);
    for (const word of argv) {
      if (word.startsWith("--"))
        expect([...flags, ...flags.map((flag) => flag.replace("--", "--no-"))]).toContain(word);
    }
  }
});

describe("what is refused", () => {
  const from = (...argv: string[]) => [...argv, "-o", join(root, "x")];
  test.each<[string, () => string[], string]>([
    ["no kind", () => from(), "KIND is required"],
    ["a kind there is not", () => from("size"), 'KIND is "size"'],
    [
      "settings of the other kind",
      () => rows("x", "--widths", "8", "--no-pretrain", "--model.depth", "1"),
      "climax study ablation does not read --widths, --pretrain, --model / leave them out, or run climax study scaling",
    ],
    ["and the other way", () => grid("x", "--rows", "direct"), "climax study scaling does not read --rows"],
    ["no widths", () => from("scaling", "--data.set", set), "no widths were given / give --widths 32,64,128"],
    ["no set", () => from("scaling", "--widths", "8"), "no set was given / give --data.set SET"],
    ["two leads to scale over", () => grid("x", "--leads", "12h,24h"), "found 2 leads, wanted one"],
    ["a lead that is none", () => grid("x", "--leads", "soon"), '"soon" is not a lead time'],
    [
      "sources that nothing learns from",
      () => grid("x", "--data.sources", set),
      "found --data.sources with --no-pretrain",
    ],
    [
      "a variable the set lacks",
      () => grid("x", "--variables", "orography"),
      "orography: not among the variables of",
    ],
    ["no checkpoint", () => from("ablation", "--data.set", set), "no pretrained model was given"],
    [
      "a step that misses a lead",
      () => rows("x", "--step", "18h"),
      "steps of 18h do not lead to 12h, 24h / give --step with a divisor of every lead, or leave iterative out of --rows",
    ],
    ["a set that is none", () => from("scaling", "--data.set", root, "--widths", "8"), "set.json"],
  ])("%s", async (_, argv, message) => {
    expect(await refusal(...argv())).toContain(message);
    expect(existsSync(join(root, "x"))).toBe(false);
    expect(existsSync("x")).toBe(false);
  });

  test("a folder that holds something else", async () => {
    const out = mkdtempSync(join(root, "other-"));
    writeFileSync(join(out, "study.json"), "{}");
    expect(await refusal(...grid(out))).toBe(
      `${join(out, "study.json")} is not a study of this program / choose another --output, or move it away`,
    );
  });
});
